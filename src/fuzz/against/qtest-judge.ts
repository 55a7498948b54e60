import { hex, Prng } from '../../core/index.ts';
import { QtestError } from '../../harness/qtest-client.ts';
import { type Access, KIND, REGION, SIGNAL } from '../access.ts';
import { reduce } from '../shrink.ts';
import type { Difference } from './difference.ts';
import { missing } from './obligations.ts';
import type { QemuDeviation } from './qemu-7.2.ts';
import { QtestDuel } from './qtest-duel.ts';
import { isKnown, knownOf } from './qtest-known.ts';
import { formatStep, type NotationSpace, parseStep } from './qtest-notation.ts';
import { QtestPeer, type QtestPlace } from './qtest-peer.ts';
import { type Aim, QtestSteps } from './qtest-steps.ts';

export interface QtestJudgeOptions {
  aims: readonly Aim[];
  seed: number;
  /** Inputs for each aim; or until `stop` says so. */
  runs?: number;
  /** Is told the function. */
  onPeer?: (peer: QtestPeer) => void;
  stop?: (runs: number, steps: number) => boolean;
  /** What QEMU is known to do; by default {@link knownOf} its function. */
  known?: readonly QemuDeviation[];
}

/** A difference, with the fewest and simplest accesses that show it. */
export interface QtestFinding extends Difference {
  aim: Aim;
  /** Number of the input, steps of it until the difference. */
  run: number;
  found: number;
  steps: readonly Access[];
  /** The same in the notation of `qtest-notation.ts`. */
  lines: string[];
  story: string[];
}

export interface QtestResult {
  runs: number;
  /** Accesses carried out and judged, those of shrinking not counted. */
  steps: number;
  findings: QtestFinding[];
  /** Known deviations that were seen again. */
  seen: Set<QemuDeviation>;
  /** Offsets that neither reset nor writing restores. */
  unrestored: Set<number>;
  /** Messages that had to be sent and were seen. */
  messages: number;
}

const MOST_STEPS = 48;
const MOST_TRIES = 800;
const MOST_FRESH_TRIES = 200;

/** @param open reaches the function; again where QEMU died of an access */
export async function judgeQtest(open: () => Promise<QtestPlace>, options: QtestJudgeOptions): Promise<QtestResult> {
  const bench = await Bench.begin(open, options.known);
  const { runs = Number.POSITIVE_INFINITY, stop, seed, aims } = options;
  options.onPeer?.(bench.peer);
  try {
    bench.static();
    for (let done = 0; done < runs && !bench.isGone; done++) {
      for (const aim of aims)
        if (!bench.isGone) await bench.input(aim, new Prng(Math.imul(seed, 0x9e3779b1) ^ done), done);
      bench.result.runs++;
      if (stop?.(done + 1, bench.result.steps)) break;
    }
    return bench.result;
  } finally {
    await bench.end();
  }
}

/** Carries out inputs, steps as text or as accesses. @returns of each what differs, and the story */
export async function replayQtest(
  open: () => Promise<QtestPlace>,
  inputs: readonly { aim: Aim; steps: readonly (Access | string)[] }[],
): Promise<{ differences: Difference[]; story: string[] }[]> {
  const bench = await Bench.begin(open, []);
  try {
    const results: { differences: Difference[]; story: string[] }[] = [];
    for (const { aim, steps } of inputs) results.push(await bench.carryOut(aim, bench.parse(steps)));
    return results;
  } finally {
    await bench.end();
  }
}

class Bench {
  readonly result: QtestResult = {
    runs: 0,
    steps: 0,
    findings: [],
    seen: new Set(),
    unrestored: new Set(),
    messages: 0,
  };
  /** QEMU died, and is not ours to start again. */
  isGone = false;
  readonly #open: () => Promise<QtestPlace>;
  #duel: QtestDuel;
  readonly #known: readonly QemuDeviation[];
  readonly #steps = new Map<Aim, QtestSteps>();

  private constructor(peer: QtestPeer, open: () => Promise<QtestPlace>, known: readonly QemuDeviation[] | undefined) {
    this.#open = open;
    this.#duel = new QtestDuel(peer);
    this.#known = known ?? knownOf(peer.measured.layout);
  }

