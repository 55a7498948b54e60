import { Bits, Table } from './collections.ts';

/** A pirq record; `emuirq` −1 unbound, −2 passed through, −3 an emulated device's MSI, else an emulated GSI. */
export interface NaivePirq {
  irq: number;
  evtchn: number;
  emuirq: number;
  /** The guest owes an EOI. */
  masked: boolean;
  /** What bind_pt_irq said. */
  pt: { gvec: number; gflags: number } | undefined;
}

/** An event channel in use: `state` as EVTCHNOP_status has it; `peer` is the pirq or the domain at the other end. */
export interface NaivePort {
  state: number;
  peer: number;
  peerPort: number;
}

/** A device message: which of its device, which of its group, and whether it reaches the host. */
export interface NaiveMessage {
  sbdf: number;
  msix: boolean;
  /** Slot in the table, or vector of the group. */
  entry: number;
  /** First irq of the group and number of its vectors. */
  base: number;
  count: number;
  hostMasked: boolean;
  guestMasked: boolean;
}

/** A host irq in use. */
export interface NaiveIrq {
  /** The domain that was given access when the irq was made; −1 nobody. */
  creator: number;
  message: NaiveMessage | undefined;
  /** Undefined while no domain handles it. */
  action: { share: boolean; guests: number[]; owesEoi: boolean; inFlight: number } | undefined;
  /** It is on the stack of EOIs that the host owes. */
  onStack: boolean;
}

/** A host device: owner, and how many vectors its two capabilities have, 0 for none. */
export interface NaiveDevice {
  readonly sbdf: number;
  readonly owner: number;
  readonly msi: number;
  readonly maskable: boolean;
  readonly msix: number;
}

export interface NaiveOptions {
  gsis: number;
  nrIrqs: number;
  /** First irq that a call may create. */
  firstIrq: number;
  /** GSIs from here up are level triggered. */
  levelFrom: number;
  remapping: boolean;
  /** Up to 4.18: a guest maps for itself only if it says DOMID_SELF, and -ESRCH writes the structure back. */
  upTo418: boolean;
  /** Up to 4.17: a pirq of an injected message is signed. */
  signedPirqs: boolean;
  domctlVersion: number;
  maxGuests: number;
  devices: NaiveDevice[];
}

/** The real hypervisor does not survive this; the text says where. */
export class Dies extends Error {}

/** What happens now is written nowhere. */
export class Unclear extends Error {}

/** A domain with one vCPU and two-level event channels. */
export class NaiveDomain {
  readonly id: number;
  readonly hvm: boolean;
  readonly nrPirqs: number;
  /** The domain whose device model this is, −1 none. */
  readonly target: number;
  readonly maxPort: number;
  pirqs = new Table<NaivePirq>();
  /** Host irq → pirq, negative while deferred, 0 while being mapped. */
  irqPirq = new Table<number>();
  emuPirq = new Map<number, number>();
  ports = new Table<NaivePort>();
  access = new Bits();
  /** Bits of ports below 64 in the shared page, then the vCPU's selector bit and upcall flag. */
  pending = new Bits();
  masked = new Bits();
  selector = false;
  upcall = false;
  /** Vectors requested at the virtual APIC. */
  irr = new Bits();
  /** bind_pt_irq was used. */
  passthrough = false;

  constructor(id: number, hvm: boolean, nrPirqs: number, target: number, maxPort: number) {
    this.id = id;
    this.hvm = hvm;
    this.nrPirqs = nrPirqs;
    this.target = target;
    this.maxPort = maxPort;
  }

  clone(): NaiveDomain {
    const twin = new NaiveDomain(this.id, this.hvm, this.nrPirqs, this.target, this.maxPort);
    twin.pirqs = this.pirqs.clone((record) => ({ ...record, pt: record.pt && { ...record.pt } }));
    twin.irqPirq = this.irqPirq.clone((pirq) => pirq);
    twin.ports = this.ports.clone((port) => ({ ...port }));
    twin.emuPirq = new Map(this.emuPirq);
    for (const name of ['access', 'pending', 'masked', 'irr'] as const) twin[name] = this[name].clone();
    twin.selector = this.selector;
    twin.upcall = this.upcall;
    twin.passthrough = this.passthrough;
    return twin;
  }

