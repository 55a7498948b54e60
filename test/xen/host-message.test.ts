import { describe, expect, test } from 'vitest';
import { readLe } from '../../src/core/index.ts';
import { type Hypervisor, viewIrqs, viewMessages } from '../../src/xen/index.ts';
import { barOf, DOM0, device, machine } from './machine.ts';

const DRIVE = device(4, { msix_entries: 65 });

/** An HVM guest with one drive whose entry 0 is mapped to pirq 55, bound and unmasked. */
function start(xenName: string, cpus = 1, intremap = false) {
  const { xen, bus } = machine({
    xen: xenName,
    gsis: 24,
    nrIrqs: 416,
    cpus,
    intremap,
    domains: [DOM0, { id: 1, kind: 'hvm', hasPirq: true, hasMemory: false }],
    devices: [DRIVE],
  });
  const dm = xen.as(0);
  dm.prepareMsix(DRIVE.sbdf);
  dm.assignDevice(1, DRIVE.sbdf);
  const guest = xen.as(1);
  const { pirq } = guest.getFreePirq();
  expect(dm.mapPirq({ domid: 1, bus: 4, pirq, table_base: barOf(4) }).ret).toBe(0);
  expect(dm.bindPtMsi(1, pirq, 0, 0x3037, 0xf0000000n)).toBe(0);
  const { port } = guest.bindPirq(pirq);
  const table = Number(barOf(4)) + 0x2000;
  const entry = () => [0, 4, 8, 12].map((at) => bus.readMmio(table + at));
  return { xen, bus, pirq, port, entry, guest, dm };
}

const pending = (xen: Hypervisor, port: number) => (xen.domain(1).sharedInfo[2048 + (port >> 3)] >> (port & 7)) & 1;

describe('what Xen writes into the device', () => {
  test('up to 4.21: logical destination, lowest priority, as seen on a real 4.17', () => {
    const { xen, entry, pirq } = start('xen-4.17');
    expect(pirq).toBe(55);
    const irq = viewIrqs(xen.host).find((v) => v.msi)!;
    expect(irq.irq, 'the lowest free irq').toBe(24);
    expect(entry()).toEqual([0xfee0100c, 0, 0x4100 + irq.vector, 0]);
  });

  test('4.22: physical destination, fixed delivery', () => {
    const { xen, entry } = start('xen-4.22');
    expect(entry()).toEqual([0xfee00000, 0, 0x4000 + viewIrqs(xen.host).find((v) => v.msi)!.vector, 0]);
  });

  test('with two CPUs a vector is the same on both where destinations are logical', () => {
    const { xen } = start('xen-4.17', 2);
    const { irq, vector } = viewIrqs(xen.host).find((v) => v.msi)!;
    expect([xen.host.vectors.irqOf(0, vector), xen.host.vectors.irqOf(1, vector)]).toEqual([irq, irq]);
  });

  test.each(['xen-4.4', 'xen-4.8', 'xen-4.17', 'xen-4.22'])('%s: that message comes back as an event', (name) => {
    for (const [cpus, intremap] of [
      [1, false],
      [2, false],
      [1, true],
    ] as const) {
      const { xen, port, entry } = start(name, cpus, intremap);
      const [lo, hi, data] = entry();
      expect(pending(xen, port)).toBe(0);
      expect(xen.deliverMessage(lo, hi, data)).toBe(true);
      expect(pending(xen, port), `${name} cpus ${cpus} remapping ${intremap}`).toBe(1);
    }
  });

  test('a remapper blocks what it does not know; without one anything with a vector gets through', () => {
    const remapped = start('xen-4.17', 1, true);
    expect(remapped.xen.deliverMessage(0xfee0100c, 0, 0x4131)).toBe(false);
    const [lo, hi, data] = remapped.entry();
    remapped.dm.unbindPtMsi(1, remapped.pirq);
    remapped.dm.unmapPirq(1, remapped.pirq);
    expect(remapped.xen.deliverMessage(lo, hi, data), 'entry is gone').toBe(false);
    const plain = start('xen-4.17');
    expect(plain.xen.deliverMessage(0xfee0100c, 0, 0x41ee), 'an idle vector').toBe(true);
    expect(plain.xen.deliverMessage(0x12345678, 0, 0x4131), 'no interrupt at all').toBe(false);
    expect(plain.xen.deliverMessage(0xfee0100c, 0, 0x4431), 'an NMI').toBe(false);
  });

  test('event bound before the pirq is mapped: interrupts are dropped though everything succeeded', () => {
    const { xen, dm } = start('xen-4.17');
    const guest = xen.as(1);
    const { pirq } = guest.getFreePirq();
    const { port } = guest.bindPirq(pirq);
    expect(dm.mapPirq({ domid: 1, bus: 4, entry_nr: 1, pirq, table_base: barOf(4) }).ret).toBe(0);
    expect(dm.bindPtMsi(1, pirq, 0, 0x13036)).toBe(0);
    const m = viewMessages(xen.host, DRIVE.sbdf).find((v) => v.entry === 1)!;
    expect(xen.deliverMessage(m.addressLo, m.addressHi, m.data)).toBe(true);
    expect(pending(xen, port)).toBe(0);
  });

  test('a message with a guest vector reaches the virtual APIC', () => {
    const { xen, dm, guest } = start('xen-4.17');
    const { pirq } = guest.getFreePirq();
    dm.mapPirq({ domid: 1, bus: 4, entry_nr: 2, pirq, table_base: barOf(4) });
    expect(dm.bindPtMsi(1, pirq, 0x41, 0x10000)).toBe(0);
    const m = viewMessages(xen.host, DRIVE.sbdf).find((v) => v.entry === 2)!;
    xen.deliverMessage(m.addressLo, m.addressHi, m.data);
    expect(xen.domain(1).virtualIrr[2]).toBe(1 << 1);
  });

  test('destroying the guest frees irqs, vectors and records, and the number may be used again', () => {
    const { xen } = start('xen-4.17');
    xen.destroyDomain(1);
    expect(viewIrqs(xen.host)).toEqual([]);
    expect(readLe(xen.domain(0).sharedInfo, 0, 4)).toBe(0);
    expect(() => xen.domain(1)).toThrow('no domain 1');
    const d = xen.createDomain({ id: 1, kind: 'hvm', hasPirq: true });
    expect(d.irqOf(55)).toBe(0);
  });
});
