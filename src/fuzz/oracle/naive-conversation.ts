import { ERRNO, encodeNaive, type NaiveRecord, parseNaive, refusals, tellRecord } from './naive-records.ts';
import type { Doing, TwinFunction } from './twin-function.ts';

/** Bytes of requests that a client may send ahead while it owes the answer to a DMA read. */
const MOST_BACKLOG = 1 << 20;

export type NaiveHypercall = (nr: number, cmd: number, bytes: Uint8Array) => { ret: number; bytes: Uint8Array };

/** What several conversations are about. */
export class NaiveWorld {
  readonly functions: ReadonlyMap<number, TwinFunction>;
  readonly hypercall: NaiveHypercall | undefined;
  conversations: (NaiveConversation | undefined)[] = [];
  /** Transcripts that the server made and nobody has looked at. */
  transcripts: NaiveRecord[][] = [];
  /** Functions whose twin has lost track: an access began, another client came between, it took another course. */
  readonly adrift = new Set<number>();

  constructor(functions: ReadonlyMap<number, TwinFunction>, hypercall: NaiveHypercall | undefined) {
    this.functions = functions;
    this.hypercall = hypercall;
  }

  /** Somebody's access to a function is complete: those of others that have begun may take another course. */
  accessed(fn: number, by: NaiveConversation): void {
    for (const other of this.conversations) if (other !== by) other?.disturb(fn);
  }
}

interface Request {
  /** Place among all that the client sent. */
  seq: number;
  record: NaiveRecord;
  bytes: number;
  tooLong: boolean;
  /** What came out for it so far. */
  doings: Doing[];
  disturbed: boolean;
}

type Read = Extract<Doing, { kind: 'read' }>;

/**
 * One client's conversation as docs/access-records.md has it: told what goes in and what comes out, it says which rule is
 * broken. Accesses are carried out on the twins when their answers come.
 */
export class NaiveConversation {
  readonly #world: NaiveWorld;
  #input: Uint8Array = new Uint8Array(0);
  #output: Uint8Array = new Uint8Array(0);
  #seq = 0;
  #requests: Request[] = [];
  #answers: { seq: number; record: NaiveRecord }[] = [];
  #owed: Read[] = [];
  /** Reads that were answered; the others fail once nobody will answer any more. */
  readonly #answered = new Set<Read>();
  #lastAnswered = -1;
  /** Place of what the connection must end at, and why. */
  #offence: { seq: number; why: string } | undefined;
  #abandoned = false;
  /** Kind and status of the last answer. */
  last = 0;
  broken: string | undefined;

  constructor(world: NaiveWorld) {
    this.#world = world;
  }

  /** DMA reads that the client owes an answer to, oldest first. */
  get owed(): readonly { address: bigint; length: number }[] {
    return this.#owed;
  }

  get waiting(): number {
    return this.#requests.length;
  }

