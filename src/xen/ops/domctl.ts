import {
  codec,
  DOMCTL,
  DOMCTL_ASSIGN_DEVICE,
  DOMCTL_BIND_PT_IRQ,
  DOMCTL_BIND_PT_IRQ_4_4,
  DOMCTL_IRQ_PERMISSION,
  DOMCTL_IRQ_PERMISSION_4_4,
  DOMID_INVALID,
  DOMID_IO,
  ERRNO,
  XEN_DOMCTL,
} from '../abi/index.ts';
import type { Domain } from '../domain.ts';
import { createBinding, destroyBinding, type PtBinding } from '../dpci.ts';
import { mayManage } from '../event-channel.ts';
import type { Host } from '../host.ts';
import { assignDevice, deassignDevice } from '../pci.ts';
import type { Argument } from './argument.ts';

const DEV_PCI = 0;
const RDM_RELAXED = 1;

/** domctl(arg): nothing is written back by the commands known here. common/domctl.c: do_domctl */
export function domctl(h: Host, caller: Domain, arg: Argument): number {
  const c = codec(XEN_DOMCTL);
  const bytes = arg.copyIn(c.size);
  if (!bytes) return -ERRNO.EFAULT;
  const op = c.decode(bytes);
  if (op.interface_version !== h.profile.domctlVersion) return -ERRNO.EACCES;
  const assigns = op.cmd === DOMCTL.assignDevice || op.cmd === DOMCTL.deassignDevice;
  let d: Domain | undefined;
  if (assigns && op.domain === DOMID_INVALID) return -ERRNO.ESRCH;
  if (!(assigns && op.domain === DOMID_IO) && !(op.cmd === DOMCTL.testAssignDevice && op.domain === DOMID_INVALID)) {
    d = h.domainById(op.domain);
    if (!d) return caller.isHardwareDomain || !h.profile.domctlHidesDomains ? -ERRNO.ESRCH : -ERRNO.EPERM;
  }
  const managers = op.cmd === DOMCTL.bindPtIrq || op.cmd === DOMCTL.unbindPtIrq;
  if (h.profile.domctlPermission === 'first' && !(managers ? mayManage(caller, d!) : caller.isHardwareDomain))
    return -ERRNO.EPERM;
  switch (op.cmd) {
    case DOMCTL.bindPtIrq:
      return bindPtIrq(h, caller, d!, decodeBinding(h, op.u));
    case DOMCTL.unbindPtIrq:
      return unbindPtIrq(h, caller, d!, decodeBinding(h, op.u));
    case DOMCTL.irqPermission:
      return irqPermission(h, caller, d!, op.u);
    case DOMCTL.assignDevice:
    case DOMCTL.testAssignDevice:
    case DOMCTL.deassignDevice:
      return caller.isHardwareDomain ? deviceOp(h, caller, d, op.cmd, op.u) : -ERRNO.EPERM;
    default:
      return caller.isHardwareDomain ? -ERRNO.ENOSYS : -ERRNO.EPERM;
  }
}

function decodeBinding(h: Host, u: Uint8Array): PtBinding {
  const spec = h.profile.domctlLayout === '4.10' ? DOMCTL_BIND_PT_IRQ : DOMCTL_BIND_PT_IRQ_4_4;
  const b = codec(spec).decode(u);
  return {
    pirq: b.machine_irq | 0,
    type: b.irq_type,
    gvec: b['u.msi.gvec'],
    gflags: b['u.msi.gflags'] | 0,
    hasTable: b['u.msi.gtable'] !== 0n,
    bus: b['u.pci.bus'],
    device: b['u.pci.device'],
    intx: b['u.pci.intx'],
  };
}

/** XEN_DOMCTL_bind_pt_irq: -EINVAL, -EPERM (not its manager; pirq without irq; no access), -ESRCH (no IOMMU), then its own. */
export function bindPtIrq(h: Host, caller: Domain, d: Domain, b: PtBinding): number {
  if (!d.isHvm) return -ERRNO.EINVAL;
  if (!mayManage(caller, d)) return -ERRNO.EPERM;
  if (!caller.mayUseIrq(d.irqOf(b.pirq))) return -ERRNO.EPERM;
  return d.iommu ? createBinding(h, d, b) : -ERRNO.ESRCH;
}

/** XEN_DOMCTL_unbind_pt_irq: as {@link bindPtIrq}. */
export function unbindPtIrq(h: Host, caller: Domain, d: Domain, b: PtBinding): number {
  const checksKind = h.profile.domctlLayout === '4.10';
  if (checksKind && !d.isHvm) return -ERRNO.EINVAL;
  if (!mayManage(caller, d)) return -ERRNO.EPERM;
  if (!caller.mayUseIrq(d.irqOf(b.pirq))) return -ERRNO.EPERM;
  return d.iommu ? destroyBinding(h, d, b) : 0;
}

/** XEN_DOMCTL_irq_permission: the irq behind a pirq of the caller. */
function irqPermission(h: Host, caller: Domain, d: Domain, u: Uint8Array): number {
  const spec = h.profile.domctlLayout === '4.4' ? DOMCTL_IRQ_PERMISSION_4_4 : DOMCTL_IRQ_PERMISSION;
  const op = codec(spec).decode(u);
  if (op.pirq >= caller.nrPirqs) return -ERRNO.EINVAL;
  const irq = caller.irqOf(op.pirq);
  if (!irq || !caller.isHardwareDomain || !caller.mayUseIrq(irq)) return -ERRNO.EPERM;
  d.irqCaps[irq] = op.allow_access ? 1 : 0;
  return 0;
}

function deviceOp(h: Host, caller: Domain, d: Domain | undefined, cmd: number, u: Uint8Array): number {
  const op = codec(DOMCTL_ASSIGN_DEVICE).decode(u);
  if (d === caller) return -ERRNO.EINVAL;
  if (op.dev !== DEV_PCI) return -ERRNO.ENODEV;
  const sbdf = op['u.pci.machine_sbdf'];
  if (cmd === DOMCTL.deassignDevice) return op.flags ? -ERRNO.EINVAL : deassignDevice(h, caller, d, sbdf);
  if (cmd === DOMCTL.assignDevice)
    return d?.dying || op.flags & ~RDM_RELAXED ? -ERRNO.EINVAL : assignDevice(h, caller, d, sbdf);
  if (op.flags) return -ERRNO.EINVAL;
  const dev = h.devices.find(sbdf);
  const free = dev >= 0 && [h.hardwareDomain?.id, DOMID_IO].includes(h.devices.owner[dev]);
  return free ? 0 : -ERRNO.EINVAL;
}
