import { Session } from '../../harness/vfio-user/session.ts';
import type { DmaCommand, NaiveMapping } from '../oracle/naive-dma.ts';
import { type Expected, judgeVersion, NaiveVfioServer, type VfioFd } from '../oracle/naive-vfio.ts';
import { joinBytes } from './step-bytes.ts';
import { CONNECTION, FakeHost, type Piece } from './vfio-host.ts';
import { ANSWER } from './vfio-steps.ts';
import { tellMessage } from './vfio-words.ts';
import type { VfioWorld } from './vfio-world.ts';

const HEADER = 16;
const LARGEST = HEADER + 16 + (1 << 20);
const MOST_FDS = 253;
const REPLY = 1;
const NO_REPLY = 0x10;
const ERROR = 0x20;
const FILE_BYTES = 0x10000n;
/** Most pieces that one message is cut into. */
const MOST_PIECES = 64;
/** What a reply to nothing answers. */
const NOTHING_ASKED: DmaCommand = { id: 1, command: 11, address: 0n, count: 0, isGood: false };

/** What must come next: the reply to a message. */
interface Due {
  id: number;
  command: number;
  expected: Expected | 'version' | 'any error';
  what: string;
  /** The device is at work, so that values may be of before or after it. */
  isLoose: boolean;
}

/** Commands that change nothing, whatever the device is about. */
const LOOKS = [1, 4, 5, 6, 7, 9];

/** The client of a session under test, with the oracle reading along. A connection that has ended is made anew. */
export class VfioClient {
  readonly #world: VfioWorld;
  readonly #naive: NaiveVfioServer;
  #host: FakeHost | undefined;
  #kept: Uint8Array[] = [];
  #input: Uint8Array = new Uint8Array(0);
  #inputFds: { at: number; fds: readonly VfioFd[] }[] = [];
  #output: Uint8Array = new Uint8Array(0);
  #due: Due[] = [];
  /** Why the connection must be ended. */
  #mustEnd: string | undefined;
  /** It may be ended instead of going on. */
  #mayEnd = false;
  #ended: string | undefined;
  /** Mappings before the messages of this turn. */
  #before: readonly NaiveMapping[] = [];
  /** The device has asked for memory and has not come to rest since; its twin has not begun that work. */
  #isWorking = false;
  /** The twin does not know what the device does: something came between a piece of its work and its memory. */
  #isAdrift = false;
  /** The same of interrupts, until the connection ends. */
  #irqsAdrift = false;
  /** This turn has had a DEVICE_SET_IRQS, which may signal. */
  #setIrqs = false;
  /** Eventfds signalled while the device was at work. */
  #signalled: number[] = [];
  #version: ReturnType<typeof judgeVersion> | undefined;
  broken: string | undefined;
  heard: string[] = [];
  isTelling = false;
  /** Command and errno of the last reply. */
  last = 0;

  constructor(world: VfioWorld) {
    this.#world = world;
    this.#naive = new NaiveVfioServer(world.twin);
  }

  /** Descriptors in use. */
  get keptFds(): Iterable<number> {
    return this.#naive.keptFds;
  }

  /** DMA commands that it has not answered. */
  get owes(): number {
    return this.#world.dma?.inFlight.length ?? 0;
  }

  /** What the device and its twin must agree on now, at the end of an input. */
  compare(): string | undefined {
    return this.#isWorking || this.#isAdrift ? undefined : this.#world.compare();
  }

  get isGreeted(): boolean {
    return this.#naive.greeted;
  }

  /** As when made. */
  begin(): void {
    this.#host = undefined;
    this.#naive.leave();
    this.#world.begin();
    this.#isAdrift = this.#isWorking = false;
    this.broken = undefined;
    this.last = 0;
  }

