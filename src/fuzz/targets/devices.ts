import { builtinDump, listBuiltinDumps, parseDump } from '../../pci/dump/index.ts';
import type { FunctionSpec } from '../../pci/index.ts';
import { type Access, decodeAccesses, encodeAccesses } from '../access.ts';
import { type ImageOptions, imageSpec } from '../images.ts';
import type { Target } from '../target.ts';
import { FunctionSubject, type Weights } from './function-subject.ts';

/** A target whose subjects are single functions, of which any other can be one as well. */
export interface FunctionTarget extends Target<Access> {
  openSpec(spec: FunctionSpec): FunctionSubject;
}

export function functionTarget(
  name: string,
  about: string,
  specs: () => readonly FunctionSpec[],
  weights: Weights,
  only?: RegExp,
): FunctionTarget {
  let list: readonly FunctionSpec[] | undefined;
  const all = () => (list ??= specs());
  return {
    name,
    about,
    unit: 'accesses',
    get variants() {
      return all().length;
    },
    open: (variant) => new FunctionSubject(all()[variant], weights, only),
    openSpec: (spec) => new FunctionSubject(spec, weights, only),
    encode: encodeAccesses,
    decode: decodeAccesses,
  };
}

const FLR = 0x1000_8fe1; // Device Capabilities: FLR, role-based errors, 256 bytes, extended tags
const made = (options: ImageOptions) => imageSpec(options);

/** Link with notifications and clock management, all of Device Capabilities 2, from 0x80. */
const EXPRESS_2 = { 140: 0x0074_0c13, 164: 0x033f_19ff };

/** One of each, the last one filling the space to its end; two before it are more than half of the space away. */
const ENDPOINT_EXTENDED = [
  { id: 0x0001, at: 0x100, version: 2, words: { 4: 0x0040_1010, 16: 0xf1c1, 24: 0x0000_02a0 } },
  { id: 0x0003, at: 0x150, words: { 4: 0x1234_5678, 8: 0x9abc_def0 } },
  { id: 0x0004, at: 0x160, words: { 8: 0x0000_0119 } },
  { id: 0x000d, at: 0x180, words: { 4: 0x0000_0055 } },
  { id: 0x000e, at: 0x190, words: { 4: 0x0000_0102 } },
  { id: 0x000f, at: 0x1a0, words: { 4: 0x0000_0060 } },
  { id: 0x0010, at: 0x200, words: { 4: 0x0000_0005, 12: 0x0008_0008, 20: 0x0001_0008, 28: 0x0000_0553 } },
  { id: 0x0012, at: 0x300, words: { 4: 0x0000_0003 } },
  { id: 0x0013, at: 0x340, words: { 4: 0x8003_0000, 8: 0x20 } },
  { id: 0x001b, at: 0x360, words: { 4: 0x0000_1402 } },
  { id: 0x001e, at: 0x900, words: { 4: 0x0028_1f1f } },
  { id: 0x001f, at: 0xa00, words: { 4: 0x0000_0405 } },
  { id: 0x0025, at: 0xa10, words: { 4: 0x8000_0001 } },
  { id: 0x0018, at: 0xff8 },
] as const;

const PORT_EXTENDED = [
  { id: 0x0001, at: 0x100, version: 2, words: { 4: 0x0040_1010, 16: 0xf1c1, 24: 0x0000_00a0, 48: 0x7f } },
  { id: 0x000d, at: 0x180, words: { 4: 0x0000_005f } },
  { id: 0x001d, at: 0x1a0, words: { 4: 0x0000_1000, 8: 0x0009 } },
] as const;

