import type { Prng } from '../../../core/index.ts';
import {
  DM_OP_INJECT_MSI,
  DMOP,
  DOMCTL,
  DOMCTL_BIND_PT_IRQ,
  DOMCTL_IRQ_PERMISSION,
  DOMID_SELF,
  EVTCHN_ALLOC_UNBOUND,
  EVTCHN_BIND_INTERDOMAIN,
  EVTCHN_BIND_IPI,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHN_RESET,
  EVTCHN_STATUS,
  EVTCHNOP,
  encodePirqMessage,
  HYPERCALL,
  PHYSDEV_EOI,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_MAP_PIRQ,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEVOP,
} from '../../../xen/abi/index.ts';
import type { Access } from '../../access.ts';
import type { NaiveDomain, NaiveXen } from '../../oracle/xen/state.ts';
import { call, domctl, gsi, pageWrite, raise, rawCall, split } from './calls.ts';
import { MASK_AT, PENDING_AT, SELECTOR_AT, UPCALL_AT } from './compare.ts';
import { DEVICES, HVM, NR_IRQS, STUB } from './host.ts';

const PHYSDEV = HYPERCALL.physdevOp;
const EVENT = HYPERCALL.eventChannelOp;
const MAP = { msi: 0, gsi: 1, unknown: 2, msiSeg: 3, multiMsi: 4 } as const;
/** Mapped in every domain, and handled by few. */
const CASCADE = 2;
const DOMIDS = [0, HVM, HVM, STUB];

/** Makes steps that know what is mapped, bound and open now; one in some carries what no guest would write. */
export class StepMaker {
  readonly #naive: () => NaiveXen;

  /** @param naive the present state */
  constructor(naive: () => NaiveXen) {
    this.#naive = naive;
  }

  step(prng: Prng): Access {
    const step = this.#plain(prng);
    return step.data && prng.below(24) === 0 ? this.hostile(prng, step) : step;
  }

  /** A call with random bytes, too few of them, an unknown command or another caller. */
  hostile(prng: Prng, step: Access): Access {
    const data = step.data!.slice();
    const [nr, cmd] = split(step.offset);
    switch (prng.below(4)) {
      case 0:
        return rawCall(step.function, nr, cmd, data.subarray(0, prng.below(data.length + 1)));
      case 1:
        return nr === PHYSDEV || nr === EVENT
          ? rawCall(step.function, nr, prng.pick([0, 3, 11, 18, 22, 33, 99, 0x7fffffff]), data)
          : { ...step, function: prng.pick(DOMIDS) };
      default:
        for (let n = 1 + prng.below(3); n > 0; n--)
          data[prng.below(data.length)] = prng.pick([0, 1, 0x7f, 0x80, 0xff, prng.below(256)]);
        return rawCall(step.function, nr, cmd, data);
    }
  }

