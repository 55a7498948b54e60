import { Arena, type Width } from '../../src/core/index.ts';
import type { Access, Answer } from '../../src/guest/access.ts';
import {
  boot,
  CONTROLLER_STATE,
  type Guest,
  handleUpcall,
  KernelRecords,
  type NvmeController,
  nvmeMemory,
  SHARED_INFO_BYTES,
} from '../../src/guest/index.ts';
import { GuestRam } from '../../src/lab/guest-ram.ts';
import type { ControllerState, World } from '../../src/lab/world.ts';
import {
  codec,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHNOP,
  HYPERCALL,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_IRQ_STATUS_QUERY,
  PHYSDEVOP,
} from '../../src/xen/abi/index.ts';

const SHARED_INFO = 0x1000;
const PENDING = 2048;
const MASK = 2560;
const FIRST_PIRQ = 24;
const PIRQS = 56;
const ENTRIES = 8;
/** Machine irq of a pirq: none, reserved by get_free_pirq, or mapped (device · ENTRIES + entry + 1). */
const RESERVED = -1;
/** Unmapped while still bound: not free again. */
const ZOMBIE = -2;

/**
 * The host side in its fewest rules (reference §4.1): pirqs from the top down, a device model that acts on the MSI-X
 * control word, and an NVMe controller that answers every command at once. Enough to see what the guest alone makes of
 * the four cases; the real models are elsewhere.
 */
export class ToyHost implements World {
  readonly arena = new Arena(1 << 20);
  readonly records: KernelRecords;
  readonly ram: GuestRam;
  readonly #guest: Guest;
  readonly #controllers: readonly NvmeController[];
  readonly #freesOnDisable: boolean;
  readonly #machineIrq = this.arena.int32(PIRQS, 'machine irq by pirq');
  readonly #port = this.arena.int32(PIRQS, 'port by pirq');
  readonly #isRouted = this.arena.int32(PIRQS, 'bound after mapping, by pirq');
  /** Per device: command, control, then per entry lo, hi, data, ctrl, pirq + 1, updated. */
  readonly #msix: Int32Array[];
  /** Per device: cc, aqa, asq, acq, admin tail handled, then per queue address of cq, sq, vector, sq head, cq tail. */
  readonly #nvme: Int32Array[];

  constructor(guest: Omit<Guest, 'sharedInfo'>, controllers: readonly NvmeController[], freesOnDisable: boolean) {
    this.#guest = { ...guest, sharedInfo: SHARED_INFO };
    this.#controllers = controllers;
    this.#freesOnDisable = freesOnDisable;
    const n = controllers.length;
    this.records = new KernelRecords(
      { devices: n, vectors: ENTRIES, queues: 9, gsis: 16, ports: 64, pirqs: 64 },
      this.arena,
    );
    this.#msix = controllers.map((_, i) => this.arena.int32(2 + ENTRIES * 6, `msix of ${i}`));
    this.#nvme = controllers.map((_, i) => this.arena.int32(8 + 9 * 6, `nvme of ${i}`));
    const memory = controllers.flatMap((c) => nvmeMemory(guest.profile, c).regions.filter((r) => !r.isScratch));
    this.ram = new GuestRam([{ address: SHARED_INFO, length: SHARED_INFO_BYTES }, ...memory], this.arena);
    this.run(boot(this.#guest, { bdfs: controllers.map((c) => c.bdf), ports: 64 }));
  }

  get guest(): Guest {
    return this.#guest;
  }

  run<T>(task: Generator<Access, T, Answer>): T {
    let next = task.next();
    while (!next.done) next = task.next(this.perform(0, next.value));
    return next.value;
  }

  perform(_task: number, access: Access): Answer {
    const answer = this.#serve(access);
    if (access.op !== 'kernel' && this.ram.load(SHARED_INFO) & 0xff) this.#upcall();
    return answer;
  }

  takeViolations(): string[] {
    return [];
  }

  verdict(): ControllerState[] {
    return this.#controllers.map(({ bdf, vectors }, device) => {
      const { state } = this.records.controller(bdf);
      if (state === CONTROLLER_STATE.failed) return 'failed';
      for (let entry = 0; entry < vectors; entry++) {
        const irq = this.#irqReached(device, entry);
        if (irq === undefined || irq.bdf !== bdf || irq.entry !== entry) return 'degraded';
      }
      return 'good';
    });
  }

