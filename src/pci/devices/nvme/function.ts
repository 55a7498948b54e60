import { Arena, UsageError, type Width } from '../../../core/index.ts';
import { msixGeometry } from '../../dump/capabilities.ts';
import { type BarHandler, EmulatedFunction } from '../../emulated-function.ts';
import { type DmaMemory, formatBdf } from '../../function.ts';
import type { FunctionSpec } from '../../spec.ts';
import { doorbellBytes, type NvmeIdentity, nvmeSpec } from './config-image.ts';
import { NvmeController } from './controller.ts';
import type { InterruptMode, NvmeHost } from './host.ts';
import { completeOptions, type NvmeOptions, type NvmeShape } from './options.ts';
import { DOORBELLS } from './registers.ts';
import { NvmeState } from './state.ts';

export interface NvmeFunctionOptions extends NvmeOptions, Partial<NvmeIdentity> {
  /**
   * A function as read from a real controller: configuration space, BAR sizes, MSI-X size and place of its table are
   * taken from it, and the identity options (`vendorId`, `vectors`, …) do not apply.
   */
  spec?: FunctionSpec;
  /** Where all mutable state but namespace contents is taken from; a private arena of fitting size if not given. */
  arena?: Arena;
  /** Guest memory. Without it the controller has nothing to read commands from and fails when told to. */
  dma?: DmaMemory;
}

/**
 * Makes an NVMe controller on BAR 0 of a PCI function.
 *
 * The serial number follows from the bdf unless given: hosts refuse two controllers, or two namespaces, of the same
 * identity. With `spec`, `queuePairs` defaults to one less than the function has vectors, as drivers use them, or what the
 * doorbells have room for in front of the MSI-X structures.
 * @throws UsageError if the options contradict each other, or the spec has no BAR 0 that can hold a controller
 */
export function createNvmeFunction(options: NvmeFunctionOptions = {}): NvmeFunction {
  const { spec, arena, dma, name, bdf, vectors, vendorId, deviceId, subsystemVendorId, subsystemId, ...given } =
    options;
  const at = spec?.bdf ?? bdf ?? 0x20;
  const rest = { serial: `pirqlab-${formatBdf(at)}`, ...given };
  if (spec) {
    const shape = completeOptions({ ...rest, queuePairs: rest.queuePairs ?? defaultPairs(spec, rest) });
    const room = doorbellRoom(spec);
    if (doorbellBytes(shape) > room)
      throw new UsageError(
        `${spec.name}: doorbells of ${shape.queuePairs} queue pairs take ${doorbellBytes(shape)} bytes of BAR 0, which has ${room}`,
      );
    return new NvmeFunction(spec, shape, dma, arena);
  }
  const shape = completeOptions(rest);
  const identity: NvmeIdentity = {
    name: name ?? 'nvme',
    bdf: at,
    vectors: vectors ?? Math.min(shape.queuePairs + 1, 2048),
    vendorId: vendorId ?? 0x1234,
    deviceId: deviceId ?? 0x4e56,
    subsystemVendorId: subsystemVendorId ?? vendorId ?? 0x1234,
    subsystemId: subsystemId ?? deviceId ?? 0x4e56,
  };
  return new NvmeFunction(nvmeSpec(identity, shape), shape, dma, arena);
}

/** A PCI function with an NVMe controller behind BAR 0. */
export class NvmeFunction extends EmulatedFunction {
  readonly controller: NvmeController;
  readonly shape: NvmeShape;
  /** Holds all state of the function and its controller. */
  readonly arena: Arena;

  constructor(spec: FunctionSpec, shape: NvmeShape, dma?: DmaMemory, arena?: Arena) {
    const vectors = Math.max(msixStructures(spec).count, 32);
    const own = arena ?? new Arena(NvmeState.sizeBytes(shape, vectors) + (1 << 16));
    super(spec, { arena: own, ...(dma && { dma }) });
    const label = `${formatBdf(spec.bdf)} ${spec.name}.nvme`;
    this.arena = own;
    this.shape = shape;
    this.controller = new NvmeController(shape, new FunctionHost(this), vectors, own, label);
    this.setBarHandler(0, new RegisterBar(this.controller));
  }

  /** As any function; INTx takes the level that is due when MSI-X or MSI gives way to it. */
  override writeConfig(offset: number, width: Width, value: number): void {
    const before = interruptMode(this);
    super.writeConfig(offset, width, value);
    if (before !== 'intx' && interruptMode(this) === 'intx') this.controller.refreshIntx();
  }
}

class RegisterBar implements BarHandler {
  readonly #controller: NvmeController;

  constructor(controller: NvmeController) {
    this.#controller = controller;
  }

  read(offset: number, width: Width): number {
    return this.#controller.readRegister(offset, width);
  }

  write(offset: number, width: Width, value: number): void {
    this.#controller.writeRegister(offset, width, value);
  }

  reset(): void {
    this.#controller.reset();
  }
}

class FunctionHost implements NvmeHost {
  readonly #fn: EmulatedFunction;
  readonly dma: DmaMemory;
  readonly vendorId: number;
  readonly subsystemVendorId: number;

  constructor(fn: EmulatedFunction) {
    this.#fn = fn;
    this.dma = fn.dma ?? NO_MEMORY;
    this.vendorId = fn.getConfig(0, 2);
    this.subsystemVendorId = fn.getConfig(0x2c, 2);
  }

  busMaster(): boolean {
    return this.#fn.busMaster;
  }

  interruptMode(): InterruptMode {
    return interruptMode(this.#fn);
  }

  vectorCount(): number {
    const mode = interruptMode(this.#fn);
    return mode === 'msix' ? this.#fn.msix!.count : mode === 'msi' ? this.#fn.msi!.allocated : 1;
  }

  raise(vector: number): void {
    this.#fn.raise(vector);
  }

  lower(): void {
    this.#fn.lower();
  }
}

/** Answers nothing, as an address that no memory decodes. */
const NO_MEMORY: DmaMemory = { readBytes: () => new Uint8Array(0), writeBytes: () => {} };

function interruptMode(fn: EmulatedFunction): InterruptMode {
  return fn.msix?.enabled ? 'msix' : fn.msi?.enabled ? 'msi' : 'intx';
}

/** Entries of the MSI-X table, 0 without one, and where its structures start in BAR 0 (Infinity: elsewhere). */
function msixStructures({ image }: FunctionSpec): { count: number; start: number } {
  const msix = msixGeometry(image);
  if (!msix) return { count: 0, start: Infinity };
  const table = msix.tableBar === 0 ? msix.tableOffset : Infinity;
  const pba = msix.pbaBar === 0 ? msix.pbaOffset : Infinity;
  return { count: msix.vectors, start: Math.min(table, pba) };
}

/** Bytes for doorbells in BAR 0, in front of MSI-X structures if those are in it. */
function doorbellRoom(spec: FunctionSpec): number {
  const bar = spec.bars.find((b) => b.bar === 0);
  const room = bar && bar.kind !== 'io' ? Math.min(bar.sizeBytes, msixStructures(spec).start) - DOORBELLS : 0;
  if (room < 16)
    throw new UsageError(`${spec.name}: an NVMe controller needs a memory BAR 0 with room for doorbells at 0x1000`);
  return room;
}

function defaultPairs(spec: FunctionSpec, options: NvmeOptions): number {
  const fit = Math.floor(doorbellRoom(spec) / (8 << (options.doorbellStride ?? 0))) - 1;
  const vectors = msixStructures(spec).count || 32;
  return Math.max(1, Math.min(vectors - 1, fit, 2048));
}
