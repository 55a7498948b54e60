import { bits, coded, hexText, reg } from '../layout.ts';
import type { Page } from '../page.ts';

/** MSI Message Control, 16 bit at cap+2. PCI 3.0 §6.8.1.3. Count is granted/offered. */
const MSI_CONTROL = reg`MSI: Enable${0} Count=${coded(4, 3, (mme) => 1 << mme)}/${coded(1, 3, (mmc) => 1 << mmc)} Maskable${8} 64bit${7}`;

/** MSI-X Message Control, 16 bit at cap+2. PCI 3.0 §6.8.2.3. */
const MSIX_CONTROL = reg`MSI-X: Enable${15} Count=${coded(0, 11, (n) => n + 1)} Masked${14}`;

/** Table and PBA, 32 bit at cap+4 and cap+8: BIR in the low three bits. PCI 3.0 §6.8.2.4. */
const MSIX_PLACE = reg`BAR=${bits(0, 3)} offset=${(value) => hexText(value & ~7, 8)}`;

export function decodeMsi(page: Page, at: number, control: number): void {
  page.put(`${MSI_CONTROL(control)}\n`);
  const is64 = (control & 0x80) !== 0;
  const dataAt = at + (is64 ? 12 : 8);
  if (!page.has(at + 4, dataAt + 2 - (at + 4))) return;
  const high = is64 ? hexText(page.u32(at + 8), 8) : '';
  page.line(2, `Address: ${high}${hexText(page.u32(at + 4), 8)}  Data: ${hexText(page.u16(dataAt), 4)}`);
  if (!(control & 0x100) || !page.has(dataAt + 4, 8)) return;
  page.line(2, `Masking: ${hexText(page.u32(dataAt + 4), 8)}  Pending: ${hexText(page.u32(dataAt + 8), 8)}`);
}

export function decodeMsix(page: Page, at: number, control: number): void {
  page.put(`${MSIX_CONTROL(control)}\n`);
  if (!page.has(at + 4, 8)) return;
  page.line(2, `Vector table: ${MSIX_PLACE(page.u32(at + 4))}`);
  page.line(2, `PBA: ${MSIX_PLACE(page.u32(at + 8))}`);
}
