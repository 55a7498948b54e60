import { formatBdf } from '../pci/function.ts';
import type { Machine, Slot } from './machine.ts';
import { RAM_STRIDE } from './machine-setup.ts';
import { isOfNames } from './name-places.ts';
import type { AlikeTasks } from './world.ts';

/** Bits of an address within a page. */
const PAGE_BITS = 12;

/** What a word holds: an address, a number or anything; a page's number; the row + 1 of a queue. */
type Kind = 'value' | 'page' | 'queue row';

/**
 * What belongs to one controller alone: its registers, its device model, its memory, the kernel's and Xen's records of it.
 * Controllers are copies of one drive, so word k of one stands for what word k of another does. The values are the same,
 * but for addresses in the controller's own memory, and rows of its own queues.
 */
export class AlikeSlots implements AlikeTasks {
  readonly words: readonly Int32Array[];
  readonly #kinds: readonly Kind[];
  readonly #bases: readonly number[];
  readonly #queueRows: readonly number[];

  private constructor(machine: Machine, words: Int32Array[], kinds: Kind[]) {
    const { records, slots } = machine;
    this.words = words;
    this.#kinds = kinds;
    this.#bases = slots.map(({ controller }) => controller.memoryBase);
    this.#queueRows = slots.map(({ guestBdf }) => records.rowOf(guestBdf) * records.shape.queues);
  }

  /** Undefined if the controllers' words do not match. */
  static of(machine: Machine): AlikeSlots | undefined {
    const found = machine.slots.map((slot) => ownWords(machine, slot));
    const shapes = found.map(({ labels }) => labels.join());
    if (shapes.some((shape) => shape !== shapes[0])) return undefined;
    const words = found.map((own) => Int32Array.from(own.words));
    return new AlikeSlots(machine, words, found[0].kinds);
  }

  asFirst(task: number, k: number, value: number): number {
    if (task === 0 || value === 0) return value;
    const kind = this.#kinds[k];
    if (kind === 'queue row') return value - this.#queueRows[task] + this.#queueRows[0];
    return swap(value >>> 0, this.#bases[0], this.#bases[task], kind === 'page' ? PAGE_BITS : 0) | 0;
  }
}

/** Exchanges what lies in the memory at `first`, or is a page of it, for the same at `own`. */
function swap(value: number, first: number, own: number, shift: number): number {
  const size = RAM_STRIDE >>> shift;
  const distance = (own - first) / 2 ** shift;
  const inOwn = value - own / 2 ** shift;
  if (inOwn >= 0 && inOwn < size) return value - distance;
  const inFirst = value - first / 2 ** shift;
  return inFirst >= 0 && inFirst < size ? value + distance : value;
}

/** The words of a controller with what each holds, and labels that are the same for every controller. */
function ownWords(machine: Machine, slot: Slot): { words: number[]; kinds: Kind[]; labels: string[] } {
  const { records, hypervisor, arena, slots } = machine;
  const found = { words: [] as number[], kinds: [] as Kind[], labels: [] as string[] };
  const row = records.rowOf(slot.guestBdf);
  const dev = hypervisor.host.devices.find(slot.fn.bdf);
  const take = (from: number, count: number, label: string, kindOf: (i: number) => Kind = () => 'value') => {
    for (let i = 0; i < count; i++) {
      found.words.push(from + i);
      found.kinds.push(kindOf(i));
      found.labels.push(label);
    }
  };
  const { width: fields, next, sqFrame, cqFrame } = records.queueFields;
  const kindInQueue = (i: number): Kind => {
    const field = i % fields;
    if (field === next) return 'queue row';
    return field === sqFrame || field === cqFrame ? 'page' : 'value';
  };
  for (const { label, from, to } of arena.runs()) {
    if (isOfNames(label)) continue;
    const own = ownLabel(label, slot);
    const width = Math.floor((to - from) / slots.length);
    if (own !== undefined) take(from, to - from, own);
    else if (label === 'kernel queues') take(from + row * width, width, label, kindInQueue);
    else if (/^kernel (devices|controllers)$/.test(label)) take(from + row * width, width, label);
    else if (label === 'xen.device.tablePage') take(from + 2 * dev, 2, label);
    else if (label.startsWith('xen.device.')) take(from + dev, 1, label);
  }
  return found;
}

/** The label of a run without what names the controller, if it is the controller's. */
function ownLabel(label: string, { fn, controller }: Slot): string | undefined {
  const name = formatBdf(fn.bdf);
  if (label.startsWith(`${name} `) || label.startsWith(`dm ${name} `)) return label.replace(name, '');
  const ram = /^guest RAM at (0x[0-9a-f]+)$/.exec(label);
  const offset = ram ? Number(ram[1]) - controller.memoryBase : -1;
  return offset >= 0 && offset < RAM_STRIDE ? `RAM ${offset}` : undefined;
}
