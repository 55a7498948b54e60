import { Arena } from '../core/index.ts';
import type { Domain } from './domain.ts';
import { EoiStack } from './eoi-stack.ts';
import type { HostBus } from './host-bus.ts';
import { DeviceTable } from './host-device.ts';
import { IntxTable } from './intx-table.ts';
import { IrqTable } from './irq-table.ts';
import { LocalApics } from './local-apic.ts';
import { MsiTable } from './msi-table.ts';
import type { PirqSpace } from './pirq-space.ts';
import type { XenProfile } from './profile.ts';
import { requireRange } from './require-range.ts';
import { type HostSize, hostIrqs } from './sizes.ts';
import type { TraceSink } from './trace.ts';
import { VectorPool } from './vector-pool.ts';
import { WorkQueue } from './work-queue.ts';

export interface HostOptions extends Partial<HostSize> {
  profile: XenProfile;
  bus: HostBus;
  /** Interrupt remapping by an IOMMU; without it a device can have one plain MSI vector only. */
  intremap?: boolean;
  /** Interrupts follow the vCPU that handles them; default true (`noirqbalance` switches it off). */
  irqBalance?: boolean;
  /** GSIs from here up are level triggered; default 16. */
  levelFrom?: number;
  /** Devices that Xen can know; default 64. */
  maxDevices?: number;
  /** Bound of a shared irq's guests, `irq-max-guests=`; default by release. */
  maxGuestsPerIrq?: number;
  arena?: Arena;
  trace?: TraceSink | undefined;
}

/** A flat logical id has eight bits. */
const FLAT_CPUS = 8;

/** A pass-through softirq waits for this record: 32 bits, so that raising one allocates nothing. */
export function dpciWork(slot: number, pirq: number): number {
  return (slot << PIRQ_BITS) | pirq;
}
export const dpciSlot = (work: number) => work >>> PIRQ_BITS;
export const dpciPirq = (work: number) => work & ((1 << PIRQ_BITS) - 1);
/** More pirqs than any domain has; the rest is enough for the slots. */
const PIRQ_BITS = 24;
/** What the model's tables are made for. */
const MAX_IRQS = 1 << 24;

/** Everything of one machine that the parts of the hypervisor share. */
export class Host {
  readonly arena: Arena;
  readonly profile: XenProfile;
  readonly bus: HostBus;
  readonly size: HostSize;
  readonly gsis: number;
  readonly nrIrqs: number;
  readonly levelFrom: number;
  readonly intremap: boolean;
  readonly irqBalance: boolean;
  /** The local APICs are addressed by bits of a logical id, so that a vector is the same on all of them. */
  readonly flat: boolean;
  readonly irqs: IrqTable;
  readonly vectors: VectorPool;
  readonly apics: LocalApics;
  readonly eoi: EoiStack;
  readonly devices: DeviceTable;
  readonly msis: MsiTable;
  readonly intx: IntxTable;
  /** By slot; slots are never given up. */
  readonly domains: Domain[] = [];
  readonly spaces: PirqSpace[] = [];
  /** Pass-through softirqs in the order raised; empty whenever no call is in progress. */
  readonly softirqs = new WorkQueue();
  /** Word 0: remapping updates until one fails, 0 = none does. Word 1: the host has died. */
  readonly state: Int32Array;
  /** Told of what happens. Without it the way of an interrupt allocates nothing. */
  trace: TraceSink | undefined;

  constructor(options: HostOptions) {
    const { profile } = options;
    this.arena = options.arena ?? new Arena();
    this.profile = profile;
    this.bus = options.bus;
    this.size = { ...options, gsis: options.gsis ?? 24, cpus: options.cpus ?? 1 };
    this.gsis = this.size.gsis;
    this.nrIrqs = hostIrqs(profile, this.size);
    requireRange('gsis', this.gsis, 16, 32768);
    requireRange('cpus', this.size.cpus, 1, profile.limits.cpus);
    requireRange('nrIrqs', this.nrIrqs, this.gsis, MAX_IRQS);
    this.levelFrom = options.levelFrom ?? 16;
    this.intremap = options.intremap ?? false;
    this.irqBalance = options.irqBalance ?? true;
    this.trace = options.trace;
    this.flat = profile.hostMessage === 'logical-lowest' && this.size.cpus <= FLAT_CPUS;
    const { arena } = this;
    this.state = arena.int32(2, 'xen.host');
    this.irqs = new IrqTable(arena, this.nrIrqs, this.gsis, options.maxGuestsPerIrq ?? profile.guestsPerIrq.shared);
    this.vectors = new VectorPool(arena, profile.vectors, this.size.cpus, this.flat);
    this.apics = new LocalApics(arena, this.size.cpus);
    this.eoi = new EoiStack(arena, this.size.cpus);
    this.devices = new DeviceTable(arena, options.maxDevices ?? 64);
    this.intx = new IntxTable(arena);
    // at most one descriptor per MSI irq, and one group that is being set up
    this.msis = new MsiTable(arena, this.nrIrqs - this.gsis + 32);
  }

  /** The living domain with this number. */
  domainById(domid: number): Domain | undefined {
    return this.domains.find((d) => d.id === domid && d.alive);
  }

  get hardwareDomain(): Domain | undefined {
    return this.domains.find((d) => d.isHardwareDomain && d.alive);
  }

  crash(d: Domain): void {
    d.crashed = true;
    this.trace?.({ kind: 'domain-crash', domid: d.id });
  }
}
