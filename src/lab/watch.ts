import { type Access, type Answer, CONFIG_REGION, IRQ_FLAG, QUEUE_FLAG, WAIT } from '../guest/index.ts';
import { codec, HYPERCALL, PHYSDEV_EOI, PHYSDEVOP } from '../xen/abi/index.ts';
import { GUEST_DOMAIN, type Machine, type Slot } from './machine.ts';

/**
 * Invariants that a single access can break, seen as it happens; those of a state are in invariants.ts. Numbers are
 * those of docs/invariants.md. What is held here lasts only from one step to the report at its end.
 */
export class Watch {
  readonly #machine: Machine;
  readonly #broken = new Set<string>();
  /** The configuration write that is under way. */
  #write: Extract<Access, { op: 'write' }> | undefined;
  /** What others' interrupts look like before it makes the device model call the hypervisor; else undefined. */
  #before: string[] | undefined;
  /** pirqs whose events the present upcall has taken and not yet acknowledged. */
  readonly #owed: number[] = [];
  #inUpcall = false;
  /** The function whose message is on its way. */
  #signalling: Slot | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
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
    this.#before = undefined;
    if (access.op === 'write') this.#checkWrite(access);
  }

  /** The device model is about to call the hypervisor: nothing else about a write can concern other functions. */
  beforeToolstack(): void {
    if (this.#write) this.#before ??= this.#othersInterrupts(this.#write.bdf);
  }

  after(access: Access, answer: Answer): void {
    if (this.#before && access.op === 'write') {
      const now = this.#othersInterrupts(access.bdf);
      if (this.#before.some((interrupts, i) => interrupts !== now[i])) this.#broken.add('I11');
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

  #othersInterrupts(bdf: number): string[] {
    return this.#machine.slots.filter((slot) => slot.guestBdf !== bdf).map((slot) => this.#interruptsOf(slot));
  }

  /** Mapping, binding and port of every pirq that the device model holds for a function. */
  #interruptsOf(slot: Slot): string {
    const domain = this.#machine.hypervisor.domain(GUEST_DOMAIN);
    const { msix } = slot.model;
    let text = '';
    for (let entry = 0; msix && entry < this.#machine.options.vectors; entry++) {
      const pirq = msix.entryPirq(entry);
      if (pirq >= 0 && pirq < domain.records)
        text += `${pirq}:${domain.irqOf(pirq)}:${domain.dpciFlags[pirq]}:${domain.evtchn[pirq]} `;
    }
    return text;
  }
}
