import { Arena, UsageError } from '../core/index.ts';
import { formatBdf } from '../pci/function.ts';
import { ENOSPC } from './errno.ts';
import { IRQ, IrqList } from './irq-list.ts';
import { placesOf, Table } from './table.ts';

/** How many of everything a guest's kernel can hold; fixes the size of its state. */
export interface KernelShape {
  /** PCI functions. */
  devices: number;
  /** Message vectors a function can have enabled. */
  vectors: number;
  /** Queues a controller can have, the admin queue included. */
  queues: number;
  /** Linux irqs below this are the GSI of that number, the others are for messages. At least 16; default 48. */
  gsis?: number;
  /** Event channel ports that can be known, 0 … ports − 1; default 256. */
  ports?: number;
  /** pirqs that the persistent map of rule R0 covers; default 256. */
  pirqs?: number;
  /** The kernel uses FIFO event channels; default false. */
  fifo?: boolean;
}

/** What a function's interrupts are: its pin, or messages. */
export const MSI_MODE = { none: 0, msi: 1, msix: 2 } as const;

/**
 * How the driver of a controller fares. `slow`: up, but completions had to be found by looking; `partly`: some queue
 * was given up; `failed`: given up.
 */
export const CONTROLLER_STATE = { unbound: 0, probing: 1, up: 2, slow: 3, partly: 4, failed: 5 } as const;

/**
 * What became of a queue. `interrupted`: its own interrupt handler took a completion; `polled`: a completion was found
 * without interrupt; `spurious`: its handler ran and found nothing; `dead`: given up.
 */
export const QUEUE_FLAG = { created: 1, interrupted: 2, polled: 4, spurious: 8, dead: 16 } as const;

const DEVICE = [
  'bdf',
  'msiCap',
  'msixCap',
  /** 1 if the MSI capability has no 64-bit address. */
  'only32',
  'intxIrq',
  'mode',
  /** Message descriptors that exist. */
  'vectors',
  /** Message control as last read by the set-up. */
  'control',
  /** The MSI-X table locator: BAR in bits 0–2, offset in the rest. */
  'msixTable',
] as const;
const VECTOR_FIELDS = ['irq', 'ctrl', 'addressLo', 'addressHi', 'data'] as const;
export const VECTOR = placesOf(VECTOR_FIELDS);
const CONTROLLER = ['state', 'missed', 'stride', 'ioDepth', 'ioQueues'] as const;
/** `sqFrame`, `cqFrame`: where the queues are, in pages. `next`: the row + 1 of the next handler on the same irq. */
const QUEUE = [
  'next',
  'sqFrame',
  'cqFrame',
  'depth',
  'tail',
  'head',
  'phase',
  'busy',
  'status',
  'result',
  'flags',
] as const;
/** What FIFO event channels keep: a row a priority, and the number of array pages in the first. */
const FIFO = ['head', 'pages'] as const;
const FIFO_QUEUES = 16;

export interface IrqRecord {
  irq: number;
  type: number;
  /** 0: none. */
  port: number;
  pirq: number;
  flags: number;
  /** Owner of a message; undefined for a GSI. */
  bdf: number | undefined;
  entry: number;
  idtVector: number;
}

/**
 * All state that guest tasks share: functions and what the PCI core caches of them, message descriptors, irq records in
 * the order of the kernel's list, ports, drivers' controllers and queues. Everything is in the arena. Tasks reach it
 * only by `kernel` accesses, which a runner serves by {@link perform}; the other methods are for looking.
 *
 * Functions are found by bdf, but kept and listed in the order in which they were added, so that names decide nothing.
 */
export class KernelRecords {
  readonly shape: Required<KernelShape>;
  readonly #device: Table<(typeof DEVICE)[number]>;
  readonly vectorTable: Table<(typeof VECTOR_FIELDS)[number]>;
  readonly #controller: Table<(typeof CONTROLLER)[number]>;
  readonly #queue: Table<(typeof QUEUE)[number]>;
  readonly #fifo: Table<(typeof FIFO)[number]>;
  readonly irqList: IrqList;
  /** Where the fields of a queue's row stand. */
  readonly queueFields = placesOf(QUEUE);
  /** By queue row: the irq with its handler. Apart from the other fields, as it is a mere name. */
  readonly queueIrqs: Int32Array;
  /** By irq: the first queue row + 1 with its handler there; the others follow by `next`, ascending. */
  readonly handlerRows: Int32Array;
  /** Where a function was found last, by bdf: a guess that {@link #row} checks. */
  readonly #seen = new Map<number, number>();
  readonly #calls: Record<string, (a: number, b: number, c: number, d: number) => number>;