  send(bytes: Uint8Array, kinds: readonly VfioFd['kind'][], cut: number): void {
    const host = (this.#host ??= this.#connect());
    const fds = kinds.map((kind) => host.makeFd(kind, kind === 'file' ? FILE_BYTES : 0n));
    if (cut === 1 && fds.length === 0) {
      this.#kept.push(bytes);
      return;
    }
    const whole = joinBytes([...this.#kept, bytes]);
    this.#kept = [];
    if (whole.length === 0) return;
    const size = cut < 2 ? whole.length : Math.max(cut - 1, Math.ceil(whole.length / MOST_PIECES));
    for (let at = 0; at < whole.length; at += size)
      host.push({ bytes: whole.slice(at, at + size), fds: at === 0 ? fds : [] });
    this.#pump();
  }

  /** Answers a DMA command of the server, rightly or wrongly. */
  reply(how: number, cut: number): void {
    const { dma } = this.#world;
    const command = (how === ANSWER.newest ? dma?.inFlight.at(-1) : dma?.inFlight[0]) ?? NOTHING_ASKED;
    const payload = dma && command !== NOTHING_ASKED ? dma.replyTo(command) : new Uint8Array(16);
    if (how === ANSWER.wrong) payload[0] ^= 1;
    const kept =
      how === ANSWER.short
        ? payload.subarray(0, payload.length - 1)
        : how === ANSWER.failed
          ? payload.subarray(0, 0)
          : payload;
    const bytes = new Uint8Array(HEADER + kept.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, how === ANSWER.stranger ? command.id ^ 0x4000 : command.id, true);
    view.setUint16(2, command.command, true);
    view.setUint32(4, bytes.length, true);
    view.setUint32(8, how === ANSWER.failed ? REPLY | ERROR : REPLY, true);
    view.setUint32(12, how === ANSWER.failed ? 14 : 0, true);
    bytes.set(kept, HEADER);
    this.send(bytes, [], cut);
  }

  /** The device did something of itself; the session looks at it after the next message. */
  nudge(): void {
    if (!this.#host || !this.#naive.greeted || this.#input.length > 0 || this.#kept.length > 0) return;
    const bytes = new Uint8Array(32);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 0x0004ffff, true); // DEVICE_GET_INFO
    view.setUint32(4, 32, true);
    view.setUint32(16, 16, true);
    this.#host.push({ bytes, fds: [] });
    this.#pump();
  }

  leave(): void {
    if (!this.#host) return;
    this.#host.end();
    this.#pump();
    if (this.#host && !this.broken) this.broken = 'close: the client is gone and the server keeps the connection';
  }

  #connect(): FakeHost {
    const host = new FakeHost();
    host.onReceive = (piece) => this.#received(piece);
    this.#kept = [];
    this.#input = new Uint8Array(0);
    this.#inputFds = [];
    this.#output = new Uint8Array(0);
    this.#due = [];
    this.#mustEnd = this.#ended = this.#version = undefined;
    this.#mayEnd = this.#irqsAdrift = false;
    this.#signalled = [];
    this.#before = [];
    new Session(host, CONNECTION, this.#world.device, (why) => {
      this.#ended = why ?? '';
    });
    return host;
  }

  #pump(): void {
    const host = this.#host!;
    try {
      host.pump(() => this.#rest(host));
    } catch (error) {
      this.broken ??= `throws: ${String(error)}`;
    }
    if (host.isClosed) this.#host = undefined;
  }

  /** The session reads a piece: what it must come to is worked out before it does anything. */
  #received({ bytes, fds }: Piece): void {
    if (this.#mustEnd) return;
    const joined = joinBytes([this.#input, bytes]);
    if (fds.length > 0) this.#inputFds.push({ at: joined.length - 1, fds });
    let at = 0;
    while (joined.length - at >= HEADER && !this.#mustEnd) {
      const view = new DataView(joined.buffer, at);
      const size = view.getUint32(4, true);
      const flags = view.getUint32(8, true);
      if (size < HEADER || size > LARGEST) this.#mustEnd = `message of ${size} bytes`;
      else if ((flags & 15) > REPLY) this.#mustEnd = `message of type ${flags & 15}`;
      if (this.#mustEnd || joined.length - at < size) break;
      const own = this.#inputFds.filter((held) => held.at < at + size);
      this.#inputFds = this.#inputFds.filter((held) => held.at >= at + size);
      const payload = joined.slice(at + HEADER, at + size);
      const message = { id: view.getUint16(0, true), command: view.getUint16(2, true), flags, payload };
      this.#message({ ...message, fds: own.flatMap((held) => held.fds) });
      at += size;
    }
    this.#input = joined.slice(at);
    for (const held of this.#inputFds) held.at -= at;
    if (this.#inputFds.reduce((sum, { fds }) => sum + fds.length, 0) > MOST_FDS)
      this.#mustEnd ??= 'burst of descriptors';
  }

  #message(m: { id: number; command: number; flags: number; payload: Uint8Array; fds: readonly VfioFd[] }): void {
    const { id, command, flags, payload } = m;
    const wantsReply = (flags & NO_REPLY) === 0;
    const { dma } = this.#world;
    const isLoose = this.#isWorking;
    const due = (expected: Due['expected']) => {
      if (wantsReply) this.#due.push({ id, command, expected, what: tellMessage(command, payload), isLoose });
    };
    if ((flags & 15) === REPLY) {
      if (!dma?.reply(id, command, flags, payload)) this.#mustEnd = 'reply to nothing';
      return;
    }
    if (command === 8) this.#setIrqs = true;
    if (isLoose && !LOOKS.includes(command)) this.#isAdrift = this.#irqsAdrift = true;
    if (!this.#naive.greeted && command !== 1) {
      due('any error');
      this.#mustEnd = 'command before VERSION';
    } else if (!this.#naive.greeted) {
      const version = judgeVersion(payload);
      this.#version = version;
      if (version.verdict === 'refuse') {
        due('any error');
        this.#mustEnd = 'VERSION that cannot be';
      } else {
        if (version.verdict === 'either') this.#mayEnd = true;
        due('version');
        this.#naive.greeted = true;
        if (dma) dma.maxBytes = version.limits['max_data_xfer_size'];
        if (dma?.maxBytes === 0) this.#isAdrift = this.#irqsAdrift = true; // nothing can be transferred
        this.#naive.writeMultiple = version.writeMultiple;
      }
    } else due(this.#naive.execute(m));
  }

  /** The session has finished a turn. */
  #rest(host: FakeHost): void {
    if (this.broken) return;
    const { dma } = this.#world;
    if (dma) {
      this.#before = dma.maps;
      dma.maps = this.#naive.maps.map((m) => ({ ...m, isFile: m.fd !== undefined }));
    }
    const writing = dma?.inFlight.filter((c) => c.command === 12) ?? [];
    this.#compareReplies(host);
    if (host.signals.length > 0 && !this.#setIrqs && writing.some((c) => dma!.inFlight.includes(c)))
      this.broken ??= 'interrupt: an eventfd is signalled before the write that it tells of has been answered';
    this.#setIrqs = false;
    const ended = this.#ended !== undefined;
    this.broken ??= host.wrong && `descriptors: ${host.wrong}`;
    if (ended !== host.isClosed) this.broken ??= 'close: the session ended without closing its connection';
    if (this.#mustEnd && !ended) this.broken ??= `close: the connection goes on after a ${this.#mustEnd}`;
    if (ended && this.#ended !== '' && !this.#mustEnd && !this.#mayEnd)
      this.broken ??= `close: the connection is ended without cause: ${this.#ended}`;
    if (!ended && !dma) this.#compareSignals(host.signals, this.#naive.irqs.settle());
    if (this.isTelling && host.signals.length > 0) this.heard.push(`${host.signals.length} eventfds signalled`);
    this.#signalled.push(...host.signals);
    host.signals = [];
    if (dma && (ended || (dma.inFlight.length === 0 && host.isIdle))) this.#followWork(ended);
    if (ended) this.#naive.leave();
    if (ended && this.#mayEnd) this.#world.resync();
    const partial = ended ? [] : this.#inputFds.flatMap(({ fds }) => fds.map((fd) => fd.number));
    this.#compareFds(host, partial);
  }

  /** The device has no more to do, or nobody to do it for: its twin catches up. */
  #followWork(ended: boolean): void {
    const { dma, step, resync } = this.#world;
    this.#isWorking = false;
    if (ended || this.#isAdrift) {
      // a command that cannot be finished waits in its queue; what came before it is done
      resync();
      dma!.inFlight = [];
      dma!.forgetWrites();
      this.#naive.wrote = false;
      this.#isAdrift = dma!.maxBytes === 0 && !ended;
      this.#irqsAdrift = !ended && (this.#irqsAdrift || this.#isAdrift);
    } else {
      if (this.#naive.wrote) for (dma!.beginWork(); step!(); ) dma!.beginWork();
      this.#naive.wrote = false;
      const wrong = dma!.compareWrites();
      if (dma!.isLost) this.broken ??= 'dma: the device reads other memory than its twin';
      if (wrong) this.broken ??= `dma: ${wrong}`;
    }
    dma!.forgetReads();
    const expected = this.#naive.irqs.settle();
    const unique = (fds: readonly number[]) => [...new Set(fds)];
    if (!ended && !this.#irqsAdrift) this.#compareSignals(unique(this.#signalled), unique(expected));
    this.#signalled = [];
  }

  #compareSignals(signals: readonly number[], expected: readonly number[]): void {
    const count = (list: readonly number[], fd: number) => list.filter((n) => n === fd).length;
    for (const fd of new Set([...expected, ...signals])) {
      const [got, want] = [count(signals, fd), count(expected, fd)];
      if (got !== want) this.broken ??= `interrupt: an eventfd is signalled ${got} times, should be ${want} times`;
    }
  }

  #compareFds(host: FakeHost, partial: readonly number[]): void {
    const kept = this.#naive.keptFds;
    for (const fd of partial) kept.add(fd);
    for (const [fd, { kind }] of host.open)
      if (!kept.has(fd))
        this.broken ??= `descriptors: one that is ${kind === 'eventfd' ? 'an eventfd' : `a ${kind}`} is left open`;
    for (const fd of kept) if (!host.open.has(fd)) this.broken ??= 'descriptors: one that is in use was closed';
  }

  #compareReplies(host: FakeHost): void {
    const sent = joinBytes([this.#output, ...host.sent]);
    host.sent = [];
    let at = 0;
    while (sent.length - at >= HEADER && !this.broken) {
      const view = new DataView(sent.buffer, at);
      const size = view.getUint32(4, true);
      if (size < HEADER || size > LARGEST) {
        this.broken = `reply: a message of ${size} bytes`;
        return;
      }
      if (sent.length - at < size) break;
      this.#reply(view, sent.slice(at + HEADER, at + size));
      at += size;
    }
    this.#output = sent.slice(at);
    if (this.broken) return;
    if (this.#output.length > 0) this.broken = 'reply: half a message';
    if (this.#mayEnd && this.#ended !== undefined) return;
    // a conversation that ends need not say why
    const [left] = this.#due.filter((d) => !(this.#mustEnd && d.expected === 'any error'));
    if (left) this.broken = `silence: no reply to ${left.what}`;
  }

  #reply(view: DataView, payload: Uint8Array): void {
    const [id, command] = [view.getUint16(0, true), view.getUint16(2, true)];
    const [flags, errno] = [view.getUint32(8, true), view.getUint32(12, true)];
    if ((flags & 15) !== REPLY) {
      this.#serverCommand(id, command, flags, payload);
      return;
    }
    const due = this.#due.shift();
    this.last = (command << 8) | (errno & 0xff);
    if (this.isTelling)
      this.heard.push(flags & ERROR ? `errno ${errno}` : `reply of ${payload.length} bytes${shown(payload)}`);
    if (!due) this.broken = `reply: one with id ${id} to command ${command} that wants none`;
    else if (id !== due.id || command !== due.command)
      this.broken = `reply: to command ${command} with id ${id} where ${due.what} with id ${due.id} is next`;
    else if (flags !== (flags & ERROR ? REPLY | ERROR : REPLY))
      this.broken = `reply: flags 0x${flags.toString(16)} of the one to ${due.what}`;
    else if (flags & ERROR) {
      if (payload.length > 0) this.broken = `reply: an error to ${due.what} with ${payload.length} bytes`;
      this.#compareErrno(due, errno);
    } else if (errno !== 0) this.broken = `reply: errno ${errno} without the error bit, to ${due.what}`;
    else this.#comparePayload(due, payload);
  }

  #serverCommand(id: number, command: number, flags: number, payload: Uint8Array): void {
    const { dma } = this.#world;
    const wrong = dma ? dma.command(id, command, payload, this.#before) : `a command ${command} of the server`;
    if (wrong) this.broken = `dma: ${wrong}`;
    else this.#isWorking = true;
    if (flags !== 0) this.broken ??= `dma: a command with flags 0x${flags.toString(16)}`;
    if (this.isTelling && !wrong) {
      const { address, count } = dma!.inFlight.at(-1)!;
      this.heard.push(`DMA_${command === 11 ? 'READ' : 'WRITE'} of ${count} bytes at 0x${address.toString(16)}`);
    }
  }

  #compareErrno({ expected, what }: Due, errno: number): void {
    if (expected === 'any error') return;
    if (expected === 'version') {
      if (!this.#mayEnd) this.broken ??= `errno: ${what} gets ${errno}, should be accepted`;
    } else if (!expected.errno?.includes(errno))
      this.broken ??= `errno: ${what} gets ${errno}, should ${expected.errno && !('payloads' in expected) ? `be ${expected.errno.join(' or ')}` : 'succeed'}`;
  }

  #comparePayload({ expected, what, isLoose }: Due, payload: Uint8Array): void {
    if (expected === 'version') this.broken ??= this.#compareVersion(payload);
    else if (expected === 'any error' || !('payloads' in expected))
      this.broken ??= `errno: ${what} succeeds, should get ${expected === 'any error' ? 'an error' : expected.errno.join(' or ')}`;
    else if (isLoose && expected.payloads.some((want) => want.length === payload.length)) return;
    else if (!expected.payloads.some((want) => Buffer.compare(want, payload) === 0)) {
      const [want] = expected.payloads;
      this.broken ??=
        want.length === payload.length
          ? `value: ${what} gives${shown(payload)}, should be${shown(want)}`
          : `reply: ${what} gives ${payload.length} bytes, should be ${want.length}`;
    }
  }

  /** The same major number, capabilities no wider than the client's, text that ends in NUL. */
  #compareVersion(payload: Uint8Array): string | undefined {
    const { limits, writeMultiple } = this.#version!;
    if (payload.length < 5 || payload.some((b, i) => i < 4 && b !== 0))
      return 'version: the reply is not of version 0.0';
    if (payload[payload.length - 1] !== 0) return 'version: the text of the reply does not end in NUL';
    try {
      const { capabilities } = JSON.parse(new TextDecoder().decode(payload.slice(4, -1)));
      for (const [name, most] of Object.entries(limits))
        if (typeof capabilities[name] !== 'number' || capabilities[name] > most)
          return `version: ${name} is ${capabilities[name]}, should be at most ${most}`;
      if (capabilities.write_multiple === true && !writeMultiple) return 'version: write_multiple was not asked for';
    } catch {
      return 'version: the text of the reply is no JSON with capabilities';
    }
    return undefined;
  }
}

/** The end of a payload, which is where values are. */
function shown(payload: Uint8Array): string {
  if (payload.length === 0) return '';
  const tail = payload.length > 40 ? payload.slice(16, 40) : payload.length > 16 ? payload.slice(16) : payload;
  return ` ${payload.length > 16 ? '…' : ''}${Buffer.from(tail).toString('hex')}${payload.length > 40 ? '…' : ''}`;
}
