import { struct } from './struct.ts';

/** EVTCHNOP_* commands. public/event_channel.h */
export const EVTCHNOP = {
  bindInterdomain: 0,
  bindVirq: 1,
  bindPirq: 2,
  close: 3,
  send: 4,
  status: 5,
  allocUnbound: 6,
  bindIpi: 7,
  bindVcpu: 8,
  unmask: 9,
  reset: 10,
  initControl: 11,
  expandArray: 12,
  setPriority: 13,
  /** A reset that was preempted; only Xen itself issues it. */
  resetCont: 14,
} as const;

export const EVTCHNSTAT = { closed: 0, unbound: 1, interdomain: 2, pirq: 3, virq: 4, ipi: 5 } as const;
export const BIND_PIRQ_WILL_SHARE = 1;
/** FIFO event words. */
export const EVTCHN_FIFO = {
  pending: 31,
  masked: 30,
  linked: 29,
  busy: 28,
  linkBits: 17,
  priorityMax: 0,
  priorityDefault: 7,
  priorityMin: 15,
  maxPorts: 131072,
} as const;

const H = 'event_channel.h';
export const EVTCHN_BIND_INTERDOMAIN = struct(H, 'evtchn_bind_interdomain', 12, {
  remote_dom: ['u16', 0],
  remote_port: ['u32', 4],
  local_port: ['u32', 8], // OUT
});
export const EVTCHN_BIND_VIRQ = struct(H, 'evtchn_bind_virq', 12, {
  virq: ['u32', 0],
  vcpu: ['u32', 4],
  port: ['u32', 8], // OUT
});
export const EVTCHN_BIND_PIRQ = struct(H, 'evtchn_bind_pirq', 12, {
  pirq: ['u32', 0],
  flags: ['u32', 4],
  port: ['u32', 8], // OUT
});
export const EVTCHN_CLOSE = struct(H, 'evtchn_close', 4, { port: ['u32', 0] });
export const EVTCHN_SEND = struct(H, 'evtchn_send', 4, { port: ['u32', 0] });
export const EVTCHN_STATUS = struct(H, 'evtchn_status', 24, {
  dom: ['u16', 0],
  port: ['u32', 4],
  status: ['u32', 8], // OUT, as all that follows
  vcpu: ['u32', 12],
  'u.unbound.dom': ['u16', 16],
  'u.interdomain.dom': ['u16', 16],
  'u.interdomain.port': ['u32', 20],
  'u.pirq': ['u32', 16],
  'u.virq': ['u32', 16],
});
export const EVTCHN_ALLOC_UNBOUND = struct(H, 'evtchn_alloc_unbound', 8, {
  dom: ['u16', 0],
  remote_dom: ['u16', 2],
  port: ['u32', 4], // OUT
});
export const EVTCHN_BIND_IPI = struct(H, 'evtchn_bind_ipi', 8, { vcpu: ['u32', 0], port: ['u32', 4] });
export const EVTCHN_BIND_VCPU = struct(H, 'evtchn_bind_vcpu', 8, { port: ['u32', 0], vcpu: ['u32', 4] });
export const EVTCHN_UNMASK = struct(H, 'evtchn_unmask', 4, { port: ['u32', 0] });
export const EVTCHN_RESET = struct(H, 'evtchn_reset', 2, { dom: ['u16', 0] });
export const EVTCHN_INIT_CONTROL = struct(H, 'evtchn_init_control', 24, {
  control_gfn: ['u64', 0],
  offset: ['u32', 8],
  vcpu: ['u32', 12],
  link_bits: ['u8', 16], // OUT
});
export const EVTCHN_EXPAND_ARRAY = struct(H, 'evtchn_expand_array', 8, { array_gfn: ['u64', 0] });
export const EVTCHN_SET_PRIORITY = struct(H, 'evtchn_set_priority', 8, { port: ['u32', 0], priority: ['u32', 4] });
/** Argument of the legacy hypercall 16; the command's own structure lies at `u`. */
export const EVTCHN_OP = struct(H, 'evtchn_op', 28, { cmd: ['u32', 0], u: ['bytes', 4, 4, 24] });
export const EVTCHN_FIFO_CONTROL_BLOCK = struct(H, 'evtchn_fifo_control_block', 72, {
  ready: ['u32', 0],
  head: ['bytes', 8, 8, 64],
});

/** All structures of event_channel.h that the model knows. */
export const EVENT_CHANNEL_STRUCTS = [
  EVTCHN_BIND_INTERDOMAIN,
  EVTCHN_BIND_VIRQ,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHN_SEND,
  EVTCHN_STATUS,
  EVTCHN_ALLOC_UNBOUND,
  EVTCHN_BIND_IPI,
  EVTCHN_BIND_VCPU,
  EVTCHN_UNMASK,
  EVTCHN_RESET,
  EVTCHN_INIT_CONTROL,
  EVTCHN_EXPAND_ARRAY,
  EVTCHN_SET_PRIORITY,
  EVTCHN_OP,
  EVTCHN_FIFO_CONTROL_BLOCK,
] as const;
