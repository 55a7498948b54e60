import { bits, field, hexBits, hexText, reg } from '../layout.ts';
import type { Page } from '../page.ts';

/** Expansion slot and chassis number of a bridge. PCI-to-PCI Bridge 1.2 §13.2. */
const SLOT_ID = reg`Slot ID: ${bits(0, 5)} slots, First${5}, chassis ${hexBits(8, 8, 2)}`;

/** EHCI debug port, 16 bit at cap+2. EHCI 1.0 appendix C.2. */
const DEBUG_PORT = reg`Debug port: BAR=${bits(13, 3)} offset=${hexBits(0, 13, 4)}`;

/** Conventional PCI Advanced Features ECN: capabilities, control and status, one byte each from cap+3. */
const AF_CAP = reg`AFCap: TP${0} FLR${1}`;
const AF_CTRL = reg`AFCtrl: FLR${0}`;
const AF_STATUS = reg`AFStatus: TP${0}`;

export function decodeSlotId(page: Page, _at: number, control: number): void {
  page.put(`${SLOT_ID(control)}\n`);
}

export function decodeDebugPort(page: Page, _at: number, control: number): void {
  page.put(`${DEBUG_PORT(control)}\n`);
}

/** The data behind the VPD address register is not part of configuration space, so a dump never has it. */
export function decodeVpd(page: Page): void {
  page.put('Vital Product Data\n');
  page.line(2, 'Not readable');
}

/** Subsystem IDs of a bridge. PCI-to-PCI Bridge 1.2 §3.2.5.13. Without its bytes lspci leaves the line unfinished. */
export function decodeSubsystem(page: Page, at: number): void {
  if (!page.has(at, 8)) return;
  page.put(`Subsystem: ${hexText(page.u16(at + 4), 4)}:${hexText(page.u16(at + 6), 4)}\n`);
}

export function decodeAdvancedFeatures(page: Page, at: number): void {
  page.put('PCI Advanced Features\n');
  if (!page.has(at + 3, 3)) return;
  page.line(2, AF_CAP(page.u8(at + 3)));
  page.line(2, AF_CTRL(page.u8(at + 4)));
  page.line(2, AF_STATUS(page.u8(at + 5)));
}

/** Where the index/data pair of a SATA HBA is: in a BAR, or right behind the capability. AHCI 1.3.1 §2.4. */
export function decodeSata(page: Page, at: number, control: number): void {
  page.put(`SATA HBA v${field(control, 4, 4)}.${field(control, 0, 4)}`);
  if (page.has(at + 4, 4)) {
    const place = page.u32(at + 4);
    const bar = field(place, 0, 4);
    if (bar >= 4 && bar <= 9) page.put(` BAR${bar - 4} Offset=${hexText(field(place, 4, 20), 8)}`);
    else page.put(bar === 15 ? ' InCfgSpace' : ` BAR??${bar}`);
  }
  page.put('\n');
}
