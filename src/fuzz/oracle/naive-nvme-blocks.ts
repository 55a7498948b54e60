import type { NaiveNvme } from './naive-nvme.ts';
import type { NaiveFeatures } from './naive-nvme-features.ts';
import type { NaiveLogs } from './naive-nvme-logs.ts';
import { type NaiveTransfers, S, type Verdict } from './naive-nvme-transfers.ts';

const ALL = 0xffff_ffff;

/** The blocks of the one namespace, and the commands that work on them. NVMe 1.4 §6 */
export class NaiveBlocks {
  bytes: Uint8Array;
  /** Something was written that no flush has covered. */
  dirty = false;
  readonly #nvme: NaiveNvme;
  readonly #transfers: NaiveTransfers;
  readonly #features: NaiveFeatures;
  readonly #logs: NaiveLogs;

  constructor(nvme: NaiveNvme, transfers: NaiveTransfers, features: NaiveFeatures, logs: NaiveLogs) {
    const { shape } = nvme;
    this.#nvme = nvme;
    this.#transfers = transfers;
    this.#features = features;
    this.#logs = logs;
    this.bytes = new Uint8Array(shape.blockBytes * shape.blockCount);
  }

  save() {
    return { bytes: this.bytes.slice(), dirty: this.dirty };
  }

  restore(saved: ReturnType<NaiveBlocks['save']>): void {
    this.bytes.set(saved.bytes);
    this.dirty = saved.dirty;
  }

  /** A shutdown, or Flush. */
  flushed(): void {
    this.dirty = false;
  }

  judge(dw: (n: number) => number, cmd: DataView): Verdict {
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
    const mustSettle = (dw(12) & 0x4000_0000) !== 0 || !this.#features.writeCache;
    const change = (data: Uint8Array | undefined) => {
      if (data) this.bytes.set(data, at);
      else this.bytes.fill(0, at, at + length);
      if (mustSettle) this.flushed();
      else this.dirty = true;
      this.#logs.wrote(data ? length : 0);
    };
    if (isZeroes) return { errors, act: () => change(undefined) };
    if (opcode === 2)
      return this.#transfers.out(cmd, () => this.bytes.subarray(at, at + length), length, {
        errors,
        act: () => this.#logs.read(length),
      });
    const data = this.#transfers.in(cmd, length, errors);
    if (opcode === 1) return { errors, act: () => change(data) };
    if (errors.length === 0) {
      this.#logs.read(0);
      if (data!.some((byte, i) => byte !== this.bytes[at + i])) errors.push(S.compare);
    }
    return { errors };
  }

  #inNamespace(lo: number, hi: number, count: number): boolean {
    return hi === 0 && lo + count <= this.#nvme.shape.blockCount;
  }

  /** Dataset Management with Deallocate: all ranges, or none if one does not fit; other attributes do nothing. §6.7 */
  #deallocate(dw: (n: number) => number, cmd: DataView): Verdict {
    const errors: number[] = [];
    const data = this.#transfers.in(cmd, ((dw(10) & 0xff) + 1) * 16, errors);
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
      for (const [lo, count] of ranges) this.bytes.fill(0, lo * blockBytes, (lo + count) * blockBytes);
      if (ranges.some(([, count]) => count > 0)) this.dirty = true;
    };
    return { errors, act };
  }
}
