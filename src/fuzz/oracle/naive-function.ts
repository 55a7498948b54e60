import type { BarSpec, Layout } from '../../pci/index.ts';
import { type NaiveMessage, NaiveMsix } from './naive-vectors.ts';
import { type SpecBits, specBits } from './spec-bits.ts';

/** What must have reached the outside: messages in order, and the level of the interrupt line. */
export interface NaiveEffects {
  messages: NaiveMessage[];
  /** 0 or 1. */
  line: number;
}

/** What {@link NaiveFunction.restore} takes. */
export interface NaiveState {
  bytes: Uint8Array;
  msix: ReturnType<NaiveMsix['save']> | undefined;
  asserted: boolean;
}

/**
 * A PCI function told a second time, straight from the specifications (`spec` flavour): bytes with a rule for each bit,
 * interrupts worked out anew after every access from what the registers say now, never from what changed. Slow where the
 * model is fast, so that the two have no reason to be wrong together.
 */
export class NaiveFunction {
  readonly bits: SpecBits;
  readonly bytes: Uint8Array;
  /** The same, four bytes each. */
  readonly words: Int32Array;
  readonly msix: NaiveMsix | undefined;
  readonly effects: NaiveEffects = { messages: [], line: 0 };
  /** Offsets of bytes that software can change. */
  readonly #resettable: readonly number[];
  readonly #msiAt: number;
  readonly #msixAt: number;
  readonly #pmAt: number;
  readonly #tableBar: number = -1;
  readonly #tableAt: number = 0;
  readonly #pbaBar: number = -1;
  readonly #pbaAt: number = 0;
  readonly #bars: readonly BarSpec[];
  readonly #expressAt: number;
  readonly #afAt: number;
  readonly #vpdAt: number;
  #asserted = false;
  /** What stands behind the BARs is told of each reset. */
  onReset: () => void = () => {};