  constructor(shape: KernelShape, arena?: Arena) {
    this.shape = { gsis: 48, ports: 256, pirqs: 256, fifo: false, ...shape };
    const { devices, vectors, queues, gsis, ports, pirqs } = this.shape;
    if (gsis < 16) throw new UsageError(`a kernel has at least 16 GSIs, not ${gsis}`);
    const a = arena ?? new Arena(KernelRecords.sizeBytes(shape));
    const irqShape = { gsis, messages: devices * vectors, ports, pirqs };
    this.#device = new Table(a, 'device', devices, DEVICE);
    this.vectorTable = new Table(a, 'vector', devices * vectors, VECTOR_FIELDS);
    this.#controller = new Table(a, 'controller', devices, CONTROLLER);
    this.#queue = new Table(a, 'queue', devices * queues, QUEUE);
    this.#fifo = new Table(a, 'fifo', this.shape.fifo ? FIFO_QUEUES : 0, FIFO);
    this.irqList = new IrqList(irqShape, a);
    this.queueIrqs = a.int32(devices * queues, 'kernel queue irqs');
    this.handlerRows = a.int32(gsis + devices * vectors, 'kernel irq handlers');
    this.#calls = this.#makeCalls();
  }

  /** Bytes of an arena for a kernel of this shape. */
  static sizeBytes({ devices, vectors, queues, gsis = 48, ports = 256, pirqs = 256, fifo }: KernelShape): number {
    const words = DEVICE.length + CONTROLLER.length + vectors * VECTOR_FIELDS.length + queues * (QUEUE.length + 1);
    const messages = devices * vectors;
    const shared = 4 * (gsis + messages) + (fifo ? FIFO.length * FIFO_QUEUES * 4 : 0);
    return devices * words * 4 + shared + IrqList.sizeBytes({ gsis, messages, ports, pirqs }) + 128;
  }

  /**
   * Serves a `kernel` access. Besides the calls named in `#makeCalls`, every field of a table can be read as
   * `table.field` and set as `table.field=`; functions and controllers are addressed by bdf, vectors by bdf and entry,
   * queues by bdf and queue, irqs by number.
   */
  perform(call: string, args: readonly number[]): number {
    const known = this.#calls[call];
    if (!known) throw new UsageError(`the guest's kernel has no call "${call}"`);
    return known(args[0], args[1], args[2], args[3]);
  }

  /** True if no command on the queue is outstanding: what a `wait` access asks. */
  completed(bdf: number, queue: number): boolean {
    return this.#queue.get(this.#queueRow(bdf, queue), 'busy') === 0;
  }

  /** Functions that have been added, in that order. */
  bdfs(): number[] {
    const bdfs: number[] = [];
    for (let row = 0; row < this.shape.devices; row++) {
      const bdf = this.#device.get(row, 'bdf');
      if (bdf) bdfs.push(bdf - 1);
    }
    return bdfs;
  }

  /** Irq records in list order. */
  irqs(): IrqRecord[] {
    return Array.from({ length: this.irqList.count }, (_, i) => this.irq(this.irqList.at(i)));
  }

  irq(irq: number): IrqRecord {
    const { words } = this.irqList.table;
    const at = IRQ.width * irq;
    const device = words[at + IRQ.device];
    return {
      irq,
      type: words[at + IRQ.type],
      port: words[at + IRQ.port],
      pirq: words[at + IRQ.pirq],
      flags: words[at + IRQ.flags],
      bdf: device ? this.#device.get(device - 1, 'bdf') - 1 : undefined,
      entry: words[at + IRQ.entry],
      idtVector: words[at + IRQ.idtVector],
    };
  }

  /** The irq that events on `port` go to; −1: none. */
  irqOfPort(port: number): number {
    return this.irqList.fromPort(port);
  }

  hasHandlers(irq: number): boolean {
    return this.#handlerRow(irq, 0) >= 0;
  }

