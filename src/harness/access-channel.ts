import type { Arena } from '../core/index.ts';
import type { Effect } from '../pci/index.ts';
import { type AccessTarget, answerTo, dmaRecord, effectRecord, executeRecord, transcribe } from './access-execute.ts';
import {
  type AccessRecord,
  ANSWER,
  DataTooLong,
  KIND,
  paddedBytes,
  RECORD_BYTES,
  RecordReader,
  RecordWriter,
  STATUS,
} from './access-record.ts';
import { DmaJournal, type JournalEntry } from './dma-journal.ts';
import type { HostedFunction } from './hosted-function.ts';

/** Bytes of requests that a client may have sent ahead while it owes the answer to a DMA read. */
export const MAX_BACKLOG_BYTES = 1 << 20;
/** Answers are handed over together up to this much. */
const FLUSH_BYTES = 1 << 16;

type ReadEntry = Extract<JournalEntry, { kind: 'read' }>;

/** An access that waits for host memory. */
interface Pending {
  request: AccessRecord;
  hosted: HostedFunction;
  journal: DmaJournal;
  /** Effects told already, by runs that stalled behind them. */
  effectsTold: number;
}

export interface ChannelOptions {
  /** Takes what is for the client, whole records. */
  send(bytes: Uint8Array): void;
  /** Why the conversation is over; nothing is carried out after that. */
  fail(reason: string): void;
  /** False while the client does not take what it is sent: requests wait. */
  ready?(): boolean;
}

/**
 * One client's conversation in access records, whatever carries the bytes: requests are carried out in order, the effects
 * of each go out before its answer. A request that needs bytes of the client's memory waits for them, and only it and the
 * requests behind it.
 */
export class AccessChannel {
  readonly #target: AccessTarget;
  readonly #options: ChannelOptions;
  readonly #reader = new RecordReader();
  readonly #out = new RecordWriter();
  readonly #queue: AccessRecord[] = [];
  #queuedBytes = 0;
  /** DMA reads sent and not answered, oldest first. */
  readonly #owed: ReadEntry[] = [];
  #pending: Pending | undefined;
  /** Memory for states to return to, by function. */
  readonly #before = new Map<Arena, Int32Array>();
  #finished = false;
  #closed = false;

