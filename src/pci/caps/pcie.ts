import { type Field, type Register, reg, whole } from '../../core/index.ts';
import { type Capability, type CapabilityView, PORT_TYPE, peek, type QemuRule } from './capability.ts';
import { slotQemu, slotRegisters } from './pcie-slot.ts';

/** Offsets in the PCI Express capability, PCIe 5.0 §7.5.3. */
export const PCIE = {
  flags: 0x02,
  deviceCaps: 0x04,
  deviceControl: 0x08,
  linkCaps: 0x0c,
  linkControl: 0x10,
  linkStatus: 0x12,
  slotCaps: 0x14,
  slotControl: 0x18,
  slotStatus: 0x1a,
  deviceCaps2: 0x24,
} as const;

/** Device Capabilities bit 28. */
export const DEVICE_CAPS_FLR = 0x1000_0000;

const when = (condition: number | boolean): 'rw' | 'ro' => (condition ? 'rw' : 'ro');

/** PCIe 5.0 §7.5.3.2. */
const FLAGS = reg('pcie.flags', PCIE.flags, 2, {
  version: { at: 0, width: 4, access: 'ro' },
  portType: { at: 4, width: 4, access: 'ro' },
  slot: { at: 8, access: 'ro' },
  interruptMessage: { at: 9, width: 5, access: 'ro' },
});

/** PCIe 5.0 §7.5.3.3. */
const DEVICE_CAPS = reg('pcie.deviceCaps', PCIE.deviceCaps, 4, {
  maxPayload: { at: 0, width: 3, access: 'ro' },
  phantom: { at: 3, width: 2, access: 'ro' },
  extendedTag: { at: 5, access: 'ro' },
  l0sLatency: { at: 6, width: 3, access: 'ro' },
  l1Latency: { at: 9, width: 3, access: 'ro' },
  roleBasedErrors: { at: 15, access: 'ro' },
  slotPowerValue: { at: 18, width: 8, access: 'ro', keptByFlr: true },
  slotPowerScale: { at: 26, width: 2, access: 'ro', keptByFlr: true },
  flr: { at: 28, access: 'ro' },
});

/** PCIe 5.0 §7.5.3.4. A bit whose feature Device Capabilities does not report may be hardwired to 0; here it is. */
function deviceControl(caps: number, port: number): Register {
  return reg('pcie.deviceControl', PCIE.deviceControl, 2, {
    correctable: { at: 0, access: 'rw' },
    nonFatal: { at: 1, access: 'rw' },
    fatal: { at: 2, access: 'rw' },
    unsupportedRequest: { at: 3, access: 'rw' },
    relaxedOrdering: { at: 4, access: 'rw', reset: 1 },
    maxPayload: { at: 5, width: 3, access: when(caps & 7), keptByFlr: true },
    extendedTag: { at: 8, access: when(caps & 0x20) },
    phantom: { at: 9, access: when(caps & 0x18) },
    auxPower: { at: 10, access: 'ro', sticky: true },
    noSnoop: { at: 11, access: 'rw', reset: 1 },
    maxReadRequest: { at: 12, width: 3, access: 'rw', reset: 2 },
    // Initiate FLR acts when written and reads 0; on a bridge to PCI it is Configuration Retry Enable
    [port === PORT_TYPE.pcieToPci ? 'configRetry' : 'initiateFlr']: {
      at: 15,
      access: when(port === PORT_TYPE.pcieToPci),
    },
  });
}

/** PCIe 5.0 §7.5.3.5. */
const DEVICE_STATUS = reg('pcie.deviceStatus', 0x0a, 2, {
  correctable: { at: 0, access: 'rw1c' },
  nonFatal: { at: 1, access: 'rw1c' },
  fatal: { at: 2, access: 'rw1c' },
  unsupportedRequest: { at: 3, access: 'rw1c' },
  auxPower: { at: 4, access: 'ro' },
  transactionsPending: { at: 5, access: 'ro' },
});

/** PCIe 5.0 §7.5.3.6. */
const LINK_CAPS = reg('pcie.linkCaps', PCIE.linkCaps, 4, {
  maxSpeed: { at: 0, width: 4, access: 'ro' },
  maxWidth: { at: 4, width: 6, access: 'ro' },
  aspm: { at: 10, width: 2, access: 'ro' },
  l0sLatency: { at: 12, width: 3, access: 'ro' },
  l1Latency: { at: 15, width: 3, access: 'ro' },
  clockPm: { at: 18, access: 'ro' },
  surpriseDown: { at: 19, access: 'ro' },
  linkActiveReporting: { at: 20, access: 'ro' },
  bandwidthNotification: { at: 21, access: 'ro' },
  aspmOptionality: { at: 22, access: 'ro' },
  port: { at: 24, width: 8, access: 'ro' },
});

