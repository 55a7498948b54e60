import {
  ERRNO,
  PCI_DEVICE_RESET,
  PCI_DEVICE_RESET_OP,
  PHYSDEV_DBGP_OP,
  PHYSDEV_MANAGE_PCI,
  PHYSDEV_MANAGE_PCI_EXT,
  PHYSDEV_PCI_DEVICE,
  PHYSDEV_PCI_DEVICE_ADD,
  PHYSDEV_PCI_MMCFG_RESERVED,
  PHYSDEV_RESTORE_MSI,
  PHYSDEVOP,
  XEN_PCI_DEV,
} from '../abi/index.ts';
import type { Domain } from '../domain.ts';
import type { Host } from '../host.ts';
import { NO_DEVICE } from '../host-device.ts';
import { addDevice, prepareMsix, removeDevice, restoreMsi } from '../pci.ts';
import type { Argument } from './argument.ts';
import { read } from './physdev.ts';

const sbdfOf = (seg: number, bus: number, devfn: number) => seg * 0x10000 + (bus << 8) + devfn;

/** The physdev commands about PCI devices; what is none of them is unknown. drivers/pci/physdev.c, arch/x86/physdev.c */
export function pciPhysdevOp(h: Host, d: Domain, cmd: number, arg: Argument): number {
  switch (cmd) {
    case PHYSDEVOP.managePciAdd:
    case PHYSDEVOP.managePciRemove: {
      const a = read(d, PHYSDEV_MANAGE_PCI, arg);
      if (!a) return -ERRNO.EFAULT;
      const sbdf = sbdfOf(0, a.value.bus, a.value.devfn);
      return cmd === PHYSDEVOP.managePciAdd ? addDevice(h, d, sbdf) : removeDevice(h, d, sbdf);
    }
    case PHYSDEVOP.managePciAddExt: {
      const a = read(d, PHYSDEV_MANAGE_PCI_EXT, arg);
      if (!a) return -ERRNO.EFAULT;
      const { value: v } = a;
      if (v.is_extfn > 1 || v.is_virtfn > 1) return -ERRNO.EINVAL;
      const physfn = v.is_virtfn ? sbdfOf(0, v['physfn.bus'], v['physfn.devfn']) : undefined;
      return addDevice(h, d, sbdfOf(0, v.bus, v.devfn), physfn);
    }
    case PHYSDEVOP.pciDeviceAdd: {
      const a = read(d, PHYSDEV_PCI_DEVICE_ADD, arg);
      if (!a) return -ERRNO.EFAULT;
      const { value: v } = a;
      if (v.flags & XEN_PCI_DEV.pxm && !arg.copyIn(4, a.codec.size)) return -ERRNO.EFAULT;
      const physfn = v.flags & XEN_PCI_DEV.virtfn ? sbdfOf(v.seg, v['physfn.bus'], v['physfn.devfn']) : undefined;
      return addDevice(h, d, sbdfOf(v.seg, v.bus, v.devfn), physfn);
    }
    case PHYSDEVOP.pciDeviceRemove:
    case PHYSDEVOP.restoreMsiExt:
    case PHYSDEVOP.prepareMsix:
    case PHYSDEVOP.releaseMsix: {
      const a = read(d, PHYSDEV_PCI_DEVICE, arg);
      if (!a) return -ERRNO.EFAULT;
      const sbdf = sbdfOf(a.value.seg, a.value.bus, a.value.devfn);
      if (cmd === PHYSDEVOP.pciDeviceRemove) return removeDevice(h, d, sbdf);
      if (cmd === PHYSDEVOP.restoreMsiExt) return restoreMsi(h, d, sbdf);
      return prepareMsix(h, d, sbdf, cmd === PHYSDEVOP.releaseMsix);
    }
    case PHYSDEVOP.restoreMsi: {
      const a = read(d, PHYSDEV_RESTORE_MSI, arg);
      return a ? restoreMsi(h, d, sbdfOf(0, a.value.bus, a.value.devfn)) : -ERRNO.EFAULT;
    }
    case PHYSDEVOP.pciMmcfgReserved:
      if (!d.isHardwareDomain) return -ERRNO.EPERM;
      // the platform has no MMCFG area to reserve
      return read(d, PHYSDEV_PCI_MMCFG_RESERVED, arg) ? -ERRNO.ENODEV : -ERRNO.EFAULT;
    case PHYSDEVOP.dbgpOp: {
      if (!d.isHardwareDomain) return -ERRNO.EPERM;
      // no EHCI debug port is in use, so that no command has anything to do
      return read(d, PHYSDEV_DBGP_OP, arg) ? 0 : -ERRNO.EFAULT;
    }
    case PHYSDEVOP.pciDeviceReset: {
      if (!h.profile.pciDeviceReset) return -ERRNO.ENOSYS;
      const a = read(d, PCI_DEVICE_RESET_OP, arg);
      if (!a) return -ERRNO.EFAULT;
      if (a.value.flags & ~PCI_DEVICE_RESET.mask) return -ERRNO.EINVAL;
      if (!d.isHardwareDomain) return -ERRNO.EPERM;
      const sbdf = sbdfOf(a.value['dev.seg'], a.value['dev.bus'], a.value['dev.devfn']);
      return h.devices.find(sbdf) === NO_DEVICE ? -ERRNO.ENODEV : 0;
    }
    default:
      return -ERRNO.ENOSYS;
  }
}
