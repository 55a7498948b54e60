import type { NaiveNvme } from './naive-nvme.ts';
import { type DataPlaces, prpPlaces, sglPlaces } from './naive-nvme-data.ts';
import { NaiveFeatures } from './naive-nvme-features.ts';
import { NaiveLogs } from './naive-nvme-logs.ts';

/** Status Code Type << 8 | Status Code, NVMe 1.4 §4.6.1. */
const S = {
  opcode: 0x001,
  field: 0x002,
  transfer: 0x004,
  aborted: 0x007,
  namespace: 0x00b,
  lba: 0x080,
  cqInvalid: 0x100,
  queueId: 0x101,
  queueSize: 0x102,
  eventLimit: 0x105,
  vector: 0x108,
  logPage: 0x109,
  deletion: 0x10c,
  prp: 0x013,
  compare: 0x285,
};
/** Errors that another try may not meet; the others say Do Not Retry. The choice is the controller's, §4.6.1. */
const MAY_PASS = new Set([S.transfer, S.aborted, S.eventLimit]);
const ALL = 0xffff_ffff;

/** A command being judged: the errors that apply, any of which it may end with, and what it does if there are none. */
interface Verdict {
  errors: number[];
  result?: number;
  /** Carried out if there is no error. */
  act?: () => void;
}

/** The commands of a controller as the specification describes them, on plain values. */
export class NaiveCommands {
  readonly features: NaiveFeatures;
  readonly logs: NaiveLogs;
  blocks: Uint8Array;
  /** Something was written that no flush has covered. */
  dirty = false;
  /** Identifiers of the Asynchronous Event Requests that wait, oldest first. */
  #waiting: number[] = [];
  readonly #nvme: NaiveNvme;

  constructor(nvme: NaiveNvme) {
    const { shape } = nvme;
    this.#nvme = nvme;
    this.features = new NaiveFeatures(shape);
    this.logs = new NaiveLogs(shape, this.features);
    this.blocks = new Uint8Array(shape.blockBytes * shape.blockCount);
  }

  save() {
    return {
      features: this.features.save(),
      logs: this.logs.save(),
      blocks: this.blocks.slice(),
      dirty: this.dirty,
      waiting: this.#waiting.slice(),
    };
  }

  restore(saved: ReturnType<NaiveCommands['save']>): void {
    this.features.restore(saved.features);
    this.logs.restore(saved.logs);
    this.blocks.set(saved.blocks);
    this.dirty = saved.dirty;
    this.#waiting = saved.waiting.slice();
  }

  /** A controller level reset: outstanding commands are gone, features at their defaults; logs stay. */
  reset(): void {
    this.#waiting = [];
    this.features.reset();
    this.logs.forgetEvents();
  }

  /** A shutdown, or Flush. */
  flushed(): void {
    this.dirty = false;
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
    const verdict = isOdd ? { errors: [S.field] } : sqid === 0 ? this.#admin(opcode, cid, dw, cmd) : this.#nvm(dw, cmd);
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

  #places(cmd: DataView, length: number): DataPlaces {
    const { memory, pageBytes } = this.#nvme;
    if (cmd.getUint8(1) & 0xc0) return sglPlaces(memory, cmd, length);
    return prpPlaces(memory, pageBytes, cmd, length);
  }

  /** Data for the host; its errors come behind those of the command's fields. */
  #out(cmd: DataView, data: () => Uint8Array, length: number, verdict: Verdict): Verdict {
    const { runs, error } = this.#places(cmd, length);
    if (error) return { errors: [...verdict.errors, error] };
    if (verdict.errors.length > 0) return verdict;
    const bytes = data();
    let done = 0;
    for (const { address, length: part } of runs) {
      if (!this.#nvme.memory.write(address, bytes.subarray(done, done + part))) return { errors: [S.transfer] };
      done += part;
    }
    return verdict;
  }

