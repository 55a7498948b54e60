import { whole } from '../../core/index.ts';
import { type Capability, type CapabilityView, peek } from './capability.ts';

/** Structure type of the configuration access window, virtio 1.1 §4.1.4.7. */
const PCI_CFG = 5;

/** True if the vendor capability at `at` of a Red Hat (virtio) function is one of virtio's, virtio 1.1 §4.1.4. */
export function isVirtioCapability(image: Uint8Array, at: number): boolean {
  const vendor = image[0] | (image[1] << 8);
  return vendor === 0x1af4 && image[at] === 0x09 && image[at + 2] >= 0x10 && image[at + 3] >= 1 && image[at + 3] <= 8;
}

const isWindow = (view: CapabilityView) =>
  isVirtioCapability(view.image, view.at) && peek(view, 3, 1) === PCI_CFG && peek(view, 2, 1) >= 0x14;

/**
 * Vendor-specific, PCI Local Bus 3.0 §6.2.4: a length, then the vendor's own bytes, read-only here; virtio's structures
 * are known. Its configuration access window takes a BAR, an offset, a length and reads or writes the BAR through its
 * data field (virtio 1.1 §4.1.4.7).
 */
export const VENDOR: Capability = {
  id: 0x09,
  name: 'vendor',
  sizeBytes: (view) => Math.max(3, peek(view, 2, 1)),
  registers: (view) => {
    const list = [whole('vendor.length', 2, 1, 'ro')];
    if (!isVirtioCapability(view.image, view.at)) return list;
    const access = isWindow(view) ? 'rw' : 'ro';
    list.push(
      whole('virtio.type', 3, 1, 'ro'),
      whole('virtio.bar', 4, 1, access),
      whole('virtio.offset', 8, 4, access),
      whole('virtio.length', 12, 4, access),
    );
    if (peek(view, 2, 1) >= 0x14) list.push(whole(isWindow(view) ? 'virtio.data' : 'virtio.more', 16, 4, access));
    return list;
  },
  /** The same fields; reset leaves them as they are (`hw/virtio/virtio-pci.c: virtio_pci_reset`). */
  qemu: (view) =>
    isWindow(view)
      ? {
          'virtio.bar': { writable: 0xff },
          'virtio.offset': { writable: 0xffffffff },
          'virtio.length': { writable: 0xffffffff },
          'virtio.data': { writable: 0xffffffff },
        }
      : {},
};

/** Where the access window stands, or 0. */
export function virtioWindowAt(image: Uint8Array, capabilities: readonly { id: number; at: number }[]): number {
  const found = capabilities.find(
    (c) => c.id === 0x09 && isVirtioCapability(image, c.at) && image[c.at + 3] === PCI_CFG && image[c.at + 2] >= 0x14,
  );
  return found?.at ?? 0;
}
