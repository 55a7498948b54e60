import { ERRNO } from './abi/index.ts';
import { DOMID_IO } from './abi/numbers.ts';
import type { Domain } from './domain.ts';
import { HostFault } from './fault.ts';
import type { Host } from './host.ts';
import { IRQ_HANDLER, IRQ_STATUS, NO_MSI } from './irq-table.ts';
import { MSIX_ENABLE, memoryDecoded, readControl, writeControl } from './msi-config.ts';
import { fillMessage, writeMessage } from './msi-message.ts';
import { MSI_TYPE } from './msi-table.ts';

/** Configuration space offsets and bits, PCI Local Bus 3.0 §6.1, §6.8. */
const COMMAND = 4;
const COMMAND_INTX_DISABLE = 0x400;
const BAR0 = 0x10;
const MSI_ENABLE = 1;
const MSI_MME = 0x70;
const MSI_ADDR64 = 0x80;
const MSI_MASKBIT = 0x100;
const MSIX_MASKALL = 0x4000;
const MSIX_ENTRY_SIZE = 16;
const MSIX_VECTOR_CONTROL = 12;
const PAGE = 4096;
/** A table is mapped page by page, up to this many. arch/x86/include/asm/msi.h: MAX_MSIX_TABLE_PAGES */
const MSIX_TABLE_PAGES = 8;

/** What a map request says about the message. arch/x86/include/asm/msi.h: struct msi_info */
export interface MsiInfo {
  sbdf: number;
  irq: number;
  /** Slot in the table, or number of vectors; how many the device offers after -ENFILE. */
  entry: number;
  /** Physical address of the BAR with the table, 0 for plain MSI. */
  tableBase: number;
}

function setIntx(h: Host, dev: number, enable: boolean): void {
  const sbdf = h.devices.sbdf[dev] >>> 0;
  const command = h.bus.readConfig(sbdf, COMMAND, 2);
  h.bus.writeConfig(sbdf, COMMAND, 2, enable ? command & ~COMMAND_INTX_DISABLE : command | COMMAND_INTX_DISABLE);
}

function setMsiEnable(h: Host, dev: number, enable: boolean): void {
  if (!h.devices.msiPos[dev]) return;
  const control = readControl(h, dev, MSI_TYPE.msi);
  writeControl(h, dev, MSI_TYPE.msi, enable ? control | MSI_ENABLE : control & ~MSI_ENABLE);
}

/** arch/x86/msi.c: msi_maskable_irq */
export function isMaskable(h: Host, msi: number): boolean {
  return h.msis.type[msi] !== MSI_TYPE.msi || h.msis.maskable[msi] !== 0;
}

/**
 * Masks or unmasks a message at the device; it is masked if Xen or the guest wants so. False if that was not possible
 * (memory decode off) and all of the device's messages had to be masked instead. arch/x86/msi.c: msi_set_mask_bit
 */
export function setMask(h: Host, irq: number, host: boolean, guest: boolean): boolean {
  const msi = h.irqs.msi[irq];
  if (msi === NO_MSI) throw new HostFault('bug', `msi_set_mask_bit: irq ${irq} has no message descriptor`);
  const { msis, devices, bus } = h;
  const dev = msis.dev[msi];
  const flag = host || guest;
  if (msis.type[msi] === MSI_TYPE.msi) {
    if (msis.maskable[msi]) {
      const sbdf = devices.sbdf[dev] >>> 0;
      const bit = 1 << msis.entry[msi];
      const bits = bus.readConfig(sbdf, msis.maskPos[msi], 4);
      bus.writeConfig(sbdf, msis.maskPos[msi], 4, (flag ? bits | bit : bits & ~bit) >>> 0);
    }
    msis.hostMasked[msi] = +host;
    msis.guestMasked[msi] = +guest;
    return true;
  }
  let maskAll = devices.hostMaskAll[dev] !== 0;
  let control = readControl(h, dev, MSI_TYPE.msix);
  const enabled = (control & MSIX_ENABLE) !== 0;
  if (!enabled) {
    devices.hostMaskAll[dev] = 1;
    writeControl(h, dev, MSI_TYPE.msix, control | MSIX_ENABLE | MSIX_MASKALL);
  }
  let done = flag;
  if (memoryDecoded(h, dev)) {
    bus.writeMmio(msis.address[msi] + MSIX_VECTOR_CONTROL, +flag);
    bus.readMmio(msis.address[msi] + MSIX_VECTOR_CONTROL); // the write must have arrived
    msis.hostMasked[msi] = +host;
    msis.guestMasked[msi] = +guest;
    if (enabled) return true;
    done = true;
  } else if (flag && !(control & MSIX_MASKALL)) maskAll = true;
  devices.hostMaskAll[dev] = +maskAll;
  if (maskAll || devices.guestMaskAll[dev]) control |= MSIX_MASKALL;
  writeControl(h, dev, MSI_TYPE.msix, control);
  return done;
}

