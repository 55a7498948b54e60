import { UsageError } from '../../core/index.ts';
import type { BarSize } from './bars.ts';

const REGION = /^\s+Region ([0-5]): (Memory at|I\/O ports at) (.*)$/;
const ROM = /^\s+(?:\[virtual\] )?Expansion ROM at (.*)$/;
const SIZE = /\[size=(\d{1,4})([KMGT]?)\]/;
const UNITS: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/**
 * The BAR that a line of `lspci -v` text describes, if it is one and names its size:
 * `Region 0: Memory at 84500000 (64-bit, non-prefetchable) [size=16K]`.
 * @throws UsageError for a size that no BAR can have
 */
export function parseRegionLine(text: string, line: number): BarSize | undefined {
  // SR-IOV prints its VF BARs alike, one level deeper; mail and web pages turn tabs into eight blanks.
  if (/^(?:\t\t| {9})/.test(text)) return undefined;
  const region = REGION.exec(text);
  const rest = region ? region[3] : ROM.exec(text)?.[1];
  const size = rest === undefined ? null : SIZE.exec(rest);
  if (rest === undefined || !size) return undefined;
  const sizeBytes = Number(size[1]) * UNITS[size[2]];
  if (sizeBytes < 4 || !Number.isInteger(Math.log2(sizeBytes)))
    throw new UsageError(`line ${line}: a BAR of ${size[1]}${size[2]} cannot be; sizes are powers of two from 4`);
  if (!region) return { bar: 6, kind: 'rom', prefetchable: false, sizeBytes };
  const io = region[2].startsWith('I/O');
  return {
    bar: Number(region[1]),
    kind: io ? 'io' : rest.includes('64-bit') ? 'mem64' : 'mem32',
    prefetchable: !io && /[ (]prefetchable/.test(rest),
    sizeBytes,
  };
}
