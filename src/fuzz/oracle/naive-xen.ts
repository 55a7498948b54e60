import { DOMID_SELF, ERRNO } from '../../xen/abi/index.ts';

/** A pirq record; `emuirq` −1 unbound, −2 passed through, −3 an emulated device's MSI, else an emulated GSI. */
export interface NaivePirq {
  irq: number;
  evtchn: number;
  emuirq: number;
}

/** An event channel in use: `state` as EVTCHNOP_status has it. */
export interface NaivePort {
  state: number;
  pirq: number;
  pending: boolean;
}

/** A host device: owner, and how many vectors its two capabilities have, 0 for none. */
export interface NaiveDevice {
  sbdf: number;
  owner: number;
  msi: number;
  msix: number;
}

export interface NaiveHostOptions {
  gsis: number;
  nrIrqs: number;
  /** First irq that a call may create. */
  firstIrq: number;
  /** A guest maps for itself only if it says DOMID_SELF (releases up to 4.18). */
  selfIsLiteral: boolean;
  maxGuests: number;
  devices: NaiveDevice[];
}

const refused = (errno: number) => ({ ret: -errno, pirq: undefined });

export class NaiveDomain {
  readonly id: number;
  readonly hvm: boolean;
  readonly nrPirqs: number;
  readonly target: number;
  readonly maxPort: number;
  pirqs = new Map<number, NaivePirq>();
  /** Host irq → pirq, negative while deferred. */
  irqPirq = new Map<number, number>();
  emuPirq = new Map<number, number>();
  ports = new Map<number, NaivePort>();
  access = new Set<number>();

  constructor(id: number, hvm: boolean, nrPirqs: number, target: number, maxPort: number) {
    this.id = id;
    this.hvm = hvm;
    this.nrPirqs = nrPirqs;
    this.target = target;
    this.maxPort = maxPort;
  }

  irqOf(pirq: number): number {
    return this.pirqs.get(pirq)?.irq ?? 0;
  }

  record(pirq: number): NaivePirq {
    let r = this.pirqs.get(pirq);
    if (!r) this.pirqs.set(pirq, (r = { irq: 0, evtchn: 0, emuirq: -1 }));
    return r;
  }

  /** irq.h: pirq_cleanup_check: a record that says nothing goes away. */
  tidy(pirq: number): void {
    const r = this.pirqs.get(pirq);
    if (r && r.evtchn === 0 && r.irq === 0 && r.emuirq === -1) this.pirqs.delete(pirq);
  }

  isFree(pirq: number): boolean {
    const r = this.pirqs.get(pirq);
    return !r || (r.irq === 0 && r.emuirq === -1);
  }
}

/**
 * Xen's pirq space and the event channels of pirqs a second time, as maps and in the order of checks of
 * `xen-pirq.md` (arch/x86/irq.c, arch/x86/physdev.c, common/event_channel.c since 4.17.5): maps instead of arrays,
 * searches instead of bitmaps. Single messages and GSIs; no pass-through bindings.
 */
export class NaiveXen {
  readonly options: NaiveHostOptions;
  domains: NaiveDomain[];
  /** Host irqs in use for messages: what they are of. */
  messages = new Map<number, { creator: number; sbdf: number; msix: boolean }>();
  /** Uses of each device's MSI-X: one for having been prepared, one a message. At 0 its table is forgotten. */
  msixUses = new Map<number, number>();
  /** Created by a call that then changed nothing: lost for ever. */
  leaked = new Set<number>();
  guests = new Map<number, { share: boolean; domains: number[] }>();

  constructor(options: NaiveHostOptions, domains: NaiveDomain[]) {
    this.options = options;
    this.domains = domains;
    for (const d of domains) {
      // the cascade is mapped for everyone, irq 2 being no IO-APIC's; irq 0 is nobody's
      d.record(2).irq = 2;
      d.irqPirq.set(2, 2);
      if (d.id === 0) for (let irq = 1; irq < options.gsis; irq++) d.access.add(irq);
    }
  }

  clone(): NaiveXen {
    const domains = this.domains.map((d) => new NaiveDomain(d.id, d.hvm, d.nrPirqs, d.target, d.maxPort));
    const twin = new NaiveXen(this.options, domains);
    for (const [i, d] of domains.entries()) {
      const from = this.domains[i];
      d.pirqs = new Map([...from.pirqs].map(([k, v]) => [k, { ...v }]));
      d.irqPirq = new Map(from.irqPirq);
      d.emuPirq = new Map(from.emuPirq);
      d.ports = new Map([...from.ports].map(([k, v]) => [k, { ...v }]));
      d.access = new Set(from.access);
    }
    twin.messages = new Map(this.messages);
    twin.msixUses = new Map(this.msixUses);
    twin.leaked = new Set(this.leaked);
    twin.guests = new Map([...this.guests].map(([k, v]) => [k, { ...v, domains: v.domains.slice() }]));
    return twin;
  }

