import { type Register, reg, whole } from '../../core/index.ts';
import type { QemuRule } from './capability.ts';

/** DVSEC vendor of the CXL consortium, CXL 2.0 §8.1.1. */
export const CXL_VENDOR = 0x1e98;

const window = (name: string, offset: number) => reg(name, offset, 2, { address: { at: 4, width: 12, access: 'rw' } });

/** CXL Extensions for Ports, DVSEC id 3, CXL 2.0 §8.1.5. */
const PORT_EXTENSIONS: readonly Register[] = [
  reg('cxl.portStatus', 0x0a, 2, {
    powerManagementInit: { at: 0, access: 'ro' },
    viral: { at: 14, access: 'ro' },
  }),
  reg('cxl.portControl', 0x0c, 2, {
    unmaskSbr: { at: 0, access: 'rw' },
    unmaskLinkDisable: { at: 1, access: 'rw' },
    alternateMemory: { at: 2, access: 'rw' },
    alternateBusMaster: { at: 3, access: 'rw' },
    viral: { at: 14, access: 'rw' },
  }),
  whole('cxl.alternateBusBase', 0x0e, 1, 'rw'),
  whole('cxl.alternateBusLimit', 0x0f, 1, 'rw'),
  window('cxl.alternateMemoryBase', 0x10),
  window('cxl.alternateMemoryLimit', 0x12),
  window('cxl.alternatePrefetchBase', 0x14),
  window('cxl.alternatePrefetchLimit', 0x16),
  whole('cxl.alternatePrefetchBaseUpper', 0x18, 4, 'rw'),
  whole('cxl.alternatePrefetchLimitUpper', 0x1c, 4, 'rw'),
  whole('cxl.rcrbBase', 0x20, 4, 'ro'),
  whole('cxl.rcrbBaseUpper', 0x24, 4, 'ro'),
];

const timeout = (name: string, offset: number) =>
  reg(name, offset, 2, {
    base: { at: 0, width: 4, access: 'rw' },
    scale: { at: 8, width: 4, access: 'rw' },
  });

/** Global Persistent Flush for Ports, DVSEC id 4, §8.1.6. */
const PERSISTENT_FLUSH: readonly Register[] = [timeout('cxl.flushPhase1', 0x0c), timeout('cxl.flushPhase2', 0x0e)];

/** Flex Bus Port, DVSEC id 7, §8.2.1.3. CXL.io cannot be disabled. */
const FLEX_BUS: readonly Register[] = [
  whole('cxl.flexBusCaps', 0x0a, 2, 'ro'),
  reg('cxl.flexBusControl', 0x0c, 2, {
    cache: { at: 0, access: 'rw' },
    io: { at: 1, access: 'ro' },
    mem: { at: 2, access: 'rw' },
    syncHeaderBypass: { at: 3, access: 'rw' },
    driftBuffer: { at: 4, access: 'rw' },
    flit68: { at: 5, access: 'rw' },
    retimer1: { at: 7, access: 'rw' },
  }),
  whole('cxl.flexBusStatus', 0x0e, 2, 'ro'),
];

/** The registers of a CXL DVSEC that are known; others, such as the register locator, are read-only. */
export function cxlRegisters(id: number): readonly Register[] {
  return id === 3 ? PORT_EXTENSIONS : id === 4 ? PERSISTENT_FLUSH : id === 7 ? FLEX_BUS : [];
}

/** QEMU 7.2 follows them (`hw/cxl/cxl-component-utils.c: cxl_component_create_dvsec`), and its reset leaves them. */
export function cxlQemu(id: number): Record<string, QemuRule> {
  return Object.fromEntries(cxlRegisters(id).map((r): [string, QemuRule] => [r.name, { writable: r.writable }]));
}
