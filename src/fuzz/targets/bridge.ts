import { Arena, hex, ones, type Prng, type Width } from '../../core/index.ts';
import { type BarSpec, type FunctionSpec, formatBdf, HostBridge, PciBus } from '../../pci/index.ts';
import {
  type Access,
  BY_ADDRESS,
  decodeAccesses,
  ECAM_SEGMENT,
  encodeAccesses,
  KIND,
  NOT_APPLICABLE,
  REGION,
  RESET,
  SIGNAL,
} from '../access.ts';
import { imageSpec } from '../images.ts';
import { findOnBus, type NaiveNode, reachableBytes, route } from '../oracle/naive-tree.ts';
import type { ScriptSource, SeenRead } from '../reproducers/script.ts';
import type { Subject, Target } from '../target.ts';
import { access } from './function-subject.ts';
import { placeFor, type Spot, spotsOf, valueFor, WIDTHS } from './spots.ts';
import { Twin, type TwinState } from './twin.ts';

/** A function of the tree, twice. */
interface Node extends NaiveNode {
  readonly twin: Twin;
  readonly spots: readonly Spot[];
  below: Node[] | undefined;
}

interface Saved {
  model: Int32Array;
  twins: TwinState[];
  latch: number;
}

const { memory: MEMORY, io: IO } = BY_ADDRESS;

/** A tree of six functions: the port types of its bridges, −1 for conventional ones, and their windows. */
interface Shape {
  name: string;
  outer: number;
  inner: number;
  /** Dwords of the bridges' headers that tell how wide windows are. */
  windows: Record<number, number>;
}

const SHAPES: readonly Shape[] = [
  { name: 'ports of PCI Express', outer: 4, inner: 5, windows: {} },
  { name: 'conventional bridges', outer: -1, inner: -1, windows: {} },
  { name: 'wide windows', outer: 4, inner: 5, windows: { 28: 0x0000_0101, 36: 0x0001_0001 } },
  { name: 'PCI Express behind conventional PCI', outer: 7, inner: 8, windows: { 36: 0x0000_0010 } },
];

/**
 * Two levels of bridges with functions behind them, reached as a CPU does: configuration accesses by bus number,
 * directly, through ECAM or through the ports 0xCF8 to 0xCFF, memory and I/O by address. Where an access must end up is
 * worked out from the naive twins' registers. In an access, `function` is the address that software uses, whoever has it
 * now, segment 1 through ECAM; region 0xff is memory by physical address, 0xfe I/O by port. Raises and resets name
 * functions by number in the tree, bus 0xff.
 */
class BridgeSubject implements Subject<Access> {
  readonly label: string;
  readonly functions: readonly FunctionSpec[];
  readonly #arena = new Arena(1 << 18);
  readonly #host: HostBridge;
  readonly #tree: Node[];
  readonly #nodes: Node[] = [];
  readonly #clean: Int32Array;
  /** What 0xCF8 holds. */
  #latch = 0;
  #did = '';
  #seenRead: SeenRead | undefined;

