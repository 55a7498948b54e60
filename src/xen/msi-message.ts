import { ERRNO, type MsiMessage } from './abi/index.ts';
import type { Host } from './host.ts';
import { MSIX_ENABLE, memoryDecoded, readControl } from './msi-config.ts';
import { MSI_TYPE } from './msi-table.ts';

const BASE = 0xfee00000;
const LOGICAL = 0x4;
const LOWEST_PRIORITY_HINT = 0x8;
const ASSERT = 0x4000;
const LOWEST_PRIORITY = 0x100;
/** VT-d remappable format: bit 4 of the address; sub-handle valid: bit 3. VT-d specification §5.1.2.2 */
const REMAPPABLE = 0x10;
const SUBHANDLE_VALID = 0x8;
const HANDLE_BITS = 16;

/** Address bits 12–19 for a CPU, or for any CPU that the irq's vector is taken on (−1). */
function destination(h: Host, cpu: number, vectorCpu: number): number {
  if (!h.flat) return cpu < 0 ? vectorCpu : cpu;
  return cpu < 0 ? (1 << h.size.cpus) - 1 : 1 << cpu;
}

/**
 * Composes the descriptor's message for the irq's vector and target CPU, as it would be without remapping.
 * arch/x86/msi.c: msi_compose_msg, set_msi_affinity
 */
export function fillMessage(h: Host, msi: number, irq: number): void {
  const { msis, irqs, profile } = h;
  const vector = irqs.vector[irq];
  msis.messageHi[msi] = 0;
  if (vector < profile.vectors.first) {
    msis.messageLo[msi] = msis.messageData[msi] = 0;
    return;
  }
  // beyond eight bits only a remapping entry can name the CPU, which takes it from the irq
  const dest = (destination(h, irqs.target[irq], irqs.cpu[irq]) & 0xff) << 12;
  msis.messageLo[msi] = BASE | dest | (h.flat ? LOGICAL | LOWEST_PRIORITY_HINT : 0);
  msis.messageData[msi] = ASSERT | (h.flat ? LOWEST_PRIORITY : 0) | vector;
}

/** The descriptor's message as the device must send it: with remapping, a reference to the remapping entry. */
export function deviceMessage(h: Host, msi: number): MsiMessage {
  const { msis } = h;
  if (!h.intremap)
    return {
      addressLo: msis.messageLo[msi] >>> 0,
      addressHi: msis.messageHi[msi] >>> 0,
      data: msis.messageData[msi],
    };
  const handle = msis.type[msi] === MSI_TYPE.msi ? msi - msis.entry[msi] : msi;
  const index = ((handle & 0x7fff) << 5) | (((handle >>> 15) & 1) << 2);
  const addressLo = (BASE | index | REMAPPABLE | SUBHANDLE_VALID) >>> 0;
  return { addressLo, addressHi: handle >>> HANDLE_BITS, data: msi - handle };
}

/**
 * Writes the descriptor's message to the device, by way of the interrupt remapper if there is one. 0 or −errno.
 * arch/x86/msi.c: write_msi_msg; drivers/passthrough/vtd/intremap.c: msi_msg_to_remap_entry
 */
export function writeMessage(h: Host, msi: number, force: boolean): number {
  const { msis, devices, bus } = h;
  const entry = msis.entry[msi];
  if (h.intremap) {
    if (h.state[0] && --h.state[0] === 0) return -ERRNO.EIO;
    if (msi >= h.profile.limits.remappingEntries) return -ERRNO.EFAULT;
    msis.remapped[msi] = 1;
    if (!force && h.profile.skipsUnforcedMessage) return 0;
  }
  const { addressLo, addressHi, data } = deviceMessage(h, msi);
  const dev = msis.dev[msi];
  if (msis.type[msi] === MSI_TYPE.msix) {
    if (!(readControl(h, dev, MSI_TYPE.msix) & MSIX_ENABLE) || !memoryDecoded(h, dev)) return -ERRNO.ENXIO;
    bus.writeMmio(msis.address[msi], addressLo);
    bus.writeMmio(msis.address[msi] + 4, addressHi);
    bus.writeMmio(msis.address[msi] + 8, data);
    return 0;
  }
  if (entry) return 0; // the device derives the messages of the other vectors from the first
  const sbdf = devices.sbdf[dev] >>> 0;
  const pos = devices.msiPos[dev];
  bus.writeConfig(sbdf, pos + 4, 4, addressLo);
  if (msis.addr64[msi]) bus.writeConfig(sbdf, pos + 8, 4, addressHi);
  bus.writeConfig(sbdf, pos + (msis.addr64[msi] ? 12 : 8), 2, data & 0xffff);
  return 0;
}

/** The descriptor that a message in remappable format refers to, or −1 if the remapper blocks it. */
export function remappedMsi(h: Host, addressLo: number, addressHi: number, data: number): number {
  const handle = ((addressLo >>> 5) & 0x7fff) | (((addressLo >>> 2) & 1) << 15);
  const msi = addressHi * 2 ** HANDLE_BITS + handle + (addressLo & SUBHANDLE_VALID ? data & 0xffff : 0);
  const { remappingEntries } = h.profile.limits;
  if (!(addressLo & REMAPPABLE) || msi >= Math.min(h.msis.capacity, remappingEntries)) return -1;
  // where 16 bits are enough for all entries, the upper half of the address must be 0
  if (addressHi !== 0 && remappingEntries <= 2 ** HANDLE_BITS) return -1;
  return h.msis.remapped[msi] ? msi : -1;
}
