import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/core/index.ts';
import { domainPirqs, getXenProfile, hostIrqs, xenProfileNames } from '../../src/xen/index.ts';

describe('§6.1: host irqs and pirqs per domain', () => {
  test.each([
    [24, 1, 'xen-4.4', 208, 208, 56],
    [24, 1, 'xen-4.8', 208, 208, 56],
    [24, 1, 'xen-4.17', 208, 208, 56],
    [24, 1, 'xen-4.22', 208, 208, 56],
    [24, 4, 'xen-4.4', 784, 280, 56],
    [24, 4, 'xen-4.8', 784, 600, 56],
    [24, 4, 'xen-4.17', 832, 648, 56],
    [24, 4, 'xen-4.22', 832, 832, 56],
    [48, 8, 'xen-4.4', 1552, 304, 80],
    [48, 8, 'xen-4.8', 1552, 816, 80],
    [48, 8, 'xen-4.17', 1664, 880, 80],
    [48, 8, 'xen-4.22', 1664, 1664, 80],
    [72, 240, 'xen-4.8', 46096, 1608, 104],
    [72, 240, 'xen-4.17', 49920, 1736, 104],
    [72, 240, 'xen-4.22', 49920, 32768, 104],
  ])('%i GSIs, %i CPUs, %s: %i irqs, dom0 %i, domU %i', (gsis, cpus, name, irqs, dom0, domU) => {
    const profile = getXenProfile(name);
    expect(hostIrqs(profile, { gsis, cpus })).toBe(irqs);
    expect(domainPirqs(profile, { gsis, cpus }, true)).toBe(dom0);
    expect(domainPirqs(profile, { gsis, cpus }, false)).toBe(domU);
  });

  test.each([
    [48, 8, 1664],
    [72, 240, 49920],
  ])('today, PVH dom0: %i GSIs, %i CPUs: %i', (gsis, cpus, dom0) =>
    expect(domainPirqs(getXenProfile('xen-4.22'), { gsis, cpus, dom0Pvh: true }, true)).toBe(dom0),
  );

  test('extra_guest_irqs replaces the 32 of a domU, and 0 means none', () => {
    const profile = getXenProfile('xen-4.17');
    expect(domainPirqs(profile, { gsis: 24, cpus: 16, extraDomU: 64 }, false)).toBe(88);
    expect(domainPirqs(profile, { gsis: 24, cpus: 16, extraDomU: 0 }, false)).toBe(24);
    expect(domainPirqs(profile, { gsis: 24, cpus: 1, extraDomU: 4096 }, false)).toBe(208);
  });

  test('since 4.17.5 extra_guest_irqs brings no domain beyond the bits of the EOI page', () => {
    const size = { gsis: 72, cpus: 240, extraDomU: 65536, extraDom0: 65536 };
    const pirqs = (name: string) => [true, false].map((dom0) => domainPirqs(getXenProfile(name), size, dom0));
    expect(pirqs('xen-4.8')).toEqual([46096, 46096]);
    expect(pirqs('xen-4.17.0')).toEqual([49920, 49920]);
    for (const name of ['xen-4.17', 'xen-4.19', 'xen-4.22']) expect(pirqs(name)).toEqual([32768, 32768]);
    expect(pirqs('xen-unbounded')).toEqual([49920, 49920]);
  });

  test('the hardware domain of 4.19 has pirqs for every CPU', () =>
    expect(domainPirqs(getXenProfile('xen-4.19'), { gsis: 48, cpus: 8 }, true)).toBe(1664));

  test('an unknown release is refused with the names of the known ones', () => {
    expect(() => getXenProfile('xen-5.0')).toThrow(UsageError);
    expect(() => getXenProfile('xen-5.0')).toThrow([...xenProfileNames(), 'xen-unbounded'].join(', '));
  });
});
