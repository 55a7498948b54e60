/** Bits of {@link FdSockets.setEvents} and of what a watch calls back with. */
export const READABLE = 1;
export const WRITABLE = 2;

/** SCM_MAX_FD of Linux: no message carries more descriptors. */
export const MOST_FDS = 253;
/** Words that {@link FdSockets.receive} needs for descriptors. */
export const FD_WORDS = 2 + MOST_FDS;

/**
 * UNIX sockets that carry file descriptors, and the wait for them: what Node cannot do itself. Nothing blocks. Calls that
 * can fail answer −errno. Descriptors are closed with `fs.closeSync`.
 */
export interface FdSockets {
  /** Which of the two ways this is. */
  readonly kind: 'add-on' | 'koffi';
  /** A listening socket in a new file that only its owner may use. `path` has at most 107 bytes. */
  listen(path: string): number;
  connect(path: string): number;
  accept(fd: number): number;
  /**
   * Reads into `buffer` from `at` on. @returns bytes, 0 at the end of the stream. `fds[0]` is the number of descriptors
   * that came with them and stand from `fds[2]` on; `fds[1]` is 1 if some could not be taken.
   */
  receive(fd: number, buffer: Uint8Array, at: number, fds: Int32Array): number;
  /** Sends `buffer` from `from` up to `to`, with descriptors. @returns bytes taken, if not −EAGAIN */
  send(fd: number, buffer: Uint8Array, from: number, to: number, fds: Int32Array): number;
  /** A new eventfd of count 0. */
  eventfd(): number;
  /** Adds 1 to an eventfd; −EAGAIN if its count is full. */
  signal(fd: number): number;
  /** Prepares to wait for a socket; `callback` is told what is ready. @returns an id for {@link setEvents} */
  watch(fd: number, callback: (events: number) => void): number;
  /** What to wait for: an OR of READABLE and WRITABLE, or −1 to end the watch, before its descriptor is closed. */
  setEvents(id: number, events: number): number;
}
