import { bits, coded, field, flag, hexBits, hexText, named, reg } from '../layout.ts';
import type { Page } from '../page.ts';
import {
  ASPM_CONTROL,
  ASPM_SUPPORT,
  INDICATOR,
  LATENCY_L0S,
  LATENCY_L1,
  LINK_SPEED,
  PortType,
  powerLimit,
} from './express-names.ts';
import { decodeExpress2 } from './express2.ts';

/** Name, whether the type has a link, and whether it may have a slot. PCIe 5.0 §7.5.3.2 and figure 7-9. */
const TYPES: Record<number, { name: string; link: boolean; slot?: true }> = {
  [PortType.endpoint]: { name: 'Endpoint', link: true },
  [PortType.legacyEndpoint]: { name: 'Legacy Endpoint', link: true },
  [PortType.rootPort]: { name: 'Root Port', link: true, slot: true },
  [PortType.upstreamPort]: { name: 'Upstream Port', link: true },
  [PortType.downstreamPort]: { name: 'Downstream Port', link: true, slot: true },
  [PortType.pcieToPciBridge]: { name: 'PCI-Express to PCI/PCI-X Bridge', link: true },
  [PortType.pciToPcieBridge]: { name: 'PCI/PCI-X to PCI-Express Bridge', link: true, slot: true },
  [PortType.rootComplexEndpoint]: { name: 'Root Complex Integrated Endpoint', link: false },
  [PortType.rootComplexEventCollector]: { name: 'Root Complex Event Collector', link: false },
};

const payload = (code: number) => 128 << code;

/** Device Capabilities, 32 bit at cap+4. PCIe 5.0 §7.5.3.3. */
const DEVCAP = reg`DevCap:	MaxPayload ${coded(0, 3, payload)} bytes, PhantFunc ${coded(3, 2, (n) => (1 << n) - 1)}`;
const DEVCAP_LATENCY = reg`, Latency L0s ${named(6, 3, LATENCY_L0S)}, L1 ${named(9, 3, LATENCY_L1)}`;
const DEVCAP_INDICATORS = reg` AttnBtn${12} AttnInd${13} PwrInd${14}`;

/** Device Control and Status, 16 bit each at cap+8 and cap+10. PCIe 5.0 §7.5.3.4, §7.5.3.5. */
const DEVCTL_ERRORS = reg`DevCtl:	CorrErr${0} NonFatalErr${1} FatalErr${2} UnsupReq${3}`;
const DEVCTL = reg`RlxdOrd${4} ExtTag${8} PhantFunc${9} AuxPwr${10} NoSnoop${11}`;
const DEVCTL_SIZES = reg`MaxPayload ${coded(5, 3, payload)} bytes, MaxReadReq ${coded(12, 3, payload)} bytes`;
const DEVSTA = reg`DevSta:	CorrErr${0} NonFatalErr${1} FatalErr${2} UnsupReq${3} AuxPwr${4} TransPend${5}`;

/** Link Capabilities, 32 bit at cap+12; Control and Status at cap+16, cap+18. PCIe 5.0 §7.5.3.6 to §7.5.3.8. */
const LNKCAP = reg`LnkCap:	Port #${bits(24, 8)}, Speed ${named(0, 4, LINK_SPEED, 'unknown')}, Width x${bits(4, 6)}, ASPM ${named(10, 2, ASPM_SUPPORT)}`;
const LNKCAP_FLAGS = reg`ClockPM${18} Surprise${19} LLActRep${20} BwNot${21} ASPMOptComp${22}`;
const LNKCTL = reg` Disabled${4} CommClk${6}`;
const LNKCTL_FLAGS = reg`ExtSynch${7} ClockPM${8} AutWidDis${9} BWInt${10} AutBWInt${11}`;
const LNKSTA_FLAGS = reg`TrErr${10} Train${11} SlotClk${12} DLActive${13} BWMgmt${14} ABWMgmt${15}`;

/** Slot Capabilities, 32 bit at cap+20; Control and Status at cap+24, cap+26. PCIe 5.0 §7.5.3.9 to §7.5.3.11. */
const SLTCAP = reg`SltCap:	AttnBtn${0} PwrCtrl${1} MRL${2} AttnInd${3} PwrInd${4} HotPlug${6} Surprise${5}`;
const SLTCAP_NUMBER = reg`Slot #${bits(19, 13)}, PowerLimit ${(v) => powerLimit(field(v, 7, 8), field(v, 15, 2))}; Interlock${17} NoCompl${18}`;
const SLTCTL = reg`SltCtl:	Enable: AttnBtn${0} PwrFlt${1} MRL${2} PresDet${3} CmdCplt${4} HPIrq${5} LinkChg${12}`;
const SLTCTL_CONTROL = reg`Control: AttnInd ${named(6, 2, INDICATOR)}, PwrInd ${named(8, 2, INDICATOR)}, Power${10} Interlock${11}`;
const SLTSTA = reg`SltSta:	Status: AttnBtn${0} PowerFlt${1} MRL${5} CmdCplt${4} PresDet${6} Interlock${7}`;
const SLTSTA_CHANGED = reg`Changed: MRL${2} PresDet${3} LinkState${8}`;

/** Root Control, Capabilities and Status at cap+28, cap+30, cap+32. PCIe 5.0 §7.5.3.12 to §7.5.3.14. */
const ROOTCAP = reg`RootCap: CRSVisible${0}`;
const ROOTCTL = reg`RootCtl: ErrCorrectable${0} ErrNon-Fatal${1} ErrFatal${2} PMEIntEna${3} CRSVisible${4}`;
const ROOTSTA = reg`RootSta: PME ReqID ${hexBits(0, 16, 4)}, PMEStatus${16} PMEPending${17}`;

