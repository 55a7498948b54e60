import { describe, expect, test } from 'vitest';
import { Arena } from '../../src/core/index.ts';
import { ERRNO, type MsiMessage } from '../../src/xen/abi/index.ts';
import { getXenProfile, HostFault, type Hypervisor, vcpuEvents, viewPirqs } from '../../src/xen/index.ts';
import { VectorPool } from '../../src/xen/vector-pool.ts';
import { barOf, DOM0, device, machine } from './machine.ts';

const MSI = 0;
const GSI = 1;
const MSI_SEG = 3;
const MULTI_MSI = 4;
const { EBUSY, EDOM, EEXIST, EINVAL, ENFILE, ENODEV, ENOSPC, EOPNOTSUPP, EPERM, ERANGE } = ERRNO;
const VERSIONS = ['xen-4.17.0', 'xen-4.17', 'xen-4.22'];

const irqsInUse = (xen: Hypervisor) => xen.host.irqs.used.reduce((n, used, irq) => n + +(irq >= 60 && used !== 0), 0);

describe.each(VERSIONS)('§6.2 searches, gsi = 16, nr_pirqs = 24 (%s)', (release) => {
  const NVMF = device(1, { msi_vectors: 32 });
  const make = (busy: number[] = [], intremap = true, gsis = 16) => {
    const { xen } = machine({
      xen: release,
      gsis,
      nrIrqs: 832,
      firstIrq: gsis,
      intremap,
      domains: [DOM0, { id: 1, kind: 'pv', nrPirqs: 24 }],
      devices: [NVMF],
    });
    for (const pirq of busy) xen.domain(1).setIrq(pirq, -1);
    for (const pirq of busy) xen.domain(1).makeRecord(pirq);
    xen.as(0).assignDevice(1, NVMF.sbdf);
    return xen;
  };
  const multi = (xen: Hypervisor, entry_nr: number) => {
    const a = xen.as(0).mapPirq({ domid: 1, type: MULTI_MSI, bus: 1, entry_nr });
    return a.ret ? { ret: a.ret, entry: a.entry_nr } : { base: a.pirq, entry: a.entry_nr };
  };

  test('a: get_free_pirq nine times', () => {
    const xen = make();
    const got = Array.from({ length: 9 }, () => xen.as(1).getFreePirq(0)).map((a) => a.ret || a.pirq);
    expect(got).toEqual([23, 22, 21, 20, 19, 18, 17, 16, -ENOSPC]);
  });
  test('m: gsi = 18, type GSI nine times', () => {
    const xen = make([], true, 18);
    const got = Array.from({ length: 9 }, () => xen.as(1).getFreePirq(1)).map((a) => a.ret || a.pirq);
    expect(got).toEqual([16, 17, 23, 22, 21, 20, 19, 18, -ENOSPC]);
  });
  test.each([
    ['b', [], 4, { base: 20, entry: 4 }],
    ['c', [], 3, { base: 20, entry: 4 }],
    ['d', [], 5, { base: 16, entry: 8 }],
    ['e', [], 16, { ret: -ENOSPC, entry: 8 }],
    ['f, 0', [], 0, { ret: -EDOM, entry: 0 }],
    ['f, 33', [], 33, { ret: -EDOM, entry: 33 }],
    ['h, 4', [21], 4, { base: 17, entry: 4 }],
    ['h, 2', [21], 2, { base: 22, entry: 2 }],
    ['h, 1', [21], 1, { base: 23, entry: 1 }],
    ['i', [21], 8, { ret: -ENOSPC, entry: 4 }],
    ['j', [17, 20], 4, { ret: -ENOSPC, entry: 2 }],
    ['k, 4', [16, 18, 20, 22], 4, { ret: -ENOSPC, entry: 1 }],
    ['k, 2', [16, 18, 20, 22], 2, { ret: -ENOSPC, entry: 1 }],
    ['l, 1', [16, 17, 18, 19, 20, 21, 22, 23], 1, { ret: -ENOSPC, entry: 0 }],
    ['l, 2', [16, 17, 18, 19, 20, 21, 22, 23], 2, { ret: -ENOSPC, entry: 1 }],
    ['l, 4', [16, 17, 18, 19, 20, 21, 22, 23], 4, { ret: -ENOSPC, entry: 1 }],
  ])('%s: %j busy, %i vectors', (_, busy, n, expected) => expect(multi(make(busy), n)).toEqual(expected));
  test('g: no remapping', () => {
    expect(multi(make([], false), 2)).toEqual({ ret: -EOPNOTSUPP, entry: 2 });
    expect(multi(make([], false), 1)).toEqual({ base: 23, entry: 1 });
  });
});