/** PCIe 5.0 §7.5.3.7. FLR leaves the state of the link alone (§6.6.2). */
function linkControl(caps: number, port: number): Register {
  const downstream = port === PORT_TYPE.rootPort || port === PORT_TYPE.downstream;
  const notify = downstream && caps & 0x20_0000;
  const kept = { keptByFlr: true } as const;
  return reg('pcie.linkControl', PCIE.linkControl, 2, {
    aspm: { at: 0, width: 2, access: 'rw', ...kept },
    readCompletionBoundary: {
      at: 3,
      access: when([PORT_TYPE.endpoint, PORT_TYPE.legacyEndpoint].includes(port as 0)),
      ...kept,
    },
    disable: { at: 4, access: when(downstream) },
    retrain: { at: 5, access: 'ro' }, // acts when written, reads 0
    commonClock: { at: 6, access: 'rw', ...kept },
    extendedSync: { at: 7, access: 'rw', ...kept },
    clockPm: { at: 8, access: when(caps & 0x4_0000), ...kept },
    widthDisable: { at: 9, access: 'rw', ...kept },
    bandwidthInterrupt: { at: 10, access: when(notify) },
    autonomousInterrupt: { at: 11, access: when(notify) },
  });
}

/** PCIe 5.0 §7.5.3.8. */
function linkStatus(notify: boolean): Register {
  const event: Field['access'] = notify ? 'rw1c' : 'ro';
  return reg('pcie.linkStatus', PCIE.linkStatus, 2, {
    speed: { at: 0, width: 4, access: 'ro' },
    width: { at: 4, width: 6, access: 'ro' },
    training: { at: 11, access: 'ro' },
    slotClock: { at: 12, access: 'ro' },
    active: { at: 13, access: 'ro' },
    bandwidth: { at: 14, access: event },
    autonomous: { at: 15, access: event },
  });
}

/** PCIe 5.0 §7.5.3.12 to §7.5.3.14. */
const ROOT_REGISTERS = (visible: boolean): Register[] => [
  reg('pcie.rootControl', 0x1c, 2, {
    correctable: { at: 0, access: 'rw' },
    nonFatal: { at: 1, access: 'rw' },
    fatal: { at: 2, access: 'rw' },
    pmeInterrupt: { at: 3, access: 'rw' },
    crsVisibility: { at: 4, access: when(visible) },
  }),
  reg('pcie.rootCaps', 0x1e, 2, { crsVisibility: { at: 0, access: 'ro' } }),
  reg('pcie.rootStatus', 0x20, 4, {
    pmeRequester: { at: 0, width: 16, access: 'ro' },
    pmeStatus: { at: 16, access: 'rw1c' },
    pmePending: { at: 17, access: 'ro' },
  }),
];

/** PCIe 5.0 §7.5.3.15. */
const DEVICE_CAPS2 = reg('pcie.deviceCaps2', PCIE.deviceCaps2, 4, {
  completionTimeout: { at: 0, width: 4, access: 'ro' },
  completionTimeoutDisable: { at: 4, access: 'ro' },
  ariForwarding: { at: 5, access: 'ro' },
  atomicRouting: { at: 6, access: 'ro' },
  atomic32: { at: 7, access: 'ro' },
  atomic64: { at: 8, access: 'ro' },
  cas128: { at: 9, access: 'ro' },
  noRoPassing: { at: 10, access: 'ro' },
  ltr: { at: 11, access: 'ro' },
  tphCompleter: { at: 12, width: 2, access: 'ro' },
  lnSystemCls: { at: 14, width: 2, access: 'ro' },
  tag10Completer: { at: 16, access: 'ro' },
  tag10Requester: { at: 17, access: 'ro' },
  obff: { at: 18, width: 2, access: 'ro' },
  extendedFmt: { at: 20, access: 'ro' },
  tlpPrefix: { at: 21, access: 'ro' },
  maxTlpPrefixes: { at: 22, width: 2, access: 'ro' },
  emergencyPower: { at: 24, width: 2, access: 'ro' },
  emergencyPowerInit: { at: 26, access: 'ro' },
  frs: { at: 31, access: 'ro' },
});

/** PCIe 5.0 §7.5.3.16. */
function deviceControl2(caps: number): Register {
  return reg('pcie.deviceControl2', 0x28, 2, {
    completionTimeout: { at: 0, width: 4, access: when(caps & 0xf) },
    completionTimeoutDisable: { at: 4, access: when(caps & 0x10) },
    ariForwarding: { at: 5, access: when(caps & 0x20) },
    atomicRequester: { at: 6, access: when(caps & 0x1c0) },
    atomicEgressBlocking: { at: 7, access: when(caps & 0x40) },
    idoRequest: { at: 8, access: 'rw' },
    idoCompletion: { at: 9, access: 'rw' },
    ltr: { at: 10, access: when(caps & 0x800) },
    emergencyPower: { at: 11, access: when(caps & 0x0300_0000) },
    tag10Requester: { at: 12, access: when(caps & 0x2_0000) },
    obff: { at: 13, width: 2, access: when(caps & 0xc_0000) },
    tlpPrefixBlocking: { at: 15, access: when(caps & 0x20_0000) },
  });
}