  static async begin(open: () => Promise<QtestPlace>, known?: readonly QemuDeviation[]): Promise<Bench> {
    return new Bench(await QtestPeer.open(await open()), open, known);
  }

  get peer(): QtestPeer {
    return this.#duel.peer;
  }

  end(): Promise<void> {
    return this.#duel.peer.place.close();
  }

  /** What shows without any access. */
  static(): void {
    for (const d of this.#absent())
      if (this.#isNews(d))
        this.result.findings.push({ ...d, aim: 'config', run: 0, found: 0, steps: [], lines: [], story: [] });
  }

  #absent(): Difference[] {
    return missing(this.#duel.layout).map((m) => ({ law: 'missing', bits: 0, verdict: 'violates', ...m }));
  }

  /** An input and a reset of the machine after it. */
  async input(aim: Aim, prng: Prng, run: number): Promise<void> {
    const makes = this.#makes(aim);
    await this.#begin(aim);
    const steps: Access[] = [];
    for (let n = 1 + prng.below(MOST_STEPS); n >= 0; n--) {
      const step = n === 0 ? makes.reset() : makes.next(prng);
      steps.push(step);
      this.result.steps++;
      const differences = await this.#step(step);
      this.result.messages += this.#duel.arrived;
      const news = differences.filter((d) => this.#isNews(d));
      if (this.isGone) return this.#last(aim, steps, news[0], run);
      if (news.length > 0) this.result.findings.push(await this.#shrink(aim, steps, news[0], run));
      if (news.length > 0 || differences.some((d) => d.law === 'abort')) return;
    }
  }

  /** What a QEMU died of that is not ours to start again, as it was found. */
  #last(aim: Aim, steps: readonly Access[], difference: Difference, run: number): void {
    const lines = steps.map((step) => formatStep(step, this.#space));
    const story = [...steps.map((step) => this.#tell(step)), `       ${difference.text}`];
    this.result.findings.push({ ...difference, aim, run, found: steps.length, steps: [...steps], lines, story });
  }

  parse(steps: readonly (Access | string)[]): Access[] {
    return steps.map((step) => (typeof step === 'string' ? parseStep(step, this.#space) : step));
  }

  async carryOut(aim: Aim, steps: readonly Access[]): Promise<{ differences: Difference[]; story: string[] }> {
    await this.#begin(aim);
    const all: Difference[] = steps.length > 0 ? [] : this.#absent();
    const story: string[] = [];
    for (const [i, step] of steps.entries()) {
      const line = `${String(i + 1).padStart(3)}  ${this.#tell(step)}`;
      const differences = await this.#step(step);
      story.push(line, ...differences.map((d) => `       ${d.text}`));
      all.push(...differences);
    }
    return { differences: all, story };
  }

  get #space(): NotationSpace {
    const { layout, msix, peer } = this.#duel;
    return { bdf: peer.bdf, layout, msix };
  }

  /** A step; where QEMU dies of it, that is the difference, and another takes its place. */
  async #step(step: Access): Promise<Difference[]> {
    try {
      return await this.#duel.step(step);
    } catch (error) {
      this.isGone = error instanceof QtestError && !this.#canReplace;
      const text = this.isGone ? (error as Error).message : await this.#reopen(error);
      return [{ law: 'abort', register: 'QEMU', bits: 0, section: 'none', verdict: 'violates', text }];
    }
  }

  /** Another QEMU in place of one that died. @returns its last words @throws the error if it did not die */
  async #reopen(error: unknown): Promise<string> {
    const { place } = this.#duel.peer;
    const words = error instanceof QtestError ? await place.lastWords?.() : undefined;
    if (words === undefined) throw error;
    await this.#replace();
    return words;
  }

  async #begin(aim: Aim): Promise<void> {
    let lost: number[];
    try {
      lost = await this.#duel.begin(aim !== 'config');
    } catch (error) {
      await this.#reopen(error); // of what was done before: the reset showed it
      lost = await this.#duel.begin(aim !== 'config');
    }
    for (const at of lost) this.result.unrestored.add(at);
    for (const step of this.#makes(aim).bringUp()) await this.#duel.step(step);
  }

  #makes(aim: Aim): QtestSteps {
    let makes = this.#steps.get(aim);
    if (!makes) this.#steps.set(aim, (makes = new QtestSteps(this.#duel, aim)));
    return makes;
  }

  /** A difference that is neither known nor told: bits of a told register join it. */
  #isNews(d: Difference): boolean {
    const known = this.#known.find((k) => isKnown(k, d));
    if (known) this.result.seen.add(known);
    if (known) return false;
    const told = this.result.findings.find((f) => isSame(f, d));
    if (told) told.bits = (told.bits | d.bits) >>> 0;
    return told === undefined;
  }

  /** From a QEMU that nothing was done to; if what is found needs that for each try, so. */
  async #shrink(aim: Aim, input: readonly Access[], wanted: Difference, run: number): Promise<QtestFinding> {
    await this.#replace();
    const isSteady = (await this.#shows(aim, input, wanted)) !== undefined;
    let shrunk = isSteady ? await this.#reduce(aim, input, wanted, false) : { steps: [...input], difference: wanted };
    await this.#replace();
    if (this.#canReplace && isSteady && !(await this.#shows(aim, shrunk.steps, wanted)))
      shrunk = await this.#reduce(aim, input, wanted, true);
    await this.#replace();
    const { steps } = shrunk;
    const text = isSteady ? shrunk.difference.text : `${wanted.text}, only after the inputs before`;
    const difference = { ...shrunk.difference, text };
    const { story } = await this.carryOut(aim, steps);
    const lines = steps.map((step) => formatStep(step, this.#space));
    return { ...difference, aim, run, found: input.length, steps, lines, story };
  }

  async #reduce(aim: Aim, input: readonly Access[], wanted: Difference, afresh: boolean) {
    const candidates = reduce(input, (step) => this.#makes(aim).simpler(step));
    let difference = wanted;
    let tries = 0;
    let next = candidates.next();
    while (!next.done) {
      let needed = 0;
      if (tries++ < (afresh ? MOST_FRESH_TRIES : MOST_TRIES)) {
        if (afresh) await this.#replace();
        const shown = await this.#shows(aim, next.value, wanted);
        if (shown) [difference, needed] = [shown.difference, shown.steps];
      }
      next = candidates.next(needed);
    }
    return { steps: next.value, difference };
  }

  get #canReplace(): boolean {
    return this.#duel.peer.place.lastWords !== undefined;
  }

  /** A device has state that no reset of the machine clears: another QEMU, where we have started it. */
  async #replace(): Promise<void> {
    const { place, measured } = this.#duel.peer;
    if (!this.#canReplace) return;
    await place.close();
    this.#duel = new QtestDuel(await QtestPeer.open(await this.#open(), measured));
    this.#steps.clear();
  }

  async #shows(aim: Aim, steps: readonly Access[], wanted: Difference) {
    await this.#begin(aim);
    for (const [i, step] of steps.entries()) {
      const differences = await this.#step(step);
      const difference = differences.find((d) => isSame(d, wanted) && this.#isUnknown(d));
      if (difference) return { difference, steps: i + 1 };
      if (differences.some((d) => d.law === 'abort')) return undefined;
    }
    return undefined;
  }

  #isUnknown(d: Difference): boolean {
    return !this.#known.some((k) => isKnown(k, d));
  }

  /** A step in register terms. */
  #tell({ kind, region, offset, width, value }: Access): string {
    const duel = this.#duel;
    switch (kind) {
      case KIND.read:
        return `read ${duel.where(region, offset, width)}, width ${width}`;
      case KIND.write:
        return `write ${hex(value, 2 * width)} to ${duel.where(region, offset, width)}${region === REGION.config ? `, width ${width}` : ''}`;
      case KIND.raise:
        return value === SIGNAL.begins
          ? `the device raises vector ${offset}`
          : `the condition of vector ${offset} ends`;
      default:
        return 'reset of the machine';
    }
  }
}

const isSame = (a: { law: string; register: string }, b: { law: string; register: string }) =>
  a.law === b.law && a.register === b.register;
