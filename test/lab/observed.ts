import { readFileSync } from 'node:fs';
import {
  getKernelProfile,
  type KernelProfile,
  probe,
  registerGsi,
  unload,
  withSwitches,
} from '../../src/guest/index.ts';
import { GUEST_DOMAIN, HOST_DOMAIN, Machine, type MachineOptions } from '../../src/lab/machine.ts';
import { taskName } from '../../src/lab/schedule.ts';
import { Session } from '../../src/lab/session.ts';
import { Trace, type TraceEvent } from '../../src/lab/trace.ts';
import { parseDump } from '../../src/pci/dump/index.ts';
import { MAP_PIRQ_TYPE } from '../../src/xen/abi/index.ts';
import { deviceModel, withSwitches as withModelSwitches } from '../../src/xen/device-model/index.ts';
import { getXenProfile } from '../../src/xen/index.ts';

/** The drive of the observations: MSI-X at 0x40, 65 entries, table at BAR 0 + 0x2000. */
const DRIVE = new URL('../dumps/1b36-0010.txt', import.meta.url);

export const LINUX_6_1 = getKernelProfile('linux-6.1');
export const QEMU_7_2 = deviceModel('qemu-7.2');
/** qemu-xen 7.2 with the call that frees the pirqs on MSI-X disable made a no-op. */
export const FREES_NOTHING = withModelSwitches(QEMU_7_2, { freeOnDisable: false });

/** Linux 6.1 made to follow an older rule. */
export function withRule(reuse: string, switches: Record<string, boolean> = {}): KernelProfile {
  return withSwitches(LINUX_6_1, { reuse, ...switches });
}

/** GSIs of the guest in the order in which it registers them. */
const GUEST_GSIS = [9, 8, 12, 1, 6];
/** Pins of the passed-through functions, which keep the host's numbers. */
const HOST_PINS = [21, 22, 23];

/** The machine that was observed: Xen 4.17 with 24 GSIs, QEMU's NVMe drives, three vectors each. */
export function observedMachine(given: Partial<MachineOptions> = {}): Machine {
  return new Machine({
    deviceModel: QEMU_7_2,
    kernel: LINUX_6_1,
    xen: getXenProfile('xen-4.17'),
    controllers: 3,
    vectors: 3,
    drive: parseDump(readFileSync(DRIVE, 'utf8'))[0].spec,
    gsis: 24,
    extraGuestIrqs: 32,
    ...given,
  });
}

/** What the toolstack and the guest's boot take of the pirqs before the first driver; the pirq of each GSI by GSI. */
export function takeGsis(machine: Machine, last: readonly number[] = [24]): Map<number, number> {
  const taken = new Map<number, number>();
  for (const gsi of HOST_PINS) {
    const map = { domid: GUEST_DOMAIN, type: MAP_PIRQ_TYPE.gsi, index: gsi, pirq: gsi };
    const { ret, pirq } = machine.hypervisor.as(HOST_DOMAIN).mapPirq(map);
    taken.set(gsi, ret || pirq);
  }
  for (const gsi of [...GUEST_GSIS, ...last])
    machine.run(
      -1,
      (function* () {
        taken.set(gsi, yield* registerGsi(machine.guest, { gsi }));
      })(),
    );
  return taken;
}

/**
 * Follows a course of events that has been observed, in a notation close to that of the observations: `A54` controller A
 * goes on until it has written a message with pirq 54 and has an irq for it, `A=54` the same if it uses 54 again, `A?`
 * until it has been given a pirq that is not yet written, `Ad` until it has disabled MSI-X, `A>name` up to the step of
 * that name, `A.` to the end of its task.
 */
export class Course {
  readonly machine: Machine;
  readonly session: Session;
  readonly #trace = new Trace();
  readonly #told: string[] = [];
  #seen = 0;

