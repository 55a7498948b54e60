import { ones, type Prng, type Width } from '../../core/index.ts';
import type { SparseMemory } from '../../harness/sparse-memory.ts';
import { encodeNaive, MOST_DATA, type NaiveRecord, parseNaive, tellRecord } from '../oracle/naive-records.ts';
import type { Subject, Target } from '../target.ts';
import { SocketClient } from './socket-client.ts';
import { ANSWER, decodeSocketSteps, encodeSocketSteps, OP, type SocketStep } from './socket-steps.ts';
import { clientMemory, NVME, NVME_SETUP, SocketWorld, type WorldOptions } from './socket-world.ts';
import { placeFor, type Spot, spotsOf, valueFor } from './spots.ts';

const WORLDS: readonly WorldOptions[] = [
  { name: 'two plain functions', nvme: 'none', hypercalls: false },
  { name: 'two plain functions, hypercalls', nvme: 'none', hypercalls: true },
  { name: 'an NVMe controller as after reset', nvme: 'reset', hypercalls: false },
  { name: 'an NVMe controller with I/O queues, hypercalls', nvme: 'enabled', hypercalls: true },
];

const NOTHING = new Uint8Array(0);
/** A hypercall with as much argument as there may be. */
const LARGEST = encodeNaive({
  kind: 6,
  region: 0xff,
  width: 0xff,
  status: 0,
  function: 0,
  offset: 33n << 32n,
  value: BigInt(MOST_DATA),
  data: new Uint8Array(MOST_DATA),
});
/** Ways to answer, in words. */
const HOW = ['', ' with a failure', ' one byte short', ' one byte long', ' with nothing'];

/** Two clients of one server of access records, in process. */
class SocketSubject implements Subject<SocketStep> {
  readonly label: string;
  /** Steps are messages, not accesses. */
  readonly functions = [];
  readonly #world: SocketWorld;
  readonly #memories = [clientMemory(), clientMemory()];
  readonly #clean: ReturnType<SparseMemory['snapshot']>;
  readonly #clients: readonly SocketClient[];
  readonly #spots = new Map<number, Spot[]>();
  readonly #addresses: readonly number[];
  #steps: SocketStep[] = [];
  #seen = 0;

