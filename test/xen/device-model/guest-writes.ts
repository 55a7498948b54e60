import { encodePirqMessage } from '../../../src/xen/abi/index.ts';
import type { PassthroughDevice } from '../../../src/xen/device-model/index.ts';
import { MSIX_AT } from './fakes.ts';

const CONTROL = MSIX_AT + 2;
const ENABLE = 0x8000;
const MASK_ALL = 0x4000;

/** The guest writes the message of `pirq` into an entry. */
export function writeEntry(device: PassthroughDevice, entry: number, pirq: number, data = 0x4300): void {
  const message = encodePirqMessage(pirq, data);
  device.writeTable(16 * entry, message.addressLo);
  device.writeTable(16 * entry + 4, message.addressHi);
  device.writeTable(16 * entry + 8, message.data);
}

/** Linux of the 4.4 age: table first, then Enable. `pirqs[entry]` undefined = the entry is left alone. */
export function enableOldOrder(device: PassthroughDevice, pirqs: (number | undefined)[]): void {
  for (const [entry, pirq] of pirqs.entries()) if (pirq !== undefined) writeEntry(device, entry, pirq);
  device.writeConfig(CONTROL, 2, ENABLE);
}

/** Linux 6.1: Enable with Function Mask, table, Function Mask off. */
export function enableNewOrder(device: PassthroughDevice, pirqs: (number | undefined)[]): void {
  device.writeConfig(CONTROL, 2, ENABLE | MASK_ALL);
  for (const [entry, pirq] of pirqs.entries()) if (pirq !== undefined) writeEntry(device, entry, pirq, 0x0700);
  device.writeConfig(CONTROL, 2, ENABLE);
}

export function disable(device: PassthroughDevice): void {
  device.writeConfig(CONTROL, 2, 0);
}
