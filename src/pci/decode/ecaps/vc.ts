import { field, flag, hexText, reg } from '../layout.ts';
import type { Page } from '../page.ts';

/** Arbitration schemes by bit of the capability and by value of the select field; the rest are reserved. */
const PORT_ARBITRATION = ['Fixed', 'WRR32', 'WRR64', 'WRR128'];
const VC_ARBITRATION = ['Fixed', 'WRR32', 'WRR64', 'WRR128', 'TWRR128', 'WRR256'];

/** VC Resource Control, 32 bit, and Status, 16 bit. PCIe 5.0 §7.9.1.8 and §7.9.1.9. */
const RESOURCE_STATUS = reg`Status:	NegoPending${1} InProgress${0}`;

/** Virtual Channel. PCIe 5.0 §7.9.1. */
export function decodeVirtualChannel(page: Page, at: number): void {
  page.put('Virtual Channel\n');
  if (!page.has(at + 4, 0x18)) return;
  const [cap1, cap2] = [page.u32(at + 4), page.u32(at + 8)];
  const clock = field(cap1, 8, 2);
  page.line(
    2,
    `Caps:	LPEVC=${field(cap1, 4, 3)} RefClk=${clock === 0 ? '100ns' : `??${clock}`} PATEntryBits=${1 << field(cap1, 10, 2)}`,
  );
  page.line(2, `Arb:${arbitration(PORT_ARBITRATION, cap2)}`);
  page.line(2, `Ctrl:	ArbSelect=${select(PORT_ARBITRATION, field(page.u16(at + 12), 1, 3))}`);
  page.line(2, `Status:	InProgress${flag(page.u16(at + 14), 0)}`);
  const table = field(cap2, 24, 8);
  if (table) page.line(2, `Port Arbitration Table [${hexText(at + 16 * table, 1)}] <?>`);
  for (let vc = 0; vc <= field(cap1, 0, 3); vc++) decodeResource(page, at + 16 + 12 * vc, vc);
}

function decodeResource(page: Page, at: number, vc: number): void {
  if (!page.has(at, 12)) {
    page.line(2, `VC${vc}:	<unreadable>`);
    return;
  }
  const [cap, control, status] = [page.u32(at), page.u32(at + 4), page.u16(at + 10)];
  const table = field(cap, 24, 8);
  const slots = field(cap, 16, 7) + 1;
  page.line(2, `VC${vc}:	Caps:	PATOffset=${hexText(table, 2)} MaxTimeSlots=${slots} RejSnoopTrans${flag(cap, 15)}`);
  page.line(3, `Arb:${arbitration(VC_ARBITRATION, cap)}`);
  const selected = select(VC_ARBITRATION, field(control, 17, 3));
  page.line(
    3,
    `Ctrl:	Enable${flag(control, 31)} ID=${field(control, 24, 3)} ArbSelect=${selected} TC/VC=${hexText(field(control, 0, 8), 2)}`,
  );
  page.line(3, RESOURCE_STATUS(status));
  if (table) page.line(3, 'Port Arbitration Table <?>');
}

/** Known schemes with their flag, reserved ones only if they are set. */
function arbitration(names: string[], value: number): string {
  return Array.from({ length: 8 }, (_, bit) => bit)
    .filter((bit) => bit < names.length || field(value, bit, 1))
    .map((bit) => `${bit ? ' ' : '\t'}${select(names, bit)}${flag(value, bit)}`)
    .join('');
}

function select(names: string[], code: number): string {
  return names[code] ?? `??${code}`;
}
