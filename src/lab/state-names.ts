import { IRQ, IRQ_TYPE, VECTOR } from '../guest/index.ts';
import { decodePirqMessage } from '../xen/abi/index.ts';
import type { MsixTables, PassthroughMsi } from '../xen/device-model/index.ts';
import {
  ABSENT,
  type Domain,
  ECS,
  type Host,
  IRQ_ACTION,
  IRQ_UNUSED,
  isMasked2l,
  isPending2l,
  NO_MSI,
  PIRQ_ALLOCATED,
} from '../xen/index.ts';
import { AlikeSlots } from './alike-slots.ts';
import type { Machine, Slot } from './machine.ts';
import { GUEST_DOMAIN, HOST_DOMAIN } from './machine-setup.ts';
import { NameOwners, namesInAnswer, partsOf, SORT } from './name-places.ts';
import { Names } from './names.ts';
import type { WordRange, WorldNames } from './world.ts';

/** Room for what is told of a state. */
const MAX_WORDS = 1 << 15;
/** Address bits that hold a pirq, see {@link decodePirqMessage}. */
const PIRQ_ADDRESS_LO = 0xff << 12;
const PIRQ_ADDRESS_HI = 0xffffff00;
/** Vectors of a CPU. */
const VECTORS = 256;
/** Ends a list. */
const END = -0x7fff_ffff;

/**
 * A machine's state without mere names. Which host irq, message descriptor, CPU vector, event channel port and Linux irq a
 * thing has decides nothing: they are taken from the free ones and never compared, so two states that differ in nothing
 * else behave alike for ever. They are told in the order in which the devices lead to them. Were one given up that
 * something still refers to, it would matter which is taken next: then that sort is told by number.
 *
 * Of pirqs the order of the numbers matters as well, as the search takes the highest free one, which a stale
 * message may still name. It is told for those that are free and referred to, and for those held that may be given up
 * yet; between them counts only how many others are free. A pirq that only settled controllers hold, which will give up
 * none, is a mere name.
 */
export class StateNames implements WorldNames {
  readonly #machine: Machine;
  readonly #host: Host;
  readonly #domain: Domain;
  readonly #hostDomain: Domain;
  /** By the kernel's row of a function: its bit as a controller. */
  readonly #bitOfRow: number[] = [];
  /** By the same: its place in the order of telling. */
  readonly #placeOfRow: number[] = [];
  readonly #naturalOrder: readonly number[];
  #alike: AlikeSlots | undefined | 'not asked' = 'not asked';
  readonly #words = new Int32Array(MAX_WORDS);
  #count = 0;
  readonly #pirqs: Names;
  readonly #irqs: Names;
  readonly #guestIrqs: Names;
  readonly #sorts: readonly Names[];
  #hasPins = false;
  /** By pirq: controllers that refer to it, as bits; and whose references are told now. */
  readonly #holders: Int32Array;
  #holder = 0;
  readonly #keepsEver: boolean;
  /** Nothing is told without names, as registers that are told as they are hold some. */
  #isExact = false;
  /** The bitmap of free pirqs begins with a bit for each. */
  readonly free: WordRange;
  readonly namesInAnswer = namesInAnswer;
  readonly #owners: NameOwners;
  /** By sort and number: 1 if the name is to be told as it is. */
  readonly #pinned: Uint8Array[];

