import { hex, type Prng } from '../../core/index.ts';

/** What a step of the `machine` target does; `a` and `b` are its arguments. */
export const OPS = [
  /** Driver: probe, remove, a read of one block by I/O queue `a`. */
  'probe',
  'remove',
  'io',
  /** PCI core without a driver: enable up to `a` vectors with a handler each; give all back. */
  'enable',
  'disable',
  /** The device signals entry `a`. */
  'raise',
  /** Everything since the beginning once more, which must lead to the same state. */
  'again',
  /** Registers behind the driver's back: MSI-X control `b`; table dword `a` becomes `b`; a table dword is read. */
  'control',
  'table',
  'read',
  /** MSI control `b`; MSI address, upper address or data (`a` 0 to 2) becomes `b`. */
  'msiControl',
  'msiMessage',
  /** Command register `b`. */
  'command',
  /** Hypercalls: get_free_pirq, bind_pirq of `a`, close of port `a`, unmap_pirq of `a`. */
  'free',
  'bind',
  'close',
  'unmap',
  /** The mask bit of port `a` is set, or cleared as the kernel does. */
  'mask',
  'unmask',
  /** The host resets the function. */
  'flr',
] as const;
export type Op = (typeof OPS)[number];

export interface MachineStep {
  op: Op;
  slot: number;
  a: number;
  b: number;
}

const STEP_BYTES = 8;

/** Eight bytes a step: u8 number of the op, u8 device, u16 `a`, u32 `b`. */
export function encodeSteps(steps: readonly MachineStep[]): Uint8Array {
  const bytes = new Uint8Array(STEP_BYTES * steps.length);
  const view = new DataView(bytes.buffer);
  for (const [i, { op, slot, a, b }] of steps.entries()) {
    bytes[STEP_BYTES * i] = OPS.indexOf(op);
    bytes[STEP_BYTES * i + 1] = slot;
    view.setUint16(STEP_BYTES * i + 2, a, true);
    view.setUint32(STEP_BYTES * i + 4, b, true);
  }
  return bytes;
}

/** Bytes that end within a step, or name no op, are left out. */
export function decodeSteps(bytes: Uint8Array): MachineStep[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const steps: MachineStep[] = [];
  for (let at = 0; at + STEP_BYTES <= bytes.length; at += STEP_BYTES) {
    const op = OPS[bytes[at]];
    if (op) steps.push({ op, slot: bytes[at + 1], a: view.getUint16(at + 2, true), b: view.getUint32(at + 4, true) });
  }
  return steps;
}

type Weights = Partial<Record<Op, number>>;

/** What drivers do, and what devices do to them. */
export const DRIVER_WEIGHTS: Weights = { probe: 2, remove: 1, io: 3, enable: 4, disable: 3, raise: 96, again: 0.25 };

/** The same with registers and hypercalls in between that no driver would write or make. */
export const REGISTER_WEIGHTS: Weights = {
  probe: 0.5,
  remove: 0.3,
  enable: 1,
  disable: 0.5,
  raise: 48,
  again: 0.25,
  control: 20,
  table: 44,
  read: 8,
  msiControl: 4,
  msiMessage: 6,
  command: 4,
  free: 4,
  bind: 14,
  close: 6,
  unmap: 3,
  mask: 3,
  unmask: 4,
  flr: 0.5,
};

/** What a generated step can refer to. */
export interface Surroundings {
  devices: number;
  vectors: number;
  firstPirq: number;
  pirqs: number;
  firstPort: number;
  ports: number;
}

/** Makes steps by weight. */
export class MachineInputs {
  readonly #menu: Op[] = [];
  readonly #around: Surroundings;

  constructor(weights: Weights, around: Surroundings) {
    for (const [op, weight] of Object.entries(weights) as [Op, number][])
      for (let n = 0; n < 4 * weight; n++) this.#menu.push(op);
    this.#around = around;
  }

