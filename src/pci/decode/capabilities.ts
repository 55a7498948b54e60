import { decodeAgp } from './caps/agp.ts';
import { decodeEnhancedAllocation } from './caps/ea.ts';
import { decodeExpress } from './caps/express.ts';
import { decodeHyperTransport } from './caps/hypertransport.ts';
import { decodeMsi, decodeMsix } from './caps/msi.ts';
import { decodePciX } from './caps/pcix.ts';
import { decodePm } from './caps/pm.ts';
import {
  decodeAdvancedFeatures,
  decodeDebugPort,
  decodeSata,
  decodeSlotId,
  decodeSubsystem,
  decodeVpd,
} from './caps/small.ts';
import { decodeVendor } from './caps/vendor.ts';
import { decodeExtendedCapabilities } from './extended.ts';
import { hexText } from './layout.ts';
import type { Page } from './page.ts';

/** Prints one capability, the rest of the line after `[40] `; `control` is the word at cap+2. */
export type CapabilityDecoder = (page: Page, at: number, control: number) => void;

const PCI_X = 0x07;
const EXPRESS = 0x10;

const named =
  (name: string): CapabilityDecoder =>
  (page) =>
    page.put(`${name}\n`);

/** By capability ID. PCI Code and ID Assignment 1.11 §2. */
const DECODERS: Record<number, CapabilityDecoder> = {
  0: named('Null'),
  1: decodePm,
  2: decodeAgp,
  3: decodeVpd,
  4: decodeSlotId,
  5: decodeMsi,
  6: named('CompactPCI hot-swap <?>'),
  [PCI_X]: decodePciX,
  8: decodeHyperTransport,
  9: decodeVendor,
  10: decodeDebugPort,
  11: named('CompactPCI central resource control <?>'),
  12: named('Hot-plug capable'),
  13: decodeSubsystem,
  14: named('AGP3 <?>'),
  15: named('Secure device <?>'),
  17: decodeMsix,
  18: decodeSata,
  19: decodeAdvancedFeatures,
  20: decodeEnhancedAllocation,
};

/** Prints the capability list whose pointer is at `pointerAt`, then the extended one if the function can have one. */
export function decodeCapabilities(page: Page, pointerAt: number): void {
  let extended = false;
  let portType = -1;
  const seen = new Set<number>();
  let at = page.u16(0x06) & 0x10 ? page.u8(pointerAt) & ~3 : 0;
  while (at) {
    page.put('\tCapabilities: ');
    if (!page.has(at, 4)) {
      page.put('<access denied>\n');
      break;
    }
    page.put(`[${hexText(at, 2)}] `);
    const id = page.u8(at);
    if (seen.has(at) || id === 0xff) {
      page.put(seen.has(at) ? '<chain looped>\n' : '<chain broken>\n');
      break;
    }
    seen.add(at);
    const control = page.u16(at + 2);
    if (id === EXPRESS) portType = decodeExpress(page, at, control);
    else if (DECODERS[id]) DECODERS[id](page, at, control);
    else page.put(`Capability ID 0x${hexText(id, 1)} [${hexText(control, 4)}]\n`);
    extended ||= id === EXPRESS || id === PCI_X;
    at = page.u8(at + 1) & ~3;
  }
  if (extended) decodeExtendedCapabilities(page, portType);
}
