import { type Register, reg, whole } from '../core/index.ts';
import { type FunctionTraits, PORT_TYPE, type QemuRule } from './caps/capability.ts';

/** PCI Local Bus 3.0 §6.2.2, PCIe 5.0 §7.5.1.1.3. Bits that PCIe hardwires to 0 are `ro`. */
export const COMMAND = reg('command', 0x04, 2, {
  io: { at: 0, access: 'rw' },
  memory: { at: 1, access: 'rw' },
  busMaster: { at: 2, access: 'rw' },
  specialCycle: { at: 3, access: 'ro' },
  memoryWriteInvalidate: { at: 4, access: 'ro' },
  vgaSnoop: { at: 5, access: 'ro' },
  parityResponse: { at: 6, access: 'rw' },
  idselStepping: { at: 7, access: 'ro' },
  serr: { at: 8, access: 'rw' },
  fastBackToBack: { at: 9, access: 'ro' },
  intxDisable: { at: 10, access: 'rw' },
});

/** PCI Local Bus 3.0 §6.2.3, PCIe 5.0 §7.5.1.1.4. */
export const STATUS = reg('status', 0x06, 2, {
  immediateReadiness: { at: 0, access: 'ro' },
  intx: { at: 3, access: 'ro' },
  capabilityList: { at: 4, access: 'ro' },
  mhz66: { at: 5, access: 'ro' },
  fastBackToBack: { at: 7, access: 'ro' },
  masterDataParityError: { at: 8, access: 'rw1c' },
  devselTiming: { at: 9, width: 2, access: 'ro' },
  signalledTargetAbort: { at: 11, access: 'rw1c' },
  receivedTargetAbort: { at: 12, access: 'rw1c' },
  receivedMasterAbort: { at: 13, access: 'rw1c' },
  signalledSystemError: { at: 14, access: 'rw1c' },
  detectedParityError: { at: 15, access: 'rw1c' },
});

export const COMMAND_AT = 0x04;
export const STATUS_AT = 0x06;
export const BRIDGE_CONTROL_AT = 0x3e;
export const CMD = { io: 1, memory: 2, busMaster: 4, serr: 0x100, intxDisable: 0x400 } as const;
export const STATUS_INTX = 8;
export const BRIDGE_CONTROL_RESET = 0x40;

/** Registers that stand at the same place in every header type. PCIe 5.0 §7.5.1.1. */
const COMMON: readonly Register[] = [
  whole('vendorId', 0x00, 2, 'ro'),
  whole('deviceId', 0x02, 2, 'ro'),
  COMMAND,
  STATUS,
  reg('classRevision', 0x08, 4, {
    revision: { at: 0, width: 8, access: 'ro' },
    interface: { at: 8, width: 8, access: 'ro' },
    subClass: { at: 16, width: 8, access: 'ro' },
    baseClass: { at: 24, width: 8, access: 'ro' },
  }),
  whole('cacheLineSize', 0x0c, 1, 'rw'),
  whole('latencyTimer', 0x0d, 1, 'ro'),
  reg('headerType', 0x0e, 1, {
    layout: { at: 0, width: 7, access: 'ro' },
    multiFunction: { at: 7, access: 'ro' },
  }),
  whole('bist', 0x0f, 1, 'ro'),
  whole('capPtr', 0x34, 1, 'ro'),
  whole('interruptLine', 0x3c, 1, 'rw'),
  whole('interruptPin', 0x3d, 1, 'ro'),
];

/** Type 0, without the BARs and the ROM, which follow from their sizes. PCIe 5.0 §7.5.1.2. */
const TYPE0: readonly Register[] = [
  whole('cardbusCis', 0x28, 4, 'ro'),
  whole('subsystemVendorId', 0x2c, 2, 'ro'),
  whole('subsystemId', 0x2e, 2, 'ro'),
  whole('minGnt', 0x3e, 1, 'ro'),
  whole('maxLat', 0x3f, 1, 'ro'),
];

const window8 = (name: string, offset: number): Register =>
  reg(name, offset, 1, {
    addressing: { at: 0, width: 4, access: 'ro' },
    address: { at: 4, width: 4, access: 'rw' },
  });
const window16 = (name: string, offset: number): Register =>
  reg(name, offset, 2, {
    addressing: { at: 0, width: 4, access: 'ro' },
    address: { at: 4, width: 12, access: 'rw' },
  });

