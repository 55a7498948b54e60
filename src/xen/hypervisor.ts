import { UsageError } from '../core/index.ts';
import {
  codec,
  DOMID_SELF,
  ERRNO,
  EVTCHN_OP,
  HYPERCALL,
  PHYSDEV_OP,
  XENFEAT,
  XENVER_GET_FEATURES,
} from './abi/index.ts';
import { Caller } from './caller.ts';
import { assertGsi, deassertGsi, deliverMessage, fireEoiTimers, raiseGsi, runHost } from './delivery.ts';
import { Domain, type DomainConfig } from './domain.ts';
import { cleanBindings } from './dpci.ts';
import { closeAll } from './event-channel.ts';
import { HostFault } from './fault.ts';
import { attachMemory, type GuestMemory } from './guest-memory.ts';
import { Host, type HostOptions } from './host.ts';
import { assignVector, createIrq } from './host-irq.ts';
import { IRQ_ACTION, IRQ_HANDLER, IRQ_STATUS } from './irq-table.ts';
import { unmapPirq } from './map-pirq.ts';
import { Argument, type Fault } from './ops/argument.ts';
import { dmOp, hvmOp } from './ops/device-model.ts';
import { domctl } from './ops/domctl.ts';
import { eventChannelOp } from './ops/event-channel.ts';
import { physdevOp } from './ops/physdev.ts';
import { addDevice, releaseDevice } from './pci.ts';
import { PirqSpace } from './pirq-space.ts';
import { getXenProfile, type XenProfile } from './profile.ts';
import { requireRange } from './require-range.ts';
import { domainPirqs } from './sizes.ts';

export interface HypervisorOptions extends Omit<HostOptions, 'profile'> {
  /** A release's name, or a profile with switches changed; default `xen-4.17`. */
  xen?: string | XenProfile;
  /** Host irqs from the GSI count up to here are Xen's own; default none. */
  firstIrq?: number;
}

export interface HypercallOptions {
  /** What is wrong with the caller's pointer. */
  fault?: Fault;
  /** dm_op: the buffers, of which the first holds the operation. */
  buffers?: readonly Uint8Array[];
  /** The caller's memory, for calls that name frames of it. */
  memory?: GuestMemory;
}

/** `bytes`: the argument after the call. */
export interface HypercallResult {
  ret: number;
  bytes: Uint8Array;
}

/**
 * Xen's interrupt machinery for guests: hypercalls in bytes, host interrupts in, events and virtual interrupts out.
 * All state is in the arena; nothing here changes but that.
 */
export class Hypervisor {
  /** The shared state, for inspection and for the typed functions of this folder. */
  readonly host: Host;

  /** @throws UsageError for an unknown release or a size out of range */
  constructor(options: HypervisorOptions) {
    const { xen = 'xen-4.17', firstIrq, ...rest } = options;
    const profile = typeof xen === 'string' ? getXenProfile(xen) : xen;
    const h = new Host({ ...rest, profile });
    if (firstIrq !== undefined) requireRange('firstIrq', firstIrq, h.gsis, h.nrIrqs);
    this.host = h;
    for (let gsi = 1; gsi < h.gsis; gsi++) {
      if (gsi === CASCADE_IRQ) continue;
      assignVector(h, gsi);
      h.irqs.handler[gsi] = gsi >= h.levelFrom ? IRQ_HANDLER.ioApicLevel : IRQ_HANDLER.ioApicEdge;
    }
    for (let irq = h.gsis; irq < (firstIrq ?? h.gsis); irq++) createIrq(h, undefined);
  }

  get profile(): XenProfile {
    return this.host.profile;
  }

