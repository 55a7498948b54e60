import type { StructCodec } from '../abi/index.ts';
import {
  codec,
  ERRNO,
  MAP_PIRQ_TYPE,
  PHYSDEV_APIC,
  PHYSDEV_EOI,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_IRQ,
  PHYSDEV_IRQ_STATUS_QUERY,
  PHYSDEV_MAP_PIRQ,
  PHYSDEV_PIRQ_EOI_GMFN,
  PHYSDEV_SET_IOBITMAP,
  PHYSDEV_SET_IOPL,
  PHYSDEV_SETUP_GSI,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEVOP,
  XENIRQSTAT,
} from '../abi/index.ts';
import type { StructSpec, StructValue } from '../abi/struct.ts';
import type { Domain } from '../domain.ts';
import { domainByAnyId } from '../event-channel.ts';
import type { Host } from '../host.ts';
import {
  eoi,
  eoiAllUnmasked,
  getFreePirq,
  irqStatus,
  physdevMapPirq,
  physdevUnmapPirq,
  registerEoiPage,
} from '../physdev.ts';
import type { Argument } from './argument.ts';
import { pciPhysdevOp } from './physdev-pci.ts';

const IOPORTS = 65536;

/** Which commands an HVM domain may issue at all. arch/x86/hvm/hypercall.c: hvm_physdev_op */
function hvmMayCall(h: Host, d: Domain, cmd: number): boolean {
  const rules = h.profile.hvmPhysdevOps;
  switch (cmd) {
    case PHYSDEVOP.mapPirq:
    case PHYSDEVOP.unmapPirq:
      return rules !== '4.9' || d.hasPirq;
    case PHYSDEVOP.eoi:
    case PHYSDEVOP.irqStatusQuery:
    case PHYSDEVOP.getFreePirq:
      return rules === '4.4' || d.hasPirq;
    default:
      return false; // the rest is for a hardware domain, which is PV here
  }
}

/** physdev_op(cmd, arg). arch/x86/physdev.c: do_physdev_op, checks in its order */
export function physdevOp(h: Host, d: Domain, cmd: number, arg: Argument): number {
  if (d.isHvm && !hvmMayCall(h, d, cmd)) return -ERRNO.ENOSYS;
  switch (cmd) {
    case PHYSDEVOP.eoi: {
      const a = read(d, PHYSDEV_EOI, arg);
      return a ? eoi(h, d, a.value.irq) : -ERRNO.EFAULT;
    }
    case PHYSDEVOP.pirqEoiGmfnV1:
    case PHYSDEVOP.pirqEoiGmfnV2: {
      const a = read(d, PHYSDEV_PIRQ_EOI_GMFN, arg);
      return a ? registerEoiPage(d, a.value.gmfn, cmd === PHYSDEVOP.pirqEoiGmfnV1) : -ERRNO.EFAULT;
    }
    case PHYSDEVOP.irqUnmaskNotify:
      return eoiAllUnmasked(h, d);
    case PHYSDEVOP.irqStatusQuery: {
      const a = read(d, PHYSDEV_IRQ_STATUS_QUERY, arg);
      if (!a) return -ERRNO.EFAULT;
      const status = irqStatus(h, d, a.value.irq | 0);
      if (status.ret) return status.ret;
      const flags = XENIRQSTAT.needsEoi | (status.shared ? XENIRQSTAT.shared : 0);
      return write(a, arg, { flags });
    }
    case PHYSDEVOP.mapPirq:
      return mapPirqOp(h, d, arg);
    case PHYSDEVOP.unmapPirq: {
      const a = read(d, PHYSDEV_UNMAP_PIRQ, arg);
      if (!a) return -ERRNO.EFAULT;
      const target = domainByAnyId(h, d, a.value.domid);
      return target ? physdevUnmapPirq(h, d, target, a.value.domid, a.value.pirq) : -ERRNO.ESRCH;
    }
    case PHYSDEVOP.getFreePirq: {
      const a = read(d, PHYSDEV_GET_FREE_PIRQ, arg);
      if (!a) return -ERRNO.EFAULT;
      const pirq = getFreePirq(h, d, a.value.type);
      return pirq < 0 ? pirq : write(a, arg, { pirq });
    }
    case PHYSDEVOP.allocIrqVector: {
      const a = read(d, PHYSDEV_IRQ, arg);
      if (!a) return -ERRNO.EFAULT;
      return d.isHardwareDomain ? write(a, arg, { vector: a.value.irq }) : -ERRNO.EPERM;
    }
    case PHYSDEVOP.apicRead:
    case PHYSDEVOP.apicWrite: {
      const a = read(d, PHYSDEV_APIC, arg);
      if (!a) return -ERRNO.EFAULT;
      if (!d.isHardwareDomain) return -ERRNO.EPERM;
      // no IO-APIC registers here: every base is unknown; a read writes back even so
      return cmd === PHYSDEVOP.apicRead && !arg.copyOut(a.local) ? -ERRNO.EFAULT : -ERRNO.EINVAL;
    }
    case PHYSDEVOP.setIopl: {
      const a = read(d, PHYSDEV_SET_IOPL, arg);
      if (!a) return -ERRNO.EFAULT;
      return a.value.iopl > 3 ? -ERRNO.EINVAL : 0;
    }
    case PHYSDEVOP.setIobitmap: {
      const a = read(d, PHYSDEV_SET_IOBITMAP, arg);
      if (!a) return -ERRNO.EFAULT;
      return a.value.nr_ports > IOPORTS ? -ERRNO.EINVAL : 0;
    }
    case PHYSDEVOP.setupGsi: {
      const a = read(d, PHYSDEV_SETUP_GSI, arg);
      if (!a) return -ERRNO.EFAULT;
      const { gsi } = a.value;
      if (gsi < 0 || gsi >= h.gsis) return -ERRNO.EINVAL;
      if (!d.isHardwareDomain) return -ERRNO.EPERM;
      // every pin is programmed when the host starts, the cascade has none
      return gsi === 2 ? -ERRNO.EINVAL : -ERRNO.EEXIST;
    }
    default:
      return pciPhysdevOp(h, d, cmd, arg);
  }
}

