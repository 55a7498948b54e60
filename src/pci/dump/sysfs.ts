import { UsageError } from '../../core/index.ts';
import type { ToldSize } from './bars.ts';
import type { RawFunction } from './function.ts';

/** ioport.h: what the third word of a resource line says. */
const IORESOURCE_IO = 0x100n;
const IORESOURCE_MEM = 0x200n;
const IORESOURCE_PREFETCH = 0x2000n;
const IORESOURCE_MEM_64 = 0x100000n;

const RESOURCE_LINE = /^0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16})$/i;
const MAX_RESOURCE_LINES = 64;

/** Takes the bytes of `/sys/bus/pci/devices/…/config`, which name no slot. @throws UsageError if that cannot be */
export function parseConfigFile(bytes: Uint8Array): RawFunction {
  if (bytes.length < 64 || bytes.length > 4096)
    throw new UsageError(
      `binary dump of ${bytes.length} bytes; a sysfs config file has 64 (not root), 256 or 4096, at most 4096`,
    );
  return {
    format: 'sysfs-config',
    named: false,
    domain: 0,
    busDevFn: 0,
    title: '',
    bytes: bytes.slice(),
    sizes: [],
    line: 0,
  };
}

/**
 * BAR sizes from the text of `/sys/bus/pci/devices/…/resource`: one line `start end flags` each for BAR 0 to 5 and the
 * ROM; lines of zeros are BARs that are not there, later lines (windows, VF BARs) are not ours.
 * @throws UsageError that names the line
 */
export function parseResourceFile(text: string): ToldSize[] {
  const sizes: ToldSize[] = [];
  const lines = text.trim().split(/\r?\n/);
  if (lines.length > MAX_RESOURCE_LINES)
    throw new UsageError(`resource file of ${lines.length} lines; the kernel writes 7 to 17`);
  for (const [bar, line] of lines.entries()) {
    const match = RESOURCE_LINE.exec(line.trim());
    if (!match)
      throw new UsageError(`line ${bar + 1} of the resource file is not "0xSTART 0xEND 0xFLAGS": ${line.slice(0, 60)}`);
    const [start, end, flags] = match.slice(1).map((digits) => BigInt(`0x${digits}`));
    if (bar > 6 || flags === 0n || (start === 0n && end === 0n)) continue;
    const size = end - start + 1n;
    if (size < 4n || (size & (size - 1n)) !== 0n || size > 1n << 48n)
      throw new UsageError(
        `line ${bar + 1} of the resource file gives BAR ${bar} ${size} bytes; sizes are powers of two`,
      );
    if (!(flags & (IORESOURCE_IO | IORESOURCE_MEM)))
      throw new UsageError(`line ${bar + 1} of the resource file has flags of neither memory nor I/O`);
    sizes.push({
      bar,
      kind: bar === 6 ? 'rom' : flags & IORESOURCE_IO ? 'io' : flags & IORESOURCE_MEM_64 ? 'mem64' : 'mem32',
      prefetchable: (flags & IORESOURCE_PREFETCH) !== 0n,
      sizeBytes: Number(size),
    });
  }
  return sizes;
}
