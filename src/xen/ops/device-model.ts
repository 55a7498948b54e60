import { codec, DM_OP_INJECT_MSI, DMOP, ERRNO, HVM_INJECT_MSI, HVMOP } from '../abi/index.ts';
import type { Domain } from '../domain.ts';
import { domainByAnyId, mayManage } from '../event-channel.ts';
import type { Host } from '../host.ts';
import { injectMsi } from '../inject.ts';
import type { Argument } from './argument.ts';

/** Operation number and padding come first, then what the operation needs. public/hvm/dm_op.h */
const HEADER = 8;
/** Operations below this exist but are no business of this model. */
const LAST_DMOP = 21;

/** dm_op(domid, buffers). common/dm.c: do_dm_op, arch/x86/hvm/dm.c: dm_op */
export function dmOp(h: Host, caller: Domain, domid: number, buffers: readonly Argument[]): number {
  if (h.profile.msiInjection !== 'dmop') return -ERRNO.ENOSYS;
  if (buffers.length === 0) return -ERRNO.ENODATA;
  if (buffers.length > 2) return -ERRNO.E2BIG;
  const d = domainByAnyId(h, caller, domid);
  if (!d) return -ERRNO.ESRCH;
  if (d === caller) return -ERRNO.EPERM;
  if (!d.isHvm) return -ERRNO.EINVAL;
  if (!mayManage(caller, d)) return -ERRNO.EPERM;
  const c = codec(DM_OP_INJECT_MSI);
  const header = buffers[0].copyIn(HEADER);
  if (!header) return -ERRNO.EFAULT;
  const op = header[0] | (header[1] << 8) | (header[2] << 16) | (header[3] << 24);
  if (op < 0 || op > LAST_DMOP) return -ERRNO.EOPNOTSUPP;
  if (op !== DMOP.injectMsi) return header.subarray(4).some((b) => b) ? -ERRNO.EINVAL : -ERRNO.EOPNOTSUPP;
  const bytes = buffers[0].copyIn(c.at['u.inject_msi.addr'] + 8);
  if (!bytes) return -ERRNO.EFAULT;
  if (header.subarray(4).some((b) => b)) return -ERRNO.EINVAL;
  const whole = new Uint8Array(c.size);
  whole.set(bytes);
  const message = c.decode(whole);
  if (message['u.inject_msi.pad']) return -ERRNO.EINVAL;
  return inject(h, d, message['u.inject_msi.addr'], message['u.inject_msi.data']);
}

/** hvm_op(cmd, arg): only the injection of Xen 4.2 to 4.8. */
export function hvmOp(h: Host, caller: Domain, cmd: number, arg: Argument): number {
  if (cmd !== HVMOP.injectMsi || h.profile.msiInjection !== 'hvmop') return -ERRNO.ENOSYS;
  const c = codec(HVM_INJECT_MSI);
  const bytes = arg.copyIn(c.size);
  if (!bytes) return -ERRNO.EFAULT;
  const op = c.decode(bytes);
  const d = domainByAnyId(h, caller, op.domid);
  if (!d) return -ERRNO.ESRCH;
  if (d === caller) return -ERRNO.EPERM;
  if (!d.isHvm) return -ERRNO.EINVAL;
  if (!mayManage(caller, d)) return -ERRNO.EPERM;
  const ret = inject(h, d, op.addr, op.data);
  return h.profile.injectMsi === 'silent' ? 0 : ret;
}

function inject(h: Host, d: Domain, address: bigint, data: number): number {
  return injectMsi(h, d, Number(address & 0xffffffffn), Number(address >> 32n), data);
}
