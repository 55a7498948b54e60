import { Arena } from '../src/core/index.ts';
import type { Case, Question } from './harness/question.ts';

const SIZES = [2 << 10, 64 << 10, 1 << 20];

/** State of `bytes` bytes with something in it. */
function filled(bytes: number): { arena: Arena; words: Int32Array } {
  const arena = new Arena(bytes);
  const words = arena.int32(bytes >> 2, 'state');
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 0x9e3779b1);
  return { arena, words };
}

/** As much as objects of four numbers each. */
const graph = (bytes: number) =>
  Array.from({ length: bytes >> 4 }, (_, i) => ({ address: i, data: i * 3, masked: i & 1, pending: i & 2 }));

const repeat = (once: () => number) => ({
  run: (count: number) => {
    let sum = 0;
    for (let n = 0; n < count; n++) sum += once();
    return sum;
  },
});

const sizeName = (bytes: number) => (bytes >= 1 << 20 ? `${bytes >> 20} MiB` : `${bytes >> 10} KiB`);

const snapshotCase = (bytes: number): Case => ({
  id: `snapshot ${sizeName(bytes)}`,
  chart: 'snapshot by size of the state',
  x: bytes,
  variants: {
    arena: () => {
      const { arena } = filled(bytes);
      const into = arena.snapshot();
      return repeat(() => arena.snapshot(into)[0]);
    },
    'copy of bytes': () => {
      const from = filled(bytes).words;
      const into = new Int32Array(from.length);
      return repeat(() => {
        into.set(from);
        return into[0];
      });
    },
    'structuredClone of objects': () => {
      const objects = graph(bytes);
      return repeat(() => structuredClone(objects)[0].address);
    },
  },
});

const stateCase = (bytes: number): Case => ({
  id: `state ${sizeName(bytes)}`,
  chart: 'restore and fingerprint by size of the state',
  x: bytes,
  variants: {
    restore: () => {
      const { arena, words } = filled(bytes);
      const saved = arena.snapshot();
      return repeat(() => {
        words[0]++;
        arena.restore(saved);
        return words[0];
      });
    },
    fingerprint: () => {
      const { arena, words } = filled(bytes);
      const print = new Int32Array(4);
      return repeat(() => {
        words[0]++;
        arena.fingerprint(print);
        return print[0];
      });
    },
  },
});

const id = (bytes: number) => `snapshot ${sizeName(bytes)}`;

export default {
  name: 'snapshot',
  title: 'Snapshots, restoring and fingerprints of state',
  operation: 'one copy, restoration or fingerprint of the whole state',
  xLabel: 'bytes of state',
  cases: [...SIZES.map(snapshotCase), ...SIZES.map(stateCase)],
  targets: SIZES.slice(0, 2).flatMap((bytes) => [
    {
      what: `snapshot over a copy of bytes, ${sizeName(bytes)}`,
      is: 'at most',
      limit: 2,
      value: (get) => get(id(bytes), 'arena') / get(id(bytes), 'copy of bytes'),
    },
    {
      what: `structuredClone of objects over snapshot, ${sizeName(bytes)}`,
      is: 'at least',
      limit: 1000,
      value: (get) => get(id(bytes), 'structuredClone of objects') / get(id(bytes), 'arena'),
    },
  ]),
} satisfies Question as Question;
