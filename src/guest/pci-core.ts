import type { Task } from './access.ts';
import { kernel, readConfig, updateConfig, writeConfig } from './ops.ts';

/** Configuration registers and bits the PCI core uses. include/uapi/linux/pci_regs.h */
export const PCI = {
  vendorId: 0x00,
  command: 0x04,
  status: 0x06,
  classRevision: 0x08,
  headerType: 0x0e,
  bar0: 0x10,
  capabilityPointer: 0x34,
} as const;

export const COMMAND = { io: 0x001, memory: 0x002, busMaster: 0x004, intxDisable: 0x400 } as const;
export const STATUS_CAPABILITY_LIST = 0x0010;
export const CAP_ID = { msi: 0x05, msix: 0x11 } as const;

/** A capability list longer than this has a loop. drivers/pci/pci.c PCI_FIND_CAP_TTL */
const MAX_CAPABILITIES = 48;

/**
 * Offset of the first capability `id`, or 0. Linux drivers/pci/pci.c __pci_bus_find_cap_start and
 * __pci_find_next_cap_ttl (3.12: pointer and id in two byte reads).
 */
export function* findCapability(bdf: number, id: number): Task<number> {
  if (!((yield* readConfig(bdf, PCI.status, 2)) & STATUS_CAPABILITY_LIST)) return 0;
  let at: number = PCI.capabilityPointer;
  for (let hops = MAX_CAPABILITIES; hops > 0; hops--) {
    const pointer = yield* readConfig(bdf, at, 1);
    if (pointer < 0x40) return 0;
    const capability = pointer & ~3;
    const found = yield* readConfig(bdf, capability, 1);
    if (found === 0xff) return 0;
    if (found === id) return capability;
    at = capability + 1;
  }
  return 0;
}

/**
 * What enumeration does for message interrupts: finds both capabilities, remembers where they are and clears their
 * enable bits. drivers/pci/msi.c pci_msi_init_pci_dev (3.12)
 */
export function* initMsi(bdf: number): Task<void> {
  const msi = yield* findCapability(bdf, CAP_ID.msi);
  yield* kernel('device.msiCap=', bdf, msi);
  if (msi) {
    const control = yield* updateConfig(bdf, msi + 2, 2, 0x0001, 0);
    yield* kernel('device.only32=', bdf, control & 0x0080 ? 0 : 1);
  }
  const msix = yield* findCapability(bdf, CAP_ID.msix);
  yield* kernel('device.msixCap=', bdf, msix);
  if (msix) yield* updateConfig(bdf, msix + 2, 2, 0x8000, 0);
}

/** pci_enable_device_mem and pci_set_master: memory decode, then bus mastering; written only if not yet set. */
export function* enableDevice(bdf: number): Task<void> {
  yield* setCommand(bdf, 0, COMMAND.memory);
  yield* setCommand(bdf, 0, COMMAND.busMaster);
}

/** Bus mastering off; memory decode stays on. drivers/pci/pci.c do_pci_disable_device */
export function* disableDevice(bdf: number): Task<void> {
  yield* setCommand(bdf, COMMAND.busMaster, 0);
}

/** drivers/pci/pci.c pci_intx: the pin is disabled while messages are in use. */
export function* setIntx(bdf: number, enabled: boolean): Task<void> {
  if (enabled) yield* setCommand(bdf, COMMAND.intxDisable, 0);
  else yield* setCommand(bdf, 0, COMMAND.intxDisable);
}

function* setCommand(bdf: number, clear: number, set: number): Task<void> {
  const command = yield* readConfig(bdf, PCI.command, 2);
  const wanted = (command & ~clear) | set;
  if (wanted !== command) yield* writeConfig(bdf, PCI.command, 2, wanted);
}