  /** Data from the host, or the errors. */
  #in(cmd: DataView, length: number, errors: number[]): Uint8Array | undefined {
    const { runs, error } = this.#places(cmd, length);
    const data = new Uint8Array(length);
    let done = 0;
    for (const { address, length: part } of error ? [] : runs) {
      const bytes = this.#nvme.memory.read(address, part);
      if (!bytes) {
        errors.push(S.transfer);
        return undefined;
      }
      data.set(bytes, done);
      done += part;
    }
    if (error) errors.push(error);
    return error ? undefined : data;
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
    return this.#out(cmd, data, 4096, { errors });
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
    return this.#out(cmd, data, bytes, { errors, act });
  }

  #nvm(dw: (n: number) => number, cmd: DataView): Verdict {
    const opcode = dw(0) & 0xff;
    const nsid = dw(1);
    if (![0, 1, 2, 5, 8, 9].includes(opcode)) return { errors: [S.opcode] };
    if (opcode === 0) {
      if (nsid !== 1 && nsid !== ALL) return { errors: [S.namespace] };
      return { errors: [], act: () => this.flushed() };
    }
    if (nsid === ALL) return { errors: [S.field, S.namespace] };
    if (nsid !== 1) return { errors: [S.namespace] };
    if (opcode === 9) return this.#deallocate(dw, cmd);
    const { blockBytes, mdts } = this.#nvme.shape;
    const errors: number[] = [];
    const count = (dw(12) & 0xffff) + 1;
    const length = count * blockBytes;
    const isZeroes = opcode === 8;
    if (!isZeroes && length > 4096 << mdts) return { errors: [S.field] };
    if (!this.#inNamespace(dw(10), dw(11), count)) errors.push(S.lba);
    const at = dw(10) * blockBytes;
    const mustSettle = (dw(12) & 0x4000_0000) !== 0 || !this.features.writeCache;
    const change = (data: Uint8Array | undefined) => {
      if (data) this.blocks.set(data, at);
      else this.blocks.fill(0, at, at + length);
      if (mustSettle) this.flushed();
      else this.dirty = true;
      this.logs.wrote(data ? length : 0);
    };
    if (isZeroes) return { errors, act: () => change(undefined) };
    if (opcode === 2)
      return this.#out(cmd, () => this.blocks.subarray(at, at + length), length, {
        errors,
        act: () => this.logs.read(length),
      });
    const data = this.#in(cmd, length, errors);
    if (opcode === 1) return { errors, act: () => change(data) };
    if (errors.length === 0) {
      this.logs.read(0);
      if (data!.some((byte, i) => byte !== this.blocks[at + i])) errors.push(S.compare);
    }
    return { errors };
  }

  #inNamespace(lo: number, hi: number, count: number): boolean {
    return hi === 0 && lo + count <= this.#nvme.shape.blockCount;
  }

  /** Dataset Management with Deallocate: all ranges, or none if one does not fit; other attributes do nothing. §6.7 */
  #deallocate(dw: (n: number) => number, cmd: DataView): Verdict {
    const errors: number[] = [];
    const data = this.#in(cmd, ((dw(10) & 0xff) + 1) * 16, errors);
    if (!data || (dw(11) & 4) === 0) return { errors };
    const ranges: [number, number][] = [];
    const list = new DataView(data.buffer);
    for (let at = 0; at < data.length; at += 16) {
      const [count, lo, hi] = [4, 8, 12].map((n) => list.getUint32(at + n, true));
      if (!this.#inNamespace(lo, hi, count)) return { errors: [S.lba] };
      ranges.push([lo, count]);
    }
    const { blockBytes } = this.#nvme.shape;
    const act = () => {
      for (const [lo, count] of ranges) this.blocks.fill(0, lo * blockBytes, (lo + count) * blockBytes);
      if (ranges.some(([, count]) => count > 0)) this.dirty = true;
    };
    return { errors, act };
  }
}
