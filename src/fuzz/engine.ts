import { Prng } from '../core/index.ts';
import { finishInput, runStep } from './attempt.ts';
import { shrink } from './shrink.ts';
import type { Subject, Target } from './target.ts';

export interface FuzzOptions {
  seed: number;
  /** Inputs to run; or until `stop` says so. */
  runs?: number;
  /** Asked now and then, with the inputs run so far; true ends the run. */
  stop?: (runs: number, steps: number) => boolean;
  /** Ends after so many findings; default 1. */
  maxFindings?: number;
  /** Of `count` shards that share the inputs, run this one; default 0 of 1. */
  shard?: { index: number; count: number };
  /** Inputs to begin with, such as a corpus from before. */
  initial?: readonly { variant: number; steps: readonly unknown[] }[];
  /** Is told each input that reached a new state. */
  onNovel?: (variant: number, steps: readonly unknown[]) => void;
}

/** An input that breaks a law, as found and as shrunk. */
export interface Finding<S> {
  target: string;
  variant: number;
  label: string;
  /** The law and how it is broken, from the shrunk input. */
  broken: string;
  /** Number of the input. */
  run: number;
  /** Steps executed until it was found, and after that for shrinking. */
  executions: number;
  shrinkExecutions: number;
  found: readonly S[];
  steps: readonly S[];
}

export interface FuzzResult<S> {
  target: string;
  seed: number;
  runs: number;
  /** Steps carried out and checked. */
  steps: number;
  /** Different abstract states seen. */
  states: number;
  corpus: number;
  findings: Finding<S>[];
  /** Over every input's end state: equal runs have equal digests. */
  digest: string;
}

interface Entry<S> {
  steps: S[];
  saved: unknown;
}

/** Inputs run on one subject before the next. */
const BLOCK = 64;
const FRESH_STEPS = 96;
const EXTEND_STEPS = 96;
const MAX_STEPS = 400;
/** Inputs kept per subject, and subjects kept open. */
const MAX_CORPUS = 48;
const MAX_OPEN = 64;
const WARM_UP_MS = 100;

/** The part of a law's text before its details: what makes two findings the same. */
export function lawOf(broken: string): string {
  return broken.slice(0, broken.indexOf(':') + 1 || broken.length);
}

/**
 * Fuzzes a target. Inputs are numbered, and input `n` follows from the seed, from `n` and from what earlier inputs of its
 * shard found; so the same options give the same run. The first input of a block picks the subject.
 */
export function fuzz<S>(target: Target<S>, options: FuzzOptions): FuzzResult<S> {
  const { seed, runs = Number.POSITIVE_INFINITY, stop, maxFindings = 1, shard = { index: 0, count: 1 } } = options;
  const fuzzer = new Fuzzer(target, options);
  fuzzer.warmUp();
  const laws = new Set<string>();
  const findings: Finding<S>[] = [];
  let done = 0;
  for (let run = shard.index * BLOCK; done < runs && findings.length < maxFindings; ) {
    const prng = new Prng(Math.imul(seed, 0x9e3779b1) ^ run);
    const finding = fuzzer.run(run, prng);
    done++;
    run = (run + 1) % BLOCK === 0 ? run + 1 + BLOCK * (shard.count - 1) : run + 1;
    if (finding && !laws.has(`${finding.variant} ${lawOf(finding.broken)}`)) {
      laws.add(`${finding.variant} ${lawOf(finding.broken)}`);
      findings.push(finding);
    }
    if (stop && (done & 15) === 0 && stop(done, fuzzer.steps)) break;
  }
  const { steps, states, corpusSize, digest } = fuzzer;
  return { target: target.name, seed, runs: done, steps, states, corpus: corpusSize, findings, digest };
}

class Fuzzer<S> {
  steps = 0;
  readonly #target: Target<S>;
  readonly #options: FuzzOptions;
  readonly #open = new Map<number, { subject: Subject<S>; corpus: Entry<S>[] }>();
  readonly #seen = new Set<number>();
  #corpusSize = 0;
  #block = -1;
  #variant = 0;
  #hash = 0x811c9dc5;
  readonly #givenAway = new Set<number>();

  constructor(target: Target<S>, options: FuzzOptions) {
    this.#target = target;
    this.#options = options;
  }

  get states(): number {
    return this.#seen.size;
  }

  get corpusSize(): number {
    return this.#corpusSize;
  }