  domain(caller: NaiveDomain, domid: number): NaiveDomain | undefined {
    return domid === DOMID_SELF ? caller : this.domains.find((d) => d.id === domid);
  }

  manages(caller: NaiveDomain, d: NaiveDomain): boolean {
    return caller.id === 0 || caller.target === d.id;
  }

  /** irq.c: get_free_pirq: GSIs from 16 up, then everything from the top down; what is found gets a record. */
  freePirq(d: NaiveDomain, type: number): number {
    const order: number[] = [];
    if (type === 1) for (let p = 16; p < this.options.gsis; p++) order.push(p);
    for (let p = d.nrPirqs - 1; p >= this.options.gsis; p--) order.push(p);
    const found = order.find((p) => d.isFree(p));
    if (found === undefined) return -ERRNO.ENOSPC;
    d.record(found);
    return found;
  }

  getFreePirq(d: NaiveDomain, type: number): { ret: number; pirq: number | undefined } {
    const pirq = this.freePirq(d, type);
    if (pirq < 0) return { ret: pirq, pirq: undefined };
    d.record(pirq).irq = -1;
    return { ret: 0, pirq };
  }

  /** physdev.c: physdev_map_pirq for types MSI (0), GSI (1); `index` −1 for MSI. */
  map(
    caller: NaiveDomain,
    domid: number,
    a: { type: number; index: number; pirq: number; sbdf: number; entry: number; msix: boolean },
  ): { ret: number; pirq: number | undefined } {
    const d = this.domain(caller, domid);
    if (!d) return refused(ERRNO.ESRCH);
    if (d.hvm && this.isSelf(caller, d, domid)) return this.#mapForSelf(d, a);
    if (!this.manages(caller, d)) return refused(ERRNO.EPERM);
    if (a.type === 1) return this.#mapGsi(caller, d, a.index, a.pirq);
    return a.type === 0 ? this.#mapMessage(caller, d, a) : refused(ERRNO.EINVAL);
  }

  isSelf(caller: NaiveDomain, d: NaiveDomain, domid: number): boolean {
    return this.options.selfIsLiteral ? domid === DOMID_SELF : d === caller;
  }

