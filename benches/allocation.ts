import { Arena, FreeBitmap, Prng } from '../src/core/index.ts';
import { churnInC, runsInC } from './allocation/c-bitmap.ts';
import { Controllers, comeAndGo, percentiles, pirqsFor } from './allocation/controllers.ts';
import {
  byBitmap,
  byLinearScan,
  byNative,
  churn,
  churnRuns,
  copyToNative,
  FOLD_START,
  fill,
  fold,
  GSIS,
  Numbers,
  nativeSpace,
  type Pirqs,
  SEED,
} from './allocation/space.ts';
import { type Case, flatness, type Question, type Target, type Work } from './harness/question.ts';

/** Owners of runs in the cases of runs; each has a run half of the time. 1 k pirqs have no room for them all. */
const OWNERS = 512;
/** Single operations timed for the percentiles. */
const TIMED = 100_000;
/** Of scans, which take so much longer. */
const TIMED_SCANS = 1000;
/** A linear scan beyond so many occupied numbers takes minutes to set up. */
const SCAN_LIMIT = 1 << 16;
const tooLong = 'setting up by linear scans would take minutes';

const OURS = 'bitmap, with records';
const NUMBERS = 'bitmap, numbers only';
const LINEAR = 'linear scan';
const C_BITMAP = 'C, numbers by the same bitmap';
const C_SCAN = 'C, scan over a radix tree';

/** The numbers that a domain's bitmap of runs has, free but for the `occupied` highest; those of GSIs are never found. */
function numbers(size: number, occupied: number): Numbers {
  const free = new FreeBitmap(new Arena(2 * size + 4096), size, 'free', 5);
  free.fill();
  for (let gsi = 0; gsi < GSIS; gsi++) free.set(gsi, false);
  return fill(new Numbers(free), occupied);
}

/** CPU milliseconds from empty until there is no pirq left, and how many there were. */
function exhaustion(make: () => Pirqs): Record<string, number> {
  const pirqs = make();
  const before = process.cpuUsage();
  let mapped = 0;
  while (pirqs.take() >= 0) mapped++;
  const { user, system } = process.cpuUsage(before);
  return { exhaustedAfter: mapped, exhaustionMs: (user + system) / 1000 };
}

function churnByBitmap(nrPirqs: number, occupied: number): Work {
  const space = fill(byBitmap(nrPirqs), occupied);
  const prng = new Prng(7);
  const one = () => {
    space.giveBack(nrPirqs - 1 - prng.below(occupied));
    space.take();
  };
  const figures = () => ({ ...percentiles(one, TIMED), ...exhaustion(() => byBitmap(nrPirqs)) });
  return { run: (count) => churn(space, count, occupied), figures };
}

function churnByScan(nrPirqs: number, occupied: number, exhausts: boolean): Work | string {
  if (nrPirqs > SCAN_LIMIT) return tooLong;
  const space = byLinearScan(fill(byBitmap(nrPirqs), occupied));
  const figures = () => (exhausts ? exhaustion(() => byLinearScan(byBitmap(nrPirqs))) : {});
  return { run: (count) => churn(space, count, occupied), figures };
}

function churnByScanInC(nrPirqs: number, occupied: number, exhausts: boolean): Work | string {
  if (nrPirqs > SCAN_LIMIT) return tooLong;
  const space = nativeSpace(nrPirqs);
  if (typeof space === 'string') return space;
  for (let pirq = nrPirqs - 1; pirq >= nrPirqs - occupied; pirq--) space.map(pirq, pirq + 1);
  const figures = () => (exhausts ? exhaustion(() => byNative(nrPirqs) as Pirqs) : {});
  return { run: (count) => space.churn(SEED, count, occupied), figures };
}

const churnCase = (nrPirqs: number, share: number, chart: string, x: number, slow = false): Case => {
  const occupied = Math.max(1, Math.floor(nrPirqs * share));
  return {
    id: `churn ${nrPirqs}, ${share * 100} % full`,
    chart,
    x,
    agree: true,
    slow,
    variants: {
      [OURS]: () => churnByBitmap(nrPirqs, occupied),
      [NUMBERS]: () => {
        const all = numbers(nrPirqs, occupied);
        return { run: (count) => churn(all, count, occupied) };
      },
      [LINEAR]: () => churnByScan(nrPirqs, occupied, chart === BY_SIZE),
      [C_BITMAP]: () => churnInC(nrPirqs, occupied),
      [C_SCAN]: () => churnByScanInC(nrPirqs, occupied, chart === BY_SIZE),
    },
  };
};

const runsCase = (nrPirqs: number): Case => ({
  id: `runs ${nrPirqs}`,
  chart: 'runs of 1 … 32, taken and given back',
  x: nrPirqs,
  agree: true,
  variants: {
    [OURS]: () => {
      const space = byBitmap(nrPirqs);
      return { run: (count) => churnRuns(space, count, OWNERS) };
    },
    [NUMBERS]: () => {
      const all = numbers(nrPirqs, 0);
      return { run: (count) => churnRuns(all, count, OWNERS) };
    },
    [LINEAR]: () => {
      if (nrPirqs > SCAN_LIMIT) return tooLong;
      const space = byLinearScan(byBitmap(nrPirqs));
      return { run: (count) => churnRuns(space, count, OWNERS) };
    },
    [C_BITMAP]: () => runsInC(nrPirqs, OWNERS),
    [C_SCAN]: () => {
      if (nrPirqs > SCAN_LIMIT) return tooLong;
      const space = nativeSpace(nrPirqs);
      return typeof space === 'string' ? space : { run: (count) => space.churnRuns(SEED, count, OWNERS) };
    },
  },
});