  constructor(target: AccessTarget, options: ChannelOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** True if requests wait to be carried out. */
  get isBusy(): boolean {
    return this.#queue.length > 0 || this.#pending !== undefined;
  }

  /** Takes the next bytes of the client, cut anywhere: each record takes effect before the next is looked at. */
  receive(chunk: Uint8Array): void {
    if (this.#closed) return;
    this.#reader.push(chunk);
    let problem: string | undefined;
    try {
      for (let record = this.#reader.next(); record; record = this.#reader.next()) {
        problem = this.#accept(record);
        if (problem) break;
        this.#carryOut(false);
      }
    } catch (error) {
      if (!(error instanceof DataTooLong)) throw error;
      // it is answered in its turn, and nothing can follow, not even the answer to a DMA read
      this.#abandon();
      problem = error.message;
      this.#carryOut(true);
      this.#out.write(answerTo(error.record, STATUS.tooLong));
    }
    if (problem) {
      this.#carryOut(true); // the requests before it are good, unless they wait for memory
      this.#flush();
      this.#closed = true;
      this.#options.fail(problem);
    } else this.#flush();
  }

  /** Carries out what waits, as far as the client's readiness and memory allow. */
  resume(): void {
    if (this.#closed) return;
    this.#carryOut(false);
    this.#flush();
  }

  /**
   * The client sends no more: what waits is carried out, without its memory where that did not answer.
   * @returns bytes of a record that did not arrive in full
   */
  finish(): number {
    this.#abandon();
    this.resume();
    return this.#reader.pendingBytes;
  }

  /** No DMA read will be answered any more. */
  #abandon(): void {
    this.#finished = true;
    this.#owed.length = 0;
    this.#pending?.journal.abandon();
  }

  /** The client is gone: what it began is finished without its memory, what waits is forgotten. */
  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    const pending = this.#pending;
    if (!pending) return;
    pending.journal.abandon();
    this.#run(pending);
    this.#pending = undefined;
  }

  /** @returns what is wrong if the conversation cannot go on */
  #accept(record: AccessRecord): string | undefined {
    if (record.kind === (KIND.dmaRead | ANSWER)) {
      if (this.#owed.length === 0) this.#carryOut(true); // what it answers may wait for the client to read
      const entry = this.#owed.shift();
      if (!entry) return 'a DMA read answer that nobody asked for';
      const data = record.status === STATUS.ok ? record.data! : new Uint8Array(0);
      if (record.status === STATUS.ok && data.length !== entry.length)
        return `a DMA read of ${entry.length} bytes was answered with ${data.length}`;
      entry.answer = data;
      return undefined;
    }
    this.#queue.push(record);
    this.#queuedBytes += sizeOf(record);
    if (this.#pending && this.#queuedBytes > MAX_BACKLOG_BYTES)
      return `more than ${MAX_BACKLOG_BYTES} bytes of requests sent while a DMA read waits for its answer`;
    return undefined;
  }

  #carryOut(regardless: boolean): void {
    const ready = () => regardless || (this.#options.ready?.() ?? true);
    let next = 0;
    while (ready()) {
      if (this.#out.length > FLUSH_BYTES) this.#flush();
      if (this.#pending) {
        if (this.#owed.length > 0 || !this.#run(this.#pending)) break;
        this.#pending = undefined;
        continue;
      }
      const request = this.#queue[next];
      if (!request) break;
      next++;
      this.#queuedBytes -= sizeOf(request);
      this.#begin(request);
    }
    this.#queue.splice(0, next);
  }

  #begin(request: AccessRecord): void {
    const hosted = this.#target.functions.get(request.function);
    if (hosted?.port && hosted.port.memory === undefined && request.kind <= KIND.raise) {
      const pending = { request, hosted, journal: new DmaJournal(hosted.fn.effects), effectsTold: 0 };
      if (this.#finished) pending.journal.abandon();
      if (!this.#run(pending)) this.#pending = pending;
      return;
    }
    const answer = executeRecord(this.#target, request);
    const effects = hosted ? hosted.fn.effects.splice(0) : [];
    this.#target.observe?.(transcribe(request, [], effects, answer));
    for (const effect of effects) this.#out.write(effectRecord(effect));
    this.#out.write(answer);
  }

  /** Runs an access that may need the client's memory. @returns false if it has to wait for that */
  #run(pending: Pending): boolean {
    const { request, hosted, journal } = pending;
    const { fn, arena, port } = hosted;
    const before = arena.snapshot(this.#before.get(arena));
    this.#before.set(arena, before);
    journal.begin();
    port!.journal = journal;
    const answer = executeRecord(this.#target, request);
    port!.journal = undefined;
    const effects = fn.effects.splice(0);
    for (const entry of journal.takeNew()) {
      if (entry.kind === 'medium') continue;
      this.#tellEffects(pending, effects, entry.effects);
      if (entry.kind === 'read') this.#owed.push(entry);
      this.#out.write(dmaRecord(fn.bdf, entry.address, entry.kind === 'read' ? entry.length : entry.bytes));
    }
    if (journal.stalled) {
      arena.restore(before);
      return false;
    }
    this.#tellEffects(pending, effects, effects.length);
    this.#out.write(answer);
    this.#target.observe?.(transcribe(request, journal.entries, effects, answer));
    return true;
  }

  #tellEffects(pending: Pending, effects: readonly Effect[], end: number): void {
    for (; pending.effectsTold < end; pending.effectsTold++)
      this.#out.write(effectRecord(effects[pending.effectsTold]));
  }

  #flush(): void {
    if (this.#out.length > 0) this.#options.send(this.#out.take());
  }
}

function sizeOf(record: AccessRecord): number {
  return RECORD_BYTES + (record.data ? paddedBytes(record.data.length) : 0);
}
