import { hex, readLe, type Width } from '../../../core/index.ts';
import { walkCapabilities, walkExtendedCapabilities } from '../capabilities.ts';
import type { LintRule } from './finding.ts';

/** Bits of a register that are reserved in every edition up to the one that `source` names. */
interface ReservedBits {
  name: string;
  at: number;
  width: Width;
  mask: number;
  source: string;
}

const CONVENTIONAL: Record<number, ReservedBits[]> = {
  1: [
    { name: 'PMC', at: 2, width: 2, mask: 0x0010, source: 'PCI PM 1.2 §3.2.3' },
    { name: 'PMCSR', at: 4, width: 2, mask: 0x00f4, source: 'PCI PM 1.2 §3.2.4' },
  ],
  5: [{ name: 'MSI Message Control', at: 2, width: 2, mask: 0xf800, source: 'PCIe 5.0 §7.7.1.2' }],
  16: [{ name: 'PCI Express Capabilities', at: 2, width: 2, mask: 0x8000, source: 'PCIe 5.0 §7.5.3.2' }],
  17: [{ name: 'MSI-X Message Control', at: 2, width: 2, mask: 0x3800, source: 'PCI 3.0 §6.8.2.3' }],
  19: [
    { name: 'AF Capabilities', at: 3, width: 1, mask: 0xfc, source: 'Advanced Capabilities for Conventional PCI ECN' },
    { name: 'AF Control', at: 4, width: 1, mask: 0xfe, source: 'Advanced Capabilities for Conventional PCI ECN' },
  ],
};

const EXTENDED: Record<number, ReservedBits[]> = {
  14: [{ name: 'ARI Control', at: 6, width: 2, mask: 0xff8c, source: 'PCIe 5.0 §7.8.7.3' }],
  15: [{ name: 'ATS Control', at: 6, width: 2, mask: 0x7fe0, source: 'PCIe 5.0 §10.5.1.3' }],
  16: [{ name: 'SR-IOV Control', at: 8, width: 2, mask: 0xff80, source: 'PCIe 5.0 §9.3.3.3' }],
  24: [
    { name: 'Max Snoop Latency', at: 4, width: 2, mask: 0xe000, source: 'PCIe 5.0 §7.8.2.2' },
    { name: 'Max No-Snoop Latency', at: 6, width: 2, mask: 0xe000, source: 'PCIe 5.0 §7.8.2.3' },
  ],
};

/** Reserved bits that read as one. */
export const lintReserved: LintRule = ({ dumped: image }, report) => {
  const all = [...walkCapabilities(image).capabilities, ...walkExtendedCapabilities(image).capabilities];
  for (const { offset, id, extended } of all)
    for (const { name, at, width, mask, source } of (extended ? EXTENDED : CONVENTIONAL)[id] ?? []) {
      if (offset + at + width > image.length) continue;
      const set = (readLe(image, offset + at, width) & mask) >>> 0;
      if (set)
        report({
          severity: 'warning',
          rule: 'reserved',
          at: offset + at,
          text: `reserved bits ${hex(set, 2 * width)} of ${name} are set`,
          source,
        });
    }
};
