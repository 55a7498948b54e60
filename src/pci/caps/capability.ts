import { type Register, readLe, type Width } from '../../core/index.ts';

/** What a capability's tables may depend on: its own bytes and what kind of function it sits in. */
export interface CapabilityView {
  /** The function's whole image. */
  readonly image: Uint8Array;
  /** Where the capability begins. */
  readonly at: number;
  readonly function: FunctionTraits;
}

/** Facts about a function that follow from its image and that several tables ask for. */
export interface FunctionTraits {
  /** Header layout: 0 device, 1 PCI-to-PCI bridge, 2 CardBus. */
  readonly headerType: number;
  /** Device/Port Type of the PCI Express capability (PCIe 5.0 §7.5.3.2), or −1 without one. */
  readonly portType: number;
  /** Where the PCI Express capability stands, 0 without one. */
  readonly expressAt: number;
  /** True if it has virtio vendor capabilities (virtio 1.1 §4.1.4). */
  readonly virtio: boolean;
}

/** Device/Port Type values, PCIe 5.0 §7.5.3.2. */
export const PORT_TYPE = {
  endpoint: 0,
  legacyEndpoint: 1,
  rootPort: 4,
  upstream: 5,
  downstream: 6,
  pcieToPci: 7,
  pciToPcie: 8,
  integratedEndpoint: 9,
  eventCollector: 10,
} as const;

/**
 * What QEMU 7.2 makes of one register: bits that take writes, bits that a written 1 clears, and what its reset does.
 * A register without a rule is read-only there and survives its reset.
 */
export interface QemuRule {
  writable?: number;
  w1c?: number;
  /** Bits that reset changes, whether or not a guest can; `'writable'`: those a guest can change. */
  reset?: number | 'writable';
  /** What they become, 0 if not given. */
  to?: number;
}

/** A kind of capability: its registers as data. */
export interface Capability {
  readonly id: number;
  /** True in extended space (PCIe 5.0 §7.6), where ids count anew. */
  readonly extended?: true;
  readonly name: string;
  /** Bytes it takes. */
  sizeBytes(view: CapabilityView): number;
  /** Registers behind the header (id, next pointer), at offsets from the capability, as PCI and PCIe have them. */
  registers(view: CapabilityView): readonly Register[];
  /** Deviation: the same registers in QEMU 7.2, by register name; docs/qemu-deviations.md lists them. */
  qemu?(view: CapabilityView): Readonly<Record<string, QemuRule>>;
}

/** A value of the capability's own bytes, 0 beyond the image. */
export function peek(view: CapabilityView, offset: number, width: Width): number {
  return view.at + offset + width <= view.image.length ? readLe(view.image, view.at + offset, width) : 0;
}
