import { bits, field, flag, hexBits, hexText, named, reg } from '../layout.ts';
import type { Page } from '../page.ts';

/** Access Control Services, two words from +4. PCIe 5.0 §7.7.8. */
const ACS = reg`SrcValid${0} TransBlk${1} ReqRedir${2} CmpltRedir${3} UpstreamFwd${4} EgressCtrl${5} DirectTrans${6}`;

export function decodeAcs(page: Page, at: number): void {
  page.put('Access Control Services\n');
  if (!page.has(at + 4, 4)) return;
  page.line(2, `ACSCap:	${ACS(page.u16(at + 4))}`);
  page.line(2, `ACSCtl:	${ACS(page.u16(at + 6))}`);
}

/** Alternative Routing-ID Interpretation. PCIe 5.0 §7.8.7. */
const ARI_CAP = reg`ARICap:	MFVC${0} ACS${1}, Next Function: ${bits(8, 8)}`;
const ARI_CTL = reg`ARICtl:	MFVC${0} ACS${1}, Function Group: ${bits(4, 3)}`;

export function decodeAri(page: Page, at: number): void {
  page.put('Alternative Routing-ID Interpretation (ARI)\n');
  if (!page.has(at + 4, 4)) return;
  page.line(2, ARI_CAP(page.u16(at + 4)));
  page.line(2, ARI_CTL(page.u16(at + 6)));
}

/** Address Translation Services. PCIe 5.0 §10.5.1. */
const ATS_CAP = reg`ATSCap:	Invalidate Queue Depth: ${hexBits(0, 5, 2)}`;
const ATS_CTL = reg`ATSCtl:	Enable${15}, Smallest Translation Unit: ${hexBits(0, 5, 2)}`;

export function decodeAts(page: Page, at: number): void {
  page.put('Address Translation Service (ATS)\n');
  if (!page.has(at + 4, 4)) return;
  page.line(2, ATS_CAP(page.u16(at + 4)));
  page.line(2, ATS_CTL(page.u16(at + 6)));
}

/** Page Request Interface. PCIe 5.0 §10.5.2. */
const PRI_CTL = reg`PRICtl: Enable${0} Reset${1}`;
const PRI_STATUS = reg`PRISta: RF${0} UPRGI${1} Stopped${8}`;

export function decodePri(page: Page, at: number): void {
  page.put('Page Request Interface (PRI)\n');
  if (!page.has(at + 4, 12)) return;
  page.line(2, PRI_CTL(page.u16(at + 4)));
  page.line(2, PRI_STATUS(page.u16(at + 6)));
  const [capacity, allocation] = [hexText(page.u32(at + 8), 8), hexText(page.u32(at + 12), 8)];
  page.line(2, `Page Request Capacity: ${capacity}, Page Request Allocation: ${allocation}`);
}

/** Process Address Space ID. PCIe 5.0 §7.8.8. */
const PASID_CAP = reg`PASIDCap: Exec${1} Priv${2}, Max PASID Width: ${hexBits(8, 5, 2)}`;
const PASID_CTL = reg`PASIDCtl: Enable${0} Exec${1} Priv${2}`;

export function decodePasid(page: Page, at: number): void {
  page.put('Process Address Space ID (PASID)\n');
  if (!page.has(at + 4, 4)) return;
  page.line(2, PASID_CAP(page.u16(at + 4)));
  page.line(2, PASID_CTL(page.u16(at + 6)));
}

/** Device Serial Number, an EUI-64 at +4. PCIe 5.0 §7.9.3. Without its bytes lspci leaves the line unfinished. */
export function decodeSerialNumber(page: Page, at: number): void {
  if (!page.has(at + 4, 8)) return;
  const bytes = [...page.bytes.subarray(at + 4, at + 12)].reverse();
  page.put(`Device Serial Number ${bytes.map((byte) => hexText(byte, 2)).join('-')}\n`);
}

/** Latency Tolerance Reporting: two words of value 9:0 and scale 12:10, a power of 32 ns. PCIe 5.0 §7.8.2. */
export function decodeLtr(page: Page, at: number): void {
  page.put('Latency Tolerance Reporting\n');
  if (!page.has(at + 4, 4)) return;
  page.line(2, `Max snoop latency: ${latencyNs(page.u16(at + 4))}ns`);
  page.line(2, `Max no snoop latency: ${latencyNs(page.u16(at + 6))}ns`);
}

function latencyNs(word: number): number {
  return field(word, 0, 10) * scaleNs(field(word, 10, 3));
}