describe.each(VERSIONS)('§6.3 PV dom0, gsi = 48, nr_pirqs = 304, first free irq 60 (%s)', (release) => {
  test('1 … 32 in order', () => {
    const { xen } = machine({
      xen: release,
      gsis: 48,
      nrIrqs: 832,
      firstIrq: 60,
      domains: [{ ...DOM0, nrPirqs: 304 }],
      devices: [device(3, { msi_vectors: 8 }), device(4, { msi_vectors: 8 })],
    });
    const dom0 = xen.as(0);
    const d = xen.domain(0);
    const gsi = (index: number, pirq: number) => {
      const a = dom0.mapPirq({ type: GSI, index, pirq });
      return a.ret || a.pirq;
    };
    const msi = (pirq: number, arg = {}) => {
      const a = dom0.mapPirq({ type: MSI, bus: 3, pirq, ...arg });
      return a.ret || a.pirq;
    };
    expect(gsi(9, 9), '1').toBe(9);
    expect(gsi(9, 9), '2').toBe(9);
    expect(gsi(9, 20), '3').toBe(-EEXIST);
    expect(gsi(10, 9), '4: success without effect').toBe(9);
    expect(d.irqOf(9), '4').toBe(9);
    expect(gsi(9, -1), '5').toBe(release === 'xen-4.17.0' ? -EPERM : 9);
    expect(gsi(11, -1), '6').toBe(16);
    expect(gsi(48, -1), '7').toBe(-EINVAL);
    expect(gsi(0, -1), '8').toBe(-EPERM);
    expect(gsi(12, 304), '9').toBe(-EINVAL);
    expect(dom0.mapPirq({ type: 2 }).ret, '10').toBe(-EINVAL);
    expect(dom0.mapPirq({ type: MSI_SEG, bus: 3 }), '11').toMatchObject({ ret: 0, pirq: 303, type: MSI });
    expect(d.irqOf(303), '11').toBe(60);
    expect(msi(-1, { bus: 9 }), '12').toBe(-ENODEV);
    expect(irqsInUse(xen), '12').toBe(1);
    expect(msi(-1, { index: 47 }), '13').toBe(-EINVAL);
    expect(dom0.mapPirq({ type: MULTI_MSI, bus: 4, entry_nr: 4 }), '14').toMatchObject({
      ret: 0,
      pirq: 299,
      entry_nr: 4,
    });
    expect(
      [299, 300, 301, 302].map((p) => d.irqOf(p)),
      '14',
    ).toEqual([61, 62, 63, 64]);
    expect(dom0.unmapPirq(0, 300), '15').toBe(-EBUSY);
    expect(dom0.mapPirq({ type: MULTI_MSI, bus: 3, entry_nr: 16 }), '16').toMatchObject({ ret: -ENFILE, entry_nr: 8 });
    expect(dom0.bindPirq(303), '17').toMatchObject({ ret: 0, port: 1 });
    expect(dom0.bindPirq(303).ret, '18').toBe(-EEXIST);
    expect(dom0.bindPirq(250).ret, '19').toBe(-EPERM);
    expect(dom0.bindPirq(304).ret, '20').toBe(-EINVAL);
    expect(dom0.unmapPirq(0, 303), '21').toBe(0);
    expect([d.irqOf(303), d.pirqOf(60)], '21').toEqual([-60, -303]);
    expect(dom0.unmapPirq(0, 303), '22').toBe(-EINVAL);
    expect(dom0.bindPirq(303).ret, '23').toBe(-EPERM);
    expect(msi(-1), '24').toBe(-EBUSY);
    expect(msi(303), '25').toBe(-EEXIST);
    expect(dom0.getFreePirq(0), '26').toMatchObject({ ret: 0, pirq: 298 });
    expect(dom0.close(1), '27').toBe(0);
    expect(d.irqOf(303), '27').toBe(0);
    expect(msi(-1), '28').toBe(303);
    expect(d.irqOf(303), '28').toBe(60);
    expect(dom0.unmapPirq(0, 299), '29').toBe(0);
    expect(irqsInUse(xen), '29').toBe(1);
    expect(dom0.unmapPirq(0, 298), '30').toBe(-EINVAL);
    expect(msi(298, { bus: 4 }), '31').toBe(298);
    expect(d.irqOf(298), '31').toBe(61);
    expect(msi(298), '32: success, an irq leaked').toBe(298);
    expect(d.irqOf(298), '32').toBe(61);
    expect(irqsInUse(xen), '32').toBe(3);
  });
});

