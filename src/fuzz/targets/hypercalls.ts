import { Arena, type Prng, toHex } from '../../core/index.ts';
import { type RecordedDevices, SENT } from '../../harness/replay/xen-devices.ts';
import { formatRet } from '../../xen/abi/index.ts';
import { HostFault, type Hypervisor, viewMessages, viewPirqs, viewPorts } from '../../xen/index.ts';
import { type Access, decodeAccesses, encodeAccesses, KIND } from '../access.ts';
import { bindingsAgree, oneOwner } from '../oracle/laws.ts';
import { hypercall } from '../oracle/xen/calls.ts';
import type { Bits } from '../oracle/xen/collections.ts';
import { STATE } from '../oracle/xen/events.ts';
import { runHost } from '../oracle/xen/irqs.ts';
import { type Sent, sendMessage } from '../oracle/xen/messages.ts';
import { Dies, type NaiveDomain, type NaiveXen, Unclear } from '../oracle/xen/state.ts';
import type { Subject, Target } from '../target.ts';
import { describe, nameOf, split } from './hypercalls/calls.ts';
import { compare, MASK_AT, PENDING_AT, SELECTOR_AT, UPCALL_AT } from './hypercalls/compare.ts';
import { StepMaker } from './hypercalls/generate.ts';
import { DOMAINS, HOSTS, makeHost } from './hypercalls/host.ts';

const OUTCOME: Record<number, Sent> = {
  [SENT.noMessage]: 'no message',
  [SENT.masked]: 'masked',
  [SENT.sent]: 'sent',
};

interface Saved {
  model: Int32Array;
  naive: NaiveXen;
  over: boolean;
}

/** What the naive model says of a step: a result and the argument after it, or that the host dies of it. */
type Verdict = { ret: number | string; bytes?: Uint8Array; dies?: undefined } | { dies: string };

/**
 * A host with three domains and three devices: hypercalls as bytes, interrupts of devices, what guests write to their
 * shared pages. Judged in results, bytes written back and the whole state by the naive Xen, which also says which call the
 * real hypervisor does not survive. In a hypercall step `function` is the calling domain, `offset` nr × 2^32 + cmd.
 */
class HypercallSubject implements Subject<Access> {
  readonly label: string;
  readonly functions = [];
  readonly #xen: Hypervisor;
  readonly #bus: RecordedDevices;
  readonly #arena = new Arena(1 << 18);
  readonly #clean: Int32Array;
  readonly #pristine: NaiveXen;
  #naive: NaiveXen;
  readonly #maker = new StepMaker(() => this.#naive);
  /** The host has died, as the real one would have, or it is written nowhere what comes next. */
  #over = false;
  #did = '';

