import { readLe, UsageError } from '../../core/index.ts';
import { formatBdf } from '../../pci/function.ts';
import type { HostFunction, HostRegion } from './host.ts';
import type { Switches } from './profiles.ts';
import {
  type Action,
  type Condition,
  type GroupSpec,
  groupSpecs,
  REGISTER_TABLES,
  type RegisterSpec,
} from './registers.ts';

/** A register of one device, its masks worked out. Masks cover `size` bytes. */
export interface Register {
  readonly name: string;
  /** Configuration offset. */
  readonly at: number;
  readonly size: 1 | 2 | 4;
  /**
   * Where its emulated value is kept: at its own offset in the copy of the configuration space, which registers of
   * overlapping capabilities then share, or in a place of its own.
   */
  readonly valueAt: number;
  readonly initial: number;
  /** Read from the emulated value. */
  readonly emu: number;
  /** Bits of the emulated value that take what is written. */
  readonly writable: number;
  /** Written bits that are passed to the device; elsewhere it is written its present value, less `rw1c`. */
  readonly through: number;
  readonly rw1c: number;
  /** The device is not written at all by a write to this register. */
  readonly kept: boolean;
  /** Of a BAR: what the guest reads in bits that are not emulated, instead of the register of the device. */
  readonly hostValue?: number;
  readonly noWriteBack: boolean;
  readonly action?: Action;
}

/** A stretch of configuration space with the registers in it, in the order they are searched. */
export interface Group {
  readonly name: string;
  readonly base: number;
  readonly size: number;
  readonly hardwired: boolean;
  readonly registers: readonly Register[];
}

export interface MsiLayout {
  readonly control: number;
  /** Control word of the device at attach. */
  readonly flags: number;
}

export interface MsixLayout {
  readonly control: number;
  /** Control word of the device at attach. */
  readonly flags: number;
  readonly entryCount: number;
  readonly bar: number;
  /** Offset of the vector table in its BAR. */
  readonly tableOffset: number;
  /** Host-physical base of the BAR (not of the table), 0 if it has none. */
  readonly tableBase: number;
}

/** What the pass-through code makes of one host function: constant for the life of the device. */
export interface Layout {
  /** In the order they are searched. */
  readonly groups: readonly Group[];
  /** The group that answers for each of the 256 bytes, if any. */
  readonly groupAt: readonly (Group | undefined)[];
  /** Registers in the order they are initialised. */
  readonly registers: readonly Register[];
  readonly msi?: MsiLayout;
  readonly msix?: MsixLayout;
}

/** Bound of a walk along capabilities. hw/xen/xen_pt.h: PCI_CAP_MAX */
const MAX_CAPABILITIES = 48;
const ROM_REGION = 6;

/**
 * Reads the host function's first 256 bytes and lays the register tables over its capabilities.
 * hw/xen/xen_pt_config_init.c: xen_pt_config_init
 * @throws UsageError for a PCI Express capability that the code refuses: neither version 1 nor 2, or no endpoint
 */
export function layOut(host: HostFunction, switches: Switches, permissive: boolean): Layout {
  const image = new Uint8Array(256);
  for (let at = 0; at < 256; at++) image[at] = host.readConfig(at, 1);
  const specs = groupSpecs(REGISTER_TABLES[switches.registers]).filter((g) => !isHidden(image, g.id));
  const groups: Group[] = [];
  const registers: Register[] = [];
  let msi: MsiLayout | undefined;
  let msix: MsixLayout | undefined;
  for (const spec of specs) {
    const base = spec.id === 0xff ? 0 : findCapability(image, spec.id);
    if (spec.id !== 0xff && base === 0) continue;
    const flags = readLe(image, base + 2, 2);
    if (spec.name === 'msi') msi = { control: base + 2, flags };
    if (spec.name === 'msix') msix = layOutMsix(image, base, host.regions);
    const own = spec.registers
      .filter((r) => exists(r, base, image, host.regions))
      .map((r, i) => resolve(r, registers.length + i, base, image, host.regions, specs, switches, permissive));
    registers.push(...own);
    const size = groupSize(spec, base, image, host.sbdf);
    groups.unshift({ name: spec.name, base, size, hardwired: spec.kind === 'hardwired', registers: own.reverse() });
  }
  const groupAt = Array.from({ length: 0x100 }, (_, at) => groups.find((g) => at >= g.base && at < g.base + g.size));
  return { groups, groupAt, registers, ...(msi && { msi }), ...(msix && { msix }) };
}