const hvmMachine = (release: string) =>
  machine({
    xen: release,
    gsis: 48,
    nrIrqs: 832,
    firstIrq: 60,
    domains: [
      { ...DOM0, nrPirqs: 304 },
      { id: 5, kind: 'hvm', nrPirqs: 80, hasPirq: true, hasMemory: false },
    ],
    devices: [device(4, { msix_entries: 16 }), device(5, { msix_entries: 16 })],
  });

describe.each(VERSIONS)('§6.4 the shared pirq of two NVMe controllers (%s)', (release) => {
  const A = 0x400;
  const B = 0x500;
  const start = () => {
    const { xen } = hvmMachine(release);
    const dm = xen.as(0);
    for (const sbdf of [A, B]) {
      expect(dm.prepareMsix(sbdf)).toBe(0);
      expect(dm.assignDevice(5, sbdf)).toBe(0);
    }
    const map = (sbdf: number, pirq: number) =>
      dm.mapPirq({ domid: 5, type: MSI, bus: sbdf >> 8, devfn: 0, pirq, table_base: barOf(sbdf >> 8) }).ret;
    return { xen, dm, guest: xen.as(5), d: xen.domain(5), map };
  };
  const deliver = (xen: Hypervisor, irq: number) => {
    const msi = xen.host.irqs.msi[irq];
    const handle = msi << 5;
    return xen.deliverMessage((0xfee00018 | handle) >>> 0, 0, 0);
  };

  test('1 … 13: the guest re-uses a number that is free again', () => {
    const { xen, dm, guest, d, map } = start();
    expect(guest.getFreePirq(0), '1').toMatchObject({ ret: 0, pirq: 79 });
    expect(d.irqOf(79), '1').toBe(-1);
    expect(map(A, 79), '3').toBe(0);
    expect(d.irqOf(79), '3').toBe(60);
    expect(dm.bindPtMsi(5, 79, 0, 0x304f, 0xf0000000n), '4').toBe(0);
    const bound = guest.bindPirq(79);
    expect(bound.ret, '5').toBe(0);
    expect(d.emuirqOf(79), '5').toBe(-2);
    expect(deliver(xen, 60), '6').toBe(true);
    expect(d.sharedInfo[2048], '6').toBe(1 << bound.port);
    expect(vcpuEvents(d, 0), '6').toEqual({ selector: 1n, upcall: 1 });
    expect(guest.close(bound.port), '7').toBe(0);
    expect(
      viewPirqs(d).find((r) => r.pirq === 79),
      '7',
    ).toMatchObject({ irq: 60, evtchn: 0, emuirq: -1 });
    expect(dm.unbindPtMsi(5, 79), '8').toBe(0);
    expect(dm.unmapPirq(5, 79), '8').toBe(0);
    expect(d.irqOf(79), '8: free, not reserved').toBe(0);
    expect(guest.getFreePirq(0), '9: device B').toMatchObject({ ret: 0, pirq: 79 });
    expect(map(A, 79), '10: device A again').toBe(0);
    expect(dm.bindPtMsi(5, 79, 0, 0x304f, 0xf0000000n), '10').toBe(0);
    expect(map(B, 79), '11: success without effect').toBe(0);
    expect(irqsInUse(xen), '11: irq 61 leaked').toBe(2);
    expect(d.irqOf(79), '11').toBe(60);
    expect(dm.bindPtMsi(5, 79, 0, 0x304f, 0xf1000000n), '12: an update').toBe(0);
    expect(guest.bindPirq(79).ret, '13').toBe(0);
    expect(guest.bindPirq(79).ret, '13').toBe(-EEXIST);
  });

  test('fixed guest: at 10 it asks again and gets 78', () => {
    const { guest } = start();
    expect(guest.getFreePirq(0).pirq).toBe(79);
    expect(guest.getFreePirq(0).pirq).toBe(78);
  });
});

