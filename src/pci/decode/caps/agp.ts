import { bits, coded, field, hexText, reg } from '../layout.ts';
import type { Page } from '../page.ts';

/** Status and Command, 32 bit at cap+4 and cap+8. AGP 3.0 §4.1.1 and §4.1.2; RQ is stored less one. */
const REQUESTS = coded(24, 8, (n) => n + 1);
const STATUS = reg`Status: RQ=${REQUESTS} Iso${16} ArqSz=${bits(13, 3)} Cal=${bits(10, 3)} SBA${9} ITACoh${8} GART64${7} HTrans${6} 64bit${5} FW${4} AGP3${3} Rate=`;
const COMMAND = reg`Command: RQ=${REQUESTS} ArqSz=${bits(13, 3)} Cal=${bits(10, 3)} SBA${9} AGP${8} GART64${7} 64bit${5} FW${4} Rate=`;

export function decodeAgp(page: Page, at: number, control: number): void {
  const major = field(control, 4, 4);
  page.put(`AGP version ${hexText(major, 1)}.${hexText(field(control, 0, 4), 1)}\n`);
  if (!page.has(at + 4, 8)) return;
  const status = page.u32(at + 4);
  // The three rate bits mean 1x, 2x, 4x, in AGP 3 mode 4x, 8x.
  const slowest = major >= 3 && field(status, 3, 1) ? 4 : 1;
  const rates = (value: number) =>
    [0, 1, 2]
      .filter((bit) => field(value, bit, 1))
      .map((bit) => `x${slowest << bit}`)
      .join(',') || '<none>';
  page.line(2, STATUS(status) + rates(status));
  page.line(2, COMMAND(page.u32(at + 8)) + rates(page.u32(at + 8)));
}
