import { type Arena, FreeBitmap, UsageError } from '../core/index.ts';
import { type Abi, codec, EVTCHN_2L_PORTS, EVTCHN_FIFO, SHARED_INFO } from './abi/index.ts';
import { FifoState } from './event-fifo.ts';
import type { GuestMemory } from './guest-memory.ts';
import { PortTable } from './port-table.ts';

/**
 * `pv-hwdom`: hardware and control domain. `hvm`: with `hasPirq` it may route interrupts over pirqs.
 * `pv`: unprivileged, possibly the device model of `target`.
 */
export type DomainKind = 'pv-hwdom' | 'pv' | 'hvm';

export interface DomainConfig {
  id: number;
  kind: DomainKind;
  /** Default: as the release computes it, see {@link import('./sizes.ts').domainPirqs}. */
  nrPirqs?: number;
  /** HVM: emulation flag USE_PIRQ. Default: as the release's toolstack sets it. */
  hasPirq?: boolean;
  /** The domain whose device model this one is. */
  target?: number;
  /** Highest event channel that may be used; default 1023, as libxl sets it. */
  maxPort?: number;
  vcpus?: number;
  /** The domain may switch to FIFO event channels, which live in its `memory`; default false. */
  fifo?: boolean;
  /** RAM that Xen can reach: for FIFO event channels and the EOI page. */
  memory?: GuestMemory;
  abi?: Abi;
  /** HVM: the guest has set the vector callback; default true. */
  callbackVector?: boolean;
  /** The domain's devices are behind an IOMMU, so that interrupts can be passed through; default true. */
  iommu?: boolean;
  /** How far a multi-vector map with an explicit base may run beyond the last pirq; default 32, as far as it can. */
  slack?: number;
  /** Memory has been assigned already, so that it might map anything; default true. */
  hasMemory?: boolean;
}

/** `emuirq` of a record: nothing, a passed-through irq, an emulated device's MSI; else an emulated GSI. */
export const IRQ_UNBOUND = -1;
export const IRQ_PT = -2;
export const IRQ_MSI_EMU = -3;
/** `irq` of a record that get_free_pirq reserved. */
export const PIRQ_ALLOCATED = -1;
/** An irq_pirq or emuirq_pirq slot that does not exist. */
export const ABSENT = -0x80000000;

export const NR_HVM_DOMU_IRQS = 48;
/** Most vectors of one map, and the logarithm of it. */
const MULTI_MSI_SLACK = 32;
const MULTI_MSI_LOG2 = 5;

export const DPCI = {
  machPci: 0x1,
  machMsi: 0x2,
  mapped: 0x4,
  guestPci: 0x10,
  guestMsi: 0x20,
  identityGsi: 0x40,
  noEoi: 0x80,
  translate: 0x8000,
} as const;

/** Flag words of {@link Domain.flags}. */
const FLAG = {
  alive: 0,
  dying: 1,
  crashed: 2,
  dpciRoot: 3,
  autoUnmask: 4,
  eoiPage: 5,
  lastVcpu: 6,
  msixTables: 7,
} as const;

/**
 * What a pirq's word says below its irq: it has a record, its interrupt is masked until the guest's EOI, it has an event
 * channel. Mapping and unmapping touch this one word of a record; columns for each, a cache line apiece, took 1.1 times as
 * long at 64 k pirqs and 1.4 to 2 times at 256 k (benches/allocation.ts).
 */
const HAS = { record: 1, masked: 2, port: 4 } as const;
const IRQ_SHIFT = 4;
const MAX_IRQS = 1 << (31 - IRQ_SHIFT);

/**
 * A domain as far as its interrupts go: a word per pirq and typed arrays for the rest of its records, the two maps from host and
 * emulated irqs to pirqs, what irqs it may use, its event channels and its shared page.
 */
export class Domain {
  readonly slot: number;
  readonly id: number;
  readonly kind: DomainKind;
  readonly isHvm: boolean;
  readonly hasPirq: boolean;
  readonly nrPirqs: number;
  readonly target: number;
  readonly vcpus: number;
  readonly abi: Abi;
  readonly callbackVector: boolean;
  readonly hasMemory: boolean;
  readonly iommu: boolean;
  readonly ports: PortTable;
  /** FIFO event channels, if the domain may use them. */
  readonly fifo: FifoState | undefined;
  /** shared_info as the guest sees it. */
  readonly sharedInfo: Uint8Array;

