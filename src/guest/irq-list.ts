import { type Arena, FreeBitmap, UsageError } from '../core/index.ts';
import { ENOSPC } from './errno.ts';
import { placesOf, Table } from './table.ts';

export const IRQ_TYPE = { free: 0, pirq: 1, apic: 2 } as const;
export const IRQ_FLAG = { needsEoi: 1, shareable: 2 } as const;

/** How many irqs, ports and pirqs a kernel can know. */
export interface IrqShape {
  /** Irqs below this are the GSI of that number. */
  gsis: number;
  /** Irqs for messages. */
  messages: number;
  ports: number;
  pirqs: number;
}

/** `device` is the owner's row + 1, 0 for a GSI. */
const FIELDS = ['type', 'port', 'pirq', 'flags', 'device', 'entry', 'idtVector'] as const;
export const IRQ = placesOf(FIELDS);

/** The first CPU vector that is given to devices on bare metal. arch/x86/include/asm/irq_vectors.h */
const FIRST_IDT_VECTOR = 0x31;

/**
 * The kernel's irq records, in a list from the oldest to the youngest, and what leads to them: ports, pirqs by a walk of
 * the list, CPU vectors. Linux drivers/xen/events/events_base.c xen_irq_list_head, evtchn_to_irq
 */
export class IrqList {
  readonly table: Table<(typeof FIELDS)[number]>;
  readonly #shape: IrqShape;
  /** Irqs in list order; `#order[0]` is how many. */
  readonly #order: Int32Array;
  /** Irq + 1 by port. */
  readonly #portIrq: Int32Array;
  /** Irq + 1 by pirq, never cleared: what 2.6.37 kept (rule R0). */
  readonly #pirqIrq: Int32Array;
  /** Irqs whose type is `free`. */
  readonly #free: FreeBitmap;

  static sizeBytes({ gsis, messages, ports, pirqs }: IrqShape): number {
    const bitmap = FreeBitmap.sizeBytes(gsis + messages);
    return ((gsis + messages) * (FIELDS.length + 1) + 1 + ports + pirqs) * 4 + bitmap + 64;
  }

  constructor(shape: IrqShape, arena: Arena) {
    const irqs = shape.gsis + shape.messages;
    this.#shape = shape;
    this.table = new Table(arena, 'irq', irqs, FIELDS);
    this.#order = arena.int32(1 + irqs, 'kernel irq list');
    this.#portIrq = arena.int32(shape.ports, 'kernel irq by port');
    this.#pirqIrq = arena.int32(shape.pirqs, 'kernel irq by pirq, never cleared');
    this.#free = new FreeBitmap(arena, irqs, 'kernel irqs free');
    this.#free.fill();
  }

  /** How many irqs there are, and the i-th of them in list order. */
  get count(): number {
    return this.#order[0];
  }
  at(i: number): number {
    return this.#order[1 + i];
  }

  /** The lowest free irq above the GSIs, for entry `entry` of the function in row `device`; or −ENOSPC. */
  allocate(device: number, entry: number, pirq: number, type: number): number {
    const irq = this.#free.lowest(this.#shape.gsis);
    if (irq < 0) return -ENOSPC;
    this.#add(irq, type, pirq, 0);
    this.table.set(irq, 'device', device + 1);
    this.table.set(irq, 'entry', entry);
    if (type === IRQ_TYPE.apic) this.table.set(irq, 'idtVector', this.#freeIdtVector());
    return irq;
  }

  /** The irq of a GSI, which has its number; or −ENOSPC. */
  allocateGsi(gsi: number, pirq: number, flags: number): number {
    if (gsi >= this.#shape.gsis) return -ENOSPC;
    if (this.table.get(gsi, 'type') === IRQ_TYPE.free) this.#add(gsi, IRQ_TYPE.pirq, pirq, flags);
    return gsi;
  }

  free(irq: number): 0 {
    const count = this.#order[0];
    const at = this.#order.lastIndexOf(irq, count); // the youngest go first as a rule
    if (at < 1) return 0;
    this.#order.copyWithin(at, at + 1, count + 1);
    this.#order[count] = 0;
    this.#order[0] = count - 1;
    this.#free.set(irq, true);
    return this.table.clear(irq);
  }

  /** Ties an irq to a port, or to none (0). */
  bindPort(irq: number, port: number): 0 {
    if (port >= this.#shape.ports)
      throw new UsageError(`the guest's kernel was made for ${this.#shape.ports} event channel ports, port ${port}`);
    const old = this.table.get(irq, 'port');
    if (old > 0 && this.#portIrq[old] === irq + 1) this.#portIrq[old] = 0;
    this.table.set(irq, 'port', port);
    if (port > 0) this.#portIrq[port] = irq + 1;
    return 0;
  }

  /** The irq that events on `port` go to, or −1. */
  fromPort(port: number): number {
    return port >= 0 && port < this.#shape.ports ? this.#portIrq[port] - 1 : -1;
  }

  /** The oldest irq that carries `pirq`, or −1. xen_irq_from_pirq */
  fromPirq(pirq: number): number {
    return this.#find((irq) => this.table.get(irq, 'type') === IRQ_TYPE.pirq && this.table.get(irq, 'pirq') === pirq);
  }

  /** How many older irqs carry the pirq that `irq` carries. */
  olderWith(pirq: number, irq: number): number {
    let older = 0;
    for (let i = 1; i <= this.#order[0] && this.#order[i] !== irq; i++)
      if (this.table.words[IRQ.width * this.#order[i] + IRQ.pirq] === pirq) older++;
    return older;
  }

  /** The irq that last carried `pirq`, even if it is gone, or −1. */
  everFromPirq(pirq: number): number {
    return pirq < this.#shape.pirqs ? this.#pirqIrq[pirq] - 1 : -1;
  }

  /** The irq whose message holds a CPU vector, or −1. */
  fromIdtVector(idtVector: number): number {
    return this.#find((irq) => this.table.get(irq, 'idtVector') === idtVector);
  }

  #add(irq: number, type: number, pirq: number, flags: number): void {
    this.table.set(irq, 'type', type);
    this.#free.set(irq, type === IRQ_TYPE.free);
    this.table.set(irq, 'pirq', pirq);
    this.table.set(irq, 'flags', flags);
    this.#order[++this.#order[0]] = irq;
    if (type === IRQ_TYPE.pirq && pirq < this.#shape.pirqs) this.#pirqIrq[pirq] = irq + 1;
  }

  #find(matches: (irq: number) => boolean): number {
    for (let i = 1; i <= this.#order[0]; i++) if (matches(this.#order[i])) return this.#order[i];
    return -1;
  }

  #freeIdtVector(): number {
    let idtVector = FIRST_IDT_VECTOR;
    while (this.fromIdtVector(idtVector) >= 0) idtVector++;
    return idtVector;
  }
}
