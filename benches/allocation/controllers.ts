import { Prng } from '../../src/core/index.ts';
import type { Work } from '../harness/question.ts';
import { FOLD_START, fold, type Pirqs, SEED } from './space.ts';

/** Most vectors of a controller: a queue for each of 32 CPUs and the administrative one. */
const MAX_VECTORS = 33;
/**
 * NVMe controllers that come and go in random order. Each that comes has another set of vectors: 1 to 33 of MSI-X, which
 * are mapped one by one, or a run of 1, 2 … 32 of multi-vector MSI. Half of them are there at any time.
 */
export class Controllers {
  #pirqs: Pirqs;
  readonly #count: number;
  readonly #prng = new Prng(SEED);
  /** The pirqs of each, and how many it has; 0: it is not there. */
  readonly #held: Int32Array;
  readonly #vectors: Int32Array;

  constructor(pirqs: Pirqs, count: number) {
    this.#pirqs = pirqs;
    this.#count = count;
    this.#held = new Int32Array(MAX_VECTORS * count);
    this.#vectors = new Int32Array(count);
  }

  /** What they have was taken from `pirqs`, which is in the same state as where it really came from. */
  moveTo(pirqs: Pirqs): this {
    this.#pirqs = pirqs;
    return this;
  }

  /** Some controller goes if it is there, else it comes; the numbers that it had or got count in the checksum. */
  toggle(sum: number): number {
    const controller = this.#prng.below(this.#count);
    const held = this.#held;
    const first = MAX_VECTORS * controller;
    const vectors = this.#vectors[controller];
    if (vectors === 0) return this.#come(controller, first, sum);
    for (let n = first; n < first + vectors; n++) {
      this.#pirqs.giveBack(held[n]);
      sum = fold(sum, held[n]);
    }
    this.#vectors[controller] = 0;
    return sum;
  }

  #come(controller: number, first: number, sum: number): number {
    const held = this.#held;
    let got = 0;
    if (this.#prng.below(2)) {
      for (const wanted = 1 + this.#prng.below(MAX_VECTORS); got < wanted; got++) {
        const pirq = this.#pirqs.take();
        if (pirq < 0) break;
        held[first + got] = pirq;
      }
    } else {
      const wanted = 1 << this.#prng.below(6);
      const base = this.#pirqs.takeRun(wanted);
      for (; base >= 0 && got < wanted; got++) held[first + got] = base + got;
    }
    this.#vectors[controller] = got;
    for (let n = first; n < first + got; n++) sum = fold(sum, held[n]);
    return sum;
  }
}

/** As many pirqs as `controllers` have when somewhat more than all of them are there. */
export const pirqsFor = (controllers: number): number => Math.max(1024, 16 * controllers);

/** @param timed single operations timed for the percentiles */
export function comeAndGo(controllers: Controllers, timed: number): Work {
  const one = () => void controllers.toggle(0);
  const run = (count: number) => {
    let sum = FOLD_START;
    for (let n = 0; n < count; n++) sum = controllers.toggle(sum);
    return sum;
  };
  return { run, figures: () => percentiles(one, timed) };
}

/** Nanoseconds within which single operations end, in a process that others disturb: wall clock. */
export function percentiles(one: () => void, count: number): Record<string, number> {
  const ns = new Float64Array(count);
  for (let n = 0; n < count; n++) {
    const from = performance.now();
    one();
    ns[n] = (performance.now() - from) * 1e6;
  }
  ns.sort();
  const at = (share: number) => Math.round(ns[Math.floor(count * share)]);
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}