  generate(prng: Prng): MachineStep {
    const { devices, vectors, firstPort, ports } = this.#around;
    const op = prng.pick(this.#menu);
    const slot = prng.below(devices);
    const step = (a: number, b = 0): MachineStep => ({ op, slot, a, b: b >>> 0 });
    switch (op) {
      case 'io':
        return step(1 + prng.below(vectors));
      case 'enable':
        return step(1 + prng.below(vectors));
      case 'raise':
        return step(prng.below(vectors));
      case 'control':
        return step(0, prng.pick([0x8000, 0x8000, 0x8000, 0xc000, 0, 0x4000]));
      case 'table':
        return this.#table(prng, slot);
      case 'read':
        return step(prng.below(4 * vectors));
      case 'msiControl':
        return step(0, prng.pick([0x0001, 0x0001, 0x0000, 0x0100, 0x0011]));
      case 'msiMessage': {
        const part = prng.below(3);
        return step(part, this.#messages(prng)[part]);
      }
      case 'command':
        return step(0, prng.pick([0x006, 0x406, 0x002, 0x402]));
      case 'bind':
      case 'unmap':
        return step(this.#pirq(prng));
      case 'close':
      case 'mask':
      case 'unmask':
        return step(prng.below(12) ? firstPort + prng.below(6) : prng.below(ports + 2));
      default:
        return step(0);
    }
  }

  mutate(prng: Prng, step: MachineStep): MachineStep {
    return prng.below(2) ? { ...step, slot: prng.below(this.#around.devices) } : this.generate(prng);
  }

  #pirq(prng: Prng): number {
    const { firstPirq, pirqs } = this.#around;
    return prng.below(16) ? pirqs - 1 - prng.below(Math.min(8, pirqs - firstPirq)) : prng.below(pirqs + 2);
  }

  /** Words of a message that names a pirq, or of another one. */
  #messages(prng: Prng): number[] {
    return [
      (0xfee0_0000 | (this.#pirq(prng) << 12)) >>> 0,
      prng.below(16) ? 0 : prng.next() & 0xff00,
      prng.pick([0x4300, 0x4300, 0x0700, 0x4300 | prng.below(256)]),
    ];
  }

  /** A word of a message, or a mask bit. */
  #table(prng: Prng, slot: number): MachineStep {
    const entry = prng.below(this.#around.vectors);
    const word = prng.below(6);
    if (word < 3) return { op: 'table', slot, a: 4 * entry + word, b: this.#messages(prng)[word] };
    return { op: 'table', slot, a: 4 * entry + 3, b: prng.below(3) ? 0 : 1 };
  }
}

/** Simpler steps that might do as well. */
export function simplerSteps(step: MachineStep): MachineStep[] {
  const list: MachineStep[] = [];
  if (step.slot > 0) list.push({ ...step, slot: 0 });
  if (step.a > 0) list.push({ ...step, a: 0 }, { ...step, a: step.a >> 1 }, { ...step, a: step.a - 1 });
  for (let bit = 31; bit >= 0; bit--) if ((step.b >>> bit) & 1) list.push({ ...step, b: (step.b & ~(1 << bit)) >>> 0 });
  return list;
}

/** A step in words; `control` is the offset of the device's MSI-X control word. */
export function tellStep({ op, slot, a, b }: MachineStep, control: number): string {
  const told: Record<Op, string> = {
    probe: `the driver probes device ${slot}`,
    remove: `the driver of device ${slot} is removed`,
    io: `a read on I/O queue ${a} of device ${slot}`,
    enable: `device ${slot}: enable up to ${a} vectors`,
    disable: `device ${slot}: disable them`,
    raise: `device ${slot} signals vector ${a}`,
    again: 'all steps once more',
    control: `device ${slot}: write ${hex(b, 4)} to MSI-X control (config+${hex(control)})`,
    table: `device ${slot}: write ${hex(b, 8)} to table entry ${a >> 2} dword ${a & 3}`,
    read: `device ${slot}: read table entry ${a >> 2} dword ${a & 3}`,
    msiControl: `device ${slot}: write ${hex(b, 4)} to MSI control`,
    msiMessage: `device ${slot}: write ${hex(b, 8)} to MSI ${['address', 'upper address', 'data'][a]}`,
    command: `device ${slot}: write ${hex(b, 4)} to the command register`,
    free: 'get_free_pirq',
    bind: `bind_pirq ${a}`,
    close: `close port ${a}`,
    unmap: `unmap_pirq ${a}`,
    mask: `the guest masks port ${a}`,
    unmask: `the guest unmasks port ${a}`,
    flr: `the host resets device ${slot}`,
  };
  return told[op];
}
