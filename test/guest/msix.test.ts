import { describe, expect, test } from 'vitest';
import { enumerate, getKernelProfile, type KernelProfile, logLine, withSwitches } from '../../src/guest/index.ts';
import { disableMsix, enableMsix } from '../../src/guest/msix.ts';
import { Bench, msixDevice, ScriptedXen } from './fakes.ts';

const BDF = 0x18;
const L3_13 = getKernelProfile('linux-3.13');
const L4_4 = getKernelProfile('linux-4.4.0-61');
const L6_1 = getKernelProfile('linux-6.1');

function bench(pool: number[], size = 65): Bench {
  const b = new Bench(new ScriptedXen(pool));
  b.devices.set(BDF, msixDevice(size));
  b.run(enumerate({ bdfs: [BDF] }));
  b.takeTrace();
  return b;
}

function enable(b: Bench, profile: KernelProfile, max: number, place = 'e'): number {
  return b.run(enableMsix(profile, BDF, 1, max, place));
}

const message = (entry: number, address: string, data: string) => [
  `W tab${entry}.lo ${address}`,
  `W tab${entry}.hi 0x0`,
  `W tab${entry}.data ${data}`,
];

describe('enabling two MSI-X entries, register by register (reference §1.4, §2.4)', () => {
  test('3.13: one read of the control word, messages before the enable bit, the device is looked at first (R1)', () => {
    const b = bench([55, 54]);
    expect(enable(b, L3_13, 2)).toBe(2);
    expect(b.takeTrace()).toEqual([
      'R w 42', // table size
      'R w 42',
      'W w 42 0x40', // enable = 0, kept from here on
      'R l 44',
      ...['R tab0.lo', 'R tab0.hi', 'R tab0.data', 'get_free_pirq = 55', ...message(0, '0xfee37000', '0x4300')],
      ...['R tab1.lo', 'R tab1.hi', 'R tab1.data', 'get_free_pirq = 54', ...message(1, '0xfee36000', '0x4300')],
      'W w 42 0xc040',
      'R tab0.ctrl',
      'W tab0.ctrl 0x1',
      'R tab1.ctrl',
      'W tab1.ctrl 0x1',
      'R w 4',
      'W w 4 0x400', // INTx off
      'W w 42 0x8040',
    ]);
  });

  test('4.4 patched (R2): control re-read before each change, messages written without a look', () => {
    const b = bench([55, 54]);
    expect(enable(b, L4_4, 2)).toBe(2);
    expect(b.takeTrace()).toEqual([
      'R w 42',
      ...['R w 42', 'W w 42 0x40', 'R w 42', 'R l 44'],
      ...['get_free_pirq = 55', ...message(0, '0xfee37000', '0x4300')],
      ...['get_free_pirq = 54', ...message(1, '0xfee36000', '0x4300')],
      ...['R w 42', 'W w 42 0xc040'],
      ...['R tab0.ctrl', 'W tab0.ctrl 0x1', 'R tab1.ctrl', 'W tab1.ctrl 0x1'],
      ...['R w 4', 'W w 4 0x400'],
      ...['R w 42', 'W w 42 0x8040'],
    ]);
  });

  test('6.1: enabled under the function mask from the start, read back, no mask written', () => {
    const b = bench([54, 53]);
    expect(enable(b, L6_1, 2)).toBe(2);
    expect(b.takeTrace()).toEqual([
      'R w 42',
      ...['R w 42', 'W w 42 0xc040'],
      ...['R w 42', 'R l 44', 'R w 42'],
      ...['get_free_pirq = 54', ...message(0, '0xfee36000', '0x700'), 'R tab0.data'],
      ...['get_free_pirq = 53', ...message(1, '0xfee35000', '0x700'), 'R tab1.data'],
      ...['R w 4', 'W w 4 0x400'],
      ...['R w 42', 'W w 42 0x8040'],
    ]);
  });

  test('6.1 before the no-mask fix: unmasked entries are masked around the write, then the whole table', () => {
    const b = bench([54], 3);
    expect(enable(b, withSwitches(L6_1, { writesMasks: true }), 1)).toBe(1);
    expect(b.takeTrace()).toEqual([
      'R w 42',
      ...['R w 42', 'W w 42 0xc002'],
      ...['R w 42', 'R l 44', 'R w 42'],
      'R tab0.ctrl',
      'get_free_pirq = 54',
      ...['W tab0.ctrl 0x1', ...message(0, '0xfee36000', '0x700'), 'W tab0.ctrl 0x0', 'R tab0.data'],
      ...['R w 4', 'W w 4 0x400'],
      ...['W tab0.ctrl 0x1', 'W tab1.ctrl 0x1', 'W tab2.ctrl 0x1'],
      ...['R w 42', 'W w 42 0x8002'],
    ]);
  });
});

