import { hasMemoryBar } from '../bars.ts';
import { coded, field, flag, named, reg } from '../layout.ts';
import type { Page } from '../page.ts';
import {
  COMPLIANCE_PRESET,
  CROSSLINK_RESOLUTION,
  DE_EMPHASIS,
  DOWNSTREAM_COMPONENT,
  EMERGENCY_POWER,
  LINK_SPEED,
  LN_SYSTEM_CLS,
  OBFF_CONTROL,
  OBFF_SUPPORT,
  PortType,
  supportedSpeeds,
  TIMEOUT_RANGES,
  TIMEOUT_VALUE,
  TPH_COMPLETER,
  TRANSMIT_MARGIN,
} from './express-names.ts';

/** Device Capabilities 2, 32 bit at cap+24h. PCIe 5.0 §7.5.3.15. */
const DEVCAP2 = reg`DevCap2: Completion Timeout: ${named(0, 4, TIMEOUT_RANGES)}, TimeoutDis${4} NROPrPrP${10} LTR${11}`;
const DEVCAP2_TAGS = reg` 10BitTagComp${16} 10BitTagReq${17} OBFF ${named(18, 2, OBFF_SUPPORT)}, ExtFmt${20} EETLPPrefix${21}`;
const DEVCAP2_POWER = reg` EmergencyPowerReduction ${named(24, 2, EMERGENCY_POWER)}, EmergencyPowerReductionInit${26}`;
const DEVCAP2_ATOMIC_COMPLETER = reg` 32bit${7} 64bit${8} 128bitCAS${9}`;

/** Device Control 2, 16 bit at cap+28h. PCIe 5.0 §7.5.3.16. */
const DEVCTL2 = reg`DevCtl2: Completion Timeout: ${named(0, 4, TIMEOUT_VALUE)}, TimeoutDis${4} LTR${10} 10BitTagReq${12} OBFF ${named(13, 2, OBFF_CONTROL)},`;

/** Link Capabilities 2, 32 bit at cap+2Ch; Control 2 and Status 2 at cap+30h, cap+32h. PCIe 5.0 §7.5.3.18 to §7.5.3.20. */
const LNKCAP2 = reg`LnkCap2: Supported Link Speeds: ${coded(1, 7, supportedSpeeds)}, Crosslink${8} Retimer${23} 2Retimers${24} DRS${31}`;
const LNKCTL2 = reg`LnkCtl2: Target Link Speed: ${named(0, 4, ['2.5GT/s', ...LINK_SPEED.slice(1)])}, EnterCompliance${4} SpeedDis${5}`;
const LNKCTL2_SELECTABLE = reg`, Selectable De-emphasis: ${named(6, 1, DE_EMPHASIS)}`;
const LNKCTL2_MARGIN = reg` Transmit Margin: ${named(7, 3, TRANSMIT_MARGIN)}, EnterModifiedCompliance${10} ComplianceSOS${11}`;
const LNKCTL2_PRESET = reg` Compliance Preset/De-emphasis: ${named(12, 4, COMPLIANCE_PRESET)}`;
const LNKSTA2 = reg`LnkSta2: Current De-emphasis Level: ${named(0, 1, DE_EMPHASIS)}, EqualizationComplete${1} EqualizationPhase1${2}`;
const LNKSTA2_PHASES = reg` EqualizationPhase2${3} EqualizationPhase3${4} LinkEqualizationRequest${5}`;
const LNKSTA2_RETIMERS = reg` Retimer${6} 2Retimers${7} CrosslinkRes: ${named(8, 2, CROSSLINK_RESOLUTION)}`;

/** The registers that version 2 of the capability adds. */
export function decodeExpress2(page: Page, at: number, type: number, link: boolean): void {
  decodeDevice2(page, at, type);
  if (link) decodeLink2(page, at, type);
}

function decodeDevice2(page: Page, at: number, type: number): void {
  const root = type === PortType.rootPort;
  const routes = root || type === PortType.upstreamPort || type === PortType.downstreamPort;
  const memory = hasMemoryBar(page);

  const cap = page.u32(at + 0x24);
  page.line(2, DEVCAP2(cap));
  const prefixes = field(cap, 21, 1) ? `, MaxEETLPPrefixes ${field(cap, 22, 2) || 4}` : '';
  page.line(3, DEVCAP2_TAGS(cap) + prefixes);
  page.line(3, DEVCAP2_POWER(cap));
  const ari = root || type === PortType.downstreamPort;
  page.line(
    3,
    ` FRS${flag(cap, 31)}` +
      (root ? ` LN System CLS ${LN_SYSTEM_CLS[field(cap, 14, 2)]},` : '') +
      (root || type === PortType.endpoint ? ` ${TPH_COMPLETER[field(cap, 12, 2)]}` : '') +
      (ari ? ` ARIFwd${flag(cap, 5)}` : ''),
  );
  if (routes || memory) {
    const routing = routes ? ` Routing${flag(cap, 6)}` : '';
    page.line(3, ` AtomicOpsCap:${routing}${root || memory ? DEVCAP2_ATOMIC_COMPLETER(cap) : ''}`);
  }

  const control = page.u16(at + 0x28);
  page.line(2, DEVCTL2(control) + (ari ? ` ARIFwd${flag(control, 5)}` : ''));
  const requests =
    root || type === PortType.endpoint || type === PortType.legacyEndpoint || type === PortType.rootComplexEndpoint;
  if (requests || routes) {
    const enable = requests ? ` ReqEn${flag(control, 6)}` : '';
    page.line(3, ` AtomicOpsCtl:${enable}${routes ? ` EgressBlck${flag(control, 7)}` : ''}`);
  }
}

function decodeLink2(page: Page, at: number, type: number): void {
  // Only function 0 of an endpoint's device 0 controls the link; in others these registers are reserved.
  const endpoint = type === PortType.endpoint || type === PortType.legacyEndpoint;
  const controls = !endpoint || (page.bdf & 0xff) === 0;
  const cap = controls ? page.u32(at + 0x2c) : 0;
  if (controls) {
    if (cap) page.line(2, LNKCAP2(cap));
    const control = page.u16(at + 0x30);
    page.line(2, LNKCTL2(control) + (type === PortType.downstreamPort ? LNKCTL2_SELECTABLE(control) : ''));
    page.line(3, LNKCTL2_MARGIN(control));
    page.line(3, LNKCTL2_PRESET(control));
  }

  const status = page.u16(at + 0x32);
  page.line(2, LNKSTA2(status));
  page.line(3, LNKSTA2_PHASES(status));
  const facesDown = type === PortType.rootPort || type === PortType.downstreamPort || type === PortType.pciToPcieBridge;
  if (facesDown && cap >>> 31) {
    page.line(3, `${LNKSTA2_RETIMERS(status)}, DRS${flag(status, 15)}`);
    page.line(3, ` DownstreamComp: ${DOWNSTREAM_COMPONENT[field(status, 12, 3)] ?? 'Reserved'}`);
  } else page.line(3, LNKSTA2_RETIMERS(status));
}
