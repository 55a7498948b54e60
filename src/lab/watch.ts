import { type Access, type Answer, CONFIG_REGION, IRQ_FLAG, QUEUE_FLAG, WAIT } from '../guest/index.ts';
import { codec, HYPERCALL, PHYSDEV_EOI, PHYSDEVOP } from '../xen/abi/index.ts';
import { GUEST_DOMAIN, type Machine, type Slot } from './machine.ts';
import { PIRQ_HOLDERS } from './name-places.ts';

/**
 * Invariants that a single access can break, seen as it happens; those of a state are in invariants.ts. Numbers are
 * those of docs/invariants.md. What is held here lasts only from one step to the report at its end.
 */
export class Watch {
  readonly #machine: Machine;
  readonly #broken = new Set<string>();
  /** The configuration write that is under way. */
  #write: Extract<Access, { op: 'write' }> | undefined;
  /** pirqs about which the device model has called the hypervisor because of it, as they were before. */
  readonly #touched = new Map<number, string | undefined>();
  /** By pirq: controllers whose device model holds it, as bits. So nothing need be asked of those that are not concerned. */
  readonly #holders: Int32Array;
  /** pirqs whose events the present upcall has taken and not yet acknowledged. */
  readonly #owed: number[] = [];
  #inUpcall = false;
  /** The function whose message is on its way. */
  #signalling: Slot | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
    const { gsis, extraGuestIrqs } = machine.options;
    this.#holders = machine.arena.int32(gsis + extraGuestIrqs, PIRQ_HOLDERS);
  }

  take(): string[] {
    const broken = [...this.#broken];
    this.#broken.clear();
    return broken;
  }

  before(access: Access): void {
    const { slots } = this.#machine;
    if (!slots) return;
    this.#write = access.op === 'write' && access.region === CONFIG_REGION ? access : undefined;
    this.#touched.clear();
    if (access.op === 'write') this.#checkWrite(access);
  }

  /** The device model is about to call the hypervisor about a pirq: nothing else about a write can concern other functions. */
  beforeToolstack(pirq: number): void {
    if (!this.#write || this.#touched.has(pirq)) return;
    if (this.#touched.size === 0) this.#noteHolder(this.#write.bdf, false);
    this.#touched.set(pirq, this.#interruptOf(pirq));
  }

  /** The hypervisor has chosen a free pirq. */
  afterMap(pirq: number): void {
    if (this.#write && !this.#touched.has(pirq)) this.#touched.set(pirq, undefined);
  }

  after(access: Access, answer: Answer): void {
    if (this.#touched.size > 0 && access.op === 'write') {
      this.#noteHolder(access.bdf, true);
      const own = this.#bitOf(access.bdf);
      for (const [pirq, before] of this.#touched)
        if (this.#interruptOf(pirq) !== before && (this.#holders[pirq] & ~own) !== 0) this.#broken.add('I11');
    }
    this.#write = undefined;
    if (access.op === 'wait' && answer === WAIT.timedOut) {
      const { irq } = this.#machine.records.queue(access.bdf, access.queue);
      if (irq !== 0) this.#broken.add('I8').add('I20');
    }
    if (access.op === 'kernel') this.#kernelCall(access.call, access.args, answer as number);
    if (access.op === 'hypercall' && access.nr === HYPERCALL.physdevOp && access.cmd === PHYSDEVOP.eoi)
      this.#acknowledged(codec(PHYSDEV_EOI).decode(access.bytes).irq);
  }

  beginUpcall(): void {
    this.#owed.length = 0;
    this.#inUpcall = true;
  }

  endUpcall(): void {
    if (this.#owed.length > 0) this.#broken.add('I21');
    this.#inUpcall = false;
  }

  /** Until the next call handlers run because of a message of `slot`; undefined: because of none. */
  signals(slot: Slot | undefined): void {
    this.#signalling = slot;
  }

  /** I14: messages change only while they cannot be sent. I19: no mask bit is written where none may be. */
  #checkWrite({ bdf, region, offset }: Extract<Access, { op: 'write' }>): void {
    const slot = this.#machine.slots.find((s) => s.guestBdf === bdf);
    const msix = slot?.model.msix;
    if (!slot || !msix || region === CONFIG_REGION) return;
    const inTable = slot.model.tableOffset(region, offset);
    if (inTable < 0 || inTable >= msix.entryCount * 16) return;
    if ((inTable & 15) === 12) {
      if (!this.#machine.options.kernel.writesMasks) this.#broken.add('I19');
    } else if (msix.enabled && !msix.functionMask && !msix.entryMasked(inTable >> 4)) this.#broken.add('I14');
  }

  #kernelCall(call: string, args: readonly number[], answer: number): void {
    const { records } = this.#machine;
    if (call === 'irq.fromPort' && answer >= 0) {
      const { pirq, flags } = records.irq(answer);
      if (flags & IRQ_FLAG.needsEoi) this.#owed.push(pirq);
    }
    const ran = call === 'queue.flag' && args[2] & (QUEUE_FLAG.interrupted | QUEUE_FLAG.spurious);
    if (ran && this.#signalling && this.#signalling.guestBdf !== args[0]) this.#broken.add('I9');
  }

  /** I21: exactly one EOI for each event that was taken; the one at start-up is outside an upcall. */
  #acknowledged(pirq: number): void {
    const at = this.#owed.indexOf(pirq);
    if (at >= 0) this.#owed.splice(at, 1);
    else if (this.#inUpcall) this.#broken.add('I21');
  }

  #bitOf(bdf: number): number {
    return 1 << this.#machine.slots.findIndex((slot) => slot.guestBdf === bdf);
  }

  /** Takes note of the pirqs that the device model of a function holds, or forgets them. */
  #noteHolder(bdf: number, holds: boolean): void {
    const { slots, options } = this.#machine;
    const bit = this.#bitOf(bdf);
    const msix = slots.find((slot) => slot.guestBdf === bdf)?.model.msix;
    for (let entry = 0; msix && entry < options.vectors; entry++) {
      const pirq = msix.entryPirq(entry);
      if (pirq < 0 || pirq >= this.#holders.length) continue;
      if (holds) this.#holders[pirq] |= bit;
      else this.#holders[pirq] &= ~bit;
    }
  }

  /** Mapping, binding and port of a pirq. */
  #interruptOf(pirq: number): string {
    const domain = this.#machine.hypervisor.domain(GUEST_DOMAIN);
    if (pirq < 0 || pirq >= domain.records) return '';
    return `${domain.irqOf(pirq)}:${domain.dpciFlags[pirq]}:${domain.evtchn[pirq]}`;
  }
}
