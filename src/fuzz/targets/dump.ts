import { hex, type Prng, UsageError } from '../../core/index.ts';
import {
  builtinDump,
  describeFunction,
  formatLspciDump,
  lintFunction,
  listBuiltinDumps,
  type ParsedFunction,
  parseDump,
} from '../../pci/dump/index.ts';
import { createFunction } from '../../pci/index.ts';
import type { Subject, Target } from '../target.ts';
import { joinBytes } from './step-bytes.ts';

/** One piece of a dump: bytes as they stand in the file, line ends included. */
export type Piece = Uint8Array;

/**
 * The importer of dumps. A step is a line or any other piece of a file; the pieces of an input joined are the file. What
 * is parsed must make a device that can be printed and read again to the same bytes; what is refused must be refused in
 * one line.
 */
class DumpSubject implements Subject<Piece> {
  readonly label: string;
  readonly functions = [];
  readonly #lines: readonly string[];
  #pieces: Piece[] = [];
  #state = 0;

  constructor(id: string) {
    this.label = `dump of ${id}`;
    this.#lines = builtinDump(id).split(/(?<=\n)/);
  }

  begin(): void {
    this.#pieces = [];
    this.#state = 0;
  }

  save(): Piece[] {
    return this.#pieces.slice();
  }

  restore(saved: unknown): void {
    this.#pieces = (saved as Piece[]).slice();
  }

