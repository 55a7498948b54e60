import { type Register, reg, whole } from '../../core/index.ts';
import { type Capability, type CapabilityView, peek } from './capability.ts';

/** Single Root I/O Virtualization, PCIe 5.0 §9.3.3. Sizes of the VF BARs do not show in an image: they are read-only here. */
const COMMON: readonly Register[] = [
  reg('sriov.caps', 0x04, 4, {
    migration: { at: 0, access: 'ro' },
    ariPreserved: { at: 1, access: 'ro' },
    tag10: { at: 2, access: 'ro' },
    migrationInterrupt: { at: 21, width: 11, access: 'ro' },
  }),
  reg('sriov.status', 0x0a, 2, { migration: { at: 0, access: 'rw1c' } }),
  whole('sriov.initialVfs', 0x0c, 2, 'ro'),
  whole('sriov.totalVfs', 0x0e, 2, 'ro'),
  whole('sriov.numVfs', 0x10, 2, 'rw'),
  whole('sriov.dependency', 0x12, 1, 'ro'),
  whole('sriov.firstVfOffset', 0x14, 2, 'ro'),
  whole('sriov.vfStride', 0x16, 2, 'ro'),
  whole('sriov.vfDeviceId', 0x1a, 2, 'ro'),
  whole('sriov.supportedPageSizes', 0x1c, 4, 'ro'),
  ...[0, 1, 2, 3, 4, 5].map((bar) => whole(`sriov.vfBar${bar}`, 0x24 + 4 * bar, 4, 'ro')),
  reg('sriov.migrationState', 0x3c, 4, {
    bir: { at: 0, width: 3, access: 'ro' },
    offset: { at: 3, width: 29, access: 'ro' },
  }),
];

function control(view: CapabilityView): Register {
  const caps = peek(view, 4, 4);
  return reg('sriov.ctrl', 0x08, 2, {
    vfEnable: { at: 0, access: 'rw' },
    migration: { at: 1, access: caps & 1 ? 'rw' : 'ro' },
    migrationInterrupt: { at: 2, access: caps & 1 ? 'rw' : 'ro' },
    vfMemory: { at: 3, access: 'rw' },
    ariHierarchy: { at: 4, access: 'rw' },
    tag10: { at: 5, access: caps & 4 ? 'rw' : 'ro' },
  });
}

/** Bits of System Page Size that can be set are those supported; 4 KiB after reset. §9.3.3.13. */
function pageSize(view: CapabilityView): Register {
  const supported = peek(view, 0x1c, 4);
  const bits = Array.from({ length: 32 }, (_, at) => at).filter((at) => (supported >>> at) & 1);
  return reg(
    'sriov.systemPageSize',
    0x20,
    4,
    Object.fromEntries(bits.map((at) => [`size${at + 12}`, { at, access: 'rw', reset: at === 0 ? 1 : 0 } as const])),
  );
}

export const SRIOV: Capability = {
  id: 0x0010,
  extended: true,
  name: 'sriov',
  sizeBytes: () => 0x40,
  registers: (view) => [...COMMON, control(view), pageSize(view)],
  /** `hw/pci/pcie_sriov.c: pcie_sriov_pf_init, pcie_sriov_pf_disable_vfs` (NumVFs kept), 7.2. */
  qemu: (view) => ({
    'sriov.ctrl': { writable: 0x19, reset: 0x01 },
    'sriov.numVfs': { writable: 0xffff },
    'sriov.systemPageSize': { writable: peek(view, 0x1c, 4) },
  }),
};
