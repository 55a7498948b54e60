import { readFileSync } from 'node:fs';
import { TraceRing } from '../src/core/index.ts';
import { parseDump } from '../src/pci/dump/index.ts';
import {
  CONFIG_ADDRESS,
  CONFIG_DATA,
  createFunction,
  type EmulatedFunction,
  HostBridge,
  PciBus,
} from '../src/pci/index.ts';
import { ROOT } from './harness/c-baseline.ts';
import type { Question, Work } from './harness/question.ts';

const BDF = 0x20;
const ENTRIES = 32;

/** A drive with MSI-X, from its dump, on a bus. */
function drive(): { fn: EmulatedFunction; bridge: HostBridge } {
  const [{ spec }] = parseDump(readFileSync(`${ROOT}data/dumps/144d-a826.txt`, 'utf8'));
  const fn = createFunction({ ...spec, bdf: BDF });
  fn.writeConfig(4, 2, 6);
  const bus = new PciBus();
  bus.attach(fn);
  return { fn, bridge: new HostBridge(bus) };
}

/** Calls back with 0, 1, 2 … and sums the answers. */
const loop = (once: (n: number) => number): Work => ({
  run: (count) => {
    let sum = 0;
    for (let n = 0; n < count; n++) sum = (sum + once(n)) | 0;
    return sum;
  },
});

/** Some dword of the header, another each time. */
const dword = (n: number) => (n & 15) << 2;

function tableAccess(once: (fn: EmulatedFunction, bar: number, at: number, n: number) => number): Work {
  const { fn } = drive();
  const { tableBar, tableOffset } = fn.msix!;
  return loop((n) => once(fn, tableBar, tableOffset + 16 * (n & (ENTRIES - 1)), n));
}

function traced(trace: (offset: number, value: number) => void): Work {
  const { fn } = drive();
  return loop((n) => {
    const value = fn.readConfig(dword(n), 4);
    trace(dword(n), value);
    return value;
  });
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

export default {
  name: 'registers',
  title: 'Register accesses',
  operation: 'one access, or what the case says',
  xLabel: '',
  cases: [
    {
      id: 'config dword read',
      agree: true,
      variants: {
        'by the function': () => {
          const { fn } = drive();
          return loop((n) => fn.readConfig(dword(n), 4));
        },
        'pair of ports 0xCF8, 0xCFC': () => {
          const { bridge } = drive();
          return loop((n) => {
            bridge.writePort(CONFIG_ADDRESS, 4, (0x80000000 | (BDF << 8) | dword(n)) >>> 0);
            return bridge.readPort(CONFIG_DATA, 4);
          });
        },
        ECAM: () => {
          const { bridge } = drive();
          return loop((n) => bridge.readEcam((BDF << 12) | dword(n), 4).lo);
        },
      },
    },
    {
      id: 'MSI-X entry',
      variants: {
        'read 4 bytes': () => tableAccess((fn, bar, at) => fn.readBar(bar, at + 8, 4)),
        'read 8 bytes, two halves': () =>
          tableAccess((fn, bar, at) => fn.readBar(bar, at, 4) + fn.readBar(bar, at + 4, 4)),
        'write 4 bytes': () =>
          tableAccess((fn, bar, at, n) => {
            fn.writeBar(bar, at + 8, 4, n);
            return 0;
          }),
        'write all four words': () =>
          tableAccess((fn, bar, at, n) => {
            fn.writeBar(bar, at, 4, 0xfee00000);
            fn.writeBar(bar, at + 4, 4, 0);
            fn.writeBar(bar, at + 8, 4, n);
            fn.writeBar(bar, at + 12, 4, 1);
            return 0;
          }),
      },
    },
    {
      id: 'config dword read, traced',
      agree: true,
      variants: { 'no trace': () => traced(() => {}), ring: tracedByRing, 'object pushed': tracedByObjects },
    },
  ],
  targets: [
    {
      what: 'MSI-X entry: read of 8 bytes over 4',
      is: 'at most',
      limit: 1.5,
      value: (get) => get('MSI-X entry', 'read 8 bytes, two halves') / get('MSI-X entry', 'read 4 bytes'),
    },
    {
      what: 'trace ring over no trace, config dword',
      is: 'at most',
      limit: 1.3,
      value: (get) => get('config dword read, traced', 'ring') / get('config dword read, traced', 'no trace'),
    },
  ],
} satisfies Question as Question;
