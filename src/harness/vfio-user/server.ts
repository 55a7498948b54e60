import { closeSync, lstatSync, type Stats, unlinkSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { UsageError } from '../../core/index.ts';
import type { VfioDevice } from './device.ts';
import { type FdSockets, READABLE } from './fd-sockets.ts';
import { loadFdSockets } from './load-fd-sockets.ts';
import { Session } from './session.ts';
import { systemHost } from './session-host.ts';

/** `sun_path` of Linux has 108 bytes with the final 0. */
const MAX_PATH_BYTES = 107;
const ECONNREFUSED = 111;
/** Rest after a client could not be taken. */
const ACCEPT_PAUSE_MS = 100;

export interface VfioUserOptions {
  /** Where the socket goes; a socket that a dead server left there is replaced, anything else is not. */
  path: string;
  device: VfioDevice;
  /** Gets one line when a connection ends for a reason. */
  log?: (line: string) => void;
  /** How descriptors get over the socket; default what {@link loadFdSockets} finds. */
  sockets?: FdSockets;
}

/**
 * Serves one device over vfio-user at a UNIX socket that only its owner may use.
 *
 * One client at a time: the next waits in the socket's backlog until the present one is gone. The device keeps its state
 * from one to the next; only DEVICE_RESET resets it.
 * @throws UsageError if the path cannot be used, or nothing here can pass descriptors over sockets
 */
export function serveVfioUser(options: VfioUserOptions): VfioUserServer {
  return new VfioUserServer(options);
}

export class VfioUserServer {
  readonly path: string;
  /** Which way descriptors go: `add-on` or `koffi`. */
  readonly transport: FdSockets['kind'];
  readonly #sockets: FdSockets;
  readonly #device: VfioDevice;
  readonly #log: (line: string) => void;
  readonly #fd: number;
  readonly #watch: number;
  readonly #inode: bigint;
  #session: Session | undefined;
  #clients = 0;
  #open = true;

  constructor({ path, device, log, sockets }: VfioUserOptions) {
    const found = sockets ?? loadFdSockets();
    if ('unavailable' in found) throw new UsageError(`vfio-user cannot be served here: ${found.unavailable}`);
    const length = Buffer.byteLength(path);
    if (length === 0 || length > MAX_PATH_BYTES)
      throw new UsageError(`socket path of ${length} bytes; the system takes 1 to ${MAX_PATH_BYTES}`);
    this.path = path;
    this.transport = found.kind;
    this.#sockets = found;
    this.#device = device;
    this.#log = log ?? ((line) => void process.stderr.write(`pirqlab: ${line}\n`));
    removeStale(path, found);
    this.#fd = found.listen(path);
    if (this.#fd < 0) throw new UsageError(`cannot listen at ${path}: ${getSystemErrorName(this.#fd)}`);
    this.#inode = lstatSync(path, { bigint: true }).ino;
    this.#watch = found.watch(this.#fd, () => this.#accept());
    found.setEvents(this.#watch, READABLE);
  }

  /** Ends the present connection and removes the socket. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#session?.close();
    this.#sockets.setEvents(this.#watch, -1);
    closeSync(this.#fd);
    try {
      if (lstatSync(this.path, { bigint: true }).ino === this.#inode) unlinkSync(this.path);
    } catch {
      // somebody else removed it
    }
  }

  #accept(): void {
    if (this.#session) return;
    const fd = this.#sockets.accept(this.#fd);
    if (fd < 0) {
      this.#pause();
      return;
    }
    const name = `client ${++this.#clients}`;
    this.#sockets.setEvents(this.#watch, 0);
    this.#session = new Session(systemHost(this.#sockets), fd, this.#device, (why) => {
      if (why !== undefined) this.#log(`${this.path}: ${name}: ${why}; connection closed`);
      this.#session = undefined;
      if (this.#open) this.#sockets.setEvents(this.#watch, READABLE);
    });
  }

  /** The client is gone again, or no descriptor is free, which shows anew as long as somebody waits. */
  #pause(): void {
    this.#sockets.setEvents(this.#watch, 0);
    setTimeout(() => {
      if (this.#open && !this.#session) this.#sockets.setEvents(this.#watch, READABLE);
    }, ACCEPT_PAUSE_MS).unref();
  }
}

function removeStale(path: string, sockets: FdSockets): void {
  let stat: Stats;
  try {
    stat = lstatSync(path);
  } catch {
    return;
  }
  if (!stat.isSocket()) throw new UsageError(`${path} exists and is no socket`);
  if (process.getuid && stat.uid !== process.getuid()) throw new UsageError(`${path} is another user's socket`);
  const fd = sockets.connect(path);
  if (fd >= 0) closeSync(fd);
  if (fd !== -ECONNREFUSED) throw new UsageError(`somebody listens at ${path} already`);
  unlinkSync(path);
}
