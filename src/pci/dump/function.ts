import { readLe } from '../../core/index.ts';
import type { FunctionSpec } from '../spec.ts';
import { describeBars, type ToldSize } from './bars.ts';

/** Where a function's bytes came from. */
export type DumpFormat = 'lspci' | 'kernel-log' | 'hex' | 'sysfs-config';

/** Where a function is. */
export interface Slot {
  /** May exceed 16 bits (Intel VMD numbers its domains from 0x10000). */
  domain: number;
  /** Bus << 8 | device << 3 | function. */
  busDevFn: number;
}

/** One function as a dump has it, before anything is made of it. */
export interface RawFunction extends Slot {
  format: DumpFormat;
  /** False if the dump does not say where the function is. */
  named: boolean;
  /** What the dump calls the device, after its slot. */
  title: string;
  bytes: Uint8Array;
  /** Sizes that the dump's own text tells (`Region 0: … [size=16K]`). */
  sizes: ToldSize[];
  /** Line of the dump on which the function begins; 0 for binary input. */
  line: number;
}

/** A function found in a dump. `spec` makes a device of it; the rest tells what the dump said. */
export interface ParsedFunction {
  spec: FunctionSpec;
  format: DumpFormat;
  /** May exceed the 16 bits that `spec.bdf` has for it. */
  domain: number;
  /** Slot as printed, with its full domain: `0000:01:00.0`, `10000:e1:00.0`. */
  slot: string;
  title: string;
  /** The bytes as dumped, 64 to 4096; `spec.image` is padded with zero to 256 or 4096. */
  dumped: Uint8Array;
  /** What text or resource file told of BARs, where `spec.bars` has what became of it. */
  told: ToldSize[];
  line: number;
}

/**
 * Makes a {@link FunctionSpec} of a raw function: pads the image, takes BAR sizes from `sizes` (first match wins: pass
 * the better source first) and infers the rest.
 */
export function toParsedFunction(raw: RawFunction, sizes: ToldSize[] = raw.sizes): ParsedFunction {
  const image = new Uint8Array(raw.bytes.length > 256 ? 4096 : 256);
  image.set(raw.bytes);
  const id = (at: number) => readLe(image, at, 2).toString(16).padStart(4, '0');
  return {
    spec: {
      name: `${id(0)}:${id(2)}`,
      bdf: (((raw.domain & 0xffff) << 16) | raw.busDevFn) >>> 0,
      image,
      bars: describeBars(image, sizes),
    },
    format: raw.format,
    domain: raw.domain,
    slot: formatSlot(raw),
    title: raw.title,
    dumped: raw.bytes,
    told: sizes,
    line: raw.line,
  };
}

/** `0000:01:00.0`, the domain with as many digits as it needs. */
export function formatSlot({ domain, busDevFn }: Slot): string {
  const h = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  return `${h(domain, 4)}:${h(busDevFn >> 8, 2)}:${h((busDevFn >> 3) & 31, 2)}.${busDevFn & 7}`;
}
