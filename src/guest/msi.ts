import type { Task } from './access.ts';
import { EINVAL } from './errno.ts';
import { MSI_MODE } from './irq-records.ts';
import type { KernelProfile } from './kernel-profile.ts';
import { MSI, MSI_CONTROL } from './msi-message.ts';
import { createDescriptors, destroyDescriptors, setupIrqs } from './msi-setup.ts';
import { groupStep, kernel, readConfig, updateConfig, writeConfig } from './ops.ts';
import { setIntx } from './pci-core.ts';

/**
 * Enables MSI with 1 … `max` vectors; answers how many, or a negative error. Linux drivers/pci/msi.c
 * pci_enable_msi_range (3.12: pci_enable_msi_block in a loop), msi_capability_init.
 */
export function* enableMsi(profile: KernelProfile, bdf: number, max: number, place: string): Task<number> {
  const cap = yield* kernel('device.msiCap', bdf);
  if (!cap) return -EINVAL;
  const control = yield* readConfig(bdf, cap + MSI.control, 2);
  let n = Math.min(1 << ((control & MSI_CONTROL.mmc) >> 1), max);
  for (;;) {
    const rc = yield* initCapability(profile, bdf, n, `${place}.msi${n}`);
    if (rc <= 0) return rc < 0 ? rc : n;
    n = rc;
  }
}

/** 0, a negative error, or the number of vectors to try instead. */
function* initCapability(profile: KernelProfile, bdf: number, n: number, place: string): Task<number> {
  const cap = yield* kernel('device.msiCap', bdf);
  yield* updateConfig(bdf, cap + MSI.control, 2, MSI_CONTROL.enable, 0);
  if (profile.msiEnableShape === 'new') yield* kernel('device.mode=', bdf, MSI_MODE.msi);
  yield* createDescriptors(bdf, n);
  const control = yield* readConfig(bdf, cap + MSI.control, 2);
  yield* kernel('device.control=', bdf, control);
  if (control & MSI_CONTROL.maskable && (profile.writesMasks || profile.msiEnableShape === 'old')) {
    const mask = yield* readConfig(bdf, cap + maskOffset(control), 4);
    yield* kernel('vector.ctrl=', bdf, 0, mask);
    yield* setMask(profile, bdf, 0, allVectors(control));
  }
  const rc = yield* setupIrqs(profile, bdf, MSI_MODE.msi, n, place);
  if (rc !== 0) {
    yield* setMask(profile, bdf, allVectors(control), 0);
    yield* destroyDescriptors(bdf);
    yield* kernel('device.mode=', bdf, MSI_MODE.none);
    return rc;
  }
  yield* groupStep(`${place}.enable`);
  yield* setIntx(bdf, false);
  const at = (yield* kernel('device.msiCap', bdf)) + MSI.control;
  yield* updateConfig(bdf, at, 2, 0, MSI_CONTROL.enable);
  yield* kernel('device.mode=', bdf, MSI_MODE.msi);
  return 0;
}

/**
 * Disables MSI, leaves address, data and count as they are, then destroys the irqs: the device, and so the device
 * model, hears of it before the guest has dropped its own records. pci_msi_shutdown, pci_disable_msi
 */
export function* disableMsi(profile: KernelProfile, bdf: number, place: string): Task<void> {
  if ((yield* kernel('device.mode', bdf)) !== MSI_MODE.msi) return;
  const cap = yield* kernel('device.msiCap', bdf);
  yield* updateConfig(bdf, cap + MSI.control, 2, MSI_CONTROL.enable, 0);
  yield* setIntx(bdf, true);
  yield* setMask(profile, bdf, allVectors(yield* kernel('device.control', bdf)), 0, 'uncached');
  yield* kernel('device.mode=', bdf, MSI_MODE.none);
  yield* groupStep(`${place}.destroy`);
  yield* destroyDescriptors(bdf);
}

/** Clears and sets bits of the mask register by way of its cached value; nothing if masks are not written. */
export function* setMask(
  profile: KernelProfile,
  bdf: number,
  clear: number,
  set: number,
  cache: 'cached' | 'uncached' = 'cached',
): Task<void> {
  const control = yield* kernel('device.control', bdf);
  if (!(control & MSI_CONTROL.maskable) || !profile.writesMasks) return;
  const cap = yield* kernel('device.msiCap', bdf);
  const mask = ((yield* kernel('vector.ctrl', bdf, 0)) & ~clear) | set;
  if (cache === 'cached') yield* kernel('vector.ctrl=', bdf, 0, mask);
  yield* writeConfig(bdf, cap + maskOffset(control), 4, mask);
}

function maskOffset(control: number): number {
  return control & MSI_CONTROL.addr64 ? MSI.mask64 : MSI.mask32;
}

/** A bit for each vector that the function can send. */
function allVectors(control: number): number {
  const mmc = (control & MSI_CONTROL.mmc) >> 1;
  return mmc >= 5 ? 0xffffffff : 2 ** (1 << mmc) - 1;
}
