import { BIND_PIRQ_WILL_SHARE, DOMID_SELF, ERRNO, EVTCHN_FIFO, EVTCHNSTAT } from './abi/index.ts';
import { type Domain, IRQ_PT } from './domain.ts';
import { mapEmuirq, unmapEmuirq } from './emuirq.ts';
import { clearPending, isBusy, setPending, unmaskPort } from './event-port.ts';
import { HostFault } from './fault.ts';
import { bindGuest, unbindGuest } from './guest-irq.ts';
import type { Host } from './host.ts';
import { NO_MSI } from './irq-table.ts';
import { setGuestMask } from './msi.ts';
import { cleanupCheck } from './pirq-record.ts';
import { ECS } from './port-table.ts';

/** A new port, or −errno. common/event_channel.c: get_free_port */
function takePort(d: Domain): number {
  if (d.dying) return -ERRNO.EINVAL;
  const limit = d.fifo?.enabled ? d.ports.fifoLimit : d.ports.abiLimit;
  const port = d.ports.take(limit, (p) => isBusy(d, p));
  if (port >= 0) d.ports.priority[port] = EVTCHN_FIFO.priorityDefault;
  return port < 0 ? -ERRNO.ENOSPC : port;
}

/** The domain with a number as a caller may write it. */
export function domainByAnyId(h: Host, caller: Domain, domid: number): Domain | undefined {
  return domid === DOMID_SELF ? caller : h.domainById(domid);
}

/** The caller itself or one it is privileged over. include/xsm/dummy.h: XSM_TARGET */
export function mayTarget(caller: Domain, d: Domain): boolean {
  return caller === d || mayManage(caller, d);
}

/** Control domain, or device model of the target. include/xsm/dummy.h: XSM_DM_PRIV */
export function mayManage(caller: Domain, d: Domain): boolean {
  return caller.isHardwareDomain || caller.target === d.id;
}

/** Result of a call that hands out a port. */
export interface Bound {
  ret: number;
  port: number;
}

const refuse = (ret: number): Bound => ({ ret, port: 0 });

/** EVTCHNOP_alloc_unbound: -ESRCH, -ENOSPC, -EPERM. */
export function allocUnbound(h: Host, caller: Domain, domid: number, remote: number): Bound {
  const d = domainByAnyId(h, caller, domid);
  if (!d) return refuse(-ERRNO.ESRCH);
  const port = takePort(d);
  if (port < 0) return refuse(port);
  if (!mayTarget(caller, d)) {
    d.ports.giveBack(port);
    return refuse(-ERRNO.EPERM);
  }
  d.ports.state[port] = ECS.unbound;
  d.ports.peer[port] = remote === DOMID_SELF ? caller.id : remote;
  return { ret: 0, port };
}

/** EVTCHNOP_bind_interdomain: -ESRCH, -ENOSPC, -EINVAL (no port that waits for the caller). */
export function bindInterdomain(h: Host, caller: Domain, remoteDom: number, remotePort: number): Bound {
  const remote = domainByAnyId(h, caller, remoteDom);
  if (!remote) return refuse(-ERRNO.ESRCH);
  const port = takePort(caller);
  if (port < 0) return refuse(port);
  const there = remote.ports;
  if (!there.isValid(remotePort) || there.state[remotePort] !== ECS.unbound || there.peer[remotePort] !== caller.id) {
    caller.ports.giveBack(port);
    return refuse(-ERRNO.EINVAL);
  }
  const here = caller.ports;
  here.state[port] = there.state[remotePort] = ECS.interdomain;
  here.peer[port] = remote.id;
  here.peerPort[port] = remotePort;
  there.peer[remotePort] = caller.id;
  there.peerPort[remotePort] = port;
  setPending(h, caller, port); // a notification may have been lost while the port was unbound
  return { ret: 0, port };
}

/** VIRQ numbers by who handles them. include/public/xen.h; arch/x86: VIRQ_MCA is global, other arch ones are per vCPU. */
const VIRQS = 24;
const VCPU_VIRQS = [0, 1, 7, 13, 17, 18, 19, 20, 21, 22, 23];
const DOMAIN_VIRQS = [11];

