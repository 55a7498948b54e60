import { Arena, FreeBitmap, Prng } from '../src/core/index.ts';
import { loadNative, type NativePirqSpace, whyNoNative } from '../src/native/index.ts';
import { ABSENT, Domain } from '../src/xen/domain.ts';
import { PirqSpace } from '../src/xen/pirq-space.ts';
import { PlainPirqSpace } from '../test/xen/plain-pirq-space.ts';
import { ROOT } from './harness/c-baseline.ts';
import { type Case, flatness, type Question, type Target, type Work } from './harness/question.ts';

const GSIS = 16;
const SEED = 42;
const FOLD_START = 0x811c9dc5 | 0;
/** Owners of runs in the fragmentation cases; each has a run half of the time. 1 k pirqs have no room for them all. */
const OWNERS = 512;
/** Single operations timed for the percentiles. */
const TIMED = 100_000;

type Searcher = Pick<PirqSpace, 'find' | 'findRun'>;

const fold = (sum: number, word: number) => Math.imul(sum ^ word, 0x01000193) ^ (sum >>> 15);

/** A domain whose pirqs are mapped and unmapped as the hypervisor does: search, record, both directions. */
class Space {
  readonly domain: Domain;
  readonly #search: Searcher;
  readonly #nrPirqs: number;

  constructor(nrPirqs: number, makeSearch: typeof PirqSpace | typeof PlainPirqSpace) {
    const arena = new Arena(64 * nrPirqs + (1 << 16));
    const config = { id: 1, kind: 'pv', nrPirqs, hasPirq: false } as const;
    this.domain = new Domain(arena, 0, { nrIrqs: nrPirqs + 1, gsis: GSIS }, config);
    this.#search = new makeSearch(this.domain, GSIS, false);
    this.#nrPirqs = nrPirqs;
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

  /** Takes the highest `count`, as they are where the search begins. */
  fill(count: number): this {
    for (let n = 0; n < count; n++) this.take();
    return this;
  }

  /** Gives one of the `span` highest back, then takes one; the checksum of native/pirq-batch.c. */
  churn(count: number, span: number): number {
    const prng = new Prng(SEED);
    let sum = FOLD_START;
    for (let n = 0; n < count; n++) {
      this.giveBack(this.#nrPirqs - 1 - prng.below(span));
      sum = fold(sum, this.take());
    }
    return sum;
  }

  #map(pirq: number): void {
    this.domain.setIrq(pirq, pirq + 1);
    this.domain.irqPirq[pirq + 1] = pirq;
  }

  /** Owners take and give back runs of 1, 2, 4 … 32 at random. */
  churnRuns(count: number): number {
    const prng = new Prng(SEED);
    const bases = new Int32Array(OWNERS);
    const counts = new Int32Array(OWNERS);
    let sum = FOLD_START;
    for (let n = 0; n < count; n++) {
      const owner = prng.below(OWNERS);
      if (counts[owner] > 0) {
        sum = fold(sum, bases[owner]);
        this.#giveBackRun(bases[owner], counts[owner]);
        counts[owner] = 0;
        continue;
      }
      const wanted = 1 << prng.below(6);
      bases[owner] = this.takeRun(wanted);
      if (bases[owner] >= 0) counts[owner] = wanted;
      sum = fold(sum, bases[owner] < 0 ? NO_SPACE : bases[owner]);
    }
    for (let owner = 0; owner < OWNERS; owner++) this.#giveBackRun(bases[owner], counts[owner]);
    return sum;
  }

  #giveBackRun(base: number, count: number): void {
    for (let pirq = base; pirq < base + count; pirq++) this.giveBack(pirq);
  }
}

const NO_SPACE = -28;

/** The bitmap by itself: numbers taken and given back, no records. */
function numbersOnly(size: number, occupied: number): Work {
  const free = new FreeBitmap(new Arena(2 * size + 4096), size, 'free', 5);
  free.fill();
  for (let n = 0; n < occupied; n++) free.set(free.highest(), false);
  return {
    run: (count) => {
      const prng = new Prng(SEED);
      let sum = FOLD_START;
      for (let n = 0; n < count; n++) {
        free.set(size - 1 - prng.below(occupied), true);
        const number = free.highest();
        free.set(number, false);
        sum = fold(sum, number);
      }
      return sum;
    },
  };
}

function native(nrPirqs: number, occupied: number, work: (space: NativePirqSpace) => Work): Work | string {
  const library = loadNative(`${ROOT}build/native/libpirqlab.so`);
  if (!library) return whyNoNative()!;
  const space = library.createPirqSpace(GSIS, nrPirqs, false);
  space.fill(occupied);
  return work(space);
}

/** Nanoseconds within which single operations end, in a process that others disturb: wall clock. */
function percentiles(one: () => void): Record<string, number> {
  const ns = new Float64Array(TIMED);
  for (let n = 0; n < TIMED; n++) {
    const from = performance.now();
    one();
    ns[n] = (performance.now() - from) * 1e6;
  }
  ns.sort();
  const at = (share: number) => Math.round(ns[Math.floor(TIMED * share)]);
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}

