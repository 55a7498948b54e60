import { ones, type Width } from '../core/index.ts';
import type { Flavour } from './spec.ts';

/**
 * Bytes of the first piece that an access of `width` bytes at `offset` is carried out as; the rest follows likewise.
 * A PCI transaction addresses one dword and enables bytes of it (PCI Local Bus 3.0 §3.2.2), so only a dword boundary
 * splits. Deviation: QEMU 7.2 splits into naturally aligned accesses, each with its own hooks
 * (`softmmu/physmem.c: memory_access_size`).
 */
export function firstPiece(offset: number, width: number, flavour: Flavour): Width {
  if (flavour === 'spec') {
    const inDword = Math.min(width, 4 - (offset & 3));
    return (inDword === 3 ? 2 : inDword) as Width;
  }
  for (const size of [4, 2] as const) if (width >= size && (offset & (size - 1)) === 0) return size;
  return 1;
}

/** Reads `width` bytes (up to 8) piece by piece; the answer is low and high word. */
export function readPieces(
  read: (offset: number, width: Width) => number,
  offset: number,
  width: number,
  flavour: Flavour,
): { lo: number; hi: number } {
  const whole = firstPiece(offset, width, flavour);
  if (whole === width) return { lo: read(offset, whole) >>> 0, hi: 0 };
  const words = new Uint8Array(8);
  for (let done = 0; done < width; ) {
    const size = firstPiece(offset + done, width - done, flavour);
    const value = read(offset + done, size);
    for (let i = 0; i < size; i++) words[done + i] = value >>> (8 * i);
    done += size;
  }
  const word = (at: number) => (words[at] | (words[at + 1] << 8) | (words[at + 2] << 16) | (words[at + 3] << 24)) >>> 0;
  return { lo: word(0), hi: word(4) };
}

/** Writes `width` bytes (up to 8) of `lo` and `hi` piece by piece. */
export function writePieces(
  write: (offset: number, width: Width, value: number) => void,
  offset: number,
  width: number,
  lo: number,
  hi: number,
  flavour: Flavour,
): void {
  const whole = firstPiece(offset, width, flavour);
  if (whole === width) {
    write(offset, whole, (lo & ones(whole)) >>> 0);
    return;
  }
  for (let done = 0; done < width; ) {
    const size = firstPiece(offset + done, width - done, flavour);
    let value = 0;
    for (let i = 0; i < size; i++) {
      const at = done + i;
      value |= (((at < 4 ? lo : hi) >>> (8 * (at & 3))) & 0xff) << (8 * i);
    }
    write(offset + done, size, value >>> 0);
    done += size;
  }
}
