import { type Register, reg, whole } from '../../core/index.ts';
import { type Capability, type CapabilityView, peek } from './capability.ts';

/** PCI Power Management 1.2 §3.2.3, PCIe 5.0 §7.5.2.1. */
const PMC = reg('pm.pmc', 2, 2, {
  version: { at: 0, width: 3, access: 'ro' },
  pmeClock: { at: 3, access: 'ro' },
  immediateReadiness: { at: 4, access: 'ro' },
  dsi: { at: 5, access: 'ro' },
  auxCurrent: { at: 6, width: 3, access: 'ro' },
  d1: { at: 9, access: 'ro' },
  d2: { at: 10, access: 'ro' },
  pmeSupport: { at: 11, width: 5, access: 'ro' },
});

/** PMCSR with PME (§7.5.2.2); without PME support its enable and status bits are read-only zero. */
function pmcsr(pme: boolean, data: boolean): Register {
  return reg('pm.pmcsr', 4, 2, {
    powerState: { at: 0, width: 2, access: 'rw' },
    noSoftReset: { at: 3, access: 'ro' },
    pmeEnable: { at: 8, access: pme ? 'rw' : 'ro', sticky: true },
    dataSelect: { at: 9, width: 4, access: data ? 'rw' : 'ro' },
    dataScale: { at: 13, width: 2, access: 'ro' },
    pmeStatus: { at: 15, access: pme ? 'rw1c' : 'ro', sticky: true },
  });
}

const WITHOUT_PME = pmcsr(false, false);
const WITH_PME = pmcsr(true, false);
const BSE = reg('pm.bse', 6, 1, {
  b2b3: { at: 6, access: 'ro' },
  bpccEnable: { at: 7, access: 'ro' },
});

const pmeSupport = (view: CapabilityView) => peek(view, 2, 2) >>> 11;

export const PM: Capability = {
  id: 0x01,
  name: 'pm',
  sizeBytes: () => 8,
  registers: (view) => [PMC, pmeSupport(view) ? WITH_PME : WITHOUT_PME, BSE, whole('pm.data', 7, 1, 'ro')],
  /**
   * Deviation: the core keeps PMCSR read-only and acts on nothing in it; express endpoints open the power state
   * (`hw/nvme/ctrl.c: nvme_add_pm_capability`, `hw/virtio/virtio-pci.c`, `hw/net/e1000e.c: e1000e_add_pm_capability`,
   * the last one PME enable and data select too, which no bit of the image tells). Only virtio clears it at reset.
   */
  qemu: ({ function: { headerType, portType, virtio } }) => {
    if (headerType !== 0 || portType < 0) return {};
    return { 'pm.pmcsr': virtio ? { writable: 0x0003, reset: 0xffff } : { writable: 0x0003 } };
  },
};
