import { hex, Prng, UsageError, type Width } from '../../core/index.ts';
import { type Access, KIND, SIGNAL } from '../access.ts';
import { lawOf } from '../engine.ts';
import { reduce } from '../shrink.ts';
import type { FunctionTarget } from '../targets/devices.ts';
import { type Peer, PeerLost, PeerRefusal } from './peer.ts';
import { type Check, Reference } from './reference.ts';

/** A deviation that is known: differences whose text it matches are counted and not told as findings. */
export interface KnownDeviation {
  match: RegExp;
  /** Where the device's authors say so, or what their source does. */
  source: string;
}

export interface JudgeOptions {
  seed: number;
  /** Inputs to run; or until `stop` says so. */
  runs?: number;
  stop?: (runs: number, steps: number) => boolean;
  /** Ends after so many findings; default 1. */
  maxFindings?: number;
  known?: readonly KnownDeviation[];
}

/** A difference between the peer and the specification, shrunk. */
export interface PeerFinding {
  broken: string;
  /** The known deviation that it is, by its source. */
  known?: string;
  run: number;
  found: number;
  steps: Access[];
  /** Accesses in register terms. */
  story: string[];
}

export interface JudgeResult {
  label: string;
  seed: number;
  runs: number;
  /** Accesses given to the peer and checked, those of shrinking not counted. */
  steps: number;
  findings: PeerFinding[];
}

/** Steps of one input. */
const MOST_STEPS = 48;
/** Inputs that shrinking may try: each is a conversation with somebody who may be slow. */
const MOST_TRIES = 600;

interface Difference {
  broken: string;
  /** Number of steps carried out. */
  steps: number;
  /** Where registers differ: what, and in which bits. */
  check?: Check;
  bits?: number;
}

/**
 * Gives random accesses to a peer and to our oracle made from what the peer says of itself, reports the first difference
 * of each kind, shrunk by running again from a reset. Bits and refusals that were found are not judged any more, so that
 * what else there is shows too.
 * @param open makes a connection; again if the peer is lost
 */
export async function judge(
  open: () => Promise<Peer>,
  target: FunctionTarget,
  options: JudgeOptions,
): Promise<JudgeResult> {
  const { seed, runs = Number.POSITIVE_INFINITY, stop, maxFindings = 1, known = [] } = options;
  const duel = await Duel.begin(open, target);
  const findings: PeerFinding[] = [];
  let done = 0;
  let steps = 0;
  try {
    for (; done < runs && findings.filter((f) => !f.known).length < maxFindings; done++) {
      const prng = new Prng(Math.imul(seed, 0x9e3779b1) ^ done);
      const input: Access[] = [];
      const difference = await duel.fight(input, { prng, count: 1 + prng.below(MOST_STEPS) });
      steps += input.length;
      if (difference) {
        const finding = await duel.shrink(input, difference);
        const deviation = known.find(({ match }) => match.test(finding.broken));
        findings.push({ ...finding, run: done, found: input.length, ...(deviation && { known: deviation.source }) });
      }
      if (duel.isGone || stop?.(done + 1, steps)) {
        done++;
        break;
      }
    }
    return { label: duel.label, seed, runs: done, steps, findings };
  } finally {
    await duel.end();
  }
}

/** Carries out an input on a peer from its reset. @returns the first difference, as `pirqlab fuzz --replay` tells it */
export async function replayAgainst(
  open: () => Promise<Peer>,
  target: FunctionTarget,
  steps: readonly Access[],
): Promise<{ label: string; broken: string | undefined; story: string[] }> {
  const duel = await Duel.begin(open, target);
  try {
    const story: string[] = [];
    const difference = await duel.fight(steps.slice(), undefined, story);
    return { label: duel.label, broken: difference?.broken, story };
  } finally {
    await duel.end();
  }
}

/** A peer and our reference side by side. */
class Duel {
  #peer: Peer;
  readonly #open: () => Promise<Peer>;
  readonly #reference: Reference;
  /** The peer was lost and does not come back. */
  isGone = false;
  /** Laws that were broken and are not told again; those of bits are with the reference. */
  readonly #told = new Set<string>();

