import { Arena, type Footprint } from '../core/index.ts';
import {
  type Access,
  type Answer,
  boot,
  CONFIG_REGION,
  CONTROLLER_STATE,
  type Guest,
  handleUpcall,
  KernelRecords,
  nvmeMemory,
  QUEUE_FLAG,
  SHARED_INFO_BYTES,
  type Task,
  WAIT,
} from '../guest/index.ts';
import type { MessageSink } from '../pci/index.ts';
import type { Hypervisor } from '../xen/index.ts';
import { FunctionBus } from './function-bus.ts';
import { GuestRam } from './guest-ram.ts';
import { checkInvariants } from './invariants.ts';
import {
  assignToGuest,
  GUEST_DOMAIN,
  guestController,
  guestToolstack,
  type MachineOptions,
  passThrough,
  placeDrive,
  type Slot,
  startHypervisor,
} from './machine-setup.ts';
import { isOfNames } from './name-places.ts';
import { Narrator } from './narrator.ts';
import { StateNames } from './state-names.ts';
import type { Trace } from './trace.ts';
import { Watch } from './watch.ts';
import type { ControllerState, World } from './world.ts';

export { GUEST_DOMAIN, HOST_DOMAIN, type MachineOptions, type Slot } from './machine-setup.ts';

/** An upper bound of a machine's state. */
const ARENA_BYTES = 1 << 26;
const SHARED_INFO_ADDRESS = 0xfeff_f000;
/**
 * A host with Xen, NVMe drives passed through to one HVM guest by qemu-xen, and the guest's kernel records. Guest tasks
 * run in front of it; everything that follows from an access happens before the access completes.
 */
export class Machine implements World {
  readonly options: MachineOptions;
  readonly arena: Arena;
  readonly hypervisor: Hypervisor;
  readonly records: KernelRecords;
  readonly ram: GuestRam;
  readonly slots: Slot[];
  readonly guest: Guest;
  readonly names: StateNames;
  readonly #narrator: Narrator;
  readonly #watch: Watch;
  readonly #bus = new FunctionBus();
  readonly #sharedInfo: Uint8Array;
  /** What takes the messages of each slot. */
  readonly #arrivals: MessageSink[] = [];
  /** The controller whose task runs now; an upcall runs on its time. */
  #task = -1;
  #inUpcall = false;