  /** @param bits what each bit does, if not what our own model's does */
  constructor(layout: Layout, bits: SpecBits = specBits(layout)) {
    this.bits = bits;
    const { capabilities, image } = this.bits;
    this.bytes = image.slice();
    this.words = new Int32Array(this.bytes.buffer);
    this.#resettable = [...image.keys()].filter((i) => (this.bits.rw[i] | this.bits.w1c[i]) !== 0);
    const at = (id: number) => capabilities.get(id) ?? 0;
    [this.#msiAt, this.#msixAt, this.#pmAt] = [at(5), at(0x11), at(1)];
    [this.#expressAt, this.#afAt, this.#vpdAt] = [at(0x10), at(0x13), at(3)];
    this.#bars = layout.bars;
    if (this.#msixAt) {
      this.msix = new NaiveMsix((this.#word(this.#msixAt + 2) & 0x7ff) + 1);
      const [table, pba] = [this.read(this.#msixAt + 4, 4), this.read(this.#msixAt + 8, 4)];
      [this.#tableBar, this.#tableAt] = [table % 8, table - (table % 8)];
      [this.#pbaBar, this.#pbaAt] = [pba % 8, pba - (pba % 8)];
    }
    this.begin();
  }

  begin(): void {
    this.bytes.set(this.bits.image);
    this.msix?.reset();
    this.#asserted = (this.bytes[6] & 8) !== 0;
    this.effects.messages = [];
    this.effects.line = 0;
  }

  save(): NaiveState {
    return { bytes: this.bytes.slice(), msix: this.msix?.save(), asserted: this.#asserted };
  }

  restore(saved: NaiveState): void {
    this.bytes.set(saved.bytes);
    if (saved.msix) this.msix?.restore(saved.msix);
    this.#asserted = saved.asserted;
    this.effects.messages = [];
    this.effects.line = this.#line();
  }

  /** Bytes beyond the end of the space read 0, an offset beyond it all ones. */
  read(offset: number, width: number): number {
    let value = 0;
    for (let i = width - 1; i >= 0; i--) {
      const byte = offset >= this.bits.size ? 0xff : offset + i < this.bits.size ? this.bytes[offset + i] : 0;
      value = value * 256 + byte;
    }
    return value;
  }

  /** Byte by byte: what is writable takes the value, what clears on 1 clears; then what follows from it. */
  write(offset: number, width: number, value: number): void {
    const { bits, bytes } = this;
    const power = this.#pmAt ? bytes[this.#pmAt + 4] & 3 : 0;
    for (let i = 0; i < width && offset + i < bits.size; i++) {
      const at = offset + i;
      const byte = (value >>> (8 * i)) & 0xff;
      bytes[at] = ((bytes[at] & ~bits.rw[at]) | (byte & bits.rw[at])) & ~(byte & bits.w1c[at]);
    }
    const wrote = (at: number): number =>
      at > 0 && at >= offset && at < offset + width ? (value >>> (8 * (at - offset))) & 0xff : 0;
    const touched = (at: number): boolean => at >= offset && at < offset + width;
    if (this.#vpdAt && touched(this.#vpdAt + 3)) this.#transferVpd();
    if (this.#pmAt && touched(this.#pmAt + 4)) this.#changePower(power);
    const canFlr = (at: number, bit: number) => at > 0 && (bytes[at] & bit) !== 0;
    if (
      (canFlr(this.#expressAt && this.#expressAt + 7, 0x10) && wrote(this.#expressAt + 9) & 0x80) ||
      (canFlr(this.#afAt && this.#afAt + 3, 0x02) && wrote(this.#afAt + 4) & 0x01)
    )
      this.reset('flr');
    this.settle();
  }

  /** The MSI-X windows byte by byte; the rest of a BAR holds nothing, beyond it is nobody. */
  readBar(bar: number, offset: number, width: number): number {
    const spec = this.#bars.find((b) => b.bar === bar);
    if (!spec || offset + width > spec.sizeBytes) return 256 ** width - 1;
    const table = this.#inTable(bar, offset);
    const pba = !table && this.#inPba(bar, offset);
    let value = 0;
    for (let i = width - 1; i >= 0; i--) {
      let byte = 0;
      if (table && this.#inTable(bar, offset + i)) byte = this.msix!.tableByte(offset + i - this.#tableAt);
      else if (pba) byte = this.msix!.pendingByte(offset + i - this.#pbaAt);
      value = value * 256 + byte;
    }
    return value;
  }

  /** Dword by dword, as byte enables select bytes of each; what one dword unmasks leaves before the next is written. */
  writeBar(bar: number, offset: number, width: number, value: number): void {
    const spec = this.#bars.find((b) => b.bar === bar);
    if (!spec || offset + width > spec.sizeBytes || !this.#inTable(bar, offset)) return;
    for (let i = 0; i < width; i++) {
      const at = offset + i - this.#tableAt;
      this.msix!.writeTableByte(at, (value >>> (8 * i)) & 0xff);
      if ((at & 3) === 3 || i === width - 1) this.settle();
    }
  }

  raise(vector: number): void {
    if (this.#msixEnabled) this.msix!.signal(vector);
    else if (this.#msiEnabled) this.#signalMsi(vector);
    else if (this.bytes[0x3d] !== 0) this.#asserted = true;
    this.settle();
  }

  lower(): void {
    this.#asserted = false;
    this.settle();
  }

  /** PCIe 5.0 §6.6: everything as it was made, but sticky bits, and for FLR what §6.6.2 keeps. */
  reset(kind: 'conventional' | 'hot' | 'flr'): void {
    const { bits, bytes } = this;
    for (const at of this.#resettable) {
      let kept = kind === 'conventional' ? 0 : bits.sticky[at];
      if (kind === 'flr') kept |= bits.keptByFlr[at];
      const changes = (bits.rw[at] | bits.w1c[at]) & ~kept;
      bytes[at] = (bytes[at] & ~changes) | (bits.reset[at] & changes);
    }
    if (this.#hasMsiPending) for (let i = 0; i < 4; i++) bytes[this.#msiPendingAt + i] = 0;
    this.msix?.reset();
    this.#asserted = false;
    this.onReset();
    this.settle();
  }

  /** How the function signals: MSI-X goes before MSI. */
  get mode(): 'msix' | 'msi' | 'intx' {
    return this.#msixEnabled ? 'msix' : this.#msiEnabled ? 'msi' : 'intx';
  }

  /** It may make requests: Bus Master Enable (§7.5.1.1.3), in D0 only (§5.3.1). */
  get mayTransfer(): boolean {
    const isAwake = this.#pmAt === 0 || (this.bytes[this.#pmAt + 4] & 3) === 0;
    return isAwake && (this.bytes[4] & 0x04) !== 0;
  }

  get #msixEnabled(): boolean {
    return this.#msixAt > 0 && (this.bytes[this.#msixAt + 3] & 0x80) !== 0;
  }

  get #msiEnabled(): boolean {
    return this.#msiAt > 0 && (this.bytes[this.#msiAt + 2] & 1) !== 0;
  }

  get #hasMsiPending(): boolean {
    return this.#msiAt > 0 && (this.bytes[this.#msiAt + 3] & 1) !== 0;
  }

  get #msiDataAt(): number {
    return this.#msiAt + (this.bytes[this.#msiAt + 2] & 0x80 ? 12 : 8);
  }

  get #msiPendingAt(): number {
    return this.#msiDataAt + 8;
  }

  /** Vectors granted: no more than offered. PCI Local Bus 3.0 §6.8.1.3. */
  get granted(): number {
    const ctrl = this.bytes[this.#msiAt + 2];
    return 2 ** Math.min((ctrl >> 4) & 7, (ctrl >> 1) & 7, 5);
  }

  #signalMsi(vector: number): void {
    const v = vector % this.granted;
    const masked = this.#hasMsiPending && this.#bit(this.#msiDataAt + 4, v);
    if (masked) this.bytes[this.#msiPendingAt + (v >> 3)] |= 1 << (v & 7);
    else this.#send(this.#msiMessage(v));
  }

  /** The vector replaces the low bits of data. PCI Local Bus 3.0 §6.8.3.4; data 31:16 as §7.7.1.6 of PCIe 5.0. */
  #msiMessage(vector: number): NaiveMessage {
    const low = this.#word(this.#msiDataAt);
    const high = this.bytes[this.#msiAt + 3] & 0x04 ? this.#word(this.#msiDataAt + 2) : 0;
    const granted = this.granted;
    return {
      vector,
      addressLo: this.read(this.#msiAt + 4, 4),
      addressHi: this.bytes[this.#msiAt + 2] & 0x80 ? this.read(this.#msiAt + 8, 4) : 0,
      data: high * 0x10000 + Math.floor(low / granted) * granted + vector,
    };
  }

  /** Takes over configuration space as somebody else's function shows it, so that the two go on from the same state. */
  adopt(bytes: Uint8Array): void {
    this.bytes.set(bytes);
    this.#asserted = (bytes[6] & 8) !== 0;
    this.effects.line = this.#line();
  }

  /** What holds at rest: nothing deliverable is pending; a function with messages enabled drives no line (§6.1.3). */
  settle(): void {
    if (this.#msixEnabled || this.#msiEnabled) this.#asserted = false;
    if (this.msix?.anyPending && this.#msixEnabled && !(this.bytes[this.#msixAt + 3] & 0x40))
      for (const message of this.msix.takeReady()) this.#send(message);
    if (this.#hasMsiPending && this.#msiEnabled) {
      for (let v = 0; v < this.granted; v++) {
        if (!this.#bit(this.#msiPendingAt, v) || this.#bit(this.#msiDataAt + 4, v)) continue;
        this.bytes[this.#msiPendingAt + (v >> 3)] &= ~(1 << (v & 7));
        this.#send(this.#msiMessage(v));
      }
    }
    this.bytes[6] = (this.bytes[6] & ~8) | (this.#asserted ? 8 : 0);
    this.effects.line = this.#line();
  }

  #inTable(bar: number, offset: number): boolean {
    if (!this.msix || bar !== this.#tableBar) return false;
    return offset >= this.#tableAt && offset < this.#tableAt + 16 * this.msix.count;
  }

  #inPba(bar: number, offset: number): boolean {
    if (!this.msix || bar !== this.#pbaBar) return false;
    return offset >= this.#pbaAt && offset < this.#pbaAt + 8 * Math.ceil(this.msix.count / 64);
  }

  #line(): number {
    return this.#asserted && !(this.bytes[5] & 0x04) ? 1 : 0;
  }

  /** A message is a memory write. */
  #send(message: NaiveMessage): void {
    if (this.mayTransfer) this.effects.messages.push(message);
  }

  /** PCI PM 1.2 §3.2.4, §5.4.1: a state that is not offered is not entered; D3hot to D0 resets unless told not to. */
  #changePower(before: number): void {
    const at = this.#pmAt + 4;
    const now = this.bytes[at] & 3;
    const pmc = this.#word(this.#pmAt + 2);
    if ((now === 1 && !(pmc & 0x200)) || (now === 2 && !(pmc & 0x400))) this.bytes[at] = (this.bytes[at] & ~3) | before;
    else if (before === 3 && now === 0 && !(this.bytes[at] & 8)) this.reset('hot');
  }

  /** The flag turns over when the transfer is done, here at once. PCI Local Bus 3.0 appendix I. */
  #transferVpd(): void {
    this.bytes[this.#vpdAt + 3] ^= 0x80;
  }

  #bit(at: number, bit: number): boolean {
    return ((this.bytes[at + (bit >> 3)] >> (bit & 7)) & 1) === 1;
  }

  #word(at: number): number {
    return this.bytes[at] | (this.bytes[at + 1] << 8);
  }
}
