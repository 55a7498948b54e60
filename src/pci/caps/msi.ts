import { type Register, reg, whole } from '../../core/index.ts';
import { overlaps } from '../config-space.ts';
import { type FunctionCore, sendMessage, setIntx } from '../function-core.ts';
import { type Capability, type CapabilityView, peek } from './capability.ts';

/** MSI Message Control, 16 bit at cap+2. PCI Local Bus 3.0 §6.8.1.3, PCIe 5.0 §7.7.1.2. */
const control = (extended: boolean): Register =>
  reg('msi.ctrl', 2, 2, {
    enable: { at: 0, access: 'rw' },
    mmc: { at: 1, width: 3, access: 'ro' }, // log2(vectors offered)
    mme: { at: 4, width: 3, access: 'rw' }, // log2(vectors granted)
    addr64: { at: 7, access: 'ro' },
    pvm: { at: 8, access: 'ro' }, // per-vector masking
    extendedData: { at: 9, access: 'ro' },
    extendedDataEnable: { at: 10, access: extended ? 'rw' : 'ro' },
    rsvd: { at: 11, width: 5, access: 'rsvdp' },
  });
export const MSI_CTRL = control(false);
const MSI_CTRL_EXTENDED = control(true);

const ADDRESS = reg('msi.address', 4, 4, {
  rsvd: { at: 0, width: 2, access: 'rsvdp' },
  address: { at: 2, width: 30, access: 'rw' },
});

/** Where the parts of a capability stand, from its control word; 0 = it has none. PCIe 5.0 §7.7.1, figures 7-45 to 7-48. */
function layout(ctrl: number): { upper: number; data: number; mask: number; pending: number; size: number } {
  const upper = ctrl & 0x80 ? 8 : 0;
  const data = upper ? 12 : 8;
  // bits 31:16 of data are there with masks, and without them if the function has extended data (§7.7.1.6)
  if (!(ctrl & 0x100)) return { upper, data, mask: 0, pending: 0, size: data + (ctrl & 0x200 ? 4 : 2) };
  return { upper, data, mask: data + 4, pending: data + 8, size: data + 12 };
}

/** Low `1 << log2` bits. */
const vectorBits = (log2: number) => (log2 >= 5 ? 0xffffffff : (1 << (1 << log2)) - 1) >>> 0;

const mmcOf = (ctrl: number) => Math.min((ctrl >> 1) & 7, 5);

export const MSI: Capability = {
  id: 0x05,
  name: 'msi',
  sizeBytes: (view) => layout(peek(view, 2, 2)).size,
  registers: (view: CapabilityView) => {
    const ctrl = peek(view, 2, 2);
    const { upper, data, mask, pending } = layout(ctrl);
    const all = vectorBits(mmcOf(ctrl));
    const offered = { at: 0, width: all === 0xffffffff ? 32 : 1 << mmcOf(ctrl) };
    const list = [ctrl & 0x200 ? MSI_CTRL_EXTENDED : MSI_CTRL, ADDRESS, whole('msi.data', data, 2, 'rw')];
    if (upper) list.push(whole('msi.addressUpper', upper, 4, 'rw'));
    // bits 31:16 of data, PCIe 5.0 §7.7.1.6
    if (mask || ctrl & 0x200) list.push(whole('msi.dataUpper', data + 2, 2, ctrl & 0x200 ? 'rw' : 'rsvdp'));
    if (!mask) return list;
    list.push(reg('msi.mask', mask, 4, { vectors: { ...offered, access: 'rw' } }));
    list.push(reg('msi.pending', pending, 4, { vectors: { ...offered, access: 'ro' } }));
    return list;
  },
  /** Deviation: no extended message data; reset as `hw/pci/msi.c: msi_reset`. */
  qemu: (view) => ({
    'msi.ctrl': { writable: 0x0071, reset: 0x0071 },
    'msi.address': { writable: 0xfffffffc, reset: 0xffffffff },
    'msi.addressUpper': { writable: 0xffffffff, reset: 0xffffffff },
    'msi.data': { writable: 0xffff, reset: 0xffff },
    'msi.mask': { writable: vectorBits(mmcOf(peek(view, 2, 2))), reset: 0xffffffff },
    'msi.pending': { reset: 0xffffffff },
  }),
};

