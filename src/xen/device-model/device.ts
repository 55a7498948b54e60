import { Arena, readLe, type Width, writeLe } from '../../core/index.ts';
import { formatBdf } from '../../pci/function.ts';
import type { Context, Toolstack } from './calls.ts';
import type { HostFunction } from './host.ts';
import { type Group, type Layout, layOut, type Register } from './layout.ts';
import { PassthroughMsi } from './msi.ts';
import { PassthroughMsix } from './msix.ts';
import type { DeviceModelProfile } from './profiles.ts';

const INTX_DISABLE = 0x400;
const MSI_ENABLE = 1;

export interface PassthroughOptions {
  /** Reserved and unknown bits are written through; the tables of 2.0 know no such mode. Default false. */
  permissive?: boolean;
  /** Guest-physical address of the vector table at the start; see {@link PassthroughMsix.moveTable}. Default 0. */
  guestTable?: number;
  /** The INTx of the device is bound (its machine irq is not 0), so the guest may clear INTx Disable. Default false. */
  intxBound?: boolean;
  /**
   * Write masks of the generic PCI core below 0x40, 64 bytes; from 0x40 up everything is writable. By default those of
   * hw/pci/pci.c for the regions of the host function. They matter only to profiles whose emulated values lie in the
   * core's copy (switch `configCopyTakesWrites`).
   */
  coreWritable?: Uint8Array;
  arena?: Arena;
}

/**
 * One host function passed through to a guest by qemu-xen: what the guest's accesses to its configuration space and
 * its vector table do, which accesses of the host function and which hypercalls they cause, in order.
 *
 * Behaviour: hw/xen/xen_pt.c, xen_pt_config_init.c, xen_pt_msi.c of QEMU, as the profile's switches say.
 */
export class PassthroughDevice {
  readonly profile: DeviceModelProfile;
  readonly layout: Layout;
  /** Undefined if the function has no such capability. */
  readonly msi?: PassthroughMsi;
  readonly msix?: PassthroughMsix;
  readonly #context: Context;
  readonly #permissive: boolean;
  readonly #intxBound: boolean;
  readonly #coreWritable: Uint8Array;
  /** Value of each emulated register at its `valueAt`. */
  readonly #emulated: Uint8Array;

