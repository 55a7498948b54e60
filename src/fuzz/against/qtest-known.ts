import type { Layout } from '../../pci/index.ts';
import type { Difference } from './difference.ts';
import { QEMU_7_2, type QemuDeviation } from './qemu-7.2.ts';
import { idOf } from './qtest-actions.ts';

/** Vendor and device of the functions that deviations name. */
const NAMES: Record<string, string> = {
  '1234:11e8': 'edu',
  '1b36:0010': 'nvme',
  '8086:10d3': 'e1000e',
  '1b36:000d': 'qemu-xhci',
  '1af4:1001': 'virtio-blk-pci',
  '1af4:1042': 'virtio-blk-pci',
  '1b36:000c': 'pcie-root-port',
  '8086:3420': 'ioh3420',
};

/** What a bit does is the same for every device; what happens in time is known only of the devices it was seen on. */
const OF_A_DEVICE = ['abort', 'line', 'message', 'pending'];

/** The known deviations of QEMU 7.2 that may show on a function. */
export function knownOf({ image }: Layout): QemuDeviation[] {
  const name = NAMES[idOf(image)];
  const isIts = ({ devices }: QemuDeviation) => devices.some((d) => d.replace(/@port$/, '') === name);
  return QEMU_7_2.filter((d) => !OF_A_DEVICE.includes(d.law) || isIts(d));
}

/** Whether a difference is the known one: of its register, and in no other bits. */
export function isKnown(known: Pick<QemuDeviation, 'law' | 'register' | 'bits' | 'words'>, d: Difference): boolean {
  if (known.law !== d.law || known.register !== d.register) return false;
  if (known.words !== undefined && !d.text.includes(known.words)) return false;
  return known.bits === 0 || (d.bits & ~known.bits) === 0;
}
