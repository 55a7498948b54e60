/** Hypercall numbers. public/xen.h */
export const HYPERCALL = {
  eventChannelOpCompat: 16,
  xenVersion: 17,
  physdevOpCompat: 19,
  eventChannelOp: 32,
  physdevOp: 33,
  hvmOp: 34,
  domctl: 36,
  /** Xen 4.9 and later. */
  dmOp: 41,
} as const;

/** The caller itself; also the first number that is no ordinary domain. */
export const DOMID_SELF = 0x7ff0;
export const DOMID_IO = 0x7ff1;
export const DOMID_INVALID = 0x7ff4;

/** Emulation flag of a domain: HVM guests may route interrupts over pirqs. public/arch-x86/xen.h, Xen 4.9 and later. */
export const XEN_X86_EMU_USE_PIRQ = 0x200;

/** Sub-operation and feature bit by which a guest learns that HVM pirqs exist. public/version.h, public/features.h */
export const XENVER_GET_FEATURES = 6;
export const XENFEAT = { hvmCallbackVector: 8, hvmSafePvclock: 9, hvmPirqs: 10, dom0: 11 } as const;

/** Errno values as Xen returns them (negated). public/errno.h */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ENODATA: 61,
  ETIME: 62,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EILSEQ: 84,
  ERESTART: 85,
  ENOTSOCK: 88,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
} as const;

const errnoNames = new Map<number, string>(Object.entries(ERRNO).map(([name, value]) => [value, name]));

/** `-EBUSY` for −16; other numbers as they are. */
export function formatRet(ret: number): string {
  const name = ret < 0 ? errnoNames.get(-ret) : undefined;
  return name ? `-${name}` : String(ret);
}
