import { ones, type Prng, type Width } from '../../core/index.ts';
import type { EmulatedFunction } from '../../pci/index.ts';
import type { Subject, Target } from '../target.ts';
import { NVME_SETUP } from './socket-world.ts';
import { placeFor, type Spot, spotsOf, valueFor } from './spots.ts';
import { joinBytes } from './step-bytes.ts';
import { VfioClient } from './vfio-client.ts';
import { ANSWER, decodeVfioSteps, encodeVfioSteps, FD_KINDS, OP, type VfioStep } from './vfio-steps.ts';
import { tellMessage } from './vfio-words.ts';
import { type VfioWorld, vfioWorlds } from './vfio-world.ts';

const EVENTFD = 0;
const FILE = 1;
const NOTHING = new Uint8Array(0);
/** Ways to answer, in words. */
const HOW = ['', ', the newest', ' with a failure', ' one byte short', ' for another address', ' of another id'];

let worlds: ReturnType<typeof vfioWorlds> | undefined;
const all = () => (worlds ??= vfioWorlds());

/** One client after another of a session in process. */
class VfioSubject implements Subject<VfioStep> {
  readonly label: string;
  /** Steps are messages, not accesses. */
  readonly functions = [];
  readonly #fn: EmulatedFunction;
  readonly #world: VfioWorld;
  readonly #client: VfioClient;
  readonly #spots: readonly Spot[];
  #steps: VfioStep[] = [];
  #seen = 0;

  constructor(world: VfioWorld) {
    this.label = world.label;
    this.#world = world;
    this.#fn = world.device.fn;
    this.#client = new VfioClient(world);
    this.#spots = spotsOf(this.#fn.layout, 6);
  }

  begin(): void {
    this.#client.begin();
    this.#steps = [];
    this.#seen = 0;
  }

  /** A conversation's state is spread over the server's objects: it is made again by the same steps. */
  save(): VfioStep[] {
    return this.#steps.slice();
  }

  restore(saved: VfioStep[]): void {
    this.begin();
    for (const step of saved) this.run(step);
  }

