import type { Namespace } from '../pci/devices/nvme/index.ts';
import type { DmaMemory } from '../pci/index.ts';
import { MAX_DATA_BYTES } from './access-record.ts';

/** One thing an access did outside its function, and the number of effects the function had made before it. */
export type JournalEntry = { effects: number } & (
  | { kind: 'read'; address: number; length: number; answer?: Uint8Array }
  | { kind: 'write'; address: number; bytes: Uint8Array }
  | { kind: 'medium'; call: string; result: boolean; bytes?: Uint8Array }
);

const NOTHING = new Uint8Array(0);

/**
 * Lets an access that needs host memory be carried out although the memory answers only later, with models that know no
 * waiting.
 *
 * The access runs until it reads bytes that are not known yet. From there on it is told that transfers fail, and what it
 * makes of that is undone: whoever runs it restores the function's state. Once the answer is here the access runs again
 * from the start; what it did before is answered from the journal and not done again. Between two runs others may use the
 * function, for it is as if the access had not begun; where a run takes another course than the journal, the journal's
 * rest is forgotten.
 */
export class DmaJournal implements DmaMemory {
  readonly #entries: JournalEntry[] = [];
  readonly #effects: readonly unknown[];
  #at = 0;
  #told = 0;
  #abandoned = false;
  /** True if the run met a read whose answer is not known. */
  stalled = false;

  readonly #memory: DmaMemory | undefined;

  /** @param effects the function's list of effects @param memory answers at once, if given */
  constructor(effects: readonly unknown[], memory?: DmaMemory) {
    this.#effects = effects;
    this.#memory = memory;
  }

  get entries(): readonly JournalEntry[] {
    return this.#entries;
  }

  /** Call before each run. */
  begin(): void {
    this.#at = 0;
    this.stalled = false;
  }

  /** Nobody will answer: reads fail from now on. */
  abandon(): void {
    this.#abandoned = true;
  }

  /** Entries made since the last call, for whoever passes them on. */
  takeNew(): JournalEntry[] {
    const fresh = this.#entries.slice(this.#told);
    this.#told = this.#entries.length;
    return fresh;
  }

  readBytes(address: number, length: number): Uint8Array {
    if (this.stalled) return NOTHING;
    if (length <= MAX_DATA_BYTES) return this.#readPiece(address, length) ?? NOTHING;
    const whole = new Uint8Array(length);
    let failed = false;
    for (let done = 0; done < length; done += MAX_DATA_BYTES) {
      const wanted = Math.min(MAX_DATA_BYTES, length - done);
      const piece = this.#readPiece(address + done, wanted);
      if (piece?.length === wanted) whole.set(piece, done);
      else failed = true;
    }
    return failed ? NOTHING : whole;
  }

  /** At most what one record carries; undefined, and the run is stalled, if the bytes are not known yet. */
  #readPiece(address: number, length: number): Uint8Array | undefined {
    let entry = this.#matching((e) => e.kind === 'read' && e.address === address && e.length === length);
    if (!entry) {
      const answer = this.#abandoned ? NOTHING : this.#memory?.readBytes(address, length);
      this.#append(
        (entry = { kind: 'read', address, length, effects: this.#effects.length, ...(answer && { answer }) }),
      );
    }
    if (entry.kind === 'read' && entry.answer) return entry.answer;
    this.stalled = !this.#abandoned;
    return undefined;
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    if (this.stalled) return;
    for (let done = 0; done < bytes.length; done += MAX_DATA_BYTES)
      this.#writePiece(address + done, bytes.subarray(done, done + MAX_DATA_BYTES));
  }

  #writePiece(address: number, bytes: Uint8Array): void {
    if (this.#matching((e) => e.kind === 'write' && e.address === address && e.bytes.length === bytes.length)) return;
    this.#memory?.writeBytes(address, bytes);
    this.#append({ kind: 'write', address, bytes: bytes.slice(), effects: this.#effects.length });
  }

  /** Carries out a call to storage once; `into` is what it fills. */
  medium(call: string, act: () => boolean, into?: Uint8Array): boolean {
    if (this.stalled) return false;
    const known = this.#matching((e) => e.kind === 'medium' && e.call === call);
    if (known?.kind === 'medium') {
      if (known.bytes) into?.set(known.bytes);
      return known.result;
    }
    const result = act();
    const effects = this.#effects.length;
    this.#append({ kind: 'medium', call, result, effects, ...(into && { bytes: into.slice() }) });
    return result;
  }

  /** The journal's next entry if it is what is being done now. */
  #matching(same: (entry: JournalEntry) => boolean): JournalEntry | undefined {
    const entry = this.#entries[this.#at];
    if (!entry) return undefined;
    if (same(entry)) {
      this.#at++;
      return entry;
    }
    this.#entries.length = this.#at;
    this.#told = Math.min(this.#told, this.#at);
    return undefined;
  }

  #append(entry: JournalEntry): void {
    this.#entries.push(entry);
    this.#at++;
  }
}

/** A function's way to host memory: whoever makes an access says who answers while it lasts. */
export class DmaPort implements DmaMemory {
  memory: DmaMemory | undefined;
  /** Set while an access runs that may have to run again. */
  journal: DmaJournal | undefined;

  readBytes(address: number, length: number): Uint8Array {
    return (this.journal ?? this.memory)?.readBytes(address, length) ?? NOTHING;
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    (this.journal ?? this.memory)?.writeBytes(address, bytes);
  }
}

/** A namespace whose calls are made once however often their access runs. */
export class JournalledNamespace implements Namespace {
  readonly blockSizeLog2: number;
  readonly blockCount: number;
  readonly #inner: Namespace;
  readonly #port: DmaPort;

  constructor(inner: Namespace, port: DmaPort) {
    this.#inner = inner;
    this.#port = port;
    this.blockSizeLog2 = inner.blockSizeLog2;
    this.blockCount = inner.blockCount;
  }

  read(offset: number, into: Uint8Array): boolean {
    return this.#once(`read ${offset} ${into.length}`, () => this.#inner.read(offset, into), into);
  }

  write(offset: number, bytes: Uint8Array): boolean {
    return this.#once(`write ${offset} ${bytes.length}`, () => this.#inner.write(offset, bytes));
  }

  writeZeroes(offset: number, length: number): boolean {
    return this.#once(`zero ${offset} ${length}`, () => this.#inner.writeZeroes(offset, length));
  }

  deallocate(offset: number, length: number): boolean {
    return this.#once(
      `deallocate ${offset} ${length}`,
      () => this.#inner.deallocate?.(offset, length) ?? true, // without it, deallocation has no effect
    );
  }

  flush(): boolean {
    return this.#once('flush', () => this.#inner.flush());
  }

  #once(call: string, act: () => boolean, into?: Uint8Array): boolean {
    const { journal } = this.#port;
    return journal ? journal.medium(call, act, into) : act();
  }
}
