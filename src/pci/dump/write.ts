import { writeLe } from '../../core/index.ts';
import type { PciFunction } from '../function.ts';

/** One function to print: slot without trailing blank, the text after it, and its bytes. */
export interface PrintedFunction {
  slot: string;
  title: string;
  bytes: Uint8Array;
}

/**
 * Hex lines as `lspci -xxxx` prints them: 16 bytes each, offsets of two digits, three from 100h.
 * @param limit bytes shown at most: 64 for -x, 256 for -xxx, 4096 for -xxxx
 */
export function formatHexLines(bytes: Uint8Array, limit = 4096): string {
  let text = '';
  for (let at = 0; at < Math.min(bytes.length, limit); at += 16) {
    text += `${at.toString(16).padStart(2, '0')}:`;
    for (const byte of bytes.subarray(at, Math.min(at + 16, limit))) text += ` ${byte.toString(16).padStart(2, '0')}`;
    text += '\n';
  }
  return text;
}

/** A dump that `lspci -F` and our own importer read back to the same bytes. */
export function formatLspciDump(functions: PrintedFunction[], limit = 4096): string {
  return functions.map((f) => `${f.slot} ${f.title}\n${formatHexLines(f.bytes, limit)}`).join('\n');
}

/** The whole configuration space of a function, by reads of a dword each; reading has no side effects. */
export function readConfigImage(fn: PciFunction): Uint8Array {
  const bytes = new Uint8Array(fn.configSize);
  for (let at = 0; at < bytes.length; at += 4) writeLe(bytes, at, 4, fn.readConfig(at, 4));
  return bytes;
}
