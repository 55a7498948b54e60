const EEXIST = -17;
/** The one pirq that every domain has from the beginning. xen/arch/x86/domain.c: the cascade of the two 8259 */
const CASCADE = 2;
/** Device of what is no device's. */
export const NO_DEVICE = -1;

/** What a guest's pirq is to the book. */
interface Entry {
  /** `ghost`: unmapped while something was still bound to it, which Xen keeps as a negative irq. */
  state: 'reserved' | 'mapped' | 'ghost';
  /** Device and table entry of a mapped one. */
  slot: number;
  entry: number;
}

interface State {
  pirqs: Map<number, Entry>;
  /** pirqs connected with the guest's view of a message (bind_pt_irq). */
  bound: Set<number>;
  /** Event channel ports by pirq, and those pirqs whose interrupts go there: mapped when the port was bound. */
  ports: Map<number, number>;
  routed: Set<number>;
  portIrq: Map<number, number>;
  /** Handlers, `slot.queue`, with the kernel's irq that they are on. */
  handlers: Map<string, number>;
  /** The irq of each vector, by `slot.entry`. */
  vectorIrq: Map<string, number>;
  irqs: Map<number, KernelIrq>;
  /** Host irqs that no pirq has. */
  ownerless: number;
  /** The pirq that get_free_pirq gave last, until an irq takes it. */
  fresh: number;
  /** Entries, `slot.entry`, whose last map was refused with −EEXIST. */
  refused: Set<string>;
  /** Vectors that have been enabled before, by `slot.entry`. */
  before: Set<string>;
}

/** An irq of the guest's kernel that carries a pirq. */
export interface KernelIrq {
  slot: number;
  entry: number;
  pirq: number;
  /** Its pirq was found in the device, not given by the hypervisor. */
  reused: boolean;
  /** The vector had been enabled before. */
  again: boolean;
  /** While it lived, another irq carried the same pirq, because one of the two had found it in its device. */
  shared: boolean;
}

const empty = (): State => ({
  pirqs: new Map([[CASCADE, { state: 'mapped', slot: NO_DEVICE, entry: NO_DEVICE }]]),
  bound: new Set(),
  ports: new Map(),
  routed: new Set(),
  portIrq: new Map(),
  handlers: new Map(),
  vectorIrq: new Map(),
  irqs: new Map(),
  ownerless: 0,
  fresh: -1,
  refused: new Set(),
  before: new Set(),
});

/**
 * Who has what, kept from what was asked and answered and from nothing else: pirqs, bindings, ports, the kernel's irqs
 * and handlers. Each entry is one line of a register of deeds; a second owner is told at once.
 */
export class PirqBook {
  state = empty();
  /** The law that the last entries broke. */
  broken: string | undefined;

  save(): State {
    return copy(this.state);
  }

  restore(saved: State): void {
    this.state = copy(saved);
    this.broken = undefined;
  }

  reserve(pirq: number): void {
    this.#free(pirq, 'get_free_pirq');
    this.state.pirqs.set(pirq, { state: 'reserved', slot: NO_DEVICE, entry: NO_DEVICE });
    this.state.fresh = pirq;
  }

  /**
   * A map that names a pirq in use answers 0 and changes nothing, but the irq that was made for it stays
   * (arch/x86/irq.c: map_domain_pirq, "already mapped").
   */
  map(wanted: number, pirq: number, slot: number, entry: number): void {
    const { pirqs } = this.state;
    if (wanted === pirq && pirqs.get(pirq)?.state === 'mapped') {
      this.state.ownerless++;
      return;
    }
    if (pirqs.get(pirq)?.state !== 'reserved') this.#free(pirq, 'map_pirq');
    if (wanted >= 0 && pirq !== wanted) this.#tell(`owner: map_pirq of ${wanted} gave ${pirq}`);
    const other = this.pirqOf(slot, entry);
    if (other >= 0) this.#tell(`owner: entry ${entry} of device ${slot} is mapped as pirq ${other} and as ${pirq}`);
    pirqs.set(pirq, { state: 'mapped', slot, entry });
  }

  /** What came of a map for an entry, besides its pirq: 0 or −errno. */
  answered(slot: number, entry: number, rc: number): void {
    const { refused } = this.state;
    if (rc === EEXIST) refused.add(`${slot}.${entry}`);
    else refused.delete(`${slot}.${entry}`);
  }

  /** True if something was unmapped while bound and is bound yet. */
  get hasGhost(): boolean {
    for (const { state } of this.state.pirqs.values()) if (state === 'ghost') return true;
    return false;
  }

  unmap(pirq: number): void {
    const { pirqs, bound, ports } = this.state;
    this.unroute(pirq);
    const held = bound.has(pirq) || ports.has(pirq);
    if (!held || pirqs.get(pirq)?.state !== 'mapped') pirqs.delete(pirq);
    else pirqs.set(pirq, { state: 'ghost', slot: NO_DEVICE, entry: NO_DEVICE });
  }

  /** unmap_pirq ends routing to event channels; the guest's own ends nothing else. arch/x86/physdev.c: physdev_unmap_pirq */
  unroute(pirq: number): void {
    this.state.routed.delete(pirq);
  }

  bind(pirq: number): void {
    this.state.bound.add(pirq);
  }

  unbind(pirq: number): void {
    this.state.bound.delete(pirq);
    this.#layGhost(pirq);
  }