  constructor({ name, outer: outerType, inner: innerType, windows }: Shape) {
    this.label = name;
    const root = new PciBus();
    this.#host = new HostBridge(root, { arena: this.#arena });
    const bridge = (portType: number): FunctionSpec =>
      imageSpec({
        name: 'bridge',
        bdf: 0x08,
        headerType: 1,
        pm: 0x0003,
        words: windows,
        ...(portType >= 0 ? { express: { caps: 0x8001, portType } } : {}),
      });
    // what carries extended configuration space on: ports, and a bridge into PCI Express
    const carries = (portType: number) => [4, 5, 6, 8].includes(portType);
    const middle = carries(outerType);
    const outer = this.#add(root, bridge(outerType), true);
    const outerBus = root.below(outer.twin.model)!;
    const inner = this.#add(outerBus, bridge(innerType), middle);
    const near = this.#add(outerBus, imageSpec({ name: 'near', bdf: 0, msix: { count: 4 }, bars: NEAR_BARS }), middle);
    const far = this.#add(
      outerBus.below(inner.twin.model)!,
      imageSpec({
        name: 'far',
        bdf: 0,
        msi: 0x0206,
        msiAt: 0xf4, // its last two bytes are the last that a conventional bus reaches
        express: { caps: 0x1000_8fe1 },
        extended: [{ id: 0x0001, at: 0x100, version: 2, words: { 16: 0xf1c1 } }],
        bars: FAR_BARS,
        words: { 4092: 0x9abc_def0 },
      }),
      middle && carries(innerType),
    );
    const lone = this.#add(
      root,
      imageSpec({ name: 'lone', bdf: 0x10, msix: { count: 2 }, pm: 0x0003, bars: LONE_BARS }),
      true,
    );
    inner.below = [far];
    outer.below = [inner, near];
    this.#tree = [outer, lone];
    this.functions = this.#nodes.map(({ twin }) => twin.spec);
    this.#clean = this.#arena.snapshot();
  }

  #add(bus: PciBus, spec: FunctionSpec, extended: boolean): Node {
    const twin = new Twin(spec, this.#arena);
    bus.attach(twin.model);
    const { oracle } = twin;
    const spots = spotsOf(twin.model.layout, 6, RELEVANT);
    const node: Node = { twin, oracle, devfn: spec.bdf & 0xff, bars: spec.bars, extended, spots, below: undefined };
    this.#nodes.push(node);
    return node;
  }

  begin(): void {
    this.#arena.restore(this.#clean);
    this.#latch = 0;
    for (const { twin } of this.#nodes) twin.begin();
  }

  save(): Saved {
    return { model: this.#arena.snapshot(), twins: this.#nodes.map(({ twin }) => twin.save()), latch: this.#latch };
  }

  restore(saved: Saved): void {
    this.#arena.restore(saved.model);
    this.#latch = saved.latch;
    for (const [i, { twin }] of this.#nodes.entries()) twin.restore(saved.twins[i]);
  }

  generate(prng: Prng): Access {
    const r = prng.below(32);
    if (r < 2) {
      const index = prng.below(this.#nodes.length);
      const signal = prng.below(4) ? SIGNAL.begins : SIGNAL.ends;
      return access(KIND.raise, NOT_APPLICABLE, NOT_APPLICABLE, 0xff00 | index, prng.below(4), signal);
    }
    if (r === 2 && prng.below(4) === 0)
      return access(
        KIND.reset,
        NOT_APPLICABLE,
        NOT_APPLICABLE,
        0xff00 | prng.below(this.#nodes.length),
        0,
        prng.below(2),
      );
    if (r < 8) return this.#addressed(prng);
    if (r < 10) return this.#port(prng);
    if (r < 14) return setUp(prng);
    const bus = prng.below(2) ? 0 : prng.below(4);
    const devfn = [0x08, 0x08, 0x00, 0x10][prng.below(4)];
    const node = this.#find(bus, devfn) ?? prng.pick(this.#nodes);
    const spot = prng.pick(node.spots);
    const { offset, width } = placeFor(prng, spot, node.twin.model.configSize);
    const write = r < 26;
    let value = write ? valueFor(prng, spot, node.twin.model.config.get(offset, width as Width)) : 0;
    if (write && prng.below(4)) value = leading(prng, spot.at, node) ?? value;
    if (write && spot.at === 4) value |= prng.below(8);
    value = (value & ones(width as Width)) >>> 0;
    const segment = prng.below(4) === 0 && (offset & 3) + width <= 4 && offset < 4096 ? ECAM_SEGMENT : 0;
    return access(write ? KIND.write : KIND.read, REGION.config, width, segment | (bus << 8) | devfn, offset, value);
  }

  /** Memory or I/O at, in or just beyond some BAR's place. */
  #addressed(prng: Prng): Access {
    const node = prng.pick(this.#nodes.filter((n) => n.bars.length > 0));
    const { bar, kind, sizeBytes } = prng.pick(node.bars);
    const low = node.oracle.read(bar === 6 ? 0x30 : 0x10 + 4 * bar, 4);
    const high = kind === 'mem64' ? node.oracle.read(0x14 + 4 * bar, 4) : 0;
    const base = (low & ~(kind === 'io' ? 3 : kind === 'rom' ? 0x7ff : 15)) >>> 0;
    const inside = kind === 'mem64' ? prng.pick([0x1000, 0x100c, 0x101c, 0x1040]) : 4 * prng.below(4);
    const offset = prng.pick([0, inside, inside, sizeBytes - 4, sizeBytes - 1, sizeBytes]);
    const at = high * 2 ** 32 + base + offset - (prng.below(16) === 0 ? 4 : 0);
    const write = prng.below(2) === 0;
    const width = prng.below(4) ? 4 : WIDTHS[prng.below(3)];
    const value = write ? (prng.below(2) ? prng.below(2) : prng.next()) & ones(width) : 0;
    const region = kind === 'io' ? IO : MEMORY;
    // addresses from 2^53 on are rounded, in the model as in the oracle
    const address = at < 0 || at >= 2 ** 53 ? base : at;
    return access(write ? KIND.write : KIND.read, region, width, 0, address, value >>> 0);
  }

  /** Configuration mechanism #1: the address, or an access of the data port inside its dword. */
  #port(prng: Prng): Access {
    if (prng.below(2)) {
      const register = prng.pick([0x00, 0x04, 0x10, 0x18, 0x1c, 0x20, 0x3c, 0xfc]);
      const enable = prng.below(8) ? 0x8000_0000 : 0;
      const value = enable + prng.below(4) * 0x1_0000 + prng.pick([0, 8, 0x10]) * 0x100 + register + prng.below(4);
      return access(KIND.write, IO, 4, 0, 0xcf8, value);
    }
    const lane = prng.below(4);
    const width = prng.pick(WIDTHS.filter((w) => lane + w <= 4));
    const port = (prng.below(8) ? 0xcfc : 0xcf8) + lane;
    const write = prng.below(2) === 0;
    return access(write ? KIND.write : KIND.read, IO, width, 0, port, write ? (prng.next() & ones(width)) >>> 0 : 0);
  }

  mutate(prng: Prng, step: Access): Access {
    if (step.kind !== KIND.write || prng.below(3) === 0) return this.generate(prng);
    return { ...step, value: (step.value ^ (1 << prng.below(8 * step.width))) >>> 0 };
  }

  run(step: Access): string | undefined {
    for (const { twin } of this.#nodes) twin.clear();
    this.#seenRead = undefined;
    let wrong =
      step.region === REGION.config
        ? this.#config(step)
        : step.kind === KIND.read || step.kind === KIND.write
          ? this.#byAddress(step)
          : this.#signal(step);
    this.#did = '';
    for (const { twin } of this.#nodes) {
      const broken = twin.compareEffects();
      if (broken) wrong ??= `${broken} (${twin.spec.name})`;
      if (twin.telling) this.#did += twin.did;
    }
    return wrong;
  }

  #config(step: Access): string | undefined {
    const { kind, offset, width, value } = step;
    const [bus, devfn] = [(step.function >> 8) & 0xff, step.function & 0xff];
    const host = this.#host;
    const ecam = ((bus << 20) | (devfn << 12) | offset) >>> 0;
    const isEcam = (step.function & ECAM_SEGMENT) !== 0;
    if (kind === KIND.read) {
      const got = isEcam ? host.readEcam(ecam, width).lo : host.readConfig(bus, devfn, offset, width as Width);
      return this.#compareRead(step, got, this.#find(bus, devfn), offset);
    }
    if (isEcam) host.writeEcam(ecam, width, value);
    else host.writeConfig(bus, devfn, offset, width as Width, value);
    return this.#configWritten(this.#find(bus, devfn), offset, width, value);
  }

  /** What runs over the end of the space that the way carries has its bytes up to there. */
  #compareRead(step: Access, got: number, node: Node | undefined, offset: number): string | undefined {
    const { width } = step;
    const limit = node ? reachableBytes(node) : 0;
    let want = node && offset < limit ? node.oracle.read(offset, width) : 256 ** width - 1;
    if (offset < limit && offset + width > limit) want %= 256 ** (limit - offset);
    this.#seenRead = { got, want, mask: ones(width as Width) };
    if (got === want) return undefined;
    // bits that hardware changes by itself are no difference
    if (node && offset + width <= limit && node.twin.readConfig(offset, width as Width) === undefined) return undefined;
    return `read: ${this.#place(step)} reads ${hex(got)}, should be ${hex(want)}`;
  }

  #configWritten(node: Node | undefined, offset: number, width: number, value: number): string | undefined {
    const limit = node ? reachableBytes(node) : 0;
    if (!node || offset >= limit) return undefined;
    const before = node.oracle.bytes[0x3e];
    const within = Math.min(width, limit - offset);
    node.oracle.write(offset, within, within < 4 ? value % 256 ** within : value);
    if (node.below && node.oracle.bytes[0x3e] & ~before & 0x40) this.#hotReset(node.below);
    return node.twin.compareConfig(offset & ~3, 8);
  }

  /** Secondary Bus Reset, PCI-to-PCI Bridge 1.2 §3.2.5.18: everything below, however deep. */
  #hotReset(nodes: readonly Node[]): void {
    for (const { twin, below } of nodes) {
      twin.oracle.reset('hot');
      if (below) this.#hotReset(below);
    }
  }

  #byAddress(step: Access): string | undefined {
    const { kind, region, offset, value } = step;
    const width = step.width as Width;
    if (region === IO && offset >= 0xcf8 && offset < 0xd00) return this.#ports(step);
    const space = region === IO ? 'io' : 'memory';
    const found = route(this.#tree, space, offset);
    const target = space === 'io' ? this.#host.root.route('io', offset) : undefined;
    if (kind === KIND.write) {
      if (space === 'memory') this.#host.writeMemory(offset, width, value);
      else target?.function.writeBar(target.bar, target.offset, width, value);
      found?.node.oracle.writeBar(found.bar, found.offset, width, value);
      return undefined;
    }
    const got =
      space === 'memory'
        ? this.#host.readMemory(offset, width)
        : (target?.function.readBar(target.bar, target.offset, width) ?? ones(width));
    const want = found ? found.node.oracle.readBar(found.bar, found.offset, width) : 256 ** width - 1;
    this.#seenRead = { got, want, mask: ones(width) };
    return got === want ? undefined : `read: ${this.#place(step)} reads ${hex(got)}, should be ${hex(want)}`;
  }

  /** PCI Local Bus 3.0 §3.2.2.3.2: bits 30:24 and 1:0 of the address read 0; only a dword access is of the address. */
  #ports(step: Access): string | undefined {
    const { kind, offset, value } = step;
    const width = step.width as Width;
    const [bus, devfn] = [(this.#latch >>> 16) & 0xff, (this.#latch >>> 8) & 0xff];
    const node = this.#latch & 0x8000_0000 ? this.#find(bus, devfn) : undefined;
    const register = (this.#latch & 0xfc) + (offset & 3);
    if (kind === KIND.write) {
      this.#host.writePort(offset, width, value);
      if (offset >= 0xcfc) return this.#configWritten(node, register, width, value);
      if (offset === 0xcf8 && width === 4) this.#latch = (value & 0x80ff_fffc) >>> 0;
      return undefined;
    }
    const got = this.#host.readPort(offset, width);
    if (offset >= 0xcfc) return this.#compareRead(step, got, node, register);
    const want = offset === 0xcf8 && width === 4 ? this.#latch : ones(width);
    this.#seenRead = { got, want, mask: ones(width) };
    return got === want ? undefined : `read: ${this.#place(step)} reads ${hex(got)}, should be ${hex(want)}`;
  }

  #signal(step: Access): string | undefined {
    const node = this.#nodes[step.function & 0xff];
    if (!node) return undefined;
    if (step.kind === KIND.reset) node.twin.reset(step.value === RESET.flr ? 'flr' : 'conventional');
    else if (step.value === SIGNAL.ends) node.twin.lower();
    else node.twin.raise(step.offset);
    return undefined;
  }

  finish(): string | undefined {
    for (const { twin } of this.#nodes) {
      const wrong = twin.compareAll();
      if (wrong) return `${wrong} (${twin.spec.name})`;
    }
    return undefined;
  }

  /** Who answers where, and who may do what. */
  abstractState(): number {
    let h = 0;
    const mix = (value: number) => {
      h = Math.imul(h ^ value, 0x01000193);
      h ^= h >>> 15;
    };
    for (let bus = 0; bus < 4; bus++)
      for (const devfn of [0, 8]) {
        const node = this.#find(bus, devfn);
        mix(node ? this.#nodes.indexOf(node) : -1);
      }
    for (const { twin, below } of this.#nodes) {
      mix(twin.oracle.bytes[4] & 7);
      if (below) mix(twin.oracle.bytes[0x3e] & 0x40);
      const base = twin.oracle.read(0x10, 4);
      const found = route(this.#tree, 'memory', ((base & ~15) >>> 0) + 0x1000);
      mix(found ? this.#nodes.indexOf(found.node) : -1);
    }
    for (const { oracle } of this.#nodes) {
      const port = route(this.#tree, 'io', (oracle.read(0x18, 4) & ~3) >>> 0);
      mix(port ? this.#nodes.indexOf(port.node) : -1);
    }
    return h;
  }

  simpler(step: Access): Access[] {
    const list: Access[] = [];
    if (step.kind !== KIND.write) return list;
    if (step.value !== 0) list.push({ ...step, value: 0 });
    for (let bit = 0; bit < 8 * step.width; bit++)
      if (step.value & (1 << bit)) list.push({ ...step, value: (step.value & ~(1 << bit)) >>> 0 });
    return list;
  }

  tell(step: Access): string {
    for (const { twin } of this.#nodes) twin.telling = true;
    if (step.kind === KIND.read) return `read ${step.width} at ${this.#place(step)}`;
    if (step.kind === KIND.write) return `write ${hex(step.value, 2 * step.width)} to ${this.#place(step)}`;
    const name = this.#nodes[step.function & 0xff]?.twin.spec.name;
    if (step.kind === KIND.reset) return `${step.value ? 'function level' : 'conventional'} reset of ${name}`;
    return step.value ? `the condition of ${name} ends` : `${name} signals vector ${step.offset}`;
  }

  outcome(): string {
    return this.#did;
  }

  get script(): ScriptSource {
    const nodes = this.#nodes;
    return {
      behind: nodes.map((node) => nodes.findIndex(({ below }) => below?.includes(node))),
      seen: () => ({ read: this.#seenRead, effects: nodes.map(({ twin }) => twin.seenEffects) }),
      differences: () => this.#differences(),
    };
  }

  /** Reads by bus number of those that answer now. */
  #differences(): Access[] {
    const reads: Access[] = [];
    for (let bus = 0; bus < 256; bus++)
      for (const { twin, devfn } of findOnBus(this.#tree, 0, bus) ?? [])
        for (const { region, offset, width } of twin.differences())
          if (region === REGION.config) reads.push(access(KIND.read, region, width, (bus << 8) | devfn, offset, 0));
    return reads;
  }

  #place(step: Access): string {
    if (step.region !== REGION.config)
      return `${step.region === IO ? 'port' : 'memory'} ${hex(step.offset)} width ${step.width}`;
    const node = this.#find((step.function >> 8) & 0xff, step.function & 0xff);
    const name = node?.twin.spec.name ?? 'nobody';
    const where = node?.twin.where(REGION.config, step.offset, step.width) ?? `config+${hex(step.offset, 2)}`;
    return `${formatBdf(step.function & 0xffff)} (${name}) ${where}${step.function & ECAM_SEGMENT ? ' by ECAM' : ''}`;
  }

  #find(bus: number, devfn: number): Node | undefined {
    return findOnBus(this.#tree, 0, bus)?.find((n) => n.devfn === devfn);
  }
}

const NEAR_BARS: BarSpec[] = [
  { bar: 2, kind: 'io', sizeBytes: 16 },
  { bar: 3, kind: 'mem32', sizeBytes: 4096 },
  { bar: 6, kind: 'rom', sizeBytes: 65536 },
];
const LONE_BARS: BarSpec[] = [{ bar: 2, kind: 'mem32', sizeBytes: 65536 }];
const FAR_BARS: BarSpec[] = [
  { bar: 0, kind: 'mem64', sizeBytes: 65536, prefetchable: true },
  { bar: 2, kind: 'io', sizeBytes: 4096 },
  { bar: 3, kind: 'mem32', sizeBytes: 65536 },
];

/** Writes that a firmware makes so that all six are reached: bus, device and function, offset, width, value. */
const SET_UP = [
  ...[0x008, 0x010, 0x108, 0x100, 0x200].map((fn) => [fn, 0x04, 2, 7]),
  ...[
    [0x008, 0x18, 4, 0x0002_0100],
    [0x108, 0x18, 4, 0x0002_0201],
  ],
  ...[0x008, 0x108].flatMap((fn) => [
    [fn, 0x20, 4, 0x2000_1000],
    [fn, 0x1c, 2, 0x2010],
    [fn, 0x24, 4, 0x4000_3000],
  ]),
  ...[0x008, 0x108].flatMap((fn) => [
    [fn, 0x28, 4, 1],
    [fn, 0x2c, 4, 1],
    [fn, 0x30, 2, 1],
    [fn, 0x32, 2, 1],
  ]),
  ...[
    [0x010, 0x10, 4, 0x3000_0000],
    [0x010, 0x14, 4, 0],
  ],
  ...[
    [0x100, 0x10, 4, 0x1000_0000],
    [0x100, 0x14, 4, 0],
    [0x100, 0x18, 4, 0x1000],
    [0x100, 0x1c, 4, 0x1001_0000],
  ],
  ...[
    [0x200, 0x10, 4, 0x3000_0000],
    [0x200, 0x14, 4, 1],
    [0x200, 0x18, 4, 0x2000],
    [0x200, 0x1c, 4, 0x1002_0000],
  ],
  ...[
    [0x100, 0x30, 4, 0x1004_0001],
    [0x200, 0x18, 4, 0x1_1000],
    [0x100, 0x18, 4, 0x1_2ff0],
  ],
] as const;

function setUp(prng: Prng): Access {
  const [fn, offset, width, value] = prng.pick(SET_UP as readonly (readonly number[])[]);
  return access(KIND.write, REGION.config, width, fn, offset, value);
}

/** Bus numbers, windows and addresses that lead somewhere, next to each other and at the ends. */
function leading(prng: Prng, at: number, node: Node): number | undefined {
  if (node.below) {
    if (at >= 0x18 && at <= 0x1a) return prng.below(5) + 256 * prng.below(5) + 65536 * prng.below(5);
    if (at === 0x1c || at === 0x1d) return prng.pick([0x10, 0x10, 0x00, 0x1010, 0xf0]);
    if (at >= 0x20 && at < 0x28) return prng.pick([0x1000, 0x1000, 0x2000, 0x1010, 0x0000, 0xfff0]);
    if (at >= 0x28 && at < 0x34) return prng.pick([0, 0, 1]);
    return undefined;
  }
  const bar = node.bars.find((b) => at === (b.bar === 6 ? 0x30 : 0x10 + 4 * b.bar));
  if (!bar) return at >= 0x10 && at < 0x28 ? prng.pick([0, 0, 1]) : undefined;
  if (bar.kind === 'io') return prng.pick([0x1000, 0x1000, 0x1010, 0x2000, 0xffff_fff0, 0x10000]);
  const address = prng.pick([0x1000_0000, 0x1000_0000, 0x1001_0000, 0x100f_0000, 0x2000_0000, 0x1_0000, 0xffff_0000]);
  return address | (bar.kind === 'rom' ? prng.below(2) : 0);
}

const RELEVANT =
  /^(command|status|primaryBus|secondaryBus|subordinateBus|memory|prefetch|io(Base|Limit)|bridgeControl|bar\d.*|rom|msi\.|msix\.|pm\.pmcsr|pcie\.deviceControl|aer\.correctableMask|vendorId)/;

export const BRIDGE_TARGET: Target<Access> = {
  name: 'bridge',
  about: 'bridges: who answers at a bus number or an address, and secondary bus resets',
  unit: 'accesses',
  variants: SHAPES.length,
  open: (variant) => new BridgeSubject(SHAPES[variant]),
  encode: encodeAccesses,
  decode: decodeAccesses,
};