  /** physdev.c: physdev_hvm_map_pirq, without INTx bindings. */
  #mapForSelf(d: NaiveDomain, a: { type: number; index: number; pirq: number }) {
    if (a.type !== 1 || a.index < 0 || a.index >= 48) return refused(ERRNO.EINVAL);
    const pirq = a.pirq < 0 ? this.freePirq(d, 1) : a.pirq;
    const ret = this.mapEmulated(d, pirq, a.index);
    return { ret, pirq: ret ? undefined : pirq };
  }

  /** irq.c: map_domain_emuirq_pirq: a conflict is success without effect. */
  mapEmulated(d: NaiveDomain, pirq: number, emuirq: number): number {
    if (pirq < 0 || pirq >= d.nrPirqs || emuirq >= this.options.nrIrqs) return -ERRNO.EINVAL;
    const old = d.pirqs.get(pirq)?.emuirq ?? -1;
    const holder = emuirq === -2 ? undefined : d.emuPirq.get(emuirq);
    if ((old !== -1 && old !== emuirq) || (holder !== undefined && holder !== pirq)) return 0;
    if (emuirq !== -2) d.emuPirq.set(emuirq, pirq);
    d.record(pirq).emuirq = emuirq;
    return 0;
  }

  unmapEmulated(d: NaiveDomain, pirq: number): void {
    const r = d.pirqs.get(pirq);
    if (!r || r.emuirq === -1) return;
    if (r.emuirq !== -2) d.emuPirq.delete(r.emuirq);
    r.emuirq = -1;
    d.tidy(pirq);
  }

  #choose(d: NaiveDomain, wanted: number, irq: number, type: number): number {
    const current = d.irqPirq.get(irq) ?? 0;
    if (wanted >= 0) return current !== 0 && current !== wanted ? -ERRNO.EEXIST : wanted;
    if (current < 0) return -ERRNO.EBUSY;
    return current > 0 ? current : this.freePirq(d, type);
  }

  #mapGsi(caller: NaiveDomain, d: NaiveDomain, index: number, wanted: number) {
    if (index < 0 || index >= this.options.gsis) return refused(ERRNO.EINVAL);
    let irq = caller.irqOf(index);
    if (irq <= 0) {
      if (caller.id !== 0) return refused(ERRNO.EINVAL);
      irq = index;
    }
    const pirq = this.#choose(d, wanted, irq, 1);
    if (pirq < 0) return refused(-pirq);
    const ret = this.#connect(caller, d, pirq, irq);
    return ret === 'conflict' ? { ret: 0, pirq } : { ret, pirq: ret ? undefined : pirq };
  }

  #mapMessage(
    caller: NaiveDomain,
    d: NaiveDomain,
    a: { index: number; pirq: number; sbdf: number; entry: number; msix: boolean },
  ) {
    // an irq that is there already is not modelled here, one that no message can have is refused
    if (a.index !== -1) return refused(ERRNO.EINVAL);
    const irq = this.#createIrq(caller);
    // the errno of a failed creation is no irq either
    if (irq < 0) return refused(ERRNO.EINVAL);
    const fail = (errno: number) => {
      caller.access.delete(irq);
      return refused(errno);
    };
    const pirq = this.#choose(d, a.pirq, irq, 0);
    if (pirq < 0) return fail(-pirq);
    if (pirq >= d.nrPirqs) return fail(ERRNO.EINVAL);
    if (this.#conflicts(d, pirq, irq)) {
      this.leaked.add(irq);
      return { ret: 0, pirq };
    }
    const device = this.options.devices.find((v) => v.sbdf === a.sbdf && v.owner === d.id);
    d.tidy(pirq);
    if (!device) return fail(ERRNO.ENODEV);
    // msi.c: __pci_enable_msi switches MSI-X off, and so gives up a use, before it looks for its own capability
    if (!a.msix && [...this.messages.values()].some((m) => m.sbdf === a.sbdf && m.msix)) this.#dropUse(a.sbdf);
    if (a.msix ? device.msix === 0 : device.msi === 0) return fail(ERRNO.ENODEV);
    if (a.msix && (a.entry < 0 || a.entry >= device.msix)) return fail(ERRNO.EINVAL);
    if (a.msix) {
      const uses = this.msixUses.get(a.sbdf) ?? 1;
      if (uses === 0) return fail(ERRNO.ENODATA);
      this.msixUses.set(a.sbdf, uses + 1);
    }
    this.messages.set(irq, { creator: caller.id, sbdf: a.sbdf, msix: a.msix });
    d.access.add(irq);
    d.record(pirq).irq = irq;
    d.irqPirq.set(irq, pirq);
    return { ret: 0, pirq };
  }

  /** irq.c: create_irq: the lowest unused one; access for the caller. */
  #createIrq(caller: NaiveDomain): number {
    for (let irq = this.options.firstIrq; irq < this.options.nrIrqs; irq++)
      if (!this.messages.has(irq) && !this.leaked.has(irq)) {
        caller.access.add(irq);
        return irq;
      }
    return -1;
  }

  #conflicts(d: NaiveDomain, pirq: number, irq: number): boolean {
    const oldIrq = d.irqOf(pirq);
    const oldPirq = d.irqPirq.get(irq) ?? 0;
    return (oldIrq > 0 && oldIrq !== irq) || (oldPirq !== 0 && oldPirq !== pirq);
  }

  /** irq.c: map_domain_pirq for a GSI. */
  #connect(caller: NaiveDomain, d: NaiveDomain, pirq: number, irq: number): number | 'conflict' {
    if (!caller.access.has(irq)) return -ERRNO.EPERM;
    if (pirq < 0 || pirq >= d.nrPirqs || irq <= 0) return -ERRNO.EINVAL;
    if (this.#conflicts(d, pirq, irq)) return 'conflict';
    d.access.add(irq);
    d.record(pirq).irq = irq;
    d.irqPirq.set(irq, pirq);
    return 0;
  }

  /** physdev.c: physdev_unmap_pirq; irq.c: unmap_domain_pirq. */
  unmap(caller: NaiveDomain, domid: number, pirq: number): number {
    const d = this.domain(caller, domid);
    if (!d) return -ERRNO.ESRCH;
    const self = d.hvm && this.isSelf(caller, d, domid);
    if (!self && !this.manages(caller, d)) return -ERRNO.EPERM;
    if (d.hvm) this.unmapEmulated(d, pirq);
    if (self) return 0;
    const r = d.pirqs.get(pirq);
    if (pirq < 0 || pirq >= d.nrPirqs || !r || r.irq <= 0) return -ERRNO.EINVAL;
    const { irq } = r;
    const forced = this.#leaveIrq(d, irq);
    r.irq = forced ? -irq : 0;
    if (forced) d.irqPirq.set(irq, -pirq);
    else d.irqPirq.delete(irq);
    d.tidy(pirq);
    d.access.delete(irq);
    const message = this.messages.get(irq);
    // whoever else was given access keeps it, to whatever the irq is next
    if (message) this.domains.find((any) => any.id === message.creator)!.access.delete(irq);
    if (message?.msix) this.#dropUse(message.sbdf);
    this.messages.delete(irq);
    return 0;
  }

  /** msi.c: _pci_cleanup_msix */
  #dropUse(sbdf: number): void {
    this.msixUses.set(sbdf, Math.max(0, (this.msixUses.get(sbdf) ?? 1) - 1));
  }

  #leaveIrq(d: NaiveDomain, irq: number): boolean {
    const action = this.guests.get(irq);
    if (!action?.domains.includes(d.id)) return false;
    action.domains = action.domains.filter((id) => id !== d.id);
    if (action.domains.length === 0) this.guests.delete(irq);
    return true;
  }

  #freePort(d: NaiveDomain): number {
    for (let port = 1; port <= d.maxPort; port++) if (!d.ports.has(port)) return port;
    return -ERRNO.ENOSPC;
  }

  /** event_channel.c: a port of its own: unbound (1) or IPI (5). */
  openPort(d: NaiveDomain, state: number): { ret: number; port: number | undefined } {
    const port = this.#freePort(d);
    if (port < 0) return { ret: port, port: undefined };
    d.ports.set(port, { state, pirq: -1, pending: false });
    return { ret: 0, port };
  }

  /** event_channel.c: evtchn_bind_pirq; irq.c: pirq_guest_bind. `pirq` unsigned. */
  bindPirq(d: NaiveDomain, pirq: number, share: boolean): { ret: number; port: number | undefined } {
    const fail = (errno: number) => ({ ret: -errno, port: undefined });
    if (pirq >= d.nrPirqs) return fail(ERRNO.EINVAL);
    const irq = d.irqOf(pirq);
    if (!d.hvm && !(irq > 0 && d.access.has(irq))) return fail(ERRNO.EPERM);
    if ((d.pirqs.get(pirq)?.evtchn ?? 0) !== 0) return fail(ERRNO.EEXIST);
    const port = this.#freePort(d);
    if (port < 0) return fail(-port);
    if (!d.hvm) {
      const action = this.guests.get(irq);
      if (action && !(share && action.share && action.domains.length < this.options.maxGuests))
        return fail(ERRNO.EBUSY);
      if (action) action.domains.push(d.id);
      else this.guests.set(irq, { share, domains: [d.id] });
    }
    d.record(pirq).evtchn = port;
    d.ports.set(port, { state: 3, pirq, pending: false });
    if (d.hvm && irq > 0) this.mapEmulated(d, pirq, -2);
    return { ret: 0, port };
  }

  /** event_channel.c: evtchn_close; a deferred record of a PV domain is done with. */
  close(d: NaiveDomain, port: number): number {
    const p = d.ports.get(port);
    if (!p) return -ERRNO.EINVAL;
    d.ports.delete(port);
    if (p.state !== 3) return 0;
    const r = d.record(p.pirq);
    r.evtchn = 0;
    if (!d.hvm && r.irq > 0) this.#leaveIrq(d, r.irq);
    else if (!d.hvm && r.irq < 0) {
      d.irqPirq.delete(-r.irq);
      r.irq = 0;
    } else if (d.hvm && r.irq > 0) this.unmapEmulated(d, p.pirq);
    d.tidy(p.pirq);
    return 0;
  }

  /** hvm/irq.c: hvm_inject_msi with vector 0, pirqs below 2^31. */
  inject(d: NaiveDomain, pirq: number): number {
    if (pirq === 0) return -ERRNO.ERANGE;
    if ((d.pirqs.get(pirq)?.emuirq ?? -1) === -1) {
      const known = d.pirqs.has(pirq);
      const ret = this.mapEmulated(d, pirq, -3);
      if (ret) return ret;
      if (!known && !d.pirqs.has(pirq)) return -ERRNO.EBUSY;
    } else if (d.pirqs.get(pirq)!.emuirq !== -3) return -ERRNO.EINVAL;
    this.signal(d, pirq);
    return 0;
  }

  /** event_channel.c: send_guest_pirq. */
  signal(d: NaiveDomain, pirq: number): void {
    const port = d.ports.get(d.pirqs.get(pirq)?.evtchn ?? 0);
    if (port) port.pending = true;
  }
}
