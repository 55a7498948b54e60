import { type Arena, ones, type Register, reg, type Width } from '../../core/index.ts';
import { type FunctionCore, sendMessage, setIntx } from '../function-core.ts';
import { HELD, VectorTable, VectorTables } from '../vector-table.ts';
import type { Capability } from './capability.ts';

/** MSI-X Message Control, 16 bit at cap+2. PCI Local Bus 3.0 §6.8.2.3, PCIe 5.0 §7.7.2.2. */
export const MSIX_CTRL = reg('msix.ctrl', 2, 2, {
  tableSizeField: { at: 0, width: 11, access: 'ro' }, // entries − 1
  rsvd: { at: 11, width: 3, access: 'rsvdp' },
  functionMask: { at: 14, access: 'rw' },
  enable: { at: 15, access: 'rw' },
});

const where = (name: string, offset: number): Register =>
  reg(name, offset, 4, {
    bir: { at: 0, width: 3, access: 'ro' },
    offset: { at: 3, width: 29, access: 'ro' },
  });

const REGISTERS = [MSIX_CTRL, where('msix.table', 4), where('msix.pba', 8)] as const;

export const MSIX: Capability = {
  id: 0x11,
  name: 'msix',
  sizeBytes: () => 12,
  registers: () => REGISTERS,
  qemu: () => ({ 'msix.ctrl': { writable: 0xc000, reset: 0xc000 } }),
};

const ENABLE = 0x8000;
const FUNCTION_MASK = 0x4000;

/** MSI-X of one function: the control register, the vector table and the pending bits. PCIe 5.0 §6.1.4. */
export class Msix {
  readonly at: number;
  readonly table: VectorTable;
  readonly tableBar: number;
  readonly tableOffset: number;
  readonly pbaBar: number;
  readonly pbaOffset: number;
  /** Bytes of the two windows. */
  readonly tableBytes: number;
  readonly pbaBytes: number;
  /**
   * Deviation: QEMU 7.2 drops signals of vectors that the device has not marked used (`hw/pci/msix.c: msix_notify`).
   * One bit a vector, 1 = used, as all are until {@link setUsed} says otherwise. The spec flavour knows no such thing.
   */
  readonly #used: Int32Array;
  /** Of `table`, once more here: a write of an entry is 5 % faster for it. */
  readonly #tables: VectorTables;
  readonly #device: number;
  readonly #core: FunctionCore;
  readonly #qemu: boolean;

  /** @param tables where the table is placed among others; one of its own if not given */
  constructor(core: FunctionCore, at: number, arena: Arena, label: string, tables?: VectorTables) {
    const { config } = core;
    this.#core = core;
    this.#qemu = core.flavour === 'qemu-7.2';
    this.at = at;
    const count = (config.get(at + 2, 2) & 0x7ff) + 1;
    this.table = new VectorTable(tables ?? new VectorTables(arena, 1, count, `${label}.msix`), count);
    this.#tables = this.table.tables;
    this.#device = this.table.device;
    this.tableBar = config.get(at + 4, 1) & 7;
    this.tableOffset = (config.get(at + 4, 4) & ~7) >>> 0;
    this.pbaBar = config.get(at + 8, 1) & 7;
    this.pbaOffset = (config.get(at + 8, 4) & ~7) >>> 0;
    this.tableBytes = 16 * this.table.count;
    this.pbaBytes = 4 * this.table.pending.length;
    this.#used = this.#qemu ? arena.int32(this.table.pending.length, `${label}.msix.used`).fill(-1) : new Int32Array(0);
    this.#updateOpen();
  }

  get count(): number {
    return this.table.count;
  }

  get control(): number {
    return this.#core.config.get(this.at + 2, 2);
  }

  get enabled(): boolean {
    return (this.control & ENABLE) !== 0;
  }

  get functionMask(): boolean {
    return (this.control & FUNCTION_MASK) !== 0;
  }

  /** One entry as the guest sees it, without side effects; numbers are unsigned. */
  entry(vector: number): { addressLo: number; addressHi: number; data: number; vectorControl: number } {
    const { words } = this.table;
    const at = 4 * vector;
    return {
      addressLo: words[at] >>> 0,
      addressHi: words[at + 1] >>> 0,
      data: words[at + 2] >>> 0,
      vectorControl: words[at + 3] >>> 0,
    };
  }

  isPending(vector: number): boolean {
    return this.table.isPending(vector);
  }

  /** Own mask bit or function mask. */
  isMasked(vector: number): boolean {
    return this.functionMask || this.table.masked(vector);
  }

