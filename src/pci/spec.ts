/** Which rules a function follows: what PCI and PCIe say and hardware does, or QEMU 7.2's deviations from that. */
export type Flavour = 'spec' | 'qemu-7.2';

/** One base address register (0–5) or the ROM (6). */
export interface BarSpec {
  bar: number;
  kind: 'mem32' | 'mem64' | 'io' | 'rom';
  prefetchable?: boolean;
  /** A power of two. */
  sizeBytes: number;
  /** True if no source told the size and it was guessed from the image. */
  inferred?: boolean;
}

/**
 * Per-byte masks measured on a device: 1 bits of `writable` take the written value, of `w1c` clear on a written 1. The
 * latter hardly show from outside; without them they follow from the registers.
 */
export interface MeasuredMasks {
  writable: Uint8Array;
  w1c?: Uint8Array;
}

/**
 * All that is needed to make a PCI function: its configuration space as read from a device (`lspci -xxxx`, a probe, a
 * recording) and what an image cannot hold. Everything else (capabilities, masks, reset values) follows from the image
 * by the register tables.
 */
export interface FunctionSpec {
  name: string;
  bdf: number;
  /** 64, 256 or 4096 bytes as read; shorter images are padded with zero to 256. */
  image: Uint8Array;
  bars: BarSpec[];
  flavour?: Flavour;
  masks?: MeasuredMasks;
}