function configSpecs(): FunctionSpec[] {
  const dumps = listBuiltinDumps().flatMap((id) => parseDump(builtinDump(id)).map((p) => p.spec));
  return [
    ...dumps,
    made({ name: 'plain', rom: true, events: true }),
    made({ name: 'pm with PME', pm: 0xc803 }),
    made({ name: 'pm with D1 and D2', pm: 0x0603 }),
    made({ name: 'express with FLR', express: { caps: FLR }, pm: 0x0003, msix: { count: 4 } }),
    made({ name: 'advanced features with FLR', af: true, msi: 0x0186, vpd: true }),
    made({
      name: 'everything',
      events: true,
      rom: true,
      pm: 0xc803,
      msi: 0x0388,
      msix: { count: 16, pbaBar: 2 },
      express: { caps: FLR },
      vpd: true,
      af: true,
    }),
    made({ name: 'no pin', pin: 0, msi: 0x0080 }),
    made({ name: 'pm with D1 only', pm: 0x0203 }),
    made({ name: 'pm with D2 and PME from D0', pm: 0x0c03 }),
    made({ name: 'advanced features without FLR', af: true, words: { 208: 0x0106_0013 } }),
    made({ name: 'msi at the end of the space', msi: 0x0200, msiAt: 0xf4 }),
    made({
      name: 'BARs of all kinds',
      bars: [
        { bar: 0, kind: 'io', sizeBytes: 16 },
        { bar: 1, kind: 'mem32', sizeBytes: 16 },
        { bar: 2, kind: 'mem64', sizeBytes: 2 ** 34, prefetchable: true },
        { bar: 4, kind: 'mem64', sizeBytes: 2 ** 20 },
        { bar: 6, kind: 'rom', sizeBytes: 2048 },
      ],
    }),
    made({ name: 'extended capabilities', express: { caps: FLR }, extended: ENDPOINT_EXTENDED, words: EXPRESS_2 }),
    made({
      name: 'root port with extended capabilities',
      headerType: 1,
      pin: 0, // the line is for its own errors, which the oracle does not follow
      rom: true,
      express: { caps: 0x8001, portType: 4 },
      extended: PORT_EXTENDED,
      words: { ...EXPRESS_2, 28: 0x0000_0101, 36: 0x0001_0001 },
    }),
    made({ name: 'express version 1', express: { caps: FLR }, words: { 128: 0x0001_0010 } }),
    made({ name: 'event collector', express: { caps: 0x8000, portType: 10 }, extended: PORT_EXTENDED }),
    made({ name: 'bridge with 32-bit windows', headerType: 1, words: { 36: 0x0000_0010 } }),
    made({ name: 'port', headerType: 1, pm: 0x0003, msi: 0x0080, express: { caps: 0x8001, portType: 4 } }),
    made({ name: 'conventional bridge', headerType: 1, pm: 0x0003 }),
  ];
}

export const CONFIG_TARGET = functionTarget(
  'config',
  'configuration space of cloned and made-up functions',
  configSpecs,
  { configWrite: 120, configRead: 48, raise: 16, lower: 6, tableWrite: 4, reset: 1 },
);

function msiSpecs(): FunctionSpec[] {
  const specs: FunctionSpec[] = [];
  for (const mmc of [0, 1, 2, 3, 4, 5])
    for (const form of [0x000, 0x080, 0x100, 0x180, 0x280, 0x380, 0x300]) {
      const words = [`msi ${1 << mmc}`, form & 0x80 ? '64 bit' : '32 bit'];
      if (form & 0x100) words.push('maskable');
      if (form & 0x200) words.push('extended data');
      specs.push(
        made({ name: words.join(', '), msi: form | (mmc << 1), ...(mmc & 1 ? { express: { caps: FLR } } : {}) }),
      );
    }
  return specs;
}

export const MSI_TARGET = functionTarget(
  'msi',
  'MSI in all its forms: 1 to 32 vectors, with and without masks, 64 bits and extended data',
  msiSpecs,
  { configWrite: 100, configRead: 20, raise: 60, lower: 6, reset: 1 },
  /^(command|status|msi\.|pcie\.deviceControl)/,
);

const msixSpecs = (): FunctionSpec[] =>
  [1, 2, 3, 4, 9, 31, 32, 33, 64, 65, 128, 129, 1024, 2047, 2048].flatMap((count) => {
    const name = `msix ${count}`;
    return [
      made({ name, msix: { count } }),
      ...([128, 1024, 2048].includes(count) ? [made({ name: `${name}, tight`, msix: { count, tight: true } })] : []),
      ...(count < 130
        ? [made({ name: `${name}, PBA elsewhere`, msix: { count, pbaBar: 4 }, express: { caps: FLR } })]
        : []),
    ];
  });

export const MSIX_TARGET = functionTarget(
  'msix',
  'MSI-X with 1 to 2048 vectors: control, table, pending bits',
  msixSpecs,
  {
    configWrite: 32,
    configRead: 6,
    tableWrite: 68,
    tableRead: 12,
    pbaRead: 12,
    pbaWrite: 6,
    raise: 56,
    lower: 4,
    reset: 1,
  },
  /^(command|msix\.|pcie\.deviceControl)/,
);
