import { type Field, reg } from '../../core/index.ts';
import { type Capability, peek } from './capability.ts';

const BITS = [
  'sourceValidation',
  'translationBlocking',
  'requestRedirect',
  'completionRedirect',
  'upstreamForwarding',
  'egressControl',
  'directTranslated',
  'ioRequestBlocking',
] as const;

const CAPS = reg('acs.caps', 4, 2, {
  ...Object.fromEntries(BITS.map((name, at): [string, Field] => [name, { at, access: 'ro' }])),
  egressVectorSize: { at: 8, width: 8, access: 'ro' },
});

/** Access Control Services, PCIe 5.0 §7.7.8: an enable without its capability bit is hardwired to 0. */
export const ACS: Capability = {
  id: 0x000d,
  extended: true,
  name: 'acs',
  sizeBytes: (view) => {
    const caps = peek(view, 4, 2);
    return caps & 0x20 ? 8 + 4 * Math.ceil((caps >> 8 || 256) / 32) : 8;
  },
  registers: (view) => {
    const caps = peek(view, 4, 2);
    const enables = BITS.map((name, at): [string, Field] => [name, { at, access: (caps >> at) & 1 ? 'rw' : 'ro' }]);
    return [CAPS, reg('acs.ctrl', 6, 2, Object.fromEntries(enables))];
  },
  /** `hw/pci/pcie.c: pcie_acs_init, pcie_acs_reset` */
  qemu: (view) => ({ 'acs.ctrl': { writable: peek(view, 4, 2) & 0x7f, reset: 0xffff } }),
};
