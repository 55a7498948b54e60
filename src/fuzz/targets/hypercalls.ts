import { Arena, hex, type Prng } from '../../core/index.ts';
import { RecordedDevices } from '../../harness/replay/xen-devices.ts';
import {
  codec,
  DM_OP_INJECT_MSI,
  DMOP,
  DOMID_SELF,
  ERRNO,
  EVTCHN_ALLOC_UNBOUND,
  EVTCHN_BIND_IPI,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHN_STATUS,
  EVTCHNOP,
  encodePirqMessage,
  formatRet,
  HYPERCALL,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_MAP_PIRQ,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEVOP,
  type StructSpec,
  type StructValue,
} from '../../xen/abi/index.ts';
import { HostFault, Hypervisor, isPassthroughBound, viewPirqs, viewPorts } from '../../xen/index.ts';
import { type Access, decodeAccesses, encodeAccesses, KIND, NOT_APPLICABLE } from '../access.ts';
import { bindingsAgree, oneOwner } from '../oracle/laws.ts';
import { NaiveDomain, NaiveXen } from '../oracle/naive-xen.ts';
import type { Subject, Target } from '../target.ts';

const HVM = 5;
/** State of a port bound to a pirq, as EVTCHNOP_status has it. */
const PORT_PIRQ = 3;
const STUB = 6;
const GSIS = 18;
const FIRST_IRQ = 19;
const NR_IRQS = 34;
const MAX_GUESTS = 4;
const DOMAINS = [
  { id: 0, nrPirqs: 40, maxPort: 12 },
  { id: HVM, nrPirqs: 34, maxPort: 12 },
  { id: STUB, nrPirqs: 24, maxPort: 12 },
] as const;
const DEVICES = [
  { sbdf: 0x300, msi_vectors: 8, maskable: false, msix_entries: 0, bar: 0xf7a3_0000 },
  { sbdf: 0x400, msi_vectors: 4, maskable: true, msix_entries: 8, bar: 0xf7a4_0000 },
  { sbdf: 0x500, msi_vectors: 0, maskable: true, msix_entries: 4, bar: 0xf7a5_0000 },
];
const RELEASES = ['xen-4.17', 'xen-4.19', 'xen-4.22'];

/** A call that the naive model knows: how its argument is made and what must come of it. */
type Judged = { ret: number; out: Record<string, number | undefined> };

interface Saved {
  model: Int32Array;
  oracle: NaiveXen;
  dead: boolean;
}

/**
 * A host of a few KiB with its hardware domain, an HVM guest and the guest's device model domain, three devices, two of
 * them the guest's. Hypercalls as bytes, judged in result, written-back fields and all pirqs and ports by {@link NaiveXen}.
 * In a step `function` is the calling domain, `offset` nr × 2^32 + cmd.
 */
class HypercallSubject implements Subject<Access> {
  readonly label: string;
  readonly functions = [];
  readonly #xen: Hypervisor;
  readonly #arena = new Arena(1 << 18);
  readonly #clean: Int32Array;
  readonly #pristine: NaiveXen;
  #oracle: NaiveXen;
  /** The host has died, as the real one would have; nothing more can be asked of it. */
  #dead = false;
  #did = '';