/** The guest masks or unmasks its message. arch/x86/msi.c: guest_mask_msi_irq */
export function setGuestMask(h: Host, irq: number, mask: boolean): void {
  const msi = h.irqs.msi[irq];
  if (msi === NO_MSI)
    throw new HostFault('wild-pointer', `guest_mask_msi_irq: irq ${irq} has no message descriptor to mask`);
  setMask(h, irq, h.msis.hostMasked[msi] !== 0, mask);
}

/**
 * Gives an irq its message: descriptor, controller, registers of the device. 0 or −errno.
 * arch/x86/msi.c: setup_msi_irq
 */
export function setupMsiIrq(h: Host, irq: number, msi: number): number {
  const { msis, irqs } = h;
  const dev = msis.dev[msi];
  let control = MSIX_ENABLE;
  if (msis.type[msi] === MSI_TYPE.msix) {
    control = readControl(h, dev, MSI_TYPE.msix);
    if (!(control & MSIX_ENABLE)) writeControl(h, dev, MSI_TYPE.msix, control | MSIX_ENABLE | MSIX_MASKALL);
  }
  irqs.msi[irq] = msi;
  irqs.handler[irq] = isMaskable(h, msi) ? IRQ_HANDLER.msiMaskable : IRQ_HANDLER.msiNonMaskable;
  fillMessage(h, msi, irq);
  const ret = writeMessage(h, msi, true);
  if (ret) {
    irqs.handler[irq] = IRQ_HANDLER.none;
    irqs.msi[irq] = NO_MSI;
  }
  if (!(control & MSIX_ENABLE)) writeControl(h, dev, MSI_TYPE.msix, control);
  return ret;
}

/** Result of {@link enableMsi}: `msi` is the new descriptor if `ret` is 0; `ret` > 0 is the number of vectors offered. */
export interface Enabled {
  ret: number;
  msi: number;
}

/** Makes the message descriptors of a map request. arch/x86/msi.c: pci_enable_msi */
export function enableMsi(h: Host, caller: Domain, dev: number, info: MsiInfo): Enabled {
  return info.tableBase ? enableMsix(h, caller, dev, info) : enablePlainMsi(h, dev, info);
}

function failed(ret: number): Enabled {
  return { ret, msi: NO_MSI };
}

function enablePlainMsi(h: Host, dev: number, info: MsiInfo): Enabled {
  const { msis, devices } = h;
  const present = msis.find(devices, dev, MSI_TYPE.msi, info.irq);
  if (present !== NO_MSI)
    return h.profile.redundantMsi === 'existing' ? { ret: 0, msi: present } : failed(-ERRNO.EEXIST);
  const other = msis.find(devices, dev, MSI_TYPE.msix);
  if (other !== NO_MSI) disableMsix(h, other);

  if (!devices.msiPos[dev]) return failed(-ERRNO.ENODEV);
  let control = readControl(h, dev, MSI_TYPE.msi);
  const count = info.entry >>> 0;
  if (count > devices.msiVectors[dev]) return failed(devices.msiVectors[dev]);
  setMsiEnable(h, dev, false);
  if (count === 0) throw new HostFault('bug', 'write_msi_msg: message of a group without vectors has no type');
  control = (control & ~MSI_MME) | ((31 - Math.clz32(count)) << 4);
  const first = msis.allocate(count);
  if (first === NO_MSI) return failed(-ERRNO.ENOMEM);
  const pos = devices.msiPos[dev];
  for (let i = 0; i < count; i++) {
    const msi = first + i;
    msis.type[msi] = MSI_TYPE.msi;
    msis.dev[msi] = dev;
    msis.entry[msi] = i;
    msis.addr64[msi] = +((control & MSI_ADDR64) !== 0);
    msis.maskable[msi] = msis.hostMasked[msi] = +((control & MSI_MASKBIT) !== 0);
    msis.maskPos[msi] = pos + (msis.addr64[msi] ? 0x10 : 0xc);
  }
  msis.vectors[first] = count;
  msis.irq[first] = info.irq;
  if (msis.maskable[first]) {
    const sbdf = devices.sbdf[dev] >>> 0;
    const bits = h.bus.readConfig(sbdf, msis.maskPos[first], 4);
    h.bus.writeConfig(sbdf, msis.maskPos[first], 4, (bits | (0xffffffff >>> (32 - devices.msiVectors[dev]))) >>> 0);
  }
  msis.link(devices, first);
  // as Xen writes it back: the Enable bit is the owner's, and stays as it was found
  writeControl(h, dev, MSI_TYPE.msi, control);
  return { ret: 0, msi: first };
}

