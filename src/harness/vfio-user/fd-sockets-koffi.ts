import { closeSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { type FdSockets, MOST_FDS, READABLE, WRITABLE } from './fd-sockets.ts';
import { Poller } from './poller.ts';

/** The part of koffi that is used. */
interface Koffi {
  load(path: null): { func(prototype: string): LibcCall };
  alloc(type: string, length: number): unknown;
  view(pointer: unknown, length: number): ArrayBuffer;
  address(value: unknown): bigint;
  errno(): number;
}

/** A function of libc; `async` runs it on a thread of Node's pool. */
export type LibcCall = ((...args: unknown[]) => number) & { async(...args: unknown[]): void };

/** Numbers of Linux on all 64-bit machines that Node runs on (asm-generic, as x86-64, arm64 and riscv64 have it). */
const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC_NONBLOCK = 0o2004001;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const EFD_CLOEXEC_NONBLOCK = 0o2004000;
const POLLIN = 1;
const POLLOUT = 4;
const EINTR = 4;
const EAGAIN = 11;
const ENAMETOOLONG = 36;

/** Where things stand in the one block that recvmsg and sendmsg get: struct msghdr, struct iovec, control data. */
const MSGHDR = { iov: 16, iovlen: 24, control: 32, controllen: 40, flags: 48 } as const;
const IOVEC = 64;
const CONTROL = 80;
/** struct cmsghdr: length, level, type; then descriptors. */
const CMSG_BYTES = 16;
const BLOCK = CONTROL + CMSG_BYTES + 4 * MOST_FDS + 4;

/** libc through koffi, or why not. */
export function loadKoffiSockets(): FdSockets | string {
  if (endianness() !== 'LE' || !/64/.test(process.arch)) return `not on ${process.arch}`;
  try {
    return new KoffiSockets(createRequire(import.meta.url)('koffi') as Koffi);
  } catch (error) {
    return (error as Error).message.split('\n')[0];
  }
}

class KoffiSockets implements FdSockets {
  readonly kind = 'koffi';
  readonly #koffi: Koffi;
  readonly #libc: Record<'socket' | 'bind' | 'listen' | 'connect' | 'accept4' | 'recvmsg' | 'sendmsg', LibcCall>;
  readonly #eventfd: LibcCall;
  readonly #poll: LibcCall;
  readonly #umask: LibcCall;
  readonly #block: unknown;
  readonly #view: DataView;
  readonly #at: bigint;
  /** Address of each buffer that was used; they are few and long-lived. */
  readonly #addresses = new WeakMap<Uint8Array, bigint>();
  readonly #pollOne = new Int32Array(2);
  #poller: Poller | undefined;

  constructor(koffi: Koffi) {
    const libc = koffi.load(null);
    this.#koffi = koffi;
    this.#libc = {
      socket: libc.func('int socket(int domain, int type, int protocol)'),
      bind: libc.func('int bind(int fd, const void *address, uint32_t length)'),
      listen: libc.func('int listen(int fd, int backlog)'),
      connect: libc.func('int connect(int fd, const void *address, uint32_t length)'),
      accept4: libc.func('int accept4(int fd, void *address, void *length, int flags)'),
      recvmsg: libc.func('intptr_t recvmsg(int fd, void *message, int flags)'),
      sendmsg: libc.func('intptr_t sendmsg(int fd, const void *message, int flags)'),
    };
    this.#eventfd = libc.func('int eventfd(unsigned int count, int flags)');
    this.#poll = libc.func('int poll(_Inout_ void *fds, unsigned long count, int timeout)');
    this.#umask = libc.func('unsigned int umask(unsigned int mask)');
    this.#block = koffi.alloc('uint8_t', BLOCK);
    this.#view = new DataView(koffi.view(this.#block, BLOCK));
    this.#at = koffi.address(this.#block);
  }

  listen(path: string): number {
    const mask = this.#umask(0o177);
    try {
      return this.#open(path, (fd, address) => {
        const bound = this.#libc.bind(fd, address, address.length);
        return bound < 0 ? bound : this.#libc.listen(fd, 128);
      });
    } finally {
      this.#umask(mask);
    }
  }

  connect(path: string): number {
    return this.#open(path, (fd, address) => this.#libc.connect(fd, address, address.length));
  }

  accept(fd: number): number {
    return this.#outcome(this.#libc.accept4(fd, null, null, SOCK_STREAM_CLOEXEC_NONBLOCK & ~1));
  }

  receive(fd: number, buffer: Uint8Array, at: number, fds: Int32Array): number {
    fds[0] = fds[1] = 0;
    this.#fill(buffer, at, buffer.length, CMSG_BYTES + 4 * MOST_FDS + 4);
    const got = this.#retry(this.#libc.recvmsg, fd, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0) return got;
    const view = this.#view;
    const end = CONTROL + Number(view.getBigUint64(MSGHDR.controllen, true));
    for (let c = CONTROL; c + CMSG_BYTES <= end; ) {
      const length = Number(view.getBigUint64(c, true));
      if (view.getInt32(c + 8, true) === SOL_SOCKET && view.getInt32(c + 12, true) === SCM_RIGHTS)
        for (let i = CMSG_BYTES; i < length; i += 4) fds[2 + fds[0]++] = view.getInt32(c + i, true);
      c += (length + 7) & ~7;
    }
    fds[1] = view.getInt32(MSGHDR.flags, true) & MSG_CTRUNC ? 1 : 0;
    return got;
  }

  send(fd: number, buffer: Uint8Array, from: number, to: number, fds: Int32Array): number {
    const control = fds.length === 0 ? 0 : (CMSG_BYTES + 4 * fds.length + 7) & ~7;
    this.#fill(buffer, from, to, control);
    if (control > 0) {
      this.#view.setBigUint64(CONTROL, BigInt(CMSG_BYTES + 4 * fds.length), true);
      this.#view.setInt32(CONTROL + 8, SOL_SOCKET, true);
      this.#view.setInt32(CONTROL + 12, SCM_RIGHTS, true);
      fds.forEach((value, i) => void this.#view.setInt32(CONTROL + CMSG_BYTES + 4 * i, value, true));
    }
    return this.#retry(this.#libc.sendmsg, fd, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  eventfd(): number {
    return this.#outcome(this.#eventfd(0, EFD_CLOEXEC_NONBLOCK));
  }

  signal(fd: number): number {
    this.#pollOne[0] = fd;
    this.#pollOne[1] = POLLOUT;
    if (this.#poll(this.#pollOne, 1, 0) < 0) return this.#outcome(-1);
    if (!((this.#pollOne[1] >>> 16) & POLLOUT)) return -EAGAIN;
    try {
      return writeSync(fd, ONE);
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? -EAGAIN;
    }
  }

  watch(fd: number, callback: (events: number) => void): number {
    this.#poller ??= this.#makePoller();
    return this.#poller.add(fd, (revents) => {
      // an error or the other side's end shows at the next read
      callback((revents & ~POLLOUT ? READABLE : 0) | (revents & POLLOUT ? WRITABLE : 0));
    });
  }

  setEvents(id: number, events: number): number {
    if (events < 0) return this.#poller!.remove(id);
    return this.#poller!.set(id, (events & READABLE ? POLLIN : 0) | (events & WRITABLE ? POLLOUT : 0));
  }

  #makePoller(): Poller {
    const wake = this.eventfd();
    return new Poller(wake, this.#poll, {
      wake: () => void writeSync(wake, ONE),
      drain: () => void readSync(wake, new Uint8Array(8)),
    });
  }

  #open(path: string, use: (fd: number, address: Uint8Array) => number): number {
    const name = new TextEncoder().encode(path);
    if (name.length > 107) return -ENAMETOOLONG;
    const address = new Uint8Array(110);
    address[0] = AF_UNIX;
    address.set(name, 2);
    const fd = this.#outcome(this.#libc.socket(AF_UNIX, SOCK_STREAM_CLOEXEC_NONBLOCK, 0));
    if (fd < 0) return fd;
    const done = this.#outcome(use(fd, address));
    if (done >= 0) return fd;
    closeSync(fd);
    return done;
  }

  /** Writes struct msghdr and its one struct iovec. */
  #fill(buffer: Uint8Array, from: number, to: number, controlBytes: number): void {
    const view = this.#view;
    let address = this.#addresses.get(buffer);
    if (address === undefined) this.#addresses.set(buffer, (address = this.#koffi.address(buffer)));
    view.setBigUint64(MSGHDR.iov, this.#at + BigInt(IOVEC), true);
    view.setBigUint64(MSGHDR.iovlen, 1n, true);
    view.setBigUint64(MSGHDR.control, controlBytes === 0 ? 0n : this.#at + BigInt(CONTROL), true);
    view.setBigUint64(MSGHDR.controllen, BigInt(controlBytes), true);
    view.setBigUint64(IOVEC, address + BigInt(from), true);
    view.setBigUint64(IOVEC + 8, BigInt(to - from), true);
  }

  #retry(call: LibcCall, fd: number, flags: number): number {
    for (;;) {
      const done = this.#outcome(call(fd, this.#block, flags));
      if (done !== -EINTR) return done;
    }
  }

  #outcome(result: number): number {
    return result < 0 ? -this.#koffi.errno() : result;
  }
}

/** What an eventfd takes to count one further. */
const ONE = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]);
