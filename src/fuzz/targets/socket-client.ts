import { AccessChannel } from '../../harness/access-channel.ts';
import type { SparseMemory } from '../../harness/sparse-memory.ts';
import { NaiveConversation } from '../oracle/naive-conversation.ts';
import { encodeNaive, parseNaive, tellRecord } from '../oracle/naive-records.ts';
import { ANSWER } from './socket-steps.ts';
import type { SocketWorld } from './socket-world.ts';
import { joinBytes } from './step-bytes.ts';

/** Most pieces that one chunk is cut into. */
const MOST_PIECES = 64;

/**
 * One client of the server under test, with the oracle listening to both sides. A connection that has ended is made anew
 * when the client sends next.
 */
export class SocketClient {
  readonly #world: SocketWorld;
  readonly #index: number;
  readonly #memory: SparseMemory;
  #channel!: AccessChannel;
  #naive!: NaiveConversation;
  #ended: string | undefined;
  #isOver = true;
  #isFinished = false;
  #finishTold = false;
  /** Bytes kept back for the next chunk, and those that wait until the client takes answers again. */
  #kept: Uint8Array[] = [];
  #held: Uint8Array[] = [];
  #window = Number.POSITIVE_INFINITY;
  #untaken = 0;
  /** The law that was broken. */
  broken: string | undefined;
  /** What the server sent since it was last asked for, in words. */
  heard: string[] = [];
  isTelling = false;

  constructor(world: SocketWorld, index: number, memory: SparseMemory) {
    this.#world = world;
    this.#index = index;
    this.#memory = memory;
  }

  /** DMA reads that it owes the answer to. */
  get owes(): number {
    return this.#isOver ? 0 : this.#naive.owed.length;
  }

  /** A number for what is notable: how the conversation stands. */
  get state(): number {
    if (this.#isOver) return 1;
    const { owed, waiting, last } = this.#naive;
    return (
      (Math.min(owed.length, 3) << 1) |
      (Math.min(waiting, 3) << 3) |
      (this.#isFinished ? 32 : 0) |
      (this.#isTaking ? 0 : 64) |
      (last << 8)
    );
  }

  /** Sends bytes, cut as a step says. */
  send(bytes: Uint8Array, cut: number): void {
    if (this.#isOver) this.#connect();
    if (this.#isFinished) return;
    this.#kept.push(bytes);
    if (cut === 1) return;
    const whole = joinBytes(this.#kept);
    this.#kept = [];
    const size = cut === 0 ? whole.length : Math.max(cut - 1, Math.ceil(whole.length / MOST_PIECES));
    for (let at = 0; at < whole.length; at += size) this.#held.push(whole.slice(at, at + size));
    this.#deliver();
  }

  /** Answers the oldest DMA read that is owed, rightly or wrongly. */
  answer(how: number, cut: number): void {
    if (this.#isOver) this.#connect();
    const [read] = this.#naive.owed;
    const { address, length } = read ?? { address: 0n, length: 24 };
    const real = this.#memory.readBytes(Number(address), length);
    const failed = how === ANSWER.failed || real.length !== length;
    const data =
      failed || how === ANSWER.none
        ? new Uint8Array(0)
        : how === ANSWER.short
          ? real.subarray(0, length - 1)
          : how === ANSWER.long
            ? joinBytes([real, new Uint8Array(1)])
            : real;
    const status = failed ? 5 : 0;
    const value = BigInt(data.length);
    this.send(
      encodeNaive({ kind: 0x87, region: 0xff, width: 0xff, status, function: 0, offset: address, value, data }),
      cut,
    );
  }

  /** The client shuts its sending side. */
  finish(): void {
    if (this.#isOver || this.#isFinished) return;
    this.#isFinished = true;
    this.#deliver();
  }

  /** The connection is gone. */
  leave(): void {
    if (this.#isOver) return;
    this.#guard(() => this.#channel.close());
    this.#naive.close();
    this.#settled();
    this.#isOver = true;
  }

  /** Takes so many bytes of answers from now on, then no more. */
  setWindow(bytes: number): void {
    this.#window = bytes;
    this.#untaken = 0;
    if (this.#isOver) return;
    this.#guard(() => this.#channel.resume());
    this.#settle();
    this.#deliver();
  }

  takeAll(): void {
    this.setWindow(Number.POSITIVE_INFINITY);
  }

  /** As when made; whatever it was in is forgotten. */
  begin(): void {
    this.#isOver = true;
    this.broken = undefined;
    this.heard = [];
  }

  get #isTaking(): boolean {
    return this.#untaken < this.#window;
  }

  #connect(): void {
    this.#isOver = false;
    this.#isFinished = false;
    this.#finishTold = false;
    this.#ended = undefined;
    this.#kept = [];
    this.#held = [];
    this.#untaken = 0;
    this.#window = Number.POSITIVE_INFINITY;
    const naive = new NaiveConversation(this.#world.naive);
    const channel: AccessChannel = new AccessChannel(this.#world.target, {
      send: (bytes) => this.#hear(bytes),
      fail: (reason) => {
        this.#ended = reason;
        channel.close();
      },
      ready: () => this.#isTaking,
    });
    this.#naive = naive;
    this.#channel = channel;
    this.#world.naive.conversations[this.#index] = naive;
  }

  /** Hands over what is held while the client takes answers: a server stops reading one that does not. */
  #deliver(): void {
    while (this.#held.length > 0 && this.#isTaking && !this.#isOver && !this.broken) {
      const chunk = this.#held.shift()!;
      this.#naive.received(chunk);
      this.#guard(() => this.#channel.receive(chunk));
      this.#settle();
    }
    if (this.#isFinished && !this.#finishTold && this.#held.length === 0 && !this.#isOver && !this.broken) {
      this.#finishTold = true;
      const rest = this.#naive.finish();
      let told = rest;
      this.#guard(() => {
        told = this.#channel.finish();
      });
      if (told !== rest) this.broken ??= `residue: ${told} bytes of a record are left, should be ${rest}`;
      this.#settle();
    }
  }

  #settle(): void {
    this.#naive.settle(this.#ended, this.#isTaking);
    if (this.#ended !== undefined) this.#naive.close();
    this.#settled();
    if (this.broken) return;
    const { waiting } = this.#naive;
    const busy = this.#channel.isBusy;
    if (this.#ended !== undefined) this.#isOver = true;
    else if (busy !== waiting > 0)
      this.broken = `silence: ${waiting} requests wait, the server says it is ${busy ? '' : 'not '}busy`;
    else if (this.#finishTold && !busy) this.leave(); // the server closes
  }

  #settled(): void {
    this.broken ??= this.#naive.broken;
    if (this.#world.naive.transcripts.length > 0) this.broken ??= 'recording: an access that nobody made';
    this.#world.resync();
  }

  #hear(bytes: Uint8Array): void {
    if (this.#isOver || this.#ended !== undefined) this.broken ??= 'close: something is sent after the end';
    this.#untaken += bytes.length;
    for (let next = parseNaive(bytes, 0), at = 0; next && this.isTelling; next = parseNaive(bytes, at)) {
      this.heard.push(tellRecord(next.record));
      at = next.end;
    }
    this.#naive.sent(bytes, (address, data) => this.#memory.writeBytes(Number(address), data));
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.broken ??= `throws: ${String(error)}`;
    }
  }
}
