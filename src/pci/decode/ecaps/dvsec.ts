import { bits, field, hexBits, reg } from '../layout.ts';
import type { Page } from '../page.ts';
import { decodeCxl } from './cxl.ts';

/** Header 1, 32 bit at +4: vendor, revision, length of the whole capability. PCIe 5.0 §7.9.6. */
const HEADER = reg`Vendor=${hexBits(0, 16, 4)} ID=`;
const HEADER_REST = reg` Rev=${bits(16, 4)} Len=${bits(20, 12)}`;
const CXL_VENDOR = 0x1e98;

/** Designated Vendor-Specific. */
export function decodeDvsec(page: Page, at: number): void {
  page.put('Designated Vendor-Specific: ');
  if (!page.has(at + 4, 8)) {
    page.put('<unreadable>\n');
    return;
  }
  const header = page.u32(at + 4);
  const id = page.u16(at + 8);
  page.put(HEADER(header) + hexBits(0, 16, 4)(id) + HEADER_REST(header));
  const length = field(header, 20, 12);
  if (field(header, 0, 16) !== CXL_VENDOR || length < 16) {
    page.put(' <?>\n');
    return;
  }
  page.put(': CXL\n');
  if (page.has(at, length)) decodeCxl(page, at, { id, revision: field(header, 16, 4), length });
}
