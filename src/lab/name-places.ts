import type { Arena } from '../core/index.ts';
import type { Access, Answer } from '../guest/index.ts';
import { GUEST_DOMAIN } from './machine-setup.ts';

/** What numbers name; of each sort the numbers are searched for among those that are free. */
export const SORT = { pirq: 0, irq: 1, guestIrq: 2, port: 3, msi: 4, vector: 5 } as const;
export type Sort = (typeof SORT)[keyof typeof SORT];

const SORT_BITS = 3;

/** A name of any sort as one number. */
export function nameOf(sort: Sort, number: number): number {
  return (number << SORT_BITS) | sort;
}

export function partsOf(name: number): { sort: Sort; number: number } {
  return { sort: (name & ((1 << SORT_BITS) - 1)) as Sort, number: name >> SORT_BITS };
}

/** Label of the watch's map, which follows from what the device models hold. */
export const PIRQ_HOLDERS = 'pirq holders';

const guest = `xen\\.dom${GUEST_DOMAIN}\\.`;
/** Runs of the arena that have something for each name of a sort: how many bytes; undefined: a byte for each guest. */
const RECORDS: readonly (readonly [label: RegExp, sort: Sort, bytes: number | undefined])[] = [
  [
    new RegExp(`^${guest}(pirqs|evtchn|emuirq|dpci(Flags|Masked|Pending|Scheduled)|gvec|gflags|destVcpu)$`),
    SORT.pirq,
    4,
  ],
  [/^kernel irq by pirq, never cleared$/, SORT.pirq, 4],
  [new RegExp(`^${PIRQ_HOLDERS}$`), SORT.pirq, 4],
  [/^xen\.irq\.(?!guests|unused)/, SORT.irq, 4],
  [/^xen\.irq\.guests$/, SORT.irq, undefined],
  [new RegExp(`^${guest}irqPirq$`), SORT.irq, 4],
  [/^xen\.dom[01]\.irqCaps$/, SORT.irq, 1],
  [/^kernel irqs$/, SORT.guestIrq, 28],
  [/^kernel irq handlers$/, SORT.guestIrq, 4],
  [new RegExp(`^${guest}port\\.(?!counts|free|firstPirqPort)`), SORT.port, 4],
  [/^kernel irq by port$/, SORT.port, 4],
  [/^xen\.msi\.(?!free|address)/, SORT.msi, 4],
  [/^xen\.msi\.address$/, SORT.msi, 8],
  [/^xen\.vectors$/, SORT.vector, 4],
];
/** Runs that hold names, or what other state determines: messages in devices, bitmaps of the free, cursors. */
const OTHERS = new RegExp(
  `^${guest}(port\\.\\w+|sharedInfo|free|recordless|emuirqPirq)$|^xen\\.(irq\\.unused|msi\\.free|vector(Cursor|Room)|device\\.(first|last)Msi)$|` +
    '\\.msix\\.(table|route)$| msix (table|messages|pirqs)$|^kernel (irqs free|irq list|queue irqs|vectors)$',
);

/** True if {@link StateNames} tells a run, so that its words need not be the same in states that behave alike. */
export function isOfNames(label: string): boolean {
  return OTHERS.test(label) || RECORDS.some(([pattern]) => pattern.test(label));
}

/** Kernel accesses whose answers are names. */
const NAMING_CALLS: Readonly<Record<string, Sort>> = {
  'irq.allocate': SORT.guestIrq,
  'irq.fromPirq': SORT.guestIrq,
  'irq.everFromPirq': SORT.guestIrq,
  'irq.fromPort': SORT.guestIrq,
  'irq.fromIdtVector': SORT.guestIrq,
  'vector.irq': SORT.guestIrq,
  'queue.irq': SORT.guestIrq,
  'irq.pirq': SORT.pirq,
  'irq.port': SORT.port,
};
/** Names that a task can hold, and their numbers are below. */
const HELD_SORTS = [SORT.pirq, SORT.guestIrq, SORT.port] as const;
const MAX_NUMBER = 1 << 12;

/**
 * Names in an answer, which a task may go on with: all that it could mean, as more does no harm. A message is told by its
 * address, which has the low eight bits of a pirq.
 */
export function namesInAnswer(request: Access, answer: Answer): number[] {
  if (request.op === 'kernel') {
    const sort = NAMING_CALLS[request.call];
    if (sort !== undefined) return [nameOf(sort, answer as number)];
    return request.call === 'vector.addressLo' ? pirqsOfAddress(answer as number) : [];
  }
  if (request.op === 'read') return pirqsOfAddress(answer as number);
  if (request.op !== 'hypercall') return [];
  const { bytes } = answer as Exclude<Answer, number>;
  const names: number[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const number = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    if (number >= 0 && number < MAX_NUMBER) names.push(...HELD_SORTS.map((sort) => nameOf(sort, number)));
  }
  return names;
}

function pirqsOfAddress(lo: number): number[] {
  if (lo >>> 20 !== 0xfee) return [];
  const names: number[] = [];
  for (let pirq = (lo >>> 12) & 0xff; pirq < MAX_NUMBER; pirq += 0x100) names.push(nameOf(SORT.pirq, pirq));
  return names;
}

/** The names whose records words of an arena belong to. */
export class NameOwners {
  readonly #first: Int32Array;
  readonly #last: Int32Array;
  readonly #sort: Uint8Array;

  constructor(arena: Arena, guestsOfIrq: number) {
    const { length } = arena.words;
    this.#first = new Int32Array(length).fill(-1);
    this.#last = new Int32Array(length);
    this.#sort = new Uint8Array(length);
    for (const { label, from, to } of arena.runs()) {
      const rule = RECORDS.find(([pattern]) => pattern.test(label));
      if (!rule) continue;
      const [, sort, bytes = guestsOfIrq] = rule;
      for (let word = from; word < to; word++) {
        this.#first[word] = Math.floor((4 * (word - from)) / bytes);
        this.#last[word] = Math.floor((4 * (word - from) + 3) / bytes);
        this.#sort[word] = sort;
      }
    }
  }

  of(words: Iterable<number>): number[] {
    const names = new Set<number>();
    for (const word of words) {
      if (this.#first[word] < 0) continue;
      for (let number = this.#first[word]; number <= this.#last[word]; number++)
        names.add(nameOf(this.#sort[word] as Sort, number));
    }
    return [...names];
  }
}
