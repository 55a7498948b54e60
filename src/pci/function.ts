import type { Width } from '../core/index.ts';

/**
 * What a device does to the outside. Model functions append effects to the function's list; whoever made the access
 * drains the list before the access completes, so nothing re-enters a half-updated device.
 */
export type Effect =
  | { kind: 'message'; bdf: number; vector: number; addressLo: number; addressHi: number; data: number }
  | { kind: 'intx'; bdf: number; pin: number; level: 0 | 1 };

/** Memory that a bus-mastering function can reach (guest RAM); addresses are below 2^53. */
export interface DmaMemory {
  readBytes(address: number, length: number): Uint8Array;
  writeBytes(address: number, bytes: Uint8Array): void;
}

/**
 * Conventional reset (power-on or PERST#), hot reset (in-band, as a bridge's Secondary Bus Reset makes it; sticky bits
 * survive) or Function Level Reset. PCIe 5.0 §6.6.
 */
export type ResetKind = 'conventional' | 'hot' | 'flr';

/**
 * One PCI function as everything outside `src/pci` sees it. Odd accesses get hardware behaviour, never an exception:
 * reads beyond the function give all ones, writes vanish.
 */
export interface PciFunction {
  /** Segment << 16 | bus << 8 | device << 3 | function. */
  readonly bdf: number;
  readonly name: string;
  /** 256 (conventional) or 4096 (PCI Express). */
  readonly configSize: number;
  /** Effects of accesses and raises since the list was last drained, oldest first. */
  readonly effects: Effect[];
  /** Value as an unsigned number. `offset` may have any alignment. */
  readConfig(offset: number, width: Width): number;
  writeConfig(offset: number, width: Width, value: number): void;
  /** Access to BAR `bar` (0–5, 6 = ROM) at `offset` from its base, whatever the BAR's present address. */
  readBar(bar: number, offset: number, width: Width): number;
  writeBar(bar: number, offset: number, width: Width, value: number): void;
  /** The device signals `vector`: by MSI-X or MSI if enabled, else it asserts INTx. */
  raise(vector: number): void;
  /** The device's interrupt condition ends: INTx deasserts. */
  lower(): void;
  reset(kind: ResetKind): void;
}

/** `0000:03:04.1` of a bdf. */
export function formatBdf(bdf: number): string {
  const h = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  return `${h(bdf >>> 16, 4)}:${h((bdf >> 8) & 0xff, 2)}:${h((bdf >> 3) & 31, 2)}.${bdf & 7}`;
}
