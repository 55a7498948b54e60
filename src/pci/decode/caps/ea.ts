import { field, flag, hexText } from '../layout.ts';
import type { Page } from '../page.ts';

/** Primary and secondary properties of an entry. PCIe 5.0 §7.8.5.3. */
const PROPERTIES: Record<number, string> = {
  0: 'memory space, non-prefetchable',
  1: 'memory space, prefetchable',
  2: 'I/O space',
  3: 'VF memory space, prefetchable',
  4: 'VF memory space, non-prefetchable',
  5: 'allocation behind bridge, non-prefetchable memory',
  6: 'allocation behind bridge, prefetchable memory',
  7: 'allocation behind bridge, I/O space',
  253: 'memory space resource unavailable for use',
  254: 'I/O space resource unavailable for use',
  255: 'entry unavailable for use',
};

/** What an entry stands for instead of a BAR register. */
function barEquivalent(bei: number): string {
  if (bei <= 5) return `BAR ${bei}`;
  if (bei >= 9 && bei <= 14) return `VF-BAR ${bei - 9}`;
  return { 6: 'resource behind function', 7: 'not indicated', 8: 'expansion ROM' }[bei] ?? 'reserved';
}

export function decodeEnhancedAllocation(page: Page, at: number, control: number): void {
  const count = field(control, 0, 6);
  page.put(`Enhanced Allocation (EA): NumEntries=${count}`);
  let entry = at + 4;
  if (page.headerLayout === 1) {
    // A bridge has its fixed bus numbers between the header and the entries.
    if (!page.has(entry, 2)) {
      page.put('\n');
      return;
    }
    page.put(`, secondary=${page.u8(entry)}, subordinate=${page.u8(entry + 1)}`);
    entry += 4;
  }
  page.put('\n');
  for (let index = 0; index < count; index++) {
    const next = decodeEntry(page, entry, index);
    if (next === undefined) return;
    entry = next;
  }
}

/** Prints one entry. @returns where the next begins, undefined if this one is not all there */
function decodeEntry(page: Page, at: number, index: number): number | undefined {
  if (!page.has(at, 4)) return undefined;
  const header = page.u32(at);
  const size = field(header, 0, 3);
  if (!page.has(at + 4, size * 4)) return undefined;
  page.line(2, `Entry ${index}: Enable${flag(header, 31)} Writable${flag(header, 30)} EntrySize=${size}`);
  page.line(3, ` BAR Equivalent Indicator: ${barEquivalent(field(header, 4, 4))}`);
  const primary = field(header, 8, 8);
  const secondary = field(header, 16, 8);
  page.line(3, ` PrimaryProperties: ${PROPERTIES[primary] ?? `[${hexText(primary, 2)}]`}`);
  const instead = secondary === 0xff ? ', PrimaryProperties should be used' : '';
  page.line(3, ` SecondaryProperties: ${PROPERTIES[secondary] ?? `[${hexText(secondary, 2)}]`}${instead}`);

  // Bit 1 of the low word says that a high word follows: the base's first, then the offset's.
  const word = (number: number) => (page.has(at + 4 * number, 4) ? page.u32(at + 4 * number) : 0);
  const [base, maxOffset] = [word(1), word(2)];
  const baseHigh = base & 2 ? hexText(word(3), 1) : '';
  const offsetHigh = maxOffset & 2 ? hexText(word(base & 2 ? 4 : 3), 1) : '';
  page.line(3, ` Base: ${baseHigh}${hexText(base & ~3, 8)}`);
  page.line(3, ` MaxOffset: ${offsetHigh}${hexText(maxOffset | 3, 8)}`);
  return at + 4 + 4 * size;
}