  constructor(host: (typeof HOSTS)[number]) {
    this.label = host.remapping ? host.xen : `${host.xen} without remapping`;
    const { xen, bus, naive } = makeHost(host, this.#arena);
    this.#xen = xen;
    this.#bus = bus;
    this.#clean = this.#arena.snapshot();
    this.#pristine = naive;
    this.#naive = naive.clone();
  }

  begin(): void {
    this.#arena.restore(this.#clean);
    this.#naive = this.#pristine.clone();
    this.#over = false;
  }

  save(): Saved {
    return { model: this.#arena.snapshot(), naive: this.#naive.clone(), over: this.#over };
  }

  restore(saved: unknown): void {
    const { model, naive, over } = saved as Saved;
    this.#arena.restore(model);
    this.#naive = naive.clone();
    this.#over = over;
  }

  generate(prng: Prng): Access {
    return this.#maker.step(prng);
  }

  mutate(prng: Prng, step: Access): Access {
    if (!step.data || prng.below(3) === 0) return this.#maker.step(prng);
    return prng.below(2) ? { ...step, function: prng.pick(DOMAINS).id } : this.#maker.hostile(prng, step);
  }

  run(step: Access): string | undefined {
    this.#did = '';
    if (this.#over) return undefined;
    const verdict = this.#judge(step);
    if (!verdict) return undefined;
    const { data } = step;
    let answer: { ret: number | string; bytes?: Uint8Array };
    try {
      answer = this.#carryOut(step);
    } catch (fault) {
      if (!(fault instanceof HostFault)) return `throws: ${String(fault)}`;
      this.#over = true;
      this.#did = fault.message;
      if (verdict.dies !== undefined) return undefined;
      return `${nameOf(step)}: the host dies (${fault.reason}), should live with ${show(verdict.ret)}: ${describe(step)}`;
    }
    this.#did = show(answer.ret);
    if (verdict.dies !== undefined)
      return `${nameOf(step)}: the host lives with ${this.#did}, should die (${verdict.dies}): ${describe(step)}`;
    if (answer.ret !== verdict.ret)
      return `result of ${nameOf(step)}: is ${this.#did}, should be ${show(verdict.ret)}: ${describe(step)}`;
    if (data && !same(answer.bytes!, verdict.bytes!))
      return `bytes of ${nameOf(step)}: after it ${toHex(answer.bytes!)}, should be ${toHex(verdict.bytes!)}: ${describe(step)}`;
    return compare(this.#xen, this.#naive);
  }

  /** What must come of a step; undefined if it is not judged, and then it is not carried out either. */
  #judge(step: Access): Verdict | undefined {
    const naive = this.#naive;
    try {
      switch (step.kind) {
        case KIND.raise: {
          const ret = sendMessage(naive, step.function, step.offset);
          if (ret === 'unpredicted') return undefined;
          runHost(naive);
          return { ret };
        }
        case KIND.intx:
          return { ret: this.#gsi(step.offset) };
        case KIND.write: {
          const d = naive.domain(step.function);
          return d && writePage(d, step.offset, step.value) ? { ret: 0 } : undefined;
        }
        case KIND.hypercall: {
          const caller = naive.domain(step.function);
          if (!caller || !step.data) return undefined;
          const bytes = step.data.slice();
          const ret = hypercall(naive, caller, ...split(step.offset), bytes);
          return ret === undefined ? undefined : { ret, bytes };
        }
        default:
          return undefined;
      }
    } catch (end) {
      if (end instanceof Dies) return { dies: end.message };
      if (!(end instanceof Unclear)) throw end;
      this.#over = true;
      return undefined;
    }
  }

  /** Its line is only unmasked while a domain handles it; the cascade has no vector. */
  #gsi(irq: number): string {
    const naive = this.#naive;
    if (!naive.irqs.get(irq)?.action || irq >= naive.options.gsis) return 'masked';
    const vector = naive.vectorOf(irq);
    if (vector >= 0) naive.requested.add(vector);
    runHost(naive);
    return 'sent';
  }

  #carryOut(step: Access): { ret: number | string; bytes?: Uint8Array } {
    const { kind, function: fn, offset, value, data } = step;
    if (kind === KIND.hypercall) return this.#xen.hypercall(fn, ...split(offset), data!);
    if (kind === KIND.intx) return { ret: this.#xen.raiseGsi(offset) ? 'sent' : 'masked' };
    if (kind === KIND.write) {
      this.#xen.domain(fn).sharedInfo[offset] = value;
      return { ret: 0 };
    }
    return { ret: OUTCOME[this.#send(fn, offset)] };
  }

  /** A device sends what Xen's newest descriptor says, if its own mask bits let it. */
  #send(sbdf: number, vector: number): number {
    const message = viewMessages(this.#xen.host, sbdf).findLast((m) => m.entry === vector);
    if (!message || (!message.msix && vector >= this.#bus.grantedVectors(sbdf))) return SENT.noMessage;
    if (this.#bus.isMasked(sbdf, message.msix, vector)) return SENT.masked;
    this.#xen.deliverMessage(message.addressLo, message.addressHi, message.data);
    return SENT.sent;
  }

  finish(): string | undefined {
    return this.#over ? undefined : (compare(this.#xen, this.#naive) ?? this.#checkLaws());
  }

  /** Of the model alone, whatever the naive one says. */
  #checkLaws(): string | undefined {
    const views = DOMAINS.map(({ id }) => {
      const domain = this.#xen.domain(id);
      return { id, pirqs: viewPirqs(domain), ports: viewPorts(domain).filter(({ state }) => state === STATE.pirq) };
    });
    // a run that fails halfway leaves pirqs that claim irqs of others, in Xen too: arch/x86/irq.c: map_domain_pirq
    const claims = this.#naive.domains.some((d) =>
      [...d.pirqs].some(([pirq, { irq }]) => irq > 0 && pirq > 0 && d.irqPirq.get(irq) !== pirq),
    );
    return (claims ? undefined : oneOwner(views)) ?? bindingsAgree(views);
  }

  /** How many pirqs of each kind each domain has, which ports, and what is in flight. */
  abstractState(): number {
    let h = this.#over ? 1 : 0;
    const add = (n: number) => {
      h = Math.imul(h ^ n, 0x01000193) ^ (h >>> 13);
    };
    for (const d of this.#naive.domains) {
      const count = [0, 0, 0, 0, 0, 0, 0];
      for (const record of d.pirqs.slots) {
        if (!record) continue;
        const { irq, emuirq, evtchn, masked, pt } = record;
        if (irq > 0) count[0]++;
        else if (irq === -1) count[1]++;
        else if (irq < 0) count[2]++;
        if (emuirq !== -1) count[3]++;
        if (evtchn) count[4]++;
        if (masked) count[5]++;
        if (pt) count[6]++;
      }
      for (const n of count) add(Math.min(n, 4));
      add(Math.min(d.ports.size, 6) | (d.pending.words[0] ? 8 : 0) | (d.masked.words[0] ? 16 : 0));
    }
    add(this.#naive.eoiStack.length | (this.#naive.requested.size << 4));
    return h;
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
    return describe(step);
  }

  outcome(): string {
    return this.#did;
  }
}

/** The guest's own writes: event bits of its page. False for other bytes. */
function writePage(d: NaiveDomain, at: number, value: number): boolean {
  if (at === UPCALL_AT) d.upcall = value !== 0;
  else if (at === SELECTOR_AT) d.selector = value !== 0;
  else if (at - PENDING_AT === 0 || at - PENDING_AT === 1) setBits(d.pending, 8 * (at - PENDING_AT), value);
  else if (at - MASK_AT === 0 || at - MASK_AT === 1) setBits(d.masked, 8 * (at - MASK_AT), value);
  else return false;
  return true;
}

function setBits({ words }: Bits, from: number, value: number): void {
  words[0] = (words[0] & ~(0xff << from)) | (value << from);
}

const show = (ret: number | string) => (typeof ret === 'number' ? formatRet(ret) : ret);

function same(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

export const HYPERCALL_TARGET: Target<Access> = {
  name: 'hypercalls',
  about: 'pirqs, event channels and interrupts of three domains, on three releases',
  unit: 'steps',
  variants: HOSTS.length,
  open: (variant) => new HypercallSubject(HOSTS[variant]),
  encode: encodeAccesses,
  decode: decodeAccesses,
};
