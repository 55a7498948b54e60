import type { Arena } from '../../core/index.ts';
import type { MsiMessage } from '../abi/index.ts';
import { bind, type Context, clearHostEnable, NO_PIRQ, release, setUp } from './calls.ts';
import type { MsixLayout } from './layout.ts';

const ENABLE = 0x8000;
const FUNCTION_MASK = 0x4000;
const MASK_BIT = 1;
const ENTRY_BYTES = 16;
const PAGE_BYTES = 0x1000;

/** The word of a vector table entry after its message. */
const VECTOR_CONTROL = 3;
const FLAG = { enabled: 0, functionMask: 1 } as const;

/** Words of all entries: messages as the guest reads them and, if that is another, as last used for a binding (three each), and pirqs. */
export interface MsixTables {
  readonly latched: Int32Array;
  readonly bound: Int32Array | undefined;
  readonly pirqs: Int32Array;
}

/** The MSI-X capability of a pass-through device and the vector table that the guest sees instead of the device's. */
export class PassthroughMsix {
  readonly layout: MsixLayout;
  readonly entryCount: number;
  /** Bytes of the BAR, from the table on, that reach the device model instead of the device. */
  readonly trappedBytes: number;
  readonly #context: Context;
  /** The table as the guest reads it: three words of message an entry, and its vector control. */
  readonly #latch: Int32Array;
  readonly #control: Int32Array;
  /** 3 words an entry: address and data as last used for a binding. Without latching, the table itself is used. */
  readonly #message: Int32Array;
  readonly #pirq: Int32Array;
  readonly #updated: Uint8Array;
  readonly #flags: Uint8Array;
  /** Guest-physical address of the table, low and high word. */
  readonly #guestTable: Int32Array;

  constructor(context: Context, layout: MsixLayout, guestTable: number, arena: Arena, label: string) {
    const n = layout.entryCount;
    this.layout = layout;
    this.entryCount = n;
    this.trappedBytes = Math.ceil((n * ENTRY_BYTES) / PAGE_BYTES) * PAGE_BYTES;
    this.#context = context;
    this.#latch = arena.int32(3 * n, `${label} msix table`);
    this.#control = arena.int32(n, `${label} msix vector control`);
    this.#message = arena.int32(3 * n, `${label} msix messages`);
    this.#pirq = arena.int32(n, `${label} msix pirqs`).fill(NO_PIRQ);
    this.#updated = arena.bytes(n, `${label} msix updated`);
    this.#flags = arena.bytes(2, `${label} msix flags`);
    this.#guestTable = arena.int32(2, `${label} msix guest table`);
    this.#setGuestTable(guestTable);
    if (layout.flags & ENABLE) context.host.writeConfig(layout.control, 2, layout.flags & ~ENABLE);
  }

