import { Arena, UsageError } from '../core/index.ts';
import { createNvmeFunction, MemoryNamespace, type Namespace } from '../pci/devices/nvme/index.ts';
import { createFunction, type EmulatedFunction, type FunctionSpec } from '../pci/index.ts';
import { DmaPort, JournalledNamespace } from './dma-journal.ts';
import { FileNamespace } from './file-namespace.ts';

/** What a hosted function is made from: plain data, so that a recording can hold it. */
export interface FunctionRecipe {
  /** `nvme`: an NVMe controller behind BAR 0; `plain`: registers and interrupt structures only. */
  kind: 'nvme' | 'plain';
  /** Segment << 16 | bus << 8 | device << 3 | function; default that of `spec`, else 00:04.0. */
  bdf?: number;
  /** A function as read from a real device. */
  spec?: FunctionSpec;
  /** nvme: I/O queue pairs. */
  queuePairs?: number;
  /** nvme without spec: MSI-X table entries. */
  vectors?: number;
  serial?: string;
  /** nvme: size of namespace 1; without it there is none. */
  sizeBytes?: number;
  /** nvme: file that holds the namespace; else it is in memory. */
  file?: string;
  /** nvme: commands wait for `controller.step()` instead of being carried out by the doorbell write. */
  defer?: boolean;
}

/** A function with what the outside needs to run it. */
export interface HostedFunction {
  readonly recipe: FunctionRecipe;
  readonly fn: EmulatedFunction;
  /** All state of the function. */
  readonly arena: Arena;
  /** Its way to host memory, if it makes accesses of its own. */
  readonly port?: DmaPort;
  /** Closes what it holds of the system. */
  close(): void;
}

/** @throws UsageError if the recipe contradicts itself, or its file cannot be opened */
export function hostFunction(recipe: FunctionRecipe): HostedFunction {
  const { kind, bdf, spec } = recipe;
  const placed = spec && { ...spec, bdf: bdf ?? spec.bdf };
  if (kind === 'nvme') return hostNvme(recipe, placed);
  if (!placed) throw new UsageError('a function without a controller is made from a dump');
  const arena = new Arena(1 << 17);
  return { recipe, fn: createFunction(placed, { arena }), arena, close() {} };
}

function hostNvme(recipe: FunctionRecipe, spec: FunctionSpec | undefined): HostedFunction {
  const { bdf, queuePairs, vectors, serial, sizeBytes, file, defer } = recipe;
  const port = new DmaPort();
  const storage = file === undefined ? undefined : FileNamespace.open(file, sizeBytes);
  const namespaces: Namespace[] = storage ? [storage] : sizeBytes ? [new MemoryNamespace(sizeBytes)] : [];
  try {
    const fn = createNvmeFunction({
      namespaces: namespaces.map((ns) => new JournalledNamespace(ns, port)),
      dma: port,
      ...(spec ? { spec } : bdf !== undefined && { bdf }),
      ...(queuePairs !== undefined && { queuePairs }),
      ...(vectors !== undefined && { vectors }),
      ...(serial !== undefined && { serial }),
      ...(defer !== undefined && { defer }),
    });
    return { recipe, fn, arena: fn.arena, port, close: () => storage?.close() };
  } catch (error) {
    storage?.close();
    throw error;
  }
}

/**
 * Functions by address.
 * @throws UsageError if two have the same
 */
export function functionMap(functions: readonly HostedFunction[]): Map<number, HostedFunction> {
  const map = new Map<number, HostedFunction>();
  for (const hosted of functions) {
    const other = map.get(hosted.fn.bdf);
    if (other) throw new UsageError(`${hosted.fn.name} and ${other.fn.name} have the same address; give one a bdf`);
    map.set(hosted.fn.bdf, hosted);
  }
  return map;
}

/** True if BAR `bar` (6: the ROM) is there. */
export function hasBar(fn: EmulatedFunction, bar: number): boolean {
  return fn.layout.bars.some((b) => b.bar === bar);
}

/** Vectors that the function can signal in some interrupt mode; INTx counts as one. */
export function vectorLimit(fn: EmulatedFunction): number {
  const messages = fn.msi ? 1 << ((fn.msi.control >> 1) & 7) : 1;
  return Math.max(fn.msix?.count ?? 0, messages);
}
