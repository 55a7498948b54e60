import { REGISTERS_2_0 } from './registers-2.0.ts';
import { REGISTERS_7_2 } from './registers-7.2.ts';

/** What a write does beyond updating the emulated value. */
export type Action =
  | 'command'
  | 'msi-control'
  | 'msi-address-lo'
  | 'msi-address-hi'
  | 'msi-data'
  | 'msi-mask'
  | 'msix-control';

/** An initial value that depends on the host function. */
export type Initial =
  | 'vendor'
  | 'device'
  /** The next capability that is emulated; hardwired and unknown ones drop out of the chain. */
  | 'next-capability'
  /** Capability List bit if there is any such capability. */
  | 'status'
  | 'interrupt-pin'
  /** Of `lnkctl2`: the supported link speed. */
  | 'link-speed'
  | 'bar';

/** A register exists only on such a function: form of its MSI capability, version of its PCIe capability. */
export type Condition = 'msi-32' | 'msi-64' | 'msi-32-maskable' | 'msi-64-maskable' | 'pcie-not-v1';

/**
 * One row of a register table of the pass-through code. `emu`: the guest reads these bits from the emulated value.
 * `ro`: not writable. `res`: reserved, written through only in permissive mode. `rw1c`: a 1 clears them. Masks default
 * to 0. What is neither `emu` nor `ro` nor `res` is passed to the device.
 */
export interface RegisterSpec {
  name: string;
  /** Offset in its group. */
  at: number;
  size: 1 | 2 | 4;
  init?: number | Initial;
  res?: number;
  ro?: number;
  rw1c?: number;
  emu?: number;
  onlyIf?: Condition;
  action?: Action;
  /** Table of 2.0 only: an access that ends in this register is not written to the device. */
  noWriteBack?: true;
}

/** A capability, or the header, by what is done with it: emulated by registers, or hardwired to zero and hidden. */
export interface GroupSpec {
  name: string;
  /** Capability id; 0xff = header. */
  id: number;
  kind: 'emulated' | 'hardwired';
  /** In bytes, or how to find it out. */
  size: number | 'msi' | 'pcie' | 'vendor';
  registers: readonly RegisterSpec[];
}

export type GroupName = 'header' | 'pm' | 'vpd' | 'msi' | 'vendor' | 'pcie' | 'msix';
export type RegisterTables = Readonly<Record<GroupName, readonly RegisterSpec[]>>;

export const REGISTER_TABLES: Readonly<Record<'2.0' | '7.2', RegisterTables>> = {
  '2.0': REGISTERS_2_0,
  '7.2': REGISTERS_7_2,
};

/** Groups in the order of hw/xen/xen_pt_config_init.c: xen_pt_emu_reg_grps; where two overlap, the later one wins. */
export function groupSpecs(tables: RegisterTables): readonly GroupSpec[] {
  const emulated = (name: GroupName, id: number, size: GroupSpec['size']): GroupSpec => ({
    name,
    id,
    kind: 'emulated',
    size,
    registers: tables[name],
  });
  const hardwired = (name: string, id: number, size: number): GroupSpec => ({
    name,
    id,
    kind: 'hardwired',
    size,
    registers: [],
  });
  return [
    emulated('header', 0xff, 0x40),
    emulated('pm', 0x01, 8),
    hardwired('agp', 0x02, 0x30),
    emulated('vpd', 0x03, 8),
    hardwired('slot-id', 0x04, 4),
    emulated('msi', 0x05, 'msi'),
    hardwired('pci-x', 0x07, 0x18),
    emulated('vendor', 0x09, 'vendor'),
    hardwired('shpc', 0x0c, 8),
    hardwired('ssvid', 0x0d, 8),
    hardwired('agp8x', 0x0e, 0x30),
    emulated('pcie', 0x10, 'pcie'),
    emulated('msix', 0x11, 0x0c),
  ];
}
