import type { Host } from './host.ts';
import { MSI_TYPE } from './msi-table.ts';

const COMMAND = 4;
const COMMAND_MEMORY = 2;
export const MSIX_ENABLE = 0x8000;

/** A virtual function's memory is decoded as its physical function says. arch/x86/msi.c: memory_decoded */
export function memoryDecoded(h: Host, dev: number): boolean {
  const function0 = h.devices.physfn[dev] ? h.devices.physfn[dev] - 1 : dev;
  return (h.bus.readConfig(h.devices.sbdf[function0] >>> 0, COMMAND, 2) & COMMAND_MEMORY) !== 0;
}

/** Message Control of a device's MSI or MSI-X capability. */
export function readControl(h: Host, dev: number, type: number): number {
  const pos = type === MSI_TYPE.msi ? h.devices.msiPos[dev] : h.devices.msixPos[dev];
  return h.bus.readConfig(h.devices.sbdf[dev] >>> 0, pos + 2, 2);
}

export function writeControl(h: Host, dev: number, type: number, control: number): void {
  const pos = type === MSI_TYPE.msi ? h.devices.msiPos[dev] : h.devices.msixPos[dev];
  h.bus.writeConfig(h.devices.sbdf[dev] >>> 0, pos + 2, 2, control);
}
