import { struct } from './struct.ts';

/** HVMOP_* (hvm_op) and XEN_DMOP_* (dm_op) commands of interest. public/hvm/hvm_op.h, public/hvm/dm_op.h */
export const HVMOP = { injectMsi: 16 } as const;
export const DMOP = { injectMsi: 14 } as const;

/** Xen 4.2 to 4.8, argument of hvm_op 16. */
export const HVM_INJECT_MSI = struct('hvm/hvm_op.h', 'xen_hvm_inject_msi', 16, {
  domid: ['u16', 0],
  data: ['u32', 4],
  addr: ['u64', 8],
});
/** Xen 4.9 and later: the whole dm_op with `inject_msi` in its union. `pad` must be zero. */
export const DM_OP_INJECT_MSI = struct('hvm/dm_op.h', 'xen_dm_op', 32, {
  op: ['u32', 0],
  'u.inject_msi.data': ['u32', 8],
  'u.inject_msi.pad': ['u32', 12],
  'u.inject_msi.addr': ['u64', 16],
});
export const DM_OP_BUF = struct('hvm/dm_op.h', 'xen_dm_op_buf', [16, 8], { h: ['long', 0], size: ['long', 8, 4] });

export const HVM_STRUCTS = [HVM_INJECT_MSI, DM_OP_INJECT_MSI, DM_OP_BUF] as const;
