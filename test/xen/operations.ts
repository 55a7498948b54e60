import type { Prng } from '../../src/core/index.ts';
import type { RecordedDevices } from '../../src/harness/replay/xen-devices.ts';
import { codec, DOMID_SELF, encodePirqMessage, PHYSDEV_MAP_PIRQ } from '../../src/xen/abi/index.ts';
import { HostFault, type Hypervisor, viewMessages } from '../../src/xen/index.ts';
import { barOf, DOM0, device, machine } from './machine.ts';

export const HVM = 5;
export const PV = 6;
const DEVICES = [
  device(3, { msi_vectors: 8, maskable: false }),
  device(4, { msi_vectors: 4, msix_entries: 8 }),
  device(5, { msix_entries: 4 }),
];

/** A small host: hardware domain, an HVM guest and its 32-bit device model domain, three devices, two passed through. */
export function smallMachine(xen: string): { xen: Hypervisor; bus: RecordedDevices } {
  const m = machine({
    xen,
    gsis: 18,
    nrIrqs: 34,
    firstIrq: 19,
    maxDevices: 4,
    maxGuestsPerIrq: 4,
    domains: [
      { ...DOM0, nrPirqs: 40, maxPort: 30 },
      { id: HVM, kind: 'hvm', nrPirqs: 34, hasPirq: true, maxPort: 30, hasMemory: false },
      { id: PV, kind: 'pv', nrPirqs: 24, target: HVM, maxPort: 30, abi: 'compat' },
    ],
    devices: DEVICES,
  });
  const dom0 = m.xen.as(0);
  for (const d of DEVICES.slice(1)) {
    if (d.msix_entries) dom0.prepareMsix(d.sbdf);
    dom0.assignDevice(HVM, d.sbdf);
  }
  return m;
}

/** Who an operation may change besides the caller: nobody, or whom it names. */
export interface Performed {
  name: string;
  ret: number;
  /** Domains that may have changed; undefined: any. */
  touched: number[] | undefined;
}

/** One random operation. @throws HostFault */
export function randomOperation(xen: Hypervisor, prng: Prng): Performed {
  const caller = prng.pick([0, 0, HVM, HVM, PV]);
  const as = xen.as(caller);
  const pirq = prng.below(8) ? prng.below(40) : prng.pick([-1, 39, 40, 1000, -2147483648]);
  const self = (name: string, ret: number): Performed => ({ name, ret, touched: [caller] });
  switch (prng.below(14)) {
    case 0:
    case 1:
      return self('get_free_pirq', as.getFreePirq(prng.pick([0, 0, 1, 7])).ret);
    case 2:
    case 3:
      return self('bind_pirq', as.bindPirq(pirq, prng.below(3)).ret);
    case 4:
      return self('close', as.close(prng.below(8)));
    case 5:
      return self('eoi', as.eoi(pirq));
    case 6:
      return self('unmask', as.unmask(prng.below(70)));
    case 7: {
      const sbdf = prng.pick(DEVICES).sbdf;
      const type = prng.pick([0, 0, 3, 4, 1, 2]);
      const domid = prng.pick([0, HVM, HVM, caller, DOMID_SELF, 99]);
      const { ret } = as.mapPirq({
        domid,
        type,
        index: prng.pick([-1, -1, -1, 20, prng.below(18)]),
        pirq: prng.pick([-1, -1, -1, pirq]),
        bus: sbdf >>> 8,
        devfn: 0,
        // an explicit pirq with no vectors at all kills the real host, and then the sequence
        entry_nr: prng.pick([1, 2, 3, 4, 8, 40, 0]),
        table_base: prng.below(2) && type !== 4 ? barOf(sbdf >>> 8) : 0n,
      });
      return { name: 'map_pirq', ret, touched: [domid === DOMID_SELF ? caller : domid, caller] };
    }
    case 8: {
      const domid = prng.pick([0, HVM, caller]);
      return { name: 'unmap_pirq', ret: as.unmapPirq(domid, pirq), touched: undefined };
    }
    case 9: {
      const ret = as.bindPtMsi(HVM, pirq, prng.pick([0, 0, 0x31]), prng.pick([0x304f, 0x1304f, 0]), 0n);
      return { name: 'bind_pt_irq', ret, touched: [HVM] };
    }
    case 10:
      return { name: 'unbind_pt_irq', ret: as.unbindPtMsi(HVM, pirq), touched: [HVM] };
    case 11:
      return {
        name: 'inject_msi',
        ret: as.injectMsi(HVM, encodePirqMessage(pirq >>> 0, prng.pick([0, 0x4300, 0x4041]))),
        touched: [HVM],
      };
    case 12: {
      const messages = viewMessages(xen.host, prng.pick(DEVICES).sbdf);
      if (!messages.length) return { name: 'tick', ret: xen.tick(), touched: undefined };
      const m = prng.pick(messages);
      return { name: 'message', ret: +xen.deliverMessage(m.addressLo, m.addressHi, m.data), touched: undefined };
    }
    default:
      return { name: 'gsi', ret: +xen.raiseGsi(prng.below(18)), touched: undefined };
  }
}

/** Any bytes under any number. @throws HostFault */
export function hostileCall(xen: Hypervisor, prng: Prng): { ret: number; fault: string | undefined } {
  const nr = prng.pick([33, 33, 33, 32, 32, 36, 41, 34, 16, 19, 17, prng.below(64)]);
  const cmd = prng.below(20) ? prng.below(34) : prng.pick([-1, 0x7fffffff, -0x80000000, 0xffffffff, 0x100]);
  const length = prng.below(4) ? prng.pick([0, 2, 4, 8, 12, 16, 24, 32, 36, 40, 144]) : prng.below(200);
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += 4) {
    const word = prng.pick([0, 0, 1, prng.below(64), 0xffffffff, 0x80000000, 0x7fffffff, prng.next()]);
    for (let k = 0; k < 4 && i + k < length; k++) bytes[i + k] = word >>> (8 * k);
  }
  if (nr === 36 && length >= 8) {
    bytes.set([prng.pick([19, 37, 38, 47, 48, 3]), 0, 0, 0, xen.profile.domctlVersion, 0, 0, 0]);
    if (length > 10) bytes.set([prng.pick([0, HVM, PV, 99]), 0], 8);
  }
  if (nr === 33 && cmd === 13 && length >= 40 && prng.below(2)) {
    const value = codec(PHYSDEV_MAP_PIRQ).decode(bytes);
    codec(PHYSDEV_MAP_PIRQ).encode({ ...value, domid: HVM, bus: prng.pick([3, 4, 5]), devfn: 0 }, bytes);
  }
  const fault = prng.below(8) ? undefined : prng.pick(['read', 'write', 'null'] as const);
  return { ret: xen.hypercall(prng.pick([0, HVM, PV]), nr, cmd, bytes, fault ? { fault } : {}).ret, fault };
}

/** Runs what may kill the host; undefined if it did. */
export function survive<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (fault) {
    if (fault instanceof HostFault) return undefined;
    throw fault;
  }
}