  constructor(xen: string) {
    this.label = xen;
    const bus = new RecordedDevices(DEVICES, this.#arena);
    const h = new Hypervisor({
      xen,
      bus,
      arena: this.#arena,
      intremap: true,
      gsis: GSIS,
      nrIrqs: NR_IRQS,
      firstIrq: FIRST_IRQ,
      maxDevices: 4,
      maxGuestsPerIrq: MAX_GUESTS,
    });
    this.#xen = h;
    h.createDomain({ ...DOMAINS[0], kind: 'pv-hwdom', hasMemory: false });
    h.createDomain({ ...DOMAINS[1], kind: 'hvm', hasPirq: true, hasMemory: false });
    h.createDomain({ ...DOMAINS[2], kind: 'pv', target: HVM });
    for (const d of DEVICES) h.addDevice(d.sbdf);
    for (const d of DEVICES.slice(1)) {
      h.as(0).prepareMsix(d.sbdf);
      h.as(0).assignDevice(HVM, d.sbdf);
    }
    this.#clean = this.#arena.snapshot();
    this.#pristine = new NaiveXen(
      {
        gsis: GSIS,
        nrIrqs: NR_IRQS,
        firstIrq: FIRST_IRQ,
        selfIsLiteral: xen === 'xen-4.17',
        maxGuests: MAX_GUESTS,
        devices: DEVICES.map((d, i) => ({
          sbdf: d.sbdf,
          owner: i === 0 ? 0 : HVM,
          msi: d.msi_vectors,
          msix: d.msix_entries,
        })),
      },
      DOMAINS.map((d) => new NaiveDomain(d.id, d.id === HVM, d.nrPirqs, d.id === STUB ? HVM : -1, d.maxPort)),
    );
    this.#oracle = this.#pristine.clone();
  }

  begin(): void {
    this.#arena.restore(this.#clean);
    this.#oracle = this.#pristine.clone();
    this.#dead = false;
  }

