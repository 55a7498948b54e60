import type { Access, Answer } from '../../guest/index.ts';
import { CONFIG_REGION, QUEUE_FLAG } from '../../guest/index.ts';
import { GUEST_DOMAIN, HOST_DOMAIN, type Machine, type Slot } from '../../lab/machine.ts';
import {
  codec,
  DOMCTL,
  DOMCTL_BIND_PT_IRQ,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHNOP,
  HYPERCALL,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_MAP_PIRQ,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEVOP,
  XEN_DOMCTL,
} from '../../xen/abi/index.ts';
import { isPending2l } from '../../xen/index.ts';
import { type ModelCall, NaivePassthrough } from '../oracle/naive-passthrough.ts';
import { PirqBook } from '../oracle/pirq-book.ts';

interface Saved {
  book: ReturnType<PirqBook['save']>;
  models: ReturnType<NaivePassthrough['save']>[];
}

/**
 * Stands at the doors of a machine: what the guest asks of devices and hypervisor, what device models ask of the
 * hypervisor, and the messages that devices send. Keeps the book of who has what, and judges each device model's calls.
 */
export class MachineDoor {
  readonly book = new PirqBook();
  readonly models: NaivePassthrough[];
  /** The first law broken since the last look. */
  broken: string | undefined;
  /** Hypercalls since the last look. */
  hypercalls = 0;
  /** Ports that messages made pending since the last look; 0 for a message that made none. */
  readonly delivered: number[] = [];
  /** Handlers that ran since the last look, `slot.queue`. */
  readonly ran: string[] = [];
  /** Messages that functions sent since the last look. */
  sent = 0;
  readonly #machine: Machine;
  #calls: ModelCall[] = [];

  constructor(machine: Machine) {
    this.#machine = machine;
    const { switches } = machine.options.deviceModel;
    this.models = machine.slots.map(({ model }) => {
      const { entryCount, tableBase } = model.layout.msix!;
      return new NaivePassthrough(switches, entryCount, tableBase);
    });
    this.#watchHypercalls();
    this.#watchMessages();
    this.#watchGuest();
    for (const { messages } of machine.slots) {
      const original = messages.message.bind(messages);
      messages.message = (...words) => {
        this.sent++;
        original(...words);
      };
    }
  }

  save(): Saved {
    return { book: this.book.save(), models: this.models.map((m) => m.save()) };
  }

  restore(saved: Saved): void {
    this.book.restore(saved.book);
    for (const [i, m] of this.models.entries()) m.restore(saved.models[i]);
    this.clear();
  }

  clear(): void {
    this.broken = undefined;
    this.hypercalls = 0;
    this.delivered.length = 0;
    this.ran.length = 0;
    this.sent = 0;
    this.#calls = [];
  }

  readonly #slotOf = (bdf: number) => this.slotOf(bdf);

  slotOf(bdf: number): number {
    return this.#machine.slots.findIndex((slot) => slot.guestBdf === bdf);
  }