  private constructor(peer: Peer, open: () => Promise<Peer>, target: FunctionTarget) {
    this.#peer = peer;
    this.#open = open;
    this.#reference = new Reference(peer.spec, target, {
      raise: peer.raise !== undefined,
      lower: peer.lower !== undefined,
    });
  }

  static async begin(open: () => Promise<Peer>, target: FunctionTarget): Promise<Duel> {
    return new Duel(await open(), open, target);
  }

  get label(): string {
    return this.#peer.label;
  }

  async end(): Promise<void> {
    if (!this.isGone) await this.#peer.close();
  }

  /** Carries out `steps` from a reset, or with `more` makes them as it goes. */
  async fight(
    steps: Access[],
    more?: { prng: Prng; count: number },
    story: string[] = [],
  ): Promise<Difference | undefined> {
    let n = 0;
    try {
      await this.#peer.reset();
      await this.#peer.drain();
      this.#reference.begin();
      for (; n < (more?.count ?? steps.length); n++) {
        if (more) steps.push(this.#reference.generate(more.prng));
        story.push(`${String(n + 1).padStart(3)}  ${this.#reference.tell(steps[n])}`);
        const difference = await this.#step(steps[n]);
        if (difference && !this.#told.has(lawOf(difference.broken))) return { ...difference, steps: n + 1 };
        if (difference) break; // from here on the two are apart
      }
      const last = await this.#compare(this.#reference.all());
      if (last) return { ...last, steps: n };
      return await this.#resetRestores(n);
    } catch (error) {
      if (!(error instanceof PeerLost)) throw error;
      await this.#peer.close();
      const back = await this.#comesBack();
      const broken = `lost: ${error.message}${back ? '' : ', and it does not come back'}`;
      return this.#told.has(lawOf(broken)) ? undefined : { broken, steps: Math.min(n + 1, steps.length) };
    }
  }

  async #comesBack(): Promise<boolean> {
    try {
      this.#peer = await this.#open();
      return true;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.isGone = true;
      return false;
    }
  }

  /** Reduces an input to the fewest and simplest steps that show the same. */
  async shrink(
    input: readonly Access[],
    difference: Difference,
  ): Promise<{ broken: string; steps: Access[]; story: string[] }> {
    const law = lawOf(difference.broken);
    let last = difference;
    let tries = 0;
    const candidates = reduce(input.slice(0, difference.steps), (step) => this.#reference.simpler(step));
    let next = candidates.next();
    while (!next.done) {
      let needed = 0;
      if (!this.isGone && tries++ < MOST_TRIES) {
        const found = await this.fight(next.value);
        if (found && lawOf(found.broken) === law) {
          last = found;
          needed = Math.max(1, found.steps);
        }
      }
      next = candidates.next(needed);
    }
    const steps = next.value;
    const story: string[] = [];
    const again = this.isGone ? undefined : await this.fight(steps.slice(), undefined, story);
    const stays = again && lawOf(again.broken) === law;
    if (stays) last = again;
    if (last.check) this.#reference.excuse(last.check, last.bits!);
    else this.#told.add(law);
    const broken = stays || this.isGone ? last.broken : `${last.broken} (not at each try)`;
    return { broken, steps, story: [...story, `     differs: ${broken}`] };
  }

  async #step(step: Access): Promise<Omit<Difference, 'steps'> | undefined> {
    const { kind, region, offset, width, value } = step;
    const peer = this.#peer;
    if (kind === KIND.read) {
      const check = this.#reference.expectRead(step);
      return this.#compare([check]);
    }
    if (kind === KIND.write) {
      try {
        await peer.write(region, offset, width as Width, value);
      } catch (error) {
        return this.#refused(error, 'write', step);
      }
    } else if (kind === KIND.reset) await peer.reset();
    else if (value === SIGNAL.begins) await peer.raise!(offset);
    else await peer.lower!();
    const difference = await this.#compare(this.#reference.run(step));
    if (difference || kind === KIND.write) return difference;
    const wrong = this.#reference.compareEvents(await peer.drain());
    return wrong === undefined ? undefined : { broken: wrong };
  }

  /** A refused write that was told before is as if it had not been made. */
  #refused(error: unknown, what: string, { region, offset, width }: Pick<Access, 'region' | 'offset' | 'width'>) {
    if (!(error instanceof PeerRefusal)) throw error;
    const broken = `refused ${what} of ${this.#reference.name(region, offset, width)}: ${error.reason}, width ${width}`;
    return this.#told.has(lawOf(broken)) ? undefined : { broken };
  }

  async #compare(checks: readonly Check[], when = ''): Promise<Omit<Difference, 'steps'> | undefined> {
    const values = await Promise.allSettled(
      checks.map(({ region, offset, width }) => this.#peer.read(region, offset, width)),
    );
    for (const [i, check] of checks.entries()) {
      const got = values[i];
      const { region, offset, width, value, mask } = check;
      if (got.status === 'rejected') {
        const refused = this.#refused(got.reason, 'read', check);
        if (refused) return refused;
        continue;
      }
      const bits = ((got.value ^ value) & mask) >>> 0;
      if (bits === 0) continue;
      const name = this.#reference.name(region, offset + ((31 - Math.clz32(bits & -bits)) >> 3), 1);
      const broken =
        `bits of ${name}${when}: ${region === 7 ? 'config' : `BAR ${region}`}+${hex(offset, 2)} width ${width} reads ` +
        `${hex(got.value, 2 * width)}, should be ${hex(value, 2 * width)}, bits ${hex(bits)}`;
      return { broken, check, bits };
    }
    return undefined;
  }

  /** After the last step: nothing was sent unasked, and a reset undoes everything. */
  async #resetRestores(steps: number): Promise<Difference | undefined> {
    const wrong = this.#reference.compareEvents(await this.#peer.drain());
    if (wrong && !this.#told.has(lawOf(wrong))) return { broken: wrong, steps };
    await this.#peer.reset();
    this.#reference.begin();
    const difference = await this.#compare(this.#reference.all(), ' after a reset');
    return difference && { ...difference, steps };
  }
}