  run(step: VfioStep): string | undefined {
    this.#steps.push(step);
    const client = this.#client;
    const { op } = step;
    if (op === OP.send)
      client.send(
        step.bytes,
        step.fds.map((kind) => FD_KINDS[kind]),
        step.cut,
      );
    else if (op === OP.leave) client.leave();
    else if (op === OP.reply) client.reply(step.vector, step.cut);
    else if (!this.#world.dma) {
      for (const fn of [this.#fn, this.#world.twin])
        if (op === OP.lower) fn.lower();
        else fn.raise(step.vector);
      client.nudge();
    }
    this.#seen = (Math.imul(this.#seen, 5) ^ client.last) & 0xfff;
    return client.broken;
  }

  finish(): string | undefined {
    return this.#client.compare();
  }

  abstractState(): number {
    const { msix, msi } = this.#fn;
    let h = this.#seen | (this.#client.isGreeted ? 0x1000 : 0);
    h ^= (msix ? (msix.control >>> 14) | ((msix.table.pending[0] & 15) << 2) : 0) << 13;
    h ^= (msi ? (msi.control & 1) | ((msi.pendingBits & 15) << 1) : 0) << 20;
    h ^= (this.#fn.intxAsserted ? 1 : 0) << 26;
    for (const fd of this.#client.keptFds) h = Math.imul(h ^ (fd & 1), 0x01000193);
    return h;
  }

  generate(prng: Prng): VfioStep {
    const { dma } = this.#world;
    const r = prng.below(64);
    // commands of a controller need several messages in a row that go well
    const odd = (rarity: number) => prng.below(dma ? 8 * rarity : rarity) === 0;
    const cut = prng.below(3) ? 0 : prng.below(4) ? 2 + prng.below(40) : 1;
    const step = (op: number, bytes: Uint8Array = NOTHING, fds: readonly number[] = [], vector = 0): VfioStep => ({
      op,
      cut,
      vector,
      fds,
      bytes,
    });
    if (!this.#client.isGreeted && prng.below(8)) return step(OP.send, this.#version(prng));
    if (this.#client.owes > 0 && prng.below(8) < 6)
      return step(OP.reply, NOTHING, [], prng.below(12) ? ANSWER.right : prng.below(6));
    if (r < 2 && odd(8)) return step(OP.reply, NOTHING, [], prng.below(6));
    if (r < 10 && !dma) return step(OP.raise, NOTHING, [], prng.below(prng.below(4) ? 4 : 72));
    if (r < 12 && !dma) return step(OP.lower);
    if (r === 12 && odd(1)) return step(OP.leave);
    if (r === 13 && odd(1)) {
      const bytes = Uint8Array.from({ length: 1 + prng.below(40) }, () => prng.next());
      return step(OP.send, bytes);
    }
    const { command, payload, fds = odd(32) ? [prng.below(3)] : [] } = this.#command(prng);
    const bytes = message(prng.below(0x10000), command, payload, prng.below(10) ? 0 : 0x10);
    const header = new DataView(bytes.buffer);
    if (odd(48)) header.setUint32(4, prng.pick([0, 15, 16, 17, 1 << 20, (1 << 20) + 33, 0xffff_ffff]), true);
    if (odd(48)) header.setUint32(8, prng.pick([1, 2, 15, 0x10, 0x20, 0x21, 0x40, 0xffff_fff0]), true);
    if (odd(24) && payload.length > 0) bytes[16 + prng.below(payload.length)] = prng.next();
    return step(OP.send, odd(48) ? bytes.slice(0, prng.below(bytes.length)) : bytes, fds);
  }

  mutate(prng: Prng, step: VfioStep): VfioStep {
    const r = prng.below(4);
    if (r === 0) return { ...step, cut: prng.below(2) ? 0 : 2 + prng.below(40) };
    if (r === 1 && step.fds.length > 0) return { ...step, fds: step.fds.slice(1) };
    if (step.op !== OP.send || step.bytes.length === 0) return this.generate(prng);
    const bytes = step.bytes.slice();
    bytes[prng.below(bytes.length)] = r === 2 ? prng.next() : prng.pick([0, 1, 2, 4, 8, 16, 0x7f, 0x80, 0xff]);
    return { ...step, bytes };
  }

  simpler(step: VfioStep): VfioStep[] {
    const list: VfioStep[] = [];
    const with_ = (change: Partial<VfioStep>) => list.push({ ...step, ...change });
    if (step.cut !== 0) with_({ cut: 0 });
    if (step.vector > 0) with_({ vector: 0 });
    if (step.fds.length > 0) with_({ fds: step.fds.slice(1) });
    const { bytes } = step;
    if (bytes.length < 16) return list;
    const changed = (at: number, ...values: number[]) => {
      const copy = bytes.slice();
      copy.set(values, at);
      with_({ bytes: copy });
    };
    if (bytes[0] | bytes[1]) changed(0, 0, 0);
    if (bytes[8] & 0x10) changed(8, bytes[8] & ~0x10);
    // data of a write, word by word; what stands before it would become another request
    for (let at = 32; bytes[2] === 10 && at < Math.min(bytes.length, 64); at++)
      for (let bit = 0; bit < 8; bit++) if (bytes[at] & (1 << bit)) changed(at, bytes[at] & ~(1 << bit));
    return list;
  }

  tell(step: VfioStep): string {
    this.#client.isTelling = true;
    this.#client.heard = [];
    const { op, bytes, fds, cut } = step;
    if (op === OP.leave) return 'the client closes the connection';
    if (op === OP.raise) return `the device signals vector ${step.vector}`;
    if (op === OP.reply) return `the client answers a DMA command${HOW[step.vector] ?? ''}`;
    if (op === OP.lower) return "the device's interrupt condition ends";
    const how = cut === 1 && fds.length === 0 ? ', kept for the next' : cut > 1 ? `, in pieces of ${cut - 1}` : '';
    const carried = fds.length > 0 ? ` with ${fds.map((kind) => FD_KINDS[kind]).join(', ')}` : '';
    if (bytes.length < 16) return `${bytes.length} bytes${carried}${how}`;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const [size, flags] = [view.getUint32(4, true), view.getUint32(8, true)];
    const odd = size !== bytes.length ? ` (says ${size} bytes, has ${bytes.length})` : '';
    const flagged = flags ? ` flags 0x${flags.toString(16)}${flags & 0x10 ? ' (no reply)' : ''}` : '';
    return `${tellMessage(view.getUint16(2, true), bytes.slice(16))}${flagged}${odd}${carried}${how}`;
  }

  outcome(): string {
    const { heard } = this.#client;
    return heard.length > 6 ? `${heard.slice(0, 6).join('; ')}; …` : heard.join('; ');
  }

  #version(prng: Prng): Uint8Array {
    const json =
      this.#world.dma && prng.below(3) === 0
        ? '{"capabilities":{"max_data_xfer_size":512}}'
        : prng.below(4)
          ? '{"capabilities":{"write_multiple":true}}'
          : prng.pick([
              '{}',
              '{"capabilities":{}}',
              '{"capabilities":{"max_msg_fds":1,"max_data_xfer_size":4096,"max_dma_maps":7,"pgsizes":4096}}',
              '{"capabilities":{"max_msg_fds":1e3,"unknown":[1,{"a":null}]},"more":1}',
              '{"capabilities":{"max_data_xfer_size":512}}',
              '{"capabilities":{"max_data_xfer_size":-1}}',
              '{"capabilities":{"max_dma_maps":"7"}}',
              '{"capabilities":{"max_msg_fds":1.5}}',
              '{"capabilities":{"__proto__":{"max_msg_fds":-1},"toString":1}}',
              '{"capabilities":[]}',
              '{"capabilities":7}',
              '[]',
              'null',
              '{"capabilities":{"write_multiple":false}}',
              '{"capabilities":{"max_data_xfer_size":0}}',
              '{',
              '',
              `${'['.repeat(5000)}`,
            ]);
    const end = prng.below(24) ? '\0' : prng.pick(['', ' ', '\0 ']);
    const head = prng.below(24) ? [0, 0, prng.below(3), 0] : [prng.below(2), prng.below(2), 0, 0];
    const payload = prng.below(48) ? [...head, ...new TextEncoder().encode(json + end)] : head.slice(0, prng.below(5));
    return message(prng.below(0x10000), 1, Uint8Array.from(payload), prng.below(24) ? 0 : 0x10);
  }

  #command(prng: Prng): { command: number; payload: Uint8Array; fds?: readonly number[] } {
    const fn = this.#fn;
    const r = prng.below(64);
    if (this.#world.dma && prng.below(16) > 0) return nvmeCommand(prng);
    const argsz = (size: number) => (prng.below(24) ? size : prng.pick([0, size - 1, size + 4, 0xffff_ffff]));
    if (r < 24) {
      const spot = prng.pick(this.#spots);
      const { offset, width } = placeFor(prng, spot, fn.configSize);
      const count = prng.below(8) ? width : prng.pick([0, 3, 5, 8, 16, 64, 256]);
      if (r < 8) return { command: 9, payload: access(offset, 7, count) };
      const value = (valueFor(prng, spot, fn.config.get(offset, width as Width)) & ones(width as Width)) >>> 0;
      return { command: 10, payload: joinBytes([access(offset, 7, count), data(value, count)]) };
    }
    if (r < 32) {
      const { msix } = fn;
      const bar = msix && prng.below(4) ? msix.tableBar : prng.below(9);
      const base = msix && bar === msix.tableBar ? msix.tableOffset : msix && bar === msix.pbaBar ? msix.pbaOffset : 0;
      const offset = prng.below(12)
        ? base + 4 * prng.below(18)
        : prng.pick([0x3ff, 0xfff, 0x10000, 0xffff, 0xffff_ffff]);
      const count = prng.below(4) ? 4 : prng.pick([0, 1, 2, 3, 8, 16, 33, 0x10000, 0x10_0001]);
      if (prng.below(3) === 0 || count > 4096) return { command: 9, payload: access(offset, bar, count) };
      return {
        command: 10,
        payload: joinBytes([access(offset, bar, count), data(prng.below(2) ? prng.below(2) : prng.next(), count)]),
      };
    }
    if (r < 46) return this.#setIrqs(prng, argsz(20));
    if (r < 52) {
      const page = (n: number) => [n * 4096, prng.below(24) ? 0 : 0xffff_ffff];
      const address = page(prng.below(6));
      const size = page(1 + prng.below(2));
      if (r < 50) {
        const fds = prng.below(2) ? [] : prng.below(8) ? [FILE] : [prng.below(3), FILE];
        const flags = prng.below(12) ? prng.below(4) : prng.next();
        return { command: 2, payload: u32s(argsz(32), flags, ...page(prng.below(16)), ...address, ...size), fds };
      }
      if (prng.below(4) === 0) return { command: 3, payload: u32s(argsz(24), 2, 0, prng.below(8) ? 0 : 1, 0, 0) };
      return { command: 3, payload: u32s(argsz(24), prng.below(8) ? 0 : prng.below(4), ...address, ...size) };
    }
    if (r === 52) return { command: 4, payload: u32s(argsz(16), 0, 0, 0) };
    if (r === 53) return { command: 5, payload: u32s(argsz(32), 0, prng.below(10), 0, 0, 0, 0, 0) };
    if (r === 54) return { command: 7, payload: u32s(argsz(16), 0, prng.below(6), 0) };
    if (r === 55)
      return { command: 6, payload: u32s(argsz(16), prng.below(8) ? 0 : 1, prng.below(10), prng.below(8) ? 0 : 1) };
    if (r < 58) return { command: 13, payload: prng.below(8) ? NOTHING : u32s(0) };
    if (r < 61) {
      const entries = Array.from({ length: prng.below(4) }, () => {
        const count = prng.below(10);
        return joinBytes([access(prng.below(0x48), prng.below(4) ? 7 : prng.below(9), count), data(prng.next(), 8)]);
      });
      return { command: 15, payload: joinBytes([u32s(prng.below(12) ? entries.length : prng.next(), 0), ...entries]) };
    }
    const command = prng.pick([0, 1, 11, 12, 14, 16, 17, 18, 19, 0xffff]);
    return { command, payload: Uint8Array.from({ length: 4 * prng.below(9) }, () => prng.below(4)) };
  }

  #setIrqs(prng: Prng, argsz: number): { command: number; payload: Uint8Array; fds: readonly number[] } {
    const { msix, msi } = this.#fn;
    const index = prng.below(10) ? prng.pick([0, msi ? 1 : 0, msix ? 2 : 0, msix ? 2 : 1]) : prng.below(6);
    const counts = [1, msi ? 8 : 0, msix?.count ?? 0, 1, 1, 0];
    const start = prng.below(3) ? 0 : prng.below(prng.below(8) ? Math.max(1, Math.min(counts[index], 4)) : 80);
    const r = prng.below(16);
    const head = (flags: number, count: number) => u32s(argsz, flags, index, start, count);
    if (r < 8) {
      const count = 1 + prng.below(Math.max(1, Math.min(counts[index] - start, 3)));
      const fds = new Array<number>(prng.below(10) ? count : prng.below(4)).fill(
        prng.below(16) ? EVENTFD : prng.below(3),
      );
      return { command: 8, payload: head(0x24, prng.below(16) ? count : prng.below(3)), fds };
    }
    if (r < 10) return { command: 8, payload: u32s(argsz, 0x21, index, 0, 0), fds: [] };
    const action = prng.pick([8, 16, 32]);
    const count = 1 + prng.below(3);
    if (r < 13) return { command: 8, payload: head(1 | action, count), fds: [] };
    if (r < 15) {
      const bools = Uint8Array.from({ length: prng.below(8) ? count : prng.below(5) }, () => prng.below(2));
      return { command: 8, payload: joinBytes([head(2 | action, count), bools]), fds: [] };
    }
    return { command: 8, payload: head(prng.below(2) ? 4 | action : prng.below(128), count), fds: [] };
  }
}

/** Towards DMA: memory mapped, doorbells, the registers of the admin queue. */
function nvmeCommand(prng: Prng): { command: number; payload: Uint8Array; fds?: readonly number[] } {
  const r = prng.below(16);
  if (r < 4) {
    const [address, size] = prng.below(3)
      ? [0, 0x40000]
      : prng.pick([
          [0, 0x31000],
          [0x31000, 0x1000],
          [0x10000, 0x10000],
        ]);
    return {
      command: 2,
      payload: u32s(32, prng.below(8) ? 3 : prng.below(4), 0, 0, address, 0, size, 0),
      fds: prng.below(8) ? [] : [FILE],
    };
  }
  if (r === 4) return { command: 8, payload: u32s(20, 0x24, prng.below(3), 0, 1), fds: [EVENTFD] };
  if (r === 5)
    return {
      command: 10,
      payload: joinBytes([access(4, 7, 2), Uint8Array.from([prng.below(16) ? 6 : 0, 4 * prng.below(2)])]),
    };
  if (r === 6) return { command: 9, payload: access(4 * prng.below(20), prng.pick([0, 7]), 4) };
  const [offset, value] = r < 13 ? [prng.pick([0x1000, 0x1008, 0x1008, 0x100c]), prng.below(8)] : prng.pick(NVME_SETUP);
  return { command: 10, payload: joinBytes([access(offset, 0, 4), u32s(value)]) };
}

function message(id: number, command: number, payload: Uint8Array, flags: number): Uint8Array {
  return joinBytes([u32s((command << 16) | id, 16 + payload.length, flags, 0), payload]);
}

function access(offset: number, region: number, count: number): Uint8Array {
  return u32s(offset % 2 ** 32, Math.floor(offset / 2 ** 32), region, count);
}

/** A value in the first bytes of so many. */
function data(value: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let i = 0; i < Math.min(count, 4); i++) bytes[i] = value >>> (8 * i);
  for (let i = 4; i < Math.min(count, 64); i++) bytes[i] = value >>> (i & 31);
  return bytes;
}

function u32s(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values.map((v) => v >>> 0)).buffer);
}

export const VFIO_USER_TARGET: Target<VfioStep> = {
  name: 'vfio-user',
  about: 'conversations in vfio-user: negotiation, mappings, interrupts, accesses, hostile messages',
  unit: 'messages',
  get variants() {
    return all().length;
  },
  open: (variant) => new VfioSubject(all()[variant]()),
  encode: encodeVfioSteps,
  decode: decodeVfioSteps,
};
