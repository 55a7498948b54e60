import { CONFIG_ADDRESS, CONFIG_DATA, HostBridge, PciBus } from '../../src/pci/index.ts';
import { loadC } from '../harness/c-baseline.ts';
import type { Work } from '../harness/question.ts';
import { BDF, drive } from './drive.ts';

// Constants of this file: V8 loads one of another file each time.
const ADDRESS = CONFIG_ADDRESS;
const DATA = CONFIG_DATA;
const ECAM = BDF << 12;
const SELECT = 0x80000000 | (BDF << 8);

/* One loop for each variant, over some dwords of the header: nothing may stand between loop and access. */

export function byFunction(): Work {
  const fn = drive();
  return {
    run: (count) => {
      let sum = 0;
      for (let n = 0; n < count; n++) sum = (sum + fn.readConfig((n & 15) << 2, 4)) | 0;
      return sum;
    },
  };
}

function hostBridge(): HostBridge {
  const bus = new PciBus();
  bus.attach(drive());
  return new HostBridge(bus);
}

export function byPorts(): Work {
  const bridge = hostBridge();
  return {
    run: (count) => {
      let sum = 0;
      for (let n = 0; n < count; n++) {
        bridge.writePort(ADDRESS, 4, SELECT | ((n & 15) << 2));
        sum = (sum + bridge.readPort(DATA, 4)) | 0;
      }
      return sum;
    },
  };
}

export function byEcam(): Work {
  const bridge = hostBridge();
  return {
    run: (count) => {
      let sum = 0;
      for (let n = 0; n < count; n++) sum = (sum + bridge.readEcam(ECAM | ((n & 15) << 2), 4).lo) | 0;
      return sum;
    },
  };
}

export function inC(way: 'pair' | 'ecam'): Work | string {
  const c = loadC('config', {
    setup: 'void bench_setup(uint32_t devfn)',
    set: 'void bench_set(uint32_t at, uint32_t value)',
    pair: 'uint32_t bench_pair(uint32_t devfn, uint32_t count)',
    ecam: 'uint32_t bench_ecam(uint32_t devfn, uint32_t count)',
  });
  if (typeof c === 'string') return c;
  const fn = drive();
  c.setup(BDF);
  for (let at = 0; at < fn.configSize; at += 4) c.set(at, fn.config.get(at, 4));
  return { run: (count) => c[way](BDF, count) };
}