  /** The device signals `vector`: a message, or a pending bit while masked. The caller has checked `enabled`. */
  raise(vector: number): void {
    if (this.#qemu && vector < this.count && !((this.#used[vector >> 5] >>> (vector & 31)) & 1)) return;
    if (this.#tables.raise(this.#device, vector) !== HELD) this.#send(vector);
  }

  /** The condition behind a held message is gone without having been signalled. PCIe 5.0 §6.1.4.5. */
  withdraw(vector: number): void {
    if (vector < this.table.count) this.table.clearPending(vector);
  }

  /** Marks a vector used or not; unmarking forgets its pending bit (`msix_vector_unuse`). Without effect in `spec`. */
  setUsed(vector: number, used: boolean): void {
    if (!this.#qemu || vector >= this.table.count) return;
    const bit = 1 << (vector & 31);
    if (used) this.#used[vector >> 5] |= bit;
    else {
      this.#used[vector >> 5] &= ~bit;
      this.table.clearPending(vector);
    }
  }

  /** After a guest's write to [offset, offset + width), stored already. `before` = the control word before it. */
  written(offset: number, width: number, before: number): void {
    // Enable and Function Mask stand in the last byte of the control word; a write of another one changes neither
    if (offset > this.at + 3 || offset + width <= this.at + 3) return;
    const now = this.control;
    this.#updateOpen();
    if (!(now & ENABLE)) return;
    setIntx(this.#core, 0);
    const wasOpen = (before & (ENABLE | FUNCTION_MASK)) === ENABLE;
    if (!wasOpen && !(now & FUNCTION_MASK)) this.#sendPending();
  }

  reset(): void {
    this.table.reset();
    this.#updateOpen();
  }

  /** Reads the table window. `offset` from the table's start; see {@link windowWidthOk}. */
  readTable(offset: number, width: Width): number {
    return this.#window(this.table.words, offset, width);
  }

  readPba(offset: number, width: Width): number {
    return this.#window(this.table.pending, offset, width);
  }

  /** Writes the table window; a dword that unmasks sends what was held. PBA writes have no effect (§7.7.2.9). */
  writeTable(offset: number, width: Width, value: number): void {
    if (width === 4 && (offset & 3) === 0) {
      this.#writeWord(offset >> 2, -1, value);
      return;
    }
    if (this.#qemu) return;
    const first = offset >> 2;
    const last = (offset + width - 1) >> 2;
    for (let at = first; at <= last && at < this.table.words.length; at++) {
      const shift = 8 * (4 * at - offset); // of the dword's bit 0 from the value's bit 0
      const lanes = shift >= 0 ? ones(width) >>> shift : ones(width) << -shift;
      this.#writeWord(at, lanes, shift >= 0 ? value >>> shift : value << -shift);
    }
  }

  #writeWord(at: number, lanes: number, value: number): void {
    const writable = lanes & (this.#qemu ? -1 : WRITABLE[at & 3]);
    if (this.#tables.write(this.#device, at, writable, value) !== HELD) this.#sendUsed(at >> 2);
  }

  /** The table keeps what the control register says, so that a signal need not look there. */
  #updateOpen(): void {
    this.#tables.setOpen(this.#device, (this.control & (ENABLE | FUNCTION_MASK)) === ENABLE);
  }

  /**
   * Deviation: QEMU 7.2 lets only whole aligned dwords through (`hw/pci/msix.c: msix_table_mmio_ops`); the spec
   * leaves narrower accesses undefined (§7.7.2), hardware honours the byte enables.
   */
  #window(words: Int32Array, offset: number, width: Width): number {
    const at = offset >> 2;
    if (width === 4 && (offset & 3) === 0) return words[at] >>> 0;
    if (this.#qemu) return 0;
    const shift = 8 * (offset & 3);
    let value = at < words.length ? words[at] >>> shift : 0;
    if (shift + 8 * width > 32 && at + 1 < words.length) value |= words[at + 1] << (32 - shift);
    return (value & ones(width)) >>> 0;
  }

  /** Sends every held message that is no longer masked, lowest vector first. */
  #sendPending(): void {
    const { pending } = this.table;
    for (let w = 0; w < pending.length; w++) {
      for (let bits = pending[w]; bits !== 0; bits &= bits - 1) {
        const vector = 32 * w + (31 - Math.clz32(bits & -bits));
        if (this.table.masked(vector)) continue;
        this.table.clearPending(vector);
        this.#sendUsed(vector);
      }
    }
  }

  #sendUsed(vector: number): void {
    if (!this.#qemu || (this.#used[vector >> 5] >>> (vector & 31)) & 1) this.#send(vector);
  }

  #send(vector: number): void {
    const { words } = this.table;
    const at = 4 * vector;
    sendMessage(this.#core, vector, words[at], words[at + 1], words[at + 2]);
  }
}

/**
 * Writable bits of an entry's words: address bits 1:0 and the reserved bits of vector control are read-only 0,
 * PCIe 5.0 §7.7.2.5, .8. Deviation: QEMU 7.2 stores all bits verbatim.
 */
const WRITABLE = Int32Array.of(~3, -1, -1, 1);