describe.each(VERSIONS)('§6.5 emulated MSI (%s)', (release) => {
  test('1 … 18 in order', () => {
    const { xen } = hvmMachine(release);
    const guest = xen.as(5);
    const d = xen.domain(5);
    const inject = (address: bigint, data: number) => {
      const message: MsiMessage = {
        addressLo: Number(address & 0xffffffffn),
        addressHi: Number(address >> 32n),
        data,
      };
      return xen.as(0).injectMsi(5, message);
    };
    const pending = (port: number) => (d.sharedInfo[2048 + (port >> 3)] >> (port & 7)) & 1;
    expect([guest.getFreePirq().pirq, guest.getFreePirq().pirq], '1').toEqual([79, 78]);
    const a = guest.bindPirq(79).port;
    const b = guest.bindPirq(78).port;
    expect([d.emuirqOf(79), d.emuirqOf(78)], '2').toEqual([-1, -1]);
    expect(inject(0xfee4f000n, 0x4300), '3').toBe(0);
    expect([d.emuirqOf(79), pending(a)], '3').toEqual([-3, 1]);
    expect(inject(0xfee4e000n, 0), '4').toBe(0);
    expect([d.emuirqOf(78), pending(b)], '4').toEqual([-1, 1]);
    expect(guest.irqStatusQuery(79), '5').toMatchObject({ ret: 0, flags: 1 });
    expect(guest.irqStatusQuery(78).ret, '5').toBe(-EINVAL);
    expect(inject(0xfee4d000n, 0), '6').toBe(-EBUSY);
    expect(inject(0xfee50000n, 0), '7').toBe(-EINVAL);
    expect(inject(0xfee00000n, 0), '8').toBe(-ERANGE);
    expect(inject(0x80000000fee00000n, 0), '9').toBe(release === 'xen-4.22' ? -EINVAL : -ERANGE);
    expect(guest.unmapPirq(0x7ff0, 79), '10').toBe(0);
    expect([d.emuirqOf(79), d.irqOf(79)], '10').toEqual([-1, -1]);
    expect(guest.getFreePirq().pirq, '11').toBe(77);
    expect(inject(0xfee4e000n, 0), '12').toBe(0);
    expect(d.emuirqOf(78), '12').toBe(-3);
    expect(guest.unmapPirq(0x7ff0, 79), '13').toBe(0);
    expect(guest.unmapPirq(0x7ff0, 5000), '13').toBe(0);
    const self = (arg: object) => guest.mapPirq({ domid: 0x7ff0, type: GSI, ...arg });
    expect(self({ index: 20 }), '14').toMatchObject({ ret: 0, pirq: 16 });
    expect(d.emuirqOf(16), '14').toBe(20);
    expect(self({ index: 20 }), '15').toMatchObject({ ret: 0, pirq: 17 });
    expect(d.emuirqOf(17), '15: not mapped').toBe(-1);
    expect(self({ index: 48 }).ret, '16').toBe(-EINVAL);
    expect(self({ type: MSI }).ret, '17').toBe(-EINVAL);
    expect(guest.bindPirq(40).ret, '18').toBe(0);
  });
});

describe('§6.6 two-level event channels: port 70', () => {
  test.each([
    ['x86-64', 2568, 1n],
    ['compat', 2184, 2n],
  ] as const)('%s', (abi, maskByte, selectorBit) => {
    const { xen } = machine({
      xen: 'xen-4.22',
      gsis: 24,
      nrIrqs: 64,
      domains: [DOM0, { id: 1, kind: 'hvm', nrPirqs: 56, hasPirq: true, abi }],
    });
    const guest = xen.as(1);
    const d = xen.domain(1);
    for (let i = 1; i < 70; i++) guest.allocUnbound();
    const { pirq } = guest.getFreePirq();
    expect(guest.bindPirq(pirq).port).toBe(70);
    d.sharedInfo[maskByte] = 1 << 6;
    const before = d.sharedInfo.slice();
    xen.as(0).injectMsi(1, { addressLo: (0xfee00000 | (pirq << 12)) >>> 0, addressHi: 0, data: 0x4300 });
    const changed = [...d.sharedInfo.keys()].filter((i) => d.sharedInfo[i] !== before[i]);
    expect(changed, 'masked: one bit').toEqual([2056]);
    expect(d.sharedInfo[2056]).toBe(1 << 6);
    expect(guest.unmask(70)).toBe(0);
    expect(d.sharedInfo[maskByte]).toBe(0);
    expect(vcpuEvents(d, 0)).toEqual({ selector: 1n << selectorBit, upcall: 1 });
  });
});

