import { UsageError, writeLe } from '../../../core/index.ts';
import type { BarSpec, FunctionSpec } from '../../spec.ts';
import type { NvmeShape } from './options.ts';
import { DOORBELLS } from './registers.ts';

/** What the configuration space of a controller made from options says of it. */
export interface NvmeIdentity {
  name: string;
  bdf: number;
  /** MSI-X table entries, 1 … 2048. */
  vectors: number;
  vendorId: number;
  deviceId: number;
  subsystemVendorId: number;
  subsystemId: number;
}

const PM = 0x40;
const MSI = 0x50;
const EXPRESS = 0x70;
const MSIX = 0xb0;
const AER = 0x100;

const align = (value: number, to: number) => Math.ceil(value / to) * to;

/** Bytes of doorbells of so many I/O queue pairs and the admin pair. NVMe 1.4 §3.1.24. */
export function doorbellBytes(shape: NvmeShape): number {
  return (shape.queuePairs + 1) * 2 * (4 << shape.doorbellStride);
}

/**
 * An NVMe function of 4096 bytes of configuration space: one 64-bit BAR with the registers, the MSI-X table and the
 * PBA each from a page boundary on, power management, 32 maskable MSI messages, PCI Express endpoint with Function
 * Level Reset, Advanced Error Reporting. PCIe 5.0 §7.5, §7.7, §7.8.4; class code NVMe 1.4 §2.1.5.
 */
export function nvmeSpec(id: NvmeIdentity, shape: NvmeShape): FunctionSpec {
  if (!Number.isInteger(id.vectors) || id.vectors < 1 || id.vectors > 2048)
    throw new UsageError(`NVMe option vectors is ${id.vectors}; it takes a whole number from 1 to 2048`);
  const table = align(DOORBELLS + doorbellBytes(shape), 0x1000);
  const pba = align(table + 16 * id.vectors, 0x1000);
  const end = pba + 8 * Math.ceil(id.vectors / 64);
  const bar: BarSpec = { bar: 0, kind: 'mem64', sizeBytes: 2 ** Math.ceil(Math.log2(Math.max(end, 0x4000))) };
  const image = new Uint8Array(4096);
  const put = (at: number, ...dwords: number[]) => {
    dwords.forEach((value, i) => void writeLe(image, at + 4 * i, 4, value));
  };
  put(0x00, id.vendorId | (id.deviceId << 16), 0x0010 << 16, 0x01080201);
  put(0x10, 0x00000004);
  put(0x2c, id.subsystemVendorId | (id.subsystemId << 16));
  put(0x34, PM);
  put(0x3c, 0x0100); // INTA#
  put(PM, 0x01 | (MSI << 8) | (3 << 16), 0x0008); // version 3, No_Soft_Reset
  put(MSI, 0x05 | (EXPRESS << 8) | (0x018a << 16)); // 32 messages, 64-bit, per-vector masking
  put(EXPRESS, 0x10 | (MSIX << 8) | (0x0002 << 16), 0x10008001, 0x00002810); // endpoint, FLR, 256-byte payload
  put(EXPRESS + 0x0c, 0x00000c43, 0x10430000); // 8 GT/s × 4
  put(EXPRESS + 0x24, 0x0000001f);
  put(EXPRESS + 0x2c, 0x0000000e, 0x00000003);
  put(MSIX, 0x11 | ((id.vectors - 1) << 16), table, pba);
  put(AER, 0x00020001);
  put(AER + 0x08, 0x04400000); // internal errors and poisoned TLPs blocked at egress are masked, as after any reset
  put(AER + 0x0c, 0x00462030); // default severity of uncorrectable errors
  put(AER + 0x14, 0x0000e000); // Advisory Non-Fatal, internal errors and log overflow are masked
  return { name: id.name, bdf: id.bdf, image, bars: [bar] };
}