/** The hot variant with its percentiles. */
function bitmapWork(nrPirqs: number, occupied: number): Work {
  const space = new Space(nrPirqs, PirqSpace).fill(occupied);
  const prng = new Prng(7);
  const one = () => {
    space.giveBack(nrPirqs - 1 - prng.below(occupied));
    space.take();
  };
  return { run: (count) => space.churn(count, occupied), figures: () => percentiles(one) };
}

/** A linear scan beyond so many occupied numbers takes minutes to set up. */
const SCAN_LIMIT = 1 << 16;
const tooLong = 'setting up by linear scans would take minutes';

const churnCase = (nrPirqs: number, share: number, chart: string, x: number): Case => {
  const occupied = Math.max(1, Math.floor(nrPirqs * share));
  return {
    id: `churn ${nrPirqs}, ${share * 100} % full`,
    chart,
    x,
    agree: true,
    variants: {
      'bitmap, with records': () => bitmapWork(nrPirqs, occupied),
      'bitmap, numbers only': () => numbersOnly(nrPirqs, occupied),
      'linear scan': () => {
        if (nrPirqs > SCAN_LIMIT) return tooLong;
        const space = new Space(nrPirqs, PirqSpace).fill(occupied);
        return { run: (count) => plain(space, nrPirqs).churn(count, occupied) };
      },
      'C, scan over a radix tree': () =>
        nrPirqs > SCAN_LIMIT
          ? tooLong
          : native(nrPirqs, occupied, (space) => ({ run: (count) => space.churn(SEED, count, occupied) })),
    },
  };
};

/** The same domain state under the plain search: filled fast, measured slow. */
function plain(filled: Space, nrPirqs: number): Space {
  const existing = PLAIN.get(filled);
  if (existing) return existing;
  const space = new Space(nrPirqs, PlainPirqSpace);
  for (let pirq = nrPirqs - 1; pirq >= 0; pirq--) {
    const irq = filled.domain.irqOf(pirq);
    if (irq === 0) continue;
    space.domain.makeRecord(pirq);
    space.domain.setIrq(pirq, irq);
    space.domain.irqPirq[irq] = pirq;
  }
  PLAIN.set(filled, space);
  return space;
}
const PLAIN = new WeakMap<Space, Space>();

const runsCase = (nrPirqs: number): Case => ({
  id: `runs ${nrPirqs}`,
  chart: 'runs of 1 … 32, taken and given back',
  x: nrPirqs,
  agree: true,
  variants: {
    'bitmap, with records': () => {
      const space = new Space(nrPirqs, PirqSpace);
      return { run: (count) => space.churnRuns(count) };
    },
    'linear scan': () => {
      if (nrPirqs > SCAN_LIMIT) return tooLong;
      const space = new Space(nrPirqs, PlainPirqSpace);
      return { run: (count) => space.churnRuns(count) };
    },
    'C, scan over a radix tree': () =>
      nrPirqs > SCAN_LIMIT
        ? tooLong
        : native(nrPirqs, 0, (space) => ({ run: (count) => space.churnRuns(SEED, count, OWNERS) })),
  },
});

const SIZES = [1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20];
const BY_SIZE = 'map and unmap by number of pirqs, 90 % full';
const id = (nrPirqs: number, share = 90) => `churn ${nrPirqs}, ${share} % full`;
const OURS = 'bitmap, with records';
const NUMBERS = 'bitmap, numbers only';

export default {
  name: 'allocation',
  title: 'Finding free pirqs under load',
  operation: 'one of the highest, occupied numbers is unmapped, then the highest free one found and mapped',
  xLabel: 'pirqs of the domain',
  cases: [
    ...SIZES.map((nrPirqs) => churnCase(nrPirqs, 0.9, BY_SIZE, nrPirqs)),
    ...[0.01, 0.5, 0.99].map((share) => churnCase(1 << 16, share, 'by share occupied (%), 64 k pirqs', share * 100)),
    ...SIZES.map(runsCase),
  ],
  targets: [
    {
      what: 'linear scan over bitmap, 1 k, 90 % full',
      is: 'at least',
      limit: 5,
      value: (get) => get(id(1024), 'linear scan') / get(id(1024), OURS),
    },
    ...[OURS, NUMBERS].flatMap((ours): Target[] => [
      {
        what: `linear scan over ${ours}, 64 k, 90 % full`,
        is: 'at least',
        limit: 500,
        value: (get) => get(id(65536), 'linear scan') / get(id(65536), ours),
      },
      {
        what: `scan over a radix tree in C over ${ours}, 64 k, 90 % full`,
        is: 'at least',
        limit: 1000,
        value: (get) => get(id(65536), 'C, scan over a radix tree') / get(id(65536), ours),
      },
    ]),
    {
      what: 'slowest size over fastest, 1 k to 1 M, with records',
      is: 'at most',
      limit: 1.3,
      value: (get) => flatness(SIZES.map((size) => get(id(size), OURS))),
    },
    {
      what: 'slowest size over fastest, 1 k to 1 M, numbers only',
      is: 'at most',
      limit: 1.3,
      value: (get) => flatness(SIZES.map((size) => get(id(size), NUMBERS))),
    },
    {
      what: 'slowest size over fastest, fragmented runs, 4 k to 1 M',
      is: 'at most',
      limit: 2,
      value: (get) => flatness(SIZES.slice(1).map((size) => get(`runs ${size}`, OURS))),
    },
  ],
} satisfies Question as Question;