  constructor(options: WorldOptions) {
    this.label = options.name;
    this.#world = new SocketWorld(options);
    this.#clean = this.#memories[0].snapshot();
    this.#clients = [0, 1].map((i) => new SocketClient(this.#world, i, this.#memories[i]));
    this.#addresses = [...this.#world.target.functions.keys()];
    for (const [bdf, { fn }] of this.#world.target.functions) this.#spots.set(bdf, spotsOf(fn.layout, 6));
  }

  begin(): void {
    for (const client of this.#clients) client.begin();
    this.#world.naive.conversations = [];
    this.#world.begin();
    for (const memory of this.#memories) memory.restore(this.#clean);
    this.#steps = [];
    this.#seen = 0;
  }

  /** A conversation's state is spread over the server's objects: it is made again by the same steps. */
  save(): SocketStep[] {
    return this.#steps.slice();
  }

  restore(saved: SocketStep[]): void {
    this.begin();
    for (const step of saved) this.run(step);
  }

  run(step: SocketStep): string | undefined {
    this.#steps.push(step);
    const client = this.#clients[step.client];
    switch (step.op) {
      case OP.send:
        client.send(repeat(step.bytes, step.count), step.cut);
        break;
      case OP.answer:
        client.answer(step.count, step.cut);
        break;
      case OP.finish:
        client.finish();
        break;
      case OP.leave:
        client.leave();
        break;
      case OP.window:
        client.setWindow(1024 * step.count);
        break;
      default:
        client.takeAll();
    }
    this.#seen = (Math.imul(this.#seen, 5) ^ client.state) & 0xffff;
    return client.broken;
  }

  finish(): string | undefined {
    for (const client of this.#clients) {
      client.takeAll();
      if (client.broken) return client.broken;
    }
    return this.#world.compare();
  }

  abstractState(): number {
    let h = this.#seen;
    for (const { fn } of this.#world.target.functions.values()) {
      h = Math.imul(h ^ (fn.getConfig(4, 4) & 0x0008_0406), 0x01000193);
      h ^= (fn.msix ? fn.msix.control >>> 14 : 0) | (fn.msi ? (fn.msi.control & 1) << 2 : 0);
    }
    return h;
  }

  generate(prng: Prng): SocketStep {
    const client = prng.below(4) === 0 ? 1 : 0;
    const cut = prng.below(3) ? 0 : prng.below(4) ? 2 + prng.below(40) : 1;
    const step = (op: number, count: number, bytes: Uint8Array = NOTHING) => ({ client, op, cut, count, bytes });
    if (this.#clients[client].owes > 0 && prng.below(8) < 5)
      return step(OP.answer, prng.below(8) ? ANSWER.right : prng.below(5));
    if (this.#clients[client].owes > 0 && prng.below(256) === 0) return step(OP.send, 15 + prng.below(4), LARGEST);
    if (this.#clients[client].owes > 0 && prng.below(32) === 0) return step(OP.finish, 0);
    const r = prng.below(64);
    if (r < 58) return step(OP.send, prng.below(64) ? 1 : 1 + prng.below(40), this.#record(prng));
    if (r === 58)
      return step(
        OP.send,
        1,
        Uint8Array.from({ length: 1 + prng.below(60) }, () => prng.next()),
      );
    if (r === 59) return step(OP.answer, prng.below(5));
    if (r === 60) return step(prng.below(3) ? OP.leave : OP.finish, 0);
    if (r === 61) return step(OP.window, prng.below(4));
    if (r === 62) return step(OP.take, 0);
    const record = this.#record(prng);
    return step(OP.send, 1, record.slice(0, 1 + prng.below(record.length)));
  }

  mutate(prng: Prng, step: SocketStep): SocketStep {
    const r = prng.below(4);
    if (r === 0) return { ...step, cut: prng.below(2) ? 0 : 2 + prng.below(40) };
    if (r === 1) return { ...step, client: 1 - step.client };
    if (step.op !== OP.send || step.bytes.length === 0) return this.generate(prng);
    const bytes = step.bytes.slice();
    bytes[prng.below(bytes.length)] = r === 2 ? prng.next() : prng.pick([0, 1, 2, 4, 8, 0x7f, 0x80, 0xff]);
    return { ...step, bytes };
  }

  simpler(step: SocketStep): SocketStep[] {
    const list: SocketStep[] = [];
    const with_ = (change: Partial<SocketStep>) => list.push({ ...step, ...change });
    if (step.client === 1) with_({ client: 0 });
    if (step.cut !== 0) with_({ cut: 0 });
    if (step.op !== OP.send) return list;
    if (step.count > 1) for (const count of [1, step.count >> 1, step.count - 1]) with_({ count });
    const parsed = parseNaive(step.bytes, 0);
    if (!parsed) return list;
    if (parsed.end < step.bytes.length) with_({ bytes: step.bytes.slice(0, parsed.end) });
    for (const record of simplerRecords(parsed.record)) with_({ bytes: encodeNaive(record) });
    return list;
  }

  tell(step: SocketStep): string {
    for (const client of this.#clients) {
      client.isTelling = true;
      client.heard = [];
    }
    const who = `client ${step.client + 1}`;
    const how = step.cut === 0 ? '' : step.cut === 1 ? ', kept for the next' : `, in pieces of ${step.cut - 1}`;
    switch (step.op) {
      case OP.send: {
        const parsed = parseNaive(step.bytes, 0);
        const what = !parsed
          ? `${step.bytes.length} bytes`
          : tellRecord(parsed.record) +
            (parsed.end < step.bytes.length ? ` and ${step.bytes.length - parsed.end} bytes` : '');
        return `${who}: ${what}${step.count > 1 ? `, ${step.count} times` : ''}${how}`;
      }
      case OP.answer:
        return `${who} answers a DMA read${HOW[step.count] ?? ''}${how}`;
      case OP.finish:
        return `${who} shuts its sending side`;
      case OP.leave:
        return `${who} closes the connection`;
      case OP.window:
        return `${who} stops reading after ${step.count} KiB`;
      default:
        return `${who} reads on`;
    }
  }

  outcome(): string {
    const heard = this.#clients.flatMap((client) => client.heard);
    return heard.length > 6 ? `${heard.slice(0, 6).join('; ')}; … ${heard.length} records` : heard.join('; ');
  }

  /** A request that means something, now and then one that should not be. */
  #record(prng: Prng): Uint8Array {
    const record = this.#request(prng);
    if (prng.below(8) === 0) {
      const odd: Partial<NaiveRecord>[] = [
        { kind: prng.pick([2, 3, 4, 7, 9, 0x10, 0x7f, 0x80, 0x81, 0x83, 0xff]) },
        { region: prng.pick([0, 1, 3, 6, 8, 9, 254, 255]) },
        { width: prng.pick([0, 1, 2, 3, 4, 5, 8, 16, 255]) },
        { function: prng.pick([0, 0x21, 0x28, 0x100, 0xffff, 0x10029, 0xffff_ffff]) },
        { offset: prng.pick([0xffn, 0xfffn, 0xfffdn, 0x1000n, 1n << 32n, (1n << 53n) - 1n, (1n << 64n) - 1n]) },
        { value: prng.pick([0n, 1n, 2n, 0xffff_ffffn, 1n << 32n, (1n << 64n) - 1n]) },
        { status: 1 + prng.below(255) },
      ];
      const changed = { ...record, ...prng.pick(odd) };
      const bytes = encodeNaive(changed);
      // a length that lies makes what follows data
      if (changed.data && prng.below(6) === 0)
        new DataView(bytes.buffer).setBigUint64(
          16,
          prng.pick([0n, 25n, 65535n, 65536n, 65537n, 1n << 32n, 1n << 63n]),
          true,
        );
      return bytes;
    }
    return encodeNaive(record);
  }

  #request(prng: Prng): NaiveRecord {
    const bdf = prng.pick(this.#addresses);
    const { fn } = this.#world.target.functions.get(bdf)!;
    const base = { region: 0xff, width: 0xff, status: 0, function: bdf, offset: 0n, value: 0n, data: undefined };
    const r = prng.below(32);
    if (bdf === NVME && r < 20) {
      const [offset, value] = this.#nvmeAccess(prng);
      const kind = prng.below(8) ? 1 : 0;
      return { ...base, kind, region: 0, width: 4, offset: BigInt(offset), value: kind ? BigInt(value) : 0n };
    }
    if (r < 18) {
      const spot = prng.pick(this.#spots.get(bdf)!);
      const { offset, width } = placeFor(prng, spot, fn.configSize);
      const kind = prng.below(3) ? 1 : 0;
      const value = (valueFor(prng, spot, fn.config.get(offset, width as Width)) & ones(width as Width)) >>> 0;
      const wide = prng.below(8) === 0;
      return {
        ...base,
        kind,
        region: 7,
        width: wide ? 8 : width,
        offset: BigInt(offset),
        value: kind ? BigInt(value) : 0n,
      };
    }
    const { msix } = fn;
    if (r < 22 && msix) {
      const at = prng.below(4) ? msix.tableOffset + 4 * prng.below(4 * Math.min(msix.count, 4)) : msix.pbaOffset;
      const region = at === msix.pbaOffset ? msix.pbaBar : msix.tableBar;
      const kind = prng.below(4) ? 1 : 0;
      const value = BigInt(prng.below(2) ? prng.below(2) : prng.next());
      return { ...base, kind, region, width: prng.pick([4, 4, 8, 1]), offset: BigInt(at), value: kind ? value : 0n };
    }
    if (r < 27) return { ...base, kind: 5, offset: BigInt(prng.below(9)), value: prng.below(4) ? 0n : 1n };
    if (r < 29) return { ...base, kind: 2, value: BigInt(prng.below(2)) };
    if (r < 31) {
      const length = prng.pick([0, 1, 23, 24, 25, 48, prng.below(200), prng.below(64) ? 8 : MOST_DATA]);
      const data = Uint8Array.from({ length }, (_, i) => i + length);
      return { ...base, kind: 6, offset: (33n << 32n) | BigInt(prng.below(30)), value: BigInt(length), data };
    }
    const data = Uint8Array.from({ length: prng.below(60) }, (_, i) => i);
    return { ...base, kind: 8, offset: 0x1000n, value: BigInt(data.length), data };
  }

  /** Register and value of a step towards DMA: bus mastering comes by configuration writes. */
  #nvmeAccess(prng: Prng): readonly [number, number] {
    const r = prng.below(16);
    if (r < 5) return prng.pick(NVME_SETUP);
    if (r < 9) return [0x1000, prng.below(8)];
    if (r < 13) return [0x1008, prng.below(8)];
    if (r < 15) return [prng.pick([0x1004, 0x100c]), prng.below(8)];
    return [4 * prng.below(16), prng.below(2) ? 0 : prng.next()];
  }
}

function repeat(bytes: Uint8Array, count: number): Uint8Array {
  if (count <= 1) return bytes;
  const whole = new Uint8Array(bytes.length * count);
  for (let i = 0; i < count; i++) whole.set(bytes, i * bytes.length);
  return whole;
}

/** The same with less in it. */
function simplerRecords(r: NaiveRecord): NaiveRecord[] {
  const list: NaiveRecord[] = [];
  if (r.status !== 0) list.push({ ...r, status: 0 });
  if (r.data && r.data.length > 0)
    for (const length of [0, r.data.length >> 1, r.data.length - 1])
      list.push({ ...r, data: r.data.slice(0, length), value: BigInt(length) });
  else if (r.value !== 0n) list.push({ ...r, value: 0n }, { ...r, value: r.value & (r.value - 1n) });
  if (r.width === 8 || r.width === 4 || r.width === 2) list.push({ ...r, width: r.width >> 1 });
  if (r.offset !== 0n && r.kind === 5) list.push({ ...r, offset: 0n });
  return list;
}

export const SOCKET_TARGET: Target<SocketStep> = {
  name: 'socket',
  about: 'conversations in access records: two clients, DMA, hypercalls, hostile bytes',
  unit: 'messages',
  variants: WORLDS.length,
  open: (variant) => new SocketSubject(WORLDS[variant]),
  encode: encodeSocketSteps,
  decode: decodeSocketSteps,
};
