import { hex, readLe } from '../../../core/index.ts';
import type { LintRule } from './finding.ts';

/**
 * Reserved bits that read as one, in every register that the model knows: what is reserved is what the register tables
 * of `src/pci` leave without a name.
 */
export const lintReserved: LintRule = ({ dumped: image, layout }, report) => {
  for (const { register, at } of layout.registers) {
    if (at + register.width > image.length) continue;
    const set = (readLe(image, at, register.width) & register.reserved) >>> 0;
    if (set)
      report({
        severity: 'warning',
        rule: 'reserved',
        at,
        text: `reserved bits ${hex(set, 2 * register.width)} of ${register.name} are set`,
        source: 'PCIe 5.0 §7.4',
      });
  }
};
