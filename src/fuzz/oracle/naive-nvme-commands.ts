import type { NaiveNvme } from './naive-nvme.ts';
import { NaiveBlocks } from './naive-nvme-blocks.ts';
import { NaiveFeatures } from './naive-nvme-features.ts';
import { NaiveLogs } from './naive-nvme-logs.ts';
import { NaiveTransfers, S, type Verdict } from './naive-nvme-transfers.ts';

/** Errors that another try may not meet; the others say Do Not Retry. The choice is the controller's, §4.6.1. */
const MAY_PASS = new Set([S.transfer, S.aborted, S.eventLimit]);
const ALL = 0xffff_ffff;

/** The commands of a controller as the specification describes them, on plain values. */
export class NaiveCommands {
  readonly features: NaiveFeatures;
  readonly logs: NaiveLogs;
  readonly blocks: NaiveBlocks;
  readonly #transfers: NaiveTransfers;
  /** Identifiers of the Asynchronous Event Requests that wait, oldest first. */
  #waiting: number[] = [];
  readonly #nvme: NaiveNvme;

  constructor(nvme: NaiveNvme) {
    const { shape } = nvme;
    this.#nvme = nvme;
    this.features = new NaiveFeatures(shape);
    this.logs = new NaiveLogs(shape, this.features);
    this.#transfers = new NaiveTransfers(nvme);
    this.blocks = new NaiveBlocks(nvme, this.#transfers, this.features, this.logs);
  }

  save() {
    return {
      features: this.features.save(),
      logs: this.logs.save(),
      blocks: this.blocks.save(),
      waiting: this.#waiting.slice(),
    };
  }

  restore(saved: ReturnType<NaiveCommands['save']>): void {
    this.features.restore(saved.features);
    this.logs.restore(saved.logs);
    this.blocks.restore(saved.blocks);
    this.#waiting = saved.waiting.slice();
  }

  /** A controller level reset: outstanding commands are gone, features at their defaults; logs stay. */
  reset(): void {
    this.#waiting = [];
    this.features.reset();
    this.logs.forgetEvents();
  }

  /** A doorbell that cannot be: an entry of the error log that belongs to no command, and an event. §5.2.1 */
  noteDoorbell(info: number): void {
    this.logs.error(ALL, 0, 0, 0, 0);
    this.logs.event(0, info);
  }

  /** The next event and the request that reports it. */
  takeEvent(): { cid: number; result: number } | undefined {
    if (this.#waiting.length === 0) return undefined;
    const result = this.logs.takeEvent();
    return result === undefined ? undefined : { cid: this.#waiting.shift()!, result };
  }

  /** Carries out a command and posts its completion, if it completes now. */
  execute(sqid: number, cmd: DataView): void {
    const dw = (n: number) => cmd.getUint32(4 * n, true);
    const opcode = dw(0) & 0xff;
    const cid = dw(0) >>> 16;
    const psdt = (dw(0) >>> 14) & 3;
    const isOdd = (dw(0) & 0x300) !== 0 || psdt > (sqid === 0 ? 0 : 2);
    const verdict = isOdd
      ? { errors: [S.field] }
      : sqid === 0
        ? this.#admin(opcode, cid, dw, cmd)
        : this.blocks.judge(dw, cmd);
    if (!verdict) return;
    const { errors, act } = verdict;
    const actual = errors.length > 0 ? this.#nvme.peek(sqid) : undefined;
    let status = errors[0] ?? 0;
    if (actual && errors.includes((actual.status >>> 1) & 0x7ff)) status = (actual.status >>> 1) & 0x7ff;
    if (status === 0) {
      act?.();
      this.#nvme.complete(sqid, cid, verdict.result ?? 0, 0);
      return;
    }
    const field = status | 0x2000 | (MAY_PASS.has(status) ? 0 : 0x4000);
    const hasBlock = sqid !== 0 && [1, 2, 5, 8].includes(opcode);
    this.logs.error(sqid | (cid << 16), field << 1, hasBlock ? dw(10) : 0, hasBlock ? dw(11) : 0, dw(1));
    this.#nvme.complete(sqid, cid, actual?.result ?? 0, field); // dword 0 of an error says nothing
  }

  #admin(opcode: number, cid: number, dw: (n: number) => number, cmd: DataView): Verdict | undefined {
    switch (opcode) {
      case 0x00:
        return this.#deleteSq(dw(10) & 0xffff);
      case 0x01:
        return this.#createSq(dw);
      case 0x02:
        return this.#getLog(dw, cmd);
      case 0x04:
        return this.#deleteCq(dw(10) & 0xffff);
      case 0x05:
        return this.#createCq(dw);
      case 0x06:
        return this.#identify(dw, cmd);
      case 0x08:
        return this.#abort(dw(10));
      case 0x09:
        return this.features.set(dw, this.#nvme.state.sqs.size + this.#nvme.state.cqs.size > 2, this.logs);
      case 0x0a:
        return this.features.get(dw);
      case 0x0c:
        if (this.#waiting.length >= this.#nvme.shape.asyncEventRequests) return { errors: [S.eventLimit] };
        this.#waiting.push(cid);
        return undefined;
      default:
        return { errors: [S.opcode] };
    }
  }

  /** What creating either kind of queue asks of entries, flags and base. §5.3, §5.4 */
  #queueErrors(dw: (n: number) => number, entryBits: number, expected: number): number[] {
    const { shape, pageBytes } = this.#nvme;
    const entries = (dw(10) >>> 16) + 1;
    const errors: number[] = [];
    if (entries < 2 || entries > shape.maxEntries || entryBits !== expected) errors.push(S.queueSize);
    if ((dw(11) & 1) === 0) errors.push(S.field);
    if (dw(6) % pageBytes !== 0) errors.push(S.prp);
    return errors;
  }

  #createCq(dw: (n: number) => number): Verdict {
    const nvme = this.#nvme;
    const { cqs, cc } = nvme.state;
    const id = dw(10) & 0xffff;
    const errors: number[] = [];
    if (id === 0 || id > this.features.grantedCqs || cqs.has(id)) errors.push(S.queueId);
    errors.push(...this.#queueErrors(dw, (cc >>> 20) & 15, 4));
    const vector = dw(11) >>> 16;
    if (vector >= nvme.vectors) errors.push(S.vector);
    const act = () => {
      const base = dw(7) * 2 ** 32 + dw(6);
      const queue = { base, size: (dw(10) >>> 16) + 1, head: 0, tail: 0, phase: 1, vector };
      cqs.set(id, { ...queue, interrupts: (dw(11) & 2) !== 0 });
    };
    return { errors, act };
  }

  #createSq(dw: (n: number) => number): Verdict {
    const { sqs, cqs, cc } = this.#nvme.state;
    const id = dw(10) & 0xffff;
    const cq = dw(11) >>> 16;
    const errors: number[] = [];
    if (id === 0 || id > this.features.grantedSqs || sqs.has(id)) errors.push(S.queueId);
    if (cq === 0 || cq > this.features.grantedCqs) errors.push(S.queueId);
    else if (!cqs.has(cq)) errors.push(S.cqInvalid);
    errors.push(...this.#queueErrors(dw, (cc >>> 16) & 15, 6));
    const act = () => {
      const base = dw(7) * 2 ** 32 + dw(6);
      sqs.set(id, { base, size: (dw(10) >>> 16) + 1, head: 0, tail: 0, cq, stopped: false });
    };
    return { errors, act };
  }

  #deleteCq(id: number): Verdict {
    const { sqs, cqs } = this.#nvme.state;
    if (id === 0 || !cqs.has(id)) return { errors: [S.queueId] };
    if ([...sqs.values()].some((sq) => sq.cq === id)) return { errors: [S.deletion] };
    return { errors: [], act: () => cqs.delete(id) };
  }

  #deleteSq(id: number): Verdict {
    const { sqs } = this.#nvme.state;
    if (id === 0 || !sqs.has(id)) return { errors: [S.queueId] };
    return { errors: [], act: () => sqs.delete(id) };
  }

  /** Only Asynchronous Event Requests are ever outstanding; their completion comes first, if there is room for both. §5.1 */
  #abort(dword10: number): Verdict {
    const [sqid, cid] = [dword10 & 0xffff, dword10 >>> 16];
    if (!this.#nvme.state.sqs.has(sqid)) return { errors: [S.field] };
    const at = sqid === 0 && this.#nvme.room(0) >= 2 ? this.#waiting.indexOf(cid) : -1;
    if (at < 0) return { errors: [], result: 1 };
    this.#waiting.splice(at, 1);
    this.#nvme.complete(0, cid, 0, S.aborted);
    return { errors: [], result: 0 };
  }

  #identify(dw: (n: number) => number, cmd: DataView): Verdict {
    const { pages } = this.#nvme.shape;
    const nsid = dw(1);
    const cns = dw(10) & 0xff;
    const errors: number[] = [];
    if (cns > 3) errors.push(S.field);
    if ((cns === 0 || cns === 3) && nsid !== 1) errors.push(S.namespace);
    if (cns === 2 && nsid >= 0xffff_fffe) errors.push(S.namespace);
    const list = () => {
      const page = new Uint8Array(4096);
      if (nsid < 1) page[0] = 1;
      return page;
    };
    const data = () => (cns === 2 ? list() : pages.get(`identify ${cns}`)!);
    return this.#transfers.out(cmd, data, 4096, { errors });
  }

  /** §5.14; bytes beyond the page's end read zero. */
  #getLog(dw: (n: number) => number, cmd: DataView): Verdict {
    const id = dw(10) & 0xff;
    const bytes = ((dw(10) >>> 16) + (dw(11) & 0xffff) * 2 ** 16 + 1) * 4;
    const offset = dw(12) + dw(13) * 2 ** 32;
    const size = this.logs.sizeOf(id);
    if (size === undefined) return { errors: [S.logPage] };
    const errors: number[] = [];
    if ((dw(1) !== 0 && dw(1) !== ALL) || offset % 4 !== 0 || offset > size) errors.push(S.field);
    if (bytes > 4096 << this.#nvme.shape.mdts) return { errors: [...errors, S.field] };
    const data = () => {
      const part = new Uint8Array(bytes);
      part.set(this.logs.page(id).subarray(offset, offset + bytes));
      return part;
    };
    const act = () => {
      if ((dw(10) & 0x8000) === 0) this.logs.reportAgain(id);
    };
    return this.#transfers.out(cmd, data, bytes, { errors, act });
  }
}
