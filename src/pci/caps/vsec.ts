import { reg, whole } from '../../core/index.ts';
import { type Capability, type CapabilityView, peek } from './capability.ts';
import { CXL_VENDOR, cxlQemu, cxlRegisters } from './cxl.ts';

const HEADER = reg('vsec.header', 4, 4, {
  id: { at: 0, width: 16, access: 'ro' },
  revision: { at: 16, width: 4, access: 'ro' },
  length: { at: 20, width: 12, access: 'ro' },
});

/** Vendor-Specific, PCIe 5.0 §7.9.5: the vendor's own registers are unknown, so read-only. */
export const VSEC: Capability = {
  id: 0x000b,
  extended: true,
  name: 'vsec',
  sizeBytes: (view) => Math.max(8, peek(view, 4, 4) >>> 20),
  registers: () => [HEADER],
};

const DVSEC_HEADER = [
  reg('dvsec.header1', 4, 4, {
    vendor: { at: 0, width: 16, access: 'ro' },
    revision: { at: 16, width: 4, access: 'ro' },
    length: { at: 20, width: 12, access: 'ro' },
  }),
  whole('dvsec.id', 8, 2, 'ro'),
];

const isCxl = (view: CapabilityView) => (peek(view, 4, 4) & 0xffff) === CXL_VENDOR;

/** Designated Vendor-Specific, PCIe 5.0 §7.9.6; the contents belong to the named vendor, of whom CXL is known. */
export const DVSEC: Capability = {
  id: 0x0023,
  extended: true,
  name: 'dvsec',
  sizeBytes: (view) => Math.max(10, peek(view, 4, 4) >>> 20),
  registers: (view) => (isCxl(view) ? [...DVSEC_HEADER, ...cxlRegisters(peek(view, 8, 2))] : DVSEC_HEADER),
  qemu: (view) => (isCxl(view) ? cxlQemu(peek(view, 8, 2)) : {}),
};
