import type { MsiMessage } from './abi/index.ts';
import { type Domain, DPCI, IRQ_UNBOUND } from './domain.ts';
import { vcpuEvents } from './event-2l.ts';
import { hasMaskBit, isPending } from './event-port.ts';
import type { Host } from './host.ts';
import { NO_DEVICE } from './host-device.ts';
import { IRQ_STATUS, IRQ_UNUSED, NO_MSI } from './irq-table.ts';
import { deviceMessage } from './msi-message.ts';
import { MSI_TYPE } from './msi-table.ts';
import { ECS } from './port-table.ts';

/** A pirq record; `dpci` only while pass-through flags are set, `emuirq` −1 for PV. */
export interface PirqView {
  pirq: number;
  irq: number;
  evtchn: number;
  masked: boolean;
  emuirq: number;
  dpci: { flags: number; gvec: number; gflags: number; destVcpu: number } | undefined;
}

/** An event channel: `state` as EVTCHNOP_status numbers it, `pirq` for a PIRQ port. */
export interface PortView {
  port: number;
  state: number;
  pirq: number | undefined;
  pending: boolean;
  masked: boolean;
}

/** `entry`: vector of an MSI, or slot in the MSI-X table. */
export interface MsiView {
  sbdf: number;
  entry: number;
  msix: boolean;
  hostMasked: boolean;
  guestMasked: boolean;
}

/** A host irq and, if it is an MSI's, the message behind it. */
export interface IrqView {
  irq: number;
  vector: number;
  guests: number[];
  disabled: boolean;
  msi: MsiView | undefined;
}

/** Records that exist, ascending. */
export function viewPirqs(d: Domain): PirqView[] {
  const views: PirqView[] = [];
  for (let pirq = 0; pirq < d.records; pirq++) {
    if (!d.hasRecord(pirq)) continue;
    views.push({
      pirq,
      irq: d.irqOf(pirq),
      evtchn: d.evtchn[pirq],
      masked: d.isMasked(pirq),
      emuirq: d.isHvm ? d.emuirq[pirq] : IRQ_UNBOUND,
      dpci: d.dpciFlags[pirq]
        ? {
            flags: d.dpciFlags[pirq],
            gvec: d.gvec[pirq],
            gflags: d.gflags[pirq] >>> 0,
            destVcpu: d.destVcpu[pirq],
          }
        : undefined,
    });
  }
  return views;
}

/** Ports in use or with a stale pending or mask bit, ascending; port 0 is left out. */
export function viewPorts(d: Domain): PortView[] {
  const views: PortView[] = [];
  for (let port = 1; port < d.ports.state.length; port++) {
    const ecs = d.ports.state[port];
    const pending = isPending(d, port);
    const masked = hasMaskBit(d, port);
    if (ecs === ECS.free && !pending && !masked) continue;
    views.push({
      port,
      state: Math.max(0, ecs - 1),
      pirq: ecs === ECS.pirq ? d.ports.peer[port] : undefined,
      pending,
      masked,
    });
  }
  return views;
}

/** Host irqs of interest: MSI irqs in use, and GSIs that a domain is bound to. */
export function viewIrqs(h: Host): IrqView[] {
  const { irqs, msis } = h;
  const views: IrqView[] = [];
  for (let irq = 0; irq < irqs.count; irq++) {
    if (irq < h.gsis ? !irqs.hasGuests(irq) : irqs.used[irq] === IRQ_UNUSED) continue;
    const msi = irqs.msi[irq];
    const guests: number[] = [];
    if (irqs.hasGuests(irq))
      for (let i = 0; i < irqs.guestCount[irq]; i++) guests.push(h.domains[irqs.guest(irq, i)].id);
    views.push({
      irq,
      vector: irqs.vector[irq],
      guests,
      disabled: (irqs.status[irq] & IRQ_STATUS.disabled) !== 0,
      msi:
        msi === NO_MSI
          ? undefined
          : {
              sbdf: h.devices.sbdf[msis.dev[msi]] >>> 0,
              entry: msis.entry[msi],
              msix: msis.type[msi] === MSI_TYPE.msix,
              hostMasked: msis.hostMasked[msi] !== 0,
              guestMasked: msis.guestMasked[msi] !== 0,
            },
    });
  }
  return views;
}

/** A message that Xen has set up, as the device must send it. */
export interface MessageView extends MsiMessage {
  irq: number;
  /** Vector of an MSI, or slot in the MSI-X table. */
  entry: number;
  msix: boolean;
}

/** A device's messages, oldest first. */
export function viewMessages(h: Host, sbdf: number): MessageView[] {
  const { msis, devices } = h;
  const views: MessageView[] = [];
  const dev = devices.find(sbdf);
  if (dev === NO_DEVICE) return views;
  for (let first = devices.firstMsi[dev]; first !== NO_MSI; first = msis.next[first]) {
    const msix = msis.type[first] === MSI_TYPE.msix;
    for (let i = 0; i < (msix ? 1 : msis.vectors[first]); i++)
      views.push({ ...deviceMessage(h, first + i), irq: msis.irq[first + i], entry: msis.entry[first + i], msix });
  }
  return views;
}

/** True while a pass-through binding connects the pirq with its irq. */
export function isPassthroughBound(d: Domain, pirq: number): boolean {
  return d.hasRecord(pirq) && (d.dpciFlags[pirq] & DPCI.mapped) !== 0;
}

export { vcpuEvents };
