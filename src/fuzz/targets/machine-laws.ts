import { MSI_MODE } from '../../guest/index.ts';
import { GUEST_DOMAIN, type Machine } from '../../lab/machine.ts';
import { isMasked2l, isPending2l } from '../../xen/index.ts';
import { NO_DEVICE } from '../oracle/pirq-book.ts';
import { comparePirqs } from '../oracle/pirq-laws.ts';
import { deviation, isExpected, type Pairing } from './machine-deviations.ts';
import type { MachineDoor } from './machine-door.ts';

/**
 * What must hold of a machine by the book of its door: that Xen and the device models have what it says, and of a guest
 * that does only what drivers do, that their vectors fire and that they leave nothing behind.
 */
export class MachineLaws {
  readonly pairing: Pairing;
  readonly #machine: Machine;
  readonly #door: MachineDoor;

  constructor(machine: Machine, door: MachineDoor) {
    this.#machine = machine;
    this.#door = door;
    this.pairing = { switches: machine.options.deviceModel.switches, reuse: machine.options.kernel.reuse };
  }

  /** pirqs that stay mapped for a device. */
  heldBy(slot: number): number {
    let held = 0;
    for (const e of this.#door.book.state.pirqs.values()) if (e.state === 'mapped' && e.slot === slot) held++;
    return held;
  }

  /** Every vector with a handler fires by what the two sides have set up, or a known deviation says why not. */
  checkDriver(slot: number): string | undefined {
    const { records, slots } = this.#machine;
    const { vectors, mode } = records.device(slots[slot].guestBdf);
    for (let entry = 0; entry < vectors; entry++) {
      const wrong = this.#checkChain(slot, mode === MSI_MODE.msi ? -1 : entry, entry);
      if (wrong) return wrong;
    }
    if (!isExpected(this.pairing)) return undefined;
    // a message that is used again is not written, so the kernel has no copy of it
    const broken = this.#machine.takeViolations().filter((name) => name !== 'I18' || this.pairing.reuse === 'R2');
    return broken.length > 0 ? `invariant: ${broken.join()} broken` : undefined;
  }

  /** From the entry over pirq, port and irq to the handlers. */
  #checkChain(slot: number, entry: number, vector: number): string | undefined {
    const { book } = this.#door;
    const irq = book.state.vectorIrq.get(`${slot}.${vector}`);
    if (irq === undefined || book.handlersOf(irq).length === 0) return undefined;
    const port = book.portOf(slot, entry);
    if (book.state.portIrq.get(port) === irq || this.excuse(irq)) return undefined;
    const pirq = book.pirqOf(slot, entry);
    return `chain: vector ${vector} of device ${slot} has irq ${irq}, but its entry leads to pirq ${pirq} and port ${port}`;
  }

  excuse(irq: number): string | undefined {
    const { book } = this.#door;
    const mine = book.state.irqs.get(irq);
    return mine && deviation(this.pairing, mine, book);
  }

  /** Nothing of the device is left in the kernel; with a device model that frees, nor in the hypervisor. */
  afterRemoval(slot: number): string | undefined {
    const { book } = this.#door;
    const { irqs, handlers, pirqs, ports } = book.state;
    for (const [irq, { slot: its }] of irqs) if (its === slot) return `left over: irq ${irq} of device ${slot}`;
    for (const handler of handlers.keys())
      if (handler.startsWith(`${slot}.`)) return `left over: handler of queue ${handler}`;
    if (!isExpected(this.pairing)) return undefined;
    if (this.pairing.switches.freeOnDisable && this.heldBy(slot) > 0)
      return `left over: ${this.heldBy(slot)} pirqs mapped for device ${slot}`;
    if (irqs.size > 0) return undefined;
    if (ports.size > 0) return `left over: port ${[...ports.values()][0]} with no irq in the kernel`;
    // qemu-2.0 keeps what it has mapped: docs/device-model.md, Enable=0
    for (const [pirq, e] of pirqs)
      if (e.slot !== NO_DEVICE && (this.pairing.switches.freeOnDisable || e.state !== 'mapped'))
        return `left over: pirq ${pirq}, ${e.state}`;
    return undefined;
  }

  /** Handlers of a port and of those that wait beside it, which the same upcall sees. */
  handlersHeard(port: number): string[] {
    const { book } = this.#door;
    const domain = this.#machine.hypervisor.domain(GUEST_DOMAIN);
    const heard = book.handlersOfPort(port);
    for (const other of book.state.portIrq.keys())
      if (other !== port && isPending2l(domain, other) && !isMasked2l(domain, other))
        heard.push(...book.handlersOfPort(other));
    return heard;
  }

  /** A vector that its driver has requested should have fired, and did, for that driver. */
  intended(slot: number, key: number, entry: number, ran: readonly string[]): string | undefined {
    const { book } = this.#door;
    const irq = book.state.vectorIrq.get(`${slot}.${key < 0 ? 0 : entry}`);
    const wanted = irq === undefined ? [] : book.handlersOf(irq);
    if (irq === undefined || wanted.length === 0 || wanted.join() === [...ran].sort().join()) return undefined;
    return this.excuse(irq)
      ? undefined
      : `intent: vector ${entry} of device ${slot} should have run ${wanted.join(' ')}, ran ${ran.join(' ') || 'nothing'}`;
  }

  comparePirqs(): string | undefined {
    const { hypervisor, slots } = this.#machine;
    const functions = slots.map(({ fn }) => fn.bdf);
    return (
      comparePirqs(hypervisor, hypervisor.domain(GUEST_DOMAIN), this.#door.book, functions) ?? this.#compareModels()
    );
  }

  /** What device models hold is what their calls say. */
  #compareModels(): string | undefined {
    for (const [i, { model }] of this.#machine.slots.entries()) {
      const naive = this.#door.models[i];
      const held = model.msi?.pirq ?? -1;
      if (held !== naive.pirqOf(-1))
        return `device model: MSI of device ${i} holds pirq ${held}, should hold ${naive.pirqOf(-1)}`;
      for (let entry = 0; entry < this.#machine.options.vectors; entry++)
        if (model.msix!.entryPirq(entry) !== naive.pirqOf(entry))
          return `device model: entry ${entry} of device ${i} holds pirq ${model.msix!.entryPirq(entry)}, should hold ${naive.pirqOf(entry)}`;
    }
    return undefined;
  }
}
