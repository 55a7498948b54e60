import { lstatSync, type Stats, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { UsageError } from '../core/index.ts';

/** `sun_path` of Linux has 108 bytes with the final 0. */
const MAX_PATH_BYTES = 107;

/** Takes one line for each problem with a client. */
export type Log = (line: string) => void;

/** Talks to one client over a pair of streams until either ends. `name` is for the log. */
export type Conversation = (input: Readable, output: Writable, name: string) => Promise<void>;

/** A listening UNIX socket, private to the user. */
export class SocketServer {
  readonly path: string;
  readonly #server: Server;
  readonly #clients = new Set<Socket>();

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
  }

  /**
   * Listens at `path` with mode 0600. A socket that a dead server left there is replaced, anything else is not.
   * @throws UsageError if the path cannot be used or somebody listens there
   */
  static async listen(path: string, converse: Conversation): Promise<SocketServer> {
    if (Buffer.byteLength(path) > MAX_PATH_BYTES)
      throw new UsageError(`socket path of ${Buffer.byteLength(path)} bytes; the system takes ${MAX_PATH_BYTES}`);
    await removeStale(path);
    const server = createServer({ allowHalfOpen: true });
    const self = new SocketServer(path, server);
    let count = 0;
    server.on('connection', (socket) => {
      self.#clients.add(socket);
      socket.on('close', () => self.#clients.delete(socket));
      void converse(socket, socket, `client ${++count}`);
    });
    await bindPrivately(server, path);
    return self;
  }

  /** Ends all connections and removes the socket. */
  close(): Promise<void> {
    for (const socket of this.#clients) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** Node binds within the call to `listen`, so nobody else's files get this mask; the socket is private from the start. */
function bindPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new UsageError(`cannot listen at ${path}: ${reasonOf(error)}`)),
    );
    const mask = process.umask(0o177);
    try {
      server.listen(path, () => resolve());
    } finally {
      process.umask(mask);
    }
  });
}

async function removeStale(path: string): Promise<void> {
  let stat: Stats;
  try {
    stat = lstatSync(path);
  } catch {
    return;
  }
  if (!stat.isSocket()) throw new UsageError(`${path} exists and is no socket`);
  if (process.getuid && stat.uid !== process.getuid()) throw new UsageError(`${path} is another user's socket`);
  if (await isAlive(path)) throw new UsageError(`somebody listens at ${path} already`);
  try {
    unlinkSync(path);
  } catch (error) {
    throw new UsageError(`cannot replace ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** A server that is gone refuses; any other answer may come from a living one. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}

/** libuv tells a missing folder as EACCES. */
function reasonOf(error: NodeJS.ErrnoException): string | undefined {
  return error.code === 'EACCES' ? 'no such folder, or no permission' : error.code;
}