function enableMsix(h: Host, caller: Domain, dev: number, info: MsiInfo): Enabled {
  const { msis, devices } = h;
  if (!devices.msixEntries[dev]) return failed(-ERRNO.ENODEV);
  if (info.entry >>> 0 >= devices.msixEntries[dev]) return failed(-ERRNO.EINVAL);
  // Xen walks the device's list for the irq; the irq itself leads to the same descriptor
  const present = h.irqs.msi[info.irq];
  if (present !== NO_MSI && msis.dev[present] === dev && msis.type[present] === MSI_TYPE.msix)
    return failed(-ERRNO.EEXIST);
  const other = msis.find(devices, dev, MSI_TYPE.msi);
  if (other !== NO_MSI) disablePlainMsi(h, other);
  return initMsix(h, caller, dev, info);
}

/**
 * First use of a device's MSI-X locates its table; every use maps one entry, masked. Without `info` only the table is
 * located (prepare_msix). arch/x86/msi.c: msix_capability_init
 */
export function initMsix(h: Host, caller: Domain, dev: number, info: MsiInfo | undefined): Enabled {
  const { msis, devices, bus, profile } = h;
  if (!devices.msixPos[dev]) return failed(-ERRNO.ENODEV);
  const sbdf = devices.sbdf[dev] >>> 0;
  let control = readControl(h, dev, MSI_TYPE.msix);
  let maskAll = devices.hostMaskAll[dev];
  devices.hostMaskAll[dev] = 1;
  writeControl(h, dev, MSI_TYPE.msix, control | MSIX_ENABLE | MSIX_MASKALL);
  const giveUp = (ret: number, restored: number) => {
    writeControl(h, dev, MSI_TYPE.msix, restored);
    return failed(ret);
  };
  if (!memoryDecoded(h, dev)) return giveUp(-ERRNO.ENXIO, control & ~MSIX_ENABLE);

  const tableOffset = bus.readConfig(sbdf, devices.msixPos[dev] + 4, 4);
  const offset = (tableOffset & ~7) >>> 0;
  const first = devices.usedEntries[dev] === 0;
  let tableAddress: number;
  let located = false;
  const owner = devices.owner[dev];
  const trusted = caller.isHardwareDomain && (owner === caller.id || owner === DOMID_IO);
  if (first && (!info || trusted || profile.msixTable === 'caller')) {
    tableAddress = readMemBar(h, sbdf, tableOffset & 7);
    if (!tableAddress) {
      if (!info?.tableBase) return giveUp(-ERRNO.ENXIO, control & ~MSIX_ENABLE);
      tableAddress = info.tableBase;
    }
    tableAddress += offset;
    devices.tablePage[dev] = Math.floor(tableAddress / PAGE);
    located = true;
  } else if (!devices.tablePage[dev]) return giveUp(-ERRNO.ENODATA, control);
  else tableAddress = devices.tablePage[dev] * PAGE + (offset % PAGE);

  let msi = NO_MSI;
  if (info) {
    const address = tableAddress + info.entry * MSIX_ENTRY_SIZE;
    const page = Math.floor(address / PAGE) - Math.floor(tableAddress / PAGE);
    msi = page < MSIX_TABLE_PAGES ? msis.allocate(1) : NO_MSI;
    if (msi === NO_MSI) {
      if (located) {
        devices.tablePage[dev] = 0;
        control &= ~MSIX_ENABLE;
      }
      return giveUp(page < MSIX_TABLE_PAGES ? -ERRNO.ENOMEM : -ERRNO.EINVAL, control);
    }
    bus.writeMmio(address + MSIX_VECTOR_CONTROL, 1);
    msis.type[msi] = MSI_TYPE.msix;
    msis.dev[msi] = dev;
    msis.irq[msi] = info.irq;
    msis.entry[msi] = info.entry;
    msis.maskable[msi] = msis.hostMasked[msi] = msis.guestMasked[msi] = msis.addr64[msi] = 1;
    msis.address[msi] = address;
    msis.link(devices, msi);
  }

  if (first) {
    maskAll = 0;
    control = devices.guestMaskAll[dev] ? control | MSIX_MASKALL : control & ~MSIX_MASKALL;
    if (info) {
      const d = h.domainById(owner) ?? caller;
      // the guest could have mapped the table before Xen made it read-only
      if (!d.isHardwareDomain && (!caller.isHardwareDomain || d.hasMemory)) h.crash(d);
    }
  }
  devices.usedEntries[dev]++;
  devices.hostMaskAll[dev] = maskAll;
  writeControl(h, dev, MSI_TYPE.msix, control);
  return { ret: 0, msi };
}