/** EVTCHNOP_bind_virq: -EINVAL, -ENOENT, -EBUSY (another domain's), -EEXIST, -ENOSPC. */
export function bindVirq(h: Host, d: Domain, virq: number, vcpu: number): Bound {
  if (virq >= VIRQS) return refuse(-ERRNO.EINVAL);
  if (!VCPU_VIRQS.includes(virq) && vcpu !== 0) return refuse(-ERRNO.EINVAL);
  if (vcpu >= d.vcpus) return refuse(-ERRNO.ENOENT);
  const global = !VCPU_VIRQS.includes(virq) && !DOMAIN_VIRQS.includes(virq);
  if (h.profile.globalVirqOwner && global && !d.isHardwareDomain) return refuse(-ERRNO.EBUSY);
  if (d.virqPort[vcpu * VIRQS + virq]) return refuse(-ERRNO.EEXIST);
  const port = takePort(d);
  if (port < 0) return refuse(port);
  d.ports.state[port] = ECS.virq;
  d.ports.vcpu[port] = vcpu;
  d.ports.peer[port] = virq;
  d.virqPort[vcpu * VIRQS + virq] = port;
  return { ret: 0, port };
}

/** EVTCHNOP_bind_ipi: -ENOENT, -ENOSPC. */
export function bindIpi(d: Domain, vcpu: number): Bound {
  if (vcpu >= d.vcpus) return refuse(-ERRNO.ENOENT);
  const port = takePort(d);
  if (port < 0) return refuse(port);
  d.ports.state[port] = ECS.ipi;
  d.ports.vcpu[port] = vcpu;
  return { ret: 0, port };
}

/**
 * EVTCHNOP_bind_pirq, in Xen's order: -EINVAL (pirq ≥ nrPirqs), -EPERM (PV without access to the irq), -EEXIST (bound),
 * -EINVAL or -ENOSPC (no port), PV: errors of becoming a guest of the irq. An HVM domain may bind any pirq; where
 * that is mapped it is from now on routed to the event channel. common/event_channel.c: evtchn_bind_pirq
 */
export function bindPirq(h: Host, d: Domain, pirq: number, flags: number): Bound {
  if (pirq >= d.nrPirqs) return refuse(-ERRNO.EINVAL);
  if (!d.isHvm && !(d.irqOf(pirq) > 0 && d.mayUseIrq(d.irqOf(pirq)))) return refuse(-ERRNO.EPERM);
  if (d.hasRecord(pirq) && d.hasPort(pirq)) return refuse(-ERRNO.EEXIST);
  const port = takePort(d);
  if (port < 0) return refuse(port);
  d.makeRecord(pirq);
  d.setPort(pirq, port);
  if (!d.isHvm) {
    const ret = bindGuest(h, d, pirq, (flags & BIND_PIRQ_WILL_SHARE) !== 0);
    if (ret) {
      d.setPort(pirq, 0);
      cleanupCheck(h, d, pirq);
      d.ports.giveBack(port);
      return refuse(ret);
    }
  }
  d.ports.state[port] = ECS.pirq;
  d.ports.peer[port] = pirq;
  d.ports.linkPirqPort(port);

  const irq = d.irqOf(pirq);
  if (irq > 0) {
    if (d.isHvm) mapEmuirq(h, d, pirq, IRQ_PT); // refused if the pirq is an emulated irq's
    if (h.irqs.msi[irq] !== NO_MSI && h.profile.guestMsiStartsMasked) setGuestMask(h, irq, false);
  }
  return { ret: 0, port };
}

/** EVTCHNOP_close: -EINVAL for a port that is not in use. common/event_channel.c: evtchn_close */
export function closePort(h: Host, d: Domain, port: number): number {
  const { ports } = d;
  if (!ports.isValid(port) || !ports.isUsable(port)) return -ERRNO.EINVAL;
  switch (ports.state[port]) {
    case ECS.pirq:
      closePirqPort(h, d, port);
      break;
    case ECS.virq:
      d.virqPort[(VCPU_VIRQS.includes(ports.peer[port]) ? ports.vcpu[port] : 0) * VIRQS + ports.peer[port]] = 0;
      break;
    case ECS.interdomain: {
      const remote = h.domainById(ports.peer[port]);
      const remotePort = ports.peerPort[port];
      if (!remote || remote.ports.state[remotePort] !== ECS.interdomain)
        throw new HostFault('bug', `evtchn_close: port ${port} of domain ${d.id} has no other end`);
      remote.ports.state[remotePort] = ECS.unbound;
      remote.ports.peer[remotePort] = d.id;
      break;
    }
  }
  clearPending(d, port);
  ports.free(port);
  return 0;
}

function closePirqPort(h: Host, d: Domain, port: number): void {
  const pirq = d.ports.peer[port];
  if (d.hasRecord(pirq)) {
    if (!d.isHvm) unbindGuest(h, d, pirq);
    if (d.hasRecord(pirq)) {
      d.setPort(pirq, 0);
      if (!d.isHvm || d.irqOf(pirq) <= 0 || unmapEmuirq(h, d, pirq) < 0) cleanupCheck(h, d, pirq);
    }
  }
  d.ports.unlinkPirqPort(port);
}

