import { UsageError } from '../../core/index.ts';
import type { ToldSize } from './bars.ts';

/** `-vvv` numbers the regions, `-v` does not. */
const REGION = /^\s+(?:Region ([0-5]): )?(?:\[virtual\] )?(Memory|I\/O ports) at ([0-9a-f]{1,16})?(.*)$/;
const ROM = /^\s+(?:\[virtual\] )?Expansion ROM at (.*)$/;
const SIZE = /\[size=(\d{1,4})([KMGT]?)\]/;
const UNITS: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/**
 * The BAR that a line of `lspci -vvv` or `-v` text describes, if it is one and names its size:
 * `Region 0: Memory at 84500000 (64-bit, non-prefetchable) [size=16K]`, or the same without its number, where the
 * address tells which one it is.
 * @throws UsageError for a size that no BAR can have
 */
export function parseRegionLine(text: string, line: number): ToldSize | undefined {
  // SR-IOV prints its VF BARs alike, one level deeper; mail and web pages turn tabs into eight blanks.
  if (/^(?:\t\t| {9})/.test(text)) return undefined;
  const region = REGION.exec(text);
  const rest = region ? region[4] : ROM.exec(text)?.[1];
  const size = rest === undefined ? null : SIZE.exec(rest);
  if (rest === undefined || !size) return undefined;
  const sizeBytes = Number(size[1]) * UNITS[size[2]];
  if (sizeBytes < 4 || !Number.isInteger(Math.log2(sizeBytes)))
    throw new UsageError(`line ${line}: a BAR of ${size[1]}${size[2]} cannot be; sizes are powers of two from 4`);
  if (!region) return { bar: 6, kind: 'rom', prefetchable: false, sizeBytes };
  const io = region[2].startsWith('I/O');
  return {
    ...(region[1] === undefined ? {} : { bar: Number(region[1]) }),
    ...(region[3] === undefined ? {} : { address: BigInt(`0x${region[3]}`) }),
    kind: io ? 'io' : rest.includes('64-bit') ? 'mem64' : 'mem32',
    prefetchable: !io && /[ (]prefetchable/.test(rest),
    sizeBytes,
  };
}