  /**
   * Creates a domain, or one anew under a number whose domain is gone.
   * @throws UsageError if the number or size is out of range, taken, or was that of a domain of another shape
   */
  createDomain(config: DomainConfig): Domain {
    const h = this.host;
    const nrPirqs = config.nrPirqs ?? domainPirqs(h.profile, h.size, config.kind === 'pv-hwdom');
    const hasPirq = config.hasPirq ?? h.profile.hvmPirqsByDefault;
    requireRange('domain number', config.id, 0, DOMID_SELF - 1);
    requireRange('nrPirqs', nrPirqs, CASCADE_IRQ + 1, MAX_PIRQS);
    requireRange('domains', h.domains.length, 0, MAX_DOMAINS - 1);
    const former = h.domains.find((d) => d.id === config.id);
    if (former?.alive) throw new UsageError(`domain ${config.id} exists`);
    if (former && !former.hasShape({ ...config, nrPirqs, hasPirq }))
      throw new UsageError(`domain ${config.id} was of another kind or size; take another number`);
    const d = former ?? new Domain(h.arena, h.domains.length, h, { ...config, nrPirqs, hasPirq });
    if (former) former.reset();
    else {
      h.domains.push(d);
      h.spaces.push(new PirqSpace(d, h.gsis, h.profile.allocationDirection === 'bottom-up'));
    }
    if (config.memory) attachMemory(d, config.memory);
    h.intx.attach(d);
    // the cascade is the one legacy irq that no IO-APIC serves
    d.makeRecord(CASCADE_IRQ);
    d.setIrq(CASCADE_IRQ, CASCADE_IRQ);
    d.irqPirq[CASCADE_IRQ] = CASCADE_IRQ;
    if (d.isHardwareDomain) d.irqCaps.fill(1, 1, h.gsis);
    return d;
  }

  /** The living domain with this number. @throws UsageError if there is none */
  domain(domid: number): Domain {
    const d = this.host.domainById(domid);
    if (!d) throw new UsageError(`no domain ${domid}`);
    return d;
  }

  /** A domain's hypercalls with named arguments. */
  as(domid: number): Caller {
    return new Caller(this, domid);
  }

