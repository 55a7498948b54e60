import { type Field, type Register, reg, whole } from '../../core/index.ts';
import { type Capability, type CapabilityView, PORT_TYPE, peek, type QemuRule } from './capability.ts';

/** Errors by bit of the uncorrectable registers; those with `fatal` have severity 1 by default. PCIe 5.0 §7.8.4.2, .4. */
const UNCORRECTABLE: Record<string, { at: number; fatal?: true; masked?: true }> = {
  dataLinkProtocol: { at: 4, fatal: true },
  surpriseDown: { at: 5, fatal: true },
  poisonedTlp: { at: 12 },
  flowControl: { at: 13, fatal: true },
  completionTimeout: { at: 14 },
  completerAbort: { at: 15 },
  unexpectedCompletion: { at: 16 },
  receiverOverflow: { at: 17, fatal: true },
  malformedTlp: { at: 18, fatal: true },
  ecrc: { at: 19 },
  unsupportedRequest: { at: 20 },
  acsViolation: { at: 21 },
  uncorrectableInternal: { at: 22, fatal: true, masked: true },
  mcBlocked: { at: 23 },
  atomicEgressBlocked: { at: 24 },
  tlpPrefixBlocked: { at: 25 },
  poisonedEgressBlocked: { at: 26, masked: true },
};

/** PCIe 5.0 §7.8.4.5, .6. */
const CORRECTABLE: Record<string, { at: number; masked?: true }> = {
  receiver: { at: 0 },
  badTlp: { at: 6 },
  badDllp: { at: 7 },
  replayRollover: { at: 8 },
  replayTimeout: { at: 12 },
  advisoryNonFatal: { at: 13, masked: true },
  correctedInternal: { at: 14, masked: true },
  headerLogOverflow: { at: 15, masked: true },
};

type Errors = Record<string, { at: number; fatal?: true; masked?: true }>;

function errors(name: string, offset: number, list: Errors, access: 'rw' | 'rw1c', key?: 'fatal' | 'masked'): Register {
  const fields = Object.entries(list).map(([label, { at, ...flags }]): [string, Field] => [
    label,
    { at, access, sticky: true, reset: key && flags[key] ? 1 : 0 },
  ]);
  return reg(name, offset, 4, Object.fromEntries(fields));
}

const COMMON: readonly Register[] = [
  errors('aer.uncorrectableStatus', 0x04, UNCORRECTABLE, 'rw1c'),
  errors('aer.uncorrectableMask', 0x08, UNCORRECTABLE, 'rw', 'masked'),
  errors('aer.uncorrectableSeverity', 0x0c, UNCORRECTABLE, 'rw', 'fatal'),
  errors('aer.correctableStatus', 0x10, CORRECTABLE, 'rw1c'),
  errors('aer.correctableMask', 0x14, CORRECTABLE, 'rw', 'masked'),
];

/** PCIe 5.0 §7.8.4.7: an enable without its capability is hardwired to 0. */
function control(value: number): Register {
  const when = (bit: number) => (value & bit ? 'rw' : 'ro') as 'rw' | 'ro';
  return reg('aer.control', 0x18, 4, {
    firstError: { at: 0, width: 5, access: 'ro', sticky: true },
    ecrcGeneration: { at: 5, access: 'ro' },
    ecrcGenerationEnable: { at: 6, access: when(0x20), sticky: true },
    ecrcCheck: { at: 7, access: 'ro' },
    ecrcCheckEnable: { at: 8, access: when(0x80), sticky: true },
    multipleHeaders: { at: 9, access: 'ro' },
    multipleHeadersEnable: { at: 10, access: when(0x200), sticky: true },
    prefixLogPresent: { at: 11, access: 'ro', sticky: true },
    completionTimeoutLog: { at: 12, access: 'ro' },
  });
}

const HEADER_LOG = [0, 1, 2, 3].map((i) => whole(`aer.headerLog${i}`, 0x1c + 4 * i, 4, 'ro', { sticky: true }));
const PREFIX_LOG = [0, 1, 2, 3].map((i) => whole(`aer.prefixLog${i}`, 0x38 + 4 * i, 4, 'ro', { sticky: true }));

/** Root ports and event collectors. PCIe 5.0 §7.8.4.9 to .11. */
const ROOT: readonly Register[] = [
  reg('aer.rootCommand', 0x2c, 4, {
    correctable: { at: 0, access: 'rw' },
    nonFatal: { at: 1, access: 'rw' },
    fatal: { at: 2, access: 'rw' },
  }),
  reg('aer.rootStatus', 0x30, 4, {
    correctable: { at: 0, access: 'rw1c', sticky: true },
    multipleCorrectable: { at: 1, access: 'rw1c', sticky: true },
    uncorrectable: { at: 2, access: 'rw1c', sticky: true },
    multipleUncorrectable: { at: 3, access: 'rw1c', sticky: true },
    firstUncorrectableFatal: { at: 4, access: 'rw1c', sticky: true },
    nonFatal: { at: 5, access: 'rw1c', sticky: true },
    fatal: { at: 6, access: 'rw1c', sticky: true },
    interruptMessage: { at: 27, width: 5, access: 'ro' },
  }),
  whole('aer.correctableSource', 0x34, 2, 'ro', { sticky: true }),
  whole('aer.uncorrectableSource', 0x36, 2, 'ro', { sticky: true }),
];

const hasRoot = (port: number) => port === PORT_TYPE.rootPort || port === PORT_TYPE.eventCollector;

export const AER: Capability = {
  id: 0x0001,
  extended: true,
  name: 'aer',
  sizeBytes: (view: CapabilityView) => (peek(view, 2, 1) & 0x0e ? 0x48 : 0x38),
  registers: (view) => [
    ...COMMON,
    control(peek(view, 0x18, 4)),
    ...HEADER_LOG,
    ...(hasRoot(view.function.portType) ? ROOT : []),
    ...PREFIX_LOG,
  ],
  /** Deviation: a subset of the errors, the uncorrectable mask read-only (`hw/pci/pcie_aer.c: pcie_aer_init`, 7.2). */
  qemu: (view) => {
    const caps = peek(view, 0x18, 4) & 0x2a0;
    const rules: Record<string, QemuRule> = {
      'aer.uncorrectableStatus': { w1c: 0x03fff030 },
      'aer.uncorrectableSeverity': { writable: 0x03fff030 },
      'aer.correctableStatus': { w1c: 0xf1c1 },
      'aer.correctableMask': { writable: 0xf1c1 },
      'aer.control': { writable: caps << 1 },
    };
    if (view.function.portType === PORT_TYPE.rootPort) {
      rules['aer.rootCommand'] = { writable: 7, reset: 7 };
      rules['aer.rootStatus'] = { w1c: 0x7f };
    }
    return rules;
  },
};
