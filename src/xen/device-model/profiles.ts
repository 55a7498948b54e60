import { UsageError } from '../../core/index.ts';

/** Where one behaviour of the pass-through code changed, and what both sides of the change are called. */
export interface SwitchInfo<V extends string | number | boolean> {
  values: readonly V[];
  meaning: string;
  /** Commit (or function) of QEMU that changed it. */
  source: string;
}

const flag = (meaning: string, source: string): SwitchInfo<boolean> => ({ values: [true, false], meaning, source });

/** Every switch of a device-model profile. */
export const SWITCHES = {
  registers: {
    values: ['2.0', '7.2'],
    meaning:
      'register tables and how a write is divided between copy and device: 2.0 writes unknown bytes through and takes ' +
      'the MSI Enable bit as written, 7.2 knows reserved bits, the MSI mask register and permissive mode',
    source: '2.4: 5c83b2f5b4 (XSA-128), 7611dae8a6 (XSA-129), d1d35cf4ff to c25bbf1545 (XSA-131)',
  } as SwitchInfo<'2.0' | '7.2'>,
  configLimit: {
    values: [0xff, 0x100],
    meaning: 'first configuration offset that is refused (0xff is an off-by-one)',
    source: 'hw/xen/xen_pt.c: xen_pt_pci_config_access_check',
  } as SwitchInfo<number>,
  configCopyTakesWrites: flag(
    'a write first replaces the emulated values from 0x40 up, so read-only emulated bits take it and the address and ' +
      'data registers of MSI never look changed',
    '2.5: e2779de053 keeps the values in the array that pci_default_write_config writes',
  ),
  decodeAtAttach: flag(
    'I/O and memory decode of the host function are turned on at attach, since the guest cannot',
    '2.3: 81b23ef82c (XSA-126)',
  ),
  freeOnDisable: flag('clearing Enable unbinds and unmaps the pirqs', '2.1: c976437c7d'),
  msiTeardownForgets: {
    values: ['flags', 'initialized'],
    meaning: 'what tearing down MSI clears: all recorded control flags, or Enable and the initialized mark',
    source: '2.1: c976437c7d, xen_pt_msi_disable',
  } as SwitchInfo<'flags' | 'initialized'>,
  shadowCompare: {
    values: ['value', 'value-and-pirq'],
    meaning: 'a table write is ignored if the entry has that value already, or only if it also has a pirq',
    source: '2.1: c976437c7d, pci_msix_write',
  } as SwitchInfo<'value' | 'value-and-pirq'>,
  refuseWriteWhileUnmasked: flag(
    'address and data writes are refused while MSI-X is enabled and the mask bit of the device is clear',
    'until 2.4; f0ada3608a removed it',
  ),
  latchTable: flag('table writes are held back from a mapped entry until it is bound while masked', '2.5: f0ada3608a'),
  bindFlagUnmasked: flag(
    'a binding says whether the vector is unmasked (gflags bit 16)',
    '3.1: hw/xen/xen_pt_msi.c: msi_msix_update, parameter masked',
  ),
};

type ValueOf<S> = S extends SwitchInfo<infer V> ? V : never;
export type Switches = { readonly [N in keyof typeof SWITCHES]: ValueOf<(typeof SWITCHES)[N]> };

/** A version of qemu-xen as the pass-through code behaves. */
export interface DeviceModelProfile {
  readonly name: string;
  readonly switches: Switches;
}

const QEMU_2_0: Switches = {
  registers: '2.0',
  configLimit: 0xff,
  configCopyTakesWrites: false,
  decodeAtAttach: false,
  freeOnDisable: false,
  msiTeardownForgets: 'flags',
  shadowCompare: 'value',
  refuseWriteWhileUnmasked: true,
  latchTable: false,
  bindFlagUnmasked: false,
};

/** Commit c976437c7d, "free all the pirqs for msi/msix when driver unload": its three hunks are these switches. */
const QEMU_2_1: Switches = {
  ...QEMU_2_0,
  freeOnDisable: true,
  msiTeardownForgets: 'initialized',
  shadowCompare: 'value-and-pirq',
};

const QEMU_7_2: Switches = {
  ...QEMU_2_1,
  registers: '7.2',
  configLimit: 0x100,
  configCopyTakesWrites: true,
  decodeAtAttach: true,
  refuseWriteWhileUnmasked: false,
  latchTable: true,
  bindFlagUnmasked: true,
};

export const DEVICE_MODELS: readonly DeviceModelProfile[] = [
  { name: 'qemu-2.0', switches: QEMU_2_0 },
  { name: 'qemu-2.1', switches: QEMU_2_1 },
  { name: 'qemu-7.2', switches: QEMU_7_2 },
];

/** @throws UsageError naming the profiles there are */
export function deviceModel(name: string): DeviceModelProfile {
  const profile = DEVICE_MODELS.find((p) => p.name === name);
  if (profile) return profile;
  throw new UsageError(`unknown device model "${name}"; there are ${DEVICE_MODELS.map((p) => p.name).join(', ')}`);
}

/**
 * The profile with some switches changed, and a name that says so. Values may be given as text (`--set name=value`).
 * @throws UsageError for an unknown switch or value, listing what is accepted
 */
export function withSwitches(
  profile: DeviceModelProfile,
  changes: { readonly [name: string]: string | number | boolean },
): DeviceModelProfile {
  const switches: Record<string, string | number | boolean> = { ...profile.switches };
  let { name } = profile;
  for (const [key, given] of Object.entries(changes)) {
    if (!Object.hasOwn(SWITCHES, key))
      throw new UsageError(`unknown device-model switch "${key}"; there are ${Object.keys(SWITCHES).join(', ')}`);
    const values: readonly (string | number | boolean)[] = SWITCHES[key as keyof typeof SWITCHES].values;
    const value = values.find((v) => v === given || String(v) === given);
    if (value === undefined)
      throw new UsageError(`device-model switch ${key} is ${values.join(' or ')}, not "${given}"`);
    if (switches[key] === value) continue;
    switches[key] = value;
    name += ` ${key}=${value}`;
  }
  return { name, switches: switches as unknown as Switches };
}
