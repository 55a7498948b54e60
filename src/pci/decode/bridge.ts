import { decodeBars, decodeRom } from './bars.ts';
import { decodeCapabilities } from './capabilities.ts';
import { field, hexText, named, reg } from './layout.ts';
import type { Page } from './page.ts';

/** Secondary Status, 16 bit at 1Eh. PCI-to-PCI Bridge 1.2 §3.2.5.7. */
const SECONDARY_STATUS = reg`Secondary status: 66MHz${5} FastB2B${7} ParErr${8} DEVSEL=${named(9, 2, ['fast', 'medium', 'slow'], '??')} >TAbort${11} <TAbort${12} <MAbort${13} <SERR${14} <PERR${15}`;

/** Bridge Control, 16 bit at 3Eh. PCI-to-PCI Bridge 1.2 §3.2.5.18. */
const BRIDGE_CONTROL = reg`BridgeCtl: Parity${0} SERR${1} NoISA${2} VGA${3} VGA16${4} MAbort${5} >Reset${6} FastB2B${7}`;
const DISCARD_TIMERS = reg`PriDiscTmr${8} SecDiscTmr${9} DiscTmrStat${10} DiscTmrSERREn${11}`;

/** Bridge Control of a CardBus bridge, 16 bit at 3Eh. PC Card 8.0 vol. 2 §4.5.2.15. */
const CARDBUS_CONTROL = reg`BridgeCtl: Parity${0} SERR${1} ISA${2} VGA${3} MAbort${5} >Reset${6} 16bInt${7} PostWrite${10}`;

const SIZE_UNITS = ['', 'K', 'M', 'G', 'T'];

export function decodeBridge(page: Page): void {
  decodeBars(page);
  page.line(1, busNumbers(page));
  decodeIoWindow(page);
  decodeMemoryWindow(page);
  decodePrefetchableWindow(page);
  page.line(1, SECONDARY_STATUS(page.u16(0x1e)));
  decodeRom(page, 0x38);
  const control = page.u16(0x3e);
  page.line(1, BRIDGE_CONTROL(control));
  page.line(2, DISCARD_TIMERS(control));
  decodeCapabilities(page, 0x34);
}

function busNumbers(page: Page): string {
  const [primary, secondary, subordinate] = [0x18, 0x19, 0x1a].map((at) => hexText(page.u8(at), 2));
  return `Bus: primary=${primary}, secondary=${secondary}, subordinate=${subordinate}, sec-latency=${page.u8(0x1b)}`;
}

function decodeIoWindow(page: Page): void {
  const [base, limit] = [page.u8(0x1c), page.u8(0x1d)];
  const type = base & 15;
  if (type !== (limit & 15) || type > 1) {
    page.line(1, `!!! Unknown I/O range types ${hexText(base, 1)}/${hexText(limit, 1)}`);
    return;
  }
  const upper = (at: number) => (type === 1 ? page.u16(at) * 0x10000 : 0);
  const from = upper(0x30) + ((base & 0xf0) << 8);
  const to = (upper(0x32) + ((limit & 0xf0) << 8) + 0xfff) % 2 ** 32;
  page.line(1, `I/O behind bridge: ${range(BigInt(from), BigInt(to), type === 1 ? 32 : 16)}`);
}

function decodeMemoryWindow(page: Page): void {
  const [base, limit] = [page.u16(0x20), page.u16(0x22)];
  if ((base & 15) !== (limit & 15) || base & 15) {
    page.line(1, `!!! Unknown memory range types ${hexText(base, 1)}/${hexText(limit, 1)}`);
    return;
  }
  const from = BigInt(base & 0xfff0) << 16n;
  const to = (BigInt(limit & 0xfff0) << 16n) | 0xfffffn;
  page.line(1, `Memory behind bridge: ${range(from, to, 32)}`);
}

function decodePrefetchableWindow(page: Page): void {
  const [base, limit] = [page.u16(0x24), page.u16(0x26)];
  const type = base & 15;
  if (type !== (limit & 15) || type > 1) {
    page.line(1, `!!! Unknown prefetchable memory range types ${hexText(base, 1)}/${hexText(limit, 1)}`);
    return;
  }
  const upper = (at: number) => (type === 1 ? BigInt(page.u32(at)) << 32n : 0n);
  const from = upper(0x28) | (BigInt(base & 0xfff0) << 16n);
  const to = upper(0x2c) | (BigInt(limit & 0xfff0) << 16n) | 0xfffffn;
  page.line(1, `Prefetchable memory behind bridge: ${range(from, to, type === 1 ? 64 : 32)}`);
}

/** `f000-0fff [disabled] [16-bit]`: a window whose base lies above its limit is closed. */
function range(from: bigint, to: bigint, width: number): string {
  const digits = (value: bigint) => value.toString(16).padStart(width / 4, '0');
  return `${digits(from)}-${digits(to)}${from <= to ? sizeText(to - from + 1n) : ' [disabled]'} [${width}-bit]`;
}

/** ` [size=1M]` in the largest unit that divides it; nothing for the whole 64-bit space, whose size is 0 mod 2^64. */
function sizeText(bytes: bigint): string {
  let size = BigInt.asUintN(64, bytes);
  if (size === 0n) return '';
  let unit = 0;
  while (unit < SIZE_UNITS.length - 1 && size % 1024n === 0n) {
    size /= 1024n;
    unit++;
  }
  return ` [size=${BigInt.asUintN(32, size)}${SIZE_UNITS[unit]}]`;
}

export function decodeCardBus(page: Page): void {
  decodeBars(page);
  page.line(1, busNumbers(page));
  const [command, control] = [page.u16(0x04), page.u16(0x3e)];
  for (let i = 0; i < 2; i++) {
    const base = page.u32(0x1c + 8 * i);
    const limit = page.u32(0x20 + 8 * i) + 0xfff;
    page.line(
      1,
      `Memory window ${i}: ${hexText(base, 8)}-${hexText(limit, 8)}${command & 2 ? '' : ' [disabled]'}` +
        (field(control, 8 + i, 1) ? ' (prefetchable)' : ''),
    );
  }
  for (let i = 0; i < 2; i++) {
    // Bit 0 of the base tells whether the window lies in 16-bit or 32-bit I/O space.
    const mask = page.u32(0x2c + 8 * i) & 1 ? 0xfffffffc : 0xfffc;
    const base = page.u32(0x2c + 8 * i) & mask;
    const limit = (page.u32(0x30 + 8 * i) & mask) + 3;
    page.line(1, `I/O window ${i}: ${hexText(base, 8)}-${hexText(limit, 8)}${command & 1 ? '' : ' [disabled]'}`);
  }
  if (page.u16(0x16) & 0x4000) page.line(1, 'Secondary status: SERR');
  page.line(1, CARDBUS_CONTROL(control));
  if (!page.has(0x40, 64)) {
    page.line(1, '<access denied to the rest>');
    return;
  }
  const legacyBase = page.u16(0x44);
  if (legacyBase) page.line(1, `16-bit legacy interface ports at ${hexText(legacyBase, 4)}`);
  decodeCapabilities(page, 0x14);
}