  /** The client sends; call before the server sees it. */
  received(chunk: Uint8Array): void {
    this.#input = join(this.#input, chunk);
    let behind = this.#backlog();
    let at = 0;
    for (
      let next = parseNaive(this.#input, at);
      next && !this.#endsAt('too long');
      next = parseNaive(this.#input, at)
    ) {
      const { record, end, tooLong } = next;
      const seq = this.#seq++;
      if (this.#endsAt('backlog')) break; // nobody looks at what comes behind it
      if (record.kind === 0x87 && !tooLong) this.#answers.push({ seq, record });
      else {
        this.#requests.push({ seq, record, bytes: end - at, tooLong, doings: [], disturbed: false });
        behind += end - at;
      }
      at = end;
      if (tooLong) this.#offend(seq, 'too long');
      // an answer behind it in the same piece comes too late
      if (this.#owed.length > this.#answers.length && behind > MOST_BACKLOG) this.#offend(seq, 'backlog');
    }
    this.#input = this.#input.slice(at);
    this.#attach();
  }

  /** The server sends. `memory` takes what is written to the client. */
  sent(chunk: Uint8Array, memory: (address: bigint, bytes: Uint8Array) => void): undefined {
    this.#output = join(this.#output, chunk);
    let at = 0;
    for (let next = parseNaive(this.#output, at); next; next = parseNaive(this.#output, at)) {
      if (next.tooLong) return this.#break(`output: a record claims ${next.record.value} bytes of data`);
      at = next.end;
      this.#take(next.record, memory);
      if (this.broken) return;
    }
    if (at < this.#output.length) this.#break(`output: ${this.#output.length - at} bytes are no whole record`);
    this.#output = this.#output.slice(at);
  }

  /** Both sides have come to rest. `ended`: the server has ended it. `taking`: the client takes what it is sent. */
  settle(ended: string | undefined, taking: boolean): void {
    if (this.broken) return;
    this.#attach();
    if (this.#endsAt('too long')) this.#owed = [];
    if (this.#owed.length === 0 && this.#answers.length > 0 && !this.#offence?.why.startsWith('answer'))
      this.#offend(this.#answers[0].seq, 'answer that nobody asked for');
    if (!this.#offence && this.#owed.length > 0 && this.#backlog() > MOST_BACKLOG) this.#offend(this.#seq, 'backlog');
    if (ended === undefined && this.#offence) this.#break(`close: the connection goes on after a ${this.#offence.why}`);
    else if (ended !== undefined && !this.#offence)
      this.#break(`close: the connection is ended without cause: ${ended}`);
    else if (this.#offence && this.#lastAnswered > this.#offence.seq)
      this.#break(`close: a request behind a ${this.#offence.why} was carried out`);
    if (this.broken || this.#offence?.why === 'backlog') return;
    const due = this.#requests.filter((r) => !this.#offence || r.seq <= this.#offence.seq);
    const waits = this.#isBegun && (this.#owed.length > 0 || this.#offence?.why.startsWith('answer of'));
    if (due.length > 0 && !waits && (taking || this.#offence))
      this.#break(`silence: no answer to ${tellRecord(due[0].record)}`);
  }

  /** Bytes of the requests behind the one that is carried out. */
  #backlog(): number {
    return this.#requests.slice(1).reduce((sum, r) => sum + r.bytes, 0);
  }

  /** The client sends no more: reads that are not answered fail. @returns bytes of a record that is not complete */
  finish(): number {
    this.#abandoned = true;
    this.#owed = [];
    return this.#input.length;
  }

  /** It is over: what has begun is finished without the client's memory, the rest is forgotten. */
  close(): void {
    this.#abandoned = true;
    this.#owed = [];
    const [request] = this.#requests;
    if (request && this.#isBegun) this.#carryOut(request, undefined);
    this.#requests = [];
  }

  disturb(fn: number): void {
    const [request] = this.#requests;
    if (request && this.#isBegun && request.record.function === fn) request.disturbed = true;
  }

  /** Nobody will answer reads any more. */
  get #givesUp(): boolean {
    return this.#abandoned || this.#endsAt('too long');
  }

  get #isBegun(): boolean {
    return this.#requests[0]?.doings.some((d) => d.kind === 'read') ?? false;
  }

  #endsAt(why: string): boolean {
    return this.#offence?.why === why;
  }

  /** The first thing that ends a conversation counts. */
  #offend(seq: number, why: string): void {
    if (!this.#offence || seq < this.#offence.seq) this.#offence = { seq, why };
  }

  #take(record: NaiveRecord, memory: (address: bigint, bytes: Uint8Array) => void): undefined {
    const [request] = this.#requests;
    if (!request) return this.#break(`output: ${tellRecord(record)} answers nothing`);
    const { doings } = request;
    const { kind, offset, data } = record;
    if (kind & 0x80) {
      this.#requests.shift();
      this.#lastAnswered = request.seq;
      this.last = (record.kind << 8) | record.status;
      this.#complete(request, record);
    } else if (kind === 3 || kind === 4) doings.push({ kind: 'effect', record });
    else if (record.function !== request.record.function || record.region !== 0xff || record.status !== 0)
      this.#break(`dma: ${tellRecord(record)} while ${tellRecord(request.record)} is carried out`);
    else if (kind === 8) {
      doings.push({ kind: 'write', address: offset, bytes: data! });
      memory(offset, data!);
    } else if (kind === 7) {
      const read: Read = { kind: 'read', address: offset, length: Number(record.value), answer: undefined };
      doings.push(read);
      if (!this.#abandoned) this.#owed.push(read);
      this.#attach();
    } else this.#break(`output: a record of kind ${kind}`);
  }

  /** Answers go to reads in the order of both. */
  #attach(): undefined {
    while (this.#answers.length > 0 && this.#owed.length > 0 && !this.#offence?.why.startsWith('answer')) {
      const { seq, record } = this.#answers.shift()!;
      const read = this.#owed.shift()!;
      if (record.status === 0 && record.data!.length !== read.length) {
        this.#offend(seq, `answer of ${record.data!.length} bytes to a read of ${read.length}`);
        return;
      }
      this.#answered.add(read);
      if (record.status === 0) read.answer = record.data!;
    }
  }

  #complete(request: Request, answer: NaiveRecord): undefined {
    const { record } = request;
    const what = () => tellRecord(record);
    if (answer.kind !== (record.kind | 0x80) || answer.region !== record.region || answer.width !== record.width)
      return this.#break(`echo: ${what()} is answered by ${tellRecord(answer)}`);
    const called = record.kind === 6 && answer.status === 0;
    if (answer.function !== record.function || (answer.offset !== record.offset && !called))
      return this.#break(`echo: ${what()} is answered by ${tellRecord(answer)}`);
    if (request.tooLong) {
      if (answer.status !== ERRNO.EMSGSIZE)
        this.#break(`status: ${what()} has ${record.value} bytes and gets status ${answer.status}`);
      return;
    }
    const waiting = request.doings.find((d) => d.kind === 'read' && !this.#answered.has(d));
    if (waiting && !this.#givesUp && !request.disturbed)
      return this.#break(`order: ${what()} is answered before the DMA read that it waits for`);
    this.#carryOut(request, answer);
  }

  /** Carries a request out on the twin and compares. Without an answer nobody sees what comes of it. */
  #carryOut(request: Request, answer: NaiveRecord | undefined): undefined {
    const { record, doings, disturbed } = request;
    const world = this.#world;
    const transcript = world.transcripts.shift();
    if (!transcript) return this.#break(`recording: ${tellRecord(record)} is not in it`);
    const twin = world.functions.get(record.function);
    const refused = refusals(record, twin?.shape, world.hypercall !== undefined);
    if (answer && refused.length > 0 && !refused.includes(answer.status))
      return this.#break(`status: ${tellRecord(record)} gets ${answer.status}, should be ${refused.join(' or ')}`);
    if (answer && refused.length === 0 && answer.status !== 0)
      return this.#break(`status: ${tellRecord(record)} gets ${answer.status}, should be 0`);
    if (refused.length === 0) world.accessed(record.function, this);
    if (disturbed) world.adrift.add(record.function);
    if (world.adrift.has(record.function)) return;
    let done: Doing[] = [];
    let value = 0n;
    if (refused.length === 0 && record.kind === 6) {
      this.#compareHypercall(record, answer!);
      value = answer!.value;
    } else if (refused.length === 0 && twin) {
      const reads = doings.filter((d): d is Read => d.kind === 'read');
      let next = 0;
      const lookUp = (address: bigint, length: number) => {
        const read = reads[next];
        if (!read || read.address !== address || read.length !== length) return undefined;
        next++;
        return read.answer;
      };
      ({ value, doings: done } = twin.run(record, lookUp));
    } else if (refused.length === 0 && record.kind === 0) value = (1n << BigInt(8 * record.width)) - 1n;
    if (!answer || this.broken) return;
    if (refused.length === 0 && answer.value !== value)
      return this.#break(
        `value: ${tellRecord(record)} gives 0x${answer.value.toString(16)}, should be 0x${value.toString(16)}`,
      );
    // a client that sends no more may be spared reads that it cannot answer
    const seen = this.#givesUp ? done.filter((d) => d.kind !== 'read' || doings.some((o) => same(o, d))) : done;
    this.#compareDoings(record, doings, seen);
    if (!this.broken) this.#compareTranscript(transcript, record, done, answer);
  }

  #compareHypercall(record: NaiveRecord, answer: NaiveRecord): undefined {
    const { ret, bytes } = this.#world.hypercall!(
      Number(record.offset >> 32n),
      Number(record.offset & 0xffffffffn),
      record.data!,
    );
    if (answer.offset !== BigInt.asUintN(64, BigInt(ret)))
      this.#break(`value: ${tellRecord(record)} gives result 0x${answer.offset.toString(16)}, should be ${ret}`);
    else if (Buffer.compare(answer.data!, bytes) !== 0)
      this.#break(`value: the argument of ${tellRecord(record)} comes back other than left`);
  }

  #compareDoings(record: NaiveRecord, got: readonly Doing[], want: readonly Doing[]): undefined {
    for (let i = 0; i < Math.max(got.length, want.length); i++) {
      if (got[i] && want[i] && same(got[i], want[i])) continue;
      const law = (got[i] ?? want[i]).kind === 'effect' ? 'effects' : 'dma';
      return this.#break(
        `${law}: ${tellRecord(record)} brings ${tellDoing(got[i])}, should bring ${tellDoing(want[i])}`,
      );
    }
  }

  /** Request, what was done with the answers to reads behind them, answer. */
  #compareTranscript(
    got: readonly NaiveRecord[],
    request: NaiveRecord,
    done: readonly Doing[],
    answer: NaiveRecord,
  ): undefined {
    const base = { region: 0xff, width: 0xff, status: 0, function: request.function, value: 0n, data: undefined };
    const want: NaiveRecord[] = [request];
    for (const d of done) {
      if (d.kind === 'effect') want.push(d.record);
      else if (d.kind === 'write')
        want.push({ ...base, kind: 8, offset: d.address, value: BigInt(d.bytes.length), data: d.bytes });
      else {
        const length = BigInt(d.length);
        want.push({ ...base, kind: 7, offset: d.address, value: length });
        const bytes = d.answer ?? new Uint8Array(0);
        const status = d.answer ? 0 : 1;
        want.push({ ...base, kind: 0x87, status, offset: d.address, value: BigInt(bytes.length), data: bytes });
      }
    }
    want.push(answer);
    const plain = (r: NaiveRecord) => encodeNaive(r.kind === 0x87 && r.status !== 0 ? { ...r, status: 1 } : r);
    for (let i = 0; i < Math.max(got.length, want.length); i++) {
      const [g, w] = [got[i], want[i]];
      if (g && w && Buffer.compare(plain(g), plain(w)) === 0) continue;
      return this.#break(
        `recording: ${g ? tellRecord(g) : 'nothing'} stands where ${w ? tellRecord(w) : 'nothing'} should`,
      );
    }
  }

  #break(how: string): undefined {
    this.broken ??= how;
  }
}

function same(a: Doing, b: Doing): boolean {
  if (a.kind === 'effect')
    return b.kind === 'effect' && Buffer.compare(encodeNaive(a.record), encodeNaive(b.record)) === 0;
  if (b.kind === 'effect' || a.address !== b.address) return false;
  if (a.kind === 'read') return b.kind === 'read' && a.length === b.length;
  return b.kind === 'write' && Buffer.compare(a.bytes, b.bytes) === 0;
}

function tellDoing(d: Doing | undefined): string {
  if (!d) return 'nothing more';
  if (d.kind === 'effect') return tellRecord(d.record);
  return `a DMA ${d.kind} of ${d.kind === 'read' ? d.length : d.bytes.length} bytes at 0x${d.address.toString(16)}`;
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
