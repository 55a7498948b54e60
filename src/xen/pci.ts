import { DOMID_IO, ERRNO } from './abi/index.ts';
import type { Domain } from './domain.ts';
import { HostFault } from './fault.ts';
import type { Host } from './host.ts';
import { NO_DEVICE } from './host-device.ts';
import { freeMsi } from './host-irq.ts';
import { NO_MSI } from './irq-table.ts';
import { disableMsi, initMsix, releaseMsixTable, setMask } from './msi.ts';
import { MSIX_ENABLE, memoryDecoded, readControl, writeControl } from './msi-config.ts';
import { writeMessage } from './msi-message.ts';
import { MSI_TYPE } from './msi-table.ts';

const STATUS = 6;
const STATUS_CAP_LIST = 0x10;
const CAP_POINTER = 0x34;
const CAP_MSI = 5;
const CAP_MSIX = 0x11;
const MAX_CAPS = 48;
const MSIX_MASKALL = 0x4000;
const MSI_MME = 0x70;
const MSI_ENABLE = 1;

/** Offset of a capability, or 0. drivers/pci/pci.c: pci_find_cap_offset */
function findCapability(h: Host, sbdf: number, id: number): number {
  if (!(h.bus.readConfig(sbdf, STATUS, 2) & STATUS_CAP_LIST)) return 0;
  let pos = h.bus.readConfig(sbdf, CAP_POINTER, 1);
  for (let i = 0; i < MAX_CAPS && pos >= 0x40; i++) {
    pos &= ~3;
    const header = h.bus.readConfig(sbdf, pos, 2);
    if ((header & 0xff) === 0xff) return 0;
    if ((header & 0xff) === id) return pos;
    pos = header >> 8;
  }
  return 0;
}

/**
 * Xen learns of a device, which then belongs to the hardware domain. 0 also for a known one; -EPERM, -ENOMEM, -ENODEV
 * (virtual function of an unknown physical one). drivers/passthrough/pci.c: pci_add_device
 */
export function addDevice(h: Host, caller: Domain, sbdf: number, physfn?: number): number {
  if (!caller.isHardwareDomain) return -ERRNO.EPERM;
  const { devices } = h;
  const physical = physfn === undefined ? NO_DEVICE : devices.find(physfn);
  let dev = devices.find(sbdf);
  if (dev === NO_DEVICE) {
    if (physfn !== undefined && physical === NO_DEVICE) return -ERRNO.ENODEV;
    dev = devices.add(sbdf);
    if (dev === NO_DEVICE) return -ERRNO.ENOMEM;
    initMsi(h, dev, sbdf);
    devices.owner[dev] = caller.id;
  }
  if (physical !== NO_DEVICE) devices.physfn[dev] = physical + 1;
  return 0;
}

/** Reads what the device's interrupt capabilities offer. drivers/passthrough/msi.c: pdev_msi_init */
function initMsi(h: Host, dev: number, sbdf: number): void {
  const { devices } = h;
  devices.msiPos[dev] = findCapability(h, sbdf, CAP_MSI);
  if (devices.msiPos[dev]) devices.msiVectors[dev] = 1 << ((readControl(h, dev, MSI_TYPE.msi) >> 1) & 7);
  devices.msixPos[dev] = findCapability(h, sbdf, CAP_MSIX);
  if (!devices.msixPos[dev]) return;
  const control = readControl(h, dev, MSI_TYPE.msix);
  if (control & (MSIX_MASKALL | MSIX_ENABLE))
    writeControl(h, dev, MSI_TYPE.msix, control & ~(MSIX_MASKALL | MSIX_ENABLE));
  devices.msixEntries[dev] = (control & 0x7ff) + 1;
}

/** 0, -EPERM, -ENODEV, -EBUSY (has virtual functions). drivers/passthrough/pci.c: pci_remove_device */
export function removeDevice(h: Host, caller: Domain, sbdf: number): number {
  if (!caller.isHardwareDomain) return -ERRNO.EPERM;
  const { devices } = h;
  const dev = devices.find(sbdf);
  if (dev === NO_DEVICE) return -ERRNO.ENODEV;
  if (devices.physfn.includes(dev + 1)) return -ERRNO.EBUSY;
  cleanupMsi(h, dev);
  devices.remove(dev);
  return 0;
}

/** arch/x86/msi.c: pci_cleanup_msi */
function cleanupMsi(h: Host, dev: number): void {
  const { devices } = h;
  if (devices.msiPos[dev]) writeControl(h, dev, MSI_TYPE.msi, readControl(h, dev, MSI_TYPE.msi) & ~MSI_ENABLE);
  if (devices.msixPos[dev]) writeControl(h, dev, MSI_TYPE.msix, readControl(h, dev, MSI_TYPE.msix) & ~MSIX_ENABLE);
  while (devices.firstMsi[dev] !== NO_MSI) {
    const msi = devices.firstMsi[dev];
    disableMsi(h, msi);
    freeMsi(h, msi);
  }
}