function layOutMsix(image: Uint8Array, base: number, regions: readonly HostRegion[]): MsixLayout {
  const flags = readLe(image, base + 2, 2);
  const table = readLe(image, base + 4, 4);
  const bar = table & 7;
  return {
    control: base + 2,
    flags,
    entryCount: (flags & 0x7ff) + 1,
    bar,
    tableOffset: (table & ~7) >>> 0,
    tableBase: regions.find((r) => r.bar === bar)?.base ?? 0,
  };
}

/** Intel's 82599 virtual function has an empty PCIe capability, which is hidden. xen_pt_hide_dev_cap */
function isHidden(image: Uint8Array, id: number): boolean {
  return id === 0x10 && readLe(image, 0, 4) === 0x10ed8086;
}

/** xen_pt_config_init.c: find_cap_offset */
function findCapability(image: Uint8Array, id: number): number {
  if ((image[6] & 0x10) === 0) return 0;
  let pointer = 0x34;
  for (let i = 0; i < MAX_CAPABILITIES; i++) {
    const at = image[pointer];
    if (at < 0x40) return 0;
    const here = at & ~3;
    if (image[here] === 0xff) return 0;
    if (image[here] === id) return here;
    pointer = here + 1;
  }
  return 0;
}

/** First capability from the pointer at `at` on that is emulated. xen_pt_config_init.c: xen_pt_ptr_reg_init */
function nextEmulated(image: Uint8Array, at: number, specs: readonly GroupSpec[]): number {
  let pointer = image[at];
  for (let i = 0; pointer !== 0 && i < MAX_CAPABILITIES; i++) {
    const { kind } = specs.find((g) => g.id === image[pointer]) ?? {};
    if (kind === 'emulated') return pointer;
    pointer = image[(pointer + 1) & 0xff];
  }
  return 0;
}

function groupSize(spec: GroupSpec, base: number, image: Uint8Array, sbdf: number): number {
  const flags = readLe(image, base + 2, 2);
  switch (spec.size) {
    case 'msi':
      return 0x0a + (flags & 0x80 ? 4 : 0) + (flags & 0x100 ? 10 : 0);
    case 'vendor':
      return image[base + 2];
    case 'pcie': {
      const version = flags & 0xf;
      const type = (flags >> 4) & 0xf;
      const isEndpoint = type === 0 || type === 1 || type === 9;
      if (!isEndpoint || (version !== 1 && version !== 2))
        throw new UsageError(
          `${formatBdf(sbdf)} cannot be passed through: PCI Express capability of version ${version}, port type ${type}; ` +
            'endpoints of version 1 or 2 can',
        );
      return version === 2 ? 0x3c : type === 9 ? 0x0c : 0x14;
    }
    default:
      return spec.size;
  }
}

function exists(spec: RegisterSpec, base: number, image: Uint8Array, regions: readonly HostRegion[]): boolean {
  if (base + spec.at + spec.size > 0x100) return false;
  if (spec.init === 'bar') return barRole(spec.at, regions) !== 'unused';
  return spec.onlyIf === undefined || holds(spec.onlyIf, readLe(image, base + 2, 2));
}

/** `flags`: the word at +2 of the capability, which is MSI control or PCIe flags. */
function holds(condition: Condition, flags: number): boolean {
  const is64 = (flags & 0x80) !== 0;
  const isMaskable = (flags & 0x100) !== 0;
  switch (condition) {
    case 'msi-32':
      return !is64;
    case 'msi-64':
      return is64;
    case 'msi-32-maskable':
      return !is64 && isMaskable;
    case 'msi-64-maskable':
      return is64 && isMaskable;
    case 'pcie-not-v1':
      return (flags & 0xf) !== 1;
  }
}

type BarRole = 'memory' | 'io' | 'upper' | 'unused';

