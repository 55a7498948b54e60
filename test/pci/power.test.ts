import { expect, test } from 'vitest';
import { createNvmeFunction } from '../../src/pci/devices/nvme/index.ts';

const PM_CONTROL = 0x44;

/** A function with its memory decoded, MSI-X on, and vector 0 ready to be sent. */
function ready() {
  const fn = createNvmeFunction({ vectors: 4 });
  fn.writeConfig(0x10, 4, 0xf000_0000);
  fn.writeConfig(0x04, 2, 0x0006);
  const msix = fn.msix!;
  fn.writeBar(msix.tableBar, msix.tableOffset, 4, 0xfee0_0000);
  fn.writeBar(msix.tableBar, msix.tableOffset + 12, 4, 0);
  fn.writeConfig(msix.at + 2, 2, 0x8000);
  return fn;
}

test('in D3hot a function sends no message and decodes no BAR; in D0 it does both again (PCIe 5.0 §5.3.1)', () => {
  const fn = ready();
  expect(fn.getConfig(PM_CONTROL - 4, 1)).toBe(0x01);
  fn.raise(0);
  expect(fn.effects.splice(0)).toMatchObject([{ kind: 'message', vector: 0 }]);
  expect(fn.mappedBar(0)).toBeDefined();

  fn.writeConfig(PM_CONTROL, 2, 3);
  fn.raise(0);
  expect(fn.effects).toEqual([]);
  expect(fn.mappedBar(0)).toBeUndefined();
  expect(fn.busMaster).toBe(false);

  fn.writeConfig(PM_CONTROL, 2, 0);
  fn.raise(0);
  expect(fn.effects.splice(0)).toMatchObject([{ kind: 'message', vector: 0 }]);
  expect(fn.mappedBar(0)).toBeDefined();
});
