import { ones, type Prng, type Width, writeLe } from '../../core/index.ts';
import type { EmulatedFunction } from '../../pci/index.ts';
import { type Access, KIND, NOT_APPLICABLE, REGION } from '../access.ts';
import type { NaiveNvme } from '../oracle/naive-nvme.ts';
import type { NaiveSq } from '../oracle/naive-nvme-state.ts';
import {
  access,
  command,
  cqPage,
  DATA_PAGES,
  ENABLED,
  LIST_PAGE,
  MEMORY_BYTES,
  type NvmeVariant,
  PAGE,
  sqPage,
  store,
} from './nvme-regs-shapes.ts';
import { placeFor, type Spot, spotsOf, valueFor, WIDTHS } from './spots.ts';

const REGISTERS = [0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x38, 0x100];
const IO_OPCODES = [0, 1, 1, 1, 2, 2, 2, 5, 8, 9];
const FEATURES = [1, 2, 4, 4, 5, 6, 6, 7, 7, 8, 9, 10, 11, 11, 3, 0];
const CONTROL = /^(command|msi\.ctrl|msi\.mask|msix\.ctrl|pm\.pmcsr|pcie\.deviceControl)$/;

/** Steps as a driver would make them, and as none should: looks at the present state to know which are which. */
export class NvmeInputs {
  readonly #fn: EmulatedFunction;
  readonly #nvme: NaiveNvme;
  readonly #variant: NvmeVariant;
  readonly #spots: readonly Spot[];
  readonly #doorbell: number;
  #cid = 0;

  constructor(fn: EmulatedFunction, nvme: NaiveNvme, variant: NvmeVariant) {
    this.#fn = fn;
    this.#nvme = nvme;
    this.#variant = variant;
    this.#spots = spotsOf(fn.layout, 1, CONTROL);
    this.#doorbell = 4 << (variant.shape.doorbellStride ?? 0);
  }