  /** Number of records that can exist: a multi-vector map and a search for a GSI may run beyond nrPirqs. */
  readonly records: number;
  /** irq << {@link IRQ_SHIFT} | {@link HAS}; 0 without a record. */
  readonly #pirqs: Int32Array;
  /** Written by {@link setPort} only. */
  readonly evtchn: Int32Array;
  /** Written by {@link setEmuirq} only. */
  readonly emuirq: Int32Array;
  /**
   * What the searches for pirqs look at, derived from the records: those that are free, singly and in runs, and
   * those without a record.
   */
  readonly free: FreeBitmap;
  readonly recordless: FreeBitmap;
  /** From here on HVM only, empty for PV: the pass-through part of the record. */
  readonly dpciFlags: Int32Array;
  readonly gvec: Int32Array;
  readonly gflags: Int32Array;
  readonly destVcpu: Int32Array;
  readonly dpciMasked: Int32Array;
  readonly dpciPending: Int32Array;
  /** A pass-through softirq is queued. */
  readonly dpciScheduled: Int32Array;

  /** Per host irq: pirq, −pirq (deferred), 0 (prepared) or {@link ABSENT}. */
  readonly irqPirq: Int32Array;
  /** Per emulated GSI, and last for IRQ_MSI_EMU: pirq or {@link ABSENT}. */
  readonly emuirqPirq: Int32Array;
  /** Host irqs that the domain may use. */
  readonly irqCaps: Uint8Array;
  /** How many sources assert an emulated GSI. */
  readonly gsiAsserts: Int32Array;
  /** Asserted INTx lines of emulated slots, bit (slot × 4 + pin). */
  readonly intxAsserted: Int32Array;
  /** Requested vectors of each virtual APIC, eight words each. */
  readonly virtualIrr: Int32Array;
  /** Logical id of each virtual APIC, 0 after reset; the guest sets it. Flat model. */
  readonly logicalIds: Uint8Array;
  /** Event channels of each vCPU's virqs. */
  readonly virqPort: Int32Array;
  readonly #flags: Int32Array;

  constructor(
    arena: Arena,
    slot: number,
    host: { nrIrqs: number; gsis: number; profile?: { limits: { eventLinkBits: number } } },
    config: DomainConfig & { nrPirqs: number; hasPirq: boolean },
  ) {
    const { nrIrqs, gsis } = host;
    if (nrIrqs > MAX_IRQS)
      throw new UsageError(`${nrIrqs} host irqs are more than the ${MAX_IRQS} that a record can name`);
    this.slot = slot;
    this.id = config.id;
    this.kind = config.kind;
    this.isHvm = config.kind === 'hvm';
    this.hasPirq = this.isHvm && config.hasPirq;
    this.nrPirqs = config.nrPirqs;
    this.target = config.target ?? -1;
    this.vcpus = config.vcpus ?? 1;
    this.abi = config.abi ?? 'x86-64';
    this.callbackVector = config.callbackVector ?? true;
    this.hasMemory = config.hasMemory ?? true;
    this.iommu = config.iommu ?? true;

    const label = (name: string) => `xen.dom${config.id}.${name}`;
    this.records = Math.max(this.nrPirqs + (config.slack ?? MULTI_MSI_SLACK), gsis);
    const column = (name: string) => arena.int32(this.records, label(name));
    const hvmColumn = (name: string) => arena.int32(this.isHvm ? this.records : 0, label(name));
    this.#pirqs = column('pirqs');
    this.evtchn = column('evtchn');
    this.emuirq = column('emuirq');
    const searched = Math.max(this.nrPirqs, gsis);
    this.free = new FreeBitmap(arena, searched, label('free'), MULTI_MSI_LOG2);
    this.recordless = new FreeBitmap(arena, searched, label('recordless'));
    this.dpciFlags = hvmColumn('dpciFlags');
    this.gvec = hvmColumn('gvec');
    this.gflags = hvmColumn('gflags');
    this.destVcpu = hvmColumn('destVcpu');
    this.dpciMasked = hvmColumn('dpciMasked');
    this.dpciPending = hvmColumn('dpciPending');
    this.dpciScheduled = hvmColumn('dpciScheduled');
    this.irqPirq = arena.int32(nrIrqs, label('irqPirq'));
    this.emuirqPirq = arena.int32(this.isHvm ? NR_HVM_DOMU_IRQS + 1 : 0, label('emuirqPirq'));
    this.irqCaps = arena.bytes(nrIrqs, label('irqCaps'));
    this.gsiAsserts = arena.int32(this.isHvm ? NR_HVM_DOMU_IRQS : 0, label('gsiAsserts'));
    this.intxAsserted = arena.int32(this.isHvm ? 4 : 0, label('intxAsserted'));
    this.virtualIrr = arena.int32(this.isHvm ? 8 * this.vcpus : 0, label('virtualIrr'));
    this.logicalIds = arena.bytes(this.isHvm ? this.vcpus : 0, label('logicalIds'));
    this.virqPort = arena.int32(24 * this.vcpus, label('virqPort'));
    const maxPort = config.maxPort ?? 1023;
    const eventLinkBits = host.profile?.limits.eventLinkBits ?? EVTCHN_FIFO.linkBits;
    const fifoPorts = config.fifo ? 2 ** eventLinkBits : 0;
    this.ports = new PortTable(arena, config.id, maxPort, EVTCHN_2L_PORTS[this.abi], this.vcpus, fifoPorts);
    this.fifo = config.fifo
      ? new FifoState(arena, config.id, this.ports.state.length, this.vcpus, eventLinkBits)
      : undefined;
    this.sharedInfo = arena.bytes(codec(SHARED_INFO, this.abi).size, label('sharedInfo'));
    this.#flags = arena.int32(8, label('flags'));
    this.reset();
  }

