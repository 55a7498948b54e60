import { expect, test } from 'vitest';
import { createNvmeFunction } from '../../../../src/pci/devices/nvme/index.ts';

test('power-on and a conventional reset leave the same configuration space', () => {
  const fn = createNvmeFunction({});
  const before = fn.config.bytes.slice();
  fn.reset('conventional');
  expect(fn.config.bytes).toEqual(before);
});
