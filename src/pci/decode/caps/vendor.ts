import { field, hexText } from '../layout.ts';
import type { Page } from '../page.ts';

/** cfg_type of a virtio structure. Virtio 1.1 §4.1.4. */
const VIRTIO_TYPES = [undefined, 'CommonCfg', 'Notify', 'ISR', 'DeviceCfg'];
const NOTIFY = 2;

/** A vendor-specific capability: length at cap+2; virtio devices say where their structures are. */
export function decodeVendor(page: Page, at: number, control: number): void {
  const length = field(control, 0, 8);
  const type = field(control, 8, 8);
  const device = page.u16(2);
  const virtio = page.u16(0) === 0x1af4 && device >= 0x1000 && device <= 0x107f;
  page.put('Vendor Specific Information: ');
  if (!virtio || length < 16 || !page.has(at, length)) {
    page.put(`Len=${hexText(length, 2)} <?>\n`);
    return;
  }
  page.put(`VirtIO: ${VIRTIO_TYPES[type] ?? '<unknown>'}\n`);
  const place = `BAR=${page.u8(at + 4)} offset=${hexText(page.u32(at + 8), 8)} size=${hexText(page.u32(at + 12), 8)}`;
  const multiplier = type === NOTIFY && length >= 20 ? ` multiplier=${hexText(page.u32(at + 16), 8)}` : '';
  page.line(2, place + multiplier);
}
