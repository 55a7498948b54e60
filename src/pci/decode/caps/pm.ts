import { bits, coded, field, flag, reg } from '../layout.ts';
import type { Page } from '../page.ts';

const AUX_CURRENT_MA = [0, 55, 100, 160, 220, 270, 320, 375];

/** Power Management Capabilities, 16 bit at cap+2. PCI PM 1.2 §3.2.3. */
const PMC = reg`Flags: PMEClk${3} DSI${5} D1${9} D2${10} AuxCurrent=${coded(6, 3, (c) => AUX_CURRENT_MA[c])}mA PME(D0${11},D1${12},D2${13},D3hot${14},D3cold${15})`;

/** PMCSR, 16 bit at cap+4. PCI PM 1.2 §3.2.4. */
const PMCSR = reg`Status: D${bits(0, 2)} NoSoftRst${3} PME-Enable${8} DSel=${bits(9, 4)} DScale=${bits(13, 2)} PME${15}`;

export function decodePm(page: Page, at: number, control: number): void {
  page.put(`Power Management version ${field(control, 0, 3)}\n`);
  page.line(2, PMC(control));
  if (!page.has(at + 4, 4)) return;
  page.line(2, PMCSR(page.u16(at + 4)));
  const bridge = page.u8(at + 6);
  // B2/B3# is printed inverted: set means B2, clear means B3.
  if (bridge) page.line(2, `Bridge: PM${flag(bridge, 7)} B3${flag(~bridge, 6)}`);
}