  /** The state of a new domain. */
  reset(): void {
    for (const column of [this.#pirqs, this.evtchn, this.dpciFlags, this.gvec, this.gflags]) column.fill(0);
    for (const column of [this.dpciMasked, this.dpciPending, this.dpciScheduled, this.gsiAsserts, this.intxAsserted])
      column.fill(0);
    this.emuirq.fill(IRQ_UNBOUND);
    this.free.fill();
    this.recordless.fill();
    this.destVcpu.fill(-1);
    this.irqPirq.fill(ABSENT);
    this.emuirqPirq.fill(ABSENT);
    this.irqCaps.fill(0);
    this.virtualIrr.fill(0);
    this.logicalIds.fill(0);
    this.virqPort.fill(0);
    this.sharedInfo.fill(0);
    this.#flags.fill(0);
    this.ports.reset();
    this.fifo?.reset();
    this.alive = true;
  }

  /** True if a domain of this configuration can take the place of this one. */
  hasShape(config: DomainConfig & { nrPirqs: number; hasPirq: boolean }): boolean {
    return (
      this.kind === config.kind &&
      this.nrPirqs === config.nrPirqs &&
      this.hasPirq === (this.isHvm && config.hasPirq) &&
      this.target === (config.target ?? -1) &&
      this.vcpus === (config.vcpus ?? 1) &&
      this.abi === (config.abi ?? 'x86-64') &&
      this.ports.maxPort === (config.maxPort ?? 1023) &&
      (this.fifo !== undefined) === (config.fifo ?? false)
    );
  }

  get alive(): boolean {
    return this.#flags[FLAG.alive] !== 0;
  }
  set alive(value: boolean) {
    this.#flags[FLAG.alive] = +value;
  }
  /** Destruction has begun. */
  get dying(): boolean {
    return this.#flags[FLAG.dying] !== 0;
  }
  set dying(value: boolean) {
    this.#flags[FLAG.dying] = +value;
  }
  /** Xen has killed the domain. */
  get crashed(): boolean {
    return this.#flags[FLAG.crashed] !== 0;
  }
  set crashed(value: boolean) {
    this.#flags[FLAG.crashed] = +value;
  }
  /** A pass-through binding was ever attempted. */
  get dpciRoot(): boolean {
    return this.#flags[FLAG.dpciRoot] !== 0;
  }
  set dpciRoot(value: boolean) {
    this.#flags[FLAG.dpciRoot] = +value;
  }
  /** An EOI unmasks the event channel (EOI page, version 1). */
  get autoUnmask(): boolean {
    return this.#flags[FLAG.autoUnmask] !== 0;
  }
  set autoUnmask(value: boolean) {
    this.#flags[FLAG.autoUnmask] = +value;
  }
  /** Frame number of the EOI page + 1, or 0. */
  get eoiPage(): number {
    return this.#flags[FLAG.eoiPage];
  }
  set eoiPage(value: number) {
    this.#flags[FLAG.eoiPage] = value;
  }
  /** The vCPU that took the last lowest-priority message. */
  get lastVcpu(): number {
    return this.#flags[FLAG.lastVcpu];
  }
  set lastVcpu(value: number) {
    this.#flags[FLAG.lastVcpu] = value;
  }
  /** Guest MSI-X tables can be registered: a device with MSI-X was assigned. */
  get msixTables(): boolean {
    return this.#flags[FLAG.msixTables] !== 0;
  }
  set msixTables(value: boolean) {
    this.#flags[FLAG.msixTables] = +value;
  }

  get isHardwareDomain(): boolean {
    return this.kind === 'pv-hwdom';
  }

  /** True if there is a record; all members have their defaults otherwise. */
  hasRecord(pirq: number): boolean {
    return pirq >= 0 && pirq < this.records && (this.#pirqs[pirq] & HAS.record) !== 0;
  }

  /** Host irq behind a pirq. common macro domain_pirq_to_irq: 0 without a record. */
  irqOf(pirq: number): number {
    return this.hasRecord(pirq) ? this.#pirqs[pirq] >> IRQ_SHIFT : 0;
  }

  /** An event channel is bound to the pirq. */
  hasPort(pirq: number): boolean {
    return (this.#pirqs[pirq] & HAS.port) !== 0;
  }

  /** The interrupt waits for the guest's EOI. */
  isMasked(pirq: number): boolean {
    return (this.#pirqs[pirq] & HAS.masked) !== 0;
  }

  emuirqOf(pirq: number): number {
    return this.hasRecord(pirq) ? this.emuirq[pirq] : IRQ_UNBOUND;
  }

  /** The pirq of a host irq: 0 if unknown or only prepared, negative if deferred. */
  pirqOf(irq: number): number {
    const pirq = irq >= 0 && irq < this.irqPirq.length ? this.irqPirq[irq] : ABSENT;
    return pirq === ABSENT ? 0 : pirq;
  }

  /** Index of an emuirq in {@link emuirqPirq}. */
  static emuirqSlot(emuirq: number): number {
    return emuirq === IRQ_MSI_EMU ? NR_HVM_DOMU_IRQS : emuirq;
  }

  pirqOfEmuirq(emuirq: number): number {
    const pirq = this.emuirqPirq[Domain.emuirqSlot(emuirq)] ?? ABSENT;
    return pirq === ABSENT ? IRQ_UNBOUND : pirq;
  }

  /** Makes sure that there is a record. common/domain.c: pirq_get_info */
  makeRecord(pirq: number): void {
    this.#pirqs[pirq] |= HAS.record;
    if (pirq < this.recordless.size) this.recordless.set(pirq, false);
  }

  /** Sets what a record says of its host irq: 0 none, an irq, −irq (deferred) or {@link PIRQ_ALLOCATED}. */
  setIrq(pirq: number, irq: number): void {
    this.#pirqs[pirq] = (this.#pirqs[pirq] & ((1 << IRQ_SHIFT) - 1)) | (irq << IRQ_SHIFT);
    this.#updateFree(pirq);
  }

  /** Sets the event channel of a record; 0 none. */
  setPort(pirq: number, port: number): void {
    this.evtchn[pirq] = port;
    if (port !== 0) this.#pirqs[pirq] |= HAS.port;
    else this.#pirqs[pirq] &= ~HAS.port;
  }

  setMasked(pirq: number, masked: boolean): void {
    if (masked) this.#pirqs[pirq] |= HAS.masked;
    else this.#pirqs[pirq] &= ~HAS.masked;
  }

  setEmuirq(pirq: number, emuirq: number): void {
    this.emuirq[pirq] = emuirq;
    this.#updateFree(pirq);
  }

  /** Neither mapped nor reserved nor deferred nor an emulated irq's. An event channel does not count. */
  #updateFree(pirq: number): void {
    if (pirq >= this.free.size) return;
    const irq = this.#pirqs[pirq] >> IRQ_SHIFT;
    this.free.set(pirq, irq === 0 && (!this.isHvm || this.emuirq[pirq] === IRQ_UNBOUND));
  }

  /** Takes a record out of the tree, so that all members read as defaults. */
  removeRecord(pirq: number): void {
    if (this.hasPort(pirq)) this.evtchn[pirq] = 0;
    this.#pirqs[pirq] = 0;
    if (this.isHvm) this.emuirq[pirq] = IRQ_UNBOUND;
    this.#updateFree(pirq);
    if (pirq < this.recordless.size) this.recordless.set(pirq, true);
    if (!this.isHvm) return;
    this.dpciFlags[pirq] = this.gvec[pirq] = this.gflags[pirq] = 0;
    this.destVcpu[pirq] = -1;
    this.dpciMasked[pirq] = this.dpciPending[pirq] = this.dpciScheduled[pirq] = 0;
  }

  mayUseIrq(irq: number): boolean {
    return irq >= 0 && irq < this.irqCaps.length && this.irqCaps[irq] !== 0;
  }
}