/**
 * MSI of one function: all its state is in the capability's registers (the pending bits of a function without
 * per-vector masking never set).
 */
export class Msi {
  readonly at: number;
  readonly sizeBytes: number;
  readonly #core: FunctionCore;
  readonly #parts: ReturnType<typeof layout>;

  constructor(core: FunctionCore, at: number) {
    this.#core = core;
    this.at = at;
    this.#parts = layout(core.config.get(at + 2, 2));
    this.sizeBytes = this.#parts.size;
  }

  get control(): number {
    return this.#core.config.get(this.at + 2, 2);
  }

  get enabled(): boolean {
    return (this.control & 1) !== 0;
  }

  /**
   * Vectors granted: 1 << MME, but no more than offered. Deviation: QEMU 7.2 takes MME as it stands
   * (`hw/pci/msi.c: msi_nr_vectors_allocated`); it clamps the register itself at writes while enabled.
   */
  get allocated(): number {
    const ctrl = this.control;
    const mme = (ctrl >> 4) & 7;
    return 1 << Math.min(mme, this.#core.flavour === 'spec' ? mmcOf(ctrl) : 5);
  }

  get maskBits(): number {
    return this.#parts.mask ? this.#core.config.get(this.at + this.#parts.mask, 4) : 0;
  }

  get pendingBits(): number {
    return this.#parts.pending ? this.#core.config.get(this.at + this.#parts.pending, 4) : 0;
  }

  get addressLo(): number {
    return this.#core.config.get(this.at + 4, 4);
  }

  get addressHi(): number {
    return this.#parts.upper ? this.#core.config.get(this.at + this.#parts.upper, 4) : 0;
  }

  get data(): number {
    const { config } = this.#core;
    const low = config.get(this.at + this.#parts.data, 2);
    return this.control & 0x400 ? (low | (config.get(this.at + this.#parts.data + 2, 2) << 16)) >>> 0 : low;
  }

  /** The device signals `vector`; beyond what is granted it wraps round, as devices share vectors then. PCI 3.0 §6.8.3.4. */
  raise(vector: number): void {
    const v = vector & (this.allocated - 1);
    if ((this.maskBits >>> v) & 1) this.#setPending(this.pendingBits | (1 << v));
    else this.#send(v);
  }

  /** The condition behind a held message is gone, or was told in another way. PCIe 5.0 §6.1.4.5. */
  withdraw(vector: number): void {
    if (this.#parts.pending) this.#setPending(this.pendingBits & ~(1 << vector));
  }

  /** After a guest's write to [offset, offset + width), stored already. Source of the order: `hw/pci/msi.c: msi_write_config`. */
  written(offset: number, width: number): void {
    if (!overlaps(offset, width, this.at, this.sizeBytes) || !this.enabled) return;
    setIntx(this.#core, 0);
    const ctrl = this.control;
    // Deviation: QEMU 7.2 corrects an MME above MMC in the register; PCIe 5.0 §7.7.1.2 leaves such a value undefined
    if (this.#core.flavour === 'qemu-7.2' && ((ctrl >> 4) & 7) > ((ctrl >> 1) & 7))
      this.#core.config.update(this.at + 2, 2, 0x70, ((ctrl >> 1) & 7) << 4);
    if (!this.#parts.mask) return;
    const granted = vectorBits(Math.log2(this.allocated));
    // Deviation: QEMU 7.2 forgets pending bits beyond the vectors granted
    const pending = this.#core.flavour === 'qemu-7.2' ? (this.pendingBits & granted) >>> 0 : this.pendingBits;
    const ready = (pending & granted & ~this.maskBits) >>> 0;
    this.#setPending(pending & ~ready);
    for (let v = 0; v < 32; v++) if ((ready >>> v) & 1) this.#send(v);
  }

  /** Interrupt state that no mask of the tables clears. */
  reset(): void {
    if (this.#parts.pending) this.#setPending(0);
  }

  #setPending(bits: number): void {
    this.#core.config.set(this.at + this.#parts.pending, 4, bits);
  }

  /** Composes the message: the vector takes the low MME bits of data. PCI 3.0 §6.8.3.4, PCIe 5.0 §6.1.4.4. */
  #send(vector: number): void {
    sendMessage(this.#core, vector, this.addressLo, this.addressHi, (this.data & ~(this.allocated - 1)) | vector);
  }
}
