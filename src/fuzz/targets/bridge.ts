import { Arena, hex, ones, type Prng, type Width } from '../../core/index.ts';
import { type FunctionSpec, formatBdf, HostBridge, PciBus } from '../../pci/index.ts';
import { type Access, decodeAccesses, encodeAccesses, KIND, NOT_APPLICABLE, REGION, RESET, SIGNAL } from '../access.ts';
import { imageSpec } from '../images.ts';
import type { ScriptSource, SeenRead } from '../reproducers/script.ts';
import type { Subject, Target } from '../target.ts';
import { access } from './function-subject.ts';
import { placeFor, type Spot, spotsOf, valueFor, WIDTHS } from './spots.ts';
import { Twin, type TwinState } from './twin.ts';

/** A function in the tree and, if it is a bridge, what stands behind it. */
interface Node {
  twin: Twin;
  spots: readonly Spot[];
  below: Node[] | undefined;
}

interface Saved {
  model: Int32Array;
  twins: TwinState[];
}

/**
 * Two levels of bridges with functions behind them, reached as a CPU does: configuration accesses by bus number,
 * memory accesses by address. Where an access must end up is worked out from the naive twins' registers. In an access,
 * `function` is the address that software uses, whoever has it now; region 0xff is memory by physical address. Raises
 * and resets name functions by number in the tree, bus 0xff.
 */
class BridgeSubject implements Subject<Access> {
  readonly label: string;
  readonly functions: readonly FunctionSpec[];
  readonly #arena = new Arena(1 << 18);
  readonly #host: HostBridge;
  readonly #tree: Node[];
  readonly #nodes: Node[] = [];
  readonly #clean: Int32Array;
  readonly #extended: boolean;
  #did = '';
  #seenRead: SeenRead | undefined;

  constructor(express: boolean) {
    this.label = express ? 'ports of PCI Express' : 'conventional bridges';
    this.#extended = express;
    const root = new PciBus();
    this.#host = new HostBridge(root, { arena: this.#arena });
    const bridge = (devfn: number, portType: number): FunctionSpec =>
      imageSpec({
        name: 'bridge',
        bdf: devfn,
        headerType: 1,
        pm: 0x0003,
        ...(express ? { express: { caps: 0x8001, portType } } : {}),
      });
    const outer = this.#add(root, bridge(0x08, 4));
    const inner = this.#add(root.below(outer.twin.model)!, bridge(0x08, express ? 5 : 4));
    const near = this.#add(root.below(outer.twin.model)!, imageSpec({ name: 'near', bdf: 0, msix: { count: 4 } }));
    const farBus = root.below(outer.twin.model)!.below(inner.twin.model)!;
    const far = this.#add(farBus, imageSpec({ name: 'far', bdf: 0, msi: 0x0186, express: { caps: 0x1000_8fe1 } }));
    const lone = this.#add(root, imageSpec({ name: 'lone', bdf: 0x10, msix: { count: 2 }, pm: 0x0003 }));
    inner.below = [far];
    outer.below = [inner, near];
    this.#tree = [outer, lone];
    this.functions = this.#nodes.map(({ twin }) => twin.spec);
    this.#clean = this.#arena.snapshot();
  }

  #add(bus: PciBus, spec: FunctionSpec): Node {
    const twin = new Twin(spec, this.#arena);
    bus.attach(twin.model);
    const node = { twin, spots: spotsOf(twin.model.layout, 6, RELEVANT), below: undefined };
    this.#nodes.push(node);
    return node;
  }

