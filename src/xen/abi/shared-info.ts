import { struct } from './struct.ts';

const H = 'xen.h';
/** One vCPU's part of shared_info. For HVM guests `evtchn_upcall_mask` is padding. public/xen.h */
export const VCPU_INFO = struct(H, 'vcpu_info', 64, {
  evtchn_upcall_pending: ['u8', 0],
  evtchn_upcall_mask: ['u8', 1],
  evtchn_pending_sel: ['long', 8, 4],
  arch: ['bytes', 16, 8, 16, 24],
  time: ['bytes', 32, 32, 32],
});
/** The page a domain shares with Xen; 32 vCPU slots, then the 2-level event channel bitmaps. */
export const SHARED_INFO = struct(H, 'shared_info', [3136, 2344], {
  vcpu_info: ['bytes', 0, 0, 2048],
  evtchn_pending: ['bytes', 2048, 2048, 512, 128],
  evtchn_mask: ['bytes', 2560, 2176, 512, 128],
  wc_version: ['u32', 3072, 2304],
});

/** Event channels of the 2-level ABI: one bit each in words of the caller's width, one selector bit per word. */
export const EVTCHN_2L_PORTS = { 'x86-64': 4096, compat: 1024 } as const;

export const SHARED_INFO_STRUCTS = [VCPU_INFO, SHARED_INFO] as const;
