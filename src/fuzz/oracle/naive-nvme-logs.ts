import type { NaiveFeatures } from './naive-nvme-features.ts';
import type { NaiveShape } from './naive-nvme-state.ts';

export interface LoggedError {
  count: number;
  queue: number;
  status: number;
  lbaLo: number;
  lbaHi: number;
  nsid: number;
}

const ERROR_LOG = 1;
const SMART_LOG = 2;
/** Event types in the order of reporting, with the log page that tells more. NVMe 1.4 §5.2.1 */
const EVENT_LOGS = [ERROR_LOG, SMART_LOG];
const TEMPERATURE = 310;

/** Error log, counters and asynchronous events. */
export class NaiveLogs {
  readonly #shape: NaiveShape;
  readonly #features: NaiveFeatures;
  #errors: LoggedError[] = [];
  #count = 0;
  #sectors = { read: 0, written: 0 };
  #commands = { read: 0, written: 0 };
  /** Events that wait: type * 8 + information. */
  #events: number[] = [];
  /** Types that are not reported until their page is read. */
  #silent: number[] = [];

  constructor(shape: NaiveShape, features: NaiveFeatures) {
    this.#shape = shape;
    this.#features = features;
  }

  save() {
    return {
      errors: this.#errors.slice(),
      count: this.#count,
      sectors: { ...this.#sectors },
      commands: { ...this.#commands },
      events: this.#events.slice(),
      silent: this.#silent.slice(),
    };
  }

  restore(saved: ReturnType<NaiveLogs['save']>): void {
    this.#errors = saved.errors.slice();
    this.#count = saved.count;
    this.#sectors = { ...saved.sectors };
    this.#commands = { ...saved.commands };
    this.#events = saved.events.slice();
    this.#silent = saved.silent.slice();
  }

  forgetEvents(): void {
    this.#events = [];
    this.#silent = [];
  }

  error(queue: number, status: number, lbaLo: number, lbaHi: number, nsid: number): void {
    this.#count++;
    this.#errors.unshift({ count: this.#count, queue: queue >>> 0, status, lbaLo, lbaHi, nsid });
    if (this.#errors.length > this.#shape.errorLogEntries) this.#errors.pop();
  }

  /** What is notable: errors logged, events that wait, types that are silent. */
  get notable(): number {
    return Math.min(this.#errors.length, 3) | (this.#events.length << 2) | (this.#silent.length << 5);
  }

  read(bytes: number): void {
    this.#commands.read++;
    this.#sectors.read += bytes / 512;
  }

  wrote(bytes: number): void {
    this.#commands.written++;
    this.#sectors.written += bytes / 512;
  }

  event(type: number, info: number): void {
    if (!this.#events.includes(8 * type + info)) this.#events.push(8 * type + info);
  }

  /** Dword 0 of the event to report next: the lowest type, then the lowest information. */
  takeEvent(): number | undefined {
    const ready = this.#events.filter((e) => !this.#silent.includes(e >> 3)).sort((a, b) => a - b);
    if (ready.length === 0) return undefined;
    const [event] = ready;
    this.#events.splice(this.#events.indexOf(event), 1);
    this.#silent.push(event >> 3);
    return (event >> 3) | ((event & 7) << 8) | (EVENT_LOGS[event >> 3] << 16);
  }

  /** A page was read without Retain Asynchronous Event. */
  reportAgain(page: number): void {
    this.#silent = this.#silent.filter((type) => EVENT_LOGS[type] !== page);
  }

  sizeOf(id: number): number | undefined {
    return { 1: 64 * this.#shape.errorLogEntries, 2: 512, 3: 512, 5: 4096 }[id];
  }

  page(id: number): Uint8Array {
    const page = new Uint8Array(this.sizeOf(id)!);
    if (id === ERROR_LOG) this.#fillErrors(new DataView(page.buffer));
    else if (id === SMART_LOG) this.#fillSmart(new DataView(page.buffer));
    else page.set(this.#shape.pages.get(`log ${id}`)!);
    return page;
  }

  /** Error Information, newest first. §5.14.1.1 */
  #fillErrors(view: DataView): void {
    for (const [i, e] of this.#errors.entries()) {
      view.setUint32(64 * i, e.count, true);
      view.setUint32(64 * i + 8, e.queue, true);
      view.setUint16(64 * i + 12, e.status, true);
      view.setUint16(64 * i + 14, 0xffff, true);
      view.setUint32(64 * i + 16, e.lbaLo, true);
      view.setUint32(64 * i + 20, e.lbaHi, true);
      view.setUint32(64 * i + 24, e.nsid, true);
    }
  }

  /** SMART / Health, §5.14.1.2: units of a thousand blocks of 512 bytes, rounded up. */
  #fillSmart(view: DataView): void {
    view.setUint8(0, this.#features.warning);
    view.setUint16(1, TEMPERATURE, true);
    view.setUint8(3, 100);
    view.setUint8(4, 10);
    view.setUint32(32, Math.ceil(this.#sectors.read / 1000), true);
    view.setUint32(48, Math.ceil(this.#sectors.written / 1000), true);
    view.setUint32(64, this.#commands.read, true);
    view.setUint32(80, this.#commands.written, true);
    view.setUint8(112, 1);
    view.setUint32(176, this.#count, true);
  }
}
