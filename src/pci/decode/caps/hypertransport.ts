import { bits, field, flag, hexBits, hexText, hexText64, named, reg } from '../layout.ts';
import type { Page } from '../page.ts';

/** Link registers. HyperTransport 3.10 §7.5.4 to §7.5.9; revisions below 1.02 (22h) lack the later ones. */
const WITH_FREQUENCIES = 0x22;
const FIRST_KNOWN_OLD = 0x11;
const WIDTHS = ['8bit', '16bit', '[2]', '32bit', '2bit', '4bit', '[6]', 'N/C'];
const FREQUENCIES = [
  ...['200MHz', '300MHz', '400MHz', '500MHz', '600MHz', '800MHz', '1.0GHz', '1.2GHz', '1.4GHz', '1.6GHz'],
  ...['[a]', '[b]', '[c]', '[d]', '[e]', 'Vend'],
];

const PRIMARY_COMMAND = reg`Command: BaseUnitID=${bits(0, 5)} UnitCnt=${bits(5, 5)} MastHost${10} DefDir${11}`;
const SECONDARY_COMMAND = reg`Command: WarmRst${0} DblEnd${1}`;
const SECONDARY_COMMAND_22 = reg` DevNum=${bits(2, 5)} ChainSide${7} HostHide${8} Slave${10} <EOCErr${11} DUL${12}`;
const LINK_CONTROL = reg`CFlE${1} CST${2} CFE${3} <LkFail${4} Init${5} EOC${6} TXO${7} <CRCErr=${hexBits(8, 4, 1)}`;
const LINK_CONTROL_22 = reg` IsocEn${12} LSEn${13} ExtCTL${14} 64b${15}`;
const LINK_CONFIG = reg`MLWI=${named(0, 3, WIDTHS)} MLWO=${named(4, 3, WIDTHS)} LWI=${named(8, 3, WIDTHS)} LWO=${named(12, 3, WIDTHS)}`;
const LINK_CONFIG_22 = reg`MLWI=${named(0, 3, WIDTHS)} DwFcIn${3} MLWO=${named(4, 3, WIDTHS)} DwFcOut${7} LWI=${named(8, 3, WIDTHS)} DwFcInEn${11} LWO=${named(12, 3, WIDTHS)} DwFcOutEn${15}`;
const LINK_FREQUENCY = named(0, 4, FREQUENCIES);
const LINK_ERROR = reg`<Prot${4} <Ovfl${5} <EOC${6} CTLTm${7}`;
const FREQUENCY_CAPABILITY = reg`200MHz${0} 300MHz${1} 400MHz${2} 500MHz${3} 600MHz${4} 800MHz${5} 1.0GHz${6} 1.2GHz${7} 1.4GHz${8} 1.6GHz${9} Vend${15}`;
const FEATURES = reg`Feature Capability: IsocFC${0} LDTSTOP${1} CRCTM${2} ECTLT${3} 64bA${4} UIDRD${5}`;
const SECONDARY_FEATURES = reg` ExtRS${8} UCnfE${9}`;
const ERRORS = reg`Error Handling: PFlE${0} OFlE${1} PFE${2} OFE${3} EOCFE${4} RFE${5} CRCFE${6} SERRFE${7} CF${8} RE${9} PNFE${10} ONFE${11} EOCNFE${12} RNFE${13} CRCNFE${14} SERRNFE${15}`;
const REVISION = reg`Revision ID: ${bits(5, 3)}.${(value) => String(field(value, 0, 5)).padStart(2, '0')}`;

/** Capability types that have five bits (15:11) and no registers that are printed. */
const TYPES: Record<number, string> = {
  8: 'Switch',
  16: 'Interrupt Discovery and Configuration',
  18: 'UnitID Clumping',
  19: 'Extended Configuration Space Access',
  20: 'Address Mapping',
  22: 'DirectRoute',
  23: 'VCSet',
  24: 'Retry Mode',
  25: 'X86 (reserved)',
};
const REVISION_TYPE = 0x11;
const MSI_MAPPING = 0x15;