  #plain(prng: Prng): Access {
    const domid = prng.pick([0, 0, HVM, HVM, HVM, STUB]);
    const r = prng.below(40);
    if (r < 3)
      return call(domid, PHYSDEV, PHYSDEVOP.getFreePirq, PHYSDEV_GET_FREE_PIRQ, { type: prng.pick([0, 0, 1, 7]) });
    if (r < 10) return this.#map(prng, domid);
    if (r < 13) {
      const target = prng.pick([domid, HVM, 0, STUB, DOMID_SELF, 99]);
      return call(domid, PHYSDEV, PHYSDEVOP.unmapPirq, PHYSDEV_UNMAP_PIRQ, {
        domid: target,
        pirq: this.#pirq(prng, target === DOMID_SELF ? domid : target),
      });
    }
    if (r < 18)
      return call(domid, EVENT, EVTCHNOP.bindPirq, EVTCHN_BIND_PIRQ, {
        pirq: this.#pirq(prng, domid),
        flags: prng.below(2),
      });
    if (r < 20) return call(domid, EVENT, EVTCHNOP.close, EVTCHN_CLOSE, { port: this.#port(prng, domid) });
    if (r < 23) return this.#otherEvent(prng, domid);
    if (r < 27) return this.#binding(prng);
    if (r < 29) return this.#inject(prng);
    if (r < 31) return this.#fromPirq(prng, domid);
    if (r < 38) return this.#interrupt(prng);
    return this.#page(prng, domid);
  }

  #map(prng: Prng, domid: number): Access {
    const type = prng.pick([
      MAP.msi,
      MAP.msi,
      MAP.msi,
      MAP.msiSeg,
      MAP.gsi,
      MAP.gsi,
      MAP.unknown,
      MAP.multiMsi,
      MAP.multiMsi,
    ]);
    const device = prng.pick(DEVICES);
    const msix = (type === MAP.msi || type === MAP.msiSeg) && prng.below(2) === 1;
    const entry = msix
      ? prng.pick([0, 0, 1, 3, 4, 7, 8, -1])
      : type === MAP.multiMsi
        ? prng.pick([1, 2, 2, 3, 4, 4, 5, 8, 9, 16, 17, 32, 0, 33, -1])
        : 1;
    const owner = device === DEVICES[0] ? 0 : HVM;
    const target = prng.below(2) ? owner : prng.pick([0, HVM, HVM, STUB, DOMID_SELF, 99]);
    return call(prng.below(3) ? 0 : domid, PHYSDEV, PHYSDEVOP.mapPirq, PHYSDEV_MAP_PIRQ, {
      domid: target,
      type,
      index:
        type === MAP.gsi
          ? prng.pick([-1, 0, 1, 2, 3, 16, 17, 18, 47, 48])
          : prng.below(12)
            ? -1
            : prng.pick([17, 18, 19, 20, 34]),
      pirq: prng.below(3) ? -1 : this.#pirq(prng, target),
      bus: (device.sbdf >> 8) | (prng.below(16) ? 0 : 0x1_0000),
      entry_nr: entry,
      table_base: msix ? BigInt(device.bar) : 0n,
    });
  }

