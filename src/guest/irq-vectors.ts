import type { Task } from './access.ts';
import { ENODEV } from './errno.ts';
import { MSI_MODE } from './irq-records.ts';
import type { KernelProfile } from './kernel-profile.ts';
import { disableMsi, enableMsi } from './msi.ts';
import { disableMsix, enableMsix } from './msix.ts';
import { kernel } from './ops.ts';
import { setIntx } from './pci-core.ts';

/** No device has more than 32 MSI vectors. */
const MAX_MSI = 32;

/**
 * Up to `max` vectors: MSI-X, else MSI, else the pin; answers how many, or a negative error. Linux
 * pci_alloc_irq_vectors (4.8 and later); earlier drivers go the same way by hand (nvme_setup_io_queues).
 */
export function* allocIrqVectors(profile: KernelProfile, bdf: number, max: number, place: string): Task<number> {
  const msix = yield* enableMsix(profile, bdf, 1, max, place);
  if (msix > 0) return msix;
  const msi = yield* enableMsi(profile, bdf, Math.min(max, MAX_MSI), place);
  if (msi > 0) return msi;
  if (!(yield* kernel('device.intxIrq', bdf))) return msix === -ENODEV ? msix : msi;
  yield* setIntx(bdf, true);
  return 1;
}

/** pci_free_irq_vectors; every irq must have been freed by its driver. */
export function* freeIrqVectors(profile: KernelProfile, bdf: number, place: string): Task<void> {
  yield* disableMsix(profile, bdf, place);
  yield* disableMsi(profile, bdf, place);
}

/** The Linux irq of vector `entry`: of its descriptor, or of the pin. 0: none. */
export function* irqVector(bdf: number, entry: number): Task<number> {
  if ((yield* kernel('device.mode', bdf)) === MSI_MODE.none) return yield* kernel('device.intxIrq', bdf);
  return yield* kernel('vector.irq', bdf, entry);
}