  irqOf(pirq: number): number {
    return this.pirqs.get(pirq)?.irq ?? 0;
  }

  record(pirq: number): NaivePirq {
    let r = this.pirqs.get(pirq);
    if (!r) this.pirqs.set(pirq, (r = { irq: 0, evtchn: 0, emuirq: -1, masked: false, pt: undefined }));
    return r;
  }

  /** irq.h: pirq_cleanup_check: a record that says nothing goes away. */
  tidy(pirq: number): void {
    const r = this.pirqs.get(pirq);
    if (r && r.evtchn === 0 && r.irq === 0 && r.emuirq === -1 && !r.pt) this.pirqs.delete(pirq);
  }

  isFree(pirq: number): boolean {
    const r = this.pirqs.get(pirq);
    return !r || (r.irq === 0 && r.emuirq === -1);
  }
}

/** All that the naive model knows of a host. */
export class NaiveXen {
  readonly options: NaiveOptions;
  readonly domains: NaiveDomain[];
  irqs = new Table<NaiveIrq>();
  /** Uses of each device's MSI-X: one for having been prepared, one a message. At 0 its table is forgotten. */
  msixUses = new Map<number, number>();
  /** Devices whose mask bits follow from more than one use of them: no signal of theirs is predicted. */
  mixed = new Set<number>();
  /** The local APIC: vectors requested, and those in service. */
  requested = new Set<number>();
  inService: number[] = [];
  /** EOIs that wait for guests, oldest first. */
  eoiStack: { irq: number; ready: boolean }[] = [];
  /** The vector of an irq in use: any will do, so it is whichever the model chose. */
  vectorOf: (irq: number) => number;

  constructor(options: NaiveOptions, domains: NaiveDomain[], vectorOf: (irq: number) => number) {
    this.options = options;
    this.domains = domains;
    this.vectorOf = vectorOf;
  }

  /** As after domains were made: the cascade is mapped for everyone, irq 2 being no IO-APIC's; irq 0 is nobody's. */
  static fresh(options: NaiveOptions, domains: NaiveDomain[], vectorOf: (irq: number) => number): NaiveXen {
    const xen = new NaiveXen(options, domains, vectorOf);
    for (let irq = 1; irq < options.gsis; irq++) xen.irqs.set(irq, newIrq(-1));
    for (const d of domains) {
      d.record(2).irq = 2;
      d.irqPirq.set(2, 2);
      if (d.id === 0) for (let irq = 1; irq < options.gsis; irq++) d.access.add(irq);
    }
    return xen;
  }

  clone(): NaiveXen {
    const twin = new NaiveXen(
      this.options,
      this.domains.map((d) => d.clone()),
      this.vectorOf,
    );
    twin.irqs = this.irqs.clone(({ creator, message, action, onStack }) => ({
      creator,
      message: message && { ...message },
      action: action && { ...action, guests: action.guests.slice() },
      onStack,
    }));
    twin.msixUses = new Map(this.msixUses);
    for (const name of ['mixed', 'requested'] as const) twin[name] = new Set(this[name]);
    twin.inService = this.inService.slice();
    twin.eoiStack = this.eoiStack.map((e) => ({ ...e }));
    return twin;
  }

  domain(id: number): NaiveDomain | undefined {
    return this.domains.find((d) => d.id === id);
  }

  /** The control domain, or the target's device model. */
  manages(caller: NaiveDomain, d: NaiveDomain): boolean {
    return caller.id === 0 || caller.target === d.id;
  }
}

export function newIrq(creator: number): NaiveIrq {
  return { creator, message: undefined, action: undefined, onStack: false };
}
