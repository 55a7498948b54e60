import type { Task } from './access.ts';
import { EINVAL, ENOSPC } from './errno.ts';
import { MSI_MODE } from './irq-records.ts';
import type { KernelProfile } from './kernel-profile.ts';
import { ENTRY, ENTRY_MASKED, MSIX, MSIX_CONTROL, readEntry, writeEntry } from './msi-message.ts';
import { countIrqs, createDescriptors, destroyDescriptors, setupIrqs } from './msi-setup.ts';
import { groupStep, kernel, readConfig, updateConfig, writeConfig } from './ops.ts';
import { setIntx } from './pci-core.ts';

const { enable: ENABLE, functionMask: MASKALL } = MSIX_CONTROL;

/**
 * Enables MSI-X entries 0 … n − 1 with `min` ≤ n ≤ `max`; answers n, or a negative error. Linux drivers/pci/msi.c
 * pci_enable_msix_range (3.12: pci_enable_msix in the driver's loop).
 */
export function* enableMsix(
  profile: KernelProfile,
  bdf: number,
  min: number,
  max: number,
  place: string,
): Task<number> {
  for (let n = max; ; ) {
    const rc = yield* enableExactly(profile, bdf, n, `${place}.msix${n}`);
    if (rc <= 0) return rc < 0 ? rc : n;
    if (rc < min) return -ENOSPC;
    n = rc;
    yield* groupStep(`${place}.msix${n}`);
  }
}

/** 0, a negative error, or the number of vectors to try instead. */
function* enableExactly(profile: KernelProfile, bdf: number, n: number, place: string): Task<number> {
  const cap = yield* kernel('device.msixCap', bdf);
  if (!cap) return -EINVAL;
  const size = ((yield* readConfig(bdf, cap + MSIX.control, 2)) & MSIX_CONTROL.tableSize) + 1;
  if (n > size) return size;
  return yield* profile.msiEnableShape === 'new' ? initNew(profile, bdf, n, place) : initOld(profile, bdf, n, place);
}

/** msix_capability_init up to 5.10: messages are written while MSI-X is off, then all entries are masked. */
function* initOld(profile: KernelProfile, bdf: number, n: number, place: string): Task<number> {
  yield* changeControl(profile, bdf, ENABLE, 0);
  const cap = yield* kernel('device.msixCap', bdf);
  if (!profile.msixControlKept) yield* readConfig(bdf, cap + MSIX.control, 2);
  yield* locateTable(bdf, cap);
  yield* createDescriptors(bdf, n);
  const rc = yield* setupIrqs(profile, bdf, MSI_MODE.msix, n, place);
  if (rc !== 0) {
    const got = yield* countIrqs(bdf, n);
    yield* destroyDescriptors(bdf);
    return rc < 0 && got > 0 && profile.partialSuccess ? got : rc;
  }
  yield* groupStep(`${place}.enable`);
  yield* changeControl(profile, bdf, 0, ENABLE | MASKALL);
  for (let entry = 0; entry < n; entry++) {
    const control = yield* readEntry(bdf, entry, ENTRY.vectorControl);
    yield* kernel('vector.ctrl=', bdf, entry, control);
    yield* setVectorControl(profile, bdf, entry, control | ENTRY_MASKED);
  }
  yield* setIntx(bdf, false);
  yield* kernel('device.mode=', bdf, MSI_MODE.msix);
  yield* changeControl(profile, bdf, MASKALL, 0);
  return 0;
}

/** msix_capability_init since 5.17: MSI-X is on with the function mask from the start, entries are masked last. */
function* initNew(profile: KernelProfile, bdf: number, n: number, place: string): Task<number> {
  const cap = yield* kernel('device.msixCap', bdf);
  yield* changeControl(profile, bdf, 0, ENABLE | MASKALL);
  yield* kernel('device.mode=', bdf, MSI_MODE.msix);
  yield* readConfig(bdf, cap + MSIX.control, 2);
  yield* locateTable(bdf, cap);
  yield* readConfig(bdf, cap + MSIX.control, 2);
  yield* createDescriptors(bdf, n);
  if (profile.writesMasks)
    for (let entry = 0; entry < n; entry++)
      yield* kernel('vector.ctrl=', bdf, entry, yield* readEntry(bdf, entry, ENTRY.vectorControl));
  const rc = yield* setupIrqs(profile, bdf, MSI_MODE.msix, n, place);
  if (rc !== 0) {
    yield* destroyDescriptors(bdf);
    yield* kernel('device.mode=', bdf, MSI_MODE.none);
    yield* changeControl(profile, bdf, ENABLE | MASKALL, 0);
    return rc;
  }
  yield* groupStep(`${place}.enable`);
  yield* setIntx(bdf, false);
  if (profile.writesMasks) {
    const size = ((yield* kernel('device.control', bdf)) & MSIX_CONTROL.tableSize) + 1;
    for (let entry = 0; entry < size; entry++) yield* writeEntry(bdf, entry, ENTRY.vectorControl, ENTRY_MASKED);
  }
  yield* changeControl(profile, bdf, MASKALL, 0);
  return 0;
}

/**
 * Masks the entries in use, disables MSI-X (function mask and messages stay as they are), then destroys the irqs: the
 * device, and so the device model, hears of it before the guest has dropped its own records. pci_msix_shutdown,
 * pci_disable_msix
 */
export function* disableMsix(profile: KernelProfile, bdf: number, place: string): Task<void> {
  if ((yield* kernel('device.mode', bdf)) !== MSI_MODE.msix) return;
  const n = yield* kernel('device.vectors', bdf);
  for (let entry = 0; entry < n; entry++) {
    yield* setVectorControl(profile, bdf, entry, (yield* kernel('vector.ctrl', bdf, entry)) | ENTRY_MASKED);
    if (profile.msiEnableShape === 'new') yield* readEntry(bdf, 0, ENTRY.addressLo);
  }
  const cap = yield* kernel('device.msixCap', bdf);
  yield* updateConfig(bdf, cap + MSIX.control, 2, ENABLE, 0);
  yield* setIntx(bdf, true);
  yield* kernel('device.mode=', bdf, MSI_MODE.none);
  yield* groupStep(`${place}.destroy`);
  yield* destroyDescriptors(bdf);
}

/** Sets an entry's vector control and its cached value; nothing in the device if masks are not written. */
export function* setVectorControl(profile: KernelProfile, bdf: number, entry: number, control: number): Task<void> {
  if (!profile.writesMasks) return;
  yield* kernel('vector.ctrl=', bdf, entry, control);
  yield* writeEntry(bdf, entry, ENTRY.vectorControl, control);
}

function* locateTable(bdf: number, cap: number): Task<void> {
  yield* kernel('device.msixTable=', bdf, yield* readConfig(bdf, cap + MSIX.table, 4));
}

/** Read-modify-write of the control word; 3.12 reads it at the beginning only and goes on with its own value. */
function* changeControl(profile: KernelProfile, bdf: number, clear: number, set: number): Task<void> {
  const cap = yield* kernel('device.msixCap', bdf);
  const isContinued = profile.msixControlKept && clear !== ENABLE;
  const before = isContinued ? yield* kernel('device.control', bdf) : yield* readConfig(bdf, cap + MSIX.control, 2);
  const control = (before & ~clear) | set;
  yield* kernel('device.control=', bdf, control);
  yield* writeConfig(bdf, cap + MSIX.control, 2, control);
}
