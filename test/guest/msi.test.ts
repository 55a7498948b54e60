import { describe, expect, test } from 'vitest';
import { enumerate, getKernelProfile, withSwitches } from '../../src/guest/index.ts';
import { allocIrqVectors, freeIrqVectors } from '../../src/guest/irq-vectors.ts';
import { disableMsi, enableMsi } from '../../src/guest/msi.ts';
import { Bench, type BytesDevice, msiDevice, msixDevice, ScriptedXen } from './fakes.ts';

const BDF = 0x18;
const L4_4 = getKernelProfile('linux-4.4.0-61');
const L6_1 = getKernelProfile('linux-6.1');
/** Control: 32 messages offered (mmc 5), 64-bit, maskable. */
const WIDE_MASKABLE = 0x018a;
const NARROW = 0x0000;

function bench(device: BytesDevice, pool: number[]): Bench {
  const b = new Bench(new ScriptedXen(pool));
  b.devices.set(BDF, device);
  b.run(enumerate({ bdfs: [BDF] }));
  b.takeTrace();
  return b;
}

describe('enabling MSI (reference §1.3)', () => {
  test('4.4, 64-bit, maskable: everything masked, message, INTx off, enabled; MME stays 0', () => {
    const b = bench(msiDevice(WIDE_MASKABLE), [55]);
    expect(b.run(enableMsi(L4_4, BDF, 1, 'e'))).toBe(1);
    expect(b.takeTrace()).toEqual([
      'R w 52',
      ...['R w 52', 'W w 52 0x18a', 'R w 52'],
      ...['R l 60', 'W l 60 0xffffffff'],
      'get_free_pirq = 55',
      ...['R w 52', 'W w 52 0x18a', 'W l 54 0xfee37000', 'W l 58 0x0', 'W w 5c 0x4300'],
      ...['R w 4', 'W w 4 0x400'],
      ...['R w 52', 'W w 52 0x18b'],
    ]);
  });

  test('6.1: the mask register is left alone, the message is flushed', () => {
    const b = bench(msiDevice(WIDE_MASKABLE), [55]);
    expect(b.run(enableMsi(L6_1, BDF, 1, 'e'))).toBe(1);
    expect(b.takeTrace()).toEqual([
      'R w 52',
      ...['R w 52', 'W w 52 0x18a', 'R w 52'],
      'get_free_pirq = 55',
      ...['R w 52', 'W w 52 0x18a', 'W l 54 0xfee37000', 'W l 58 0x0', 'W w 5c 0x700', 'R w 52'],
      ...['R w 4', 'W w 4 0x400'],
      ...['R w 52', 'W w 52 0x18b'],
    ]);
  });

  test('more than one message is answered with one', () => {
    const b = bench(msiDevice(WIDE_MASKABLE), [55]);
    expect(b.run(enableMsi(L4_4, BDF, 8, 'e'))).toBe(1);
    const trace = b.takeTrace();
    expect(trace.filter((line) => line.startsWith('get_free'))).toHaveLength(1);
    // The attempt with eight: masked, refused, unmasked again.
    expect(trace.slice(4, 7)).toEqual(['R l 60', 'W l 60 0xffffffff', 'W l 60 0x0']);
  });

  test('a mask as wide as the messages offered', () => {
    const b = bench(msiDevice(0x0184), [55]);
    b.run(enableMsi(L4_4, BDF, 1, 'e'));
    expect(b.takeTrace()).toContain('W l 60 0xf');
  });

  test('an error leaves the device unmasked and MSI off', () => {
    const b = bench(msiDevice(WIDE_MASKABLE), []);
    expect(b.run(enableMsi(L4_4, BDF, 1, 'e'))).toBe(-19);
    expect(b.takeTrace().slice(-2)).toEqual(['get_free_pirq = -28', 'W l 60 0x0']);
    expect(b.records.device(BDF)).toMatchObject({ mode: 0, vectors: 0 });
  });
});

describe('a function without 64-bit addresses and a pirq of 256 (reference §2.5)', () => {
  test('4.4 loses the high bits: the host will read pirq 0', () => {
    const b = bench(msiDevice(NARROW), [256]);
    expect(b.run(enableMsi(L4_4, BDF, 1, 'e'))).toBe(1);
    const trace = b.takeTrace();
    expect(trace).toContain('W l 54 0xfee00000');
    expect(trace.filter((line) => line.endsWith('0x100'))).toEqual([]);
  });

  test('6.1 refuses with -EIO', () => {
    const b = bench(msiDevice(NARROW), [256]);
    expect(b.run(enableMsi(L6_1, BDF, 1, 'e'))).toBe(-5);
    expect(b.records.irqs()).toEqual([]);
  });
});

describe('re-use with plain MSI: the old message is read from the device', () => {
  test.each([
    [WIDE_MASKABLE, ['R l 54', 'R l 58', 'R w 5c']],
    [NARROW, ['R l 54', 'R w 58']],
  ])('control %i', (control, reads) => {
    const profile = withSwitches(L4_4, { reuse: 'Rideal' });
    const b = bench(msiDevice(control), [55, 54]);
    b.run(enableMsi(profile, BDF, 1, 'e'));
    b.run(disableMsi(profile, BDF, 'd'));
    b.takeTrace();
    b.run(enableMsi(profile, BDF, 1, 'again'));
    const trace = b.takeTrace();
    const at = trace.indexOf(reads[0]);
    expect(trace.slice(at, at + reads.length)).toEqual(reads);
    expect(trace.some((line) => line.startsWith('W l 54'))).toBe(false);
    expect(b.records.irqs().map((r) => r.pirq)).toEqual([55]);
  });
});

test('disabling (reference §1.6): enable = 0, INTx on, mask as at first; address and data stay', () => {
  const b = bench(msiDevice(WIDE_MASKABLE), [55]);
  b.run(enableMsi(L4_4, BDF, 1, 'e'));
  b.takeTrace();
  b.run(disableMsi(L4_4, BDF, 'd'));
  expect(b.takeTrace()).toEqual(['R w 52', 'W w 52 0x18a', 'R w 4', 'W w 4 0x0', 'W l 60 0x0']);
  expect(b.devices.get(BDF)!.read(7, 0x54, 4)).toBe(0xfee37000);
  expect(b.records.irqs()).toEqual([]);
});

describe('pci_alloc_irq_vectors (reference §1.7): MSI-X, MSI, the pin', () => {
  test('MSI when there is no MSI-X', () => {
    const b = bench(msiDevice(WIDE_MASKABLE), [55]);
    expect(b.run(allocIrqVectors(L6_1, BDF, 4, 'a'))).toBe(1);
    expect(b.records.device(BDF).mode).toBe(1);
  });

  test('the pin when the pool is empty, if there is one', () => {
    const b = bench(msixDevice(), []);
    expect(b.run(allocIrqVectors(L6_1, BDF, 4, 'a'))).toBe(-19);
    b.records.perform('device.intxIrq=', [BDF, 24]);
    expect(b.run(allocIrqVectors(L6_1, BDF, 4, 'b'))).toBe(1);
    expect(b.records.device(BDF).mode).toBe(0);
  });

  test('freeing what is not enabled touches nothing', () => {
    const b = bench(msixDevice(), []);
    b.run(freeIrqVectors(L6_1, BDF, 'f'));
    expect(b.takeTrace()).toEqual([]);
  });
});