  /** @param footprint notes what is read and written in the arena */
  constructor(options: MachineOptions, footprint?: Footprint) {
    this.options = options;
    this.arena = new Arena(ARENA_BYTES, footprint);
    const { kernel } = options;
    this.guest = { profile: kernel, sharedInfo: SHARED_INFO_ADDRESS };
    const controllers = Array.from({ length: options.controllers }, (_, i) => guestController(options, i));
    this.ram = new GuestRam(
      controllers.flatMap((c) => nvmeMemory(kernel, c).regions),
      this.arena,
    );
    const functions = controllers.map((_, i) => placeDrive(options, i, this.#bus, this.arena, this.ram));
    this.#narrator = new Narrator(this);
    this.#watch = new Watch(this);
    this.hypervisor = startHypervisor(options, this.#bus, this.arena);
    this.#sharedInfo = this.hypervisor.domain(GUEST_DOMAIN).sharedInfo;
    for (const fn of functions) assignToGuest(this.hypervisor, fn);
    const inner = guestToolstack(this.hypervisor);
    this.slots = functions.map((fn, i) => {
      const toolstack = this.#narrator.toolstack(controllers[i].bdf, inner, this.#watch);
      return passThrough(options, fn, controllers[i], this.#bus, toolstack, this.arena);
    });
    for (const slot of this.slots)
      this.#arrivals.push({ message: (vector, lo, hi, data) => this.#arrive(slot, vector, lo, hi, data) });
    this.records = new KernelRecords(
      {
        devices: options.controllers,
        vectors: Math.max(options.vectors, 2),
        queues: 1 + Math.max(...controllers.map((c) => nvmeMemory(kernel, c).queues.length - 1)),
        pirqs: options.gsis + options.extraGuestIrqs,
      },
      this.arena,
    );
    const bdfs = this.slots.map((slot) => slot.guestBdf);
    this.run(-1, boot(this.guest, { bdfs, gsis: options.bootGsis ?? [] }));
    this.arena.excludeFromIdentity(isOfNames);
    this.names = new StateNames(this);
  }

  /** Runs a task to its end, as controller `task` (−1: nobody). */
  run(task: number, generator: Task<unknown>): void {
    let next = generator.next();
    while (!next.done) next = generator.next(next.value.op === 'step' ? 0 : this.perform(task, next.value));
  }

  /** Tells `trace` what happens from now on; undefined stops it. */
  tell(trace: Trace | undefined): void {
    this.#narrator.tell(trace);
    this.hypervisor.host.trace = trace && ((event) => this.#narrator.xen(event));
  }

  perform(task: number, access: Access): Answer {
    this.#task = task;
    return this.#narrator.access(task, access, () => {
      this.#watch.before(access);
      const answer = this.#carryOut(access);
      this.#watch.after(access, answer);
      this.#settle();
      return answer;
    });
  }

  takeViolations(): string[] {
    return [...new Set([...this.takeBroken(), ...this.presentlyBroken()])].sort();
  }

  takeBroken(): string[] {
    return this.#watch.take();
  }

  presentlyBroken(): string[] {
    return checkInvariants(this);
  }

  watched(footprint: Footprint): Machine {
    return new Machine(this.options, footprint);
  }

  verdict(): ControllerState[] {
    const drivers = this.slots.map((slot) => this.records.controller(slot.guestBdf).state);
    return this.slots.map((slot, i) => {
      const isUp = drivers[i] === CONTROLLER_STATE.up || drivers[i] === CONTROLLER_STATE.slow;
      if (!isUp) return drivers[i] === CONTROLLER_STATE.partly ? 'degraded' : 'failed';
      return this.#everyVectorDelivers(slot) ? 'good' : 'degraded';
    });
  }

  /**
   * Raises vector `entry` of a controller and answers whose handlers ran, as "controller index . queue".
   * Changes the state as an interrupt does.
   */
  probeVector(slot: Slot, entry: number): string[] {
    for (const s of this.slots)
      for (let q = 0; q < this.#queues(s); q++) this.records.perform('queue.flags=', [s.guestBdf, q, 0]);
    slot.fn.raise(entry);
    this.#settle();
    const ran: string[] = [];
    for (const [i, s] of this.slots.entries())
      for (let q = 0; q < this.#queues(s); q++)
        if (this.records.queue(s.guestBdf, q).flags & (QUEUE_FLAG.interrupted | QUEUE_FLAG.spurious))
          ran.push(`${i}.${q}`);
    return ran;
  }

  /** Queues whose handler the driver has put on vector `entry` of a controller, in the form of {@link probeVector}. */
  handlersOf(slot: Slot, entry: number): string[] {
    const index = this.slots.indexOf(slot);
    const own: string[] = [];
    for (let q = 0; q < this.#queues(slot); q++) {
      const { irq } = this.records.queue(slot.guestBdf, q);
      if (irq === 0) continue;
      const record = this.records.irq(irq);
      if (record.bdf === slot.guestBdf && record.entry === entry) own.push(`${index}.${q}`);
    }
    return own;
  }

  #everyVectorDelivers(slot: Slot): boolean {
    const { vectors } = this.records.device(slot.guestBdf);
    if (vectors < this.options.vectors) return false;
    for (let entry = 0; entry < vectors; entry++) {
      const own = this.handlersOf(slot, entry);
      if (own.length === 0 || this.probeVector(slot, entry).join() !== own.join()) return false;
    }
    return true;
  }

  #queues(slot: Slot): number {
    return nvmeMemory(this.options.kernel, slot.controller).queues.length;
  }

  #carryOut(access: Access): Answer {
    switch (access.op) {
      case 'read':
        return this.#read(access);
      case 'write':
        this.#write(access);
        return 0;
      case 'load':
        return this.#load(access.address);
      case 'store':
        this.#store(access.address, access.value);
        return 0;
      case 'update': {
        const old = this.#load(access.address);
        this.#store(access.address, ((old & ~access.clear) | access.set) >>> 0);
        return old;
      }
      case 'hypercall':
        return this.hypervisor.hypercall(GUEST_DOMAIN, access.nr, access.cmd, access.bytes);
      case 'kernel':
        return this.records.perform(access.call, access.args);
      case 'wait':
        return this.records.completed(access.bdf, access.queue) ? WAIT.interrupted : WAIT.timedOut;
      case 'delay':
      case 'step':
        return 0;
    }
  }

  #read({ bdf, region, offset, width }: Extract<Access, { op: 'read' }>): number {
    const slot = this.#slotAt(bdf);
    if (!slot) return 2 ** (8 * width) - 1;
    if (region === CONFIG_REGION) return slot.model.readConfig(offset, width);
    const inTable = slot.model.tableOffset(region, offset);
    return inTable >= 0 ? slot.model.readTable(inTable) : slot.fn.readBar(region, offset, width);
  }

  #write({ bdf, region, offset, width, value }: Extract<Access, { op: 'write' }>): void {
    const slot = this.#slotAt(bdf);
    if (!slot) return;
    const inTable = region === CONFIG_REGION ? -1 : slot.model.tableOffset(region, offset);
    if (region === CONFIG_REGION) slot.model.writeConfig(offset, width, value);
    else if (inTable >= 0) slot.model.writeTable(inTable, value);
    else slot.fn.writeBar(region, offset, width, value);
  }