  begin(): void {
    this.#arena.restore(this.#clean);
    for (const { twin } of this.#nodes) twin.begin();
  }

  save(): Saved {
    return { model: this.#arena.snapshot(), twins: this.#nodes.map(({ twin }) => twin.save()) };
  }

  restore(saved: Saved): void {
    this.#arena.restore(saved.model);
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
    if (r < 9) return this.#memoryAccess(prng);
    const bus = prng.below(2) ? 0 : prng.below(4);
    const devfn = [0x08, 0x08, 0x00, 0x10][prng.below(4)];
    const node = this.#find(bus, devfn) ?? prng.pick(this.#nodes);
    const spot = prng.pick(node.spots);
    const { offset, width } = placeFor(prng, spot, node.twin.model.configSize);
    const write = r < 26;
    let value = write ? valueFor(prng, spot, node.twin.model.config.get(offset, width as Width)) : 0;
    // bus numbers, windows and addresses that lead somewhere
    if (write && spot.at >= 0x18 && spot.at <= 0x1a && node.below)
      value = prng.below(5) + 256 * prng.below(5) + 65536 * prng.below(5);
    else if (write && spot.at >= 0x20 && spot.at < 0x24 && node.below)
      value = prng.pick([0x1000, 0x1000, 0x2000, 0x1010]);
    else if (write && spot.at >= 0x10 && spot.at < 0x18 && prng.below(4))
      value = spot.at === 0x10 ? prng.pick([0x1000_0000, 0x100f_0000, 0x2000_0000]) : 0;
    else if (write && spot.at === 4) value |= prng.below(8);
    value = (value & ones(width as Width)) >>> 0;
    return access(write ? KIND.write : KIND.read, REGION.config, width, (bus << 8) | devfn, offset, value);
  }

  #memoryAccess(prng: Prng): Access {
    const { twin } = prng.pick(this.#nodes.filter((n) => n.twin.spec.bars.length > 0));
    const low = twin.oracle.read(0x10, 4);
    const base = (low & ~15) >>> 0;
    const offset = prng.pick([0, 0x1000, 0x100c, 0x101c, 0x1040, 0xfffc, 0x10000]);
    const address = base + offset - (prng.below(16) === 0 ? 4 : 0);
    const write = prng.below(2) === 0;
    const width = prng.below(4) ? 4 : WIDTHS[prng.below(3)];
    const value = write ? (prng.below(2) ? prng.below(2) : prng.next()) & ones(width) : 0;
    return access(write ? KIND.write : KIND.read, NOT_APPLICABLE, width, 0, Math.max(0, address), value >>> 0);
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
          ? this.#memory(step)
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
    const { offset, value } = step;
    const width = step.width as Width;
    const [bus, devfn] = [step.function >> 8, step.function & 0xff];
    const node = this.#find(bus, devfn);
    const reachable = node && offset < (bus === 0 || this.#extended ? 4096 : 256) ? node : undefined;
    if (step.kind === KIND.read) {
      const got = this.#host.readConfig(bus, devfn, offset, width);
      const limit = bus === 0 || this.#extended ? 4096 : 256;
      let want = reachable ? reachable.twin.oracle.read(offset, width) : 256 ** width - 1;
      // what runs over the end of the space that the path can carry has its bytes up to there
      if (reachable && offset + width > limit) want %= 256 ** (limit - offset);
      this.#seenRead = { got, want, mask: ones(width) };
      if (
        got !== want &&
        !(reachable && reachable.twin.readConfig(offset, width) === undefined && offset + width <= limit)
      )
        return `read: ${this.#place(step)} reads ${hex(got)}, should be ${hex(want)}`;
      return undefined;
    }
    this.#host.writeConfig(bus, devfn, offset, width, value);
    if (!reachable) return undefined;
    const { oracle } = reachable.twin;
    const limit = bus === 0 || this.#extended ? oracle.bits.size : 256;
    const before = oracle.bytes[0x3e];
    const within = Math.min(width, limit - offset);
    oracle.write(offset, within, within < 4 ? value % 256 ** within : value);
    if (reachable.below && oracle.bytes[0x3e] & ~before & 0x40) this.#hotReset(reachable.below);
    return reachable.twin.compareConfig(offset & ~3, 8);
  }

  /** Secondary Bus Reset, PCI-to-PCI Bridge 1.2 §3.2.5.18: everything below, however deep. */
  #hotReset(nodes: readonly Node[]): void {
    for (const { twin, below } of nodes) {
      twin.oracle.reset('hot');
      if (below) this.#hotReset(below);
    }
  }

  #memory(step: Access): string | undefined {
    const { offset, value } = step;
    const width = step.width as Width;
    const found = route(this.#tree, offset);
    if (step.kind === KIND.write) {
      this.#host.writeMemory(offset, width, value);
      found?.twin.oracle.writeBar(found.bar, found.offset, width, value);
      return undefined;
    }
    const got = this.#host.readMemory(offset, width);
    const want = found ? found.twin.oracle.readBar(found.bar, found.offset, width) : 256 ** width - 1;
    this.#seenRead = { got, want, mask: ones(width) };
    return got === want ? undefined : `read: memory ${hex(offset)} reads ${hex(got)}, should be ${hex(want)}`;
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
      const found = route(this.#tree, ((base & ~15) >>> 0) + 0x1000);
      mix(found ? this.#nodes.findIndex((n) => n.twin === found.twin) : -1);
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
      for (const { twin } of findOnBus(this.#tree, 0, bus) ?? [])
        for (const { region, offset, width } of twin.differences())
          if (region === REGION.config)
            reads.push(access(KIND.read, region, width, (bus << 8) | (twin.spec.bdf & 0xff), offset, 0));
    return reads;
  }

  #place(step: Access): string {
    if (step.region !== REGION.config) return `memory ${hex(step.offset)} width ${step.width}`;
    const node = this.#find(step.function >> 8, step.function & 0xff);
    const name = node?.twin.spec.name ?? 'nobody';
    const where = node?.twin.where(REGION.config, step.offset, step.width) ?? `config+${hex(step.offset, 2)}`;
    return `${formatBdf(step.function)} (${name}) ${where}`;
  }

  #find(bus: number, devfn: number): Node | undefined {
    return findOnBus(this.#tree, 0, bus)?.find((n) => (n.twin.spec.bdf & 0xff) === devfn);
  }
}

/** The functions on the bus that has a number now: PCI-to-PCI Bridge 1.2 §3.1.2.2; the root's own is 0. */
function findOnBus(nodes: Node[], own: number, bus: number): Node[] | undefined {
  if (bus === own) return nodes;
  for (const { twin, below } of nodes) {
    if (!below) continue;
    const { bytes } = twin.oracle;
    const [secondary, subordinate] = [bytes[0x19], bytes[0x1a]];
    // a secondary bus of number 0 would be the root itself: the bridge has not been set up
    if (secondary === 0 || bus < secondary || bus > subordinate) continue;
    return findOnBus(below, secondary, bus);
  }
  return undefined;
}

/** Who decodes a memory address: BARs on a bus, then what the bridges' windows forward. §4 of the same. */
function route(nodes: readonly Node[], address: number): { twin: Twin; bar: number; offset: number } | undefined {
  for (const { twin } of nodes) {
    for (const { bar, sizeBytes, kind } of twin.spec.bars) {
      const { oracle } = twin;
      if (kind === 'io' || kind === 'rom' || !(oracle.bytes[4] & 2) || asleep(twin)) continue;
      const at = 0x10 + 4 * bar;
      const high = kind === 'mem64' ? oracle.read(at + 4, 4) : 0;
      const base = high * 2 ** 32 + ((oracle.read(at, 4) & ~15) >>> 0);
      // an address of 0 is none, nor is what sizing leaves at the top
      if (base === 0 || (kind === 'mem32' && base + sizeBytes > 0xffff_ffff) || base + sizeBytes > 2 ** 64 - 1)
        continue;
      if (address >= base && address < base + sizeBytes) return { twin, bar, offset: address - base };
    }
  }
  for (const { twin, below } of nodes) {
    if (!below || !forwards(twin, address)) continue;
    const found = route(below, address);
    if (found) return found;
  }
  return undefined;
}

function forwards({ oracle }: Twin, address: number): boolean {
  if (!(oracle.bytes[4] & 2)) return false;
  const base = (oracle.read(0x20, 2) >> 4) * 2 ** 20;
  const limit = (oracle.read(0x22, 2) >> 4) * 2 ** 20 + 0xf_ffff;
  return address >= base && address <= limit;
}

/** In D3hot nothing decodes, PM 1.2 §5.4.1. */
function asleep({ oracle }: Twin): boolean {
  const at = oracle.bits.capabilities.get(1);
  return at !== undefined && (oracle.bytes[at + 4] & 3) === 3;
}

const RELEVANT =
  /^(command|status|primaryBus|secondaryBus|subordinateBus|memoryBase|memoryLimit|bridgeControl|bar\d.*|msi\.|msix\.|pm\.pmcsr|pcie\.deviceControl|vendorId)/;

export const BRIDGE_TARGET: Target<Access> = {
  name: 'bridge',
  about: 'bridges: who answers at a bus number or an address, and secondary bus resets',
  unit: 'accesses',
  variants: 2,
  open: (variant) => new BridgeSubject(variant === 0),
  encode: encodeAccesses,
  decode: decodeAccesses,
};