describe('disabling (reference §1.6): the device hears of it before the records go', () => {
  for (const profile of [L3_13, L4_4])
    test(`${profile.name}: entries masked, enable = 0, INTx on; messages stay`, () => {
      const b = bench([55, 54]);
      enable(b, profile, 2);
      b.takeTrace();
      b.accesses.length = 0;
      b.run(disableMsix(profile, BDF, 'd'));
      expect(b.takeTrace()).toEqual([
        'W tab0.ctrl 0x1',
        'W tab1.ctrl 0x1',
        'R w 42',
        'W w 42 0x40',
        'R w 4',
        'W w 4 0x0',
      ]);
      expect(b.devices.get(BDF)!.read(0, 0x2000, 4)).toBe(0xfee37000);
      const calls = b.accesses.map((a) => (a.op === 'step' ? a.name : a.op === 'kernel' ? a.call : a.op));
      expect(calls.indexOf('d.destroy')).toBeGreaterThan(calls.lastIndexOf('write'));
      expect(calls.indexOf('irq.free')).toBeGreaterThan(calls.indexOf('d.destroy'));
      expect(b.records.irqs()).toEqual([]);
    });

  test('6.1 masks nothing but flushes per descriptor', () => {
    const b = bench([55, 54]);
    enable(b, L6_1, 2);
    b.takeTrace();
    b.run(disableMsix(L6_1, BDF, 'd'));
    expect(b.takeTrace()).toEqual(['R tab0.lo', 'R tab0.lo', 'R w 42', 'W w 42 0x40', 'R w 4', 'W w 4 0x0']);
  });
});

