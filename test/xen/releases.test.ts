import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/core/index.ts';
import { ERRNO, XENFEAT } from '../../src/xen/abi/index.ts';
import { type DomainConfig, getXenProfile, xenProfileNames } from '../../src/xen/index.ts';
import { DOM0, device, machine } from './machine.ts';

const { EACCES, EEXIST, EINVAL, ENODEV, ENOSYS, EPERM, ESRCH } = ERRNO;
const RELEASES = xenProfileNames();
const HVM: DomainConfig = { id: 1, kind: 'hvm', hasMemory: false };
const make = (xen: string, domains: DomainConfig[] = [DOM0, HVM], changes = {}) =>
  machine({
    xen: getXenProfile(xen, changes),
    gsis: 24,
    nrIrqs: 128,
    domains,
    devices: [device(3, { msi_vectors: 8 }), device(4, { msi_vectors: 1 })],
  }).xen;

/** One row per release, in their order. */
function perRelease<T>(expected: T[], probe: (release: string) => T): void {
  expect(Object.fromEntries(RELEASES.map((r) => [r, probe(r)]))).toEqual(
    Object.fromEntries(RELEASES.map((r, i) => [r, expected[i]])),
  );
}

describe('what differs between releases', () => {
  test('an HVM guest is told of pirqs by default up to 4.17', () =>
    perRelease([true, true, true, true, false, false], (r) => {
      const answer = make(r).hypercall(1, 17, 6, new Uint8Array(8));
      return ((answer.bytes[5] << 8) & (1 << XENFEAT.hvmPirqs)) !== 0;
    }));

  test('get_free_pirq and map_pirq of an HVM guest that must not use pirqs', () => {
    const without = { ...HVM, hasPirq: false };
    perRelease([0, 0, -ENOSYS, -ENOSYS, -ENOSYS, -ENOSYS], (r) => make(r, [DOM0, without]).as(1).getFreePirq().ret);
    const map = (r: string) => make(r, [DOM0, without]).as(1).mapPirq({ domid: 0, type: 1, index: 9 }).ret;
    perRelease([-EPERM, -EPERM, -ENOSYS, -ENOSYS, -ENOSYS, -EPERM], map);
  });

  test('a guest that names itself by number', () =>
    perRelease([-EINVAL, -EPERM, -EPERM, -EPERM, 0, 0], (r) => {
      const xen = make(r, [DOM0, { ...HVM, hasPirq: true }]);
      return xen.as(1).mapPirq({ domid: 1, type: 1, index: 20 }).ret;
    }));

  test('an unknown domain in map_pirq: the type of MSI_SEG comes back as 0 or as it was', () =>
    perRelease([0, 0, 0, 0, 3, 3], (r) => {
      const answer = make(r).as(0).mapPirq({ domid: 77, type: 3 });
      expect(answer.ret).toBe(-ESRCH);
      return answer.type;
    }));

  test('MSI of a device that belongs to somebody else', () =>
    perRelease(
      [0, -ENODEV, -ENODEV, -ENODEV, -ENODEV, -ENODEV],
      (r) => make(r).as(0).mapPirq({ domid: 1, type: 0, bus: 3 }).ret,
    ));

  test('a device model domain maps an MSI: it needs access to the irq made for it', () => {
    const stub: DomainConfig = { id: 2, kind: 'pv', target: 1 };
    perRelease([-EPERM, -EPERM, 0, 0, 0, 0], (r) => {
      const xen = make(r, [DOM0, HVM, stub]);
      xen.as(0).assignDevice(1, 0x300);
      return xen.as(2).mapPirq({ domid: 1, type: 0, bus: 3 }).ret;
    });
  });

  test('a mapped MSI before anybody binds it: masked by the guest’s side or not', () =>
    perRelease([0, 1, 1, 1, 1, 1], (r) => {
      const xen = make(r);
      xen.as(0).assignDevice(1, 0x300);
      const { pirq } = xen.as(0).mapPirq({ domid: 1, type: 0, bus: 3 });
      expect(xen.as(0).bindPtMsi(1, pirq, 0x31, 0)).toBe(0);
      return xen.host.msis.guestMasked[xen.host.irqs.msi[xen.domain(1).irqOf(pirq)]];
    }));

  test('who hears first that a pt-irq domctl is not for him', () => {
    const pv: DomainConfig = { id: 2, kind: 'pv' };
    const call = (r: string) => make(r, [DOM0, HVM, pv]).as(2).bindPtMsi(0, 5, 0, 0);
    perRelease([-EPERM, -EPERM, -EPERM, -EINVAL, -EINVAL, -EINVAL], call);
    perRelease([-ESRCH, -ESRCH, -ESRCH, -ESRCH, -ESRCH, -EPERM], (r) =>
      make(r, [DOM0, pv]).as(2).bindPtMsi(9, 5, 0, 0),
    );
  });

  test('a domctl of another interface version', () => {
    const bytes = new Uint8Array(144);
    bytes[4] = 1;
    for (const r of RELEASES) expect(make(r).hypercall(0, 36, 0, bytes).ret, r).toBe(-EACCES);
  });

  test('injection of a message is hvm_op up to 4.8, dm_op from 4.9', () => {
    const op = new Uint8Array(32);
    op[0] = 14;
    perRelease([true, true, false, false, false, false], (r) => make(r).hypercall(0, 41, 1, op).ret === -ENOSYS);
    perRelease([false, false, true, true, true, true], (r) => {
      const arg = new Uint8Array(16);
      arg[0] = 1;
      return make(r).hypercall(0, 34, 16, arg).ret === -ENOSYS;
    });
  });

  test('a record with an event channel survives its unmapping from 4.17.5 on', () =>
    perRelease([0, 0, 0, -EEXIST, -EEXIST, -EEXIST], (r) => {
      const xen = make(r, [DOM0, { ...HVM, hasPirq: true }]);
      xen.as(0).assignDevice(1, 0x300);
      const guest = xen.as(1);
      const { pirq } = guest.getFreePirq();
      expect(xen.as(0).mapPirq({ domid: 1, type: 0, bus: 3, pirq }).ret).toBe(0);
      expect(guest.bindPirq(pirq).ret).toBe(0);
      expect(xen.as(0).unmapPirq(1, pirq)).toBe(0);
      return guest.bindPirq(pirq).ret;
    }));
});