/** PCIe 5.0 §7.5.3.18 to §7.5.3.20. */
function link2(caps: number): Register[] {
  const sticky = { access: 'rw', sticky: true } as const;
  return [
    reg('pcie.linkCaps2', 0x2c, 4, {
      speeds: { at: 1, width: 7, access: 'ro' },
      crosslink: { at: 8, access: 'ro' },
      retimers: { at: 23, width: 2, access: 'ro' },
      drs: { at: 31, access: 'ro' },
    }),
    reg('pcie.linkControl2', 0x30, 2, {
      targetSpeed: { at: 0, width: 4, reset: caps & 15, ...sticky },
      enterCompliance: { at: 4, ...sticky },
      speedDisable: { at: 5, ...sticky },
      deEmphasis: { at: 6, access: 'ro' },
      transmitMargin: { at: 7, width: 3, ...sticky },
      enterModifiedCompliance: { at: 10, ...sticky },
      complianceSos: { at: 11, ...sticky },
      compliancePreset: { at: 12, width: 4, ...sticky },
    }),
    reg('pcie.linkStatus2', 0x32, 2, {
      deEmphasis: { at: 0, access: 'ro' },
      equalizationComplete: { at: 1, access: 'ro' },
      phase1: { at: 2, access: 'ro' },
      phase2: { at: 3, access: 'ro' },
      phase3: { at: 4, access: 'ro' },
      equalizationRequest: { at: 5, access: 'rw1c', sticky: true },
      retimer: { at: 6, width: 2, access: 'ro' },
      crosslink: { at: 8, width: 2, access: 'ro' },
      downstreamPresence: { at: 12, width: 3, access: 'ro' },
      drsReceived: { at: 15, access: 'rw1c' },
    }),
  ];
}

const hasLink = (port: number) => port !== PORT_TYPE.integratedEndpoint && port !== PORT_TYPE.eventCollector;
const hasRoot = (port: number) => port === PORT_TYPE.rootPort || port === PORT_TYPE.eventCollector;
const version = (view: CapabilityView) => peek(view, PCIE.flags, 1) & 15;

/** Version 1 ends with the last register its kind of function has (PCIe 1.1 §7.8), version 2 holds all. */
function sizeBytes(view: CapabilityView): number {
  if (version(view) >= 2) return 0x3c;
  if (hasRoot(view.function.portType)) return 0x24;
  return peek(view, PCIE.flags, 2) & 0x100 ? 0x1c : 0x14;
}

function registers(view: CapabilityView): Register[] {
  const port = view.function.portType;
  const linkCaps = peek(view, PCIE.linkCaps, 4);
  const list = [FLAGS, DEVICE_CAPS, deviceControl(peek(view, PCIE.deviceCaps, 4), port), DEVICE_STATUS];
  if (hasLink(port)) list.push(LINK_CAPS, linkControl(linkCaps, port), linkStatus((linkCaps & 0x20_0000) !== 0));
  if (peek(view, PCIE.flags, 2) & 0x100) list.push(...slotRegisters(peek(view, PCIE.slotCaps, 4)));
  if (hasRoot(port)) list.push(...ROOT_REGISTERS((peek(view, 0x1e, 2) & 1) !== 0));
  if (version(view) < 2) return list;
  list.push(DEVICE_CAPS2, deviceControl2(peek(view, PCIE.deviceCaps2, 4)), whole('pcie.deviceStatus2', 0x2a, 2, 'ro'));
  if (hasLink(port)) list.push(...link2(linkCaps));
  return list;
}

/**
 * Deviation: `hw/pci/pcie.c: pcie_cap_init` leaves everything read-only; ports, bridges and virtio add error
 * reporting, virtio link control, ports with slots and roots theirs. Ports and virtio clear what they added at reset.
 */
function qemu(view: CapabilityView): Record<string, QemuRule> {
  const { portType, virtio } = view.function;
  const { rootPort, upstream, downstream, pcieToPci } = PORT_TYPE;
  const port = [rootPort, upstream, downstream].includes(portType as 4);
  const rules: Record<string, QemuRule> = {};
  if (port || virtio) rules['pcie.deviceControl'] = { writable: 0x000f, reset: 0x000f };
  else if (portType === pcieToPci) rules['pcie.deviceControl'] = { writable: 0x000f };
  if (rules['pcie.deviceControl']) rules['pcie.deviceStatus'] = { w1c: 0x000f };
  if (virtio) rules['pcie.linkControl'] = { writable: 0x00c0, reset: 0x00c0 };
  if (peek(view, PCIE.flags, 2) & 0x100) Object.assign(rules, slotQemu(peek(view, PCIE.slotCaps, 4)));
  if (portType === rootPort) rules['pcie.rootControl'] = { writable: 0x0007, reset: 0x0007 };
  if (version(view) >= 2) {
    const ari = peek(view, PCIE.deviceCaps2, 4) & 0x20;
    rules['pcie.deviceControl2'] = { writable: 0x8000 | ari, reset: port ? ari : 0 };
  }
  return rules;
}

export const PCI_EXPRESS: Capability = { id: 0x10, name: 'pcie', sizeBytes, registers, qemu };
