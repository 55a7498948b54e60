import { bits, field, flag, hexBits, hexText, hexText64, reg } from '../layout.ts';
import type { Page } from '../page.ts';

/** What the DVSEC header says. */
export interface CxlHeader {
  id: number;
  revision: number;
  length: number;
}

type CxlDecoder = (page: Page, at: number, header: CxlHeader) => void;

/** By DVSEC ID. CXL 3.0 §8.1.1 table 8-2. */
const DECODERS: Record<number, CxlDecoder> = {
  0: decodeDevice,
  2: decodeFunctionMap,
  3: decodePort,
  4: decodeGpfPort,
  5: decodeGpfDevice,
  7: decodeFlexBus,
  8: decodeRegisterLocator,
  9: decodeMld,
};

/** Prints the registers of a CXL DVSEC all of whose bytes are there. */
export function decodeCxl(page: Page, at: number, header: CxlHeader): void {
  const decoder = DECODERS[header.id];
  if (decoder) decoder(page, at, header);
  else page.line(2, `Unknown ID ${hexText(header.id, 4)}`);
}

/** A register that may lie beyond a DVSEC shorter than its ID asks for reads as zero beyond the dump. */
function word(page: Page, at: number): number {
  return page.has(at, 2) ? page.u16(at) : 0;
}

function dword(page: Page, at: number): number {
  return page.has(at, 4) ? page.u32(at) : 0;
}

/** CXL 3.0 §8.1.3: DVSEC for devices. */
const DEVICE_CAP = reg`CXLCap:	Cache${0} IO${1} Mem${2} Mem HW Init${3} HDMCount ${bits(4, 2)} Viral${14}`;
const DEVICE_CTL = reg`CXLCtl:	Cache${0} IO${1} Mem${2} Cache SF Cov ${bits(3, 5)} Cache SF Gran ${bits(8, 3)} Cache Clean${11} Viral${14}`;
const DEVICE_STATUS = reg`CXLSta:	Viral${14}`;
const DEVICE_STATUS2 = reg`CXLSta2:	ResetComplete${1} ResetError${2} PMComplete${15}`;
const DEVICE_LENGTH = 0x38;

function decodeDevice(page: Page, at: number, { revision, length }: CxlHeader): void {
  if (length < DEVICE_LENGTH || revision < 1) return;
  page.line(2, DEVICE_CAP(page.u16(at + 0x0a)));
  page.line(2, DEVICE_CTL(page.u16(at + 0x0c)));
  page.line(2, DEVICE_STATUS(page.u16(at + 0x0e)));
  page.line(2, DEVICE_STATUS2(page.u16(at + 0x12)));
  const cap2 = page.u16(at + 0x16);
  const [unit, size] = [field(cap2, 0, 4), field(cap2, 8, 8)];
  if (unit === 0) page.line(2, 'Cache Size Not Reported');
  else if (unit <= 2) page.line(2, `Cache Size: ${hexText(size * (unit === 1 ? 0x10000 : 0x100000), 8)}`);
  else page.line(2, `Cache Size: ${size} of unknown unit size (${unit})`);
  decodeRange(page, at + 0x18, 1);
  decodeRange(page, at + 0x28, 2);
}

const RANGE_TYPES = ['Volatile', 'Non-volatile', 'CDAT'];
const RANGE_CLASSES = ['DRAM', 'Storage', 'CDAT'];
const INTERLEAVE = [0, 256, 4096, 512, 1024, 2048, 8192, 16384];

/** Size high and low, base high and low. */
function decodeRange(page: Page, at: number, number: number): void {
  const flags = page.u32(at + 4);
  const size = (BigInt(page.u32(at)) << 32n) | BigInt((flags & 0xf0000000) >>> 0);
  const base = (BigInt(page.u32(at + 8)) << 32n) | BigInt(page.u32(at + 12));
  const digits = (value: bigint) => BigInt.asUintN(64, value).toString(16).padStart(16, '0');
  page.line(2, `Range${number}: ${digits(base)}-${digits(base + size - 1n)}`);
  const [type, media] = [field(flags, 2, 3), field(flags, 5, 3)];
  // lspci indexes beyond its tables for the reserved encodings; they print by number here.
  page.line(
    3,
    `Valid${flag(flags, 0)} Active${flag(flags, 1)} Type=${RANGE_TYPES[type] ?? `??${type}`} ` +
      `Class=${RANGE_CLASSES[media] ?? `??${media}`} interleave=${INTERLEAVE[field(flags, 8, 5)] ?? `??${field(flags, 8, 5)}`} ` +
      `timeout=${1 << (field(flags, 13, 3) * 2)}s`,
  );
}

/** CXL 3.0 §8.1.4: Non-CXL Function Map. lspci prints the low half of each register. */
function decodeFunctionMap(page: Page, at: number): void {
  for (let map = 0; map < 8; map++) page.line(2, `FuncMap ${map}: ${hexText(word(page, at + 0x0c + 4 * map), 8)}`);
}

/** CXL 3.0 §8.1.5: Extensions DVSEC for Ports. */
const PORT_CTL = reg`CXLPortCtl:	UnmaskSBR${0} UnmaskLinkDisable${1} AltMem${2} AltBME${3} ViralEnable${14}`;
const PORT_LENGTH = 0x28;

