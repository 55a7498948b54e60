import { struct } from './struct.ts';

/** PHYSDEVOP_* commands. public/physdev.h */
export const PHYSDEVOP = {
  irqUnmaskNotify: 4,
  irqStatusQuery: 5,
  setIopl: 6,
  setIobitmap: 7,
  apicRead: 8,
  apicWrite: 9,
  allocIrqVector: 10,
  freeIrqVector: 11,
  eoi: 12,
  mapPirq: 13,
  unmapPirq: 14,
  managePciAdd: 15,
  managePciRemove: 16,
  pirqEoiGmfnV1: 17,
  restoreMsi: 19,
  managePciAddExt: 20,
  setupGsi: 21,
  getFreePirq: 23,
  pciMmcfgReserved: 24,
  pciDeviceAdd: 25,
  pciDeviceRemove: 26,
  restoreMsiExt: 27,
  pirqEoiGmfnV2: 28,
  dbgpOp: 29,
  prepareMsix: 30,
  releaseMsix: 31,
  pciDeviceReset: 32,
} as const;

export const MAP_PIRQ_TYPE = { msi: 0, gsi: 1, unknown: 2, msiSeg: 3, multiMsi: 4 } as const;
export const XENIRQSTAT = { needsEoi: 1, shared: 2 } as const;
export const XEN_PCI_MMCFG_RESERVED = 1;
export const XEN_PCI_DEV = { extfn: 1, virtfn: 2, pxm: 4 } as const;
export const DBGP = { resetPrepare: 1, resetDone: 2, busUnknown: 0, busPci: 1 } as const;
export const PCI_DEVICE_RESET = { cold: 0, warm: 1, hot: 2, flr: 3, mask: 3 } as const;

const H = 'physdev.h';
export const PHYSDEV_EOI = struct(H, 'physdev_eoi', 4, { irq: ['u32', 0] });
export const PHYSDEV_PIRQ_EOI_GMFN = struct(H, 'physdev_pirq_eoi_gmfn', [8, 4], { gmfn: ['long', 0] });
export const PHYSDEV_IRQ_STATUS_QUERY = struct(H, 'physdev_irq_status_query', 8, {
  irq: ['u32', 0],
  flags: ['u32', 4], // OUT
});
export const PHYSDEV_SET_IOPL = struct(H, 'physdev_set_iopl', 4, { iopl: ['u32', 0] });
export const PHYSDEV_SET_IOBITMAP = struct(H, 'physdev_set_iobitmap', [16, 8], {
  bitmap: ['long', 0],
  nr_ports: ['u32', 8, 4],
});
export const PHYSDEV_APIC = struct(H, 'physdev_apic', [16, 12], {
  apic_physbase: ['long', 0],
  reg: ['u32', 8, 4],
  value: ['u32', 12, 8],
});
export const PHYSDEV_IRQ = struct(H, 'physdev_irq', 8, { irq: ['u32', 0], vector: ['u32', 4] });
export const PHYSDEV_MAP_PIRQ = struct(H, 'physdev_map_pirq', [40, 36], {
  domid: ['u16', 0],
  type: ['i32', 4],
  index: ['i32', 8], // IN, OUT
  pirq: ['i32', 12], // IN, OUT
  bus: ['i32', 16], // bus in bits 0–7, segment in bits 16–31 for MSI_SEG and MULTI_MSI
  devfn: ['i32', 20],
  entry_nr: ['i32', 24], // IN, OUT for MULTI_MSI
  table_base: ['u64', 32, 28],
});
export const PHYSDEV_UNMAP_PIRQ = struct(H, 'physdev_unmap_pirq', 8, { domid: ['u16', 0], pirq: ['i32', 4] });
export const PHYSDEV_MANAGE_PCI = struct(H, 'physdev_manage_pci', 2, { bus: ['u8', 0], devfn: ['u8', 1] });
export const PHYSDEV_RESTORE_MSI = struct(H, 'physdev_restore_msi', 2, { bus: ['u8', 0], devfn: ['u8', 1] });
export const PHYSDEV_MANAGE_PCI_EXT = struct(H, 'physdev_manage_pci_ext', 16, {
  bus: ['u8', 0],
  devfn: ['u8', 1],
  is_extfn: ['u32', 4],
  is_virtfn: ['u32', 8],
  'physfn.bus': ['u8', 12],
  'physfn.devfn': ['u8', 13],
});
export const PHYSDEV_SETUP_GSI = struct(H, 'physdev_setup_gsi', 8, {
  gsi: ['i32', 0],
  triggering: ['u8', 4],
  polarity: ['u8', 5],
});
export const PHYSDEV_GET_FREE_PIRQ = struct(H, 'physdev_get_free_pirq', 8, {
  type: ['i32', 0],
  pirq: ['u32', 4], // OUT
});
export const PHYSDEV_PCI_MMCFG_RESERVED = struct(H, 'physdev_pci_mmcfg_reserved', 16, {
  address: ['u64', 0],
  segment: ['u16', 8],
  start_bus: ['u8', 10],
  end_bus: ['u8', 11],
  flags: ['u32', 12],
});
/** Followed by an array of u32 (the NUMA proximity domain, if flag `pxm` is set). */
export const PHYSDEV_PCI_DEVICE_ADD = struct(H, 'physdev_pci_device_add', 12, {
  seg: ['u16', 0],
  bus: ['u8', 2],
  devfn: ['u8', 3],
  flags: ['u32', 4],
  'physfn.bus': ['u8', 8],
  'physfn.devfn': ['u8', 9],
});
export const PHYSDEV_PCI_DEVICE = struct(H, 'physdev_pci_device', 4, {
  seg: ['u16', 0],
  bus: ['u8', 2],
  devfn: ['u8', 3],
});
export const PHYSDEV_DBGP_OP = struct(H, 'physdev_dbgp_op', 6, {
  op: ['u8', 0],
  bus: ['u8', 1],
  'u.pci.seg': ['u16', 2],
  'u.pci.bus': ['u8', 4],
  'u.pci.devfn': ['u8', 5],
});
/** Xen 4.20 and later. */
export const PCI_DEVICE_RESET_OP = struct(H, 'pci_device_reset', 8, {
  'dev.seg': ['u16', 0],
  'dev.bus': ['u8', 2],
  'dev.devfn': ['u8', 3],
  flags: ['u32', 4],
});
/** Argument of the legacy hypercall 19; the command's own structure lies at `u`. */
export const PHYSDEV_OP = struct(H, 'physdev_op', [24, 16], { cmd: ['u32', 0], u: ['bytes', 8, 4, 16, 12] });

/** All structures of physdev.h that the model knows. */
export const PHYSDEV_STRUCTS = [
  PHYSDEV_EOI,
  PHYSDEV_PIRQ_EOI_GMFN,
  PHYSDEV_IRQ_STATUS_QUERY,
  PHYSDEV_SET_IOPL,
  PHYSDEV_SET_IOBITMAP,
  PHYSDEV_APIC,
  PHYSDEV_IRQ,
  PHYSDEV_MAP_PIRQ,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEV_MANAGE_PCI,
  PHYSDEV_RESTORE_MSI,
  PHYSDEV_MANAGE_PCI_EXT,
  PHYSDEV_SETUP_GSI,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_PCI_MMCFG_RESERVED,
  PHYSDEV_PCI_DEVICE_ADD,
  PHYSDEV_PCI_DEVICE,
  PHYSDEV_DBGP_OP,
  PCI_DEVICE_RESET_OP,
  PHYSDEV_OP,
] as const;
