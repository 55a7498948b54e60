import { hexBits, hexText, reg } from '../layout.ts';
import type { Page } from '../page.ts';

/** Capabilities, 32 bit at +4; Control and Status, 16 bit at +8, +0Ah. PCIe 5.0 §9.3.3.2 to §9.3.3.4. */
const CAP = reg`IOVCap:	Migration${0} 10BitTagReq${2} Interrupt Message Number: ${hexBits(21, 11, 3)}`;
const CTL = reg`IOVCtl:	Enable${0} Migration${1} Interrupt${2} MSE${3} ARIHierarchy${4} 10BitTagReq${5}`;
const STATUS = reg`IOVSta:	Migration${0}`;

const VF_BARS = 6;

export function decodeSrIov(page: Page, at: number): void {
  page.put('Single Root I/O Virtualization (SR-IOV)\n');
  if (!page.has(at + 4, 0x3c)) return;
  page.line(2, CAP(page.u32(at + 4)));
  page.line(2, CTL(page.u16(at + 8)));
  page.line(2, STATUS(page.u16(at + 10)));
  page.line(
    2,
    `Initial VFs: ${page.u16(at + 12)}, Total VFs: ${page.u16(at + 14)}, Number of VFs: ${page.u16(at + 16)}, ` +
      `Function Dependency Link: ${hexText(page.u8(at + 18), 2)}`,
  );
  const deviceId = hexText(page.u16(at + 0x1a), 4);
  page.line(2, `VF offset: ${page.u16(at + 0x14)}, stride: ${page.u16(at + 0x16)}, Device ID: ${deviceId}`);
  const [supported, system] = [page.u32(at + 0x1c), page.u32(at + 0x20)];
  page.line(2, `Supported Page Size: ${hexText(supported, 8)}, System Page Size: ${hexText(system, 8)}`);
  decodeVfBars(page, at + 0x24);
  const migration = page.u32(at + 0x3c);
  page.line(2, `VF Migration: offset: ${hexText(migration & ~7, 8)}, BIR: ${migration & 7}`);
}

function decodeVfBars(page: Page, at: number): void {
  for (let bar = 0; bar < VF_BARS; bar++) {
    const low = page.u32(at + 4 * bar);
    if (low === 0 || low === 0xffffffff) continue;
    const type = (low >> 1) & 3;
    // The upper half of a 64-bit BAR in the last place would lie in the next register, where lspci reads it.
    const high = type === 2 ? hexText(page.u32(at + 4 * bar + 4), 8) : '';
    const kind = `${type === 0 ? '32' : '64'}-bit, ${low & 8 ? '' : 'non-'}prefetchable`;
    page.line(2, `Region ${bar}: Memory at ${high}${hexText(low & ~15, 8)} (${kind})`);
    if (type === 2) bar++;
  }
}
