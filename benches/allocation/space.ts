import { Arena, Prng } from '../../src/core/index.ts';
import { loadNative, type NativePirqSpace, whyNoNative } from '../../src/native/index.ts';
import { MAP_PIRQ_TYPE } from '../../src/xen/abi/index.ts';
import { ABSENT, Domain } from '../../src/xen/domain.ts';
import { PirqSpace } from '../../src/xen/pirq-space.ts';
import { PlainPirqSpace } from '../../test/xen/plain-pirq-space.ts';
import { ROOT } from '../harness/c-baseline.ts';

export const GSIS = 16;
export const SEED = 42;
export const FOLD_START = 0x811c9dc5 | 0;
const NO_SPACE = -28;

/** The checksum of native/prng.h. */
export const fold = (sum: number, word: number) => Math.imul(sum ^ word, 0x01000193) ^ (sum >>> 15);

/** What the loops below take pirqs from; numbers < 0 say that there is none. */
export interface Pirqs {
  readonly nrPirqs: number;
  take(): number;
  /** @param count 1, 2, 4 … 32 */
  takeRun(count: number): number;
  giveBack(pirq: number): void;
}

/** A domain whose pirqs are mapped and unmapped as the hypervisor does: search, record, both directions. */
export class Space implements Pirqs {
  readonly domain: Domain;
  readonly nrPirqs: number;
  readonly #search: Pick<PirqSpace, 'find' | 'findRun'>;

  constructor(nrPirqs: number, makeSearch: typeof PirqSpace | typeof PlainPirqSpace) {
    const arena = new Arena(64 * nrPirqs + (1 << 16));
    const config = { id: 1, kind: 'pv', nrPirqs, hasPirq: false } as const;
    this.domain = new Domain(arena, 0, { nrIrqs: nrPirqs + 1, gsis: GSIS }, config);
    this.#search = new makeSearch(this.domain, GSIS, false);
    this.nrPirqs = nrPirqs;
  }

  take(): number {
    const pirq = this.#search.find(false);
    if (pirq >= 0) this.#map(pirq);
    return pirq;
  }

  takeRun(count: number): number {
    const base = this.#search.findRun(count);
    for (let pirq = base; base >= 0 && pirq < base + count; pirq++) this.#map(pirq);
    return base;
  }

  giveBack(pirq: number): void {
    const d = this.domain;
    const irq = d.irqOf(pirq);
    if (irq <= 0) return;
    d.irqPirq[irq] = ABSENT;
    d.setIrq(pirq, 0);
    d.removeRecord(pirq);
  }

  #map(pirq: number): void {
    this.domain.setIrq(pirq, pirq + 1);
    this.domain.irqPirq[pirq + 1] = pirq;
  }
}

/** The scans in C, called for every search, map and unmap. */
class NativeSpace implements Pirqs {
  readonly nrPirqs: number;
  readonly #space: NativePirqSpace;

  constructor(space: NativePirqSpace, nrPirqs: number) {
    this.#space = space;
    this.nrPirqs = nrPirqs;
  }

  take(): number {
    const pirq = this.#space.getFree(MAP_PIRQ_TYPE.msi);
    if (pirq >= 0) this.#space.map(pirq, pirq + 1);
    return pirq;
  }

  takeRun(count: number): number {
    const base = this.#space.getFreeRun(count);
    for (let pirq = base; base >= 0 && pirq < base + count; pirq++) this.#space.map(pirq, pirq + 1);
    return base;
  }

  giveBack(pirq: number): void {
    this.#space.unmap(pirq);
  }
}

export const byBitmap = (nrPirqs: number): Space => new Space(nrPirqs, PirqSpace);

/** The same state as that of `filled` under the linear scan: filled fast, measured slow. */
export function byLinearScan(filled: Space): Space {
  const space = new Space(filled.nrPirqs, PlainPirqSpace);
  for (let pirq = 0; pirq < filled.nrPirqs; pirq++) {
    if (!filled.domain.hasRecord(pirq)) continue;
    space.domain.makeRecord(pirq);
    const irq = filled.domain.irqOf(pirq);
    if (irq === 0) continue;
    space.domain.setIrq(pirq, irq);
    space.domain.irqPirq[irq] = pirq;
  }
  return space;
}

/** The scan in C; why not, if the library is not there. */
export function nativeSpace(nrPirqs: number): NativePirqSpace | string {
  const library = loadNative(`${ROOT}build/native/libpirqlab.so`);
  return library ? library.createPirqSpace(GSIS, nrPirqs, false) : whyNoNative()!;
}

/** The same state as that of `filled` under the scan in C. */
export function copyToNative(filled: Space, space: NativePirqSpace): Pirqs {
  for (let pirq = 0; pirq < filled.nrPirqs; pirq++) {
    const irq = filled.domain.irqOf(pirq);
    if (irq > 0) space.map(pirq, irq);
  }
  return new NativeSpace(space, filled.nrPirqs);
}

export function byNative(nrPirqs: number): Pirqs | string {
  const space = nativeSpace(nrPirqs);
  return typeof space === 'string' ? space : new NativeSpace(space, nrPirqs);
}

/** Takes the highest `count`, as they are where the search begins. */
export function fill<P extends Pirqs>(pirqs: P, count: number): P {
  for (let n = 0; n < count; n++) pirqs.take();
  return pirqs;
}

/** Gives one of the `span` highest back, then takes one; the checksum of native/pirq-batch.c. */
export function churn(pirqs: Pirqs, count: number, span: number): number {
  const prng = new Prng(SEED);
  let sum = FOLD_START;
  for (let n = 0; n < count; n++) {
    pirqs.giveBack(pirqs.nrPirqs - 1 - prng.below(span));
    sum = fold(sum, pirqs.take());
  }
  return sum;
}

/** `owners` take and give back runs of 1, 2, 4 … 32 at random; the checksum of native/pirq-batch.c. */
export function churnRuns(pirqs: Pirqs, count: number, owners: number): number {
  const prng = new Prng(SEED);
  const bases = new Int32Array(owners);
  const counts = new Int32Array(owners);
  const giveBack = (owner: number) => {
    for (let n = 0; n < counts[owner]; n++) pirqs.giveBack(bases[owner] + n);
    counts[owner] = 0;
  };
  let sum = FOLD_START;
  for (let n = 0; n < count; n++) {
    const owner = prng.below(owners);
    if (counts[owner] > 0) {
      sum = fold(sum, bases[owner]);
      giveBack(owner);
      continue;
    }
    const wanted = 1 << prng.below(6);
    bases[owner] = pirqs.takeRun(wanted);
    if (bases[owner] >= 0) counts[owner] = wanted;
    sum = fold(sum, bases[owner] < 0 ? NO_SPACE : bases[owner]);
  }
  for (let owner = 0; owner < owners; owner++) giveBack(owner);
  return sum;
}

/** Numbers by themselves are taken and given back through the same loops. */
export class Numbers implements Pirqs {
  readonly nrPirqs: number;
  readonly #free: Domain['free'];

  constructor(free: Domain['free']) {
    this.#free = free;
    this.nrPirqs = free.size;
  }

  take(): number {
    const number = this.#free.highest();
    if (number >= 0) this.#free.set(number, false);
    return number;
  }

  takeRun(count: number): number {
    const base = this.#free.highest(this.nrPirqs, 31 - Math.clz32(count));
    for (let n = 0; base >= 0 && n < count; n++) this.#free.set(base + n, false);
    return base;
  }

  giveBack(number: number): void {
    this.#free.set(number, true);
  }
}