/** 32^scale; the two reserved scales wrap as lspci's 32-bit shift does. */
export function scaleNs(scale: number): number {
  return (1 << ((scale * 5) & 31)) >>> 0;
}

/** Secondary PCI Express. PCIe 5.0 §7.7.3. */
const LNKCTL3 = reg`LnkCtl3: LnkEquIntrruptEn${1} PerformEqu${0}`;

export function decodeSecondaryExpress(page: Page, at: number): void {
  page.put('Secondary PCI Express\n');
  if (!page.has(at + 4, 12)) return;
  page.line(2, LNKCTL3(page.u16(at + 4)));
  const errors = page.u16(at + 8);
  const lanes = Array.from({ length: 16 }, (_, lane) => lane).filter((lane) => field(errors, lane, 1));
  page.line(2, `LaneErrStat: ${lanes.length ? `LaneErr at lane: ${lanes.join(' ')}` : '0'}`);
}

/** TLP Processing Hints Requester. PCIe 5.0 §7.9.13. */
const TPH_TABLES = [
  'No steering table available',
  'Steering table in TPH capability structure',
  'Steering table in MSI-X table',
];

export function decodeTph(page: Page, at: number): void {
  page.put('Transaction Processing Hints\n');
  if (!page.has(at + 4, 4)) return;
  const cap = page.u32(at + 4);
  if (field(cap, 1, 1)) page.line(2, 'Interrupt vector mode supported');
  if (field(cap, 2, 1)) page.line(2, 'Device specific mode supported');
  if (field(cap, 8, 1)) page.line(2, 'Extended requester support');
  page.line(2, named(9, 2, TPH_TABLES, 'Reserved steering table location')(cap));
}

/** Downstream Port Containment. PCIe 5.0 §7.9.15. */
const DPC_CAP = reg`DpcCap:	INT Msg #${bits(0, 5)}, RPExt${5} PoisonedTLP${6} SwTrigger${7} RP PIO Log ${bits(8, 4)}, DL_ActiveErr${12}`;
const DPC_CTL = reg`DpcCtl:	Trigger:${hexBits(0, 2, 1)} Cmpl${2} INT${3} ErrCor${4} PoisonedTLP${5} SwTrigger${6} DL_ActiveErr${7}`;
const DPC_STATUS = reg`DpcSta:	Trigger${0} Reason:${hexBits(1, 2, 2)} INT${3} RPBusy${4} TriggerExt:${hexBits(5, 2, 2)} RP PIO ErrPtr:${hexBits(8, 5, 2)}`;

export function decodeDpc(page: Page, at: number): void {
  page.put('Downstream Port Containment\n');
  if (!page.has(at + 4, 8)) return;
  page.line(2, DPC_CAP(page.u16(at + 4)));
  page.line(2, DPC_CTL(page.u16(at + 6)));
  page.line(2, DPC_STATUS(page.u16(at + 8)));
  page.line(2, `Source:	${hexText(page.u16(at + 10), 4)}`);
}

/** Vendor-Specific Extended Capability. PCIe 5.0 §7.9.5. */
const VSEC = reg`ID=${hexBits(0, 16, 4)} Rev=${bits(16, 4)} Len=${hexBits(20, 12, 3)} <?>`;

export function decodeVendorExtended(page: Page, at: number): void {
  page.put(`Vendor Specific Information: ${page.has(at + 4, 4) ? VSEC(page.u32(at + 4)) : '<unreadable>'}\n`);
}

/** Data Object Exchange. PCIe 6.0 §7.9.24. */
export function decodeDoe(page: Page, at: number): void {
  page.put('Data Object Exchange\n');
  if (!page.has(at + 4, 20)) {
    page.line(2, '<unreadable>');
    return;
  }
  const cap = page.u32(at + 4);
  page.line(2, `DOECap: IntSup${flag(cap, 0)}`);
  if (field(cap, 0, 1)) page.line(3, `Interrupt Message Number ${hexText(field(cap, 1, 11), 3)}`);
  page.line(2, `DOECtl: IntEn${flag(page.u32(at + 8), 1)}`);
  const status = page.u32(at + 12);
  // lspci 3.9.0 takes Error for bits 1:0 instead of bit 2.
  const error = field(status, 0, 2) ? '+' : '-';
  page.line(2, `DOESta: Busy${flag(status, 0)} IntSta${flag(status, 1)} Error${error} ObjectReady${flag(status, 31)}`);
}
