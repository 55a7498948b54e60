import { hex, type Prng } from '../../core/index.ts';
import { execute } from '../../guest/drivers/nvme-queue.ts';
import { command, OPCODE } from '../../guest/drivers/nvme-regs.ts';
import { maskEvent, unmaskEvent } from '../../guest/event-bits.ts';
import { bindPirq, closePort, getFreePirq } from '../../guest/hypercalls.ts';
import {
  CONTROLLER_STATE,
  getKernelProfile,
  type KernelProfile,
  nvmeMemory,
  probe,
  QUEUE_FLAG,
  type Task,
  unload,
  withSwitches,
} from '../../guest/index.ts';
import { readBar, writeBar, writeConfig } from '../../guest/ops.ts';
import { builtinDrive, caseConfig } from '../../lab/case.ts';
import { GUEST_DOMAIN, Machine } from '../../lab/machine.ts';
import { deviceModel } from '../../xen/device-model/index.ts';
import { HostFault, isMasked2l, isPending2l } from '../../xen/index.ts';
import type { Subject, Target } from '../target.ts';
import { isExpected } from './machine-deviations.ts';
import { MachineDoor } from './machine-door.ts';
import { MachineLaws } from './machine-laws.ts';
import {
  DRIVER_WEIGHTS,
  decodeSteps,
  encodeSteps,
  MachineInputs,
  type MachineStep,
  REGISTER_WEIGHTS,
  simplerSteps,
  tellStep,
} from './machine-steps.ts';
import { disable, enable, takePort, unmapPirq } from './machine-tasks.ts';

interface Variant {
  deviceModel: string;
  kernel: KernelProfile;
  /** Only what drivers do, the same without MSI-X, or registers and hypercalls behind their backs as well. */
  kind: 'drivers' | 'msi' | 'registers';
}

const [OLD, TWICE, NEW] = ['linux-3.13', 'linux-4.4.0-59', 'linux-6.1'].map(getKernelProfile);
const KERNELS = [
  OLD,
  TWICE,
  { ...withSwitches(TWICE, { reuse: 'R0' }), name: 'linux-4.4.0-59 reuse=R0' },
  getKernelProfile('linux-4.4.0-61'),
  NEW,
];
const VARIANTS: readonly Variant[] = ['qemu-2.0', 'qemu-2.1', 'qemu-7.2'].flatMap((model) =>
  KERNELS.flatMap((guestKernel) =>
    (['drivers', 'msi', 'registers'] as const).map((kind) => ({ deviceModel: model, kernel: guestKernel, kind })),
  ),
);

const DEVICES = 2;
const VECTORS = 2;
const GSIS = 16;
const MESSAGE_PIRQS = 8;
/** Takes what a step that ended early has left. */
const NOWHERE = { message: () => {} };
/** Ports that are taken before, so that those of pirqs lie on both sides of a word of the bitmaps, or of its selector. */
const PORTS_TAKEN = { drivers: 30, msi: 30, registers: 61 } as const;
/** A drive with maskable MSI of 64 bits besides MSI-X. */
const DRIVE = '15b7-7e9a';

interface Saved {
  arena: Int32Array;
  door: ReturnType<MachineDoor['save']>;
  log: readonly MachineStep[];
  isDead: boolean;
}

/** Two NVMe controllers passed through to a guest: drivers, registers and hypercalls on one side, interrupts on the other. */
class MachineSubject implements Subject<MachineStep> {
  readonly label: string;
  readonly functions = [];
  readonly #machine: Machine;
  readonly #door: MachineDoor;
  readonly #inputs: MachineInputs;
  readonly #laws: MachineLaws;
  readonly #kind: Variant['kind'];
  readonly #isDriven: boolean;
  readonly #start: Saved;
  #log: MachineStep[] = [];
  /** The host has died, as the real one would have. */
  #isDead = false;
  #isRepeating = false;
  #did = '';

