import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Arena, Prng, readLe, type Width, writeLe } from '../../src/core/index.ts';
import type { Native, NativePirqSpace } from '../../src/native/index.ts';
import {
  codec,
  ERRNO,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHNOP,
  HYPERCALL,
  MAP_PIRQ_TYPE,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_MAP_PIRQ,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEVOP,
  type StructSpec,
  type StructValue,
} from '../../src/xen/abi/index.ts';
import { Domain } from '../../src/xen/domain.ts';
import { mapEmuirq, unmapEmuirq } from '../../src/xen/emuirq.ts';
import type { HostBus } from '../../src/xen/host-bus.ts';
import { Hypervisor } from '../../src/xen/index.ts';
import { PirqSpace } from '../../src/xen/pirq-space.ts';
import { buildAndLoad } from './toolchain.ts';

let native: Native | undefined;
let reason: string;
beforeAll(() => ({ native, reason } = buildAndLoad()));
afterAll(() => expect(native?.liveObjects() ?? 0).toBe(0));

const SEQUENCES = 100_000;
const STEPS = 24;
/** GSIs, pirqs beyond them, HVM. */
const SHAPES: [gsis: number, extra: number, isHvm: boolean][] = [
  [16, 8, false],
  [16, 70, true],
  [24, 32, true],
  [24, 64, false],
  [48, 100, true],
  [18, 0, true],
  [60, 33, false],
  [31, 31, true],
];

/** The search alone: numbers are taken and given back in any order, singly and in runs, by GSIs and MSIs. */
test(`free pirqs and runs are those of the scan in C, ${SEQUENCES} sequences`, (ctx) => {
  if (!native) ctx.skip(reason);
  for (const [i, [gsis, extra, isHvm]] of SHAPES.entries()) {
    const nrPirqs = gsis + extra;
    const config = { id: 1, kind: isHvm ? 'hvm' : 'pv', nrPirqs, hasPirq: isHvm } as const;
    const domain = new Domain(new Arena(1 << 20), 0, { nrIrqs: 1024, gsis }, config);
    const ours = new PirqSpace(domain, gsis, false);
    const prng = new Prng(i);
    for (let n = 0; n < SEQUENCES / SHAPES.length; n++) {
      domain.reset();
      const theirs = native!.createPirqSpace(gsis, nrPirqs, isHvm);
      for (let step = 0; step < STEPS; step++) {
        if (prng.below(3) === 0) {
          giveBack(domain, theirs, prng);
          continue;
        }
        const count = 1 << (prng.below(2) * prng.below(6));
        const forGsi = count === 1 && prng.below(2) === 0;
        const base = count > 1 ? ours.findRun(count) : ours.find(forGsi);
        const wanted = count > 1 ? theirs.getFreeRun(count) : theirs.getFree(Number(forGsi));
        if (base !== Math.max(wanted, -1))
          expect.fail(`shape ${i}, sequence ${n}, step ${step}: ${base}, in C ${wanted}`);
        for (let p = base; base >= 0 && p < base + count; p++) {
          domain.setIrq(p, p + 1);
          theirs.map(p, p + 1);
        }
      }
      theirs.destroy();
    }
  }
});

/** Frees what is taken of up to 32 neighbours. */
function giveBack(domain: Domain, theirs: NativePirqSpace, prng: Prng): void {
  const from = prng.below(domain.nrPirqs);
  const to = Math.min(from + 1 + prng.below(32), domain.nrPirqs);
  for (let p = from; p < to; p++) {
    if (domain.irqOf(p) === 0) continue;
    domain.removeRecord(p);
    theirs.unmap(p);
  }
}

const GSIS = 24;
const NR_PIRQS = 80;
const DEVICES = 24;
const MSI_CAP = 0x50;

