import { hex } from '../../../core/index.ts';
import {
  codec,
  DM_OP_INJECT_MSI,
  DOMCTL,
  DOMCTL_BIND_PT_IRQ,
  DOMCTL_IRQ_PERMISSION,
  EVTCHN_ALLOC_UNBOUND,
  EVTCHN_BIND_INTERDOMAIN,
  EVTCHN_BIND_IPI,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHN_RESET,
  EVTCHN_SEND,
  EVTCHN_STATUS,
  EVTCHN_UNMASK,
  EVTCHNOP,
  HYPERCALL,
  PHYSDEV_EOI,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_IRQ_STATUS_QUERY,
  PHYSDEV_MAP_PIRQ,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEVOP,
  type StructSpec,
  type StructValue,
  XEN_DOMCTL,
} from '../../../xen/abi/index.ts';
import { type Access, KIND, NOT_APPLICABLE } from '../../access.ts';

/** Structures of the calls by number and command, for making and telling them. */
const SPECS: Record<number, Record<number, StructSpec>> = {
  [HYPERCALL.physdevOp]: {
    [PHYSDEVOP.irqStatusQuery]: PHYSDEV_IRQ_STATUS_QUERY,
    [PHYSDEVOP.eoi]: PHYSDEV_EOI,
    [PHYSDEVOP.getFreePirq]: PHYSDEV_GET_FREE_PIRQ,
    [PHYSDEVOP.mapPirq]: PHYSDEV_MAP_PIRQ,
    [PHYSDEVOP.unmapPirq]: PHYSDEV_UNMAP_PIRQ,
  },
  [HYPERCALL.eventChannelOp]: {
    [EVTCHNOP.bindInterdomain]: EVTCHN_BIND_INTERDOMAIN,
    [EVTCHNOP.bindPirq]: EVTCHN_BIND_PIRQ,
    [EVTCHNOP.close]: EVTCHN_CLOSE,
    [EVTCHNOP.send]: EVTCHN_SEND,
    [EVTCHNOP.status]: EVTCHN_STATUS,
    [EVTCHNOP.allocUnbound]: EVTCHN_ALLOC_UNBOUND,
    [EVTCHNOP.bindIpi]: EVTCHN_BIND_IPI,
    [EVTCHNOP.unmask]: EVTCHN_UNMASK,
    [EVTCHNOP.reset]: EVTCHN_RESET,
  },
};

const DOMCTL_SPECS: Record<number, [name: string, spec: StructSpec]> = {
  [DOMCTL.bindPtIrq]: ['bind_pt_irq', DOMCTL_BIND_PT_IRQ],
  [DOMCTL.unbindPtIrq]: ['unbind_pt_irq', DOMCTL_BIND_PT_IRQ],
  [DOMCTL.irqPermission]: ['irq_permission', DOMCTL_IRQ_PERMISSION],
};

/** nr × 2^32 + cmd of a hypercall step. */
export const split = (offset: number): [nr: number, cmd: number] => [
  Math.floor(offset / 0x1_0000_0000),
  offset % 0x1_0000_0000,
];

export function rawCall(domid: number, nr: number, cmd: number, data: Uint8Array): Access {
  const offset = nr * 0x1_0000_0000 + cmd;
  const none = { region: NOT_APPLICABLE, width: NOT_APPLICABLE };
  return { kind: KIND.hypercall, ...none, function: domid, offset, value: data.length, data };
}

/** A call with named members. */
export function call<S extends StructSpec>(
  domid: number,
  nr: number,
  cmd: number,
  spec: S,
  value: Partial<StructValue<S>>,
): Access {
  return rawCall(domid, nr, cmd, codec(spec).encode(value));
}

export function domctl<S extends StructSpec>(
  domid: number,
  version: number,
  target: number,
  cmd: number,
  spec: S,
  value: Partial<StructValue<S>>,
): Access {
  const u = new Uint8Array(128);
  u.set(codec(spec).encode(value));
  return call(domid, HYPERCALL.domctl, 0, XEN_DOMCTL, { cmd, interface_version: version, domain: target, u });
}

/** A device of the host sends one of its messages. */
export const raise = (sbdf: number, vector: number): Access => plain(KIND.raise, sbdf, vector, 0);
/** An interrupt on a host GSI. */
export const gsi = (number: number): Access => plain(KIND.intx, 0, number, 1);
/** A guest writes a byte of its shared page. */
export const pageWrite = (domid: number, at: number, value: number): Access => ({
  ...plain(KIND.write, domid, at, value),
  width: 1,
});

const plain = (kind: number, fn: number, offset: number, value: number): Access => ({
  kind,
  region: NOT_APPLICABLE,
  width: NOT_APPLICABLE,
  function: fn,
  offset,
  value,
  data: undefined,
});

/** What a step is, in the words of Xen's headers: `domain 5: map_pirq domid=5 type=0 index=-1 …`. */
export function describe(step: Access): string {
  const { kind, function: fn, offset, value } = step;
  if (kind === KIND.raise) return `device ${hex(fn)} sends message ${offset}`;
  if (kind === KIND.intx) return `interrupt on host GSI ${offset}`;
  if (kind === KIND.write) return `domain ${fn} writes byte ${offset} of its shared page = ${hex(value, 2)}`;
  return `domain ${fn}: ${nameOf(step)}${membersOf(step)}`;
}

/** The call alone: `map_pirq`. */
export function nameOf(step: Access): string {
  if (step.kind !== KIND.hypercall) return describe(step).split(' ').slice(0, 2).join(' ');
  const [nr, cmd] = split(step.offset);
  if (nr === HYPERCALL.dmOp) return 'inject_msi';
  const domctlCommand = nr === HYPERCALL.domctl ? DOMCTL_SPECS[step.data?.[0] ?? 0] : undefined;
  return (
    domctlCommand?.[0] ?? SPECS[nr]?.[cmd]?.cName.replace(/^(physdev|evtchn)_/, '') ?? `hypercall ${nr} command ${cmd}`
  );
}

function membersOf({ offset, data }: Access): string {
  const [nr, cmd] = split(offset);
  if (!data) return '';
  let extra = '';
  let [spec, bytes] = [SPECS[nr]?.[cmd], data];
  if (nr === HYPERCALL.dmOp) {
    spec = DM_OP_INJECT_MSI;
    extra = ` domid=${cmd}`;
  }
  if (nr === HYPERCALL.domctl && data.length >= 16 && DOMCTL_SPECS[data[0]]) {
    spec = DOMCTL_SPECS[data[0]][1];
    extra = ` domid=${data[8] | (data[9] << 8)}`;
    bytes = data.subarray(16);
  }
  if (!spec || bytes.length < codec(spec).size) return `${extra} with ${data.length} bytes`;
  const members = Object.entries(codec(spec).decode(bytes)).filter(([, v]) => typeof v !== 'object' && Number(v) !== 0);
  return extra + members.map(([k, v]) => ` ${k}=${v}`).join('');
}