  constructor(machine: Machine) {
    this.machine = machine;
    this.session = new Session(machine);
    machine.tell(this.#trace);
  }

  /** Controllers begin to load their drivers; each then goes on as {@link go} and {@link follow} say. */
  load(names = 'ABC', pass = ''): this {
    for (const task of this.#tasks(names)) {
      const { controller } = this.machine.slots[task];
      this.session.begin(task, probe(this.machine.guest, { ...controller, ioCheck: true }, pass));
    }
    return this;
  }

  /** Controllers unload their drivers, one after another. */
  unload(names = 'ABC'): this {
    for (const task of this.#tasks(names)) {
      this.session.begin(task, unload(this.machine.guest, this.machine.slots[task].controller));
      this.session.run(task);
    }
    return this;
  }

  /** Goes on as the script says; answers the messages written and pirqs re-used. */
  go(script: string): string {
    this.#told.length = 0;
    for (const move of script.split(' ')) this.#go(move);
    return this.#told.join(' ');
  }

  /** The same, and then lets all come to their ends, one after another. */
  follow(script?: string): string {
    this.#told.length = 0;
    for (const move of script?.split(' ') ?? []) this.#go(move);
    for (const task of this.machine.slots.keys()) this.#run(task, () => false);
    return this.#told.join(' ');
  }

  /** The device model's calls since the last look, with their results. */
  calls(): string[] {
    return this.#since()
      .filter(({ layer }) => layer === 'device-model')
      .map(({ text }) => text);
  }

  /** What has happened since the last look, one line an event. */
  events(): string[] {
    return this.#since().map(({ text }) => text);
  }

  /** By vector: whether a signal of the device reaches the driver's own handler and no other. */
  delivering(task: number): boolean[] {
    const { machine } = this;
    const slot = machine.slots[task];
    const before = machine.arena.snapshot();
    machine.tell(undefined);
    const delivers = Array.from({ length: machine.options.vectors }, (_, entry) => {
      const own = machine.handlersOf(slot, entry);
      return own.length > 0 && machine.probeVector(slot, entry).join() === own.join();
    });
    machine.arena.restore(before);
    machine.tell(this.#trace);
    return delivers;
  }

  #since() {
    const events = this.#trace.events.slice(this.#seen);
    this.#seen = this.#trace.events.length;
    return events;
  }

  #go(move: string): void {
    const task = move.charCodeAt(0) - 65;
    const what = move.slice(1);
    if (what === '.') this.#run(task, () => false);
    else if (what === '?') this.#run(task, ({ name }) => name === 'get_free_pirq');
    else if (what === 'd') this.#run(task, ({ text }) => text.includes('(MSI-X enable=0'));
    else if (what.startsWith('>')) this.session.runTo(task, what.slice(1));
    else this.#run(task, ({ name }) => name === 'irq.allocate');
  }

  /** Runs a task up to an event that `stop` accepts, noting messages and re-use on the way. */
  #run(task: number, stop: (event: TraceEvent) => boolean): void {
    this.session.run(task, (access) => {
      const last = this.#lastEventOf(access.op);
      if (!last) return false;
      const written = / is written .*\(pirq (\d+)\)$/.exec(last.text);
      const reused = /msi already setup: msi --> pirq=(\d+)/.exec(last.text);
      if (written) this.#told.push(`${taskName(task)}${written[1]}`);
      if (reused) this.#told.push(`${taskName(task)}=${reused[1]}`);
      return stop(last);
    });
  }

  /** The event of the access just made: the last that nothing else has brought about. */
  #lastEventOf(op: string) {
    return op === 'step' ? undefined : this.#trace.events.findLast(({ cause }) => cause === undefined);
  }

  #tasks(names: string): number[] {
    return [...names].map((name) => name.charCodeAt(0) - 65);
  }
}

/** The first entries of a controller's table as the guest reads them: address low, high, data, vector control. */
export function entries(machine: Machine, task: number, count = machine.options.vectors): string[] {
  const { msix } = machine.slots[task].model;
  return Array.from({ length: count }, (_, entry) => {
    const words = [0, 4, 8, 12].map((word) => msix!.readTable(16 * entry + word));
    return words.map((word) => word.toString(16)).join(' ');
  });
}

/** Message pirqs of the guest that the host has mapped, descending. */
export function mappedPirqs(machine: Machine): number[] {
  const domain = machine.hypervisor.domain(GUEST_DOMAIN);
  const all = Array.from({ length: domain.nrPirqs }, (_, pirq) => pirq);
  return all.filter((pirq) => domain.irqOf(pirq) >= machine.options.gsis).reverse();
}

/** How each driver says that its controller fares, as a CONTROLLER_STATE. */
export function driverStates(machine: Machine): number[] {
  return machine.slots.map((slot) => machine.records.controller(slot.guestBdf).state);
}