  constructor(machine: Machine) {
    this.#machine = machine;
    const { hypervisor, records, slots } = machine;
    this.#host = hypervisor.host;
    this.#domain = hypervisor.domain(GUEST_DOMAIN);
    const { irqs, gsis } = this.#host;
    this.#pirqs = new Names(gsis, this.#domain.records);
    this.#holders = new Int32Array(this.#domain.records);
    this.#irqs = new Names(gsis, irqs.count, (irq) => irqs.used[irq] !== IRQ_UNUSED);
    this.#hostDomain = hypervisor.domain(HOST_DOMAIN);
    this.#naturalOrder = slots.map((_, i) => i);
    this.#keepsEver = machine.options.kernel.reuse === 'R0';
    for (const [i, slot] of slots.entries()) this.#bitOfRow[records.rowOf(slot.guestBdf)] = 1 << i;
    const { table } = records.irqList;
    this.#guestIrqs = new Names(
      records.shape.gsis,
      table.rows,
      (irq) => table.words[IRQ.width * irq + IRQ.type] !== IRQ_TYPE.free,
    );
    const { ports } = this.#domain;
    const { msis } = this.#host;
    this.#sorts = [this.#pirqs, this.#irqs, this.#guestIrqs];
    this.#pinned = this.#sorts.map((names) => names.pinned);
    for (const count of [ports.state.length, msis.capacity, machine.arena.words.length])
      this.#pinned.push(new Uint8Array(count));
    this.#owners = new NameOwners(machine.arena, irqs.maxGuests);
    const { from } = machine.arena.runs().find(({ label }) => label === `xen.dom${GUEST_DOMAIN}.free`)!;
    this.free = { from, to: from + Math.ceil(this.#domain.free.size / 32) };
  }

  /** Found when first asked for, as it takes longer than the rest of a machine's names and few explorations want it. */
  get alike(): AlikeSlots | undefined {
    if (this.#alike === 'not asked') this.#alike = AlikeSlots.of(this.#machine);
    return this.#alike;
  }

  tell(settled: number, pinned: readonly number[], order: readonly number[] = this.#naturalOrder): Int32Array {
    this.#count = 0;
    for (const names of this.#sorts) names.clear();
    this.#hasPins = pinned.length > 0;
    this.#pin(pinned, 1);
    try {
      this.#tell(settled, order);
    } finally {
      this.#pin(pinned, 0);
    }
    return this.#words.subarray(0, this.#count);
  }

  ownersOf(words: Iterable<number>): number[] {
    return this.#owners.of(words);
  }

  #pin(names: readonly number[], isPinned: number): void {
    for (const name of names) {
      const { sort, number } = partsOf(name);
      if (number < this.#pinned[sort].length) this.#pinned[sort][number] = isPinned;
    }
  }

  /** A name of which the number never matters, unless it is pinned. */
  #unlessPinned(sort: number, number: number): void {
    this.#put(this.#isExact || this.#pinned[sort][number] ? number : 0);
  }

  #tell(settled: number, order: readonly number[]): void {
    this.#holders.fill(0);
    this.#isExact = this.#machine.slots.some(({ model }) => model.msi && isUsed(model.msi));
    for (const names of this.#sorts) {
      names.isExactNow = this.#isExact;
      names.hasExceptions = this.#isExact || names.isExact || this.#hasPins;
    }
    for (let place = 0; place < order.length; place++) {
      const slot = this.#machine.slots[order[place]];
      this.#placeOfRow[this.#machine.records.rowOf(slot.guestBdf)] = place;
    }
    for (const i of order) {
      this.#holder = 1 << i;
      this.#slot(this.#machine.slots[i]);
    }
    this.#holder = 0;
    this.#others();
    this.#records();
    this.#order(settled);
  }

  #put(word: number): void {
    this.#words[this.#count++] = word;
  }

  #pirq(pirq: number): void {
    if (this.#pirqs.isName(pirq)) this.#holders[pirq] |= this.#holder;
    this.#put(this.#pirqs.tell(pirq));
  }

