import { formatHexLines, readConfigImage } from '../dump/write.ts';
import type { PciFunction } from '../function.ts';
import type { HostBridge } from '../host-bridge.ts';
import { decodeFunction, domainOf, terseLine } from './header.ts';
import type { DecodedFunction } from './page.ts';

const BUSES = 256;
const DEVFNS = 256;
const MULTI_FUNCTION = 0x80;

export interface ListingOptions {
  /** Text as of `lspci -vvv -n`; else one line a function. */
  decode?: boolean;
  /** Bytes of hex shown of each: 0 (the default), 64, 256 or 4096. */
  hexBytes?: number;
}

/** Functions as lspci lists them: sorted by slot, a blank line between those of more than a line. */
export function formatListing(functions: readonly DecodedFunction[], options: ListingOptions = {}): string {
  const { decode = false, hexBytes = 0 } = options;
  const sorted = [...functions].sort((a, b) => domainOf(a) - domainOf(b) || (a.bdf & 0xffff) - (b.bdf & 0xffff));
  const domains = sorted.some((fn) => domainOf(fn) > 0);
  const separator = decode || hexBytes > 0 ? '\n' : '';
  return sorted
    .map((fn) => {
      const text = decode ? decodeFunction(fn, domains) : `${terseLine(fn, domains)}\n`;
      return text + formatHexLines(fn.bytes, hexBytes) + separator;
    })
    .join('');
}

/** The registers of a function as they read now. */
export function listedFunction(fn: PciFunction): DecodedFunction {
  return { bdf: fn.bdf, bytes: readConfigImage(fn) };
}

/**
 * Every function that answers behind a host bridge, under the bus number at which it answers now. As software does, it
 * looks for functions 1 to 7 only where function 0 says that it is one of several (PCI 3.0 §6.2.1).
 */
export function functionsBehind(host: HostBridge): DecodedFunction[] {
  const functions: DecodedFunction[] = [];
  for (let bus = 0; bus < BUSES; bus++) {
    let several = false;
    for (let devfn = 0; devfn < DEVFNS; devfn++) {
      if (devfn & 7 && !several) continue;
      const found = host.find(bus, devfn);
      if (!(devfn & 7)) several = found !== undefined && (found.function.readConfig(0x0e, 1) & MULTI_FUNCTION) !== 0;
      if (found)
        functions.push({
          bdf: (bus << 8) | devfn,
          bytes: readConfigImage(found.function).subarray(0, found.configSize),
        });
    }
  }
  return functions;
}