/** prepare_msix and release_msix: -EPERM, -ENODEV, -EBUSY, and for the former what locating the table gives. */
export function prepareMsix(h: Host, caller: Domain, sbdf: number, release: boolean): number {
  if (!caller.isHardwareDomain) return -ERRNO.EPERM;
  const dev = h.devices.find(sbdf);
  if (dev === NO_DEVICE) return -ERRNO.ENODEV;
  if (!h.devices.msixPos[dev])
    throw new HostFault('wild-pointer', 'pci_prepare_msix: the device has no MSI-X capability');
  if (h.devices.usedEntries[dev] !== (release ? 1 : 0)) return -ERRNO.EBUSY;
  if (!release) return initMsix(h, caller, dev, undefined).ret;
  releaseMsixTable(h, dev);
  return 0;
}

/** Writes all messages and masks of a device again. arch/x86/msi.c: pci_restore_msi_state */
export function restoreMsi(h: Host, caller: Domain, sbdf: number): number {
  const { devices, msis, irqs } = h;
  const dev = devices.find(sbdf);
  if (dev === NO_DEVICE) return -ERRNO.ENODEV;
  if (!caller.isHardwareDomain) return -ERRNO.EPERM;
  let msixControl = -1;
  for (let msi = devices.firstMsi[dev]; msi !== NO_MSI; msi = msis.next[msi]) {
    const isMsix = msis.type[msi] === MSI_TYPE.msix;
    if (irqs.msi[msis.irq[msi]] !== msi) {
      if (msixControl >= 0) writeControl(h, dev, MSI_TYPE.msix, msixControl & ~MSIX_ENABLE);
      return -ERRNO.EINVAL;
    }
    if (!isMsix) writeControl(h, dev, MSI_TYPE.msi, readControl(h, dev, MSI_TYPE.msi) & ~MSI_ENABLE);
    else if (msixControl < 0) {
      msixControl = readControl(h, dev, MSI_TYPE.msix);
      writeControl(h, dev, MSI_TYPE.msix, msixControl | MSIX_ENABLE | MSIX_MASKALL);
      if (!memoryDecoded(h, dev)) {
        writeControl(h, dev, MSI_TYPE.msix, msixControl & ~MSIX_ENABLE);
        return -ERRNO.ENXIO;
      }
    }
    writeMessage(h, msi, true);
    const count = isMsix ? 1 : msis.vectors[msi];
    for (let i = 0; i < count; i++) {
      const irq = msis.irq[msi + i];
      if (irqs.msi[irq] !== msi + i) return -ERRNO.EINVAL;
      if (!setMask(h, irq, msis.hostMasked[msi + i] !== 0, msis.guestMasked[msi + i] !== 0))
        throw new HostFault('bug', 'pci_restore_msi_state: a message could not be masked');
    }
    if (!isMsix) {
      const control = readControl(h, dev, MSI_TYPE.msi) & ~MSI_MME;
      writeControl(h, dev, MSI_TYPE.msi, control | MSI_ENABLE | ((31 - Math.clz32(count)) << 4));
    }
  }
  if (msixControl >= 0) writeControl(h, dev, MSI_TYPE.msix, msixControl | MSIX_ENABLE);
  return 0;
}

/** domctl assign_device behind its checks: -EINVAL (self), -ENODEV, -EBUSY (MSI-X not reset or not the host's). */
export function assignDevice(h: Host, caller: Domain, d: Domain | undefined, sbdf: number): number {
  if (d === caller) return -ERRNO.EINVAL;
  const { devices } = h;
  const dev = devices.find(sbdf);
  if (dev === NO_DEVICE) return -ERRNO.ENODEV;
  if (devices.owner[dev] !== h.hardwareDomain?.id && devices.owner[dev] !== DOMID_IO) return -ERRNO.EBUSY;
  if (devices.msixPos[dev]) {
    if (readControl(h, dev, MSI_TYPE.msix) & MSIX_MASKALL) return -ERRNO.EBUSY;
    devices.hostMaskAll[dev] = devices.guestMaskAll[dev] = 0;
    if (d?.isHvm) d.msixTables = true;
  }
  devices.owner[dev] = d ? d.id : DOMID_IO;
  return 0;
}

/** domctl deassign_device behind its checks: into quarantine, from there (or if there is none) to the hardware domain. */
export function deassignDevice(h: Host, caller: Domain, d: Domain | undefined, sbdf: number): number {
  if (d === caller) return -ERRNO.EINVAL;
  const dev = h.devices.find(sbdf, d ? d.id : DOMID_IO);
  if (dev === NO_DEVICE) return -ERRNO.ENODEV;
  releaseDevice(h, dev);
  return 0;
}

/** drivers/passthrough/pci.c: deassign_device */
export function releaseDevice(h: Host, dev: number): void {
  const quarantined = h.devices.owner[dev] === DOMID_IO;
  h.devices.owner[dev] = h.profile.quarantine && !quarantined ? DOMID_IO : (h.hardwareDomain?.id ?? DOMID_IO);
}
