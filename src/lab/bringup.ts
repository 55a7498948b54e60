import { type Arena, UsageError } from '../core/index.ts';
import {
  type Access,
  type Answer,
  boot,
  CONFIG_REGION,
  CONTROLLER_STATE,
  type Guest,
  type HypercallAnswer,
  handleUpcall,
  type KernelRecords,
  MSI_MODE,
  probe,
  QUEUE_FLAG,
  readOneBlock,
  SHARED_INFO_BYTES,
  type Task,
  WAIT,
} from '../guest/index.ts';
import { MessageQueue, type MessageSink } from '../pci/index.ts';
import type { Domain, Hypervisor } from '../xen/index.ts';
import {
  attachDrive,
  type BringUpOptions,
  type BringUpShape,
  FIRST_BAR_ADDRESS,
  makeArena,
  makeGuest,
  makeHypervisor,
  makeRecords,
  ramPages,
  SHARED_INFO_ADDRESS,
  shapeOf,
} from './bringup-setup.ts';
import { errnoName, guestRefusal, type LimitName, mapLimit, type Refusal, WatchedToolstack } from './bringup-stop.ts';
import { FunctionBus } from './function-bus.ts';
import { GUEST_DOMAIN, guestToolstack, type Slot } from './machine-setup.ts';
import { PagedRam } from './paged-ram.ts';

/** How one controller came up. */
export interface BroughtUp {
  state: keyof typeof CONTROLLER_STATE;
  mode: keyof typeof MSI_MODE;
  /** Vectors that the kernel has enabled. */
  vectors: number;
  /** I/O queues that were created. */
  queues: number;
}

const nameOf = <T extends Record<string, number>>(names: T, value: number): keyof T =>
  Object.keys(names).find((name) => names[name] === value) as keyof T;

/**
 * Many NVMe controllers passed through to one guest, which probes them one after another: guest driver, registers, device
 * model, hypercalls and event channels are those of {@link import('./machine.ts').Machine}. What that has besides, to
 * tell a story and to explore, is left out, and the guest uses FIFO event channels.
 *
 * Everything per vector is in the arena; a controller has some objects of its own.
 */
