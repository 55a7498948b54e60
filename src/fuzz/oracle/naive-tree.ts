import type { BarSpec } from '../../pci/index.ts';
import type { NaiveFunction } from './naive-function.ts';

/** A function in a tree of buses and, if it is a bridge, what stands behind it. */
export interface NaiveNode {
  readonly oracle: NaiveFunction;
  readonly devfn: number;
  readonly bars: readonly BarSpec[];
  /** True if the way from the root is PCI Express all along, so that 4096 bytes can be reached. */
  readonly extended: boolean;
  readonly below: readonly NaiveNode[] | undefined;
}

export type Space = 'memory' | 'io';

/** The functions on the bus that has a number now: PCI-to-PCI Bridge 1.2 §3.1.2.2; the root's own is 0. */
export function findOnBus<N extends NaiveNode>(
  nodes: readonly N[],
  own: number,
  bus: number,
): readonly N[] | undefined {
  if (bus === own) return nodes;
  for (const { oracle, below } of nodes) {
    if (!below) continue;
    const [secondary, subordinate] = [oracle.bytes[0x19], oracle.bytes[0x1a]];
    // a secondary bus of number 0 would be the root itself: the bridge has not been set up
    if (secondary === 0 || bus < secondary || bus > subordinate) continue;
    return findOnBus(below as readonly N[], secondary, bus);
  }
  return undefined;
}

/** Bytes of configuration space that an access can reach: of a way with a conventional bus in it, 256. */
export function reachableBytes({ extended, oracle }: NaiveNode): number {
  return extended ? oracle.bits.size : 256;
}

/** Who decodes an address: BARs on a bus, then what the bridges' windows forward. PCI-to-PCI Bridge 1.2 §4. */
export function route<N extends NaiveNode>(
  nodes: readonly N[],
  space: Space,
  address: number,
): { node: N; bar: number; offset: number } | undefined {
  for (const node of nodes)
    for (const spec of node.bars) {
      const base = baseOf(node, spec, space);
      if (base !== undefined && address >= base && address < base + spec.sizeBytes)
        return { node, bar: spec.bar, offset: address - base };
    }
  for (const { oracle, below } of nodes) {
    if (!below || !forwards(oracle, space, address)) continue;
    const found = route(below as readonly N[], space, address);
    if (found) return found;
  }
  return undefined;
}

/** PCI Local Bus 3.0 §6.2.5: an address of 0 is none, nor is what sizing leaves at the top. */
function baseOf({ oracle }: NaiveNode, { bar, kind, sizeBytes }: BarSpec, space: Space): number | undefined {
  const isIo = kind === 'io';
  if (isIo !== (space === 'io') || !(oracle.bytes[4] & (isIo ? 1 : 2)) || asleep(oracle)) return undefined;
  const at = bar === 6 ? (oracle.bytes[0x0e] & 0x7f ? 0x38 : 0x30) : 0x10 + 4 * bar;
  const low = oracle.read(at, 4);
  if (kind === 'rom' && !(low & 1)) return undefined;
  const base = (kind === 'mem64' ? oracle.read(at + 4, 4) : 0) * 2 ** 32 + low - (low % Math.min(sizeBytes, 2 ** 32));
  const end = base + sizeBytes;
  if (base === 0 || end > 2 ** 64 - 1 || (kind !== 'mem64' && end > 0xffff_ffff)) return undefined;
  return base;
}

function forwards(oracle: NaiveFunction, space: Space, address: number): boolean {
  const inside = (base: number, limit: number) => address >= base && address <= limit;
  const command = oracle.bytes[4];
  if (space === 'io') {
    const wide = (oracle.bytes[0x1c] & 15) === 1 ? 0x1_0000 : 0;
    const at = (low: number, high: number) => (oracle.bytes[low] >> 4) * 0x1000 + oracle.read(high, 2) * wide;
    return (command & 1) !== 0 && inside(at(0x1c, 0x30), at(0x1d, 0x32) + 0xfff);
  }
  if (!(command & 2)) return false;
  const at = (low: number) => (oracle.read(low, 2) >> 4) * 2 ** 20;
  if (inside(at(0x20), at(0x22) + 0xf_ffff)) return true;
  // a prefetchable window of zeros that cannot be wide is not there
  const wide = (oracle.bytes[0x24] & 15) === 1 ? 2 ** 32 : 0;
  if (oracle.read(0x24, 4) === 0) return false;
  return inside(at(0x24) + oracle.read(0x28, 4) * wide, at(0x26) + 0xf_ffff + oracle.read(0x2c, 4) * wide);
}

/** In D3hot nothing decodes, and in D1 and D2 configuration requests only. PM 1.2 §5.4.1, PCIe 5.0 §5.3.1. */
function asleep({ bits, bytes }: NaiveFunction): boolean {
  const at = bits.capabilities.get(1);
  return at !== undefined && (bytes[at + 4] & 3) !== 0;
}