/** Type 1, without BARs and ROM. PCI-to-PCI Bridge 1.2 §3.2, PCIe 5.0 §7.5.1.3. */
function type1(image: Uint8Array): readonly Register[] {
  const io32 = (image[0x1c] & 15) === 1;
  const prefetchable = image[0x24] & 15 || image[0x24] || image[0x26] || image[0x25] || image[0x27];
  const prefetch64 = (image[0x24] & 15) === 1;
  return [
    whole('primaryBus', 0x18, 1, 'rw'),
    whole('secondaryBus', 0x19, 1, 'rw'),
    whole('subordinateBus', 0x1a, 1, 'rw'),
    whole('secondaryLatency', 0x1b, 1, 'ro'),
    window8('ioBase', 0x1c),
    window8('ioLimit', 0x1d),
    SECONDARY_STATUS,
    window16('memoryBase', 0x20),
    window16('memoryLimit', 0x22),
    prefetchable ? window16('prefetchBase', 0x24) : whole('prefetchBase', 0x24, 2, 'ro'),
    prefetchable ? window16('prefetchLimit', 0x26) : whole('prefetchLimit', 0x26, 2, 'ro'),
    whole('prefetchBaseUpper', 0x28, 4, prefetch64 ? 'rw' : 'ro'),
    whole('prefetchLimitUpper', 0x2c, 4, prefetch64 ? 'rw' : 'ro'),
    whole('ioBaseUpper', 0x30, 2, io32 ? 'rw' : 'ro'),
    whole('ioLimitUpper', 0x32, 2, io32 ? 'rw' : 'ro'),
    BRIDGE_CONTROL,
  ];
}

/** PCI-to-PCI Bridge 1.2 §3.2.4.5, PCIe 5.0 §7.5.1.3.7. */
const SECONDARY_STATUS = reg('secondaryStatus', 0x1e, 2, {
  mhz66: { at: 5, access: 'ro' },
  fastBackToBack: { at: 7, access: 'ro' },
  masterDataParityError: { at: 8, access: 'rw1c' },
  devselTiming: { at: 9, width: 2, access: 'ro' },
  signalledTargetAbort: { at: 11, access: 'rw1c' },
  receivedTargetAbort: { at: 12, access: 'rw1c' },
  receivedMasterAbort: { at: 13, access: 'rw1c' },
  receivedSystemError: { at: 14, access: 'rw1c' },
  detectedParityError: { at: 15, access: 'rw1c' },
});

/** PCI-to-PCI Bridge 1.2 §3.2.5.18, PCIe 5.0 §7.5.1.3.13. */
export const BRIDGE_CONTROL = reg('bridgeControl', BRIDGE_CONTROL_AT, 2, {
  parityResponse: { at: 0, access: 'rw' },
  serr: { at: 1, access: 'rw' },
  isa: { at: 2, access: 'rw' },
  vga: { at: 3, access: 'rw' },
  vga16: { at: 4, access: 'rw' },
  masterAbortMode: { at: 5, access: 'ro' },
  secondaryBusReset: { at: 6, access: 'rw' },
  fastBackToBack: { at: 7, access: 'ro' },
  primaryDiscardTimer: { at: 8, access: 'ro' },
  secondaryDiscardTimer: { at: 9, access: 'ro' },
  discardTimerStatus: { at: 10, access: 'ro' },
  discardTimerSerr: { at: 11, access: 'ro' },
});

/** The registers of a header, from its own bytes. A CardBus header (type 2) has only the common ones. */
export function headerRegisters(image: Uint8Array, traits: FunctionTraits): readonly Register[] {
  if (traits.headerType === 0) return [...COMMON, ...TYPE0];
  if (traits.headerType === 1) return [...COMMON, ...type1(image)];
  return COMMON;
}

/**
 * Deviation: QEMU 7.2's header, `hw/pci/pci.c: pci_init_wmask, pci_init_w1cmask, pci_init_mask_bridge,
 * pci_do_device_reset`; `hw/pci/pci_bridge.c: pci_bridge_reset, pci_bridge_disable_base_limit`.
 */
export function headerQemu(traits: FunctionTraits): Readonly<Record<string, QemuRule>> {
  const common = {
    command: { writable: 0x0507, reset: 'writable' },
    status: { w1c: 0xf900, reset: 'writable' },
    cacheLineSize: { writable: 0xff, reset: 0xff },
    interruptLine: { writable: 0xff, reset: 'writable' },
  } as const;
  if (traits.headerType !== 1) return common;
  // root ports leave reset with closed windows (bases at the top), xio3130's and other bridges with bases at 0
  const base = traits.portType === PORT_TYPE.rootPort ? 0xffffffff : 0;
  const conventional = [-1, PORT_TYPE.pcieToPci, PORT_TYPE.pciToPcie].includes(traits.portType as -1);
  return {
    ...common,
    primaryBus: { writable: 0xff, reset: 0xff },
    secondaryBus: { writable: 0xff, reset: 0xff },
    subordinateBus: { writable: 0xff, reset: 0xff },
    secondaryLatency: { writable: 0xff, reset: 0xff },
    ioBase: { writable: 0xf0, reset: 0xf0, to: base },
    ioLimit: { writable: 0xf0, reset: 0xf0 },
    memoryBase: { writable: 0xfff0, reset: 0xfff0, to: base },
    memoryLimit: { writable: 0xfff0, reset: 0xfff0 },
    prefetchBase: { writable: 0xfff0, reset: 0xfff0, to: base },
    prefetchLimit: { writable: 0xfff0, reset: 0xfff0 },
    prefetchBaseUpper: { writable: 0xffffffff, reset: 0xffffffff },
    prefetchLimitUpper: { writable: 0xffffffff, reset: 0xffffffff },
    bridgeControl: { writable: conventional ? 0x0bff : 0x005f, reset: 0xffff },
  };
}
