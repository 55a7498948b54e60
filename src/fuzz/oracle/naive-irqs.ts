import type { EmulatedFunction } from '../../pci/index.ts';
import type { VfioFd } from './naive-vfio.ts';

const EINVAL = 22;
const EOPNOTSUPP = 95;
const NONE = 1;
const BOOL = 2;
const EVENTFD = 4;
const MASK = 8;
const UNMASK = 16;
const TRIGGER = 32;

/** One vector of one index as its client sees it. */
class Line {
  fd: number | undefined;
  masked = false;
  /** It was raised and its client has not been told. */
  due = false;
}

/**
 * Interrupts of a vfio-user device told again: an object a vector. What must be signalled is worked out anew after each
 * burst of messages, from what the twin did and what its registers say.
 */
export class NaiveIrqs {
  readonly #twin: EmulatedFunction;
  /** INTx, MSI, MSI-X, ERR, REQ. */
  readonly #lines: readonly Line[][];
  /** Signals of this burst, by descriptor. */
  #signals: number[] = [];

  constructor(twin: EmulatedFunction) {
    this.#twin = twin;
    const offered = twin.msi ? 2 ** Math.min((twin.msi.control >> 1) & 7, 5) : 0;
    const counts = [twin.getConfig(0x3d, 1) === 0 ? 0 : 1, offered, twin.msix?.count ?? 0, 1, 1];
    this.#lines = counts.map((count) => Array.from({ length: count }, () => new Line()));
  }

  count(index: number): number {
    return this.#lines[index].length;
  }

  get fds(): number[] {
    return this.#lines.flatMap((lines) => lines.flatMap(({ fd }) => (fd === undefined ? [] : [fd])));
  }

  leave(): void {
    for (const line of this.#lines.flat()) Object.assign(line, new Line());
    this.#signals = [];
    this.#twin.effects.length = 0;
  }

  /** DEVICE_SET_IRQS. @returns 0 or an errno */
  set(flags: number, index: number, start: number, count: number, data: Uint8Array, fds: readonly VfioFd[]): number {
    const type = [NONE, BOOL, EVENTFD].filter((bit) => flags & bit);
    const action = [MASK, UNMASK, TRIGGER].filter((bit) => flags & bit);
    if (index > 4 || flags > 63 || type.length !== 1 || action.length !== 1) return EINVAL;
    const [[what], [act]] = [type, action];
    if (fds.length > 0 && (what !== EVENTFD || fds.length !== count)) return EINVAL;
    if (data.length !== (what === BOOL ? count : 0)) return EINVAL;
    const lines = this.#lines[index];
    if (count === 0) {
      if (what !== NONE || act !== TRIGGER || start !== 0) return EINVAL;
      for (const line of lines) {
        line.fd = undefined;
        line.due = false;
      }
      return 0;
    }
    if (start + count > lines.length) return EINVAL;
    if (index > 2 && act !== TRIGGER) return EINVAL;
    if (what === EVENTFD && act !== TRIGGER) return EOPNOTSUPP;
    if (what === EVENTFD && fds.some((fd) => fd.kind !== 'eventfd')) return EINVAL;
    for (let i = 0; i < count; i++) {
      const line = lines[start + i];
      if (what === EVENTFD) line.fd = fds[i]?.number;
      else if (what === NONE || data[i] !== 0) {
        if (act === TRIGGER) this.#signal(line);
        else line.masked = act === MASK;
      }
    }
    return 0;
  }

  /** The burst is over. @returns descriptors that must have been signalled during it, once each */
  settle(): number[] {
    const { msix, msi, effects } = this.#twin;
    const [intx, msiLines, msixLines] = this.#lines;
    for (const effect of effects)
      if (effect.kind === 'message') {
        const line = (msix?.enabled ? msixLines : msiLines)[effect.vector];
        if (line) line.due = true;
      }
    effects.length = 0;
    this.#deliver(msixLines, msix?.enabled ?? false, (v) => {
      if (!msix!.isPending(v)) return false;
      msix!.withdraw(v);
      return true;
    });
    this.#deliver(msiLines, msi?.enabled ?? false, (v) => {
      if (!((msi!.pendingBits >>> v) & 1)) return false;
      msi!.withdraw(v);
      return true;
    });
    const disabled = (this.#twin.getConfig(4, 2) & 0x400) !== 0;
    if (intx.length > 0 && this.#twin.intxAsserted && !disabled && !intx[0].masked && intx[0].fd !== undefined) {
      this.#signal(intx[0]);
      intx[0].masked = true; // until the client unmasks
    }
    const signals = this.#signals;
    this.#signals = [];
    return signals;
  }

  /** Whatever the mask bits of the device say: clients keep the table to themselves. */
  #deliver(lines: readonly Line[], enabled: boolean, takePending: (vector: number) => boolean): void {
    for (const [vector, line] of lines.entries()) {
      if (!enabled) line.due = false;
      else if (line.fd !== undefined && !line.masked) {
        if (this.#twin.busMaster && takePending(vector)) line.due = true;
        if (line.due) this.#signal(line);
        line.due = false;
      }
    }
  }

  #signal(line: Line): void {
    if (line.fd !== undefined) this.#signals.push(line.fd);
  }
}