  get digest(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /**
   * Makes subjects before the run, so that objects have got their final shapes when V8 first compiles what works on them:
   * what it gives up while shapes still change it may leave uncompiled, and the run is slower by half. How many there is
   * time for changes nothing else.
   */
  warmUp(): void {
    const end = performance.now() + WARM_UP_MS;
    const count = Math.min(MAX_OPEN, this.#target.variants);
    for (let variant = 0; variant < count && performance.now() < end; variant++) this.#target.open(variant);
  }

  run(run: number, prng: Prng): Finding<S> | undefined {
    const block = Math.floor(run / BLOCK);
    if (block !== this.#block) {
      this.#block = block;
      this.#variant = variantOf(this.#options.seed, block, this.#target.variants);
    }
    const variant = this.#variant;
    const { subject, corpus } = this.#subject(variant);
    const choice = corpus.length === 0 ? 0 : prng.below(8);
    let broken: string | undefined;
    let steps: S[] = [];
    const before = this.steps;
    if (choice < 3) {
      subject.begin();
      broken = this.#extend(subject, prng, steps, 1 + prng.below(FRESH_STEPS));
    } else {
      const entry = corpus[prng.below(corpus.length)];
      if (choice < 6) {
        subject.restore(entry.saved);
        steps = entry.steps.slice();
        broken = this.#extend(subject, prng, steps, 1 + prng.below(EXTEND_STEPS));
      } else {
        subject.begin();
        broken = this.#replayChanged(subject, prng, entry.steps, steps);
        broken ??= this.#extend(subject, prng, steps, 1 + prng.below(8));
      }
    }
    broken ??= finishInput(subject);
    this.#hash = Math.imul(this.#hash ^ subject.abstractState() ^ (this.steps - before), 0x01000193);
    if (!broken) {
      this.#keepIfNovel(subject, variant, corpus, steps, prng);
      return undefined;
    }
    const shrunk = shrink(subject, steps, lawOf(broken));
    return {
      target: this.#target.name,
      variant,
      label: subject.label,
      broken: shrunk.broken,
      run,
      executions: this.steps,
      shrinkExecutions: shrunk.executions,
      found: steps,
      steps: shrunk.steps,
    };
  }

  #extend(subject: Subject<S>, prng: Prng, steps: S[], count: number): string | undefined {
    for (let n = 0; n < count; n++) {
      const broken = this.#take(subject, subject.generate(prng), steps);
      if (broken) return broken;
    }
    return undefined;
  }

  #replayChanged(subject: Subject<S>, prng: Prng, from: readonly S[], steps: S[]): string | undefined {
    const skip = prng.below(2 * from.length);
    for (const [i, original] of from.entries()) {
      if (i === skip) continue;
      const step = prng.below(6) === 0 ? subject.mutate(prng, original) : original;
      const broken = this.#take(subject, step, steps);
      if (broken) return broken;
    }
    return undefined;
  }

  /** Carries out a step as the next of an input. */
  #take(subject: Subject<S>, step: S, steps: S[]): string | undefined {
    steps.push(step);
    this.steps++;
    return runStep(subject, step);
  }

  /** New abstract state, new entry; a full corpus gives up a random one, now and then. */
  #keepIfNovel(subject: Subject<S>, variant: number, corpus: Entry<S>[], steps: S[], prng: Prng): void {
    const state = Math.imul(subject.abstractState(), 31) ^ variant;
    if (this.#seen.has(state)) return;
    if (this.#seen.size < 1 << 20) this.#seen.add(state);
    if (steps.length > MAX_STEPS) return;
    this.#options.onNovel?.(variant, steps);
    if (corpus.length === MAX_CORPUS && prng.below(16) !== 0) return;
    const entry = { steps, saved: subject.save() };
    if (corpus.length < MAX_CORPUS) {
      corpus.push(entry);
      this.#corpusSize++;
    } else corpus[prng.below(MAX_CORPUS)] = entry;
  }

  /** The subject of a variant; the one opened longest ago is given up when there are too many. */
  #subject(variant: number): { subject: Subject<S>; corpus: Entry<S>[] } {
    let open = this.#open.get(variant);
    if (open) return open;
    if (this.#open.size >= MAX_OPEN) {
      const [oldest] = this.#open.keys();
      this.#corpusSize -= this.#open.get(oldest)!.corpus.length;
      this.#open.delete(oldest);
    }
    open = { subject: this.#target.open(variant), corpus: [] };
    this.#open.set(variant, open);
    if (!this.#givenAway.has(variant)) this.#takeInitial(variant, open);
    return open;
  }

  #takeInitial(variant: number, open: { subject: Subject<S>; corpus: Entry<S>[] }): void {
    this.#givenAway.add(variant);
    for (const given of this.#options.initial ?? []) {
      if (given.variant !== variant || open.corpus.length >= MAX_CORPUS) continue;
      open.subject.begin();
      const steps = given.steps as S[];
      // a step that breaks a law is found again by the run; here it only ends the entry
      const fine = steps.every((step) => runStep(open.subject, step) === undefined);
      if (!fine) continue;
      open.corpus.push({ steps: steps.slice(), saved: open.subject.save() });
      this.#corpusSize++;
    }
  }
}

/** Subjects in an order that the seed shuffles, each once before any comes again. */
function variantOf(seed: number, block: number, variants: number): number {
  const round = Math.floor(block / variants);
  const order = Array.from({ length: variants }, (_, i) => i);
  const prng = new Prng(Math.imul(seed, 0x85ebca6b) ^ round);
  for (let i = variants - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order[block % variants];
}