export function decodeHyperTransport(page: Page, at: number, control: number): void {
  page.put('HyperTransport: ');
  const type = field(control, 11, 5);
  // The two interfaces have three bits of type (15:13), all others five.
  if (type >> 2 === 0) decodePrimary(page, at, control);
  else if (type >> 2 === 1) decodeSecondary(page, at, control);
  else if (type === REVISION_TYPE) page.put(`${REVISION(control)}\n`);
  else if (type === MSI_MAPPING) {
    page.put(`MSI Mapping Enable${flag(control, 0)} Fixed${flag(control, 1)}\n`);
    if (control & 2 || !page.has(at + 4, 8)) return;
    page.line(2, `Mapping Address Base: ${hexText64(page.u32(at + 8), page.u32(at + 4) & 0xfff00000)}`);
  } else page.put(`${TYPES[type] ?? `#${hexText(type, 2)}`}\n`);
}

/** A link's control and configuration, 16 bit each from `at`. */
function decodeLink(page: Page, at: number, suffix: string, later: boolean): void {
  const [control, config] = [page.u16(at), page.u16(at + 2)];
  page.line(2, `Link Control${suffix}: ${LINK_CONTROL(control)}${later ? LINK_CONTROL_22(control) : ''}`);
  page.line(2, `Link Config${suffix}: ${(later ? LINK_CONFIG_22 : LINK_CONFIG)(config)}`);
}

/** A link's frequency and error byte at `at`, its frequency capability behind it. */
function decodeFrequency(page: Page, at: number, suffix: string): void {
  page.line(2, `Link Frequency${suffix}: ${LINK_FREQUENCY(page.u8(at))}`);
  page.line(2, `Link Error${suffix}: ${LINK_ERROR(page.u8(at))}`);
  // lspci reads one byte of this word, so its upper flags always print as clear.
  page.line(2, `Link Frequency Capability${suffix}: ${FREQUENCY_CAPABILITY(page.u8(at + 1))}`);
}

function decodePrefetchableUpper(page: Page, at: number): void {
  const [base, limit] = [page.u8(at), page.u8(at + 1)];
  page.line(2, `Prefetchable memory behind bridge Upper: ${hexText(base, 2)}-${hexText(limit, 2)}`);
}

function decodePrimary(page: Page, at: number, control: number): void {
  page.put('Slave or Primary Interface\n');
  if (!page.has(at + 4, 24)) return;
  const revision = page.u8(at + 12);
  const later = revision >= WITH_FREQUENCIES;
  if (!later && revision > FIRST_KNOWN_OLD) page.line(2, '!!! Possibly incomplete decoding');
  page.line(2, PRIMARY_COMMAND(control) + (later ? ` DUL${flag(control, 12)}` : ''));
  decodeLink(page, at + 4, ' 0', later);
  decodeLink(page, at + 8, ' 1', later);
  page.line(2, REVISION(revision));
  if (!later) return;
  decodeFrequency(page, at + 13, ' 0');
  page.line(2, FEATURES(page.u8(at + 16)));
  decodeFrequency(page, at + 17, ' 1');
  page.line(2, ERRORS(page.u16(at + 22)));
  decodePrefetchableUpper(page, at + 24);
  page.line(2, `Bus Number: ${hexText(page.u8(at + 26), 2)}`);
}

function decodeSecondary(page: Page, at: number, control: number): void {
  page.put('Host or Secondary Interface\n');
  if (!page.has(at + 4, 20)) return;
  const revision = page.u8(at + 8);
  const later = revision >= WITH_FREQUENCIES;
  if (!later && revision > FIRST_KNOWN_OLD) page.line(2, '!!! Possibly incomplete decoding');
  page.line(2, SECONDARY_COMMAND(control) + (later ? SECONDARY_COMMAND_22(control) : ''));
  decodeLink(page, at + 4, '', later);
  page.line(2, REVISION(revision));
  if (!later) return;
  decodeFrequency(page, at + 9, '');
  const features = page.u16(at + 12);
  page.line(2, FEATURES(features) + SECONDARY_FEATURES(features));
  if (!(features & 0x100)) return;
  page.line(2, ERRORS(page.u16(at + 18)));
  decodePrefetchableUpper(page, at + 20);
}