  constructor({ deviceModel: model, kernel: guestKernel, kind }: Variant) {
    this.label = `${model} with ${guestKernel.name}, ${kind}`;
    this.#kind = kind;
    this.#isDriven = kind !== 'registers';
    const config = caseConfig({
      controllers: DEVICES,
      vectors: VECTORS,
      gsis: GSIS,
      extraGuestIrqs: MESSAGE_PIRQS,
      drive: builtinDrive(DRIVE),
    });
    this.#machine = new Machine({ ...config, deviceModel: deviceModel(model), kernel: guestKernel });
    this.#door = new MachineDoor(this.#machine);
    this.#laws = new MachineLaws(this.#machine, this.#door);
    const domain = this.#machine.hypervisor.domain(GUEST_DOMAIN);
    for (let n = 0; n < PORTS_TAKEN[kind]; n++) this.#machine.run(-1, takePort());
    if (kind === 'msi')
      for (const { guestBdf } of this.#machine.slots) this.#machine.records.perform('device.msixCap=', [guestBdf, 0]);
    this.#inputs = new MachineInputs(this.#isDriven ? DRIVER_WEIGHTS : REGISTER_WEIGHTS, {
      devices: DEVICES,
      vectors: VECTORS,
      firstPirq: GSIS,
      pirqs: domain.nrPirqs,
      firstPort: 1 + PORTS_TAKEN[kind],
      ports: domain.ports.state.length - 1,
    });
    this.#start = this.save();
  }

  begin(): void {
    this.restore(this.#start);
  }

  save(): Saved {
    return {
      arena: this.#machine.arena.snapshot(),
      door: this.#door.save(),
      log: this.#log.slice(),
      isDead: this.#isDead,
    };
  }

  restore({ arena, door, log, isDead }: Saved): void {
    this.#machine.arena.restore(arena);
    for (const { messages } of this.#machine.slots) messages.drain(NOWHERE);
    this.#machine.takeViolations();
    this.#door.restore(door);
    this.#log = log.slice();
    this.#isDead = isDead;
  }

  generate(prng: Prng): MachineStep {
    return this.#inputs.generate(prng);
  }

  mutate(prng: Prng, step: MachineStep): MachineStep {
    return this.#inputs.mutate(prng, step);
  }

  run(step: MachineStep): string | undefined {
    this.#did = '';
    if (this.#isDead || !this.#machine.slots[step.slot]) return undefined;
    if (step.op !== 'again') this.#log.push(step);
    this.#door.clear();
    let wrong: string | undefined;
    try {
      wrong = this.#carryOut(step);
    } catch (error) {
      if (!(error instanceof HostFault) || this.#isDriven) return `throws: ${String(error)}`;
      this.#isDead = true;
      this.#did = error.message;
      return undefined;
    }
    const { broken, sent, delivered, hypercalls } = this.#door;
    if (broken ?? wrong) return broken ?? wrong;
    if (sent !== delivered.length) return `message: ${sent} were sent, ${delivered.length} arrived`;
    return hypercalls > 0 ? this.#laws.comparePirqs() : undefined;
  }

  #carryOut({ op, slot, a, b }: MachineStep): string | undefined {
    const { slots, guest } = this.#machine;
    const { controller, guestBdf: bdf, fn, model } = slots[slot];
    const { msix, msi } = model.layout;
    const run = (task: Task<unknown>) => this.#machine.run(slot, task);
    switch (op) {
      case 'probe':
        if (!this.#isIdle(slot)) return undefined;
        return this.#probe(slot);
      case 'remove':
        if (this.#isManual(slot)) return undefined;
        run(unload(guest, controller, 'u.'));
        return this.#isDriven ? this.#laws.afterRemoval(slot) : undefined;
      case 'io':
        return this.#readBlock(slot, a);
      case 'enable':
        if (!this.#isIdle(slot)) return undefined;
        run(enable(this.#machine, slot, a));
        return this.#isDriven ? this.#laws.checkDriver(slot) : undefined;
      case 'disable':
        if (!this.#isManual(slot)) return undefined;
        run(disable(this.#machine, slot));
        return this.#isDriven ? this.#laws.afterRemoval(slot) : undefined;
      case 'raise':
        return this.#raise(slot, a);
      case 'again':
        return this.#repeat();
      case 'control':
        run(writeConfig(bdf, msix!.control, 2, b));
        return undefined;
      case 'table':
        run(writeBar(bdf, msix!.bar, msix!.tableOffset + 4 * a, b));
        return undefined;
      case 'read':
        return this.#readTable(slot, a);
      case 'msiControl':
        run(writeConfig(bdf, msi!.control, 2, b));
        return undefined;
      case 'msiMessage':
        run(writeConfig(bdf, msi!.control + [2, 6, 10][a % 3], a === 2 ? 2 : 4, b));
        return undefined;
      case 'command':
        run(writeConfig(bdf, 4, 2, b));
        return undefined;
      case 'free':
        run(getFreePirq());
        return undefined;
      case 'bind':
        run(bindPirq(a, false));
        return undefined;
      case 'close':
        run(closePort(a));
        return undefined;
      case 'unmap':
        run(unmapPirq(a));
        return undefined;
      case 'mask':
        if (this.#isPort(a)) run(maskEvent(guest, a));
        return undefined;
      case 'unmask':
        if (this.#isPort(a)) run(unmaskEvent(guest, a));
        return undefined;
      case 'flr':
        fn.reset('flr');
        return undefined;
    }
  }

  #isPort(port: number): boolean {
    return (
      port >= 1 + PORTS_TAKEN[this.#kind] && port < this.#machine.hypervisor.domain(GUEST_DOMAIN).ports.state.length
    );
  }

  /** Neither a driver nor anybody else has the device. */
  #isIdle(slot: number): boolean {
    const { records, slots } = this.#machine;
    const { guestBdf } = slots[slot];
    return records.controller(guestBdf).state === CONTROLLER_STATE.unbound && records.device(guestBdf).vectors === 0;
  }

  /** Vectors are enabled without a driver. */
  #isManual(slot: number): boolean {
    const { records, slots } = this.#machine;
    const { guestBdf } = slots[slot];
    return records.controller(guestBdf).state === CONTROLLER_STATE.unbound && records.device(guestBdf).vectors > 0;
  }

  /** Where both sides agree and numbers are left, a probe ends with a controller that works. */
  #probe(slot: number): string | undefined {
    const { guest, slots, records } = this.#machine;
    const { controller, guestBdf } = slots[slot];
    let left = MESSAGE_PIRQS;
    for (const pirq of this.#door.book.state.pirqs.keys()) if (pirq >= GSIS) left--;
    const held = this.#laws.heldBy(slot);
    this.#machine.run(slot, probe(guest, controller, 'p.'));
    const { state } = records.controller(guestBdf);
    const { vectors } = records.device(guestBdf);
    this.#did = `state ${state}, ${vectors} vectors`;
    const wanted = this.#kind === 'msi' ? 1 : VECTORS;
    const isSure = this.#isDriven && isExpected(this.#laws.pairing) && left + held >= wanted;
    if (isSure && (state !== CONTROLLER_STATE.up || vectors !== wanted))
      return `driver: device ${slot} ends its probe in state ${state} with ${vectors} vectors, should be up with ${wanted}`;
    return this.#isDriven ? this.#laws.checkDriver(slot) : undefined;
  }

  /** A read through queue `a` completes by its interrupt. */
  #readBlock(slot: number, a: number): string | undefined {
    const { guest, records, slots } = this.#machine;
    const { controller, guestBdf } = slots[slot];
    const { state, ioQueues } = records.controller(guestBdf);
    if (state !== CONTROLLER_STATE.up || ioQueues === 0) return undefined;
    const queue = 1 + (a % ioQueues);
    if (records.queue(guestBdf, queue).flags & QUEUE_FLAG.dead) return undefined;
    records.perform('queue.flags=', [guestBdf, queue, QUEUE_FLAG.created]);
    const { data } = nvmeMemory(guest.profile, controller);
    this.#machine.run(slot, execute(guest, guestBdf, queue, command(OPCODE.read, { nsid: 1, prp1: data })));
    const { flags, status, irq } = records.queue(guestBdf, queue);
    this.#did = `queue ${queue}: flags ${flags}, status ${hex(status)}`;
    const isGood = (flags & QUEUE_FLAG.interrupted) !== 0 && status === 0;
    if (!this.#isDriven || isGood || this.#laws.excuse(irq)) return undefined;
    return `io: a read on queue ${queue} of device ${slot} ends with flags ${flags}, status ${hex(status)}`;
  }

  /** An open entry sends its message; the port it leads to runs the handlers of its irq. */
  #raise(slot: number, entry: number): string | undefined {
    const machine = this.#machine;
    const { fn } = machine.slots[slot];
    const { book } = this.#door;
    const { msix } = fn;
    const mayLeave = fn.busMaster && msix!.enabled;
    const isOpen = mayLeave && !msix!.functionMask && (msix!.table.words[4 * entry + 3] & 1) === 0;
    const usesMsix = msix!.enabled || !fn.msi?.enabled;
    const key = usesMsix ? entry : -1;
    const isSent = usesMsix ? isOpen : fn.busMaster && (fn.msi!.maskBits & 1) === 0;
    const port = isSent ? book.portOf(slot, key) : 0;
    const domain = machine.hypervisor.domain(GUEST_DOMAIN);
    const isHeard = port > 0 && !isMasked2l(domain, port) && !isPending2l(domain, port);
    const expected = new Set(isHeard ? this.#laws.handlersHeard(port) : []);
    fn.raise(entry);
    machine.perform(slot, { op: 'delay', ms: 0 });
    const { ran } = this.#door;
    this.#did = `${this.#door.delivered.length} messages, port ${port}, handlers ${ran.join(' ') || 'none'}`;
    if (this.#door.broken) return undefined;
    if (this.#door.delivered.length !== (isSent ? 1 : 0))
      return `message: vector ${entry} of device ${slot} ${isSent ? 'should have' : 'should not have'} fired`;
    const missing = [...expected].find((handler) => !ran.includes(handler));
    if (missing) return `handler: vector ${entry} of device ${slot} did not run the handler of queue ${missing}`;
    const extra = ran.find((handler) => !expected.has(handler));
    if (extra) return `handler: vector ${entry} of device ${slot} ran the handler of queue ${extra}`;
    return this.#isDriven ? this.#laws.intended(slot, key, entry, ran) : undefined;
  }

  /** The guest reads its table as it wrote it. */
  #readTable(slot: number, a: number): string | undefined {
    const { guestBdf, model } = this.#machine.slots[slot];
    const { bar, tableOffset } = model.layout.msix!;
    let got = 0;
    this.#machine.run(
      slot,
      (function* () {
        got = yield* readBar(guestBdf, bar, tableOffset + 4 * a);
      })(),
    );
    const want = this.#door.models[slot].word(a >> 2, a & 3);
    return got === want ? undefined : `table: dword ${a} of device ${slot} reads ${hex(got)}, should be ${hex(want)}`;
  }

  /** The same steps from the same beginning lead to the same state. */
  #repeat(): string | undefined {
    if (this.#isRepeating) return undefined;
    const end = this.save();
    const hash = this.#machine.arena.hash();
    this.#isRepeating = true;
    this.restore(this.#start);
    for (const step of end.log) this.run(step);
    this.#isRepeating = false;
    const difference =
      this.#machine.arena.hash() === hash ? undefined : this.#machine.arena.explainDifference(end.arena);
    this.restore(end);
    return difference ? `repeat: the same steps lead to another state: ${difference}` : undefined;
  }

  finish(): string | undefined {
    if (this.#isDead) return undefined;
    for (const [i, { model }] of this.#machine.slots.entries())
      for (let at = 0; at < 4 * VECTORS; at++) {
        const want = this.#door.models[i].word(at >> 2, at & 3);
        const got = model.readTable(4 * at);
        if (got !== want) return `table: dword ${at} of device ${i} holds ${hex(got)}, should hold ${hex(want)}`;
      }
    return this.#laws.comparePirqs();
  }

  /** How many pirqs of each kind, ports and irqs, and of each device its driver, its mode and what it holds. */
  abstractState(): number {
    const { pirqs, bound, ports, routed, irqs } = this.#door.book.state;
    let h = this.#isDead ? 1 : 0;
    const mix = (value: number) => {
      h = Math.imul(h ^ value, 0x01000193);
      h ^= h >>> 15;
    };
    const count = { reserved: 0, mapped: 0, ghost: 0 };
    for (const { state } of pirqs.values()) count[state]++;
    mix(count.reserved | (count.mapped << 4) | (count.ghost << 8) | (bound.size << 12) | (ports.size << 16));
    mix(routed.size | (irqs.size << 6));
    for (const [i, { guestBdf, fn }] of this.#machine.slots.entries()) {
      const { mode, vectors } = this.#machine.records.device(guestBdf);
      mix(this.#machine.records.controller(guestBdf).state | (mode << 4) | (vectors << 8));
      mix(fn.msix!.control >>> 14);
      const model = this.#door.models[i];
      for (let entry = 0; entry < VECTORS; entry++)
        mix((model.pirqOf(entry) >= 0 ? 1 : 0) | ((model.word(entry, 3) & 1) << 1));
    }
    return h;
  }

  simpler(step: MachineStep): MachineStep[] {
    return simplerSteps(step);
  }

  tell(step: MachineStep): string {
    return tellStep(step, this.#machine.slots[step.slot]?.model.layout.msix?.control ?? 0);
  }

  outcome(): string {
    return this.#did;
  }
}

export const MACHINE_TARGET: Target<MachineStep> = {
  name: 'machine',
  about: 'two NVMe controllers passed through to a guest: drivers, registers, hypercalls, interrupts',
  unit: 'steps',
  variants: VARIANTS.length,
  open: (variant) => new MachineSubject(VARIANTS[variant]),
  encode: encodeSteps,
  decode: decodeSteps,
};
