import { describe, expect, test } from 'vitest';
import type { Width } from '../../src/core/index.ts';
import { enumerate } from '../../src/guest/index.ts';
import { disableDevice, enableDevice, findCapability, setIntx } from '../../src/guest/pci-core.ts';
import { Bench, BytesDevice, msiDevice, msixDevice } from './fakes.ts';

const BDF = 0x20;

function bench(device: BytesDevice): Bench {
  const b = new Bench();
  b.devices.set(BDF, device);
  return b;
}

describe('capability discovery (reference §1.2)', () => {
  test('status, then pointer and id byte by byte until the id matches', () => {
    const b = bench(new BytesDevice({ 6: '1000', 52: '42', 64: '0150', 80: '1160', 96: '0500' }));
    expect(b.run(findCapability(BDF, 5))).toBe(0x60);
    expect(b.takeTrace()).toEqual(['R w 6', 'R b 34', 'R b 40', 'R b 41', 'R b 50', 'R b 51', 'R b 60']);
  });

  test('no capability list in the status register: nothing else is read', () => {
    const b = bench(new BytesDevice({ 52: '40', 64: '0500' }));
    expect(b.run(findCapability(BDF, 5))).toBe(0);
    expect(b.takeTrace()).toEqual(['R w 6']);
  });

  test.each([
    ['a pointer below 0x40', { 6: '1000', 52: '40', 64: '013c' }],
    ['an id of 0xff', { 6: '1000', 52: '40', 64: 'ff50', 80: '0500' }],
    ['a loop', { 6: '1000', 52: '40', 64: '0150', 80: '0240' }],
  ])('%s ends the search', (_, parts) => {
    const b = bench(new BytesDevice(parts));
    expect(b.run(findCapability(BDF, 5))).toBe(0);
    expect(b.takeTrace().length).toBeLessThanOrEqual(1 + 2 * 48);
  });

  test('an absent function reads all ones and has no capability', () => {
    expect(new Bench().run(findCapability(BDF, 5))).toBe(0);
  });
});

describe('enumeration', () => {
  test('finds MSI, then MSI-X, and clears both enable bits', () => {
    const b = bench(new BytesDevice({ 0: '361b1000', 6: '1000', 52: '40', 64: '1150ffbf', 80: '0500 8101' }));
    expect(b.run(enumerate({ bdfs: [BDF, 0x28] }))).toEqual([BDF]);
    expect(b.takeTrace()).toEqual([
      'R l 0',
      ...['R w 6', 'R b 34', 'R b 40', 'R b 41', 'R b 50', 'R w 52', 'W w 52 0x180'],
      ...['R w 6', 'R b 34', 'R b 40', 'R w 42', 'W w 42 0x3fff'],
      'R l 0',
    ]);
    expect(b.records.device(BDF)).toMatchObject({ msiCap: 0x50, msixCap: 0x40, only32: 0 });
  });

  test('scans a bus, other functions only of devices that have them', () => {
    const b = new Bench();
    const multi = msixDevice();
    multi.config[0x0e] = 0x80;
    b.devices.set(0x18, multi).set(0x1b, msiDevice(0)).set(0x21, msixDevice());
    expect(b.run(enumerate())).toEqual([0x18, 0x1b]);
  });

  test('sizes BARs with decoding off and assigns the largest first', () => {
    const device = new SizedDevice([0xffffc004, 0xffffffff, 0xfffff000, 0xffffffe1, 0, 0]);
    device.config[4] = 3;
    const b = bench(device);
    b.run(
      enumerate({
        bdfs: [BDF],
        window: { memoryBase: 0xc0001000, memoryEnd: 0xc0100000, ioBase: 0x1000, ioEnd: 0x2000 },
      }),
    );
    const trace = b.takeTrace();
    const off = trace.indexOf('W w 4 0x0');
    expect(trace.slice(off, off + 9)).toEqual([
      'W w 4 0x0',
      ...['R l 10', 'W l 10 0xffffffff', 'R l 10', 'W l 10 0x0'],
      ...['R l 14', 'W l 14 0xffffffff', 'R l 14', 'W l 14 0x0'],
    ]);
    expect(trace.slice(-4)).toEqual(['W l 10 0xc0004000', 'W l 14 0x0', 'W l 18 0xc0008000', 'W l 1c 0x1000']);
    expect(device.read(7, 4, 2)).toBe(3);
  });
});

test('command register: written only when a bit changes', () => {
  const b = bench(new BytesDevice());
  b.run(enableDevice(BDF));
  b.run(enableDevice(BDF));
  b.run(setIntx(BDF, false));
  b.run(setIntx(BDF, true));
  b.run(disableDevice(BDF));
  expect(b.takeTrace()).toEqual([
    ...['R w 4', 'W w 4 0x2', 'R w 4', 'W w 4 0x6'],
    ...['R w 4', 'R w 4'],
    ...['R w 4', 'W w 4 0x406', 'R w 4', 'W w 4 0x6'],
    ...['R w 4', 'W w 4 0x2'],
  ]);
});

/** BARs that keep only what `masks` lets through, read-only bits in the low four. */
class SizedDevice extends BytesDevice {
  readonly #masks: number[];

  constructor(masks: number[]) {
    super({ 0: '361b1000' });
    this.#masks = masks;
  }

  override write(region: number, offset: number, width: Width, value: number): void {
    const bar = (offset - 0x10) >> 2;
    const mask = region === 7 && bar >= 0 && bar < 6 ? this.#masks[bar] : 0xffffffff;
    const low = mask === 0xffffffff ? 0 : mask & 0xf;
    super.write(region, offset, width, bar >= 0 && bar < 6 && value ? ((value & mask) | low) >>> 0 : value);
  }
}
