import { expect, test } from 'vitest';
import { imageSpec } from '../../src/fuzz/images.ts';
import { createFunction } from '../../src/pci/index.ts';

/** What the fuzzer found in the model, each as it was shrunk. */

test('config: a power state that the function does not have is not entered (PM 1.2 §3.2.4)', () => {
  const f = createFunction(imageSpec({ name: 'no D1, no D2', pm: 0x0003 }));
  f.writeConfig(0x44, 1, 2);
  expect(f.readConfig(0x44, 1)).toBe(0);
  f.writeConfig(0x44, 1, 3);
  f.writeConfig(0x44, 1, 1);
  expect(f.readConfig(0x44, 1)).toBe(3);
  const all = createFunction(imageSpec({ name: 'D1 and D2', pm: 0x0603 }));
  all.writeConfig(0x44, 1, 2);
  expect(all.readConfig(0x44, 1)).toBe(2);
});

test.each([
  ['32 bit', 0x200, 0x5a],
  ['64 bit', 0x280, 0x5e],
])('msi: extended data without masks is there and is sent, %s (PCIe 5.0 §7.7.1.7)', (_, ctrl, at) => {
  const f = createFunction(imageSpec({ name: 'extended data', msi: ctrl }));
  f.writeConfig(0x04, 2, 4);
  f.writeConfig(at - 2, 4, 0x1234_5678);
  expect(f.readConfig(at, 2)).toBe(0x1234);
  f.writeConfig(0x52, 2, 0x0401);
  f.raise(0);
  expect(f.effects).toMatchObject([{ kind: 'message', data: 0x1234_5678 }]);
});