  /** Ends a domain as its toolstack would: ports closed, bindings undone, everything unmapped, devices given back. */
  destroyDomain(domid: number): void {
    const h = this.host;
    const d = this.domain(domid);
    this.#guarded(() => {
      d.dying = true;
      closeAll(h, d);
      cleanBindings(h, d);
      for (let dev = 0; dev < h.devices.capacity; dev++)
        if (h.devices.known[dev] && h.devices.owner[dev] === d.id) releaseDevice(h, dev);
      for (let pirq = 0; pirq < d.nrPirqs; pirq++) if (d.irqOf(pirq) > 0) unmapPirq(h, d, pirq);
      d.alive = false;
      runHost(h);
    });
  }

  /**
   * One hypercall of a domain. `cmd` is the sub-operation, for dm_op the target domain; the legacy calls (16, 19) and
   * domctl carry it in their bytes. `bytes` are left alone; the answer holds them as the call leaves them.
   * @throws HostFault where the real hypervisor would have died, and for every call after that
   */
  hypercall(
    domid: number,
    nr: number,
    cmd: number,
    bytes: Uint8Array,
    options: HypercallOptions = {},
  ): HypercallResult {
    const d = this.domain(domid);
    if (options.memory) attachMemory(d, options.memory);
    const copy = bytes.slice();
    const arg = new Argument(copy, options.fault);
    const ret = this.#guarded(() => {
      const value = this.#dispatch(d, nr, cmd, arg, options);
      runHost(this.host);
      return value;
    });
    this.host.trace?.({ kind: 'hypercall', domid, nr, cmd, ret });
    return { ret, bytes: copy };
  }

  #dispatch(d: Domain, nr: number, cmd: number, arg: Argument, options: HypercallOptions): number {
    const h = this.host;
    switch (nr) {
      case HYPERCALL.physdevOp:
        return physdevOp(h, d, cmd | 0, arg);
      case HYPERCALL.eventChannelOp:
        return eventChannelOp(h, d, cmd | 0, arg);
      case HYPERCALL.domctl:
        return domctl(h, d, arg);
      case HYPERCALL.hvmOp:
        return hvmOp(h, d, cmd, arg);
      case HYPERCALL.dmOp: {
        const buffers = options.buffers?.map((b) => new Argument(b, options.fault)) ?? [arg];
        // the list of buffers itself is read before anything else
        if (options.fault === 'read' || options.fault === 'null') return -ERRNO.EFAULT;
        return dmOp(h, d, cmd, buffers);
      }
      case HYPERCALL.physdevOpCompat: {
        if (d.isHvm) return -ERRNO.ENOSYS;
        const c = codec(PHYSDEV_OP, d.abi);
        const op = arg.copyIn(c.size);
        return op ? physdevOp(h, d, c.decode(op).cmd | 0, arg.part(c.at.u)) : -ERRNO.EFAULT;
      }
      case HYPERCALL.eventChannelOpCompat: {
        if (d.isHvm) return -ERRNO.ENOSYS;
        const c = codec(EVTCHN_OP, d.abi);
        const op = arg.copyIn(c.size);
        if (!op) return -ERRNO.EFAULT;
        const legacy = c.decode(op).cmd;
        return legacy > LAST_LEGACY_EVTCHNOP ? -ERRNO.ENOSYS : eventChannelOp(h, d, legacy, arg.part(c.at.u));
      }
      case HYPERCALL.xenVersion:
        return cmd === XENVER_GET_FEATURES ? this.#getFeatures(d, arg) : -ERRNO.ENOSYS;
      default:
        return -ERRNO.ENOSYS;
    }
  }

  /** The feature bits that concern interrupts. common/kernel.c: XENVER_get_features */
  #getFeatures(d: Domain, arg: Argument): number {
    const bytes = arg.copyIn(8);
    if (!bytes) return -ERRNO.EFAULT;
    const submap = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24);
    if (submap !== 0) return -ERRNO.EINVAL;
    let features = 0;
    if (d.isHvm) features |= (1 << XENFEAT.hvmCallbackVector) | (1 << XENFEAT.hvmSafePvclock);
    if (d.isHvm && (d.hasPirq || this.profile.hvmPirqsFeature === 'every-hvm')) features |= 1 << XENFEAT.hvmPirqs;
    if (d.isHardwareDomain) features |= 1 << XENFEAT.dom0;
    for (let i = 0; i < 4; i++) bytes[4 + i] = features >> (8 * i);
    return arg.copyOut(bytes) ? 0 : -ERRNO.EFAULT;
  }

  /** Xen learns of a host device, as from the hardware domain's PHYSDEVOP_pci_device_add. 0 or −errno. */
  addDevice(sbdf: number): number {
    const hwdom = this.host.hardwareDomain;
    if (!hwdom) throw new UsageError('a device needs a hardware domain to own it');
    return this.#guarded(() => addDevice(this.host, hwdom, sbdf));
  }

  /** A host device's message arrives; false if it is no interrupt or blocked. Words of 32 bits, signed or not. */
  deliverMessage(addressLo: number, addressHi: number, data: number): boolean {
    this.#requireLife();
    try {
      return deliverMessage(this.host, addressLo, addressHi, data); // not as below: a closure for every interrupt
    } catch (fault) {
      this.#noteDeath(fault);
      throw fault;
    }
  }

  /** One interrupt on a host GSI; false if no domain is bound to it. */
  raiseGsi(gsi: number): boolean {
    return this.#guarded(() => raiseGsi(this.host, gsi));
  }

  /** The 1 ms timers that force overdue EOIs fire; how many there were. */
  tick(): number {
    return this.#guarded(() => fireEoiTimers(this.host));
  }

  /** A source of an HVM domain's emulated GSI (0 … 47) is asserted or deasserted. */
  setEmulatedGsi(domid: number, gsi: number, level: boolean): void {
    const d = this.domain(domid);
    if (level) this.#guarded(() => assertGsi(this.host, d, gsi));
    else deassertGsi(d, gsi);
  }

  /** The `nth` following update of the interrupt remapper fails with -EIO; 0 = none does. */
  failRemapping(nth: number): void {
    this.host.state[REMAP_FAILS] = nth;
  }

  /** Xen takes a host irq for itself, so that no guest can. */
  claimIrq(irq: number): void {
    this.host.irqs.action[irq] = IRQ_ACTION.xen;
    this.host.irqs.status[irq] &= ~IRQ_STATUS.disabled;
  }

  /** Runs something that may kill the host, and refuses to run on a dead one. */
  #guarded<T>(run: () => T): T {
    this.#requireLife();
    try {
      return run();
    } catch (fault) {
      this.#noteDeath(fault);
      throw fault;
    }
  }

  #requireLife(): void {
    if (this.host.state[HOST_DEAD]) throw new HostFault('bug', 'the host has died before');
  }

  #noteDeath(fault: unknown): void {
    if (!(fault instanceof HostFault)) return;
    this.host.state[HOST_DEAD] = 1;
    this.host.softirqs.clear();
  }
}

const CASCADE_IRQ = 2;
/** What fits the tables: a byte per guest of an irq, and the bound of the pass-through queue. */
const MAX_DOMAINS = 255;
const MAX_PIRQS = 0xffffff;
const LAST_LEGACY_EVTCHNOP = 9;
const REMAP_FAILS = 0;
const HOST_DEAD = 1;