/** Prints the capability at `at`. @returns its port type, on which the reading of some extended capabilities depends */
export function decodeExpress(page: Page, at: number, flags: number): number {
  const type = field(flags, 4, 4);
  const known = TYPES[type];
  const slotBit = known?.slot ? ` (Slot${flag(flags, 8)})` : '';
  page.put(`Express (v${field(flags, 0, 4)}) ${known?.name ?? `Unknown type ${type}`}${slotBit}`);
  page.put(`, MSI ${hexText(field(flags, 9, 5), 2)}\n`);

  const slot = known?.slot === true && (flags & 0x100) !== 0;
  const link = known?.link ?? true;
  const root = type === PortType.rootPort || type === PortType.rootComplexEventCollector;
  if (!page.has(at + 4, root ? 32 : slot ? 24 : 16)) return type;
  decodeDevice(page, at, type);
  if (link) decodeLink(page, at, type);
  if (slot) decodeSlot(page, at);
  if (root) {
    page.line(2, ROOTCAP(page.u16(at + 30)));
    page.line(2, ROOTCTL(page.u16(at + 28)));
    page.line(2, ROOTSTA(page.u32(at + 32)));
  }
  if (field(flags, 0, 4) >= 2 && page.has(at + 36, slot ? 24 : 16)) decodeExpress2(page, at, type, link);
  return type;
}

function decodeDevice(page: Page, at: number, type: number): void {
  const cap = page.u32(at + 4);
  const endpoint = type === PortType.endpoint || type === PortType.legacyEndpoint;
  const upstream = type === PortType.endpoint || type === PortType.upstreamPort || type === PortType.pcieToPciBridge;
  const resettable = endpoint || type === PortType.rootComplexEndpoint;
  page.line(2, DEVCAP(cap) + (endpoint ? DEVCAP_LATENCY(cap) : ''));
  page.line(
    3,
    `ExtTag${flag(cap, 5)}${endpoint || upstream ? DEVCAP_INDICATORS(cap) : ''} RBE${flag(cap, 15)}` +
      (resettable ? ` FLReset${flag(cap, 28)}` : '') +
      (upstream ? ` SlotPowerLimit ${powerLimit(field(cap, 18, 8), field(cap, 26, 2))}` : ''),
  );

  const control = page.u16(at + 8);
  page.line(2, DEVCTL_ERRORS(control));
  // Bit 15 is Bridge Configuration Retry Enable in a bridge to PCI, Initiate FLR in what can do one.
  const last =
    type === PortType.pcieToPciBridge ? 'BrConfRtry' : resettable && (cap >>> 28) & 1 ? 'FLReset' : undefined;
  page.line(3, DEVCTL(control) + (last ? ` ${last}${flag(control, 15)}` : ''));
  page.line(3, DEVCTL_SIZES(control));
  page.line(2, DEVSTA(page.u16(at + 10)));
}

function decodeLink(page: Page, at: number, type: number): void {
  const cap = page.u32(at + 12);
  const aspm = field(cap, 10, 2);
  const exits = [
    ...(aspm & 1 ? [`L0s ${LATENCY_L0S[field(cap, 12, 3)]}`] : []),
    ...(aspm & 2 ? [`L1 ${LATENCY_L1[field(cap, 15, 3)]}`] : []),
  ];
  page.line(2, LNKCAP(cap) + (exits.length ? `, Exit Latency ${exits.join(', ')}` : ''));
  page.line(3, LNKCAP_FLAGS(cap));

  const control = page.u16(at + 16);
  const hasRcb =
    type === PortType.rootPort ||
    type === PortType.endpoint ||
    type === PortType.legacyEndpoint ||
    type === PortType.pcieToPciBridge;
  const rcb = hasRcb ? ` RCB ${control & 8 ? 128 : 64} bytes,` : '';
  page.line(2, `LnkCtl:	ASPM ${ASPM_CONTROL[control & 3]};${rcb}${LNKCTL(control)}`);
  page.line(3, LNKCTL_FLAGS(control));

  const status = page.u16(at + 18);
  const [speed, width] = [field(status, 0, 4), field(status, 4, 6)];
  const speedNote = compareToCapability(type, speed, field(cap, 0, 4));
  const widthNote = compareToCapability(type, width, field(cap, 4, 6));
  page.line(2, `LnkSta:	Speed ${LINK_SPEED[speed] ?? 'unknown'}${speedNote}, Width x${width}${widthNote}`);
  page.line(3, LNKSTA_FLAGS(status));
}

/** A port that faces down is not downgraded: what is below it may simply be slower. */
function compareToCapability(type: number, status: number, capability: number): string {
  if (status > capability) return ' (overdriven)';
  const facesDown = type === PortType.rootPort || type === PortType.downstreamPort || type === PortType.pciToPcieBridge;
  return status === capability || facesDown ? '' : ' (downgraded)';
}

function decodeSlot(page: Page, at: number): void {
  const cap = page.u32(at + 20);
  page.line(2, SLTCAP(cap));
  page.line(3, SLTCAP_NUMBER(cap));
  const control = page.u16(at + 24);
  page.line(2, SLTCTL(control));
  page.line(3, SLTCTL_CONTROL(control));
  const status = page.u16(at + 26);
  page.line(2, SLTSTA(status));
  page.line(3, SLTSTA_CHANGED(status));
}