  /** @throws UsageError if the function cannot be passed through, see {@link layOut} */
  constructor(profile: DeviceModelProfile, host: HostFunction, toolstack: Toolstack, options: PassthroughOptions = {}) {
    const { switches } = profile;
    const { permissive = false, guestTable = 0, intxBound = false, arena = new Arena(1 << 17) } = options;
    this.profile = profile;
    this.#context = { host, toolstack, switches };
    this.#permissive = permissive && switches.registers !== '2.0';
    this.#intxBound = intxBound;
    this.layout = layOut(host, switches, this.#permissive);
    const label = `dm ${formatBdf(host.sbdf)}`;
    this.#emulated = arena.bytes(0x100, `${label} config`);
    for (const { valueAt, size, initial } of this.layout.registers) writeLe(this.#emulated, valueAt, size, initial);
    this.#coreWritable = options.coreWritable ?? this.#defaultCoreWritable();
    const { msi, msix } = this.layout;
    if (msi) this.msi = new PassthroughMsi(this.#context, msi, arena, label);
    if (msix) this.msix = new PassthroughMsix(this.#context, msix, guestTable, arena, label);
  }

  /**
   * What follows the set-up of the registers: newer code turns on decoding of the regions the function has, which the
   * guest can no longer do. xen_pt.c: xen_pt_realize
   */
  attach(): void {
    const { host, switches } = this.#context;
    if (!switches.decodeAtAttach) return;
    let decode = 0;
    for (const region of host.regions)
      if (region.base !== 0 && region.sizeBytes !== 0 && region.bar < 6) decode |= region.kind === 'io' ? 1 : 2;
    if (decode) host.writeConfig(0x04, 2, host.readConfig(0x04, 2) | decode);
  }

  /** Gives up all pirqs, MSI first; the device is not to be used afterwards. xen_pt.c: xen_pt_unregister_device */
  destroy(): void {
    this.msi?.disable();
    this.msix?.disable();
  }

  /** Guest read. Misaligned accesses and those beyond the first 256 bytes give 0. xen_pt.c: xen_pt_pci_read_config */
  readConfig(offset: number, width: Width): number {
    if (!this.#accepts(offset, width)) return 0;
    const group = this.layout.groupAt[offset];
    if (group?.hardwired) return 0;
    const hostValue = this.#context.host.readConfig(offset, width);
    if (!group) return hostValue;

    const shift = (offset & 3) * 8;
    let value = hostValue << shift;
    for (let at = offset, left: number = width; left > 0; ) {
      const register = registerAt(group, at);
      if (!register) {
        at++;
        left--;
        continue;
      }
      const lane = (register.at & 3) * 8;
      const all = onesOf(register.size);
      const emu = register.emu & validMask(register, at, left);
      const plain = register.hostValue ?? value >>> lane;
      const merged = (plain & ~emu) | (this.#get(register) & emu);
      value = (value & ~(all << lane)) | ((merged & all) << lane);
      left -= register.size;
      at = register.at + register.size;
    }
    return ((value >>> shift) & onesOf(width)) >>> 0;
  }

  /** Guest write; accesses that {@link readConfig} answers with 0 vanish. xen_pt.c: xen_pt_pci_write_config */
  writeConfig(offset: number, width: Width, written: number): void {
    if (!this.#accepts(offset, width)) return;
    const group = this.layout.groupAt[offset];
    if (group?.hardwired) return;
    const { host, switches } = this.#context;
    const isOld = switches.registers === '2.0';
    const present = host.readConfig(offset, width);
    if (!group) {
      if (isOld || this.#permissive) host.writeConfig(offset, width, (written & onesOf(width)) >>> 0);
      return;
    }
    if (switches.configCopyTakesWrites) this.#coreWrite(offset, width, written);

    const shift = (offset & 3) * 8;
    const deviceLanes = present << shift;
    let value = written << shift;
    let writeBack = onesOf(width);
    let last: Register | undefined;
    for (let at = offset, left: number = width; left > 0; ) {
      const register = registerAt(group, at);
      const done = (width - left) * 8;
      if (!register) {
        if (!this.#permissive) writeBack &= ~(0xff << done);
        at++;
        left--;
        continue;
      }
      last = register;
      if (register.kept) writeBack &= ~((onesOf(register.size) >>> ((at - register.at) * 8)) << done);
      const lane = (register.at & 3) * 8;
      const all = onesOf(register.size);
      const forDevice = this.#writeRegister(
        register,
        (value >>> lane) & all,
        (deviceLanes >>> lane) & all,
        validMask(register, at, left),
      );
      if (forDevice === undefined) return;
      value = (value & ~(all << lane)) | ((forDevice & all) << lane);
      left -= register.size;
      at = register.at + register.size;
    }
    value >>>= shift;
    if (isOld) {
      if (!last?.noWriteBack) host.writeConfig(offset, width, (value & onesOf(width)) >>> 0);
    } else this.#writeRuns(offset, value, writeBack);
  }

  /** Dword of the vector table; 0 without MSI-X. */
  readTable(offset: number): number {
    return this.msix?.readTable(offset) ?? 0;
  }

  writeTable(offset: number, value: number): void {
    this.msix?.writeTable(offset, value);
  }

  /** Offset in the vector table's pages of an access to a BAR; −1 if the access goes to the device itself. */
  tableOffset(bar: number, offset: number): number {
    if (!this.msix || bar !== this.msix.layout.bar) return -1;
    const inTable = offset - this.msix.layout.tableOffset;
    return inTable >= 0 && inTable < this.msix.trappedBytes ? inTable : -1;
  }

  /** Emulated value of a register, by group and name, for tests and traces; undefined if the device has none. */
  getRegister(group: string, name: string): number | undefined {
    const register = this.layout.groups.find((g) => g.name === group)?.registers.find((r) => r.name === name);
    return register && this.#get(register);
  }

  /** Writes one register; returns what goes to the device in its place, undefined if the device model dies. */
  #writeRegister(register: Register, written: number, present: number, valid: number): number | undefined {
    if (register.action === 'msi-data' && !this.msi!.knowsForm()) {
      this.#context.toolstack.fatal('the offset of the MSI data register does not match the 32/64-bit type');
      return undefined;
    }
    const old = this.#get(register);
    const taken = register.writable & valid;
    const emulated = (written & taken) | (old & ~taken);
    writeLe(this.#emulated, register.valueAt, register.size, emulated);
    let through = register.through & valid;
    if (register.action === 'command' && (written & INTX_DISABLE || this.#intxBound)) through |= INTX_DISABLE;
    const forDevice = (written & through) | (present & ~register.rw1c & ~through);

    const changed = emulated >>> 0 !== old;
    switch (register.action) {
      case 'msi-control':
        return this.#writeMsiControl(written, emulated, forDevice);
      case 'msi-address-lo':
        this.msi!.writeMessage('addressLo', emulated, changed);
        break;
      case 'msi-address-hi':
        this.msi!.writeMessage('addressHi', emulated, changed);
        break;
      case 'msi-data':
        this.msi!.writeMessage('data', emulated, changed);
        break;
      case 'msi-mask':
        this.msi!.writeMask(forDevice);
        break;
      case 'msix-control':
        this.msix!.writeControl(forDevice);
        break;
    }
    return forDevice;
  }

  /**
   * Old code emulates Enable, decides by the word as written (a byte write to the upper half is a 0) and puts the bit
   * back into what the device gets; newer code lets the bit through like any other.
   */
  #writeMsiControl(written: number, emulated: number, forDevice: number): number {
    const isOld = this.#context.switches.registers === '2.0';
    const enable = (isOld ? written : forDevice) & MSI_ENABLE;
    const isAllowed = this.msi!.writeControl(emulated, enable !== 0);
    return (forDevice & ~MSI_ENABLE) | (isAllowed ? enable : 0);
  }

  /** The runs of bytes of `value` that `mask` selects, each as one write. */
  #writeRuns(offset: number, value: number, mask: number): void {
    for (let at = 0; at < 4; ) {
      if (!((mask >>> (8 * at)) & 0xff)) {
        at++;
        continue;
      }
      let end = at;
      while (end < 4 && (mask >>> (8 * end)) & 0xff) end++;
      const run = (value >>> (8 * at)) & onesOf(end - at);
      this.#context.host.writeConfig(offset + at, end - at, run >>> 0);
      at = end;
    }
  }

  /** hw/pci/pci.c: pci_default_write_config on the copy that holds the emulated values. */
  #coreWrite(offset: number, width: Width, written: number): void {
    for (let i = 0; i < width; i++) {
      const at = offset + i;
      const writable = at < 0x40 ? this.#coreWritable[at] : 0xff;
      this.#emulated[at] = (this.#emulated[at] & ~writable) | ((written >>> (8 * i)) & writable);
    }
  }

  /** hw/pci/pci.c: pci_init_wmask, pci_register_bar */
  #defaultCoreWritable(): Uint8Array {
    const writable = new Uint8Array(0x40);
    writeLe(writable, 0x04, 2, 0x0507);
    writable[0x0c] = 0xff;
    writable[0x3c] = 0xff;
    for (const { bar, kind, sizeBytes, base } of this.#context.host.regions) {
      if (base === 0 || sizeBytes === 0) continue;
      const at = bar === 6 ? 0x30 : 0x10 + 4 * bar;
      const low = (sizeBytes - 1) % 0x1_0000_0000;
      writeLe(writable, at, 4, kind === 'rom' ? ~low | 1 : ~low);
      if (kind === 'mem64') writeLe(writable, at + 4, 4, ~Math.floor((sizeBytes - 1) / 0x1_0000_0000));
    }
    return writable;
  }

  #get(register: Register): number {
    return readLe(this.#emulated, register.valueAt, register.size);
  }

  #accepts(offset: number, width: Width): boolean {
    return offset < this.#context.switches.configLimit && (offset & (width - 1)) === 0;
  }
}

function registerAt(group: Group, offset: number): Register | undefined {
  return group.registers.find((r) => offset >= r.at && offset < r.at + r.size);
}

/** Bits of a register that an access reaches which has `left` bytes to go and stands at `at`, inside the register. */
function validMask(register: Register, at: number, left: number): number {
  return ((0xffffffff >>> ((4 - left) * 8)) << ((at - register.at) * 8)) & onesOf(register.size);
}

function onesOf(length: number): number {
  return 0xffffffff >>> (32 - 8 * length);
}