  /** Queues whose handler runs on `irq`, in the order of running. */
  handlers(irq: number): { bdf: number; queue: number }[] {
    const found: { bdf: number; queue: number }[] = [];
    for (let k = 0, row: number; (row = this.#handlerRow(irq, k)) >= 0; k++)
      found.push({ bdf: this.#bdfOfQueue(row), queue: row % this.shape.queues });
    return found;
  }

  device(bdf: number): Record<(typeof DEVICE)[number], number> {
    return { ...this.#device.row(this.rowOf(bdf)), bdf };
  }

  /** A message descriptor: its irq (0: none), the cached mask or vector control, the cached message. */
  vector(bdf: number, entry: number): Record<(typeof VECTOR_FIELDS)[number], number> {
    return this.vectorTable.row(this.#vectorRow(bdf, entry));
  }

  controller(bdf: number): Record<(typeof CONTROLLER)[number], number> {
    return this.#controller.row(this.rowOf(bdf));
  }

  queue(bdf: number, queue: number): Record<(typeof QUEUE)[number] | 'irq', number> {
    const row = this.#queueRow(bdf, queue);
    return { irq: this.queueIrqs[row], ...this.#queue.row(row) };
  }

  #makeCalls(): Record<string, (a: number, b: number, c: number, d: number) => number> {
    const irqs = this.irqList;
    return {
      ...this.#device.calls((bdf) => this.rowOf(bdf), 1),
      ...this.#controller.calls((bdf) => this.rowOf(bdf), 1),
      ...this.vectorTable.calls((bdf, entry) => this.#vectorRow(bdf, entry), 2),
      ...this.#queue.calls((bdf, queue) => this.#queueRow(bdf, queue), 2),
      ...irqs.table.calls((irq) => irq, 1),
      ...this.#fifo.calls((row) => row, 1),
      'queue.irq': (bdf, queue) => this.queueIrqs[this.#queueRow(bdf, queue)],
      'queue.irq=': (bdf, queue, irq) => this.#moveHandler(this.#queueRow(bdf, queue), irq),
      /** (bdf): makes the function known; 0, or −ENOSPC. */
      'device.add': (bdf) => this.#addDevice(bdf),
      /** (bdf, entry): a descriptor as it is created, all zero. */
      'vector.clear': (bdf, entry) => this.vectorTable.clear(this.#vectorRow(bdf, entry)),
      /** (bdf, entry, pirq, type): a new irq for a message, or −ENOSPC. */
      'irq.allocate': (bdf, entry, pirq, type) => irqs.allocate(this.rowOf(bdf), entry, pirq, type),
      /** (gsi, pirq, flags): the irq of a GSI, which is its number. */
      'irq.allocateGsi': (gsi, pirq, flags) => irqs.allocateGsi(gsi, pirq, flags),
      /** (irq): the function that owns it, or −1. */
      'irq.bdf': (irq) => this.#bdfOfIrq(irq),
      /** (irq): drops the record. */
      'irq.free': (irq) => irqs.free(irq),
      /** (irq, port): ties the two; port 0 unties. */
      'irq.bindPort': (irq, port) => irqs.bindPort(irq, port),
      /** (pirq): the first irq in the list that carries it, or −1. */
      'irq.fromPirq': (pirq) => irqs.fromPirq(pirq),
      /** (pirq): the irq that last carried it, even if that is gone, or −1. */
      'irq.everFromPirq': (pirq) => irqs.everFromPirq(pirq),
      'irq.fromPort': (port) => irqs.fromPort(port),
      'irq.fromIdtVector': (idtVector) => irqs.fromIdtVector(idtVector),
      /** (bdf, queue, irq): the queue's handler is run on irq; answers how many are on it now. */
      'handler.request': (bdf, queue, irq) => this.#setHandler(bdf, queue, irq),
      /** (bdf, queue): answers how many handlers are left on that irq. */
      'handler.free': (bdf, queue) => this.#setHandler(bdf, queue, 0),
      /** (irq, k): function of the k-th handler on irq, or −1. */
      'handler.bdf': (irq, k) => this.#bdfOfQueue(this.#handlerRow(irq, k)),
      'handler.queue': (irq, k) => this.#handlerRow(irq, k) % this.shape.queues,
      /** (bdf, queue): a command is put into the next slot, whose number is the answer. */
      'queue.submit': (bdf, queue) => this.#submit(bdf, queue),
      /** (bdf, queue, status, result): the outstanding command is done. */
      'queue.complete': (bdf, queue, status, result) => this.#complete(bdf, queue, status, result),
      /** (bdf, queue, flags): adds flags. */
      'queue.flag': (bdf, queue, flags) => this.#queue.or(this.#queueRow(bdf, queue), 'flags', flags),
      /** (bdf): forgets what the driver knew of the controller. */
      'controller.reset': (bdf) => this.#resetController(bdf),
      /** (code, …): a line of the kernel's log, see log.ts; no state. */
      log: () => 0,
    };
  }

  /** The row of a function in the tables. */
  rowOf(bdf: number): number {
    const seen = this.#seen.get(bdf);
    if (seen !== undefined && this.#device.get(seen, 'bdf') === bdf + 1) return seen;
    for (let row = 0; row < this.shape.devices; row++) {
      if (this.#device.get(row, 'bdf') !== bdf + 1) continue;
      this.#seen.set(bdf, row);
      return row;
    }
    throw new UsageError(`the guest has not enumerated function ${formatBdf(bdf)}`);
  }

  #vectorRow(bdf: number, entry: number): number {
    if (entry >= this.shape.vectors)
      throw new UsageError(`the guest's kernel was made for ${this.shape.vectors} vectors a function, entry ${entry}`);
    return this.rowOf(bdf) * this.shape.vectors + entry;
  }

  #queueRow(bdf: number, queue: number): number {
    if (queue >= this.shape.queues)
      throw new UsageError(`the guest's kernel was made for ${this.shape.queues} queues a controller, queue ${queue}`);
    return this.rowOf(bdf) * this.shape.queues + queue;
  }

  #addDevice(bdf: number): number {
    for (let row = 0; row < this.shape.devices; row++) {
      const known = this.#device.get(row, 'bdf');
      if (known === bdf + 1) return 0;
      if (known) continue;
      this.#device.set(row, 'bdf', bdf + 1);
      return 0;
    }
    return -ENOSPC;
  }

  /** Puts a queue's handler on `irq` (0: on none); answers how many are on the irq that gained or lost it. */
  #setHandler(bdf: number, queue: number, irq: number): number {
    const row = this.#queueRow(bdf, queue);
    const changed = irq || this.queueIrqs[row];
    this.#moveHandler(row, irq);
    let count = 0;
    for (let at = this.#nextHandler(changed, -1); at >= 0; at = this.#nextHandler(changed, at)) count++;
    return count;
  }

  /** Takes a queue row out of the handlers of its irq and puts it among those of another, in the order of rows. */
  #moveHandler(row: number, irq: number): 0 {
    const old = this.queueIrqs[row];
    if (old === irq) return 0;
    if (old > 0) this.#linkFrom(old, row, this.#queue.get(row, 'next'));
    this.queueIrqs[row] = irq;
    this.#queue.set(row, 'next', irq > 0 ? this.#linkFrom(irq, row, row + 1) : 0);
    return 0;
  }

  /** Lets what leads to the first row of an irq's handlers from `row` on lead to `link` instead; where it led. */
  #linkFrom(irq: number, row: number, link: number): number {
    let before = -1;
    let next = this.handlerRows[irq] ?? 0;
    while (next !== 0 && next - 1 < row) {
      before = next - 1;
      next = this.#queue.get(before, 'next');
    }
    if (before >= 0) this.#queue.set(before, 'next', link);
    else if (irq < this.handlerRows.length) this.handlerRows[irq] = link;
    return next;
  }

  /** Row of the k-th queue with its handler on `irq`, or −1. */
  #handlerRow(irq: number, k: number): number {
    let row = this.#nextHandler(irq, -1);
    while (row >= 0 && k-- > 0) row = this.#nextHandler(irq, row);
    return row;
  }

  /** The row after `row` (−1: the first) with its handler on `irq`, or −1. A message is handled by queues of its owner only. */
  #nextHandler(irq: number, row: number): number {
    if (irq <= 0 || irq >= this.handlerRows.length) return -1;
    const { queues } = this.shape;
    const owner = this.irqList.table.get(irq, 'device');
    const first = owner ? (owner - 1) * queues : 0;
    const end = owner ? first + queues : this.#queue.rows;
    let at = (row < 0 ? this.handlerRows[irq] : this.#queue.get(row, 'next')) - 1;
    while (at >= 0 && at < first) at = this.#queue.get(at, 'next') - 1;
    return at < end ? at : -1;
  }

  #bdfOfQueue(row: number): number {
    return row < 0 ? -1 : this.#device.get(Math.trunc(row / this.shape.queues), 'bdf') - 1;
  }

  #bdfOfIrq(irq: number): number {
    const owner = this.irqList.table.get(irq, 'device');
    return owner ? this.#device.get(owner - 1, 'bdf') - 1 : -1;
  }

  #submit(bdf: number, queue: number): number {
    const row = this.#queueRow(bdf, queue);
    const slot = this.#queue.get(row, 'tail');
    this.#queue.set(row, 'tail', (slot + 1) % this.#queue.get(row, 'depth'));
    this.#queue.set(row, 'busy', 1);
    return slot;
  }

  #complete(bdf: number, queue: number, status: number, result: number): number {
    const row = this.#queueRow(bdf, queue);
    this.#queue.set(row, 'busy', 0);
    this.#queue.set(row, 'status', status);
    this.#queue.set(row, 'result', result);
    return 0;
  }

  #resetController(bdf: number): number {
    const row = this.rowOf(bdf);
    this.#controller.clear(row);
    for (let q = 0; q < this.shape.queues; q++) {
      this.#moveHandler(row * this.shape.queues + q, 0);
      this.#queue.clear(row * this.shape.queues + q);
    }
    return 0;
  }
}
