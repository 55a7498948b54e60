import { Arena, writeLe } from '../../src/core/index.ts';
import { type BarSpec, createFunction, type EmulatedFunction, VectorTables } from '../../src/pci/index.ts';
import { loadC } from '../harness/c-baseline.ts';
import type { Work } from '../harness/question.ts';
import { loadWasm } from '../harness/wasm-baseline.ts';

/* As in entries.c. */
const DEVICES = 64;
const VECTORS = 129;
const TABLE_AT = 0x2000;
const PBA_AT = 0x3000;
const MSIX_AT = 0x40;

export type EntryAccess = 'read 4 bytes' | 'read 8 bytes' | 'write 4 bytes';

/** Functions with nothing but MSI-X, their tables back to back, every vector set up but masked. */
function functions(): EmulatedFunction[] {
  const image = new Uint8Array(256);
  const dwords: [number, number][] = [
    [0x00, 0x1af4_1b36],
    [0x04, 0x0010_0006],
    [0x34, MSIX_AT],
    [MSIX_AT, 0x8000_0011 | ((VECTORS - 1) << 16)],
    [MSIX_AT + 4, TABLE_AT],
    [MSIX_AT + 8, PBA_AT],
  ];
  for (const [at, value] of dwords) writeLe(image, at, 4, value);
  const vectors = DEVICES * VECTORS;
  const vectorTables = new VectorTables(new Arena(VectorTables.bytes(DEVICES, vectors)), DEVICES, vectors, 'bench');
  return Array.from({ length: DEVICES }, (_, d) => {
    const bars: BarSpec[] = [{ bar: 0, kind: 'mem32', sizeBytes: 0x4000 }];
    const fn = createFunction({ name: 'entries', bdf: d << 3, image, bars }, { vectorTables });
    for (let v = 0; v < VECTORS; v++) {
      fn.writeBar(0, TABLE_AT + 16 * v, 4, 0xfee00000);
      fn.writeBar(0, TABLE_AT + 16 * v + 8, 4, d * VECTORS + v);
    }
    return fn;
  });
}

/* One loop for each access, not one that takes a function: nothing may stand between loop and access. */

const OURS: Record<EntryAccess, (fns: EmulatedFunction[]) => Work['run']> = {
  'read 4 bytes': (fns) => (count) => {
    let sum = 0;
    for (let n = 0, d = 0, vector = 0; n < count; n++) {
      sum = (sum + fns[d].readBar(0, TABLE_AT + 16 * vector + 8, 4)) | 0;
      if (++vector < VECTORS) continue;
      vector = 0;
      d = (d + 1) % DEVICES;
    }
    return sum;
  },
  'read 8 bytes': (fns) => (count) => {
    let sum = 0;
    for (let n = 0, d = 0, vector = 0; n < count; n++) {
      const at = TABLE_AT + 16 * vector;
      sum = (sum + fns[d].readBar(0, at, 4)) | 0;
      sum = (sum + fns[d].readBar(0, at + 4, 4)) | 0;
      if (++vector < VECTORS) continue;
      vector = 0;
      d = (d + 1) % DEVICES;
    }
    return sum;
  },
  'write 4 bytes': (fns) => (count) => {
    for (let n = 0, d = 0, vector = 0; n < count; n++) {
      fns[d].writeBar(0, TABLE_AT + 16 * vector + 8, 4, n);
      if (++vector < VECTORS) continue;
      vector = 0;
      d = (d + 1) % DEVICES;
    }
    const data = (d: number, vector: number) => fns[d].readBar(0, TABLE_AT + 16 * vector + 8, 4);
    return (data(DEVICES - 1, VECTORS - 1) + data(0, 0)) | 0;
  },
};

/** Through the BAR of the function, as its user has it; 8 bytes are two accesses of 4, as everywhere. */
export function ours(access: EntryAccess): Work {
  return { run: OURS[access](functions()) };
}

const PROTOTYPES = {
  bench_setup: 'void bench_setup(void)',
  bench_reads: 'uint32_t bench_reads(uint32_t count, uint32_t within, uint32_t width)',
  bench_writes: 'uint32_t bench_writes(uint32_t count, uint32_t width)',
};

/** The whole loop in C: for this machine, or as WebAssembly. */
export function inC(access: EntryAccess, how: 'native' | 'wasm'): Work | string {
  const c = how === 'wasm' ? loadWasm<keyof typeof PROTOTYPES>('entries') : loadC('entries', PROTOTYPES);
  if (typeof c === 'string') return c;
  c.bench_setup();
  if (access === 'write 4 bytes') return { run: (count) => c.bench_writes(count, 4) };
  const [within, width] = access === 'read 4 bytes' ? [8, 4] : [0, 8];
  return { run: (count) => c.bench_reads(count, within, width) };
}

/** WebAssembly called for each read, as a device model in it would be. */
export function wasmByCall(): Work | string {
  const wasm = loadWasm<'bench_setup' | 'bench_read'>('entries');
  if (typeof wasm === 'string') return wasm;
  wasm.bench_setup();
  return {
    run: (count) => {
      let sum = 0;
      for (let n = 0, d = 0, vector = 0; n < count; n++) {
        sum = (sum + wasm.bench_read(d, 16 * vector + 8, 4)) | 0;
        if (++vector < VECTORS) continue;
        vector = 0;
        d = (d + 1) % DEVICES;
      }
      return sum;
    },
  };
}
