/**
 * Numbers of the vfio-user protocol (QEMU, docs/interop/vfio-user.rst) and of the parts of Linux's
 * include/uapi/linux/vfio.h that it builds on. All integers are little-endian.
 */

export const HEADER_BYTES = 16;

/** Largest count in one region or DMA access that the server takes. */
export const MAX_DATA_BYTES = 1 << 20;

/** Largest message: the header, the fields of a region write, the data. */
export const MAX_MESSAGE_BYTES = HEADER_BYTES + 16 + MAX_DATA_BYTES;

/** Mappings that one client may have. */
export const MAX_DMA_MAPS = 65535;

export const COMMAND = {
  version: 1,
  dmaMap: 2,
  dmaUnmap: 3,
  deviceGetInfo: 4,
  deviceGetRegionInfo: 5,
  deviceGetRegionIoFds: 6,
  deviceGetIrqInfo: 7,
  deviceSetIrqs: 8,
  regionRead: 9,
  regionWrite: 10,
  dmaRead: 11,
  dmaWrite: 12,
  deviceReset: 13,
  regionWriteMulti: 15,
  deviceFeature: 16,
  migDataRead: 17,
  migDataWrite: 18,
} as const;

/** Header flags. */
export const FLAG = { typeMask: 0xf, reply: 1, noReply: 0x10, error: 0x20 } as const;

export const DEVICE_INFO = { reset: 1, pci: 2 } as const;

export const REGION_COUNT = 9;
export const REGION = { rom: 6, config: 7, vga: 8 } as const;
export const REGION_INFO = { read: 1, write: 2 } as const;

export const IRQ_COUNT = 5;
export const IRQ = { intx: 0, msi: 1, msix: 2, err: 3, req: 4 } as const;
export const IRQ_INFO = { eventfd: 1, maskable: 2, automasked: 4, noResize: 8 } as const;
export const IRQ_SET = { none: 1, bool: 2, eventfd: 4, mask: 8, unmask: 16, trigger: 32 } as const;

/** Flags of DMA_MAP; the last two, of newer libvfio-user, choose how the server reaches the memory and are hints. */
export const DMA_MAP = { read: 1, write: 2, all: 0xf } as const;
export const DMA_UNMAP_ALL = 2;

/** Linux errno values that replies carry. */
export const ERRNO = {
  ENOENT: 2,
  EEXIST: 17,
  EINVAL: 22,
  EMFILE: 24,
  ENOSPC: 28,
  ENOSYS: 38,
  EOPNOTSUPP: 95,
} as const;

/** A 64-bit number as a float: exact below 2^53, and what is above that is compared only with what is below. */
export function u64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The client broke the protocol in a way after which its stream cannot be trusted; the connection ends. */
export class ProtocolError extends Error {
  override name = 'ProtocolError';
}
