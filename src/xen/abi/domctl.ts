import { struct } from './struct.ts';

/** XEN_DOMCTL_* commands of interest. public/domctl.h */
export const DOMCTL = {
  irqPermission: 19,
  assignDevice: 37,
  bindPtIrq: 38,
  testAssignDevice: 45,
  deassignDevice: 47,
  unbindPtIrq: 48,
} as const;

export const PT_IRQ_TYPE = { pci: 0, isa: 1, msi: 2, msiTranslate: 3, spi: 4 } as const;

/** `msi.gflags` of a binding: what of the message matters besides its vector. Public since 4.10. */
export const GFLAGS = {
  destId: 0xff,
  redirectionHint: 0x100,
  destMode: 0x200,
  deliveryMode: 0x7000,
  triggerMode: 0x8000,
  /** Bind and unmask at once; Xen 4.10 and later. */
  unmasked: 0x10000,
} as const;

const H = 'domctl.h';
/** The same bytes in both ABIs: domctls are not translated. */
export const XEN_DOMCTL = struct(H, 'xen_domctl', 144, {
  cmd: ['u32', 0],
  interface_version: ['u32', 4],
  domain: ['u16', 8],
  u: ['bytes', 16, 16, 128],
});
/** Xen 4.10 and later. `machine_irq` is a pirq. Offsets are relative to `xen_domctl.u`. */
export const DOMCTL_BIND_PT_IRQ = struct(H, 'xen_domctl_bind_pt_irq', 24, {
  machine_irq: ['u32', 0],
  irq_type: ['u32', 4],
  'u.isa.isa_irq': ['u8', 8],
  'u.pci.bus': ['u8', 8],
  'u.pci.device': ['u8', 9],
  'u.pci.intx': ['u8', 10],
  'u.msi.gvec': ['u8', 8],
  'u.msi.gflags': ['u32', 12],
  'u.msi.gtable': ['u64', 16],
});
/** Xen 4.4 to 4.9. */
export const DOMCTL_BIND_PT_IRQ_4_4 = struct(H, 'xen_domctl_bind_pt_irq', 32, {
  machine_irq: ['u32', 0],
  irq_type: ['u32', 4],
  hvm_domid: ['u32', 8],
  'u.isa.isa_irq': ['u8', 16],
  'u.pci.bus': ['u8', 16],
  'u.pci.device': ['u8', 17],
  'u.pci.intx': ['u8', 18],
  'u.msi.gvec': ['u8', 16],
  'u.msi.gflags': ['u32', 20],
  'u.msi.gtable': ['u64', 24],
});
export const DOMCTL_IRQ_PERMISSION = struct(H, 'xen_domctl_irq_permission', 8, {
  pirq: ['u32', 0],
  allow_access: ['u8', 4],
});
/** Xen 4.4 to 4.8: the pirq is one byte. */
export const DOMCTL_IRQ_PERMISSION_4_4 = struct(H, 'xen_domctl_irq_permission', 2, {
  pirq: ['u8', 0],
  allow_access: ['u8', 1],
});
/** Xen 4.5 and later, for a PCI device. `u` holds pointers in the Arm variant, hence its alignment and size. */
export const DOMCTL_ASSIGN_DEVICE = struct(H, 'xen_domctl_assign_device', 24, {
  dev: ['u32', 0],
  flags: ['u32', 4],
  'u.pci.machine_sbdf': ['u32', 8],
});

/** Structures of the present domctl.h; the older layouts are the `_4_4` ones. */
export const DOMCTL_STRUCTS = [XEN_DOMCTL, DOMCTL_BIND_PT_IRQ, DOMCTL_IRQ_PERMISSION, DOMCTL_ASSIGN_DEVICE] as const;