/** Devices with an MSI capability that offers 32 vectors, and nothing else. */
class MsiDevices implements HostBus {
  readonly #config = Array.from({ length: DEVICES }, () => {
    const bytes = new Uint8Array(256);
    bytes.set([0x6b, 0x1b, 0x10, 0, 6, 0, 0x10, 0]);
    bytes[0x34] = MSI_CAP;
    bytes.set([0x05, 0, 0x8a, 0x01], MSI_CAP); // 64 bit, maskable, 32 messages
    return bytes;
  });

  isPresent(sbdf: number): boolean {
    return sbdf >> 3 < DEVICES && (sbdf & 7) === 0;
  }
  readConfig(sbdf: number, offset: number, width: Width): number {
    return readLe(this.#config[sbdf >> 3], offset, width);
  }
  writeConfig(sbdf: number, offset: number, width: Width, value: number): void {
    writeLe(this.#config[sbdf >> 3], offset, width, value);
  }
  readMmio(): number {
    return 0;
  }
  writeMmio(): void {}
}

/**
 * A hardware domain of the hypervisor, driven by hypercalls, and beside it the same done to the pirq space in C. What the
 * space does not know (which irq create_irq picks, which ports are open, which devices are in use) is kept here.
 */
class Pair {
  readonly xen = new Hypervisor({ bus: new MsiDevices(), gsis: GSIS, cpus: 2, intremap: true, xen: 'xen-4.17' });
  readonly domain = this.xen.createDomain({ id: 0, kind: 'pv-hwdom', nrPirqs: NR_PIRQS });
  readonly space: NativePirqSpace;
  readonly irqs = new Set<number>();
  /** By base pirq: device and irqs of an MSI mapping. */
  readonly groups = new Map<number, { device: number; irqs: number[] }>();
  readonly ports = new Map<number, number>();
  readonly deniedGsis = new Set<number>();

  constructor(library: Native) {
    this.space = library.createPirqSpace(GSIS, NR_PIRQS, false);
    this.space.map(2, 2); // the cascade, mapped at creation
    for (let device = 0; device < DEVICES; device++) expect(this.xen.addDevice(device << 3)).toBe(0);
  }

  call<S extends StructSpec>(nr: number, cmd: number, spec: S, value: Partial<StructValue<S>>) {
    const { ret, bytes } = this.xen.hypercall(0, nr, cmd, codec(spec).encode(value));
    return { ret, out: codec(spec).decode(bytes) };
  }

  reserve(type: number): void {
    const { ret, out } = this.call(HYPERCALL.physdevOp, PHYSDEVOP.getFreePirq, PHYSDEV_GET_FREE_PIRQ, { type });
    expect(ret === 0 ? out.pirq : ret).toBe(this.space.reserve(type));
  }

  mapGsi(index: number, wanted: number): void {
    if (this.stillHasPort(wanted)) return;
    const request = { domid: 0x7ff0, type: MAP_PIRQ_TYPE.gsi, index, pirq: wanted };
    const { ret, out } = this.call(HYPERCALL.physdevOp, PHYSDEVOP.mapPirq, PHYSDEV_MAP_PIRQ, request);
    const behind = this.space.get(index).irq;
    const irq = behind > 0 ? behind : index;
    const { ret: pirq } = this.space.allocate(irq, wanted, MAP_PIRQ_TYPE.gsi, true, 0);
    if (pirq < 0) expect(ret).toBe(pirq);
    else if (irq < GSIS && this.deniedGsis.has(irq)) expect(ret).toBe(-ERRNO.EPERM);
    else expect([ret, out.pirq]).toEqual([this.space.map(pirq, irq), ret === 0 ? pirq : wanted]);
  }

  /** One vector (`count` 0) at a wanted pirq or anywhere, or a group anywhere. */
  mapMsi(count: number, wanted: number): void {
    const device = Array.from({ length: DEVICES }, (_, i) => i).find(
      (i) => ![...this.groups.values()].some((g) => g.device === i),
    );
    if (device === undefined || this.stillHasPort(wanted) || (count > 0 && this.hasMarkedIrq())) return;
    const type = count > 0 ? MAP_PIRQ_TYPE.multiMsi : MAP_PIRQ_TYPE.msiSeg;
    const request = { domid: 0x7ff0, type, index: -1, pirq: wanted, bus: 0, devfn: device << 3, entry_nr: count };
    const { ret, out } = this.call(HYPERCALL.physdevOp, PHYSDEVOP.mapPirq, PHYSDEV_MAP_PIRQ, request);

    const first = this.lowestFreeIrq();
    const chosen = this.space.allocate(first, wanted, count > 0 ? type : MAP_PIRQ_TYPE.msi, true, count);
    if (count > 0) expect(out.entry_nr).toBe(chosen.count);
    const base = chosen.ret;
    if (base < 0) {
      expect(ret).toBe(base);
      return;
    }
    const mapped = this.space.map(base, first);
    expect([ret, out.pirq]).toEqual([mapped, mapped === 0 ? base : wanted]);
    if (mapped < 0) return;
    this.irqs.add(first);
    if (this.space.get(base).irq !== first) return; // taken by something else: a success that leaks the irq
    const irqs = [first];
    for (let k = 1; k < (count > 0 ? chosen.count : 1); k++) {
      irqs.push(this.lowestFreeIrq());
      this.irqs.add(irqs[k]);
      this.space.map(base + k, irqs[k]);
    }
    this.groups.set(base, { device, irqs });
  }

  unmap(pirq: number): void {
    const request = { domid: 0x7ff0, pirq };
    const { ret } = this.call(HYPERCALL.physdevOp, PHYSDEVOP.unmapPirq, PHYSDEV_UNMAP_PIRQ, request);
    const { irq } = this.space.get(pirq);
    const group = this.groups.get(pirq);
    if (irq >= GSIS && !group) {
      expect(ret).toBe(-ERRNO.EBUSY); // a later vector of a group
      return;
    }
    const isBound = [...this.ports.values()].includes(pirq);
    expect(ret).toBe(this.space.unmap(pirq, group?.irqs.length ?? 1, isBound));
    if (ret !== 0) return;
    for (const freed of group?.irqs ?? []) this.irqs.delete(freed);
    this.groups.delete(pirq);
    if (irq < GSIS) this.deniedGsis.add(irq);
  }

  bind(pirq: number): void {
    const { irq, port } = this.space.get(pirq);
    if (irq >= GSIS && !this.groups.has(pirq)) return; // only bases are bound here
    const { ret, out } = this.call(HYPERCALL.eventChannelOp, EVTCHNOP.bindPirq, EVTCHN_BIND_PIRQ, { pirq, flags: 1 });
    expect(ret).toBe(irq <= 0 ? -ERRNO.EPERM : port ? -ERRNO.EEXIST : 0);
    if (ret !== 0) return;
    this.ports.set(out.port, pirq);
    this.space.setPort(pirq, out.port);
  }

  close(index: number): void {
    const port = [...this.ports.keys()][index];
    if (port === undefined) return;
    expect(this.call(HYPERCALL.eventChannelOp, EVTCHNOP.close, EVTCHN_CLOSE, { port }).ret).toBe(0);
    const pirq = this.ports.get(port)!;
    this.ports.delete(port);
    if (this.space.get(pirq).irq < -1) this.space.complete(pirq);
    this.space.setPort(pirq, 0);
  }

  compare(): void {
    for (let pirq = 0; pirq < NR_PIRQS; pirq++) {
      const { irq, port, exists } = this.space.get(pirq);
      expect([pirq, this.domain.irqOf(pirq), this.domain.evtchn[pirq]]).toEqual([pirq, irq, port]);
      expect([pirq, this.domain.hasRecord(pirq)]).toEqual([pirq, exists]);
    }
    for (let irq = 1; irq < this.xen.host.nrIrqs; irq++)
      expect([irq, this.domain.pirqOf(irq)]).toEqual([irq, this.space.pirqOfIrq(irq)]);
  }

  /** Mapped anew while its old port is open, a pirq would be bound in one sense and not in another. */
  stillHasPort(pirq: number): boolean {
    return pirq >= 0 && this.space.get(pirq).port !== 0;
  }

  /** An irq that a forced unmap left marked: as a group's later vector it is taken all the same, which C has no call for. */
  hasMarkedIrq(): boolean {
    for (let irq = GSIS; irq < GSIS + NR_PIRQS; irq++) if (this.space.pirqOfIrq(irq) < 0) return true;
    return false;
  }

  lowestFreeIrq(): number {
    let irq = GSIS;
    while (this.irqs.has(irq)) irq++;
    return irq;
  }
}

const anyPirq = fc.integer({ min: GSIS, max: NR_PIRQS });
/** Mostly a pirq that something is mapped to. */
const likely = fc.nat(1000).map((n) => (pair: Pair) => {
  const mapped = Array.from({ length: NR_PIRQS - GSIS }, (_, i) => GSIS + i).filter((p) => pair.space.get(p).irq > 0);
  return n < 100 || mapped.length === 0 ? GSIS + (n % (NR_PIRQS - GSIS)) : mapped[n % mapped.length];
});
const wanted = fc.oneof({ weight: 2, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: anyPirq });
const call: fc.Arbitrary<(pair: Pair) => void> = fc.oneof(
  fc.constantFrom(0, 1, 2).map((type) => (pair: Pair) => pair.reserve(type)),
  fc.tuple(fc.integer({ min: 3, max: 15 }), wanted).map(
    ([index, w]) =>
      (pair: Pair) =>
        pair.mapGsi(index, w),
  ),
  wanted.map((w) => (pair: Pair) => pair.mapMsi(0, w)),
  fc.constantFrom(0, 1, 2, 3, 4, 5, 8, 16, 33).map((count) => (pair: Pair) => pair.mapMsi(count, -1)),
  likely.map((pick) => (pair: Pair) => pair.unmap(pick(pair))),
  likely.map((pick) => (pair: Pair) => pair.unmap(pick(pair))),
  likely.map((pick) => (pair: Pair) => pair.bind(pick(pair))),
  fc.nat(3).map((index) => (pair: Pair) => pair.close(index)),
);

test('hypercalls leave a domain as the same steps leave the space in C: maps, groups, reservations, forced unmaps', (ctx) => {
  if (!native) ctx.skip(reason);
  fc.assert(
    fc.property(fc.array(call, { minLength: 20, maxLength: 200, size: 'max' }), (calls) => {
      const pair = new Pair(native!);
      try {
        for (const step of calls) step(pair);
        pair.compare();
      } finally {
        pair.space.destroy();
      }
    }),
    { numRuns: 100, seed: 4 },
  );
});

test('emulated irqs of an HVM domain: who holds them, and which pirqs the search then leaves out', (ctx) => {
  if (!native) ctx.skip(reason);
  const xen = new Hypervisor({ bus: new MsiDevices(), gsis: GSIS, xen: 'xen-4.17' });
  const d = xen.createDomain({ id: 5, kind: 'hvm', nrPirqs: NR_PIRQS });
  const space = native!.createPirqSpace(GSIS, NR_PIRQS, true);
  space.map(2, 2);
  const prng = new Prng(5);
  for (let step = 0; step < 20_000; step++) {
    const p = prng.below(3) === 0 ? prng.below(NR_PIRQS + 1) : NR_PIRQS - 1 - prng.below(6);
    const emuirq = prng.below(2) === 0 ? -3 + prng.below(2) : prng.below(48);
    const kind = prng.below(5);
    if (kind < 2) expect(mapEmuirq(xen.host, d, p, emuirq)).toBe(space.mapEmuirq(p, emuirq));
    else if (kind < 4) expect(unmapEmuirq(xen.host, d, p)).toBe(space.unmapEmuirq(p));
    else expect(xen.host.spaces[d.slot].find(false)).toBe(Math.max(space.getFree(MAP_PIRQ_TYPE.msi), -1));
    if (p < NR_PIRQS) expect([d.emuirqOf(p), d.hasRecord(p)]).toEqual([space.get(p).emuirq, space.get(p).exists]);
  }
  space.destroy();
});
