import type { EmulatedFunction } from '../../pci/index.ts';
import { ERRNO, IRQ, IRQ_COUNT, IRQ_INFO, IRQ_SET } from './protocol.ts';
import type { SessionHost } from './session-host.ts';

/** Payload of DEVICE_SET_IRQS in front of its data. */
export const SET_IRQS_BYTES = 20;

const ACTIONS = IRQ_SET.mask | IRQ_SET.unmask | IRQ_SET.trigger;
const TYPES = IRQ_SET.none | IRQ_SET.bool | IRQ_SET.eventfd;
const INTX_DISABLE = 0x400;

const isOneBit = (bits: number) => bits !== 0 && (bits & (bits - 1)) === 0;

export interface SetIrqs {
  flags: number;
  index: number;
  start: number;
  count: number;
  data: Uint8Array;
}

/** The eventfd and the mask of each vector of one index. */
class Vectors {
  readonly count: number;
  readonly fds = new Map<number, number>();
  readonly masked = new Set<number>();
  /** Vectors whose message came while nobody could be told; bounded by `count`. */
  readonly held = new Set<number>();

  readonly #close: (fd: number) => void;

  constructor(count: number, close: (fd: number) => void) {
    this.count = count;
    this.#close = close;
  }

  setFd(vector: number, fd: number): void {
    this.removeFd(vector);
    this.fds.set(vector, fd);
  }

  removeFd(vector: number): void {
    const fd = this.fds.get(vector);
    if (fd === undefined) return;
    this.fds.delete(vector);
    this.#close(fd);
  }

  clear(): void {
    for (const fd of this.fds.values()) this.#close(fd);
    this.fds.clear();
  }
}

/**
 * A function's interrupts as one client takes them: an eventfd a vector.
 *
 * A client such as QEMU keeps the MSI-X table to itself and masks by its own copy, so here a vector is signalled
 * whenever its condition arises, whatever its own mask bits say; a pending bit stays only while there is no eventfd.
 * INTx is a level: after a signal the next one waits for the client's unmask.
 */
export class Interrupts {
  readonly #fn: EmulatedFunction;
  readonly #host: SessionHost;
  readonly #indices: readonly Vectors[];

  constructor(fn: EmulatedFunction, host: SessionHost) {
    this.#fn = fn;
    this.#host = host;
    const msi = fn.msi ? 1 << Math.min((fn.msi.control >> 1) & 7, 5) : 0;
    const counts = [fn.getConfig(0x3d, 1) === 0 ? 0 : 1, msi, fn.msix?.count ?? 0, 1, 1];
    this.#indices = counts.map((count) => new Vectors(count, (fd) => host.close(fd)));
  }

  /** Flags and count of an index, as DEVICE_GET_IRQ_INFO tells them. */
  info(index: number): { flags: number; count: number } | undefined {
    if (index >= IRQ_COUNT) return undefined;
    const { count } = this.#indices[index];
    if (index === IRQ.intx) return { flags: IRQ_INFO.eventfd | IRQ_INFO.maskable | IRQ_INFO.automasked, count };
    return { flags: IRQ_INFO.eventfd | (index <= IRQ.msix ? IRQ_INFO.noResize : 0), count };
  }

  /** Carries out DEVICE_SET_IRQS; takes the descriptors it keeps out of `fds`. @returns 0 or an errno */
  set(request: SetIrqs, fds: number[]): number {
    const { flags, index, start, count, data } = request;
    const action = flags & ACTIONS;
    const type = flags & TYPES;
    if (index >= IRQ_COUNT || flags & ~(ACTIONS | TYPES) || !isOneBit(action) || !isOneBit(type)) return ERRNO.EINVAL;
    const vectors = this.#indices[index];
    if (fds.length > 0 && (type !== IRQ_SET.eventfd || fds.length !== count)) return ERRNO.EINVAL;
    if (data.length !== (type === IRQ_SET.bool ? count : 0)) return ERRNO.EINVAL;
    if (count === 0) {
      if (type !== IRQ_SET.none || action !== IRQ_SET.trigger || start !== 0) return ERRNO.EINVAL;
      vectors.clear();
      vectors.held.clear();
      return 0;
    }
    if (start >= vectors.count || start + count > vectors.count) return ERRNO.EINVAL;
    if (index > IRQ.msix && action !== IRQ_SET.trigger) return ERRNO.EINVAL;
    if (type === IRQ_SET.eventfd)
      return action === IRQ_SET.trigger ? this.#setFds(vectors, start, count, fds) : ERRNO.EOPNOTSUPP;
    for (let i = 0; i < count; i++) {
      if (type === IRQ_SET.bool && data[i] === 0) continue;
      if (action === IRQ_SET.mask) vectors.masked.add(start + i);
      else if (action === IRQ_SET.unmask) vectors.masked.delete(start + i);
      else this.#tell(vectors, start + i);
    }
    return 0;
  }

