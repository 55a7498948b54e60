import { type Register, reg } from '../../core/index.ts';
import { overlaps } from '../config-space.ts';
import { type Downstream, type FunctionCore, type OwnInterrupt, STATE, setIntx } from '../function-core.ts';
import type { QemuRule } from './capability.ts';

/** Slot Capabilities bits. PCIe 5.0 §7.5.3.9. */
export const SLOT_CAPS = {
  attentionButton: 0x1,
  powerController: 0x2,
  mrlSensor: 0x4,
  attentionIndicator: 0x8,
  powerIndicator: 0x10,
  hotPlugCapable: 0x40,
  interlock: 0x2_0000,
  noCommandCompleted: 0x4_0000,
} as const;

/** Slot Control bits, §7.5.3.10, and Slot Status bits, §7.5.3.11. */
const CONTROL = { hotPlugInterrupt: 0x20, powerOff: 0x400, interlock: 0x800 } as const;
const STATUS = { commandCompleted: 0x10, interlock: 0x80, events: 0x1f, stateChanged: 0x100 } as const;

/** Slot Control at +0x18 and Slot Status at +0x1a of the PCI Express capability; what the slot lacks is hardwired to 0. */
export function slotRegisters(caps: number): Register[] {
  const has = (bit: number) => (caps & bit ? 'rw' : 'ro') as 'rw' | 'ro';
  const event = (bit: number) => (caps & bit ? 'rw1c' : 'ro') as 'rw1c' | 'ro';
  const completes = caps & SLOT_CAPS.noCommandCompleted ? 'ro' : 'rw';
  return [
    reg('pcie.slotCaps', 0x14, 4, {
      attentionButton: { at: 0, access: 'ro' },
      powerController: { at: 1, access: 'ro' },
      mrlSensor: { at: 2, access: 'ro' },
      attentionIndicator: { at: 3, access: 'ro' },
      powerIndicator: { at: 4, access: 'ro' },
      hotPlugSurprise: { at: 5, access: 'ro' },
      hotPlugCapable: { at: 6, access: 'ro' },
      powerLimit: { at: 7, width: 8, access: 'ro' },
      powerScale: { at: 15, width: 2, access: 'ro' },
      interlock: { at: 17, access: 'ro' },
      noCommandCompleted: { at: 18, access: 'ro' },
      slotNumber: { at: 19, width: 13, access: 'ro' },
    }),
    reg('pcie.slotControl', 0x18, 2, {
      attentionButton: { at: 0, access: has(SLOT_CAPS.attentionButton) },
      powerFault: { at: 1, access: has(SLOT_CAPS.powerController) },
      mrlSensor: { at: 2, access: has(SLOT_CAPS.mrlSensor) },
      presence: { at: 3, access: 'rw' },
      commandCompleted: { at: 4, access: completes },
      hotPlugInterrupt: { at: 5, access: has(SLOT_CAPS.hotPlugCapable) },
      attentionIndicator: { at: 6, width: 2, access: has(SLOT_CAPS.attentionIndicator), reset: 3 },
      powerIndicator: { at: 8, width: 2, access: has(SLOT_CAPS.powerIndicator), reset: 3 },
      powerOff: { at: 10, access: has(SLOT_CAPS.powerController) },
      interlock: { at: 11, access: 'ro' }, // acts when written 1, reads 0
      linkState: { at: 12, access: 'rw' },
      autoPowerLimitDisable: { at: 13, access: 'rw' },
    }),
    reg('pcie.slotStatus', 0x1a, 2, {
      attentionButton: { at: 0, access: event(SLOT_CAPS.attentionButton) },
      powerFault: { at: 1, access: event(SLOT_CAPS.powerController) },
      mrlSensor: { at: 2, access: event(SLOT_CAPS.mrlSensor) },
      presence: { at: 3, access: 'rw1c' },
      commandCompleted: { at: 4, access: completes === 'rw' ? 'rw1c' : 'ro' },
      mrlState: { at: 5, access: 'ro' },
      presenceState: { at: 6, access: 'ro' },
      interlockState: { at: 7, access: 'ro' },
      linkState: { at: 8, access: 'rw1c' },
    }),
  ];
}

/**
 * Deviation: `hw/pci/pcie.c: pcie_cap_slot_init, pcie_cap_slot_reset`. A fixed set of enables, and events whose
 * absence from Slot Capabilities does not matter; reset turns the attention indicator off and, in an empty slot with a
 * power controller, power and its indicator. Without one the indicator's field reads 0, a reserved value.
 */
export function slotQemu(caps: number): Record<string, QemuRule> {
  const power = caps & SLOT_CAPS.powerController ? CONTROL.powerOff : 0;
  const off = power ? 0x0300 | power : 0;
  return {
    'pcie.slotControl': { writable: 0x03f9 | power, reset: 0x0bf9 | power, to: 0x00c0 | off },
    'pcie.slotStatus': { w1c: 0x0019, reset: 0x0099 },
  };
}

