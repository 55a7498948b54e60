import { Arena, UsageError } from '../src/core/index.ts';
import { HELD, VectorTables } from '../src/pci/index.ts';
import { loadC } from './harness/c-baseline.ts';
import { type Case, flatness, type Lookup, type Question, type Work } from './harness/question.ts';

/** Event channel ports, as many as FIFO event channels allow; a vector's port is its number in so many bits. */
const PORTS = 131072;
const FOLD_START = 0x811c9dc5 | 0;
/** Deliveries over which the heap must not grow. */
const HEAP_DELIVERIES = 1e8;

/** Numbers below 65536 that C makes as well. */
class Random {
  #state = 1;
  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
    return Math.imul(this.#state >>> 16, n) >>> 16;
  }
}

interface Size {
  devices: number;
  vectors: number;
}

/** Bytes that `make` leaves allocated, in and outside of the heap, and what it makes. */
function weigh<T>(make: () => T): { made: T; bytes: number } {
  const used = () => {
    globalThis.gc!();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = used();
  const made = make();
  return { made, bytes: used() - before };
}

/** CPU milliseconds of one full collection. */
function collectionMs(): number {
  const before = process.cpuUsage();
  globalThis.gc!();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** The tables that ship, every vector set up, unmasked and open; and a table from message data to port. */
class Flat {
  readonly tables: VectorTables;
  readonly portOf: Int32Array;
  readonly events = new Int32Array(PORTS / 32);
  readonly devices: number;
  readonly vectors: number;
  readonly bytes: number;

  constructor({ devices, vectors }: Size) {
    const total = devices * vectors;
    const arena = new Arena(VectorTables.bytes(devices, total));
    this.tables = new VectorTables(arena, devices, total, 'bench');
    this.bytes = arena.usedBytes;
    this.devices = devices;
    this.vectors = vectors;
    this.portOf = Int32Array.from({ length: total }, (_, i) => i & (PORTS - 1));
    for (let d = 0; d < devices; d++) {
      this.tables.add(vectors);
      this.tables.setOpen(d, true);
      for (let v = 0; v < vectors; v++) {
        this.tables.write(d, 4 * v, -1, 0xfee00000);
        this.tables.write(d, 4 * v + 2, -1, d * vectors + v);
        this.tables.write(d, 4 * v + 3, -1, 0);
      }
    }
  }

  /** Where a message goes: its address says that it is one, its data whose. */
  resolve(number: number): number {
    const { words } = this.tables;
    if (words[4 * number] >>> 20 !== 0xfee || words[4 * number + 1] !== 0) return -1;
    return this.portOf[words[4 * number + 2]];
  }

  /** Raises a vector and sets its event; the port, or −1. */
  deliver(device: number, vector: number): number {
    const route = this.tables.routeOf(device, vector);
    if (route === 0) return this.#deliverFirst(device, vector);
    const port = route - 1;
    this.events[port >> 5] |= 1 << (port & 31);
    return port;
  }

  #deliverFirst(device: number, vector: number): number {
    const port = this.deliverUncached(device, vector);
    if (port >= 0) this.tables.setRoute(this.tables.base(device) + vector, port + 1);
    return port;
  }

  deliverUncached(device: number, vector: number): number {
    const number = this.tables.raise(device, vector);
    if (number === HELD) return -1;
    const port = this.resolve(number);
    this.events[port >> 5] |= 1 << (port & 31);
    return port;
  }

  /** Mask, raise, unmask. */
  replay(device: number, vector: number): number {
    this.tables.write(device, 4 * vector + 3, 1, 1);
    this.tables.raise(device, vector);
    const number = this.tables.write(device, 4 * vector + 3, 1, 0);
    if (number === HELD) return -1;
    const port = this.resolve(number);
    this.events[port >> 5] |= 1 << (port & 31);
    return port;
  }
}

class VectorObject {
  addressLow = 0xfee00000;
  addressHigh = 0;
  masked = false;
  pending = false;
  data: number;
  constructor(data: number) {
    this.data = data;
  }
}

/** The obvious way: an object per vector. */
class Objects {
  readonly devices: { open: boolean; vectors: VectorObject[] }[];
  readonly vectors: number;
  readonly bytes: number;
  readonly portOf: Int32Array;
  readonly events = new Int32Array(PORTS / 32);

  constructor({ devices, vectors }: Size) {
    const { made, bytes } = weigh(() =>
      Array.from({ length: devices }, (_, d) => ({
        open: true,
        vectors: Array.from({ length: vectors }, (_, v) => new VectorObject(d * vectors + v)),
      })),
    );
    this.devices = made;
    this.bytes = bytes;
    this.vectors = vectors;
    this.portOf = Int32Array.from({ length: devices * vectors }, (_, i) => i & (PORTS - 1));
  }

  deliver(device: number, vector: number): number {
    const { open, vectors } = this.devices[device];
    const entry = vectors[vector];
    if (!open || entry.masked) {
      entry.pending = true;
      return -1;
    }
    if (entry.addressLow >>> 20 !== 0xfee || entry.addressHigh !== 0) return -1;
    const port = this.portOf[entry.data];
    this.events[port >> 5] |= 1 << (port & 31);
    return port;
  }
}

const fold = (sum: number, port: number) => (port < 0 ? sum : Math.imul(sum ^ port, 0x01000193));

/* One loop for each variant, not one that takes a function: nothing may stand between loop and delivery. */

function flatWork(size: Size, random: boolean, withHeap = false): Work {
  const flat = new Flat(size);
  const run = (count: number) => {
    const next = new Random();
    let sum = FOLD_START;
    let device = 0;
    let vector = 0;
    for (let i = 0; i < count; i++) {
      if (random) {
        device = next.below(size.devices);
        vector = next.below(size.vectors);
      }
      sum = fold(sum, flat.deliver(device, vector));
      if (random || ++vector < size.vectors) continue;
      vector = 0;
      if (++device === size.devices) device = 0;
    }
    return sum;
  };
  return { run, figures: () => ({ ...figures(flat, size), ...(withHeap && { heapGrowth: heapGrowth(run) }) }) };
}

function uncachedWork(size: Size, random: boolean): Work {
  const flat = new Flat(size);
  const run = (count: number) => {
    const next = new Random();
    let sum = FOLD_START;
    let device = 0;
    let vector = 0;
    for (let i = 0; i < count; i++) {
      if (random) {
        device = next.below(size.devices);
        vector = next.below(size.vectors);
      }
      sum = fold(sum, flat.deliverUncached(device, vector));
      if (random || ++vector < size.vectors) continue;
      vector = 0;
      if (++device === size.devices) device = 0;
    }
    return sum;
  };
  return { run };
}

function objectWork(size: Size, random: boolean): Work {
  const objects = new Objects(size);
  const run = (count: number) => {
    const next = new Random();
    let sum = FOLD_START;
    let device = 0;
    let vector = 0;
    for (let i = 0; i < count; i++) {
      if (random) {
        device = next.below(size.devices);
        vector = next.below(size.vectors);
      }
      sum = fold(sum, objects.deliver(device, vector));
      if (random || ++vector < size.vectors) continue;
      vector = 0;
      if (++device === size.devices) device = 0;
    }
    return sum;
  };
  return { run, figures: () => figures(objects, size) };
}

function replayWork(size: Size): Work {
  const flat = new Flat(size);
  const run = (count: number) => {
    const next = new Random();
    let sum = FOLD_START;
    for (let i = 0; i < count; i++) sum = fold(sum, flat.replay(next.below(size.devices), next.below(size.vectors)));
    return sum;
  };
  return { run };
}

function figures({ bytes }: { bytes: number }, { devices, vectors }: Size): Record<string, number> {
  return { bytesPerVector: bytes / (devices * vectors), collectionMs: collectionMs() };
}

/** Bytes by which the heap is larger after many deliveries without a collection asked for. */
function heapGrowth(run: (count: number) => number): number {
  globalThis.gc!();
  const before = process.memoryUsage().heapUsed;
  run(HEAP_DELIVERIES);
  return process.memoryUsage().heapUsed - before;
}

function cWork(
  size: Size,
  run: (c: Record<'deliver' | 'mask', (...args: number[]) => number>) => Work['run'],
): Work | string {
  const c = loadC('deliver', {
    setup: 'int32_t bench_setup(uint32_t devices, uint32_t vectors)',
    deliver: 'uint32_t bench_deliver(uint32_t count, uint32_t is_random, uint32_t use_route)',
    mask: 'uint32_t bench_mask(uint32_t count)',
  });
  if (typeof c === 'string') return c;
  if (c.setup(size.devices, size.vectors) !== 0) throw new UsageError('no memory for the baseline in C');
  return { run: run(c) };
}

const SIZES: Size[] = [
  { devices: 1, vectors: 32 },
  { devices: 64, vectors: 129 },
  { devices: 1024, vectors: 129 },
  { devices: 4096, vectors: 2048 },
];

const caseId = ({ devices, vectors }: Size, order: string) => `${devices} x ${vectors} ${order}`;
const [TINY, CACHED, MIDDLE, HUGE] = SIZES;

const cases = SIZES.flatMap((size) =>
  ['in sequence', 'random'].map((order): Case => {
    const random = order === 'random';
    return {
      id: caseId(size, order),
      x: size.devices * size.vectors,
      chart: order,
      agree: true,
      slow: size === HUGE,
      variants: {
        'flat, cached route': () => flatWork(size, random, size === CACHED && !random),
        'flat, no cache': () => uncachedWork(size, random),
        'object per vector': () => objectWork(size, random),
        C: () => cWork(size, (c) => (n) => c.deliver(n, +random, 0)),
        'C, cached route': () => cWork(size, (c) => (n) => c.deliver(n, +random, 1)),
      },
    };
  }),
);

const ours = 'flat, cached route';
const MACHINE = 'through device, hypervisor and event channel';
const BY_QUEUE = 'messages in typed arrays';
const against = (size: Size, order: string, other: string) => (get: Lookup) =>
  get(caseId(size, order), ours) / get(caseId(size, order), other);

export default {
  name: 'deliver',
  title: 'Delivery of MSI-X vectors to event bits',
  operation: 'a device raises one vector, up to the bit of its event channel',
  xLabel: 'vectors of all devices',
  cases: [
    ...cases,
    {
      id: 'mask, raise, unmask',
      agree: true,
      variants: {
        flat: () => replayWork(CACHED),
        C: () => cWork(CACHED, (c) => (n) => c.mask(n)),
      },
    },
    {
      id: MACHINE,
      agree: true,
      // loaded where it is measured: a whole machine's code would weigh on the collections of the other cases
      variants: {
        [BY_QUEUE]: async () => (await import('./deliver/machine.js')).byQueue(heapGrowth),
        'object per message': async () => (await import('./deliver/machine.js')).byEffects(),
      },
    },
  ],
  targets: [
    {
      what: 'against straightforward C, 64 x 129 in sequence',
      is: 'at most',
      limit: 1.6,
      value: against(CACHED, 'in sequence', 'C'),
    },
    {
      what: 'against straightforward C, 64 x 129 random',
      is: 'at most',
      limit: 1.6,
      value: against(CACHED, 'random', 'C'),
    },
    {
      what: 'against straightforward C, 4096 x 2048 random',
      is: 'at most',
      limit: 1,
      value: against(HUGE, 'random', 'C'),
    },
    {
      what: 'against C with cached route, 64 x 129 in sequence',
      is: 'at most',
      limit: 2.5,
      value: against(CACHED, 'in sequence', 'C, cached route'),
    },
    {
      what: 'in sequence, slowest size over fastest, 32 to 8.4 M',
      is: 'at most',
      limit: 1.1,
      value: (get) => flatness([TINY, CACHED, MIDDLE, HUGE].map((size) => get(caseId(size, 'in sequence'), ours))),
    },
    {
      what: 'object per vector over flat, 4096 x 2048 random',
      is: 'at least',
      limit: 4,
      value: (get) => 1 / against(HUGE, 'random', 'object per vector')(get),
    },
    {
      what: 'bytes a vector, 1024 x 129',
      is: 'at most',
      limit: 21,
      value: (get) => get(caseId(MIDDLE, 'random'), ours, 'bytesPerVector'),
    },
    {
      what: 'full collection, object per vector over flat, 8.4 M',
      is: 'at least',
      limit: 50,
      value: (get) =>
        get(caseId(HUGE, 'random'), 'object per vector', 'collectionMs') /
        get(caseId(HUGE, 'random'), ours, 'collectionMs'),
    },
    {
      what: 'bytes of heap growth over 10^8 deliveries',
      is: 'at most',
      limit: 100_000,
      value: (get) => get(caseId(CACHED, 'in sequence'), ours, 'heapGrowth'),
    },
    {
      what: 'bytes of heap growth over 10^8 deliveries through the machine',
      is: 'at most',
      limit: 100_000,
      value: (get) => get(MACHINE, BY_QUEUE, 'heapGrowth'),
    },
    {
      what: 'mask, raise, unmask against C',
      is: 'at most',
      limit: 3.5,
      value: (get) => get('mask, raise, unmask', 'flat') / get('mask, raise, unmask', 'C'),
    },
  ],
} satisfies Question as Question;
