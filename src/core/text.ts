/** A count as JSON holds it: a number while that is exact, else a decimal string. */
export function jsonCount(count: bigint): number | string {
  return count <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(count) : count.toString();
}

/** Counts by what they count, as {@link jsonCount} gives each. */
export function jsonCounts(counts: ReadonlyMap<string | number, bigint>): Record<string, number | string> {
  return Object.fromEntries([...counts].map(([key, count]) => [key, jsonCount(count)]));
}

/** A count for people: digits in groups of three. */
export function humanCount(count: bigint | number): string {
  return count.toString().replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Columns padded to their widest cell, two spaces apart; lines carry no trailing blanks. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Text as it stands in HTML or SVG, in an element or a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}
