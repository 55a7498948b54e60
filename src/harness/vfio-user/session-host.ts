import { closeSync, fstatSync, readlinkSync, readSync, writeSync } from 'node:fs';
import type { FdSockets } from './fd-sockets.ts';

/** What a session needs of the system it runs on: its socket, the descriptors that come over it, another turn. */
export interface SessionHost extends Pick<FdSockets, 'receive' | 'send' | 'signal' | 'watch' | 'setEvents'> {
  close(fd: number): void;
  isEventfd(fd: number): boolean;
  /** Size of a regular file in bytes; undefined if it is none. */
  fileSize(fd: number): bigint | undefined;
  /** Reads a file from `position` into `into` from `from` on. @returns bytes. @throws if it cannot be read */
  readFile(fd: number, into: Uint8Array, from: number, position: number): number;
  /** Writes `bytes` from `from` on to a file at `position`. @returns bytes. @throws if it cannot be written */
  writeFile(fd: number, bytes: Uint8Array, from: number, position: number): number;
  /** Calls back in another turn of the event loop. */
  later(callback: () => void): void;
}

/** This process on Linux. */
export function systemHost(sockets: FdSockets): SessionHost {
  return {
    receive: (fd, buffer, at, fds) => sockets.receive(fd, buffer, at, fds),
    send: (fd, buffer, from, to, fds) => sockets.send(fd, buffer, from, to, fds),
    signal: (fd) => sockets.signal(fd),
    watch: (fd, callback) => sockets.watch(fd, callback),
    setEvents: (id, events) => sockets.setEvents(id, events),
    close: (fd) => closeSync(fd),
    isEventfd: (fd) => readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[eventfd]',
    fileSize(fd) {
      const stat = fstatSync(fd, { bigint: true });
      return stat.isFile() ? stat.size : undefined;
    },
    readFile: (fd, into, from, position) => readSync(fd, into, from, into.length - from, position),
    writeFile: (fd, bytes, from, position) => writeSync(fd, bytes, from, bytes.length - from, position),
    later: (callback) => void setImmediate(callback),
  };
}
