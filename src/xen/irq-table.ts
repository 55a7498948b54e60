import { type Arena, FreeBitmap } from '../core/index.ts';

/** `used` of a host irq. */
export const IRQ_UNUSED = 0;
export const IRQ_USED = 1;
export const IRQ_RESERVED = -1;

/** Bits of `status`. arch/x86/include/asm/irq.h, xen/include/xen/irq.h */
export const IRQ_STATUS = { inProgress: 1, disabled: 2, pending: 4, guest: 0x10 } as const;

/** The controller behind a host irq. */
export const IRQ_HANDLER = { none: 0, msiMaskable: 1, msiNonMaskable: 2, ioApicEdge: 3, ioApicLevel: 4 } as const;

/** Who handles a host irq. */
export const IRQ_ACTION = { none: 0, guests: 1, xen: 2 } as const;

/** How an interrupt that guests handle is acknowledged. arch/x86/irq.c: irq_acktype */
export const ACK = { none: 0, unmask: 1, eoi: 2 } as const;

export const NO_DOMAIN = -1;
/** No message descriptor. */
export const NO_MSI = -1;
export const NO_VECTOR = -1;

/** All host irq descriptors: one typed array per member, indexed by irq. arch/x86/include/asm/irq.h: struct irq_desc */
export class IrqTable {
  readonly count: number;
  readonly gsis: number;
  readonly maxGuests: number;
  /** Written by {@link setUsed} only. */
  readonly used: Int32Array;
  readonly vector: Int32Array;
  /** The CPU that the vector is taken on. */
  readonly cpu: Int32Array;
  /** The CPU that interrupts are sent to, −1 for any. */
  readonly target: Int32Array;
  readonly status: Int32Array;
  readonly handler: Int32Array;
  /** Index of the message descriptor. */
  readonly msi: Int32Array;
  readonly creator: Int32Array;
  readonly action: Int32Array;
  readonly guestCount: Int32Array;
  readonly inFlight: Int32Array;
  readonly shareable: Int32Array;
  readonly ackType: Int32Array;
  /** Bit (CPU modulo 32) for each CPU that still owes an EOI; which of those that share a bit, its EOI stack tells. */
  readonly eoiCpus: Int32Array;
  readonly timerArmed: Int32Array;
  /** Domain slots, `maxGuests` per irq, in the order of binding. */
  readonly #guests: Uint8Array;
  /** The irqs whose `used` is IRQ_UNUSED. */
  readonly #unused: FreeBitmap;

  constructor(arena: Arena, count: number, gsis: number, maxGuests: number) {
    this.count = count;
    this.gsis = gsis;
    this.maxGuests = maxGuests;
    const column = (name: string) => arena.int32(count, `xen.irq.${name}`);
    this.used = column('used');
    this.vector = column('vector').fill(NO_VECTOR);
    this.cpu = column('cpu');
    this.target = column('target').fill(-1);
    this.status = column('status').fill(IRQ_STATUS.disabled);
    this.handler = column('handler');
    this.msi = column('msi').fill(NO_MSI);
    this.creator = column('creator').fill(NO_DOMAIN);
    this.action = column('action');
    this.guestCount = column('guestCount');
    this.inFlight = column('inFlight');
    this.shareable = column('shareable');
    this.ackType = column('ackType');
    this.eoiCpus = column('eoiCpus');
    this.timerArmed = column('timerArmed');
    this.#unused = new FreeBitmap(arena, count, 'xen.irq.unused');
    this.#unused.fill();
    this.#guests = arena.bytes(count * maxGuests, 'xen.irq.guests');
  }

  setUsed(irq: number, used: number): void {
    this.used[irq] = used;
    this.#unused.set(irq, used === IRQ_UNUSED);
  }

  /** The lowest unused irq from the GSI count up, or −1. arch/x86/irq.c: create_irq */
  findUnused(): number {
    return this.#unused.lowest(this.gsis);
  }

  /** True if guests handle the irq; its guest list is valid then. */
  hasGuests(irq: number): boolean {
    return (this.status[irq] & IRQ_STATUS.guest) !== 0 && this.action[irq] === IRQ_ACTION.guests;
  }

  guest(irq: number, index: number): number {
    return this.#guests[irq * this.maxGuests + index];
  }

  indexOfGuest(irq: number, slot: number): number {
    for (let i = 0; i < this.guestCount[irq]; i++) if (this.guest(irq, i) === slot) return i;
    return -1;
  }

  addGuest(irq: number, slot: number): void {
    this.#guests[irq * this.maxGuests + this.guestCount[irq]++] = slot;
  }

  removeGuest(irq: number, index: number): void {
    const base = irq * this.maxGuests;
    this.#guests.copyWithin(base + index, base + index + 1, base + this.guestCount[irq]);
    this.#guests[base + --this.guestCount[irq]] = 0;
  }

  clearAction(irq: number): void {
    this.action[irq] = IRQ_ACTION.none;
    this.#guests.fill(0, irq * this.maxGuests, (irq + 1) * this.maxGuests);
    this.guestCount[irq] = this.inFlight[irq] = this.shareable[irq] = 0;
    this.ackType[irq] = this.eoiCpus[irq] = this.timerArmed[irq] = 0;
  }
}
