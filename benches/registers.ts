import { TraceRing } from '../src/core/index.ts';
import type { Lookup, Question, Work } from './harness/question.ts';
import { byEcam, byFunction, byPorts, inC as configInC } from './registers/config-pair.ts';
import { BDF, drive } from './registers/drive.ts';
import { type EntryAccess, inC, ours, wasmByCall } from './registers/entries.ts';
import { overQtest } from './registers/qtest.ts';
import { byV86 } from './registers/v86.ts';

function traced(trace: (offset: number, value: number) => void): Work {
  const fn = drive();
  return {
    run: (count) => {
      let sum = 0;
      for (let n = 0; n < count; n++) {
        const at = (n & 15) << 2;
        const value = fn.readConfig(at, 4);
        trace(at, value);
        sum = (sum + value) | 0;
      }
      return sum;
    },
  };
}

function tracedByRing(): Work {
  const ring = new TraceRing(16);
  return traced((offset, value) => ring.push(BDF, offset, 4, value));
}

function tracedByObjects(): Work {
  let trace: object[] = [];
  return traced((offset, value) => {
    if (trace.push({ bdf: BDF, offset, width: 4, value }) === 1 << 16) trace = [];
  });
}

const PAIR = 'ports 0xCF8, 0xCFC';
const ENTRIES = 'MSI-X entries, 64 x 129';
const entryCase = (access: EntryAccess) => `${ENTRIES}, ${access}`;

const overPair = (caseId: string, other: string) => (get: Lookup) => get(caseId, other) / get('config dword', PAIR);
const overWasm = (access: EntryAccess) => (get: Lookup) =>
  get(entryCase(access), 'by the BAR') / get(entryCase(access), 'C as WebAssembly');

export default {
  name: 'registers',
  title: 'Register accesses',
  operation: 'one access, or what the case says',
  xLabel: '',
  cases: [
    {
      id: 'config dword',
      agree: true,
      variants: {
        'by the function': byFunction,
        [PAIR]: byPorts,
        ECAM: byEcam,
        'ports in C': () => configInC('pair'),
        'ECAM in C': () => configInC('ecam'),
        'ports in v86': byV86,
      },
    },
    { id: 'config dword, a real device', variants: { 'ports of QEMU over qtest': overQtest } },
    ...(['read 4 bytes', 'read 8 bytes', 'write 4 bytes'] as const).map((access) => ({
      id: entryCase(access),
      agree: true,
      variants: {
        'by the BAR': () => ours(access),
        C: () => inC(access, 'native'),
        'C as WebAssembly': () => inC(access, 'wasm'),
        ...(access === 'read 4 bytes' && { 'C as WebAssembly, called each time': wasmByCall }),
      },
    })),
    {
      id: 'config dword, traced',
      agree: true,
      variants: { 'no trace': () => traced(() => {}), ring: tracedByRing, 'object pushed': tracedByObjects },
    },
  ],
  targets: [
    {
      what: 'pair of ports over the same in C',
      is: 'at most',
      limit: 2,
      value: (get) => 1 / overPair('config dword', 'ports in C')(get),
    },
    { what: 'v86 over pair of ports', is: 'at least', limit: 25, value: overPair('config dword', 'ports in v86') },
    {
      what: 'QEMU over qtest over pair of ports',
      is: 'at least',
      limit: 1000,
      value: overPair('config dword, a real device', 'ports of QEMU over qtest'),
    },
    ...(['read 4 bytes', 'read 8 bytes', 'write 4 bytes'] as const).map((access) => ({
      what: `MSI-X entry over C as WebAssembly, ${access}`,
      is: 'at most' as const,
      limit: 1.5,
      value: overWasm(access),
    })),
    {
      what: 'MSI-X entry, 8 bytes over 4',
      is: 'at most',
      limit: 1.5,
      value: (get) => get(entryCase('read 8 bytes'), 'by the BAR') / get(entryCase('read 4 bytes'), 'by the BAR'),
    },
    {
      what: 'trace ring over no trace, config dword',
      is: 'at most',
      limit: 1.3,
      value: (get) => get('config dword, traced', 'ring') / get('config dword, traced', 'no trace'),
    },
  ],
} satisfies Question as Question;