function decodePort(page: Page, at: number, { length }: CxlHeader): void {
  if (length < PORT_LENGTH) return;
  // lspci 3.9.0 tests the status by its register offset (0Ah) instead of bit 0.
  page.line(2, `CXLPortSta:	PMComplete${page.u16(at + 0x0a) & 0x0a ? '+' : '-'}`);
  page.line(2, PORT_CTL(page.u16(at + 0x0c)));
  page.line(2, `AlternateBus:	${hexText(page.u8(at + 0x0e), 2)}-${hexText(page.u8(at + 0x0f), 2)}`);
  page.line(2, `AlternateBus:	${hexText(page.u16(at + 0x10), 4)}-${hexText(page.u16(at + 0x12), 4)}`);
}

/** CXL 3.0 §8.1.6, §8.1.7: Global Persistent Flush. Base 3:0 times 1, 10 or 100 of the unit that the scale 11:8 names. */
const GPF_UNITS = ['us', 'us', 'us', 'ms', 'ms', 'ms', 's', 's'];
const GPF_RESERVED_UNIT = '<?>';

function decodeGpfTime(page: Page, value: number, name: string): void {
  const [base, scale] = [field(value, 0, 4), field(value, 8, 4)];
  if (scale >= GPF_UNITS.length) page.line(2, `Reserved time scale encoding ${hexText(scale, 1)}`);
  const factor = scale < GPF_UNITS.length ? 10 ** (scale % 3) : 1;
  // lspci has no unit for ten seconds.
  const unit = scale >= 7 ? GPF_RESERVED_UNIT : GPF_UNITS[scale];
  page.line(2, `${name}: ${base * factor}${unit}`);
}

function decodeGpfPort(page: Page, at: number): void {
  decodeGpfTime(page, page.u16(at + 0x0c), 'GPF Phase 1 Timeout');
  decodeGpfTime(page, page.u16(at + 0x0e), 'GPF Phase 2 Timeout');
}

function decodeGpfDevice(page: Page, at: number): void {
  decodeGpfTime(page, page.u16(at + 0x0a), 'GPF Phase 2 Duration');
  page.line(2, `GPF Phase 2 Power: ${page.u32(at + 0x0c)}mW`);
}

/** CXL 3.0 §8.2.1.3: Flex Bus Port. */
const FLEX_CAP = reg`FBCap:	Cache${0} IO${1} Mem${2} 68BFlit${5} MltLogDev${6}`;
const FLEX_CTL = reg`FBCtl:	Cache${0} IO${1} Mem${2} SynHdrByp${3} DrftBuf${4} 68BFlit${5} MltLogDev${6} RCD${7} Retimer1${8} Retimer2${9}`;
const FLEX_STATUS = reg`FBSta:	Cache${0} IO${1} Mem${2} SynHdrByp${3} DrftBuf${4} 68BFlit${5} MltLogDev${6}`;
const FLEX_FLITS = reg` 256BFlit${13} PBRFlit${14}`;
const FLEX_RECEIVED = reg`FBModTS:	Received FB Data: ${hexBits(0, 24, 6)}`;

function decodeFlexBus(page: Page, at: number, { revision }: CxlHeader): void {
  if (revision < 1) {
    page.line(2, `Revision ${revision} not supported`);
    return;
  }
  const flits = (value: number) => (revision > 1 ? FLEX_FLITS(value) : '');
  const [cap, control, status] = [page.u16(at + 0x0a), page.u16(at + 0x0c), page.u16(at + 0x0e)];
  page.line(2, FLEX_CAP(cap) + flits(cap));
  page.line(2, FLEX_CTL(control) + flits(control));
  page.line(2, FLEX_STATUS(status) + flits(status));
  page.line(2, FLEX_RECEIVED(dword(page, at + 0x10)));
  if (revision < 2) return;
  page.line(2, `FBCap2:	NOPHint${flag(dword(page, at + 0x14), 0)}`);
  page.line(2, `FBCtl2:	NOPHint${flag(dword(page, at + 0x18), 0)}`);
  page.line(2, `FBSta2:	NOPHintInfo: ${hexText(field(dword(page, at + 0x1c), 0, 2), 1)}`);
}

/** CXL 3.0 §8.1.9: Register Locator, 8-byte blocks from +0Ch to the end. */
const BLOCKS = ['empty', 'component registers', 'BAR virtualization', 'CXL device registers', 'CPMU registers'];

function decodeRegisterLocator(page: Page, at: number, { length }: CxlHeader): void {
  for (let block = 0; 0x0c + 8 * block + 7 < length; block++) {
    const [low, high] = [page.u32(at + 0x0c + 8 * block), page.u32(at + 0x10 + 8 * block)];
    const id = field(low, 8, 8);
    if (id === 0) continue;
    const name = BLOCKS[id] ?? (id === 0xff ? 'vendor-specific' : '<?>');
    const offset = hexText64(high, low & 0xffff0000);
    page.line(2, `Block${block + 1}: BIR: bar${field(low, 0, 3)}, ID: ${name}, offset: ${offset}`);
  }
}

/** CXL 3.0 §8.1.10: logical devices of an MLD, 1 to 16. */
function decodeMld(page: Page, at: number): void {
  const count = page.u16(at + 0x0a);
  if (count >= 1 && count <= 16) page.line(2, `NumLogDevs: ${count}`);
}
