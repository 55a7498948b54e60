import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { CONFIG_ADDRESS, CONFIG_DATA } from '../../src/pci/index.ts';
import type { Work } from '../harness/question.ts';
import { BDF, drive } from './drive.ts';

const ADDRESS = CONFIG_ADDRESS;
const DATA = CONFIG_DATA;
const SELECT = 0x80000000 | (BDF << 8);

/** As much of v86 as is used here; the package's own declarations tell neither of `v86` nor of what is below it. */
interface V86 {
  add_listener(event: 'emulator-ready', listener: () => void): void;
  destroy(): Promise<void>;
  readonly v86: {
    readonly cpu: {
      readonly io: { port_write32(port: number, value: number): void; port_read32(port: number): number };
      readonly devices: { readonly pci: { register_device(device: object): Int32Array } };
    };
  };
}

/**
 * The same drive in v86's own PCI code (`src/pci.js`, as in its release build): an emulator that is set up and never
 * started. A pair is what its processor does for an OUT and an IN of a dword: `IO.port_write32(0xcf8)`, which comes
 * byte by byte to the four handlers of `PCI`, the last of which looks the register up (`pci_query`), and
 * `IO.port_read32(0xcfc)`, which joins four more.
 */
export async function byV86(): Promise<Work | string> {
  const { resolve } = createRequire(import.meta.url);
  let main: string;
  try {
    main = resolve('v86');
  } catch {
    return 'no package v86';
  }
  const { V86 } = (await import(pathToFileURL(main).href)) as { V86: new (options: object) => V86 };
  const emulator = new V86({ wasm_path: resolve('v86/build/v86.wasm'), autostart: false, disable_speaker: true });
  await new Promise<void>((ready) => emulator.add_listener('emulator-ready', ready));
  const { io, devices } = emulator.v86.cpu;
  const pci_space = [...drive().config.bytes.subarray(0, 256)];
  devices.pci.register_device({ pci_id: BDF, pci_space, pci_bars: [], name: 'drive' });
  return {
    run: (count) => {
      let sum = 0;
      for (let n = 0; n < count; n++) {
        io.port_write32(ADDRESS, SELECT | ((n & 15) << 2));
        sum = (sum + io.port_read32(DATA)) | 0;
      }
      return sum;
    },
    close: () => emulator.destroy(),
  };
}