/** Slot Control's and Slot Status' behaviour at [at + 0x18, at + 0x1c). PCIe 5.0 §6.7.3. */
export class Slot {
  readonly #core: FunctionCore;
  readonly #controlAt: number;
  readonly #statusAt: number;
  readonly #caps: number;
  readonly #flagsAt: number;
  readonly #interrupt: OwnInterrupt;
  /** Power in the image stands for a device while no bus tells. */
  readonly #initiallyPowered: boolean;
  #downstream: Downstream | undefined;

  constructor(core: FunctionCore, at: number, interrupt: OwnInterrupt) {
    this.#core = core;
    this.#controlAt = at + 0x18;
    this.#statusAt = at + 0x1a;
    this.#caps = core.config.get(at + 0x14, 4);
    this.#flagsAt = at + 0x02;
    this.#interrupt = interrupt;
    this.#initiallyPowered = this.powered;
  }

  connect(downstream: Downstream): void {
    this.#downstream = downstream;
  }

  get control(): number {
    return this.#core.config.get(this.#controlAt, 2);
  }

  get status(): number {
    return this.#core.config.get(this.#statusAt, 2);
  }

  /** False while the power controller is off: what is below does not answer. */
  get powered(): boolean {
    return !(this.#caps & SLOT_CAPS.powerController) || !(this.control & CONTROL.powerOff);
  }

  /** The port's interrupt condition of hot-plug events: enabled, and an event with its own enable is there. */
  get #wanted(): boolean {
    const events = this.#core.flavour === 'spec' ? 0x11f : 0x19;
    const { control } = this;
    // Data Link Layer State Changed: status bit 8, enable bit 12 (§6.7.3.4)
    const enables = (control & 0x1f) | ((control & 0x1000) >> 4);
    return (control & CONTROL.hotPlugInterrupt) !== 0 && (this.status & enables & events) !== 0;
  }

  /**
   * After a guest's write, stored already. `value` as written; `before` = control | status << 16 before it.
   * The order is `hw/pci/pcie.c: pcie_cap_slot_write_config`'s.
   */
  written(offset: number, width: number, value: number, before: number): void {
    if (overlaps(offset, width, this.#statusAt, 2)) this.#statusWritten(value, before >>> 16);
    if (overlaps(offset, width, this.#controlAt, 2)) this.#controlWritten(offset, width, value, before & 0xffff);
  }

  #statusWritten(value: number, before: number): void {
    // Deviation: QEMU 7.2 takes a write of 1 to an event that was not there for a guest's clean-up and clears nothing;
    // it looks at the written value's own low bits, wherever they were written to
    if (this.#core.flavour === 'qemu-7.2' && value & ~before & STATUS.events)
      this.#core.config.update(this.#statusAt, 2, STATUS.events, before);
    this.#core.state[STATE.slotNotified] = this.#wanted ? 1 : 0;
    if (!this.#wanted) setIntx(this.#core, 0);
  }

  #controlWritten(offset: number, width: number, value: number, before: number): void {
    const { config } = this.#core;
    const interlock = this.#core.flavour === 'qemu-7.2' || this.#caps & SLOT_CAPS.interlock;
    const high = this.#controlAt + 1;
    const writtenHigh = offset <= high && high < offset + width ? (value >>> (8 * (high - offset))) & 0xff : 0;
    if (interlock && writtenHigh & (CONTROL.interlock >> 8))
      config.set(this.#statusAt, 2, this.status ^ STATUS.interlock);
    if (!this.powered && !(before & CONTROL.powerOff)) this.#downstream?.reset('conventional');
    this.#evaluate();
    if (this.#core.flavour === 'qemu-7.2' || !(this.#caps & SLOT_CAPS.noCommandCompleted))
      this.#event(STATUS.commandCompleted);
  }

  /** Something happens in the slot: sets event bits of Slot Status and interrupts if enabled. */
  #event(bits: number): void {
    if ((this.status & bits) === bits) return;
    this.#core.config.set(this.#statusAt, 2, this.status | bits);
    this.#evaluate();
  }

  #evaluate(): void {
    const wanted = this.#wanted ? 1 : 0;
    if (this.#core.state[STATE.slotNotified] === wanted) return;
    this.#core.state[STATE.slotNotified] = wanted;
    // Deviation: QEMU 7.2 sends a message when the condition ends, too (`hotplug_event_notify`); PCIe 5.0 §6.7.3.4
    // wants one for each transition to true only
    if (!this.#interrupt.messages) setIntx(this.#core, wanted);
    else if (wanted || this.#core.flavour === 'qemu-7.2')
      this.#interrupt.send((this.#core.config.get(this.#flagsAt, 2) >> 9) & 31); // Interrupt Message Number
  }

  /** After the function's reset has put back the registers: an occupied slot has power and shows it. */
  reset(): void {
    this.#core.state[STATE.slotNotified] = 0;
    const populated = this.#downstream ? this.#downstream.populated() : this.#initiallyPowered;
    if (populated && this.#caps & SLOT_CAPS.powerController)
      this.#core.config.update(this.#controlAt, 2, CONTROL.powerOff | 0x300, 0x100);
  }
}