  /** Pirq of the message in each entry, as the device shows it. */
  pirqs(device: number, n: number): number[] {
    return Array.from({ length: n }, (_, entry) => (this.#msix[device][2 + entry * 6] >>> 12) & 0xff);
  }

  #upcall(): void {
    const handler = handleUpcall(this.#guest);
    let next = handler.next();
    while (!next.done) next = handler.next(this.#serve(next.value));
  }

  #serve(access: Access): Answer {
    switch (access.op) {
      case 'read':
        return this.#read(this.#device(access.bdf), access.region, access.offset, access.width) >>> 0;
      case 'write':
        this.#write(this.#device(access.bdf), access.region, access.offset, access.value);
        return 0;
      case 'load':
        return this.ram.load(access.address);
      case 'store':
        this.ram.store(access.address, access.value);
        return 0;
      case 'update': {
        const old = this.ram.load(access.address);
        this.ram.store(access.address, ((old & ~access.clear) | access.set) >>> 0);
        return old;
      }
      case 'kernel':
        return this.records.perform(access.call, access.args);
      case 'wait':
        return this.records.completed(access.bdf, access.queue) ? 0 : 2;
      case 'hypercall': {
        const bytes = access.bytes.slice();
        return { ret: this.#hypercall(access.nr, access.cmd, bytes), bytes };
      }
      default:
        return 0;
    }
  }

  #device(bdf: number): number {
    return this.#controllers.findIndex((c) => c.bdf === bdf);
  }

  #read(device: number, region: number, offset: number, width: Width): number {
    const m = this.#msix[device];
    if (region === 7) {
      const words: Record<number, number> = { 0: 0x00101b36, 4: m[0], 6: 0x10, 52: 0x40, 64: 0x11, 65: 0, 68: 0x2000 };
      return offset === 0x42 ? m[1] | (ENTRIES - 1) : (words[offset] ?? 0) & (width === 4 ? -1 : 0xffff);
    }
    if (offset >= 0x2000) return m[2 + ((offset - 0x2000) >> 4) * 6 + ((offset >> 2) & 3)];
    if (offset === 0) return 0x0f0103ff;
    if (offset === 0x1c) return (this.#nvme[device][0] & 1) | (this.#nvme[device][0] & 0x4000 ? 8 : 0);
    return 0;
  }

  #write(device: number, region: number, offset: number, value: number): void {
    const m = this.#msix[device];
    if (region === 7) {
      if (offset === 4) m[0] = value;
      if (offset === 0x42) this.#writeControl(device, value & 0xc000);
    } else if (offset >= 0x2000) {
      const entry = 2 + ((offset - 0x2000) >> 4) * 6;
      const word = (offset >> 2) & 3;
      const differs = m[entry + word] >>> 0 !== value;
      if (word < 3 && (differs || (this.#freesOnDisable && m[entry + 4] === 0))) m[entry + 5] = 1;
      m[entry + word] = value;
    } else if (offset >= 0x1000) this.#doorbell(device, (offset - 0x1000) >> 2, value);
    else this.#writeNvme(device, offset, value);
  }

  #writeControl(device: number, value: number): void {
    const m = this.#msix[device];
    m[1] = value;
    for (let entry = 0; entry < ENTRIES; entry++) {
      const at = 2 + entry * 6;
      if (value === 0x8000 && m[at + 5]) this.#bindEntry(device, entry);
      if (!(value & 0x8000) && this.#freesOnDisable && m[at + 4]) {
        this.#machineIrq[m[at + 4] - 1] = 0;
        this.#isRouted[m[at + 4] - 1] = 0;
        m[at + 4] = 0;
      }
      if (!(value & 0x8000) && this.#freesOnDisable) m[at + 5] = 0;
    }
  }

  #bindEntry(device: number, entry: number): void {
    const m = this.#msix[device];
    const at = 2 + entry * 6;
    const requested = (m[at] >>> 12) & 0xff;
    if (m[at + 4] === 0) {
      if (this.#machineIrq[requested] <= 0) this.#machineIrq[requested] = device * ENTRIES + entry + 1;
      m[at + 4] = requested + 1;
    }
    if (this.#machineIrq[requested] > 0) m[at + 5] = 0;
    else {
      this.#machineIrq[m[at + 4] - 1] = ZOMBIE;
      m[at + 4] = 0;
    }
  }

  #hypercall(nr: number, cmd: number, bytes: Uint8Array): number {
    if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.getFreePirq) {
      for (let pirq = PIRQS - 1; pirq >= FIRST_PIRQ; pirq--) {
        if (this.#machineIrq[pirq] !== 0) continue;
        this.#machineIrq[pirq] = RESERVED;
        codec(PHYSDEV_GET_FREE_PIRQ).encode({ pirq }, bytes);
        return 0;
      }
      return -28;
    }
    if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.irqStatusQuery) {
      const { irq } = codec(PHYSDEV_IRQ_STATUS_QUERY).decode(bytes);
      codec(PHYSDEV_IRQ_STATUS_QUERY).encode({ flags: 1 }, bytes);
      return this.#machineIrq[irq] > 0 ? 0 : -22;
    }
    if (nr === HYPERCALL.eventChannelOp && cmd === EVTCHNOP.bindPirq) {
      const { pirq } = codec(EVTCHN_BIND_PIRQ).decode(bytes);
      if (this.#port[pirq]) return -17;
      let port = 1;
      while (this.#port.includes(port)) port++;
      this.#port[pirq] = port;
      this.#isRouted[pirq] = this.#machineIrq[pirq] > 0 ? 1 : 0;
      codec(EVTCHN_BIND_PIRQ).encode({ port }, bytes);
    }
    if (nr === HYPERCALL.eventChannelOp && cmd === EVTCHNOP.close) {
      const pirq = this.#port.indexOf(codec(EVTCHN_CLOSE).decode(bytes).port);
      if (pirq >= 0) this.#port[pirq] = this.#isRouted[pirq] = 0;
    }
    return 0;
  }

  #irqReached(device: number, entry: number) {
    const pirq = this.#msix[device][2 + entry * 6 + 4] - 1;
    if (pirq < 0 || this.#machineIrq[pirq] !== device * ENTRIES + entry + 1 || !this.#isRouted[pirq]) return undefined;
    const irq = this.records.irqOfPort(this.#port[pirq]);
    return irq < 0 ? undefined : this.records.irq(irq);
  }

  #raise(device: number, entry: number): void {
    const pirq = this.#msix[device][2 + entry * 6 + 4] - 1;
    if (pirq < 0 || !this.#isRouted[pirq] || this.#machineIrq[pirq] <= 0 || this.#msix[device][1] !== 0x8000) return;
    const port = this.#port[pirq];
    const at = (port >> 5) * 4;
    const bit = 1 << (port & 31);
    this.ram.store(SHARED_INFO + PENDING + at, this.ram.load(SHARED_INFO + PENDING + at) | bit);
    if (this.ram.load(SHARED_INFO + MASK + at) & bit) return;
    this.ram.store(SHARED_INFO + 8, 1 << (port >> 6));
    this.ram.store(SHARED_INFO, 1);
  }

  #writeNvme(device: number, offset: number, value: number): void {
    const n = this.#nvme[device];
    if (offset === 0x14) {
      n[0] = value;
      if (!(value & 1)) n.fill(0, 8);
      else if (n[8] === 0) n.set([n[3], n[2], 0, 0, 0, n[1] & 0xffff], 8);
    }
    if (offset === 0x24) n[1] = value;
    if (offset === 0x28) n[2] = value;
    if (offset === 0x30) n[3] = value;
  }

  /** Per queue from 8 + 6q: cq, sq, vector, sq head, cq tail (with phase), depth − 1. */
  #doorbell(device: number, index: number, value: number): void {
    if (index & 1) return;
    const q = index >> 1;
    const at = 8 + 6 * q;
    const n = this.#nvme[device];
    while (n[at + 3] !== value) {
      const words = Array.from({ length: 16 }, (_, i) => this.ram.load(n[at + 1] + n[at + 3] * 64 + i * 4));
      n[at + 3] = (n[at + 3] + 1) % (n[at + 5] + 1);
      const result = q === 0 ? this.#admin(device, words) : 0;
      const depth = n[at + 5] + 1;
      const entry = n[at] + (n[at + 4] % depth) * 16;
      const phase = Math.trunc(n[at + 4] / depth) & 1 ? 0 : 1;
      this.ram.store(entry, result);
      this.ram.store(entry + 12, ((phase << 16) | (words[0] >>> 16)) >>> 0);
      n[at + 4] = (n[at + 4] + 1) % (2 * depth);
      this.#raise(device, n[at + 2]);
    }
  }

  #admin(device: number, words: number[]): number {
    const n = this.#nvme[device];
    const q = 8 + 6 * (words[10] & 0xffff);
    if ((words[0] & 0xff) === 5) n.set([words[6], 0, words[11] >>> 16, 0, 0, words[10] >>> 16], q);
    if ((words[0] & 0xff) === 1) n[q + 1] = words[6];
    return (words[0] & 0xff) === 9 ? 0x00070007 : 0;
  }
}
