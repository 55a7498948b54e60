import type { Width } from '../../../../src/core/index.ts';
import { ADMIN, NVM } from '../../../../src/pci/devices/nvme/index.ts';
import type { Ram } from './fake-host.ts';

/** Registers of a controller, wherever it sits: the bare model or BAR 0 of a function. */
export interface RegisterFile {
  readRegister(offset: number, width: Width): number;
  writeRegister(offset: number, width: Width, value: number): void;
  /** Lets time pass, where a controller takes some. */
  wait?(): void;
}

export interface Completion {
  result: number;
  sqHead: number;
  sqid: number;
  cid: number;
  /** Status Code Type << 8 | Status Code. */
  status: number;
  /** More and Do Not Retry as bits 0 and 1. */
  flags: number;
}

export interface Command {
  opcode: number;
  nsid?: number;
  prp1?: number;
  prp2?: number;
  /** Descriptor in place of the PRPs: type and subtype, address, length. */
  sgl?: [type: number, address: number, length: number];
  cdw10?: number;
  cdw11?: number;
  cdw12?: number;
  cdw13?: number;
  /** Added into dword 0, above the opcode. */
  flags?: number;
}

interface Ring {
  id: number;
  sq: number;
  cq: number;
  sqSize: number;
  cqSize: number;
  tail: number;
  head: number;
  phase: number;
}

const PAGE = 4096;

/** A driver that knows the registers, guest RAM and the specification, and nothing of the model. */
export class ToyDriver {
  readonly regs: RegisterFile;
  readonly ram: Ram;
  readonly rings = new Map<number, Ring>();
  /** Byte distance of doorbells, read from CAP by {@link enable}. */
  stride = 4;
  /** Size of memory pages, chosen by CC.MPS in {@link enable}. */
  pageSize = PAGE;
  nextCid = 0;
  #nextPage: number;

  /** @param base first page of guest RAM to use */
  constructor(regs: RegisterFile, ram: Ram, base = PAGE) {
    this.regs = regs;
    this.ram = ram;
    this.#nextPage = base;
  }