  /** Takes the function's effects off its list. */
  collect(): void {
    const { effects } = this.#fn;
    if (effects.length === 0) return;
    const messages = this.#indices[this.#fn.msix?.enabled ? IRQ.msix : IRQ.msi];
    for (const effect of effects) if (effect.kind === 'message') messages.held.add(effect.vector);
    effects.length = 0; // INTx is looked at as it stands
  }

  /** Signals what is due. Everything that the function wrote to memory before must be there by now. */
  deliver(): void {
    const { msix, msi } = this.#fn;
    if (msix?.enabled) this.#deliverMsix();
    else this.#indices[IRQ.msix].held.clear();
    if (msi?.enabled) this.#deliverMsi();
    else this.#indices[IRQ.msi].held.clear();
    const line = this.#indices[IRQ.intx];
    if (line.fds.size > 0 && !line.masked.has(0) && this.#intxLevel()) {
      this.#tell(line, 0);
      line.masked.add(0);
    }
  }

  /** Closes all eventfds. */
  dispose(): void {
    for (const vectors of this.#indices) vectors.clear();
  }

  #deliverMsix(): void {
    const vectors = this.#indices[IRQ.msix];
    const { table } = this.#fn.msix!;
    if (vectors.fds.size === 0) return;
    if (this.#fn.busMaster)
      for (let w = 0; w < table.pending.length; w++)
        for (let bits = table.pending[w]; bits !== 0; bits &= bits - 1) {
          const vector = 32 * w + 31 - Math.clz32(bits & -bits);
          if (!this.#canTell(vectors, vector)) continue;
          table.clearPending(vector);
          vectors.held.add(vector);
        }
    this.#tellHeld(vectors);
  }

  #deliverMsi(): void {
    const vectors = this.#indices[IRQ.msi];
    const msi = this.#fn.msi!;
    if (vectors.fds.size === 0) return;
    if (this.#fn.busMaster)
      for (let bits = msi.pendingBits; bits !== 0; bits &= bits - 1) {
        const vector = 31 - Math.clz32(bits & -bits);
        if (!this.#canTell(vectors, vector)) continue;
        msi.withdraw(vector);
        vectors.held.add(vector);
      }
    this.#tellHeld(vectors);
  }

  #tellHeld(vectors: Vectors): void {
    for (const vector of vectors.held)
      if (this.#canTell(vectors, vector)) {
        vectors.held.delete(vector);
        this.#tell(vectors, vector);
      }
  }

  /**
   * Gives vectors their eventfds, or without any takes theirs away. No other descriptors: a write to a pipe or a terminal may
   * wait for ever. Linux's own VFIO refuses them too.
   */
  #setFds(vectors: Vectors, start: number, count: number, fds: number[]): number {
    if (fds.length === 0) {
      for (let i = 0; i < count; i++) vectors.removeFd(start + i);
      return 0;
    }
    if (!fds.every((fd) => this.#host.isEventfd(fd))) return ERRNO.EINVAL;
    fds.splice(0).forEach((fd, i) => void vectors.setFd(start + i, fd));
    return 0;
  }

  #canTell(vectors: Vectors, vector: number): boolean {
    return vectors.fds.has(vector) && !vectors.masked.has(vector);
  }

  #tell(vectors: Vectors, vector: number): void {
    const fd = vectors.fds.get(vector);
    if (fd !== undefined) this.#host.signal(fd);
  }

  #intxLevel(): boolean {
    return this.#fn.intxAsserted && (this.#fn.getConfig(4, 2) & INTX_DISABLE) === 0;
  }
}