  open(pirq: number, port: number): void {
    const { ports, routed, pirqs } = this.state;
    if (ports.has(pirq)) this.#tell(`owner: pirq ${pirq} has ports ${ports.get(pirq)} and ${port}`);
    for (const [other, its] of ports)
      if (its === port) this.#tell(`owner: port ${port} is of pirq ${other} and of ${pirq}`);
    ports.set(pirq, port);
    if (pirqs.get(pirq)?.state === 'mapped') routed.add(pirq);
  }

  close(port: number): void {
    const { ports, routed } = this.state;
    for (const [pirq, its] of ports) {
      if (its !== port) continue;
      ports.delete(pirq);
      routed.delete(pirq);
      this.#layGhost(pirq);
    }
  }

  /** A ghost goes when nothing is bound to it any more; whether its number is free then, Xen's record tells. */
  #layGhost(pirq: number): void {
    const { pirqs, bound, ports } = this.state;
    if (pirqs.get(pirq)?.state === 'ghost' && !bound.has(pirq) && !ports.has(pirq)) pirqs.delete(pirq);
  }

  /** The pirq mapped for an entry of a device, or −1. */
  pirqOf(slot: number, entry: number): number {
    for (const [pirq, e] of this.state.pirqs)
      if (e.state === 'mapped' && e.slot === slot && e.entry === entry) return pirq;
    return -1;
  }

  /** The port on which the guest hears of an entry of a device, 0 if it does not. */
  portOf(slot: number, entry: number): number {
    const pirq = this.pirqOf(slot, entry);
    const { bound, routed, ports } = this.state;
    return pirq >= 0 && bound.has(pirq) && routed.has(pirq) ? (ports.get(pirq) ?? 0) : 0;
  }

  /** Handlers, `slot.queue` in order, that an event on a port runs. */
  handlersOfPort(port: number): string[] {
    const irq = this.state.portIrq.get(port);
    return irq === undefined ? [] : this.handlersOf(irq);
  }

  handlersOf(irq: number): string[] {
    const found: string[] = [];
    for (const [handler, its] of this.state.handlers) if (its === irq) found.push(handler);
    return found.sort();
  }

  /** A call of the kernel's records by guest code, after its answer. */
  kernelCall(call: string, slotOf: (bdf: number) => number, args: readonly number[], answer: number): void {
    const s = this.state;
    switch (call) {
      case 'irq.allocate': {
        if (answer < 0) return;
        if (s.irqs.has(answer)) this.#tell(`owner: irq ${answer} has two owners`);
        const [slot, entry, pirq] = [slotOf(args[0]), args[1], args[2]];
        const key = `${slot}.${entry}`;
        const irq = { slot, entry, pirq, reused: pirq !== s.fresh, again: s.before.has(key), shared: false };
        for (const [number, other] of s.irqs) {
          if (other.pirq !== pirq || !(other.reused || irq.reused)) continue;
          s.irqs.set(number, { ...other, shared: true });
          irq.shared = true;
        }
        s.irqs.set(answer, irq);
        s.before.add(key);
        s.fresh = -1;
        return;
      }
      case 'irq.free':
        s.irqs.delete(args[0]);
        return;
      case 'irq.bindPort':
        for (const [port, irq] of s.portIrq) if (irq === args[0]) s.portIrq.delete(port);
        if (args[1] > 0) s.portIrq.set(args[1], args[0]);
        return;
      case 'irq.fromPort':
        if (answer !== (s.portIrq.get(args[0]) ?? -1))
          this.#tell(`kernel: port ${args[0]} leads to irq ${answer}, should lead to ${s.portIrq.get(args[0]) ?? -1}`);
        return;
      case 'irq.fromPirq': {
        const isCarried = [...s.irqs.values()].some((irq) => irq.pirq === args[0]);
        const isRight = answer < 0 ? !isCarried : !s.irqs.has(answer) || s.irqs.get(answer)!.pirq === args[0];
        if (!isRight) this.#tell(`kernel: pirq ${args[0]} leads to irq ${answer}, which does not carry it`);
        return;
      }
      case 'vector.irq=':
        s.vectorIrq.set(`${slotOf(args[0])}.${args[1]}`, args[2]);
        return;
      case 'vector.clear':
        s.vectorIrq.delete(`${slotOf(args[0])}.${args[1]}`);
        return;
      case 'handler.request':
        s.handlers.set(`${slotOf(args[0])}.${args[1]}`, args[2]);
        return;
      case 'handler.free':
        s.handlers.delete(`${slotOf(args[0])}.${args[1]}`);
        return;
      case 'controller.reset':
        for (const handler of s.handlers.keys())
          if (handler.startsWith(`${slotOf(args[0])}.`)) s.handlers.delete(handler);
        return;
    }
  }

  #free(pirq: number, call: string): void {
    const e = this.state.pirqs.get(pirq);
    if (e && e.state !== 'ghost') this.#tell(`owner: ${call} gave pirq ${pirq}, which is ${e.state}`);
  }

  #tell(law: string): void {
    this.broken ??= law;
  }
}

function copy(s: State): State {
  return {
    pirqs: new Map(s.pirqs),
    bound: new Set(s.bound),
    ports: new Map(s.ports),
    routed: new Set(s.routed),
    portIrq: new Map(s.portIrq),
    handlers: new Map(s.handlers),
    vectorIrq: new Map(s.vectorIrq),
    irqs: new Map(s.irqs),
    ownerless: s.ownerless,
    fresh: s.fresh,
    refused: new Set(s.refused),
    before: new Set(s.before),
  };
}