/** EVTCHNOP_send: -EINVAL unless the port is interdomain, unbound (the event is lost) or an IPI. */
export function send(h: Host, d: Domain, port: number): number {
  const { ports } = d;
  if (!ports.isValid(port)) return -ERRNO.EINVAL;
  switch (ports.state[port]) {
    case ECS.interdomain: {
      const remote = h.domainById(ports.peer[port]);
      if (remote) setPending(h, remote, ports.peerPort[port]);
      return 0;
    }
    case ECS.ipi:
      setPending(h, d, port);
      return 0;
    case ECS.unbound:
      return 0;
    default:
      return -ERRNO.EINVAL;
  }
}

/** What {@link status} found. */
export interface PortStatus {
  ret: number;
  status: number;
  vcpu: number;
  /** pirq, virq, or number of the domain at the other end. */
  peer: number;
  peerPort: number;
}

const STATUS_OF_STATE = [
  EVTCHNSTAT.closed,
  EVTCHNSTAT.closed,
  EVTCHNSTAT.unbound,
  EVTCHNSTAT.interdomain,
  EVTCHNSTAT.pirq,
  EVTCHNSTAT.virq,
  EVTCHNSTAT.ipi,
];

/** EVTCHNOP_status: -ESRCH, -EINVAL, -EPERM. */
export function status(h: Host, caller: Domain, domid: number, port: number): PortStatus {
  const result = { ret: 0, status: 0, vcpu: 0, peer: 0, peerPort: 0 };
  const d = domainByAnyId(h, caller, domid);
  if (!d) return { ...result, ret: -ERRNO.ESRCH };
  if (!d.ports.isValid(port)) return { ...result, ret: -ERRNO.EINVAL };
  if (!mayTarget(caller, d)) return { ...result, ret: -ERRNO.EPERM };
  const { ports } = d;
  return {
    ret: 0,
    status: STATUS_OF_STATE[ports.state[port]],
    vcpu: ports.vcpu[port],
    peer: ports.peer[port],
    peerPort: ports.peerPort[port],
  };
}

/** EVTCHNOP_bind_vcpu: -ENOENT (vCPU), -EINVAL (port, or one that cannot move). */
export function bindVcpu(d: Domain, port: number, vcpu: number): number {
  const { ports } = d;
  if (vcpu >= d.vcpus) return -ERRNO.ENOENT;
  if (!ports.isValid(port)) return -ERRNO.EINVAL;
  switch (ports.state[port]) {
    case ECS.virq:
      if (VCPU_VIRQS.includes(ports.peer[port])) return -ERRNO.EINVAL;
      ports.vcpu[port] = vcpu;
      return 0;
    case ECS.unbound:
    case ECS.interdomain:
      ports.vcpu[port] = vcpu;
      return 0;
    case ECS.pirq:
      if (ports.vcpu[port] === vcpu) return 0;
      ports.unlinkPirqPort(port);
      ports.vcpu[port] = vcpu;
      ports.linkPirqPort(port);
      return 0;
    default:
      return -ERRNO.EINVAL;
  }
}

/** EVTCHNOP_unmask: -EINVAL for a port that does not exist; without effect on one not in use. */
export function unmask(h: Host, d: Domain, port: number): number {
  if (!d.ports.isValid(port)) return -ERRNO.EINVAL;
  if (d.ports.isUsable(port)) unmaskPort(h, d, port);
  return 0;
}

/** EVTCHNOP_reset: -ESRCH, -EPERM, -EINVAL (another domain that is not paused). Closes all ports; back to two levels. */
export function reset(h: Host, caller: Domain, domid: number): number {
  const d = domainByAnyId(h, caller, domid);
  if (!d) return -ERRNO.ESRCH;
  if (!mayTarget(caller, d)) return -ERRNO.EPERM;
  if (d !== caller) return -ERRNO.EINVAL;
  closeAll(h, d);
  d.fifo?.reset();
  return 0;
}

/** Closes every port of a domain. */
export function closeAll(h: Host, d: Domain): void {
  for (let port = 1; port < d.ports.validPorts; port++) closePort(h, d, port);
}

/**
 * An interrupt for a pirq: its event channel becomes pending. Without one, an HVM domain loses it.
 * common/event_channel.c: send_guest_pirq
 */
export function sendGuestPirq(h: Host, d: Domain, pirq: number): void {
  const port = d.hasRecord(pirq) ? d.evtchn[pirq] : 0;
  if (port === 0) {
    if (!d.isHvm)
      throw new HostFault('bug', `send_guest_pirq: PV domain ${d.id} has no event channel for pirq ${pirq}`);
    h.trace?.({ kind: 'dropped', domid: d.id, pirq, why: 'no-event-channel' });
    return;
  }
  setPending(h, d, port);
}