  /** Takes zeroed 4-KiB pages of guest RAM, from a memory page's start on. */
  allocate(pages = 1): number {
    const at = Math.ceil(this.#nextPage / this.pageSize) * this.pageSize;
    this.#nextPage = at + pages * PAGE;
    if (this.#nextPage > this.ram.bytes.length) throw new Error('the test needs more guest RAM');
    this.ram.bytes.fill(0, at, this.#nextPage);
    return at;
  }

  get csts(): number {
    return this.regs.readRegister(0x1c, 4);
  }

  writeCc(value: number): void {
    this.regs.writeRegister(0x14, 4, value);
  }

  /** Sets up the admin queue and enables the controller, as Linux does. */
  enable(depth = 32, cc = 0x00460001): void {
    this.stride = 4 << (this.regs.readRegister(4, 4) & 15);
    this.pageSize = PAGE << ((cc >> 7) & 15);
    this.writeCc(0);
    const pages = Math.ceil((depth * 64) / PAGE);
    const ring = this.#ring(0, this.allocate(pages), this.allocate(Math.ceil((depth * 16) / PAGE)), depth, depth);
    this.regs.writeRegister(0x24, 4, (depth - 1) | ((depth - 1) << 16));
    this.regs.writeRegister(0x28, 4, ring.sq);
    this.regs.writeRegister(0x2c, 4, 0);
    this.regs.writeRegister(0x30, 4, ring.cq);
    this.regs.writeRegister(0x34, 4, 0);
    this.writeCc(cc);
  }

  /** Creates queue pair `id` with `size` entries each; completions signal `vector`. */
  createPair(id: number, size = 16, vector = id, interrupts = true): void {
    const cq = this.createCq(id, size, vector, interrupts);
    const sq = this.allocate(Math.ceil((size * 64) / PAGE));
    const made = this.admin({
      opcode: ADMIN.createIoSq,
      prp1: sq,
      cdw10: id | ((size - 1) << 16),
      cdw11: 1 | (id << 16),
    });
    if (made.status !== 0) throw new Error(`create SQ ${id}: ${made.status.toString(16)}`);
    this.#ring(id, sq, cq, size, size);
  }

  createCq(id: number, size = 16, vector = id, interrupts = true): number {
    const cq = this.allocate(Math.ceil((size * 16) / PAGE));
    const made = this.admin({
      opcode: ADMIN.createIoCq,
      prp1: cq,
      cdw10: id | ((size - 1) << 16),
      cdw11: 1 | (interrupts ? 2 : 0) | (vector << 16),
    });
    if (made.status !== 0) throw new Error(`create CQ ${id}: ${made.status.toString(16)}`);
    return cq;
  }

  /** Puts a command into the ring without ringing. @returns its identifier */
  push(id: number, command: Command): number {
    const ring = this.rings.get(id)!;
    const at = ring.sq + ring.tail * 64;
    const cid = this.nextCid++ & 0xffff;
    const { view } = this.ram;
    this.ram.bytes.fill(0, at, at + 64);
    view.setUint32(at, (command.opcode | (command.flags ?? 0) | (cid << 16)) >>> 0, true);
    view.setUint32(at + 4, command.nsid ?? 0, true);
    view.setUint32(at + 24, (command.prp1 ?? 0) % 2 ** 32, true);
    view.setUint32(at + 28, Math.floor((command.prp1 ?? 0) / 2 ** 32), true);
    view.setUint32(at + 32, (command.prp2 ?? 0) % 2 ** 32, true);
    view.setUint32(at + 36, Math.floor((command.prp2 ?? 0) / 2 ** 32), true);
    if (command.sgl) {
      const [type, address, length] = command.sgl;
      view.setUint32(at, view.getUint32(at, true) | 0x4000, true);
      view.setBigUint64(at + 24, BigInt(address), true);
      view.setUint32(at + 32, length, true);
      view.setUint32(at + 36, type << 24, true);
    }
    const dwords = [command.cdw10, command.cdw11, command.cdw12, command.cdw13];
    dwords.forEach((value, i) => void view.setUint32(at + 40 + i * 4, (value ?? 0) >>> 0, true));
    ring.tail = (ring.tail + 1) % ring.sqSize;
    return cid;
  }

  ring(id: number): void {
    this.regs.writeRegister(0x1000 + 2 * id * this.stride, 4, this.rings.get(id)!.tail);
  }

  /** Takes new completions off queue `id`, by phase tag; rings the head doorbell if `acknowledge`. */
  reap(id: number, acknowledge = true): Completion[] {
    const ring = this.rings.get(id)!;
    const taken: Completion[] = [];
    const { view } = this.ram;
    for (;;) {
      const at = ring.cq + ring.head * 16;
      const status = view.getUint16(at + 14, true);
      if ((status & 1) !== ring.phase) break;
      taken.push({
        result: view.getUint32(at, true),
        sqHead: view.getUint16(at + 8, true),
        sqid: view.getUint16(at + 10, true),
        cid: view.getUint16(at + 12, true),
        status: (status >>> 1) & 0x7ff,
        flags: status >>> 14,
      });
      ring.head = (ring.head + 1) % ring.cqSize;
      if (ring.head === 0) ring.phase ^= 1;
    }
    if (acknowledge && taken.length > 0) this.acknowledge(id);
    return taken;
  }

  acknowledge(id: number): void {
    this.regs.writeRegister(0x1000 + (2 * id + 1) * this.stride, 4, this.rings.get(id)!.head);
  }

  /** Runs one command to completion. */
  run(id: number, command: Command): Completion {
    const cid = this.push(id, command);
    this.ring(id);
    let done = this.reap(id).find((c) => c.cid === cid);
    for (let tries = 0; !done && this.regs.wait && tries < 1000; tries++) {
      this.regs.wait();
      done = this.reap(id).find((c) => c.cid === cid);
    }
    if (!done) throw new Error(`command ${command.opcode} on queue ${id} did not complete`);
    return done;
  }

  admin(command: Command): Completion {
    return this.run(0, command);
  }

  identify(cns: number, nsid = 0): { status: number; data: DataView } {
    const page = this.allocate();
    const { status } = this.admin({ opcode: ADMIN.identify, nsid, prp1: page, cdw10: cns });
    return { status, data: new DataView(this.ram.bytes.slice(page, page + PAGE).buffer) };
  }

  /** Reads or writes `blocks` from `lba` at one contiguous, page-aligned buffer of at most two pages. */
  io(id: number, write: boolean, lba: number, blocks: number, buffer: number, nsid = 1): Completion {
    return this.run(id, {
      opcode: write ? NVM.write : NVM.read,
      nsid,
      prp1: buffer,
      prp2: buffer + PAGE,
      cdw10: lba % 2 ** 32,
      cdw11: Math.floor(lba / 2 ** 32),
      cdw12: blocks - 1,
    });
  }

  #ring(id: number, sq: number, cq: number, sqSize: number, cqSize: number): Ring {
    const ring = { id, sq, cq, sqSize, cqSize, tail: 0, head: 0, phase: 1 };
    this.rings.set(id, ring);
    return ring;
  }
}