  /** Enable as last passed to the device. */
  get enabled(): boolean {
    return this.#flags[FLAG.enabled] !== 0;
  }
  /** Function Mask as last passed to the device. */
  get functionMask(): boolean {
    return this.#flags[FLAG.functionMask] !== 0;
  }
  get guestTable(): number {
    return (this.#guestTable[1] >>> 0) * 0x1_0000_0000 + (this.#guestTable[0] >>> 0);
  }
  /** The pirq that an entry holds, −1 = none. It is bound as well: a pirq whose binding fails is given up. */
  entryPirq(entry: number): number {
    return this.#pirq[entry];
  }
  /** The entry's address or data has changed since it was last bound. */
  entryUpdated(entry: number): boolean {
    return this.#updated[entry] !== 0;
  }
  /** The message as the guest reads it back. */
  entryMessage(entry: number): MsiMessage {
    return messageAt(this.#latch, 3 * entry);
  }
  /** The message that the next unbind will name: what was bound, or with an immediate table what is in it. */
  boundMessage(entry: number): MsiMessage {
    return this.#context.switches.latchTable ? messageAt(this.#message, 3 * entry) : this.entryMessage(entry);
  }
  /** Mask bit as the guest last wrote it; the hypervisor may keep that of the device different. */
  entryMasked(entry: number): boolean {
    return (this.#control[entry] & MASK_BIT) !== 0;
  }

  /** All that is held for the entries, unchecked. */
  get tables(): MsixTables {
    const { latchTable } = this.#context.switches;
    return { latched: this.#latch, bound: latchTable ? this.#message : undefined, pirqs: this.#pirq };
  }

  /** A write that passes `value` to the device's control word. xen_pt_config_init.c: xen_pt_msixctrl_reg_write */
  writeControl(value: number): void {
    const enable = (value & ENABLE) !== 0;
    const functionMask = (value & FUNCTION_MASK) !== 0;
    if (enable && !functionMask) this.#updateAll();
    else if (!enable && this.enabled && this.#context.switches.freeOnDisable) this.disable();
    this.#flags[FLAG.functionMask] = functionMask ? 1 : 0;
    this.#flags[FLAG.enabled] = enable ? 1 : 0;
  }

  /** Disables the device's MSI-X and gives up all pirqs. xen_pt_msi.c: xen_pt_msix_disable */
  disable(): void {
    clearHostEnable(this.#context, this.layout.control, ENABLE);
    for (let entry = 0; entry < this.entryCount; entry++) {
      release(this.#context, this.boundMessage(entry), this.#pirq[entry], true);
      this.#pirq[entry] = NO_PIRQ;
      this.#updated[entry] = 0;
    }
  }

  /** 32 bits of the table, or beyond it (the pending bits may be there) of the device. xen_pt_msi.c: pci_msix_read */
  readTable(offset: number): number {
    if (offset & 3) return 0;
    const entry = Math.floor(offset / ENTRY_BYTES);
    if (entry >= this.entryCount) return this.#readHostTable(offset);
    const word = (offset >> 2) & 3;
    return (word === VECTOR_CONTROL ? this.#control[entry] : this.#latch[3 * entry + word]) >>> 0;
  }

  /** 32 bits; misaligned writes and those beyond the table vanish. xen_pt_msi.c: pci_msix_write */
  writeTable(offset: number, value: number): void {
    const entry = Math.floor(offset / ENTRY_BYTES);
    if (offset & 3 || entry >= this.entryCount) return;
    const { switches } = this.#context;
    const word = (offset >> 2) & 3;
    if (word !== VECTOR_CONTROL) {
      const at = 3 * entry + word;
      const isSame = this.#latch[at] === (value | 0);
      if (isSame && (switches.shadowCompare === 'value' || this.#pirq[entry] !== NO_PIRQ)) return;
      if (switches.refuseWriteWhileUnmasked && this.enabled && !(this.#hostVectorControl(entry) & MASK_BIT)) return;
      this.#updated[entry] = 1;
      this.#latch[at] = value;
      return;
    }
    const unmasks = this.enabled && !(value & MASK_BIT);
    // With latching the binding comes first, and what counts as masked is the device's own bit.
    if (switches.latchTable && unmasks && this.entryUpdated(entry)) this.#update(entry, this.#hostVectorControl(entry));
    this.#control[entry] = value;
    if (!switches.latchTable && unmasks) this.#update(entry, value);
  }

  /**
   * The guest has moved the BAR: every held pirq is unbound and bound again with the new address of the table.
   * xen_pt_msi.c: xen_pt_msix_update_remap
   */
  moveTable(guestTable: number): void {
    this.#setGuestTable(guestTable);
    for (let entry = 0; entry < this.entryCount; entry++) {
      if (this.#pirq[entry] === NO_PIRQ) continue;
      this.#context.toolstack.unbindPtIrq(this.#pirq[entry]);
      this.#updated[entry] = 1;
    }
    this.#updateAll();
  }

  #updateAll(): void {
    for (let entry = 0; entry < this.entryCount; entry++) this.#update(entry, this.#control[entry]);
  }

  /** Maps (if it has no pirq) and binds a changed entry. xen_pt_msi.c: xen_pt_msix_update_one */
  #update(entry: number, vectorControl: number): void {
    if (!this.entryUpdated(entry)) return;
    const held = this.#pirq[entry];
    const isMasked = (vectorControl & MASK_BIT) !== 0;
    if (held === NO_PIRQ || this.functionMask || isMasked)
      for (let word = 0; word < 3; word++) this.#message[3 * entry + word] = this.#latch[3 * entry + word];
    const message = this.boundMessage(entry);
    const context = this.#context;
    const { tableBase } = this.layout;
    const got = setUp(context, message, held, entry, tableBase);
    if (got.rc !== 0) return;
    if (held === NO_PIRQ) this.#pirq[entry] = got.pirq;
    const rc = bind(context, message, got.pirq, this.#pirq[entry], this.guestTable, isMasked);
    if (rc !== 0) this.#pirq[entry] = NO_PIRQ;
    else this.#updated[entry] = 0;
  }

  #hostVectorControl(entry: number): number {
    return this.#readHostTable(entry * ENTRY_BYTES + 4 * VECTOR_CONTROL);
  }

  /** Deviation: a table in a BAR that the host has not placed reads as 0; QEMU fails to attach such a function. */
  #readHostTable(offset: number): number {
    const { tableBase, tableOffset } = this.layout;
    return tableBase === 0 ? 0 : this.#context.host.readMemory(tableBase + tableOffset + offset);
  }

  #setGuestTable(address: number): void {
    this.#guestTable[0] = address % 0x1_0000_0000;
    this.#guestTable[1] = Math.floor(address / 0x1_0000_0000);
  }
}

function messageAt(words: Int32Array, at: number): MsiMessage {
  return { addressLo: words[at] >>> 0, addressHi: words[at + 1] >>> 0, data: words[at + 2] >>> 0 };
}
