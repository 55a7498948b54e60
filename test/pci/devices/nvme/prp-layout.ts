import type { Ram } from './fake-host.ts';

/** Where a command's data lies in guest RAM, and the entries that say so. */
export interface PrpLayout {
  prp1: number;
  prp2: number;
  segments: { address: number; length: number }[];
}

/**
 * Lays `length` bytes out over pages, the first piece `offset` bytes into its page, further pages named by a list whose
 * first page has `firstSlots` slots. NVMe 1.4 §4.3, written down from the host's side.
 * @param takePage address of an unused page
 */
export function layOut(
  ram: Ram,
  pageSize: number,
  length: number,
  offset: number,
  firstSlots: number,
  takePage: () => number,
): PrpLayout {
  const segments = [{ address: takePage() + offset, length: Math.min(length, pageSize - offset) }];
  for (let left = length - segments[0].length; left > 0; left -= pageSize)
    segments.push({ address: takePage(), length: Math.min(left, pageSize) });
  const prp1 = segments[0].address;
  if (segments.length <= 2) return { prp1, prp2: segments[1]?.address ?? 0, segments };
  const put = (at: number, address: number) => ram.view.setBigUint64(at, BigInt(address), true);
  let slot = takePage() + pageSize - 8 * firstSlots;
  const prp2 = slot;
  for (let i = 1; i < segments.length; i++, slot += 8) {
    const lastSlot = (slot + 8) % pageSize === 0;
    if (lastSlot && i < segments.length - 1) {
      const next = takePage();
      put(slot, next);
      slot = next;
    }
    put(slot, segments[i].address);
  }
  return { prp1, prp2, segments };
}

/** Pages of guest RAM from `base`, scattered: consecutive pages are far apart. */
export function scatteredPages(ram: Ram, base: number, pageSize: number): () => number {
  const first = Math.ceil(base / pageSize);
  const count = Math.floor(ram.bytes.length / pageSize) - first;
  let step = Math.floor(count * 0.618) | 1;
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
  while (gcd(step, count) !== 1) step += 2;
  let n = 0;
  return () => {
    if (n === count) throw new Error('the test needs more guest RAM');
    return (first + ((n++ * step) % count)) * pageSize;
  };
}
