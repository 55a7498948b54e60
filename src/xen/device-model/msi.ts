import type { Arena } from '../../core/index.ts';
import type { MsiMessage } from '../abi/index.ts';
import { bind, type Context, clearHostEnable, NO_PIRQ, release, setUp } from './calls.ts';
import type { MsiLayout } from './layout.ts';

const ENABLE = 1;
const ADDRESS_64 = 0x80;

/** Words of the state, in the order of hw/xen/xen_pt.h: XenPTMSI. */
const WORD = { flags: 0, addressLo: 1, addressHi: 2, data: 3, mask: 4, pirq: 5, initialized: 6, mapped: 7 } as const;

/** The MSI capability of a pass-through device: one vector, whatever the guest grants itself. */
export class PassthroughMsi {
  readonly layout: MsiLayout;
  readonly #context: Context;
  readonly #words: Int32Array;

  constructor(context: Context, layout: MsiLayout, arena: Arena, label: string) {
    this.layout = layout;
    this.#context = context;
    this.#words = arena.int32(8, `${label} msi`);
    this.#words[WORD.flags] = layout.flags;
    this.#words[WORD.pirq] = NO_PIRQ;
    if (layout.flags & ENABLE) context.host.writeConfig(layout.control, 2, layout.flags & ~ENABLE);
  }

  /** Control bits seen so far; only Enable is ever cleared while the device lives. */
  get flags(): number {
    return this.#words[WORD.flags];
  }
  /** The message as the guest has written it. */
  get message(): MsiMessage {
    const words = this.#words;
    return {
      addressLo: words[WORD.addressLo] >>> 0,
      addressHi: words[WORD.addressHi] >>> 0,
      data: words[WORD.data],
    };
  }
  /** Mask register of the device as last seen by a write; the tables of 2.0 do not know the register. */
  get mask(): number {
    return this.#words[WORD.mask] >>> 0;
  }
  /** The pirq held, −1 = none. */
  get pirq(): number {
    return this.#words[WORD.pirq];
  }
  /** The first enable has succeeded, and no disable has undone it. */
  get initialized(): boolean {
    return this.#words[WORD.initialized] !== 0;
  }
  /** Set and cleared with {@link initialized}, except that old teardown leaves that. */
  get mapped(): boolean {
    return this.#words[WORD.mapped] !== 0;
  }

  /**
   * Whether the recorded flags still say 32- or 64-bit as the device does. A guest that writes bit 7 of the control
   * word, where that lies in the writable copy, makes a 32-bit capability look like a 64-bit one; the next write to its
   * data register is then fatal. xen_pt_config_init.c: xen_pt_msgdata_reg_write
   */
  knowsForm(): boolean {
    return ((this.flags ^ this.layout.flags) & ADDRESS_64) === 0;
  }

  /**
   * A write to the control word. `emulated` is the emulated value after it, `enable` what the code takes for the Enable
   * bit. Returns false if the device must not be enabled because mapping or binding failed.
   * xen_pt_config_init.c: xen_pt_msgctrl_reg_write
   */
  writeControl(emulated: number, enable: boolean): boolean {
    const words = this.#words;
    words[WORD.flags] |= emulated & ~ENABLE;
    if (enable) {
      if (!this.initialized) {
        if (!this.#setUp() || !this.#bind()) return false;
        words[WORD.initialized] = 1;
        words[WORD.mapped] = 1;
      }
      words[WORD.flags] |= ENABLE;
    } else if (!this.#context.switches.freeOnDisable) {
      words[WORD.flags] &= ~ENABLE;
    } else if (this.mapped) {
      this.disable();
    }
    return true;
  }

  /** A write to part of the message; `changed` if the emulated register looked different before. */
  writeMessage(part: 'addressLo' | 'addressHi' | 'data', value: number, changed: boolean): void {
    this.#words[WORD[part]] = value;
    if (changed && this.mapped) this.#bind();
  }

  writeMask(value: number): void {
    this.#words[WORD.mask] = value;
  }

  /** Disables the device's MSI and gives up the pirq. xen_pt_msi.c: xen_pt_msi_disable */
  disable(): void {
    const words = this.#words;
    clearHostEnable(this.#context, this.layout.control, ENABLE);
    release(this.#context, this.message, this.pirq, this.initialized);
    if (this.#context.switches.msiTeardownForgets === 'flags') {
      words[WORD.flags] = 0;
    } else {
      words[WORD.flags] &= ~ENABLE;
      words[WORD.initialized] = 0;
    }
    words[WORD.mapped] = 0;
    words[WORD.pirq] = NO_PIRQ;
  }

  #setUp(): boolean {
    const { rc, pirq } = setUp(this.#context, this.message, NO_PIRQ, 0, 0);
    if (rc !== 0 || pirq < 0) return false;
    this.#words[WORD.pirq] = pirq;
    return true;
  }

  #bind(): boolean {
    const isMasked = (this.mask & 1) !== 0;
    const { pirq } = this;
    const rc = bind(this.#context, this.message, pirq, pirq, 0, isMasked);
    if (rc !== 0) this.#words[WORD.pirq] = NO_PIRQ;
    return rc === 0;
  }
}