  /** A message; the pirq that it names apart. */
  #message(lo: number, hi: number, data: number): void {
    const pirq = lo === 0 ? -1 : decodePirqMessage(lo, hi, data);
    this.#put(pirq < 0 ? lo : lo & ~PIRQ_ADDRESS_LO);
    this.#put(pirq < 0 ? hi : hi & ~PIRQ_ADDRESS_HI);
    this.#put(data);
    this.#pirq(pirq);
  }

  /** What a controller's driver, device model and device refer to. */
  #slot({ guestBdf, model, fn }: Slot): void {
    const { records } = this.#machine;
    const { vectors, queues } = records.shape;
    const row = records.rowOf(guestBdf);
    for (let entry = 0; entry < vectors; entry++) {
      const at = VECTOR.width * (row * vectors + entry);
      const { words } = records.vectorTable;
      this.#put(this.#guestIrqs.tell(words[at + VECTOR.irq]));
      this.#put(words[at + VECTOR.ctrl]);
      this.#message(words[at + VECTOR.addressLo], words[at + VECTOR.addressHi], words[at + VECTOR.data]);
    }
    for (let queue = 0; queue < queues; queue++)
      this.#put(this.#guestIrqs.tell(records.queueIrqs[row * queues + queue]));
    if (model.msix) this.#tables(model.msix.tables);
    this.#descriptors(this.#host.devices.find(fn.bdf));
  }

  /** The device model's entries as far as the kernel can use them. */
  #tables({ latched, bound, pirqs }: MsixTables): void {
    const count = Math.min(pirqs.length, this.#machine.records.shape.vectors);
    for (let entry = 0, at = 0; entry < count; entry++, at += 3) {
      this.#pirq(pirqs[entry]);
      this.#message(latched[at], latched[at + 1], latched[at + 2]);
      if (bound) this.#message(bound[at], bound[at + 1], bound[at + 2]);
    }
  }

  /** Xen's message descriptors of a device, in the order of its list, with the pirqs that nobody else may know. */
  #descriptors(dev: number): void {
    const { devices, msis } = this.#host;
    for (let msi = devices.firstMsi[dev]; msi !== NO_MSI; msi = msis.next[msi]) {
      this.#put(
        msis.type[msi] | (msis.maskable[msi] << 8) | (msis.hostMasked[msi] << 9) | (msis.guestMasked[msi] << 10),
      );
      this.#unlessPinned(SORT.msi, msi);
      this.#put(msis.entry[msi]);
      this.#put(msis.vectors[msi]);
      this.#put(msis.maskPos[msi]);
      this.#put(msis.addr64[msi] | (msis.remapped[msi] << 1));
      const irq = msis.irq[msi];
      this.#put(this.#irqs.tell(irq));
      this.#pirq(Math.abs(this.#domain.pirqOf(irq)));
    }
    this.#put(END);
  }

  /** What no device leads to, in the order of numbers, which then tells states apart that might be alike. */
  #others(): void {
    const domain = this.#domain;
    const { irqs, gsis } = this.#host;
    for (let irq = 0; irq < gsis; irq++) {
      if (irqs.action[irq] === IRQ_ACTION.none) continue;
      this.#put(irq);
      this.#irqRecord(irq);
    }
    for (let irq = gsis; irq < irqs.count; irq++) {
      const isUsed = irqs.used[irq] !== IRQ_UNUSED;
      if (!isUsed && (domain.irqPirq[irq] === ABSENT || domain.irqPirq[irq] === 0)) continue;
      if (this.#irqs.isMet(irq)) continue;
      this.#put(irq);
      if (isUsed) this.#put(this.#irqs.tell(irq));
      else this.#irqRecord(irq);
    }
    this.#put(END);
    const { irqList } = this.#machine.records;
    for (let i = 0; i < irqList.count; i++) {
      const irq = irqList.at(i);
      if (this.#guestIrqs.isMet(irq)) continue;
      this.#put(irq);
      this.#put(this.#guestIrqs.tell(irq));
    }
    this.#put(END);
    for (let emuirq = 0; emuirq < domain.emuirqPirq.length; emuirq++) {
      if (domain.emuirqPirq[emuirq] === ABSENT) continue;
      this.#put(emuirq);
      this.#pirq(domain.emuirqPirq[emuirq]);
    }
    this.#put(END);
    for (let pirq = 0; pirq < domain.records; pirq++) {
      if (this.#pirqs.isMet(pirq) || !domain.hasRecord(pirq)) continue;
      this.#put(pirq);
      if (pirq < gsis) this.#pirqRecord(pirq);
      else this.#pirq(pirq);
    }
    this.#put(END);
    this.#otherPorts();
  }

  /** Ports that no pirq has, and free ones of which a bit is left. */
  #otherPorts(): void {
    const { ports, evtchn } = this.#domain;
    const { validPorts, state: states, peer } = ports;
    for (let port = 1; port < validPorts; port++) {
      const state = states[port];
      if (state === ECS.pirq && evtchn[peer[port]] === port && this.#domain.hasPort(peer[port])) continue;
      if (state === ECS.free && !isPending2l(this.#domain, port)) continue;
      this.#put(port);
      this.#put(state);
      if (state === ECS.pirq) this.#port(port);
    }
    this.#put(END);
  }

  /** The records behind the names that were met; they lead to others, which are met then. */
  #records(): void {
    const { numbers: guestIrqs } = this.#guestIrqs;
    const { numbers: pirqs } = this.#pirqs;
    const { numbers: irqs } = this.#irqs;
    for (let g = 0, p = 0, i = 0; ; )
      if (g < guestIrqs.length) this.#guestIrqRecord(guestIrqs[g++]);
      else if (p < pirqs.length) this.#pirqRecord(pirqs[p++]);
      else if (i < irqs.length) this.#irqRecord(irqs[i++]);
      else break;
  }

  /** A Linux irq; of those that carry one pirq it matters which is the oldest. */
  #guestIrqRecord(irq: number): void {
    const { records } = this.#machine;
    const { irqList } = records;
    const { words } = irqList.table;
    const at = IRQ.width * irq;
    const device = words[at + IRQ.device];
    const pirq = words[at + IRQ.pirq];
    const port = words[at + IRQ.port];
    this.#put(words[at + IRQ.type]);
    this.#put(words[at + IRQ.flags]);
    this.#put(device > 0 ? 1 + this.#placeOfRow[device - 1] : 0);
    this.#put(words[at + IRQ.entry]);
    this.#put(words[at + IRQ.idtVector]);
    this.#holder = device > 0 ? this.#bitOfRow[device - 1] : 0;
    this.#pirq(pirq);
    this.#holder = 0;
    this.#put(irqList.olderWith(pirq, irq));
    this.#handlers(records.handlerRows[irq]);
    this.#put(port === 0 ? 0 : 1 + Number(this.#domain.hasPort(pirq) && this.#domain.evtchn[pirq] === port));
    if (port > 0) this.#port(port);
  }

  /** The first of the queues that handle an irq; the others follow from its row. */
  #handlers(link: number): void {
    const { queues } = this.#machine.records.shape;
    if (link > 0) this.#put(1 + this.#placeOfRow[Math.trunc((link - 1) / queues)] * queues + ((link - 1) % queues));
    else this.#put(0);
  }

  #port(port: number): void {
    const { ports } = this.#domain;
    this.#unlessPinned(SORT.port, port);
    this.#put(ports.state[port]);
    this.#put(ports.priority[port]);
    this.#put(Number(isPending2l(this.#domain, port)) | (Number(isMasked2l(this.#domain, port)) << 1));
    this.#put(ports.vcpu[port]);
    this.#pirq(ports.peer[port]);
    this.#put(this.#guestIrqs.tell(this.#machine.records.irqList.fromPort(port)));
  }

  /** Rule R0 goes by what a pirq was once. */
  #everHeld(pirq: number): boolean {
    return this.#machine.records.irqList.everFromPirq(pirq) >= 0;
  }

  #pirqRecord(pirq: number): void {
    const domain = this.#domain;
    this.#put(
      Number(domain.hasRecord(pirq)) | (Number(domain.isMasked(pirq)) << 1) | (Number(domain.hasPort(pirq)) << 2),
    );
    const irq = domain.irqOf(pirq);
    this.#put(Math.sign(irq));
    if (irq !== 0 && irq !== PIRQ_ALLOCATED) this.#put(this.#irqs.tell(Math.abs(irq)));
    this.#put(domain.emuirq[pirq]);
    this.#put(domain.dpciFlags[pirq]);
    this.#put(domain.gvec[pirq]);
    // the destination of a message that names a pirq is the pirq's low byte
    const gflags = domain.gflags[pirq];
    this.#put((gflags & 0xff) === (pirq & 0xff) ? gflags >>> 8 : ~gflags);
    this.#put(domain.destVcpu[pirq]);
    this.#put(domain.dpciMasked[pirq] | (domain.dpciPending[pirq] << 1) | (domain.dpciScheduled[pirq] << 2));
    if (this.#keepsEver) this.#put(Number(this.#everHeld(pirq)));
    if (domain.hasPort(pirq)) this.#port(domain.evtchn[pirq]);
  }

  #irqRecord(irq: number): void {
    const { irqs, msis } = this.#host;
    if (irqs.vector[irq] >= 0) this.#unlessPinned(SORT.vector, irqs.cpu[irq] * VECTORS + irqs.vector[irq]);
    this.#put(irqs.used[irq]);
    this.#put(irqs.status[irq]);
    this.#put(irqs.handler[irq]);
    this.#put(irqs.creator[irq]);
    this.#put(irqs.target[irq]);
    this.#put(irqs.cpu[irq]);
    this.#put(irqs.action[irq]);
    this.#put(irqs.inFlight[irq]);
    this.#put(irqs.shareable[irq] | (irqs.ackType[irq] << 1) | (irqs.timerArmed[irq] << 8));
    this.#put(irqs.eoiCpus[irq]);
    this.#put(irqs.guestCount[irq]);
    for (let i = 0; i < irqs.guestCount[irq]; i++) this.#put(irqs.guest(irq, i));
    const msi = irqs.msi[irq];
    this.#put(msi === NO_MSI ? -1 : msis.irq[msi] === irq ? -2 : msi);
    this.#put(this.#domain.irqCaps[irq] | (this.#hostDomain.irqCaps[irq] << 1));
    const pirq = this.#domain.irqPirq[irq];
    this.#put(pirq === ABSENT ? 2 : Math.sign(pirq));
    this.#pirq(pirq === ABSENT ? 0 : Math.abs(pirq));
  }

  /**
   * pirqs from the top down: how many are free, and those whose place among them matters. A free one that rule R0 knows is
   * none of many.
   */
  #order(settled: number): void {
    const domain = this.#domain;
    let free = 0;
    for (let pirq = domain.nrPirqs - 1; pirq >= this.#host.gsis; pirq--) {
      const isMet = this.#pirqs.isMet(pirq);
      const isFree = domain.free.isFree(pirq);
      const holders = this.#holders[pirq];
      if (isMet && !isFree && holders !== 0 && (holders & ~settled) === 0) continue;
      if (!isMet && !(this.#keepsEver && this.#everHeld(pirq))) free++;
      else {
        this.#put(free);
        this.#put(this.#pirqs.tell(pirq));
        free = 0;
      }
    }
  }
}

/** True if a plain MSI capability has a message, which stands in the function's own registers. */
function isUsed({ pirq, message }: PassthroughMsi): boolean {
  return pirq >= 0 || message.addressLo !== 0 || message.data !== 0;
}