describe('§6.7 vectors, empty pool, one CPU', () => {
  test.each([
    ['xen-4.8', '28 30 38 40 48 50 58 60 68 70 78 88 90 98 a0 a8 b0 b8 c0 c8 d0 d8 21 29 31', 189],
    ['xen-4.17', '30 38 40 48 50 58 60 68 70 78 88 90 98 a0 a8 b0 b8 c0 c8 d0 d8 e0 e8 31 39 41', 190],
    ['xen-4.22', '38 40 48 50 58 60 68 70 78 88 90 98 a0 a8 b0 b8 c0 c8 d0 d8 e0 e8 31 39 41', 189],
  ])('%s', (release, first, capacity) => {
    const pool = new VectorPool(new Arena(), getXenProfile(release).vectors, 1);
    const got: number[] = [];
    for (let irq = 16; ; irq++) {
      const taken = pool.assign(irq);
      if (taken < 0) break;
      got.push(taken);
    }
    const names = got.slice(0, first.split(' ').length).map((v) => v.toString(16));
    expect(names.join(' ')).toBe(first);
    expect(got).toHaveLength(capacity);
    pool.release(0, 0, got.at(-1)!);
    expect(pool.assign(999), 'only the vector at the cursor is free').toBe(-1);
    pool.release(0, 0, got[5]);
    expect(pool.assign(999)).toBe(got[5]);
  });

  test('two CPUs, 4.22: 189 + 202', () => {
    const pool = new VectorPool(new Arena(), getXenProfile('xen-4.22').vectors, 2);
    let n = 0;
    while (pool.assign(16 + n) >= 0) n++;
    expect(n).toBe(391);
  });
});

describe('§6.8 EOI page', () => {
  const start = () => {
    const page = new Uint8Array(4096);
    const memory = {
      read: (address: number, length: number) => page.slice(address - 0x1000, address - 0x1000 + length),
      write: (address: number, bytes: Uint8Array) => {
        page.set(bytes, address - 0x1000);
        return true;
      },
    };
    const { xen } = machine({
      xen: 'xen-4.17',
      gsis: 48,
      nrIrqs: 832,
      firstIrq: 60,
      domains: [{ ...DOM0, nrPirqs: 304 }],
      devices: [device(3, { msi_vectors: 1 }), device(4, { msi_vectors: 1, maskable: false })],
    });
    const register = (cmd: number) => xen.hypercall(0, 33, cmd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), { memory }).ret;
    return { xen, dom0: xen.as(0), page, register };
  };

  test('v2: a bit per bound pirq that needs an EOI', () => {
    const { dom0, page, register } = start();
    page.fill(0xff);
    expect(dom0.mapPirq({ type: MSI, bus: 3 }).pirq).toBe(303);
    expect(dom0.mapPirq({ type: MSI, bus: 4 }).pirq).toBe(302);
    expect(register(28)).toBe(0);
    expect(register(28)).toBe(-EBUSY);
    expect(dom0.bindPirq(303).ret).toBe(0);
    expect(page[37], 'maskable: no EOI').toBe(0x7f);
    page.fill(0);
    expect(dom0.bindPirq(302).ret).toBe(0);
    expect(page[37], 'not maskable').toBe(0x40);
  });

  test('v1: an EOI unmasks the event channel as well', () => {
    const { xen, dom0, register } = start();
    dom0.mapPirq({ type: MSI, bus: 3 });
    const { port } = dom0.bindPirq(303);
    expect(register(17)).toBe(0);
    xen.domain(0).sharedInfo[2560] = 1 << port;
    expect(dom0.eoi(303)).toBe(0);
    expect(xen.domain(0).sharedInfo[2560]).toBe(0);
  });
});

describe('hazards become HostFaults', () => {
  test('a message group without vectors', () => {
    const { xen } = machine({
      xen: 'xen-4.22',
      gsis: 48,
      nrIrqs: 832,
      firstIrq: 60,
      domains: [{ ...DOM0, nrPirqs: 304 }],
      devices: [device(3, { msi_vectors: 8 })],
    });
    expect(() => xen.as(0).mapPirq({ type: MULTI_MSI, bus: 3, pirq: 280, entry_nr: 0 })).toThrow(HostFault);
    expect(() => xen.as(0).eoi(2), 'the host stays dead').toThrow(HostFault);
  });
});