function mapPirqOp(h: Host, d: Domain, arg: Argument): number {
  const a = read(d, PHYSDEV_MAP_PIRQ, arg);
  if (!a) return -ERRNO.EFAULT;
  const { value } = a;
  let { type } = value;
  let segment = 0;
  if (type === MAP_PIRQ_TYPE.msiSeg) {
    type = MAP_PIRQ_TYPE.msi;
    segment = value.bus >>> 16;
  } else if (type === MAP_PIRQ_TYPE.multiMsi) {
    if (value.table_base) return -ERRNO.EINVAL;
    segment = value.bus >>> 16;
  }
  const target = domainByAnyId(h, d, value.domid);
  if (!target) return h.profile.esrchWritesBack ? write(a, arg, { type }) || -ERRNO.ESRCH : -ERRNO.ESRCH;
  const result = physdevMapPirq(h, d, target, value.domid, {
    type,
    index: value.index,
    pirq: value.pirq,
    sbdf: segment * 0x10000 + ((value.bus & 0xff) << 8) + (value.devfn & 0xff),
    entry: value.entry_nr,
    tableBase: Number(value.table_base),
  });
  const { index, pirq } = result;
  const entry = type === MAP_PIRQ_TYPE.multiMsi ? { entry_nr: result.entry } : {};
  return write(a, arg, { type, index, pirq, ...entry }) || result.ret;
}

/** A structure read from the caller: its codec, Xen's private copy, and what it says. */
export interface Read<S extends StructSpec> {
  codec: StructCodec<S>;
  local: Uint8Array;
  value: StructValue<S>;
}

export function read<S extends StructSpec>(d: Domain, spec: S, arg: Argument): Read<S> | undefined {
  const c = codec(spec, d.abi);
  const local = arg.copyIn(c.size);
  return local && { codec: c, local, value: c.decode(local) };
}

/** Changes members and writes the whole structure back: 0 or -EFAULT. */
export function write<S extends StructSpec>(a: Read<S>, arg: Argument, changes: Partial<StructValue<S>>): number {
  a.codec.encode(changes, a.local);
  return arg.copyOut(a.local) ? 0 : -ERRNO.EFAULT;
}