describe('re-use rules (reference §2.4): entry 0 says pirq 55, nobody holds it, then somebody does', () => {
  function again(reuse: string, holder: boolean): { first: number; second: number; wrote: boolean } {
    const profile = withSwitches(getKernelProfile('linux-4.4.0-59'), { reuse });
    const b = bench([55, 54, 53]);
    const other = 0x20;
    b.devices.set(other, msixDevice());
    b.run(enumerate({ bdfs: [other] }));
    enable(b, profile, 1);
    const first = b.records.irqs()[0].pirq;
    b.run(disableMsix(profile, BDF, 'd'));
    if (holder) {
      b.xen.pool.unshift(55);
      b.run(enableMsix(profile, other, 1, 1, 'other'));
    }
    b.takeTrace();
    enable(b, profile, 1, 'again');
    const second = b.records.irq(b.records.vector(BDF, 0).irq).pirq;
    return { first, second, wrote: b.takeTrace().some((line) => line.startsWith('W tab0.lo')) };
  }

  test.each([
    ['R0', false, 55, false],
    ['R0', true, 55, false],
    ['R1', false, 54, true],
    ['R1', true, 55, false],
    ['R2', false, 54, true],
    ['R2', true, 54, true],
    ['Rideal', false, 55, false],
    ['Rideal', true, 55, false],
  ])('%s, holder %s: pirq %i, entry written %s', (reuse, holder, pirq, wrote) => {
    expect(again(reuse, holder)).toEqual({ first: 55, second: pirq, wrote });
  });

  test('a message of another kernel (0x0700) is never taken for a marker by R1 of 4.4', () => {
    const profile = withSwitches(getKernelProfile('linux-4.4.0-59'), { reuse: 'Rideal' });
    const b = bench([55, 54]);
    enable(b, L6_1, 1);
    b.run(disableMsix(L6_1, BDF, 'd'));
    enable(b, profile, 1, 'again');
    expect(b.records.irqs().map((r) => r.pirq)).toEqual([54]);
  });

  test('on re-use the descriptor keeps a zero message (the resume defect of §1.8)', () => {
    const profile = withSwitches(L4_4, { reuse: 'Rideal' });
    const b = bench([55]);
    enable(b, profile, 1);
    expect(b.records.vector(BDF, 0).addressLo).toBe(0xfee37000);
    b.run(disableMsix(profile, BDF, 'd'));
    enable(b, profile, 1, 'again');
    expect(b.records.vector(BDF, 0).addressLo).toBe(0);
    expect(b.log.map(logLine)).toEqual(['xen: msi already setup: msi --> pirq=55']);
  });

  test('a rule that writes again what is there writes all three words', () => {
    const profile = withSwitches(L4_4, { reuse: 'Rideal', reuseRewrites: true });
    const b = bench([55]);
    enable(b, profile, 1);
    b.run(disableMsix(profile, BDF, 'd'));
    b.takeTrace();
    enable(b, profile, 1, 'again');
    expect(b.takeTrace().filter((line) => /^W tab0\.(lo|hi|data)/.test(line))).toEqual(
      message(0, '0xfee37000', '0x4300'),
    );
    expect(b.records.vector(BDF, 0).addressLo).toBe(0xfee37000);
  });

  test('R0 in its first form ended the set-up at the first re-used vector', () => {
    const profile = withSwitches(L4_4, { reuse: 'R0', reuseEndsSetup: true });
    const b = bench([55, 54, 53, 52]);
    enable(b, profile, 1);
    b.run(disableMsix(profile, BDF, 'd'));
    enable(b, profile, 3, 'again');
    expect([0, 1, 2].map((i) => b.records.vector(BDF, i).irq > 0)).toEqual([true, false, false]);
  });
});

describe('running out of pirqs (reference §1.4, §4.8)', () => {
  test('up to 5.10: what was got is given back, the retry with that count finds the pool empty', () => {
    const b = bench([25, 24]);
    expect(enable(b, L4_4, 4)).toBe(-19);
    expect(b.takeTrace().filter((line) => line.startsWith('get_free'))).toEqual([
      'get_free_pirq = 25',
      'get_free_pirq = 24',
      'get_free_pirq = -28',
      'get_free_pirq = -28',
    ]);
    expect(b.records.irqs()).toEqual([]);
    expect(b.devices.get(BDF)!.read(7, 0x42, 2) & 0x8000).toBe(0);
  });

  test('the retry succeeds where numbers have come back', () => {
    const b = bench([25, 24]);
    const perform = b.perform.bind(b);
    b.perform = (access) => {
      if (access.op === 'kernel' && access.call === 'irq.free' && b.xen.pool.length < 2) b.xen.pool.push(30);
      return perform(access);
    };
    expect(enable(b, L4_4, 4)).toBe(2);
  });

  test('6.1: the first error is final, and both control bits are cleared', () => {
    const b = bench([25, 24]);
    expect(enable(b, L6_1, 4)).toBe(-19);
    expect(b.takeTrace().slice(-3)).toEqual(['get_free_pirq = -28', 'R w 42', 'W w 42 0x40']);
    expect(b.records.irqs()).toEqual([]);
    expect(b.records.device(BDF)).toMatchObject({ mode: 0, vectors: 0 });
  });

  test('more than the table holds: the table size is asked for instead', () => {
    const b = bench([55, 54, 53], 3);
    expect(enable(b, L4_4, 8)).toBe(3);
    expect(b.takeTrace().slice(0, 2)).toEqual(['R w 42', 'R w 42']);
  });
});
