import { hex, type Width } from '../../core/index.ts';
import { type Access, KIND, REGION, RESET, SIGNAL } from '../access.ts';
import type { NaiveMessage } from './naive-vectors.ts';
import type { SpecBits } from './spec-bits.ts';

/** A function as anybody can read it; reads change nothing. */
export interface Readable {
  readConfig(offset: number, width: Width): number;
  readBar(bar: number, offset: number, width: Width): number;
}

/** Where MSI-X has its table and its pending bits. */
export interface MsixPlace {
  readonly at: number;
  readonly count: number;
  readonly tableBar: number;
  readonly tableOffset: number;
  readonly pbaBar: number;
  readonly pbaOffset: number;
}

/** What the laws know of a function beforehand. */
export interface Facts {
  readonly bits: SpecBits;
  /** Bits that neither software nor the function itself changes, of each dword, and what they are. */
  readonly fixed: Int32Array;
  readonly image: Int32Array;
  /** Where MSI stands, 0 without it; PM likewise. */
  readonly msi: number;
  readonly power: number;
  readonly msix: MsixPlace | undefined;
}

/** A step that was carried out: the access, the function after it, and the messages that it sent. */
export interface Seen {
  readonly device: Readable;
  readonly facts: Facts;
  readonly access: Access;
  readonly sent: readonly NaiveMessage[];
}

/** Says how a step breaks it; undefined while it holds. */
export type Law = (seen: Seen) => string | undefined;

/** A word reads the same whole and in parts. PCI Local Bus 3.0 §3.8: byte enables select, they do not change. */
const widthIndependence: Law = ({ device, access: { region, offset } }) => {
  if (region !== REGION.config) return undefined;
  const at = offset & ~3;
  const whole = device.readConfig(at, 4);
  const parts =
    device.readConfig(at, 2) + 0x1_0000 * device.readConfig(at + 2, 1) + 0x100_0000 * device.readConfig(at + 3, 1);
  return whole === parts ? undefined : `config+${hex(at, 2)} reads ${hex(whole)} whole, ${hex(parts)} in parts`;
};

/** Read-only bits never change. */
const readOnlyBits: Law = ({ device, facts: { fixed, image }, access: { region, offset, width } }) => {
  if (region !== REGION.config) return undefined;
  for (let dword = offset >> 2; dword <= (offset + width - 1) >> 2 && dword < fixed.length; dword++) {
    const changed = (device.readConfig(4 * dword, 4) ^ image[dword]) & fixed[dword];
    if (changed !== 0) return `bits ${hex(changed)} of config+${hex(4 * dword, 2)} changed`;
  }
  return undefined;
};

/** A vector signalled while masked becomes pending, one signalled while not does not. PCIe 5.0 §6.1.4.5, §7.7.2.9. */
const pendingIffMasked: Law = ({ device, facts: { msix }, access: { kind, value, offset: vector } }) => {
  if (kind !== KIND.raise || value !== SIGNAL.begins || !msix || vector >= msix.count) return undefined;
  const control = device.readConfig(msix.at + 2, 2);
  if (!(control & ENABLE)) return undefined;
  const held = (control & FUNCTION_MASK) !== 0 || isMasked(device, msix, vector);
  if (isPending(device, msix, vector) === held) return undefined;
  return `vector ${vector} was signalled ${held ? '' : 'un'}masked and is ${held ? 'not ' : ''}pending`;
};

/** No message leaves while messages, or the vector, are disabled. PCIe 5.0 §6.1.4, §7.5.1.1.3. */
const silentWhileDisabled: Law = ({ device, facts: { msi, msix, power }, sent }) => {
  if (sent.length === 0) return undefined;
  if (!(device.readConfig(4, 1) & 4)) return 'a message left without Bus Master Enable';
  if (power && device.readConfig(power + 4, 1) & 3) return 'a message left a function that is not in D0';
  if (areBothEnabled(device, msi, msix)) return undefined;
  const control = msix ? device.readConfig(msix.at + 2, 2) : 0;
  if (control & ENABLE) {
    const masked = sent.find(({ vector }) => control & FUNCTION_MASK || isMasked(device, msix!, vector));
    return masked && `vector ${masked.vector} is masked and was sent`;
  }
  return msi && device.readConfig(msi + 2, 1) & 1 ? undefined : 'a message left while MSI and MSI-X are disabled';
};