/** Every other pirq is free, but the one run of 32 is the lowest: it is taken and given back. */
function onlyRun(pirqs: Pirqs): Work {
  const run = (count: number) => {
    let sum = FOLD_START;
    for (let n = 0; n < count; n++) {
      const base = pirqs.takeRun(32);
      sum = fold(sum, base);
      for (let pirq = base; pirq < base + 32; pirq++) pirqs.giveBack(pirq);
    }
    return sum;
  };
  return { run };
}

function fragmented<P extends Pirqs>(pirqs: P): P {
  while (pirqs.take() >= 0);
  for (let pirq = GSIS; pirq < GSIS + 32; pirq++) pirqs.giveBack(pirq);
  for (let pirq = GSIS + 33; pirq < pirqs.nrPirqs; pirq += 2) pirqs.giveBack(pirq);
  return pirqs;
}

const fragmentedCase = (nrPirqs: number): Case => ({
  id: `fragmented ${nrPirqs}`,
  chart: 'the only run of 32 among single free ones',
  x: nrPirqs,
  agree: true,
  slow: nrPirqs !== SIZES[3],
  variants: {
    [OURS]: () => onlyRun(fragmented(byBitmap(nrPirqs))),
    [LINEAR]: () => (nrPirqs > SCAN_LIMIT ? tooLong : onlyRun(byLinearScan(fragmented(byBitmap(nrPirqs))))),
    [C_SCAN]: () => {
      if (nrPirqs > SCAN_LIMIT) return tooLong;
      const space = byNative(nrPirqs);
      return typeof space === 'string' ? space : onlyRun(fragmented(space));
    },
  },
});

/** Controllers of which half are there, in a space of the kind that `move` makes of it. */
function controllersIn(count: number, move: (space: ReturnType<typeof byBitmap>) => Pirqs): Controllers {
  const space = byBitmap(pirqsFor(count));
  const controllers = new Controllers(space, count);
  for (let n = 0; n < 4 * count; n++) controllers.toggle(0);
  return controllers.moveTo(move(space));
}

const controllersCase = (count: number): Case => ({
  id: `${count} controllers`,
  chart: 'NVMe controllers that come and go',
  x: count,
  agree: true,
  variants: {
    [OURS]: () =>
      comeAndGo(
        controllersIn(count, (space) => space),
        TIMED,
      ),
    [LINEAR]: () => comeAndGo(controllersIn(count, byLinearScan), TIMED_SCANS),
    [C_SCAN]: () => {
      const native = nativeSpace(pirqsFor(count));
      if (typeof native === 'string') return native;
      return comeAndGo(
        controllersIn(count, (space) => copyToNative(space, native)),
        TIMED_SCANS,
      );
    },
  },
});

const SIZES = [1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20];
const SHARES = [0, 0.01, 0.25, 0.5, 0.75, 0.99];
/** Of these the middle ones wait for a run without --quick. */
const SLOW_SHARES = [0.01, 0.25, 0.75];
const CONTROLLERS = [1, 16, 256, 4096];
const BY_SIZE = 'map and unmap by number of pirqs, 90 % full';
const BY_SHARE = 'map and unmap by share occupied (%), 64 k pirqs';
const id = (nrPirqs: number, share = 90) => `churn ${nrPirqs}, ${share} % full`;

export default {
  name: 'allocation',
  title: 'Finding free pirqs under load',
  operation:
    'churn: one of the highest, occupied numbers is unmapped, then the highest free one found and mapped; runs: a run of 1 … 32 is taken or given back; controllers: one comes or goes with all its vectors, some 14',
  xLabel: 'pirqs of the domain',
  cases: [
    ...[256, ...SIZES].map((nrPirqs) => churnCase(nrPirqs, 0.9, BY_SIZE, nrPirqs)),
    ...SHARES.map((share) => churnCase(1 << 16, share, BY_SHARE, share * 100, SLOW_SHARES.includes(share))),
    ...SIZES.map(runsCase),
    ...[SIZES[1], SIZES[3], SIZES[5]].map(fragmentedCase),
    ...CONTROLLERS.map(controllersCase),
  ],
  targets: [
    {
      what: 'linear scan over bitmap, 1 k, 90 % full',
      is: 'at least',
      limit: 5,
      value: (get) => get(id(1024), LINEAR) / get(id(1024), OURS),
    },
    ...[OURS, NUMBERS].flatMap((ours): Target[] => [
      {
        what: `linear scan over ${ours}, 64 k, 90 % full`,
        is: 'at least',
        limit: 500,
        value: (get) => get(id(65536), LINEAR) / get(id(65536), ours),
      },
      {
        what: `scan over a radix tree in C over ${ours}, 64 k, 90 % full`,
        is: 'at least',
        limit: 1000,
        value: (get) => get(id(65536), C_SCAN) / get(id(65536), ours),
      },
    ]),
    ...[1024, 65536].map(
      (nrPirqs): Target => ({
        what: `bitmap over the same in C, numbers only, ${nrPirqs >> 10} k, 90 % full`,
        is: 'at most',
        limit: 1.8,
        value: (get) => get(id(nrPirqs), NUMBERS) / get(id(nrPirqs), C_BITMAP),
      }),
    ),
    {
      what: 'bitmap over the same in C, runs, 64 k',
      is: 'at most',
      limit: 1.8,
      value: (get) => get('runs 65536', NUMBERS) / get('runs 65536', C_BITMAP),
    },
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
