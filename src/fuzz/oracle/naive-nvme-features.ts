import type { NaiveLogs } from './naive-nvme-logs.ts';
import type { NaiveShape } from './naive-nvme-state.ts';

const FIELD = 0x002;
const NAMESPACE = 0x00b;
const SEQUENCE = 0x00c;
const NOT_SAVEABLE = 0x10d;
const NOT_PER_NAMESPACE = 0x10f;
const ALL = 0xffff_ffff;

/** The composite temperature, which never changes, and the threshold it starts with; in kelvin. */
const TEMPERATURE = 310;
const WARNING = 343;
const QUEUES = 0x07;
const VECTOR = 0x09;
const THRESHOLD = 0x04;
const ERROR_RECOVERY = 0x05;
/** Bits of dword 11 that each feature has, NVMe 1.4 §5.21.1. */
const BITS: Record<number, number> = {
  1: 0xffff_ff07,
  2: 0xff,
  4: 0xffff,
  5: 0xffff,
  6: 1,
  8: 0xffff,
  10: 1,
  11: 0xff,
};
const DEFAULTS = new Map([
  ['4', WARNING],
  ['4 under', 0],
  ['6', 1],
]);

/** Features as numbers under their names. */
export class NaiveFeatures {
  readonly #shape: NaiveShape;
  #values = new Map<string, number>();
  grantedSqs: number;
  grantedCqs: number;

  constructor(shape: NaiveShape) {
    this.#shape = shape;
    this.grantedSqs = this.grantedCqs = shape.queuePairs;
  }

  save() {
    return { values: new Map(this.#values), sqs: this.grantedSqs, cqs: this.grantedCqs };
  }

  restore(saved: ReturnType<NaiveFeatures['save']>): void {
    this.#values = new Map(saved.values);
    this.grantedSqs = saved.sqs;
    this.grantedCqs = saved.cqs;
  }

  reset(): void {
    this.#values.clear();
    this.grantedSqs = this.grantedCqs = this.#shape.queuePairs;
  }

  get writeCache(): boolean {
    return this.#value('6') !== 0;
  }

  /** Critical Warning, §5.14.1.2. */
  get warning(): number {
    return TEMPERATURE >= this.#value('4') || TEMPERATURE <= this.#value('4 under') ? 2 : 0;
  }

  #value(name: string): number {
    return this.#values.get(name) ?? DEFAULTS.get(name) ?? 0;
  }

  /** Errors that a dword 11 of Set or Get makes, and the name that the value goes by. */
  #nameOf(fid: number, dw11: number, nsid: number): string | number {
    if (fid === THRESHOLD) {
      const [sensor, kind] = [(dw11 >>> 16) & 15, (dw11 >>> 20) & 3];
      return (sensor === 0 || sensor === 15) && kind < 2 ? (kind ? '4 under' : '4') : FIELD;
    }
    if (fid === ERROR_RECOVERY) return nsid === 1 ? '5' : NAMESPACE;
    if (fid === VECTOR) return (dw11 & 0xffff) < this.#vectors ? `9 ${dw11 & 0xffff}` : FIELD;
    return String(fid);
  }

  /** Vectors that the controller has in any mode. */
  get #vectors(): number {
    return Math.max(this.#shape.vectors, 32);
  }

  /** Set Features, §5.21. */
  set(dw: (n: number) => number, hasIoQueues: boolean, logs: NaiveLogs) {
    const fid = dw(10) & 0xff;
    const value = dw(11);
    const nsid = dw(1);
    const errors: number[] = [];
    if (!(fid in BITS) && fid !== QUEUES && fid !== VECTOR) errors.push(FIELD);
    if (dw(10) >>> 31) errors.push(NOT_SAVEABLE);
    if (nsid > 1 && nsid !== ALL) errors.push(NAMESPACE);
    else if (nsid === 1 && fid !== ERROR_RECOVERY) errors.push(NOT_PER_NAMESPACE);
    if (fid === QUEUES) {
      if (hasIoQueues) errors.push(SEQUENCE);
      if ((value & 0xffff) === 0xffff || value >>> 16 === 0xffff) errors.push(FIELD);
      if (errors.length > 0) return { errors };
      const most = this.#shape.queuePairs;
      this.grantedSqs = Math.min(most, (value & 0xffff) + 1);
      this.grantedCqs = Math.min(most, (value >>> 16) + 1);
      return { errors, result: this.#queues() };
    }
    if (fid === 2 && (value & 31) !== 0) errors.push(FIELD);
    if (fid === ERROR_RECOVERY && value & 0x1_0000) errors.push(FIELD);
    const name = this.#nameOf(fid, value, fid === ERROR_RECOVERY && nsid === ALL ? 1 : nsid);
    if (typeof name === 'number') errors.push(name);
    if (errors.length > 0) return { errors };
    const before = this.warning;
    this.#values.set(String(name), fid === VECTOR ? (value >>> 16) & 1 : (value & BITS[fid]) >>> 0);
    if (this.warning & ~before & this.#value('11')) logs.event(1, 1);
    return { errors };
  }

  /** Get Features, §5.13: Select 0 current, 1 default, 2 saved, 3 capabilities. */
  get(dw: (n: number) => number) {
    const fid = dw(10) & 0xff;
    const select = (dw(10) >>> 8) & 7;
    if (select > 3 || (!(fid in BITS) && fid !== QUEUES && fid !== VECTOR)) return { errors: [FIELD] };
    if (select === 3) return { errors: [], result: fid === ERROR_RECOVERY ? 6 : 4 };
    if (fid === QUEUES) {
      const most = (this.#shape.queuePairs - 1) * 0x1_0001;
      return { errors: [], result: select === 0 ? this.#queues() : most };
    }
    const name = this.#nameOf(fid, dw(11), dw(1));
    if (typeof name === 'number') return { errors: [name] };
    const value = select === 0 ? this.#value(name) : (DEFAULTS.get(name) ?? 0);
    return { errors: [], result: fid === VECTOR ? (dw(11) & 0xffff) + value * 0x1_0000 : value };
  }

  #queues(): number {
    return this.grantedSqs - 1 + (this.grantedCqs - 1) * 0x1_0000;
  }
}