  #tell(law: string | undefined): void {
    this.broken ??= law;
  }

  #watchHypercalls(): void {
    const { hypervisor } = this.#machine;
    const original = hypervisor.hypercall.bind(hypervisor);
    hypervisor.hypercall = (domid, nr, cmd, bytes, options) => {
      const answer = original(domid, nr, cmd, bytes, options);
      this.hypercalls++;
      if (domid === HOST_DOMAIN) this.#ofModel(nr, cmd, bytes, answer);
      else if (domid === GUEST_DOMAIN && answer.ret >= 0) this.#ofGuest(nr, cmd, bytes, answer.bytes);
      this.#tell(this.book.broken);
      return answer;
    };
  }

  #ofModel(nr: number, cmd: number, bytes: Uint8Array, answer: { ret: number; bytes: Uint8Array }): void {
    const rc = answer.ret;
    const { book } = this;
    if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.mapPirq) {
      const struct = codec(PHYSDEV_MAP_PIRQ);
      const { pirq, entry_nr: entry, table_base, bus, devfn } = struct.decode(bytes);
      const got = struct.decode(answer.bytes).pirq;
      this.#calls.push({ op: 'map', pirq, entry, table: Number(table_base), rc, got: rc === 0 ? got : pirq });
      const slot = this.#machine.slots.findIndex(({ fn }) => fn.bdf === ((bus << 8) | devfn));
      book.answered(slot, entry, rc);
      if (rc === 0) book.map(pirq, got, slot, table_base === 0n ? -1 : entry);
    } else if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.unmapPirq) {
      const { pirq } = codec(PHYSDEV_UNMAP_PIRQ).decode(bytes);
      this.#calls.push({ op: 'unmap', pirq, rc });
      if (rc === 0) book.unmap(pirq);
    } else if (nr === HYPERCALL.domctl) this.#ofBinding(bytes, rc);
  }

  #ofBinding(bytes: Uint8Array, rc: number): void {
    const outer = codec(XEN_DOMCTL);
    const { cmd } = outer.decode(bytes);
    if (cmd !== DOMCTL.bindPtIrq && cmd !== DOMCTL.unbindPtIrq) return;
    const call = codec(DOMCTL_BIND_PT_IRQ).decode(bytes.subarray(outer.at.u));
    const pirq = call.machine_irq | 0;
    const isBind = cmd === DOMCTL.bindPtIrq;
    const [gvec, gflags] = [call['u.msi.gvec'], call['u.msi.gflags']];
    this.#calls.push({ op: isBind ? 'bind' : 'unbind', pirq, gvec, gflags, rc });
    if (rc !== 0) return;
    if (isBind) this.book.bind(pirq);
    else this.book.unbind(pirq);
  }

  #ofGuest(nr: number, cmd: number, bytes: Uint8Array, after: Uint8Array): void {
    const { book } = this;
    if (nr === HYPERCALL.physdevOp) {
      if (cmd === PHYSDEVOP.getFreePirq) book.reserve(codec(PHYSDEV_GET_FREE_PIRQ).decode(after).pirq);
      else if (cmd === PHYSDEVOP.unmapPirq) book.unroute(codec(PHYSDEV_UNMAP_PIRQ).decode(bytes).pirq);
    } else if (nr === HYPERCALL.eventChannelOp) {
      if (cmd === EVTCHNOP.bindPirq) {
        const { pirq, port } = codec(EVTCHN_BIND_PIRQ).decode(after);
        book.open(pirq, port);
      } else if (cmd === EVTCHNOP.close) book.close(codec(EVTCHN_CLOSE).decode(bytes).port);
    }
  }

  /** Each message makes the port of its vector pending, if the guest has one, and no other. */
  #watchMessages(): void {
    const { hypervisor } = this.#machine;
    const original = hypervisor.deliverMessage.bind(hypervisor);
    const domain = hypervisor.domain(GUEST_DOMAIN);
    const count = domain.ports.state.length;
    const before = new Uint8Array(count);
    hypervisor.deliverMessage = (addressLo, addressHi, data) => {
      const source = this.#sourceOf(addressLo, addressHi, data);
      // a function that was reset behind Xen's back writes to where no interrupt is
      const isInterrupt = addressHi === 0 && addressLo >>> 20 === 0xfee;
      const port = source && isInterrupt ? this.book.portOf(source.slot, source.entry) : 0;
      for (let p = 1; p < count; p++) before[p] = isPending2l(domain, p) ? 1 : 0;
      const taken = original(addressLo, addressHi, data);
      this.delivered.push(port);
      const name = source ? `of device ${source.slot} entry ${source.entry}` : 'of no entry';
      for (let p = 1; p < count; p++) {
        const now = isPending2l(domain, p);
        if (p === port ? !now : now !== (before[p] === 1))
          this.#tell(`delivery: a message ${name} leaves port ${p} ${now ? '' : 'not '}pending; its port is ${port}`);
      }
      return taken;
    };
  }

  /** The entry whose message this is, among those that can be sent. */
  #sourceOf(addressLo: number, addressHi: number, data: number): { slot: number; entry: number } | undefined {
    for (const [slot, { fn }] of this.#machine.slots.entries()) {
      const { msix, msi } = fn;
      if (msix?.enabled) {
        const { words } = msix.table;
        for (let entry = 0; entry < this.#machine.options.vectors; entry++) {
          const at = 4 * entry;
          const isIt =
            words[at] === (addressLo | 0) && words[at + 1] === (addressHi | 0) && words[at + 2] === (data | 0);
          if (isIt && (words[at + 3] & 1) === 0) return { slot, entry };
        }
      }
      if (msi?.enabled && (msi.addressLo | 0) === (addressLo | 0) && msi.data === data >>> 0)
        return { slot, entry: -1 };
    }
    return undefined;
  }

  #watchGuest(): void {
    const machine = this.#machine;
    const original = machine.perform.bind(machine);
    machine.perform = (task, access) => {
      if (access.op !== 'write') {
        const answer = original(task, access);
        if (access.op === 'kernel') {
          const { call, args } = access;
          const isRun = call === 'queue.flag' && args[2] & (QUEUE_FLAG.interrupted | QUEUE_FLAG.spurious);
          if (isRun) this.ran.push(`${this.slotOf(args[0])}.${args[1]}`);
          this.book.kernelCall(call, this.#slotOf, args, answer as number);
          this.#tell(this.book.broken);
        }
        return answer;
      }
      return this.#write(access, () => original(task, access));
    };
  }

  /** A write of the guest, and what its device model makes of it. */
  #write(access: Extract<Access, { op: 'write' }>, perform: () => Answer): Answer {
    const index = this.slotOf(access.bdf);
    const slot = this.#machine.slots[index];
    if (!slot) return perform();
    const act = this.#meaning(slot, this.models[index], access);
    const outer = this.#calls;
    this.#calls = [];
    const answer = perform();
    this.#tell(this.models[index].judge(this.#calls, act));
    this.#calls = outer;
    return answer;
  }

  /** What a write means to a device model; the device is as it was before. */
  #meaning(slot: Slot, model: NaivePassthrough, access: Extract<Access, { op: 'write' }>): () => void {
    const { region, offset, value } = access;
    const { msix, msi } = slot.model.layout;
    if (region !== CONFIG_REGION) {
      const inTable = slot.model.tableOffset(region, offset);
      const words = slot.fn.msix?.table.words;
      const hostMasked = words !== undefined && (words[4 * (inTable >> 4) + 3] & 1) !== 0;
      return () => (inTable >= 0 ? model.writeTable(inTable, value, hostMasked) : undefined);
    }
    if (msix && offset === msix.control) return () => model.writeControl(value);
    if (msi && offset === msi.control) return () => model.writeMsiControl(value);
    const wide = msi && (msi.flags & 0x80) !== 0;
    if (msi && offset === msi.control + 2) return () => model.writeMsiMessage(0, (value & ~3) >>> 0);
    if (msi && wide && offset === msi.control + 6) return () => model.writeMsiMessage(1, value);
    if (msi && offset === msi.control + (wide ? 10 : 6)) return () => model.writeMsiMessage(2, value & 0xffff);
    return () => {};
  }
}
