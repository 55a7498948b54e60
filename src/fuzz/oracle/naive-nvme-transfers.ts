import type { NaiveNvme } from './naive-nvme.ts';
import { type DataPlaces, prpPlaces, sglPlaces } from './naive-nvme-data.ts';

/** Status Code Type << 8 | Status Code, NVMe 1.4 §4.6.1. */
export const S = {
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
/** A command being judged: the errors that apply, any of which it may end with, and what it does if there are none. */
export interface Verdict {
  errors: number[];
  result?: number;
  /** Carried out if there is no error. */
  act?: () => void;
}

/** The data of commands, to and from the host. */
export class NaiveTransfers {
  readonly #nvme: NaiveNvme;

  constructor(nvme: NaiveNvme) {
    this.#nvme = nvme;
  }

  #places(cmd: DataView, length: number): DataPlaces {
    const { memory, pageBytes } = this.#nvme;
    if (cmd.getUint8(1) & 0xc0) return sglPlaces(memory, cmd, length);
    return prpPlaces(memory, pageBytes, cmd, length);
  }

  /** Data for the host; its errors come behind those of the command's fields. */
  out(cmd: DataView, data: () => Uint8Array, length: number, verdict: Verdict): Verdict {
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
  in(cmd: DataView, length: number, errors: number[]): Uint8Array | undefined {
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
}