/** Address and data are those that software wrote. PCIe 5.0 §6.1.4.5; MSI: but for the vector's bits, §6.1.4.4. */
const messageBytes: Law = ({ device, facts: { msi, msix }, sent }) => {
  if (sent.length === 0 || areBothEnabled(device, msi, msix)) return undefined;
  for (const { vector, addressLo, addressHi, data } of sent) {
    let want: readonly number[];
    let ignored = 0;
    if (msix && device.readConfig(msix.at + 2, 2) & ENABLE) {
      const word = (i: number) => device.readBar(msix.tableBar, msix.tableOffset + 16 * vector + 4 * i, 4);
      want = [word(0), word(1), word(2)];
    } else if (msi) {
      const control = device.readConfig(msi + 2, 2);
      const at = msi + (control & 0x80 ? 12 : 8);
      const high = control & 0x400 ? device.readConfig(at + 2, 2) * 0x1_0000 : 0;
      ignored = 31;
      want = [
        device.readConfig(msi + 4, 4),
        control & 0x80 ? device.readConfig(msi + 8, 4) : 0,
        high + device.readConfig(at, 2),
      ];
    } else continue;
    if (addressLo !== want[0] || addressHi !== want[1] || ((data ^ want[2]) & ~ignored) !== 0)
      return `vector ${vector} wrote ${hex(data)} to ${hex(addressHi)}:${hex(addressLo, 8)}, its registers say otherwise`;
  }
  return undefined;
};

/** What is signalled is sent once or pending, never both: a vector that was sent pends no longer. PCIe 5.0 §6.1.4.5. */
const conservation: Law = ({ device, facts: { msi, msix }, access, sent }) => {
  if (!msix || sent.length === 0 || areBothEnabled(device, msi, msix)) return undefined;
  if (!(device.readConfig(msix.at + 2, 2) & ENABLE)) return undefined;
  for (const { vector } of sent)
    if (isPending(device, msix, vector)) return `vector ${vector} was sent and is pending still`;
  if (access.kind === KIND.raise && access.value === SIGNAL.begins && sent.length > 1)
    return `one signal sent ${sent.length} messages`;
  return undefined;
};

/** A reset restores everything but what is to survive it, and nothing pends. PCIe 5.0 §6.6. */
const resetRestores: Law = ({ device, facts: { bits, msix }, access: { kind, value } }) => {
  if (kind !== KIND.reset) return undefined;
  for (let at = 0; at < bits.size; at++) {
    const survives = value === RESET.flr ? bits.sticky[at] | bits.keptByFlr[at] : 0;
    const changes = (bits.rw[at] | bits.w1c[at]) & ~survives & ~bits.volatile[at];
    if (changes === 0) continue;
    const left = (device.readConfig(at, 1) ^ bits.reset[at]) & changes;
    if (left !== 0) return `bits ${hex(left)} of config+${hex(at, 2)} are not those after a reset`;
  }
  if (!msix) return undefined;
  for (let vector = 0; vector < msix.count; vector++)
    if (!isMasked(device, msix, vector)) return `vector ${vector} is not masked after a reset`;
  for (let at = 0; at < Math.ceil(msix.count / 8); at++)
    if (device.readBar(msix.pbaBar, msix.pbaOffset + at, 1) !== 0) return 'something is pending after a reset';
  return undefined;
};

/** Laws of a function, by the names that findings bear. */
export const FUNCTION_LAWS: Readonly<Record<string, Law>> = {
  'width independence': widthIndependence,
  'read-only bits never change': readOnlyBits,
  'pending if and only if signalled while masked': pendingIffMasked,
  'no message while disabled': silentWhileDisabled,
  'message bytes are those of the registers': messageBytes,
  'sent or pending, not both': conservation,
  'reset restores': resetRestores,
};

const LIST = Object.entries(FUNCTION_LAWS);

/** The first law that a step breaks: `law: <name>: <how>`. */
export function checkLaws(seen: Seen): string | undefined {
  const { kind } = seen.access;
  // a read changes nothing, so that only what it reads can be wrong, which is compared anyway
  if (kind === KIND.read && seen.sent.length === 0) return undefined;
  for (const [name, law] of LIST) {
    const broken = law(seen);
    if (broken) return `law "${name}": ${broken}`;
  }
  return undefined;
}