  save(): Saved {
    return { model: this.#arena.snapshot(), oracle: this.#oracle.clone(), dead: this.#dead };
  }

  restore(saved: unknown): void {
    const { model, oracle, dead } = saved as Saved;
    this.#arena.restore(model);
    this.#oracle = oracle.clone();
    this.#dead = dead;
  }

  generate(prng: Prng): Access {
    const domid = prng.pick([0, 0, HVM, HVM, HVM, STUB]);
    const r = prng.below(20);
    if (r < 3)
      return call(domid, PHYSDEV, PHYSDEVOP.getFreePirq, PHYSDEV_GET_FREE_PIRQ, { type: prng.pick([0, 0, 1, 7]) });
    if (r < 9) {
      const type = prng.pick([0, 0, 0, 1, 1, 2]);
      const device = prng.pick(DEVICES);
      const msix = type === 0 && prng.below(2) === 1;
      return call(domid, PHYSDEV, PHYSDEVOP.mapPirq, PHYSDEV_MAP_PIRQ, {
        domid: prng.pick([0, HVM, HVM, STUB, DOMID_SELF, 99]),
        type,
        index: type === 1 ? prng.pick([-1, 1, 3, 16, 17, 18, 47, 48]) : -1,
        pirq: prng.below(3) ? -1 : this.#pirq(prng),
        bus: device.sbdf >> 8,
        entry_nr: msix ? prng.pick([0, 0, 1, 3, 4, 7, 8, -1]) : 1,
        table_base: msix ? BigInt(device.bar) : 0n,
      });
    }
    if (r < 12)
      return call(domid, PHYSDEV, PHYSDEVOP.unmapPirq, PHYSDEV_UNMAP_PIRQ, {
        domid: prng.pick([domid, HVM, 0, STUB, DOMID_SELF, 99]),
        pirq: this.#pirq(prng),
      });
    if (r < 15)
      return call(domid, EVENT, EVTCHNOP.bindPirq, EVTCHN_BIND_PIRQ, { pirq: this.#pirq(prng), flags: prng.below(2) });
    if (r < 17)
      return call(domid, EVENT, EVTCHNOP.close, EVTCHN_CLOSE, { port: prng.pick([prng.below(6), 12, 13, 64, -1]) });
    if (r === 17)
      return call(domid, EVENT, EVTCHNOP.allocUnbound, EVTCHN_ALLOC_UNBOUND, { dom: DOMID_SELF, remote_dom: 0 });
    if (r === 18) return call(domid, EVENT, EVTCHNOP.bindIpi, EVTCHN_BIND_IPI, { vcpu: prng.below(8) ? 0 : 1 });
    if (prng.below(2))
      return call(domid, EVENT, EVTCHNOP.status, EVTCHN_STATUS, { dom: DOMID_SELF, port: prng.below(14) });
    const { addressLo, addressHi, data } = encodePirqMessage(Math.max(0, this.#pirq(prng)), 0);
    return call(STUB, HYPERCALL.dmOp, HVM, DM_OP_INJECT_MSI, {
      op: DMOP.injectMsi,
      'u.inject_msi.data': data,
      'u.inject_msi.addr': BigInt(addressHi) * 0x1_0000_0000n + BigInt(addressLo),
    });
  }

  /** The ends of the space, where the allocator hands out, and what is mapped or bound now. */
  #pirq(prng: Prng): number {
    const used = this.#oracle.domains.flatMap((d) => [...d.pirqs.keys()]);
    return prng.below(3) ? prng.pick(used) : prng.pick([0, 1, 15, 16, 17, 18, 23, 24, 33, 34, 39, 40, -1]);
  }

  mutate(prng: Prng, step: Access): Access {
    return prng.below(3) ? { ...step, function: prng.pick([0, HVM, STUB]) } : this.generate(prng);
  }

  run(step: Access): string | undefined {
    this.#did = '';
    if (this.#dead) return undefined;
    const caller = this.#oracle.domains.find((d) => d.id === step.function);
    if (!caller || step.kind !== KIND.hypercall || !step.data) return undefined;
    const [nr, cmd] = [Math.floor(step.offset / 0x1_0000_0000), step.offset % 0x1_0000_0000];
    let answer: { ret: number; bytes: Uint8Array };
    try {
      answer = this.#xen.hypercall(caller.id, nr, cmd, step.data);
    } catch (fault) {
      if (!(fault instanceof HostFault)) return `throws: ${String(fault)}`;
      this.#dead = true;
      this.#did = fault.message;
      return undefined;
    }
    this.#did = formatRet(answer.ret);
    const want = this.#judge(caller, nr, cmd, step.data);
    if (!want) return undefined;
    if (answer.ret !== want.ret)
      return `result of ${describe(step).split(' ')[0]}: ${describe(step)} is ${formatRet(answer.ret)}, should be ${formatRet(want.ret)}`;
    const spec = specOf(nr, cmd)!;
    const got = codec<StructSpec>(spec).decode(answer.bytes) as Record<string, unknown>;
    for (const [name, value] of Object.entries(want.out)) {
      if (value === undefined) continue;
      this.#did += ` ${name}=${String(got[name])}`;
      if (got[name] !== value) return `${name}: of ${describe(step)} is ${String(got[name])}, should be ${value}`;
    }
    return this.#compare();
  }

  #judge(caller: NaiveDomain, nr: number, cmd: number, bytes: Uint8Array): Judged | undefined {
    const oracle = this.#oracle;
    const spec = specOf(nr, cmd);
    if (!spec) return undefined;
    if (bytes.length < codec<StructSpec>(spec).size) return { ret: -ERRNO.EFAULT, out: {} };
    const a = codec<StructSpec>(spec).decode(bytes) as Record<string, number>;
    if (nr === HYPERCALL.dmOp) {
      if (caller.id === HVM || a['op'] !== DMOP.injectMsi) return undefined;
      const address = BigInt(a['u.inject_msi.addr']);
      const pirq = Number((address >> 12n) & 0xffn) + Number(address >> 40n) * 256;
      return { ret: oracle.inject(oracle.domains.find((d) => d.id === cmd)!, pirq), out: {} };
    }
    if (nr === PHYSDEV) {
      if (cmd === PHYSDEVOP.getFreePirq) {
        const { ret, pirq } = oracle.getFreePirq(caller, a['type']);
        return { ret, out: { pirq } };
      }
      if (cmd === PHYSDEVOP.unmapPirq) return { ret: oracle.unmap(caller, a['domid'], a['pirq']), out: {} };
      const sbdf = (a['bus'] & 0xff) << 8;
      const msix = BigInt(a['table_base']) !== 0n;
      const { ret, pirq } = oracle.map(caller, a['domid'], {
        type: a['type'],
        index: a['index'],
        pirq: a['pirq'],
        sbdf,
        entry: a['entry_nr'],
        msix,
      });
      return { ret, out: { pirq } };
    }
    switch (cmd) {
      case EVTCHNOP.bindPirq: {
        const { ret, port } = oracle.bindPirq(caller, a['pirq'], (a['flags'] & 1) !== 0);
        return { ret, out: { port } };
      }
      case EVTCHNOP.close:
        return { ret: oracle.close(caller, a['port']), out: {} };
      case EVTCHNOP.allocUnbound: {
        const { ret, port } = oracle.openPort(caller, 1);
        return { ret, out: { port } };
      }
      case EVTCHNOP.bindIpi: {
        if (a['vcpu'] !== 0) return { ret: -ERRNO.ENOENT, out: {} };
        const { ret, port } = oracle.openPort(caller, 5);
        return { ret, out: { port } };
      }
      default: {
        const port = caller.ports.get(a['port']);
        const pirq = port?.state === 3 ? port.pirq : undefined;
        return { ret: 0, out: { status: port?.state ?? 0, 'u.pirq': pirq } };
      }
    }
  }

  /** All records and ports of all domains. */
  #compare(): string | undefined {
    for (const naive of this.#oracle.domains) {
      const d = this.#xen.domain(naive.id);
      const seen = new Set<number>();
      for (const { pirq, irq, evtchn, emuirq } of viewPirqs(d)) {
        seen.add(pirq);
        const want = naive.pirqs.get(pirq);
        if (irq !== (want?.irq ?? 0) || evtchn !== (want?.evtchn ?? 0) || emuirq !== (want?.emuirq ?? -1))
          return (
            `pirq: ${pirq} of domain ${naive.id} has irq ${irq}, port ${evtchn}, emuirq ${emuirq}; ` +
            `should have irq ${want?.irq ?? 0}, port ${want?.evtchn ?? 0}, emuirq ${want?.emuirq ?? -1}`
          );
        if (isPassthroughBound(d, pirq)) return `pirq: ${pirq} of domain ${naive.id} is bound for pass-through`;
      }
      for (const [pirq, { irq, evtchn, emuirq }] of naive.pirqs)
        if (!seen.has(pirq) && (irq !== 0 || evtchn !== 0 || emuirq !== -1))
          return `pirq: ${pirq} of domain ${naive.id} has lost its record, should have irq ${irq}, port ${evtchn}`;
      const ports = new Set<number>();
      for (const { port, state, pirq, pending } of viewPorts(d)) {
        const want = naive.ports.get(port);
        if (state !== (want?.state ?? 0))
          return `port: ${port} of domain ${naive.id} has state ${state}, should have ${want?.state ?? 0}`;
        if (state === 3 && pirq !== want!.pirq) return `port: ${port} is of pirq ${pirq}, should be of ${want!.pirq}`;
        if (pending !== (want?.pending ?? false))
          return `event: port ${port} of domain ${naive.id} is ${pending ? '' : 'not '}pending, should ${pending ? 'not ' : ''}be`;
        ports.add(port);
      }
      for (const [port] of naive.ports) if (!ports.has(port)) return `port: ${port} of domain ${naive.id} is gone`;
    }
    return this.#checkLaws();
  }

  /** Of the model alone, whatever the naive one says. */
  #checkLaws(): string | undefined {
    const views = DOMAINS.map(({ id }) => {
      const domain = this.#xen.domain(id);
      return { id, pirqs: viewPirqs(domain), ports: viewPorts(domain).filter(({ state }) => state === PORT_PIRQ) };
    });
    return oneOwner(views) ?? bindingsAgree(views);
  }

  finish(): string | undefined {
    return this.#dead ? undefined : this.#compare();
  }

  /** How many pirqs of each kind each domain has, and which kinds of ports. */
  abstractState(): number {
    let h = this.#dead ? 1 : 0;
    for (const d of this.#oracle.domains) {
      const count = [0, 0, 0, 0, 0];
      for (const { irq, emuirq, evtchn } of d.pirqs.values()) {
        if (irq > 0) count[0]++;
        else if (irq === -1) count[1]++;
        else if (irq < 0) count[2]++;
        if (emuirq !== -1) count[3]++;
        if (evtchn) count[4]++;
      }
      for (const n of count) h = Math.imul(h ^ Math.min(n, 6), 0x01000193) ^ (h >>> 13);
      h = Math.imul(h ^ Math.min(d.ports.size, 12), 0x01000193) ^ (h >>> 13);
    }
    return Math.imul(h ^ this.#oracle.leaked.size, 0x01000193);
  }

  simpler(step: Access): Access[] {
    if (!step.data) return [];
    const list: Access[] = [];
    for (let at = 0; at + 4 <= step.data.length; at += 4) {
      if (step.data.subarray(at, at + 4).every((b) => b === 0)) continue;
      const data = step.data.slice();
      data.fill(0, at, at + 4);
      list.push({ ...step, data });
    }
    return list;
  }

  tell(step: Access): string {
    return `domain ${step.function}: ${describe(step)}`;
  }

  outcome(): string {
    return this.#did;
  }
}

const PHYSDEV = HYPERCALL.physdevOp;
const EVENT = HYPERCALL.eventChannelOp;

/** The structures of the calls that are judged. */
function specOf(nr: number, cmd: number): StructSpec | undefined {
  if (nr === HYPERCALL.dmOp) return cmd === HVM ? DM_OP_INJECT_MSI : undefined;
  if (nr === PHYSDEV)
    return {
      [PHYSDEVOP.getFreePirq]: PHYSDEV_GET_FREE_PIRQ,
      [PHYSDEVOP.mapPirq]: PHYSDEV_MAP_PIRQ,
      [PHYSDEVOP.unmapPirq]: PHYSDEV_UNMAP_PIRQ,
    }[cmd];
  if (nr !== EVENT) return undefined;
  return {
    [EVTCHNOP.bindPirq]: EVTCHN_BIND_PIRQ,
    [EVTCHNOP.close]: EVTCHN_CLOSE,
    [EVTCHNOP.allocUnbound]: EVTCHN_ALLOC_UNBOUND,
    [EVTCHNOP.bindIpi]: EVTCHN_BIND_IPI,
    [EVTCHNOP.status]: EVTCHN_STATUS,
  }[cmd];
}

function call<S extends StructSpec>(
  domid: number,
  nr: number,
  cmd: number,
  spec: S,
  value: Partial<StructValue<S>>,
): Access {
  const data = codec(spec).encode(value);
  const offset = nr * 0x1_0000_0000 + cmd;
  return {
    kind: KIND.hypercall,
    region: NOT_APPLICABLE,
    width: NOT_APPLICABLE,
    function: domid,
    offset,
    value: data.length,
    data,
  };
}

/** Name and members of a call: `map_pirq domid=5 type=0 index=-1 …`. */
function describe(step: Access): string {
  const [nr, cmd] = [Math.floor(step.offset / 0x1_0000_0000), step.offset % 0x1_0000_0000];
  const spec = specOf(nr, cmd);
  if (!spec || !step.data || step.data.length < codec<StructSpec>(spec).size)
    return `hypercall ${nr} command ${hex(cmd)}`;
  const members = Object.entries(codec<StructSpec>(spec).decode(step.data)).filter(
    ([, v]) => typeof v !== 'object' && Number(v) !== 0,
  );
  const name = spec.cName.replace(/^(physdev|evtchn)_/, '');
  return `${name}${members.map(([k, v]) => ` ${k}=${v}`).join('')}`;
}

export const HYPERCALL_TARGET: Target<Access> = {
  name: 'hypercalls',
  about: 'pirqs and event channels of three domains, on three releases',
  unit: 'hypercalls',
  variants: RELEASES.length,
  open: (variant) => new HypercallSubject(RELEASES[variant]),
  encode: encodeAccesses,
  decode: decodeAccesses,
};
