import { hexText, hexText64 } from './layout.ts';
import type { Page } from './page.ts';

const MEMORY_TYPES = ['32-bit', 'low-1M', '64-bit', 'type 3'];

/** BARs per header layout. */
const COUNT = [6, 2, 1];

/** A BAR register as lspci takes it: the upper half of a 64-bit one belongs to the register before it. */
interface BarRegister {
  low: number;
  high: number;
  /** False for an upper half, and for a register of zeros or ones. */
  base: boolean;
}

function barRegisters(page: Page): BarRegister[] {
  const count = COUNT[page.headerLayout] ?? 0;
  const registers: BarRegister[] = [];
  let upper = false;
  for (let bar = 0; bar < count; bar++) {
    const low = page.u32(0x10 + 4 * bar);
    const is64 = (low & 7) === 4;
    const base: boolean = !upper && low !== 0 && low !== 0xffffffff && !(is64 && bar === count - 1);
    registers.push({ low, high: base && is64 ? page.u32(0x14 + 4 * bar) : 0, base });
    upper = base && is64;
  }
  return registers;
}

/** Whether any BAR maps memory: the atomic operations a function can complete are printed only then. */
export function hasMemoryBar(page: Page): boolean {
  return barRegisters(page).some((r) => r.base && !(r.low & 1));
}

/** Prints the BARs. A non-zero upper half gets a line of its own, as lspci gives it one. */
export function decodeBars(page: Page): void {
  const command = page.u16(0x04);
  for (const [bar, { low, high, base }] of barRegisters(page).entries()) {
    if (low === 0 || low === 0xffffffff) continue;
    const where = base ? low : 0;
    if (low & 1) {
      const port = where & ~3;
      const at = port || command & 1 ? hexText(port, 4) : '<unassigned>';
      page.line(1, `Region ${bar}: I/O ports at ${at}${command & 1 ? '' : ' [disabled]'}`);
      continue;
    }
    const address = (where & ~15) >>> 0;
    const at = high ? hexText64(high, address).replace(/^0+/, '') : address ? hexText(address, 8) : '<unassigned>';
    const kind = `${MEMORY_TYPES[(low >> 1) & 3]}, ${low & 8 ? '' : 'non-'}prefetchable`;
    page.line(1, `Region ${bar}: Memory at ${at} (${kind})${command & 2 ? '' : ' [disabled]'}`);
  }
}

/** Prints the expansion ROM whose register is at `at`. */
export function decodeRom(page: Page, at: number): void {
  const register = page.u32(at);
  if (register === 0) return;
  const known = register === 0xffffffff ? 0 : register;
  const address = known & 0xfffff800;
  const where = address ? hexText(address, 8) : register & 0xfffff800 ? '<ignored>' : '<unassigned>';
  const disabled = !(register & 1) ? ' [disabled]' : page.u16(0x04) & 2 ? '' : ' [disabled by cmd]';
  page.line(1, `Expansion ROM at ${where}${disabled}`);
}
