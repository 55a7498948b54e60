import { PortType } from '../caps/express-names.ts';
import { bits, hexBits, hexText, reg } from '../layout.ts';
import type { Page } from '../page.ts';

/** Uncorrectable Error Status, Mask and Severity, 32 bit at +4, +8, +0Ch. PCIe 5.0 §7.8.4.2 to §7.8.4.4. */
const UNCORRECTABLE = reg`DLP${4} SDES${5} TLP${12} FCP${13} CmpltTO${14} CmpltAbrt${15} UnxCmplt${16} RxOF${17} MalfTLP${18} ECRC${19} UnsupReq${20} ACSViol${21}`;

/** Correctable Error Status and Mask, 32 bit at +10h, +14h. PCIe 5.0 §7.8.4.5, §7.8.4.6. */
const CORRECTABLE = reg`RxErr${0} BadTLP${6} BadDLLP${7} Rollover${8} Timeout${12} AdvNonFatalErr${13}`;

/** Advanced Error Capabilities and Control, 32 bit at +18h. PCIe 5.0 §7.8.4.7. */
const CONTROL = reg`AERCap:	First Error Pointer: ${hexBits(0, 5, 2)}, ECRCGenCap${5} ECRCGenEn${6} ECRCChkCap${7} ECRCChkEn${8}`;
const CONTROL_HEADERS = reg`MultHdrRecCap${9} MultHdrRecEn${10} TLPPfxPres${11} HdrLogCap${12}`;

/** Root Error Command and Status, 32 bit at +2Ch, +30h; source IDs at +34h. PCIe 5.0 §7.8.4.9 to §7.8.4.11. */
const ROOT_COMMAND = reg`RootCmd: CERptEn${0} NFERptEn${1} FERptEn${2}`;
const ROOT_STATUS = reg`RootSta: CERcvd${0} MultCERcvd${1} UERcvd${2} MultUERcvd${3}`;
const ROOT_STATUS_MESSAGE = reg` FirstFatal${4} NonFatalMsg${5} FatalMsg${6} IntMsg ${bits(27, 5)}`;
const SOURCES = reg`ErrorSrc: ERR_COR: ${hexBits(0, 16, 4)} ERR_FATAL/NONFATAL: ${hexBits(16, 16, 4)}`;

export function decodeAer(page: Page, at: number, portType: number): void {
  page.put('Advanced Error Reporting\n');
  if (!page.has(at + 4, 40)) return;
  page.line(2, `UESta:	${UNCORRECTABLE(page.u32(at + 4))}`);
  page.line(2, `UEMsk:	${UNCORRECTABLE(page.u32(at + 8))}`);
  page.line(2, `UESvrt:	${UNCORRECTABLE(page.u32(at + 12))}`);
  page.line(2, `CESta:	${CORRECTABLE(page.u32(at + 16))}`);
  page.line(2, `CEMsk:	${CORRECTABLE(page.u32(at + 20))}`);
  page.line(2, CONTROL(page.u32(at + 24)));
  page.line(3, CONTROL_HEADERS(page.u32(at + 24)));
  page.line(2, `HeaderLog: ${[28, 32, 36, 40].map((word) => hexText(page.u32(at + word), 8)).join(' ')}`);
  const root = portType === PortType.rootPort || portType === PortType.rootComplexEventCollector;
  if (!root || !page.has(at + 44, 12)) return;
  page.line(2, ROOT_COMMAND(page.u32(at + 44)));
  page.line(2, ROOT_STATUS(page.u32(at + 48)));
  page.line(3, ROOT_STATUS_MESSAGE(page.u32(at + 48)));
  page.line(2, SOURCES(page.u32(at + 52)));
}