/** xen_pt_config_init.c: xen_pt_bar_reg_parse; regions the host has not placed do not count. */
function barRole(at: number, regions: readonly HostRegion[]): BarRole {
  const bar = barOf(at);
  const placed = (n: number) => regions.find((r) => r.bar === n && r.base !== 0 && r.sizeBytes !== 0);
  if (bar > 0 && bar < ROM_REGION && regions.some((r) => r.bar === bar - 1 && r.kind === 'mem64')) return 'upper';
  const region = placed(bar);
  if (!region) return 'unused';
  return region.kind === 'io' ? 'io' : 'memory';
}

function barOf(at: number): number {
  return at === 0x30 ? ROM_REGION : (at - 0x10) >> 2;
}

/** Low 32 bits of `size − 1`, after rounding memory regions up to a page. xen_pt.h: xen_pt_get_emul_size */
function sizeMask(region: HostRegion | undefined): number {
  const size = region?.sizeBytes ?? 0;
  const rounded = region?.kind === 'io' ? size : Math.ceil(size / 0x1000) * 0x1000;
  return ((rounded - 1) % 0x1_0000_0000) >>> 0;
}

function resolve(
  spec: RegisterSpec,
  index: number,
  base: number,
  image: Uint8Array,
  regions: readonly HostRegion[],
  specs: readonly GroupSpec[],
  switches: Switches,
  permissive: boolean,
): Register {
  const at = base + spec.at;
  const all = spec.size === 4 ? 0xffffffff : spec.size === 2 ? 0xffff : 0xff;
  const isOld = switches.registers === '2.0';
  const { ro = 0, res = 0, rw1c = 0, emu = 0 } = spec;
  const guarded = permissive ? 0 : res;
  const initial = initialValue(spec, at, image, specs);
  const register = {
    name: spec.name,
    at,
    size: spec.size,
    valueAt: switches.configCopyTakesWrites ? at : 4 * index,
    initial: switches.configCopyTakesWrites ? (initial & emu) | (hostWord(spec, at, image) & ~emu) : initial,
    emu,
    writable: (spec.action === 'command' ? ~ro : emu & ~ro) & all,
    through: (isOld ? ~emu : ~(emu | ro | guarded)) & all,
    rw1c,
    kept: !isOld && (emu | ro | guarded) >>> 0 === all,
    noWriteBack: spec.noWriteBack ?? false,
    ...(spec.action && { action: spec.action }),
  };
  if (spec.init !== 'bar') return register;

  const region = regions.find((r) => r.bar === barOf(at));
  const low = sizeMask(region);
  // The enable bit of the ROM is kept in the emulated value too, though the guest reads that of the device.
  if (at === 0x30) return { ...register, writable: ~((ro | low) & ~1) };
  const role = barRole(at, regions);
  const emuOf = { memory: 0xfffffff0, io: 0xfffffffc, upper: 0xffffffff, unused: 0 }[role];
  const roOf = { memory: low | 0xf, io: low | 3, upper: 0, unused: 0 }[role];
  return { ...register, emu: emuOf, writable: emuOf & ~roOf, through: isOld ? ~emuOf : 0, hostValue: hostBar(region) };
}

/** Contents of the device, which the emulated value starts with in bits that the table does not emulate. */
function hostWord(spec: RegisterSpec, at: number, image: Uint8Array): number {
  const enable = spec.action === 'msi-control' ? 1 : spec.action === 'msix-control' ? 0x8000 : 0;
  return readLe(image, at, spec.size) & ~enable; // cleared on the device by then
}

/** Base and type bits as the host kernel knows them. xen_pt_config_init.c: base_address_with_flags */
function hostBar(region: HostRegion | undefined): number {
  if (!region) return 0;
  const type = region.kind === 'io' ? 1 : (region.kind === 'mem64' ? 4 : 0) | (region.prefetchable ? 8 : 0);
  return ((region.base % 0x1_0000_0000) | type) >>> 0;
}

function initialValue(spec: RegisterSpec, at: number, image: Uint8Array, specs: readonly GroupSpec[]): number {
  switch (spec.init) {
    case undefined:
    case 'bar':
      return 0;
    case 'vendor':
    case 'device':
      return readLe(image, at, 2);
    case 'next-capability':
      return nextEmulated(image, at, specs);
    case 'status':
      return nextEmulated(image, 0x34, specs) ? 0x10 : 0;
    case 'interrupt-pin':
      return image[0x3d];
    case 'link-speed':
      return image[at - spec.at + 0x0c] & 0xf;
    default:
      return spec.init;
  }
}