export class BringUp {
  readonly options: BringUpOptions;
  readonly shape: BringUpShape;
  readonly arena: Arena;
  readonly hypervisor: Hypervisor;
  readonly records: KernelRecords;
  readonly ram: PagedRam;
  readonly slots: Slot[] = [];
  readonly guest: Guest;
  /** The first call that was refused for want of something. */
  refusal: Refusal | undefined;
  /** Calls that were refused. */
  refusals = 0;
  readonly #domain: Domain;
  readonly #bus = new FunctionBus(FIRST_BAR_ADDRESS);
  /** Messages of all functions that are on their way, and what takes them. */
  readonly #messages = new MessageQueue();
  readonly #arrivals: MessageSink = {
    message: (_vector, addressLo, addressHi, data) => {
      this.hypervisor.deliverMessage(addressLo, addressHi, data);
      this.#upcall();
    },
  };
  readonly #byBdf = new Map<number, Slot>();
  #task = -1;
  #inUpcall = false;

  /** Makes the machine, attaches the drives and boots the guest. @throws UsageError for numbers that cannot be */
  constructor(options: BringUpOptions) {
    this.options = options;
    this.shape = shapeOf(options);
    const { shape } = this;
    this.arena = makeArena(shape);
    this.ram = new PagedRam(this.arena, ramPages(shape));
    this.guest = makeGuest(options);
    this.hypervisor = makeHypervisor(options, shape, this.#bus, this.arena, this.ram);
    this.#domain = this.hypervisor.domain(GUEST_DOMAIN);
    const toolstack = new WatchedToolstack(guestToolstack(this.hypervisor), (call, rc, vector) =>
      this.#refused(call, call === 'map_pirq' ? mapLimit(this.hypervisor, rc) : 'other', rc, vector),
    );
    for (let i = 0; i < shape.attached; i++) {
      const slot = attachDrive(this, this.#bus, toolstack, this.#messages, i);
      this.slots.push(slot);
      this.#byBdf.set(slot.guestBdf, slot);
    }
    this.records = makeRecords(shape, this.arena);
    this.#run(boot(this.guest, { bdfs: this.slots.map((slot) => slot.guestBdf) }));
  }

  /** The guest's driver probes controller `index`. */
  probe(index: number): BroughtUp {
    const slot = this.slots[index];
    if (!slot) throw new UsageError(`controller ${index} is not attached`);
    this.#task = index;
    this.#run(probe(this.guest, slot.controller));
    this.#task = -1;
    const { state, ioQueues } = this.records.controller(slot.guestBdf);
    const { mode, vectors } = this.records.device(slot.guestBdf);
    let queues = 0;
    for (let q = 1; q <= ioQueues; q++)
      if (this.records.perform('queue.flags', [slot.guestBdf, q]) & QUEUE_FLAG.created) queues++;
    return { state: nameOf(CONTROLLER_STATE, state), mode: nameOf(MSI_MODE, mode), vectors, queues };
  }

  /** Vectors of a controller that the kernel has enabled and that cannot reach it: not mapped, or without event channel. */
  deafVectors(index: number): number {
    const { guestBdf } = this.slots[index];
    const vectors = this.records.perform('device.vectors', [guestBdf]);
    let deaf = 0;
    for (let entry = 0; entry < vectors; entry++) {
      const irq = this.records.perform('vector.irq', [guestBdf, entry]);
      const isMapped = this.#domain.irqOf(this.records.perform('irq.pirq', [irq])) > 0;
      if (!isMapped || this.records.perform('irq.port', [irq]) === 0) deaf++;
    }
    return deaf;
  }

  /** Vectors of all controllers whose interrupts go to an event channel of the guest. */
  get boundVectors(): number {
    return this.#domain.ports.active;
  }

  /**
   * Reads a block by I/O queue `queue` of a controller: true if the command succeeds and its completion came by the
   * queue's own interrupt.
   */
  readBlock(index: number, queue: number): boolean {
    const { guestBdf, controller } = this.slots[index];
    this.records.perform('queue.flags=', [guestBdf, queue, QUEUE_FLAG.created]);
    const status = this.#run(readOneBlock(this.guest, controller, queue));
    const flags = this.records.perform('queue.flags', [guestBdf, queue]);
    return status === 0 && (flags & QUEUE_FLAG.interrupted) !== 0;
  }

  /**
   * Follows every vector of the controllers below `controllers` from the guest's records to the device: its own irq, pirq,
   * event channel and host irq, and the device model holding the same pirq. The first that fails, or undefined.
   */
  findFlaw(controllers: number): string | undefined {
    const domain = this.#domain;
    const seen = new Uint8Array(domain.nrPirqs);
    for (const [i, { guestBdf, model }] of this.slots.slice(0, controllers).entries()) {
      const vectors = this.records.perform('device.vectors', [guestBdf]);
      for (let entry = 0; entry < vectors; entry++) {
        const irq = this.records.perform('vector.irq', [guestBdf, entry]);
        const pirq = this.records.perform('irq.pirq', [irq]);
        const port = this.records.perform('irq.port', [irq]);
        const hostIrq = domain.irqOf(pirq);
        const flaw =
          (model.msix!.entryPirq(entry) !== pirq && 'the device model holds another pirq') ||
          (seen[pirq] !== 0 && `pirq ${pirq} is another vector's as well`) ||
          (hostIrq <= 0 && `pirq ${pirq} is not mapped`) ||
          (domain.irqPirq[hostIrq] !== pirq && `irq ${hostIrq} of the host is another pirq's`) ||
          (port === 0 && 'no event channel') ||
          (domain.ports.peer[port] !== pirq && `port ${port} is another pirq's`) ||
          (this.records.irqOfPort(port) !== irq && `port ${port} goes to another irq`);
        if (flaw) return `controller ${i} vector ${entry}: ${flaw}`;
        seen[pirq] = 1;
      }
    }
    return undefined;
  }

  #run<T>(task: Task<T>): T {
    let next = task.next();
    while (!next.done) next = task.next(this.#perform(next.value));
    return next.value;
  }

  #perform(access: Access): Answer {
    switch (access.op) {
      case 'kernel':
        return this.records.perform(access.call, access.args);
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
      case 'read': {
        const answer = this.#read(access);
        this.#settle();
        return answer;
      }
      case 'write':
        this.#write(access);
        this.#settle();
        return 0;
      case 'hypercall': {
        const answer = this.#hypercall(access.nr, access.cmd, access.bytes);
        this.#settle();
        return answer;
      }
      case 'wait':
        return this.records.completed(access.bdf, access.queue) ? WAIT.interrupted : WAIT.timedOut;
      case 'delay':
      case 'step':
        return 0;
    }
  }

  #hypercall(nr: number, cmd: number, bytes: Uint8Array): HypercallAnswer {
    const answer = this.hypervisor.hypercall(GUEST_DOMAIN, nr, cmd, bytes);
    if (answer.ret < 0) {
      const refused = guestRefusal(nr, cmd, answer.ret);
      if (refused) this.#refused(refused.call, refused.limit, answer.ret);
    }
    return answer;
  }

  /** @param vector by default the first of the controller that is without irq or event channel */
  #refused(call: string, limit: LimitName, ret: number, vector = this.#firstUnconnected()): void {
    this.refusals++;
    const errno = errnoName(ret);
    this.refusal ??= { limit, call, errno, controller: this.#task, vector, vectors: this.boundVectors };
  }

  #firstUnconnected(): number {
    const slot = this.slots[this.#task];
    const vectors = slot ? this.records.perform('device.vectors', [slot.guestBdf]) : 0;
    const lacks = (field: string) => {
      for (let entry = 0; entry < vectors; entry++) {
        const irq = this.records.perform('vector.irq', [slot.guestBdf, entry]);
        if (irq === 0 || (field === 'port' && this.records.perform('irq.port', [irq]) === 0)) return entry;
      }
      return -1;
    };
    const withoutIrq = lacks('irq');
    return withoutIrq >= 0 ? withoutIrq : lacks('port');
  }

  #read({ bdf, region, offset, width }: Extract<Access, { op: 'read' }>): number {
    const slot = this.#byBdf.get(bdf);
    if (!slot) return 2 ** (8 * width) - 1;
    if (region === CONFIG_REGION) return slot.model.readConfig(offset, width);
    const inTable = slot.model.tableOffset(region, offset);
    return inTable >= 0 ? slot.model.readTable(inTable) : slot.fn.readBar(region, offset, width);
  }

  #write({ bdf, region, offset, width, value }: Extract<Access, { op: 'write' }>): void {
    const slot = this.#byBdf.get(bdf);
    if (!slot) return;
    const inTable = region === CONFIG_REGION ? -1 : slot.model.tableOffset(region, offset);
    if (region === CONFIG_REGION) slot.model.writeConfig(offset, width, value);
    else if (inTable >= 0) slot.model.writeTable(inTable, value);
    else slot.fn.writeBar(region, offset, width, value);
    slot.fn.effects.length = 0; // INTx, which nobody is bound to
  }

  #load(address: number): number {
    const shared = address - SHARED_INFO_ADDRESS;
    if (shared < 0 || shared >= SHARED_INFO_BYTES) return this.ram.load(address);
    const s = this.#domain.sharedInfo;
    return (s[shared] | (s[shared + 1] << 8) | (s[shared + 2] << 16) | (s[shared + 3] << 24)) >>> 0;
  }

  #store(address: number, value: number): void {
    const shared = address - SHARED_INFO_ADDRESS;
    if (shared < 0 || shared >= SHARED_INFO_BYTES) this.ram.store(address, value);
    else for (let i = 0; i < 4; i++) this.#domain.sharedInfo[shared + i] = value >>> (8 * i);
  }

  /** Lets everything happen that is due: messages of devices, then the guest's upcall, until nothing is left. */
  #settle(): void {
    while (this.#messages.drain(this.#arrivals) || (!this.#inUpcall && this.#domain.sharedInfo[0] !== 0))
      this.#upcall();
  }

  /** The vCPU takes the upcall between two instructions of whatever task it runs. */
  #upcall(): void {
    if (this.#inUpcall || this.#domain.sharedInfo[0] === 0) return;
    this.#inUpcall = true;
    this.#run(handleUpcall(this.guest));
    this.#inUpcall = false;
  }
}