/** What the laws ask of a function with these bits; MSI-X is where its capability says. */
export function factsOf(bits: SpecBits): Facts {
  const { size, capabilities } = bits;
  const image = new Int32Array(bits.image.slice(0, size).buffer);
  const fixed = new Int32Array(size >> 2);
  const bytes = new Uint8Array(fixed.buffer);
  for (let at = 0; at < size; at++) bytes[at] = ~(bits.rw[at] | bits.w1c[at] | bits.volatile[at]);
  bytes[6] &= ~8; // the interrupt's state
  const view = new DataView(image.buffer);
  const [msi, power, msixAt] = [5, 1, 0x11].map((id) => capabilities.get(id) ?? 0);
  // pending bits of MSI are the function's to change
  const control = msi ? view.getUint16(msi + 2, true) : 0;
  const pending = msi + (control & 0x80 ? 20 : 16);
  if (control & 0x100) bytes.fill(0, pending, pending + 4);
  if (!msixAt) return { bits, fixed, image, msi, power, msix: undefined };
  const [table, pba] = [view.getUint32(msixAt + 4, true), view.getUint32(msixAt + 8, true)];
  const place = { at: msixAt, count: (view.getUint16(msixAt + 2, true) & 0x7ff) + 1 };
  const msix = {
    ...{ ...place, tableBar: table % 8, tableOffset: table - (table % 8) },
    ...{ pbaBar: pba % 8, pbaOffset: pba - (pba % 8) },
  };
  return { bits, fixed, image, msi, power, msix };
}

const ENABLE = 0x8000;
const FUNCTION_MASK = 0x4000;

/** Software must not enable both (PCIe 5.0 §6.1.4), and what comes of it is left open. */
function areBothEnabled(device: Readable, msi: number, msix: MsixPlace | undefined): boolean {
  if (!msi || !msix || !(device.readConfig(msi + 2, 1) & 1)) return false;
  return (device.readConfig(msix.at + 2, 2) & ENABLE) !== 0;
}

function isMasked(device: Readable, { tableBar, tableOffset }: MsixPlace, vector: number): boolean {
  return (device.readBar(tableBar, tableOffset + 16 * vector + 12, 1) & 1) === 1;
}

function isPending(device: Readable, { pbaBar, pbaOffset }: MsixPlace, vector: number): boolean {
  return ((device.readBar(pbaBar, pbaOffset + (vector >> 3), 1) >> (vector & 7)) & 1) === 1;
}

/** What each domain has: pirqs with their irq (≤ 0: none) and port (0: none), and ports bound to a pirq. */
export interface DomainView {
  readonly id: number;
  readonly pirqs: readonly { pirq: number; irq: number; evtchn: number }[];
  readonly ports: readonly { port: number; pirq: number | undefined }[];
}

/**
 * No two pirqs of a domain are of one irq, and no two of its ports of one pirq. Pirq 0 is left out: Xen takes 0 for none
 * where it looks for another pirq of the irq (`xen/arch/x86/irq.c: map_domain_pirq`). Domains may share an irq: a pirq of
 * the hardware domain can be mapped into a guest by its number.
 */
export function oneOwner(domains: readonly DomainView[]): string | undefined {
  for (const { id, pirqs, ports } of domains) {
    const owners = new Map<number, number>();
    for (const { pirq, irq } of pirqs) {
      if (irq <= 0 || pirq === 0) continue;
      const other = owners.get(irq);
      if (other !== undefined)
        return `law "one owner per pirq": irq ${irq} of domain ${id} is of pirq ${other} and of pirq ${pirq}`;
      owners.set(irq, pirq);
    }
    const bound = new Map<number | undefined, number>();
    for (const { port, pirq } of ports) {
      const other = bound.get(pirq);
      if (other !== undefined)
        return `law "one owner per pirq": pirq ${pirq} of domain ${id} is of port ${other} and of port ${port}`;
      bound.set(pirq, port);
    }
  }
  return undefined;
}

/** A pirq that has a port is that port's pirq, and the other way round: no binding is lost or counted twice. */
export function bindingsAgree(domains: readonly DomainView[]): string | undefined {
  for (const { id, pirqs, ports } of domains) {
    const bound = new Map(pirqs.filter((p) => p.evtchn !== 0).map((p) => [p.evtchn, p.pirq]));
    for (const { port, pirq } of ports)
      if (bound.get(port) !== pirq)
        return `law "conservation": port ${port} of domain ${id} has pirq ${pirq}, which has not the port`;
    if (bound.size !== ports.length)
      return `law "conservation": domain ${id} has ${bound.size} bound pirqs and ${ports.length} ports`;
  }
  return undefined;
}
