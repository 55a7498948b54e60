import type { MsiMessage } from '../xen/abi/index.ts';
import type { Task } from './access.ts';
import { MSI_MODE } from './irq-records.ts';
import type { KernelProfile } from './kernel-profile.ts';
import { kernel, readBar, readConfig, updateConfig, writeBar, writeConfig } from './ops.ts';

/** MSI registers from the capability's offset. PCI Local Bus 3.0 §6.8.1 */
export const MSI = { control: 2, addressLo: 4, addressHi: 8, data32: 8, data64: 12, mask32: 12, mask64: 16 } as const;
export const MSI_CONTROL = { enable: 0x0001, mmc: 0x000e, mme: 0x0070, addr64: 0x0080, maskable: 0x0100 } as const;

/** MSI-X registers from the capability's offset, and words of a table entry. PCI Local Bus 3.0 §6.8.2 */
export const MSIX = { control: 2, table: 4 } as const;
export const MSIX_CONTROL = { tableSize: 0x07ff, functionMask: 0x4000, enable: 0x8000 } as const;
export const ENTRY = { addressLo: 0, addressHi: 4, data: 8, vectorControl: 12, size: 16 } as const;
export const ENTRY_MASKED = 1;
const TABLE_BIR = 7;

/** Reads a word of table entry `entry`, wherever enumeration found the table. */
export function* readEntry(bdf: number, entry: number, word: number): Task<number> {
  const table = yield* kernel('device.msixTable', bdf);
  return yield* readBar(bdf, table & TABLE_BIR, ((table & ~TABLE_BIR) >>> 0) + entry * ENTRY.size + word);
}

export function* writeEntry(bdf: number, entry: number, word: number, value: number): Task<void> {
  const table = yield* kernel('device.msixTable', bdf);
  yield* writeBar(bdf, table & TABLE_BIR, ((table & ~TABLE_BIR) >>> 0) + entry * ENTRY.size + word, value);
}

/** The message in the device. drivers/pci/msi.c __read_msi_msg */
export function* readMessage(bdf: number, mode: number, entry: number): Task<MsiMessage> {
  if (mode === MSI_MODE.msix)
    return {
      addressLo: yield* readEntry(bdf, entry, ENTRY.addressLo),
      addressHi: yield* readEntry(bdf, entry, ENTRY.addressHi),
      data: yield* readEntry(bdf, entry, ENTRY.data),
    };
  const cap = yield* kernel('device.msiCap', bdf);
  const wide = (yield* kernel('device.control', bdf)) & MSI_CONTROL.addr64;
  return {
    addressLo: yield* readConfig(bdf, cap + MSI.addressLo, 4),
    addressHi: wide ? yield* readConfig(bdf, cap + MSI.addressHi, 4) : 0,
    data: yield* readConfig(bdf, cap + (wide ? MSI.data64 : MSI.data32), 2),
  };
}

/**
 * Writes a message into the device and into its descriptor. The new kernels mask an unmasked entry around the change
 * and read back so that the writes have arrived. drivers/pci/msi.c __write_msi_msg (__pci_write_msi_msg)
 */
export function* writeMessage(
  profile: KernelProfile,
  bdf: number,
  mode: number,
  entry: number,
  message: MsiMessage,
): Task<void> {
  if (mode === MSI_MODE.msix) yield* writeMsixMessage(profile, bdf, entry, message);
  else yield* writeMsiMessage(profile, bdf, message);
  yield* kernel('vector.addressLo=', bdf, entry, message.addressLo);
  yield* kernel('vector.addressHi=', bdf, entry, message.addressHi);
  yield* kernel('vector.data=', bdf, entry, message.data);
}

function* writeMsixMessage(profile: KernelProfile, bdf: number, entry: number, message: MsiMessage): Task<void> {
  const isNew = profile.msiEnableShape === 'new';
  const control = yield* kernel('vector.ctrl', bdf, entry);
  const masksAround = isNew && profile.writesMasks && !(control & ENTRY_MASKED);
  if (masksAround) yield* writeEntry(bdf, entry, ENTRY.vectorControl, control | ENTRY_MASKED);
  yield* writeEntry(bdf, entry, ENTRY.addressLo, message.addressLo);
  yield* writeEntry(bdf, entry, ENTRY.addressHi, message.addressHi);
  yield* writeEntry(bdf, entry, ENTRY.data, message.data);
  if (masksAround) yield* writeEntry(bdf, entry, ENTRY.vectorControl, control);
  if (isNew) yield* readEntry(bdf, entry, ENTRY.data);
}

function* writeMsiMessage(profile: KernelProfile, bdf: number, message: MsiMessage): Task<void> {
  const cap = yield* kernel('device.msiCap', bdf);
  const wide = (yield* kernel('device.control', bdf)) & MSI_CONTROL.addr64;
  const vectors = yield* kernel('device.vectors', bdf);
  yield* updateConfig(bdf, cap + MSI.control, 2, MSI_CONTROL.mme, Math.ceil(Math.log2(vectors)) << 4);
  yield* writeConfig(bdf, cap + MSI.addressLo, 4, message.addressLo);
  if (wide) yield* writeConfig(bdf, cap + MSI.addressHi, 4, message.addressHi);
  yield* writeConfig(bdf, cap + (wide ? MSI.data64 : MSI.data32), 2, message.data & 0xffff);
  if (profile.msiEnableShape === 'new') yield* readConfig(bdf, cap + MSI.control, 2);
}
