import type { SessionHost } from '../../harness/vfio-user/session-host.ts';
import type { VfioFd } from '../oracle/naive-vfio.ts';

const EAGAIN = 11;
const EBADF = 9;
const READABLE = 1;
const WRITABLE = 2;
/** The connection's own descriptor. */
export const CONNECTION = 3;
const FIRST_FD = 100;
/** Callbacks until a session has come to rest; more means that it never does. */
const MOST_TURNS = 100_000;

/** Bytes that one call to sendmsg carried, and the descriptors with them. */
export interface Piece {
  bytes: Uint8Array;
  fds: readonly VfioFd[];
}

/** A system for one session: a connection and descriptors that are only numbers. Turns are taken by {@link pump}. */
export class FakeHost implements SessionHost {
  /** What the session has sent since it was last taken. */
  sent: Uint8Array[] = [];
  signals: number[] = [];
  readonly open = new Map<number, VfioFd>();
  isClosed = false;
  /** A rule of the system that was broken. */
  wrong: string | undefined;
  /** Is told what the session reads, as it reads it. */
  onReceive: (piece: Piece) => void = () => {};
  #nextFd = FIRST_FD;
  #input: Piece[] = [];
  #isOver = false;
  #later: (() => void)[] = [];
  #callback: (events: number) => void = () => {};
  #events = 0;

  /** Makes a descriptor that travels with the next message. */
  makeFd(kind: VfioFd['kind'], size: bigint): VfioFd {
    return { number: this.#nextFd++, kind, size };
  }

  push(piece: Piece): void {
    this.#input.push(piece);
  }

  /** The client is gone once all it sent has been read. */
  end(): void {
    this.#isOver = true;
  }

  /** True if it waits for nothing but its client. */
  get isIdle(): boolean {
    return this.#later.length === 0;
  }

  /** Lets the session run until it waits for its client; `rest` is called after each of its turns. */
  pump(rest: () => void): void {
    for (let turns = 0; turns < MOST_TURNS; turns++) {
      const next = this.#later.shift();
      if (next) next();
      else if (!this.isClosed && this.#events & READABLE && (this.#input.length > 0 || this.#isOver))
        this.#callback(READABLE);
      else if (!this.isClosed && this.#events & WRITABLE) this.#callback(WRITABLE);
      else return;
      rest();
    }
    this.wrong ??= `the session did not come to rest in ${MOST_TURNS} turns`;
  }

  receive(_fd: number, buffer: Uint8Array, at: number, fds: Int32Array): number {
    fds[0] = fds[1] = 0;
    const piece = this.#input[0];
    if (!piece) return this.#isOver ? 0 : -EAGAIN;
    const bytes = piece.bytes.subarray(0, buffer.length - at);
    if (bytes.length === 0) this.wrong ??= 'a read without room';
    buffer.set(bytes, at);
    piece.fds.forEach((fd, i) => {
      this.open.set(fd.number, fd);
      fds[2 + i] = fd.number;
    });
    fds[0] = piece.fds.length;
    this.onReceive({ bytes, fds: piece.fds });
    if (bytes.length === piece.bytes.length) this.#input.shift();
    else this.#input[0] = { bytes: piece.bytes.subarray(bytes.length), fds: [] };
    return bytes.length;
  }

  send(_fd: number, buffer: Uint8Array, from: number, to: number): number {
    this.sent.push(buffer.slice(from, to));
    return to - from;
  }

  signal(fd: number): number {
    if (this.open.get(fd)?.kind !== 'eventfd') {
      this.wrong ??= `descriptor ${fd} is signalled and is no eventfd`;
      return -EBADF;
    }
    this.signals.push(fd);
    return 8;
  }

  watch(_fd: number, callback: (events: number) => void): number {
    this.#callback = callback;
    return 1;
  }

  setEvents(_id: number, events: number): number {
    this.#events = Math.max(events, 0);
    return 0;
  }

  close(fd: number): void {
    if (fd === CONNECTION) this.isClosed = true;
    else if (!this.open.delete(fd)) this.wrong ??= `descriptor ${fd} is closed and is not open`;
  }

  isEventfd(fd: number): boolean {
    return this.#known(fd)?.kind === 'eventfd';
  }

  fileSize(fd: number): bigint | undefined {
    const known = this.#known(fd);
    return known?.kind === 'file' ? known.size : undefined;
  }

  /** Files are all zeros; a transfer beyond their end falls short. */
  readFile(fd: number, into: Uint8Array, from: number, position: number): number {
    const size = Number(this.#known(fd)?.size ?? 0n);
    const count = Math.max(0, Math.min(into.length - from, size - position));
    into.fill(0, from, from + count);
    return count;
  }

  writeFile(fd: number, bytes: Uint8Array, from: number, position: number): number {
    const size = Number(this.#known(fd)?.size ?? 0n);
    if (position + bytes.length - from > size) this.wrong ??= `a write beyond the end of file ${fd}`;
    return bytes.length - from;
  }

  later(callback: () => void): void {
    this.#later.push(callback);
  }

  #known(fd: number): VfioFd | undefined {
    const known = this.open.get(fd);
    if (!known) this.wrong ??= `descriptor ${fd} is used and is not open`;
    return known;
  }
}
