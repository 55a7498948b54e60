import { type FunctionCore, type OwnInterrupt, setIntx } from '../function-core.ts';
import { BRIDGE_CONTROL_AT, CMD, COMMAND_AT, STATUS_AT } from '../header.ts';

/** Offsets in the Advanced Error Reporting capability, PCIe 5.0 §7.8.4. */
const AT = {
  uncorrectableStatus: 0x04,
  uncorrectableMask: 0x08,
  severity: 0x0c,
  control: 0x18,
  headerLog: 0x1c,
  rootCommand: 0x2c,
  rootStatus: 0x30,
  uncorrectableSource: 0x36,
} as const;

/** Bits of Root Error Command and Root Error Status, §7.8.4.9, .10. */
const NON_FATAL = { enable: 0x2, received: 0x20 } as const;
const FATAL = { enable: 0x4, received: 0x40 } as const;
const CORRECTABLE = { enable: 0x1, received: 0x1 } as const;
const UNCORRECTABLE = 0x4;
const MULTIPLE_UNCORRECTABLE = 0x8;
const FIRST_FATAL = 0x10;

const FIRST_ERROR = 0x1f;
const SERR_BRIDGE = 0x2;
const SIGNALLED_SYSTEM_ERROR = 0x4000;
const RECEIVED_SYSTEM_ERROR = 0x4000;
const SECONDARY_STATUS_AT = 0x1e;
const DEVICE_STATUS_OFFSET = 0x0a;
const LINK_CAPS_OFFSET = 0x0c;

/** Error reporting of a root port: its own errors, and the interrupt of Root Error Command and Status. PCIe 5.0 §6.2.4. */
export class RootErrors {
  readonly #core: FunctionCore;
  readonly #at: number;
  readonly #express: number;
  readonly #interrupt: OwnInterrupt;
  /** The interrupt message number for the MSI vectors granted now. */
  readonly #vectorFor: () => number;

  constructor(core: FunctionCore, at: number, express: number, interrupt: OwnInterrupt, vectorFor: () => number) {
    this.#core = core;
    this.#at = at;
    this.#express = express;
    this.#interrupt = interrupt;
    this.#vectorFor = vectorFor;
  }

  get rootCommand(): number {
    return this.#core.config.get(this.#at + AT.rootCommand, 4);
  }

  get rootStatus(): number {
    return this.#core.config.get(this.#at + AT.rootStatus, 4);
  }

  /** Root Error Status in terms of Root Error Command: the kinds of error received. */
  get #received(): number {
    const { rootStatus } = this;
    return (
      (rootStatus & CORRECTABLE.received ? CORRECTABLE.enable : 0) |
      (rootStatus & NON_FATAL.received ? NON_FATAL.enable : 0) |
      (rootStatus & FATAL.received ? FATAL.enable : 0)
    );
  }

  /** The interrupt message number follows the vectors granted (§7.8.4.10). */
  updateVector(): void {
    this.#core.config.update(this.#at + AT.rootStatus + 3, 1, 0xf8, this.#vectorFor() << 3);
  }

  /**
   * After any write to the port: an error whose status was cleared takes its log along (`pcie_aer_write_config`), and
   * the interrupt follows: a message when its condition becomes true, INTx while it is (§6.2.4.1.2,
   * `pcie_aer_root_write_config`). `before` = Root Error Command before the write.
   */
  written(before: number): void {
    const { config } = this.#core;
    const first = config.get(this.#at + AT.control, 1) & FIRST_ERROR;
    if (!((config.get(this.#at + AT.uncorrectableStatus, 4) >>> first) & 1)) this.#clearLog();
    const wanted = this.rootCommand & this.#received;
    if (this.#interrupt.messages) {
      if (wanted && !(before & this.#received)) this.#signal();
    } else setIntx(this.#core, wanted ? 1 : 0);
  }

  /** An uncorrectable error of bit `bit` of the status register is detected by the port itself. §6.2.3.2, §6.2.5. */
  uncorrectable(bit: number): void {
    const { config } = this.#core;
    const error = (1 << bit) >>> 0;
    const fatal = (config.get(this.#at + AT.severity, 4) & error) >>> 0 !== 0;
    config.bytes[this.#express + DEVICE_STATUS_OFFSET] |= fatal ? 0x04 : 0x02;
    // Deviation: QEMU 7.2 stores 32 bits there (`pcie_aer.c: pcie_aer_inject_error`), so Link Capabilities lose their low half
    if (this.#core.flavour === 'qemu-7.2') config.set(this.#express + LINK_CAPS_OFFSET, 2, 0);
    const masked = (config.get(this.#at + AT.uncorrectableMask, 4) & error) !== 0;
    const control = config.get(this.#at + AT.control, 4);
    const status = config.get(this.#at + AT.uncorrectableStatus, 4);
    config.set(this.#at + AT.uncorrectableStatus, 4, status | error);
    if (masked) return;
    const logged = (status >>> (control & FIRST_ERROR)) & 1;
    if (!logged) {
      this.#clearLog();
      config.update(this.#at + AT.control, 1, FIRST_ERROR, bit);
    }
    this.#message(fatal);
  }

  /** An error message reaches the root port's own registers: through the bridge part, then the function, then the root. */
  #message(fatal: boolean): void {
    const { config } = this.#core;
    const kind = fatal ? FATAL : NON_FATAL;
    config.set(SECONDARY_STATUS_AT, 2, config.get(SECONDARY_STATUS_AT, 2) | RECEIVED_SYSTEM_ERROR);
    if (!(config.bytes[BRIDGE_CONTROL_AT] & SERR_BRIDGE)) return;
    if (!(config.get(COMMAND_AT, 2) & CMD.serr)) return;
    config.set(STATUS_AT, 2, config.get(STATUS_AT, 2) | SIGNALLED_SYSTEM_ERROR);
    const before = this.rootStatus;
    let now = before | kind.received | UNCORRECTABLE;
    if (before & UNCORRECTABLE) now |= MULTIPLE_UNCORRECTABLE;
    else {
      if (fatal) now |= FIRST_FATAL;
      config.set(this.#at + AT.uncorrectableSource, 2, this.#core.bdf & 0xffff);
    }
    config.set(this.#at + AT.rootStatus, 4, now);
    if (!(before & kind.received) && this.rootCommand & kind.enable) this.#signal();
  }

  #signal(): void {
    if (this.#interrupt.messages) this.#interrupt.send(this.rootStatus >>> 27);
    else setIntx(this.#core, 1);
  }

  #clearLog(): void {
    const { config } = this.#core;
    config.update(this.#at + AT.control, 2, FIRST_ERROR | 0x800, 0);
    for (let i = 0; i < 4; i++) config.set(this.#at + AT.headerLog + 4 * i, 4, 0);
  }
}