describe('switches of the laboratory', () => {
  test('allocation from the bottom up', () => {
    const xen = make('xen-4.17', [DOM0, HVM], { allocationDirection: 'bottom-up' });
    expect([1, 2, 3].map(() => xen.as(1).getFreePirq().pirq)).toEqual([24, 25, 26]);
    xen.as(0).assignDevice(1, 0x300);
    expect(xen.as(0).mapPirq({ domid: 1, type: 4, bus: 3, entry_nr: 4 })).toMatchObject({
      ret: 0,
      pirq: 27,
      entry_nr: 4,
    });
  });
});

describe('misuse of the API', () => {
  test('domains', () => {
    const xen = make('xen-4.17');
    expect(() => xen.createDomain(HVM)).toThrow(UsageError);
    expect(() => xen.createDomain({ ...HVM, id: -1 })).toThrow(UsageError);
    expect(() => xen.createDomain({ ...HVM, id: 2, nrPirqs: 2.5 })).toThrow(UsageError);
    expect(() => machine({ gsis: 8, domains: [] })).toThrow('gsis must be 16');
    expect(() => machine({ cpus: 0, domains: [] })).toThrow(UsageError);
    expect(() => machine({ xen: 'xen-9', domains: [] })).toThrow(UsageError);
    expect(() => xen.hypercall(9, 33, 13, new Uint8Array(40))).toThrow(UsageError);
    xen.destroyDomain(1);
    expect(() => xen.createDomain({ ...HVM, nrPirqs: 40 })).toThrow(UsageError);
  });
});
