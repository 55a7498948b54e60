import { PortType } from '../caps/express-names.ts';
import { bits, coded, field, flag, hexText64, reg } from '../layout.ts';
import type { Page } from '../page.ts';

/** Multicast Capability and Control, 16 bit at +4, +6; 64-bit registers from +8. PCIe 5.0 §7.9.11. */
const CAP = reg`McastCap: MaxGroups ${coded(0, 6, (n) => n + 1)}`;
const CAP_WINDOW = reg`, WindowSz ${bits(8, 6)} (${coded(8, 6, (log2) => 1 << log2)} bytes)`;
const CTL = reg`McastCtl: NumGroups ${coded(0, 6, (n) => n + 1)}, Enable${15}`;

export function decodeMulticast(page: Page, at: number, portType: number): void {
  page.put('Multicast\n');
  if (!page.has(at + 4, 0x30)) return;
  const endpoint = portType === PortType.endpoint || portType === PortType.rootComplexEndpoint;
  const port =
    portType === PortType.rootPort || portType === PortType.upstreamPort || portType === PortType.downstreamPort;
  const cap = page.u16(at + 4);
  // Only ports end this line; after any other type the next register follows on it.
  page.put(`\t\t${CAP(cap)}${endpoint ? CAP_WINDOW(cap) : ''}${port ? `, ECRCRegen${flag(cap, 15)}\n` : ''}`);
  page.line(2, CTL(page.u16(at + 6)));
  const [barLow, barHigh] = [page.u32(at + 8), page.u32(at + 12)];
  page.line(2, `McastBAR: IndexPos ${field(barLow, 0, 6)}, BaseAddr ${hexText64(barHigh, barLow & ~0xfff)}`);
  const vector = (where: number) => hexText64(page.u32(at + where + 4), page.u32(at + where));
  page.line(2, `McastReceiveVec:      ${vector(0x10)}`);
  page.line(2, `McastBlockAllVec:     ${vector(0x18)}`);
  page.line(2, `McastBlockUntransVec: ${vector(0x20)}`);
  if (endpoint) return;
  const [overlayLow, overlayHigh] = [page.u32(at + 0x28), page.u32(at + 0x2c)];
  const size = field(overlayLow, 0, 6);
  const sizeText = size >= 6 ? `(${1 << size} bytes)` : '(disabled)';
  const base = hexText64(overlayHigh, overlayLow & ~0x3f);
  page.line(2, `McastOverlayBAR: OverlaySize ${size} ${sizeText}, BaseAddr ${base}`);
}
