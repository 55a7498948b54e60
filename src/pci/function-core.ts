import type { ConfigSpace } from './config-space.ts';
import type { Effect, ResetKind } from './function.ts';
import { CMD, COMMAND_AT, STATUS_AT, STATUS_INTX } from './header.ts';
import type { MessageSink } from './message-queue.ts';
import type { Flavour } from './spec.ts';

/** Words of a function's `state`, what its registers do not show. */
export const STATE = {
  /** 1 while the device asserts INTx, whatever the disable bit says. */
  intxAsserted: 0,
  /** What of it has reached the interrupt controller: 0 or 1 (a count in the `qemu-7.2` flavour). */
  intxLevel: 1,
  /** 1 while a slot event is notified. */
  slotNotified: 2,
  words: 4,
} as const;

/** What the parts of a function (INTx, MSI, MSI-X, slot) share: its registers, its hidden state, its effects. */
export interface FunctionCore {
  readonly bdf: number;
  readonly flavour: Flavour;
  readonly config: ConfigSpace;
  /** See {@link STATE}; in the arena. */
  readonly state: Int32Array;
  readonly effects: Effect[];
  /** Where messages go instead of to `effects`. */
  readonly messages: MessageSink | undefined;
  /** In D0: in any other power state a function makes no requests and answers configuration requests only. */
  readonly isAwake: boolean;
}

/** True while the function may write to memory, messages included. PCIe 5.0 §7.5.1.1.3, §5.3.1. */
export function busMaster(core: FunctionCore): boolean {
  return core.isAwake && (core.config.bytes[COMMAND_AT] & CMD.busMaster) !== 0;
}

/**
 * Sends a message: a 32-bit memory write by the function. Without Bus Master Enable it is lost, as any other write of
 * the function would be.
 */
export function sendMessage(core: FunctionCore, vector: number, lo: number, hi: number, data: number): void {
  if (!busMaster(core)) return;
  if (core.messages) {
    core.messages.message(vector, lo | 0, hi | 0, data | 0);
    return;
  }
  core.effects.push({
    kind: 'message',
    bdf: core.bdf,
    vector,
    addressLo: lo >>> 0,
    addressHi: hi >>> 0,
    data: data >>> 0,
  });
}

/** The device's interrupt condition: status bit 3 follows at once, the line unless INTx Disable is set. PCI 3.0 §6.2.3. */
export function setIntx(core: FunctionCore, asserted: 0 | 1): void {
  if (core.config.bytes[0x3d] === 0 || core.state[STATE.intxAsserted] === asserted) return;
  core.state[STATE.intxAsserted] = asserted;
  core.config.update(STATUS_AT, 1, STATUS_INTX, asserted ? STATUS_INTX : 0);
  if (!intxDisabled(core)) moveLine(core, asserted ? 1 : -1);
}

/** After a write to the command register that changed INTx Disable. */
export function intxDisableChanged(core: FunctionCore): void {
  if (core.state[STATE.intxAsserted]) moveLine(core, intxDisabled(core) ? -1 : 1);
}

export function intxDisabled(core: FunctionCore): boolean {
  return (core.config.get(COMMAND_AT, 2) & CMD.intxDisable) !== 0;
}

/**
 * Adds to the level as seen outside. In QEMU 7.2 it is a count of changes: where a byte write to 0x05 toggles INTx
 * Disable unnoticed, the count goes astray as it does there, and the line sticks.
 */
function moveLine(core: FunctionCore, by: 1 | -1): void {
  const before = core.state[STATE.intxLevel] !== 0;
  core.state[STATE.intxLevel] += by;
  const after = core.state[STATE.intxLevel] !== 0;
  if (before !== after)
    core.effects.push({ kind: 'intx', bdf: core.bdf, pin: core.config.bytes[0x3d], level: after ? 1 : 0 });
}

/** What stands on the bus behind a bridge or port, as its registers show and act on it; the bus provides it. */
export interface Downstream {
  /** True if a device is there, powered or not. */
  populated(): boolean;
  /** Link Status of the device there, undefined if it has none. */
  linkStatus(): number | undefined;
  /** Resets all functions below. */
  reset(kind: ResetKind): void;
}

/** A function's own message interrupts, as its slot and its error reporting use them. */
export interface OwnInterrupt {
  /** True while MSI-X or MSI is enabled. */
  readonly messages: boolean;
  /** Signals a vector by MSI-X if enabled, else by MSI. */
  send(vector: number): void;
}
