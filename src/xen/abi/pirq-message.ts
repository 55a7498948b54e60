/** An MSI message: 64-bit address as two unsigned words, 32-bit data. */
export interface MsiMessage {
  addressLo: number;
  addressHi: number;
  data: number;
}

/** Data word of a pirq message: vector 0 (so that Xen takes the message as a pirq), delivery mode and level differ. */
export const PIRQ_DATA = {
  /** Linux up to 5.10: delivery mode 3, level assert. arch/x86/include/asm/msidef.h, arch/x86/pci/xen.c */
  'linux-5.10': 0x4300,
  /** Linux 5.11 and later: delivery mode 7 (as on Linux 6.1, reference xen-observed). arch/x86/pci/xen.c */
  'linux-5.11': 0x0700,
} as const;

/** The message by which a guest names `pirq` (0 … 2^32 − 1). arch/x86/hvm/irq.c: hvm_inject_msi reads it back. */
export function encodePirqMessage(pirq: number, data: number = PIRQ_DATA['linux-5.10']): MsiMessage {
  return {
    addressLo: (0xfee00000 | ((pirq & 0xff) << 12)) >>> 0,
    addressHi: (pirq & 0xffffff00) >>> 0,
    data,
  };
}

/**
 * The pirq that a message with vector 0 names, unsigned; −1 if the vector is not 0, so that it is an ordinary message.
 * Address bits 12–19 are the low byte, bits 40–63 the rest; nothing else is looked at, not even the 0xfee prefix.
 */
export function decodePirqMessage(addressLo: number, addressHi: number, data: number): number {
  if (data & 0xff) return -1;
  return ((addressHi & 0xffffff00) | ((addressLo >>> 12) & 0xff)) >>> 0;
}

/** `gflags` of a binding as a device model derives them from a message. QEMU hw/xen/xen_pt_msi.c: msi_gflags */
export function msiGflags(addressLo: number, data: number): number {
  return (
    ((addressLo >>> 12) & 0xff) |
    (((addressLo >>> 3) & 1) << 8) |
    (((addressLo >>> 2) & 1) << 9) |
    (((data >>> 8) & 7) << 12) |
    (((data >>> 15) & 1) << 15)
  );
}
