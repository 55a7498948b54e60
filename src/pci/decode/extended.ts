import { decodeAer } from './ecaps/aer.ts';
import { decodeDvsec } from './ecaps/dvsec.ts';
import { decodeL1pm, decodePtm } from './ecaps/link-power.ts';
import { decodeMulticast } from './ecaps/multicast.ts';
import { decodeResizableBar } from './ecaps/rebar.ts';
import { decodeEventCollector, decodeRootComplexLink } from './ecaps/root-complex.ts';
import {
  decodeAcs,
  decodeAri,
  decodeAts,
  decodeDoe,
  decodeDpc,
  decodeLtr,
  decodePasid,
  decodePri,
  decodeSecondaryExpress,
  decodeSerialNumber,
  decodeTph,
  decodeVendorExtended,
} from './ecaps/small.ts';
import { decodeSrIov } from './ecaps/sriov.ts';
import { decodeVirtualChannel } from './ecaps/vc.ts';
import { hexText } from './layout.ts';
import type { Page } from './page.ts';

/** Prints one extended capability, the rest of the line after `[100 v1] `; `portType` is −1 without PCI Express. */
export type ExtendedDecoder = (page: Page, at: number, portType: number) => void;

const named =
  (name: string): ExtendedDecoder =>
  (page) =>
    page.put(`${name}\n`);

/** By capability ID, PCI Code and ID Assignment 1.11 §3. Names with `<?>` are those that lspci 3.9.0 does not decode. */
const DECODERS: Record<number, ExtendedDecoder> = {
  0: named('Null'),
  1: decodeAer,
  2: decodeVirtualChannel,
  3: decodeSerialNumber,
  4: named('Power Budgeting <?>'),
  5: decodeRootComplexLink,
  6: named('Root Complex Internal Link <?>'),
  7: decodeEventCollector,
  8: named('Multi-Function Virtual Channel <?>'),
  9: decodeVirtualChannel,
  10: named('Root Complex Register Block <?>'),
  11: decodeVendorExtended,
  13: decodeAcs,
  14: decodeAri,
  15: decodeAts,
  16: decodeSrIov,
  17: named('Multi-Root I/O Virtualization <?>'),
  18: decodeMulticast,
  19: decodePri,
  21: decodeResizableBar('Physical'),
  22: named('Dynamic Power Allocation <?>'),
  23: decodeTph,
  24: decodeLtr,
  25: decodeSecondaryExpress,
  26: named('Protocol Multiplexing <?>'),
  27: decodePasid,
  28: named('LN Requester <?>'),
  29: decodeDpc,
  30: decodeL1pm,
  31: decodePtm,
  32: named('PCI Express over M_PHY <?>'),
  33: named('FRS Queueing <?>'),
  34: named('Readiness Time Reporting <?>'),
  35: decodeDvsec,
  36: decodeResizableBar('Virtual'),
  37: named('Data Link Feature <?>'),
  38: named('Physical Layer 16.0 GT/s <?>'),
  39: named('Lane Margining at the Receiver <?>'),
  40: named('Hierarchy ID <?>'),
  41: named('Native PCIe Enclosure Management <?>'),
  46: decodeDoe,
};

/** Prints the list that begins at 100h. */
export function decodeExtendedCapabilities(page: Page, portType: number): void {
  const seen = new Set<number>();
  let at = 0x100;
  do {
    if (!page.has(at, 4)) return;
    const header = page.u32(at);
    if (header === 0 || header === 0xffffffff) return;
    page.put(`\tCapabilities: [${hexText(at, 3)} v${(header >> 16) & 15}] `);
    if (seen.has(at)) {
      page.put('<chain looped>\n');
      return;
    }
    seen.add(at);
    const id = header & 0xffff;
    if (DECODERS[id]) DECODERS[id](page, at, portType);
    else page.put(`Extended Capability ID 0x${hexText(id, 1)}\n`);
    at = (header >>> 20) & ~3;
  } while (at);
}
