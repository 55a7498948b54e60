import { hex, readLe, toHex } from '../../core/index.ts';
import type { BarSpec } from '../spec.ts';
import { decodeBar } from './bars.ts';
import {
  type CapabilityAt,
  headerLayout,
  type MsiGeometry,
  type MsixGeometry,
  msiGeometry,
  msixGeometry,
  walkCapabilities,
  walkExtendedCapabilities,
} from './capabilities.ts';
import type { ParsedFunction } from './function.ts';
import { type Finding, lintFunction } from './lint/index.ts';
import { capabilityName } from './names.ts';

const LAYOUTS = ['endpoint', 'PCI bridge', 'CardBus bridge'];
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A dumped function in plain values: what `pirqlab clone --json` prints. Offsets and sizes are numbers of bytes. */
export interface FunctionReport {
  slot: string;
  title: string;
  format: ParsedFunction['format'];
  vendorId: number;
  deviceId: number;
  /** Base class << 16 | sub-class << 8 | programming interface. */
  classCode: number;
  revisionId: number;
  headerLayout: number;
  multiFunction: boolean;
  interruptPin: number;
  dumpedBytes: number;
  bars: (BarSpec & { address: string; inferred: boolean })[];
  capabilities: { offset: number; id: number; name: string | null; extended: boolean; version: number }[];
  msi: MsiGeometry | null;
  msix: MsixGeometry | null;
  findings: Finding[];
  /** The dumped bytes as hex. */
  image: string;
}

export function reportFunction(fn: ParsedFunction): FunctionReport {
  const image = fn.dumped;
  return {
    slot: fn.slot,
    title: fn.title,
    format: fn.format,
    vendorId: readLe(image, 0, 2),
    deviceId: readLe(image, 2, 2),
    classCode: readLe(image, 8, 4) >>> 8,
    revisionId: image[8],
    headerLayout: headerLayout(image),
    multiFunction: (image[0x0e] & 0x80) !== 0,
    interruptPin: headerLayout(image) <= 2 ? image[0x3d] : 0,
    dumpedBytes: image.length,
    bars: fn.spec.bars.map((bar) => ({
      ...bar,
      address: hex64(barAddress(image, bar)),
      inferred: bar.inferred ?? false,
    })),
    capabilities: allCapabilities(image).map(({ offset, id, extended, version }) => ({
      offset,
      id,
      name: capabilityName(id, extended) ?? null,
      extended,
      version,
    })),
    msi: msiGeometry(image) ?? null,
    msix: msixGeometry(image) ?? null,
    findings: lintFunction(fn),
    image: toHex(image),
  };
}

/** The same for people, one block of lines. */
export function describeFunction(fn: ParsedFunction): string {
  const report = reportFunction(fn);
  const { slot, title, vendorId, deviceId, classCode, revisionId } = report;
  const id = (value: number) => value.toString(16).padStart(4, '0');
  const lines = [
    `${slot} ${id(vendorId)}:${id(deviceId)} class ${hex(classCode, 6)} rev ${hex(revisionId, 2)}${title ? `  ${title}` : ''}`,
    `  header  ${LAYOUTS[report.headerLayout] ?? `layout ${hex(report.headerLayout, 2)}`}${report.multiFunction ? ', multi-function' : ''}` +
      `${report.interruptPin >= 1 && report.interruptPin <= 4 ? `, INT${' ABCD'[report.interruptPin]}` : ''}, ${report.dumpedBytes} bytes from ${report.format}`,
    ...report.bars.map(
      (bar) =>
        `  ${bar.bar === 6 ? 'ROM   ' : `BAR ${bar.bar} `}  ${bar.kind}${bar.prefetchable ? ' prefetchable' : ''} at ${bar.address}, ${sizeText(bar.sizeBytes)}${bar.inferred ? ' (inferred)' : ''}`,
    ),
    ...report.capabilities.map(
      (c) =>
        `  ${c.extended ? 'ecap' : 'cap '} ${hex(c.offset, c.extended ? 3 : 2)}  ${c.name ?? `ID ${hex(c.id, 2)}, unknown`}${c.extended ? ` v${c.version}` : ''}`,
    ),
    ...(report.msi ? [`  MSI     ${msiText(report.msi)}`] : []),
    ...(report.msix ? [`  MSI-X   ${msixText(report.msix)}`] : []),
    ...report.findings.map((f) => `  ${f.severity} ${hex(f.at, 2)}: ${f.text} [${f.rule}; ${f.source}]`),
  ];
  return `${lines.join('\n')}\n`;
}

function allCapabilities(image: Uint8Array): CapabilityAt[] {
  return [...walkCapabilities(image).capabilities, ...walkExtendedCapabilities(image).capabilities];
}

function barAddress(image: Uint8Array, { bar }: BarSpec): bigint {
  const layout = headerLayout(image);
  if (bar === 6) return BigInt((readLe(image, layout === 1 ? 0x38 : 0x30, 4) & 0xfffff800) >>> 0);
  return decodeBar(image, bar, layout === 0 ? 6 : layout === 1 ? 2 : 1)?.address ?? 0n;
}

function hex64(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function sizeText(bytes: number): string {
  let unit = 0;
  let size = bytes;
  while (size % 1024 === 0 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size} ${UNITS[unit]}`;
}

function msiText(m: MsiGeometry): string {
  const address = m.is64 ? '64-bit' : '32-bit';
  return `${m.granted} of ${m.offered} messages, ${address}, ${m.maskable ? 'maskable' : 'not maskable'}, ${onOff(m.enabled)}`;
}

function msixText(m: MsixGeometry): string {
  const table = `table BAR ${m.tableBar} + ${hex(m.tableOffset)} (${m.tableBytes} bytes)`;
  const pba = `PBA BAR ${m.pbaBar} + ${hex(m.pbaOffset)} (${m.pbaBytes} bytes)`;
  return `${m.vectors} vectors, ${table}, ${pba}, ${onOff(m.enabled)}${m.functionMask ? ', function masked' : ''}`;
}

function onOff(enabled: boolean): string {
  return enabled ? 'enabled' : 'disabled';
}