/** Base of a memory BAR, 0 for one that is not memory or cannot be. arch/x86/msi.c: read_pci_mem_bar */
function readMemBar(h: Host, sbdf: number, bir: number): number {
  const layout = h.bus.readConfig(sbdf, 0xe, 1) & 0x7f;
  const limit = layout === 0 ? 6 : layout === 1 ? 2 : layout === 2 ? 1 : 0;
  if (bir >= limit) return 0;
  const low = h.bus.readConfig(sbdf, BAR0 + 4 * bir, 4);
  if (low & 1) return 0;
  const base = (low & ~0xf) >>> 0;
  if ((low & 6) !== 4) return base;
  if (bir + 1 >= limit) return 0;
  return base + h.bus.readConfig(sbdf, BAR0 + 4 * (bir + 1), 4) * 0x1_0000_0000;
}

/** Switches a device's messages off. arch/x86/msi.c: pci_disable_msi */
export function disableMsi(h: Host, msi: number): void {
  if (h.msis.type[msi] === MSI_TYPE.msi) disablePlainMsi(h, msi);
  else disableMsix(h, msi);
}

function disablePlainMsi(h: Host, msi: number): void {
  const dev = h.msis.dev[msi];
  const irq = h.msis.irq[msi];
  setMsiEnable(h, dev, false);
  if (irq > 0 && !(h.irqs.status[irq] & IRQ_STATUS.guest)) setIntx(h, dev, true);
}

function disableMsix(h: Host, msi: number): void {
  const { devices, msis } = h;
  const dev = msis.dev[msi];
  let control = readControl(h, dev, MSI_TYPE.msix);
  let maskAll = devices.hostMaskAll[dev];
  if (!(control & MSIX_ENABLE)) {
    devices.hostMaskAll[dev] = 1;
    writeControl(h, dev, MSI_TYPE.msix, control | MSIX_ENABLE | MSIX_MASKALL);
  }
  if (memoryDecoded(h, dev)) h.bus.writeMmio(msis.address[msi] + MSIX_VECTOR_CONTROL, 1);
  else if (!(control & MSIX_MASKALL)) maskAll = 1;
  devices.hostMaskAll[dev] = maskAll;
  if (maskAll || devices.guestMaskAll[dev]) control |= MSIX_MASKALL;
  writeControl(h, dev, MSI_TYPE.msix, control);
  releaseMsixTable(h, dev);
}

/** One use of the table less; the last one forgets where it is. arch/x86/msi.c: _pci_cleanup_msix */
export function releaseMsixTable(h: Host, dev: number): void {
  // int32 arithmetic wraps exactly as C's unsigned does here
  if (--h.devices.usedEntries[dev] === 0) h.devices.tablePage[dev] = 0;
}
