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