  #otherEvent(prng: Prng, domid: number): Access {
    const port = this.#port(prng, domid);
    const dom = prng.pick([DOMID_SELF, DOMID_SELF, ...DOMIDS, 99]);
    switch (prng.below(12)) {
      case 0:
      case 1:
        return call(domid, EVENT, EVTCHNOP.allocUnbound, EVTCHN_ALLOC_UNBOUND, {
          dom,
          remote_dom: prng.pick([0, HVM, STUB, DOMID_SELF]),
        });
      case 2:
      case 3:
        return call(domid, EVENT, EVTCHNOP.bindInterdomain, EVTCHN_BIND_INTERDOMAIN, {
          remote_dom: dom,
          remote_port: this.#port(prng, prng.pick(DOMIDS)),
        });
      case 4:
        return call(domid, EVENT, EVTCHNOP.bindIpi, EVTCHN_BIND_IPI, { vcpu: prng.below(8) ? 0 : 1 });
      case 5:
      case 6:
        return call(domid, EVENT, EVTCHNOP.status, EVTCHN_STATUS, { dom, port });
      case 7:
      case 8:
        return call(domid, EVENT, EVTCHNOP.send, EVTCHN_CLOSE, { port });
      case 9:
      case 10:
        return call(domid, EVENT, EVTCHNOP.unmask, EVTCHN_CLOSE, { port });
      default:
        return call(domid, EVENT, EVTCHNOP.reset, EVTCHN_RESET, { dom });
    }
  }

  #binding(prng: Prng): Access {
    const { domctlVersion } = this.#naive().options;
    const domid = prng.pick([0, STUB, STUB, HVM]);
    const version = prng.below(32) ? domctlVersion : 0x14;
    const target = prng.pick([HVM, HVM, HVM, HVM, HVM, HVM, 0, 99]);
    if (prng.below(10) === 0)
      return domctl(domid, version, prng.pick(DOMIDS), DOMCTL.irqPermission, DOMCTL_IRQ_PERMISSION, {
        pirq: this.#pirq(prng, domid),
        allow_access: prng.below(2),
      });
    const cmd = prng.below(3) ? DOMCTL.bindPtIrq : DOMCTL.unbindPtIrq;
    return domctl(domid, version, target, cmd, DOMCTL_BIND_PT_IRQ, {
      machine_irq: this.#pirq(prng, HVM),
      irq_type: prng.below(16) ? 2 : 1,
      'u.msi.gvec': prng.pick([0, 0, 0x31, 8]),
      'u.msi.gflags': prng.pick([0x304f, 0, 0x1000, 0x1001, 0x2000]) | (prng.below(2) ? 0x10000 : 0),
      'u.msi.gtable': prng.below(4) ? 0n : 0xf000_0000n,
    });
  }

  #inject(prng: Prng): Access {
    let { addressLo, addressHi, data } = encodePirqMessage(Math.max(0, this.#pirq(prng, HVM)), 0);
    if (prng.below(6) === 0) [addressLo, addressHi, data] = [0xfee0_0000, 0, prng.pick([0x31, 0x131, 0x231, 8])];
    if (prng.below(16) === 0) addressHi = prng.pick([0x8000_0000, 0xff, 0x100]);
    return call(
      prng.pick([0, STUB]),
      HYPERCALL.dmOp,
      prng.below(12) ? HVM : prng.pick([0, STUB, 99]),
      DM_OP_INJECT_MSI,
      {
        op: DMOP.injectMsi,
        'u.inject_msi.data': data,
        'u.inject_msi.addr': BigInt(addressHi) * 0x1_0000_0000n + BigInt(addressLo >>> 0),
      },
    );
  }

  #fromPirq(prng: Prng, domid: number): Access {
    const irq = this.#pirq(prng, domid);
    const cmd = prng.below(3) ? PHYSDEVOP.eoi : PHYSDEVOP.irqStatusQuery;
    // a query's structure begins like an EOI's
    const step = call(domid, PHYSDEV, cmd, PHYSDEV_EOI, { irq });
    return cmd === PHYSDEVOP.eoi ? step : rawCall(domid, PHYSDEV, cmd, Uint8Array.of(...step.data!, 0xff, 0, 0, 0));
  }

  /** Mostly one that somebody handles. */
  #interrupt(prng: Prng): Access {
    const { irqs } = this.#naive();
    const choice = prng.below(8);
    let chosen = irqs.nth(prng.below(irqs.size));
    // from a random one on to the next that is handled
    if (choice > 1) for (let n = 0; n < NR_IRQS && !irqs.get(chosen)?.action; n++) chosen = (chosen + 1) % NR_IRQS;
    const { message } = irqs.get(chosen) ?? {};
    if (message && choice > 0) return raise(message.sbdf, message.entry);
    if (irqs.get(chosen)?.action) return gsi(chosen);
    return prng.below(2) ? gsi(prng.pick([1, 2, 3, 16, 17, 18])) : raise(prng.pick(DEVICES).sbdf, prng.below(9));
  }

  #page(prng: Prng, domid: number): Access {
    const byte = prng.below(2);
    switch (prng.below(5)) {
      case 0:
        return pageWrite(domid, UPCALL_AT, 0);
      case 1:
        return pageWrite(domid, SELECTOR_AT, 0);
      case 2:
        return pageWrite(domid, PENDING_AT + byte, 0);
      default:
        return pageWrite(domid, MASK_AT + byte, prng.pick([0, 0xff, prng.below(256)]));
    }
  }

  /** The ends of the space, where the allocator hands out, and what is mapped or bound now. */
  #pirq(prng: Prng, domid: number): number {
    if (prng.below(4) === 0) return prng.pick([0, 1, 15, 16, 17, 18, 23, 24, 33, 34, 39, 40, -1]);
    const { domains } = this.#naive();
    const d = prng.below(4) === 0 ? prng.pick(domains) : domains.find(({ id }) => id === domid);
    const { pirqs } = d ?? domains[0];
    for (let n = 0; n < 4; n++) {
      const pirq = pirqs.nth(prng.below(pirqs.size));
      if ((pirqs.get(pirq)?.irq ?? 0) > 0 && pirq !== CASCADE) return pirq;
    }
    return pirqs.nth(prng.below(pirqs.size));
  }

  #port(prng: Prng, domid: number): number {
    const { ports } = this.#naive().domain(domid) as NaiveDomain;
    if (ports.size === 0 || prng.below(6) === 0) return prng.pick([prng.below(14), 63, 64, -1]);
    return ports.nth(prng.below(ports.size));
  }
}
