import { bits, coded, hexBits, named, reg } from '../layout.ts';
import type { Page } from '../page.ts';

const OUTSTANDING = [1, 2, 3, 4, 8, 12, 16, 32];
const READ_BYTES = (code: number) => 512 << code;
const CLOCKS = ['conv', '66MHz', '100MHz', '133MHz', '?4', '?5', '?6', '?7'];

/** Command, 16 bit at cap+2, and Status, 32 bit at cap+4, of a device. PCI-X 2.0 §7.2. */
const COMMAND = reg`Command: DPERE${0} ERO${1} RBC=${coded(2, 2, READ_BYTES)} OST=${coded(4, 3, (c) => OUTSTANDING[c])}`;
const PLACE = reg`Status: Dev=${hexBits(8, 8, 2)}:${hexBits(3, 5, 2)}.${bits(0, 3)} 64bit${16} 133MHz${17} SCD${18} USC${19}`;
const STATUS = reg` DC=${named(20, 1, ['simple', 'bridge'])} DMMRBC=${coded(21, 2, READ_BYTES)} DMOST=${coded(23, 3, (c) => OUTSTANDING[c])} DMCRS=${coded(26, 3, (c) => 8 << c)} RSCEM${29} 266MHz${30} 533MHz${31}`;

/** Secondary Status, 16 bit at cap+2, and Bridge Status, 32 bit at cap+4, of a bridge. PCI-X 2.0 §8.6. */
const SECONDARY = reg`Secondary Status: 64bit${0} 133MHz${1} SCD${2} USC${3} SCO${4} SRD${5} Freq=${named(6, 3, CLOCKS)}`;
const BRIDGE_STATUS = reg` SCO${20} SRD${21}`;
const SPLITS = reg`Capacity=${bits(0, 16)} CommitmentLimit=${bits(16, 16)}`;

export function decodePciX(page: Page, at: number): void {
  if (page.headerLayout === 0) {
    page.put('PCI-X non-bridge device\n');
    if (!page.has(at + 4, 4)) return;
    page.line(2, COMMAND(page.u16(at + 2)));
    page.line(2, PLACE(page.u32(at + 4)) + STATUS(page.u32(at + 4)));
  } else if (page.headerLayout === 1) {
    page.put('PCI-X bridge device\n');
    if (!page.has(at + 4, 12)) return;
    page.line(2, SECONDARY(page.u16(at + 2)));
    page.line(2, PLACE(page.u32(at + 4)) + BRIDGE_STATUS(page.u32(at + 4)));
    page.line(2, `Upstream: ${SPLITS(page.u32(at + 8))}`);
    page.line(2, `Downstream: ${SPLITS(page.u32(at + 12))}`);
  }
}