  generate(prng: Prng): Access {
    const { rdy, cfs, shst } = this.#nvme.state;
    if ((!rdy || cfs || shst) && prng.below(2)) return this.#bringUp(prng);
    const r = prng.below(128);
    if (r < 38) return this.#submit(prng);
    if (r < 74) return this.#ringTail(prng);
    if (r < 94) return this.#ringHead(prng);
    if (r < 100) return this.#writeRegister(prng);
    if (r < 106) {
      const [offset, width] = [prng.pick(REGISTERS) + (prng.below(4) ? 0 : prng.below(8)), prng.pick(WIDTHS)];
      return access(KIND.read, 0, prng.below(3) ? 4 : width, this.#fn.bdf, offset, 0);
    }
    if (r < 114) return this.#config(prng);
    if (r < 120) return this.#table(prng);
    if (r < 127) return this.#data(prng);
    const na = NOT_APPLICABLE;
    return prng.below(2) ? access(KIND.reset, na, na, this.#fn.bdf, 0, prng.below(2)) : this.#bringUp(prng);
  }

  mutate(prng: Prng, step: Access): Access {
    if (step.kind === KIND.dmaWrite && step.data) {
      const data = step.data.slice();
      data[prng.below(data.length)] ^= 1 << prng.below(8);
      return { ...step, data };
    }
    if (step.kind !== KIND.write || prng.below(2)) return this.generate(prng);
    return { ...step, value: (step.value ^ (1 << prng.below(8 * step.width))) >>> 0 };
  }

  /** The next thing that is missing for a controller to run: bus mastering, a reset, queues, enable. */
  #bringUp(prng: Prng): Access {
    const { cc, aqa, asq, acq } = this.#nvme.state;
    const { bdf } = this.#fn;
    const write = (at: number, value: number) => access(KIND.write, 0, 4, bdf, at, value);
    if ((this.#fn.getConfig(4, 2) & 4) === 0) return access(KIND.write, REGION.config, 2, bdf, 4, 6);
    if (cc & 1) return write(0x14, prng.below(4) ? 0 : ENABLED - 1);
    const entries = this.#variant.adminEntries - 1;
    if ((aqa & 0xffff) === 0) return write(0x24, prng.below(8) ? entries * 0x1_0001 : entries);
    if (asq[0] === 0) return write(0x28, prng.below(4) ? sqPage(0) : 0x8000);
    if (acq[0] === 0) return write(0x30, prng.below(4) ? cqPage(0) : 0x4000);
    if (aqa >>> 16 === 0) return write(0x24, entries * 0x1_0001);
    return write(
      0x14,
      prng.below(6) ? ENABLED : ENABLED | prng.pick([0x80, 0x80, 0x100, 0x100, 0x10, 0x800, 0x4000, 0x1_0000]),
    );
  }

  #sq(prng: Prng): [number, NaiveSq | undefined] {
    const { sqs } = this.#nvme.state;
    const id = prng.below(16) && sqs.size > 0 ? prng.pick([...sqs.keys()]) : prng.below(6);
    return [id, sqs.get(id)];
  }

  /** A command in the next slot of a queue, now and then in another. */
  #submit(prng: Prng): Access {
    const [id, sq] = this.#sq(prng);
    const slot = sq ? (sq.tail + (prng.below(6) ? 0 : prng.below(3))) % sq.size : 0;
    const base = sq && sq.base + 64 * slot + 64 <= MEMORY_BYTES ? sq.base : sqPage(id % 4);
    const dwords = id === 0 ? this.#admin(prng) : this.#io(prng);
    dwords[0] = (dwords[0] | (this.#cid << 16)) >>> 0;
    if (prng.below(8)) this.#cid = (this.#cid + 1) & 0xff;
    if (prng.below(48) === 0) dwords[0] = (dwords[0] ^ prng.pick([0x100, 0x4000, 0x8000, 0xff])) >>> 0;
    return store(this.#fn.bdf, base + 64 * slot, command(dwords));
  }

  #pointers(prng: Prng): Record<number, number> {
    const page = prng.pick(DATA_PAGES) * PAGE;
    const r = prng.below(16);
    if (r < 7) return { 6: page, 8: prng.pick(DATA_PAGES) * PAGE };
    if (r < 10) return { 6: page + 4 * prng.below(1024), 8: prng.pick(DATA_PAGES) * PAGE };
    if (r < 13) return { 6: page + 512 * prng.below(8), 8: LIST_PAGE + 8 * prng.pick([0, 0, 1, 509, 510, 511]) };
    const odd = [page + 2, MEMORY_BYTES - 512, MEMORY_BYTES, 0, prng.next()];
    return {
      6: prng.pick(odd),
      8: prng.pick([page, page + 4, page + 8, MEMORY_BYTES]),
      7: prng.below(8) ? 0 : prng.next(),
    };
  }

  #io(prng: Prng): Record<number, number> {
    const { blockCount } = this.#variant;
    const lba = prng.below(4) ? prng.below(Math.min(4, blockCount)) : prng.below(blockCount + 1);
    const count = prng.below(4) ? prng.below(3) : prng.pick([7, 8, 15, 16, 31, 32, blockCount - 1, 0xffff]);
    const dwords: Record<number, number> = {
      0: prng.below(24) ? prng.pick(IO_OPCODES) : prng.below(256),
      1: prng.below(16) ? 1 : prng.pick([0, 2, 0xffff_ffff]),
      10: lba,
      11: prng.below(32) ? 0 : 1,
      12: (count | (prng.below(8) ? 0 : 0x4000_0000)) >>> 0,
      ...this.#pointers(prng),
    };
    if (dwords[0] === 9) Object.assign(dwords, { 6: LIST_PAGE + 0x800, 10: prng.below(2), 11: prng.below(4) ? 4 : 3 });
    if (prng.below(12) === 0) this.#useSgl(prng, dwords);
    return dwords;
  }

  /** The command's data by a descriptor: data itself, or a segment in the list page. */
  #useSgl(prng: Prng, dwords: Record<number, number>): void {
    const isList = prng.below(2) === 1;
    dwords[0] |= 0x4000;
    dwords[6] = isList ? LIST_PAGE + 0x400 : prng.pick(DATA_PAGES) * PAGE + prng.below(16);
    dwords[7] = 0;
    dwords[8] = isList ? 16 * (1 + prng.below(3)) : 512 * prng.pick([1, 2, 4, 16, 40]);
    dwords[9] = (isList ? prng.pick([0x20, 0x30, 0x30, 0x50]) : 0) * 0x100_0000;
  }

  #admin(prng: Prng): Record<number, number> {
    const id = prng.below(8) ? 1 + prng.below(this.#variant.shape.queuePairs) : prng.pick([0, 7, 0xffff]);
    const size = prng.below(6) ? this.#variant.ioEntries - 1 : prng.pick([0, 1, 7, 8, 0xffff]);
    const queue = (id | (size << 16)) >>> 0;
    const mostly = (flags: number) => (prng.below(16) ? flags : prng.below(4));
    switch (prng.below(14)) {
      case 0:
      case 1: {
        const vector = prng.below(8) ? prng.below(Math.max(1, this.#nvme.vectors)) : prng.below(70);
        return {
          0: 5,
          6: prng.below(12) ? cqPage(id % 4) : prng.next() & 0xffff,
          10: queue,
          11: mostly(3) | (vector << 16),
        };
      }
      case 2:
      case 3: {
        const cq = prng.below(4) ? id : prng.below(5);
        return {
          0: 1,
          6: prng.below(12) ? sqPage(id % 4) : prng.next() & 0xffff,
          10: queue,
          11: mostly(1) | (cq << 16),
        };
      }
      case 4:
        return { 0: 0, 10: id };
      case 5:
        return { 0: 4, 10: id };
      case 6:
        return {
          0: 6,
          1: prng.below(3) ? 1 : prng.pick([0, 2, 0xffff_fffe]),
          10: prng.below(5),
          ...this.#pointers(prng),
        };
      case 7:
      case 8:
        return this.#setFeature(prng);
      case 9: {
        const feature = prng.pick(FEATURES) | (prng.below(3) ? 0 : prng.below(5) << 8);
        return {
          0: 10,
          1: prng.below(3),
          10: feature,
          11: prng.below(3) ? 0 : prng.pick([1, 31, 32, 0x10_0000, 0x5_0000]),
        };
      }
      case 10: {
        const page = prng.pick([1, 1, 2, 2, 3, 5, 0]) | (prng.below(4) ? 0 : 0x8000);
        const dwords = prng.pick([0, 15, 47, 127, 255, 1023]);
        return {
          0: 2,
          10: page | (dwords << 16),
          12: prng.below(4) ? 0 : prng.pick([2, 64, 512]),
          ...this.#pointers(prng),
        };
      }
      case 11:
      case 12:
        return { 0: 12 };
      default:
        if (prng.below(6) === 0) return { 0: prng.below(256) };
        return { 0: 8, 10: (prng.below(8) ? 0 : id) | (((this.#cid - 1 - prng.below(3)) & 0xff) << 16) };
    }
  }

  #setFeature(prng: Prng): Record<number, number> {
    const fid = prng.pick(FEATURES);
    const values = [0, 1, 2, 0xff, prng.below(400), 0x10_0000 | prng.below(400), 0x1_0000 | prng.below(3), prng.next()];
    const queues = prng.below(5) | (prng.below(5) << 16);
    const nsid = fid === 5 ? prng.pick([1, 0xffff_ffff, 0, 2]) : prng.below(16) ? 0 : prng.below(3);
    return { 0: 9, 1: nsid, 10: prng.below(24) ? fid : fid | 0x8000_0000, 11: fid === 7 ? queues : prng.pick(values) };
  }

  #ringTail(prng: Prng): Access {
    const [id, sq] = this.#sq(prng);
    const by = prng.below(16) ? 1 : prng.below(4);
    const tail = sq && prng.below(48) ? (sq.tail + by) % sq.size : prng.pick([0, 1, 2, 5, 0xffff]);
    return access(KIND.write, 0, 4, this.#fn.bdf, 0x1000 + 2 * id * this.#doorbell, tail);
  }

  #ringHead(prng: Prng): Access {
    const { cqs } = this.#nvme.state;
    const id = prng.below(24) && cqs.size > 0 ? prng.pick([...cqs.keys()]) : prng.below(6);
    const cq = cqs.get(id);
    let head = prng.pick([0, 1, 2, 5]);
    if (cq && prng.below(24)) head = prng.below(3) ? cq.tail : (cq.head + 1) % cq.size;
    return access(KIND.write, 0, 4, this.#fn.bdf, 0x1000 + (2 * id + 1) * this.#doorbell, head);
  }

  #writeRegister(prng: Prng): Access {
    const at = prng.below(2) ? prng.pick([0x0c, 0x10]) : prng.pick(REGISTERS);
    const width = prng.below(12) ? 4 : prng.pick(WIDTHS);
    let value = prng.below(2) ? 1 << prng.below(4) : prng.next();
    if (at === 0x14)
      value = prng.below(3) ? ENABLED ^ (1 << prng.below(24)) : prng.pick([0, 0x4001, ENABLED, 0x46_4001]);
    return access(KIND.write, 0, width, this.#fn.bdf, at, (value & ones(width as Width)) >>> 0);
  }

  #config(prng: Prng): Access {
    const spot = prng.pick(this.#spots);
    const { offset, width } = placeFor(prng, spot, this.#fn.configSize);
    const { bdf } = this.#fn;
    if (prng.below(8) === 0) return access(KIND.read, REGION.config, width, bdf, offset, 0);
    let value = valueFor(prng, spot, this.#fn.getConfig(offset, width as Width));
    if (offset === 4 && prng.below(2)) value |= 6;
    return access(KIND.write, REGION.config, width, bdf, offset, (value & ones(width as Width)) >>> 0);
  }

  /** The vector table and its pending bits; without them anything in the BAR. */
  #table(prng: Prng): Access {
    const { msix, bdf } = this.#fn;
    if (!msix || prng.below(24) === 0) return access(prng.below(2), 0, 4, bdf, prng.next() & 0x3ffc, prng.below(4));
    if (prng.below(6) === 0) return access(KIND.read, msix.pbaBar, 4, bdf, msix.pbaOffset, 0);
    const vector = prng.below(Math.min(msix.count, this.#variant.shape.queuePairs + 1));
    const word = prng.below(6);
    const offset = msix.tableOffset + 16 * vector + (word < 3 ? 4 * word : 12);
    return access(KIND.write, msix.tableBar, 4, bdf, offset, word < 3 ? prng.next() : prng.below(2));
  }

  /** Something for commands to work on: blocks' contents, a PRP list, descriptors, ranges. */
  #data(prng: Prng): Access {
    const { bdf } = this.#fn;
    const bytes = new Uint8Array(8 * (2 + prng.below(8)));
    const put = (at: number, value: number) => writeLe(bytes, at, 4, value >>> 0);
    switch (prng.below(4)) {
      case 0: {
        for (let i = 0; i < bytes.length; i++) bytes[i] = prng.below(256);
        return store(bdf, prng.pick(DATA_PAGES) * PAGE + 512 * prng.below(4), bytes);
      }
      case 1: {
        for (let i = 0; i + 8 <= bytes.length; i += 8)
          put(i, prng.pick([...DATA_PAGES, ...DATA_PAGES, 14, 15]) * PAGE + (prng.below(16) ? 0 : 8));
        return store(bdf, LIST_PAGE + 8 * prng.pick([0, 0, 1, 509, 510]), bytes.subarray(0, 8 * (2 + prng.below(2))));
      }
      case 2: {
        for (let i = 0; i + 16 <= bytes.length; i += 16) {
          put(i, prng.pick(DATA_PAGES) * PAGE + 4 * prng.below(8));
          put(i + 8, prng.pick([0, 16, 512, 512, 1024]));
          put(i + 12, prng.below(6) ? 0 : prng.pick([0x20, 0x30]) * 0x100_0000);
        }
        return store(bdf, LIST_PAGE + 0x400, bytes);
      }
      default: {
        for (let i = 0; i + 16 <= bytes.length; i += 16) {
          put(i + 4, prng.below(3));
          put(i + 8, prng.below(this.#variant.blockCount + 1));
        }
        return store(bdf, LIST_PAGE + 0x800, bytes);
      }
    }
  }
}