  #load(address: number): number {
    const shared = address - SHARED_INFO_ADDRESS;
    if (shared < 0 || shared >= SHARED_INFO_BYTES) return this.ram.load(address);
    const s = this.#sharedInfo;
    return (s[shared] | (s[shared + 1] << 8) | (s[shared + 2] << 16) | (s[shared + 3] << 24)) >>> 0;
  }

  #store(address: number, value: number): void {
    const shared = address - SHARED_INFO_ADDRESS;
    if (shared < 0 || shared >= SHARED_INFO_BYTES) this.ram.store(address, value);
    else for (let i = 0; i < 4; i++) this.#sharedInfo[shared + i] = value >>> (8 * i);
  }

  /** Lets everything happen that is due: messages of devices, then the guest's upcall, until nothing is left. */
  #settle(): void {
    for (let isQuiet = false; !isQuiet; ) {
      isQuiet = true;
      for (let i = 0; i < this.#arrivals.length; i++) {
        const { fn, messages } = this.slots[i];
        if (fn.effects.length > 0) fn.effects.length = 0; // INTx, which nobody is bound to
        if (messages.drain(this.#arrivals[i])) isQuiet = false;
      }
      if (!this.#inUpcall && this.#sharedInfo?.[0]) {
        this.#upcall();
        isQuiet = false;
      }
    }
  }

  /** A message of a controller reaches the host, and what it brings about the guest. */
  #arrive(slot: Slot, vector: number, addressLo: number, addressHi: number, data: number): void {
    this.#watch.signals(slot);
    if (this.#narrator.trace) {
      const words = { addressLo: addressLo >>> 0, addressHi: addressHi >>> 0, data: data >>> 0 };
      this.#narrator.message(slot, { vector, ...words }, () => this.#interrupt(addressLo, addressHi, data));
    } else this.#interrupt(addressLo, addressHi, data);
    this.#watch.signals(undefined);
  }

  #interrupt(addressLo: number, addressHi: number, data: number): void {
    this.hypervisor.deliverMessage(addressLo, addressHi, data);
    if (!this.#inUpcall && this.#sharedInfo[0]) this.#upcall();
  }

  /** The vCPU takes the upcall between two instructions of whatever task it runs, and returns to it when done. */
  #upcall(): void {
    this.#inUpcall = true;
    this.#watch.beginUpcall();
    this.#narrator.upcall(() => this.run(this.#task, handleUpcall(this.guest)));
    this.#watch.endUpcall();
    this.#inUpcall = false;
  }

  #slotAt(bdf: number): Slot | undefined {
    return this.slots.find((slot) => slot.guestBdf === bdf);
  }
}
