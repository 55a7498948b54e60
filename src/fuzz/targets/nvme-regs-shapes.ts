import { writeLe } from '../../core/index.ts';
import { createNvmeFunction, type NvmeOptions } from '../../pci/devices/nvme/index.ts';
import { builtinDump, parseDump } from '../../pci/dump/index.ts';
import type { EmulatedFunction, FunctionSpec } from '../../pci/index.ts';
import { type Access, KIND, NOT_APPLICABLE, REGION } from '../access.ts';

/** How interrupts are signalled when inputs begin; `off`: everything is as after power-on. */
export type Start = 'off' | 'intx' | 'msi' | 'msix';

/** One kind of subject. */
export interface NvmeVariant {
  name: string;
  start: Start;
  /** MSI-X entries of a made-up function, or a drive to clone. */
  vectors?: number;
  drive?: string;
  shape: NvmeOptions & { queuePairs: number };
  blockSizeLog2: number;
  blockCount: number;
  /** Entries of the queues that exist at the start. */
  adminEntries: number;
  ioEntries: number;
}

const small = (queuePairs: number, more: NvmeOptions = {}) => ({
  queuePairs,
  maxQueueEntries: 8,
  mdts: 2,
  mpsMax: 1,
  asyncEventRequests: 2,
  errorLogEntries: 3,
  ...more,
});
const blocks = { blockSizeLog2: 9, blockCount: 32 };
const queues = { adminEntries: 4, ioEntries: 3 };

export const NVME_VARIANTS: readonly NvmeVariant[] = [
  { name: 'from power-on', start: 'off', vectors: 3, shape: small(2), ...blocks, ...queues },
  { name: 'running, MSI-X', start: 'msix', vectors: 3, shape: small(2), ...blocks, ...queues },
  { name: 'running, pin', start: 'intx', vectors: 3, shape: small(2), ...blocks, ...queues },
  { name: 'running, MSI', start: 'msi', vectors: 3, shape: small(3), ...blocks, ...queues },
  {
    name: 'running, MSI-X, queues of two entries',
    start: 'msix',
    vectors: 5,
    shape: small(4, { doorbellStride: 1 }),
    ...blocks,
    adminEntries: 3,
    ioEntries: 2,
  },
  {
    name: 'running, pin, blocks of 4 KiB',
    start: 'intx',
    vectors: 2,
    shape: small(1, { doorbellStride: 2, mdts: 3 }),
    blockSizeLog2: 12,
    blockCount: 6,
    adminEntries: 5,
    ioEntries: 5,
  },
  { name: 'a cloned drive, from power-on', start: 'off', drive: '144d-a826', shape: small(3), ...blocks, ...queues },
  { name: 'a cloned drive, running', start: 'msix', drive: '8086-0953', shape: small(3), ...blocks, ...queues },
];

/** The function that a variant is made from. */
export function variantSpec({ vectors, drive, shape }: NvmeVariant): FunctionSpec {
  if (drive !== undefined) return parseDump(builtinDump(drive))[0].spec;
  const { name, bdf, layout } = createNvmeFunction({ ...shape, vectors: vectors ?? 1 });
  return { name, bdf, image: layout.image.slice(), bars: [...layout.bars] };
}

export const PAGE = 0x1000;
export const MEMORY_BYTES = 16 * PAGE;
/** Pages that a well-behaved host uses: queues by identifier, data, and lists. */
export const sqPage = (id: number) => (1 + 2 * id) * PAGE;
export const cqPage = (id: number) => (2 + 2 * id) * PAGE;
export const DATA_PAGES = [9, 10, 11, 12, 13] as const;
export const LIST_PAGE = 14 * PAGE;
export const ENABLED = 0x0046_0001;

export function access(
  kind: number,
  region: number,
  width: number,
  bdf: number,
  offset: number,
  value: number,
): Access {
  return { kind, region, width, function: bdf, offset, value: value >>> 0, data: undefined };
}

export function store(bdf: number, address: number, data: Uint8Array): Access {
  const na = NOT_APPLICABLE;
  return { kind: KIND.dmaWrite, region: na, width: na, function: bdf, offset: address, value: data.length, data };
}

/** A command of 64 bytes from its dwords that are not 0. */
export function command(dwords: Record<number, number>): Uint8Array {
  const bytes = new Uint8Array(64);
  for (let n = 0; n < 16; n++) if (dwords[n]) writeLe(bytes, 4 * n, 4, dwords[n]);
  return bytes;
}

/** What a driver does until its I/O queues exist: interrupts, admin queues, enable, a pair of queues for each identifier. */
export function preparation(fn: EmulatedFunction, v: NvmeVariant): Access[] {
  if (v.start === 'off') return [];
  const steps: Access[] = [];
  const config = (at: number, width: number, value: number) =>
    steps.push(access(KIND.write, REGION.config, width, fn.bdf, at, value));
  const bar = (at: number, value: number) => steps.push(access(KIND.write, 0, 4, fn.bdf, at, value));
  config(4, 2, 0x0006);
  if (v.start === 'msix') enableMsix(fn, bar, config, v.shape.queuePairs + 1);
  if (v.start === 'msi') enableMsi(fn, config);
  const entries = v.adminEntries;
  bar(0x24, (entries - 1) * 0x1_0001);
  bar(0x28, sqPage(0));
  bar(0x30, cqPage(0));
  bar(0x14, ENABLED);
  const doorbell = 4 << (v.shape.doorbellStride ?? 0);
  let at = 0;
  const admin = (dwords: Record<number, number>) => {
    steps.push(store(fn.bdf, sqPage(0) + 64 * at, command({ ...dwords, 0: dwords[0] | (at << 16) })));
    at = (at + 1) % entries;
    bar(0x1000, at);
    bar(0x1000 + doorbell, at);
  };
  for (let id = 1; id <= Math.min(v.shape.queuePairs, 3); id++) {
    const size = (v.ioEntries - 1) << 16;
    admin({ 0: 5, 6: cqPage(id), 10: id | size, 11: 3 | ((v.start === 'intx' ? 0 : id) << 16) });
    admin({ 0: 1, 6: sqPage(id), 10: id | size, 11: 1 | (id << 16) });
  }
  return steps;
}

type Write = (at: number, value: number) => void;

function enableMsix(
  { msix }: EmulatedFunction,
  bar: Write,
  config: (at: number, width: number, value: number) => void,
  vectors: number,
): void {
  for (let v = 0; v < Math.min(vectors, msix!.count); v++) {
    bar(msix!.tableOffset + 16 * v, 0xfee0_0000);
    bar(msix!.tableOffset + 16 * v + 8, 0x40 + v);
    bar(msix!.tableOffset + 16 * v + 12, 0);
  }
  config(msix!.at + 2, 2, 0x8000);
}

function enableMsi({ msi }: EmulatedFunction, config: (at: number, width: number, value: number) => void): void {
  config(msi!.at + 4, 4, 0xfee0_0000);
  config(msi!.at + 12, 2, 0x40);
  config(msi!.at + 2, 2, 0x0021);
}