  /** Lines of the dump from anywhere on, in order as they come; then other lines, then noise. */
  generate(prng: Prng): Piece {
    const r = prng.below(24);
    const from = prng.below(4) ? hexLine(this.#lines, prng) : prng.below(this.#lines.length);
    if (r < 10) return text(this.#lines.slice(from, from + 1 + prng.below(20)).join(''));
    if (r < 12) return text(this.#lines.join(''));
    if (r < 15) return damage(prng, text(this.#lines[from]));
    if (r === 15) return text(`${prng.pick(HEADINGS)}\n`);
    if (r === 16)
      return text(
        `${hex(16 * prng.below(257))
          .slice(2)
          .padStart(2, '0')}: ${'ff '.repeat(prng.below(18))}\n`,
      );
    if (r === 17) return text(prng.pick(ODDITIES));
    if (r === 18) return Uint8Array.from({ length: prng.pick([1, 64, 255, 256, 257, 4096, 4097]) }, () => prng.next());
    return text(`${this.#lines[from].trimEnd()}\r\n`);
  }

  mutate(prng: Prng, step: Piece): Piece {
    return prng.below(3) ? damage(prng, step) : this.generate(prng);
  }

  run(step: Piece): string | undefined {
    this.#pieces.push(step);
    return undefined;
  }

  finish(): string | undefined {
    const bytes = joinBytes(this.#pieces);
    const mark = (kind: number, more: number) => {
      this.#state = Math.imul(kind + 1, 0x9e3779b1) ^ Math.imul(more, 0x85ebca6b);
    };
    let functions: ParsedFunction[];
    try {
      functions = parseDump(isText(bytes) ? new TextDecoder().decode(bytes) : bytes);
    } catch (error) {
      if (!(error instanceof UsageError)) return `throws: ${String(error)}`;
      if (error.message.includes('\n')) return `refusal: takes more than one line: ${JSON.stringify(error.message)}`;
      mark(1, shape(error.message));
      return undefined;
    }
    if (functions.length === 0) return 'parsed: no function and no refusal';
    for (const fn of functions) {
      const wrong = this.#check(fn);
      if (wrong) return wrong;
    }
    mark(2, functions.length * 65536 + functions[0].dumped.length);
    return undefined;
  }

  #check(fn: ParsedFunction): string | undefined {
    const { spec, dumped } = fn;
    if (![256, 4096].includes(spec.image.length)) return `image: has ${spec.image.length} bytes`;
    for (const [i, byte] of dumped.entries())
      if (spec.image[i] !== byte) return `image: byte ${hex(i)} is not the dump's`;
    try {
      const made = createFunction(spec);
      for (let at = 0; at < dumped.length; at++)
        if (made.getConfig(at, 1) !== dumped[at]) return `device: byte ${hex(at)} is not the dump's`;
      for (const { rule, text: words } of lintFunction(fn))
        if (!rule || !words || words.includes('\n')) return `lint: a finding without words or in several lines`;
      describeFunction(fn);
      const printed = formatLspciDump([{ slot: fn.slot, title: 'again', bytes: dumped }]);
      const [again] = parseDump(printed);
      if (again.slot !== fn.slot) return `round trip: ${fn.slot} comes back as ${again.slot}`;
      if (again.dumped.length !== dumped.length || again.dumped.some((b, i) => b !== dumped[i]))
        return `round trip: ${dumped.length} bytes come back as ${again.dumped.length} or other ones`;
    } catch (error) {
      return `throws: after a dump was accepted: ${String(error)}`;
    }
    return undefined;
  }

  abstractState(): number {
    return this.#state;
  }

  simpler(step: Piece): Piece[] {
    const half = step.length >> 1;
    return step.length > 1 ? [step.slice(0, half), step.slice(half)] : [];
  }

  tell(step: Piece): string {
    const shown = new TextDecoder('latin1').decode(step.slice(0, 100));
    return `${step.length} bytes ${JSON.stringify(shown)}${step.length > 100 ? '…' : ''}`;
  }

  outcome(): string {
    return '';
  }
}

/** A refusal without what it quotes: letters only. */
function shape(message: string): number {
  let h = 0;
  for (const c of message.replace(/"[^"]*"/g, '').replace(/[^a-z]/g, '')) h = (Math.imul(h, 31) + c.charCodeAt(0)) | 0;
  return h;
}

function hexLine(lines: readonly string[], prng: Prng): number {
  const at = lines.findIndex((line) => /^[0-9a-f]{2,3}: /.test(line));
  return at < 0 ? 0 : prng.below(2) ? at : at + prng.below(lines.length - at);
}

/** One byte changed, dropped, doubled or swapped, or the end cut off. */
function damage(prng: Prng, piece: Piece): Piece {
  if (piece.length === 0) return text('0');
  const at = prng.below(piece.length);
  const copy = piece.slice();
  switch (prng.below(5)) {
    case 0:
      copy[at] = prng.next();
      return copy;
    case 1:
      copy[at] = prng.pick(INTERESTING).charCodeAt(0);
      return copy;
    case 2:
      return joinBytes([piece.slice(0, at), piece.slice(at + 1)]);
    case 3:
      return joinBytes([piece.slice(0, at), piece.slice(at, at + 8), piece.slice(at)]);
    default:
      return piece.slice(0, at);
  }
}

const INTERESTING = ['0', 'f', ':', ' ', '\n', '\t', '.', '[', ']', '=', 'x', '-', 'K'];
const HEADINGS = [
  '00:00.0 Bridge',
  '0000:ff:1f.7 X',
  '10000:e1:00.0 VMD',
  '00:20.0 none',
  '00:1f.8 none',
  'ff:ff.f',
  '0:0.0',
];
const ODDITIES = [
  '\n',
  '\r\n',
  '\0',
  '\ufeff',
  'Region 0: Memory at 0 (64-bit) [size=3]\n',
  '\t[size=0]\n',
  '00: \n',
  '00: zz\n',
  '000: 86\n',
  '100: 00\n',
];

const text = (string: string): Piece => new TextEncoder().encode(string);
const isText = (bytes: Uint8Array) => !bytes.includes(0);

/** Each piece as u32 length and bytes, so that the file is the pieces and their borders are kept. */
function encode(pieces: readonly Piece[]): Uint8Array {
  return joinBytes(pieces.flatMap((p) => [new Uint8Array(new Uint32Array([p.length]).buffer), p]));
}

function decode(bytes: Uint8Array): Piece[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pieces: Piece[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = at + 4 <= bytes.length ? view.getUint32(at, true) : -1;
    if (length < 0 || at + 4 + length > bytes.length) throw new UsageError(`pieces of a dump end early, at byte ${at}`);
    pieces.push(bytes.slice(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return pieces;
}

let ids: string[] | undefined;

export const DUMP_TARGET: Target<Piece> = {
  name: 'dump',
  about: 'the importer of dumps: lines and pieces of dumps, damaged',
  unit: 'pieces',
  get variants() {
    return (ids ??= listBuiltinDumps()).length;
  },
  open: (variant) => new DumpSubject((ids ??= listBuiltinDumps())[variant]),
  encode,
  decode,
};
