import type { ExtendedDecoder } from '../extended.ts';
import { field } from '../layout.ts';
import type { Page } from '../page.ts';

const UNITS = ['MB', 'GB', 'TB', 'PB', 'EB'];
const MAX_SIZE_LOG2 = 43;
const MAX_BARS = 6;

/** Resizable BAR and VF Resizable BAR: pairs of capability and control dword from +4. PCIe 5.0 §7.8.6, §9.3.7.5. */
export function decodeResizableBar(kind: 'Physical' | 'Virtual'): ExtendedDecoder {
  return (page, at) => {
    page.put(`${kind} Resizable BAR\n`);
    // How many BARs follow is told by the first of them.
    let count = 1;
    for (let index = 0; index < count; index++) {
      const entry = at + 4 + 8 * index;
      if (!page.has(entry, 8)) {
        page.line(2, '<unreadable>');
        return;
      }
      if (index === 0) {
        count = field(page.u32(entry + 4), 5, 3);
        if (count < 1 || count > MAX_BARS) {
          page.line(2, `<error in resizable BAR: num_bars=${count} is out of specification>`);
          return;
        }
      }
      decodeEntry(page, entry);
    }
  };
}

function decodeEntry(page: Page, at: number): void {
  const [cap, control] = [page.u32(at), page.u32(at + 4)];
  const supported = [];
  for (let log2 = 0; log2 < 28; log2++) if (field(cap, 4 + log2, 1)) supported.push(sizeText(log2));
  for (let log2 = 28; log2 < 44; log2++) if (field(control, log2 - 12, 1)) supported.push(sizeText(log2));
  const list = supported.length ? `, supported: ${supported.join(' ')}` : '';
  page.line(2, `BAR ${field(control, 0, 3)}: current size: ${sizeText(field(control, 8, 6))}${list}`);
}

/** 2^log2 MB in the largest unit, up to 8 EB. */
function sizeText(log2: number): string {
  return log2 > MAX_SIZE_LOG2 ? '<unknown>' : `${1 << (log2 % 10)}${UNITS[Math.floor(log2 / 10)]}`;
}
