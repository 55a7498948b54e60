import type { Task } from './access.ts';
import { setupApicIrqs } from './apic-msi.ts';
import { EIO } from './errno.ts';
import type { KernelProfile } from './kernel-profile.ts';
import { kernel } from './ops.ts';
import { setupXenIrqs } from './xen-msi.ts';

/**
 * The architecture's part of enabling: an irq and a message for each of `n` descriptors. 0, a negative error, or a
 * positive count that the caller may try instead. `place` prefixes the names of steps.
 */
export function* setupIrqs(profile: KernelProfile, bdf: number, mode: number, n: number, place: string): Task<number> {
  const rc = yield* profile.msiBackend === 'apic'
    ? setupApicIrqs(profile, bdf, mode, n)
    : setupXenIrqs(profile, bdf, mode, n, place);
  if (rc !== 0) return rc;
  return (yield* hasForbiddenAddress(profile, bdf, n)) ? -EIO : 0;
}

/** drivers/pci/msi.c msi_verify_entries: a 64-bit address for a function that only takes 32 bits. */
function* hasForbiddenAddress(profile: KernelProfile, bdf: number, n: number): Task<boolean> {
  if (profile.addr64Check !== 'capability' || !(yield* kernel('device.only32', bdf))) return false;
  for (let entry = 0; entry < n; entry++) if (yield* kernel('vector.addressHi', bdf, entry)) return true;
  return false;
}

/** Creates `n` zero descriptors. */
export function* createDescriptors(bdf: number, n: number): Task<void> {
  for (let entry = 0; entry < n; entry++) yield* kernel('vector.clear', bdf, entry);
  yield* kernel('device.vectors=', bdf, n);
}

/**
 * Destroys the irqs of a function's descriptors and the descriptors. No access to the device and, in a guest that does
 * not own the hardware, no hypercall: drivers/xen/events/events_base.c xen_destroy_irq.
 */
export function* destroyDescriptors(bdf: number): Task<void> {
  const n = yield* kernel('device.vectors', bdf);
  for (let entry = 0; entry < n; entry++) {
    const irq = yield* kernel('vector.irq', bdf, entry);
    if (irq) yield* kernel('irq.free', irq);
    yield* kernel('vector.clear', bdf, entry);
  }
  yield* kernel('device.vectors=', bdf, 0);
}

/** Descriptors that have got an irq. */
export function* countIrqs(bdf: number, n: number): Task<number> {
  let count = 0;
  for (let entry = 0; entry < n; entry++) if (yield* kernel('vector.irq', bdf, entry)) count++;
  return count;
}
