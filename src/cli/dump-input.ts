import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { UsageError } from '../core/index.ts';

const MAX_BYTES = 64 << 20;

/**
 * The bytes of a dump file, unpacked if it is gzip; `-` is standard input.
 * @throws UsageError if it cannot be read or is larger than 64 MiB
 */
export function readDumpFile(path: string): Uint8Array {
  const bytes = path === '-' ? readFileSync(0) : readBounded(path);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_BYTES });
  } catch {
    throw new UsageError(`${path} begins like a gzip file but cannot be unpacked to at most ${MAX_BYTES} bytes`);
  }
}

/** Reads a file that may not tell its size: those of sysfs give 4096 and hold what the reader may see. */
function readBounded(path: string): Uint8Array {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const stat = fstatSync(file);
    if (stat.isDirectory()) throw new UsageError(`${path} is a directory; expected a dump file`);
    if (stat.size > MAX_BYTES) throw new UsageError(`${path} has ${stat.size} bytes; a dump has at most ${MAX_BYTES}`);
    const bytes = new Uint8Array(stat.size > 0 ? stat.size : MAX_BYTES);
    let length = 0;
    for (let got = 1; got > 0 && length < bytes.length; length += got)
      got = readSync(file, bytes, length, bytes.length - length, null);
    return bytes.slice(0, length);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** For a file `…/0000:01:00.0/config` as sysfs has it: the slot from its path, and the `resource` file beside it. */
export function sysfsNeighbours(path: string): { slot?: string; resource?: string } {
  const folder = dirname(resolve(path));
  const slot = basename(folder);
  if (basename(path) !== 'config' || !/^[0-9a-f]{4,6}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i.test(slot)) return {};
  const resource = join(folder, 'resource');
  return existsSync(resource) ? { slot, resource } : { slot };
}
