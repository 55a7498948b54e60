import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { register } from '../../src/cli/explore.ts';
import { caseConfig, exploreCase, prepareCase } from '../../src/lab/case.ts';
import type { ExploreOptions } from '../../src/lab/explorer.ts';
import { findingsOf, mergeExplorations, parseExploration } from '../../src/lab/merge.ts';
import { runCommand } from '../cli/run.ts';

const run = (...args: string[]) => runCommand(register, 'explore', ...args);
const explore = (...args: string[]) => run('lp1657489', '--vectors', '1', ...args, '--json');
const THREE = ['--controllers', '3', '--workload', 'one-disable-many'];

let folder: string;
let whole: Record<string, unknown>;
let texts: string[];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-shards-'));
  whole = JSON.parse(await explore(...THREE));
  texts = [];
  for (let i = 0; i < 5; i++) texts.push(await explore(...THREE, '--shard', `${i}/5`));
});
afterAll(() => rmSync(folder, { recursive: true }));
const parts = () => texts.map((text, i) => parseExploration(text, String(i)));

/** What a merged result and one of the whole have in common. */
function common({ interleavings, complete, good, outcomes, schedules, brokenAt, digest }: Record<string, unknown>) {
  return { interleavings, complete, good, outcomes, schedules, brokenAt, digest };
}

describe('shards of an exploration', () => {
  test('of three controllers add up to the whole, digest and witnesses included', () => {
    const merged = mergeExplorations(parts());
    expect(merged.interleavings).toBe(756_756);
    expect(common({ ...merged })).toEqual(common(whole));
    expect(merged.violated.toSorted()).toEqual(Object.keys(whole['violations'] as object).sort());
    // each follows its own part
    expect(merged.shards.every(({ interleavings }) => Number(interleavings) > 0)).toBe(true);
    expect(merged.shards[0].split).toMatch(/^layer \d+, \d{3,} states, [0-9a-f]{8}$/);
  });

  test('merging is associative, commutative and idempotent', () => {
    const [a, b, c, d, e] = parts();
    const all = mergeExplorations([a, b, c, d, e]);
    expect(mergeExplorations([mergeExplorations([a, b]), mergeExplorations([c, d]), e])).toEqual(all);
    expect(mergeExplorations([mergeExplorations([e, d, c]), mergeExplorations([b, a])])).toEqual(all);
    expect(mergeExplorations([all, b, all])).toEqual(all);
    expect(mergeExplorations([a, c, d, e])).toMatchObject({ complete: false });
  });

  test('the command merges files, merged ones too', async () => {
    const files = texts.map((_, i) => join(folder, `${i}.json`));
    for (const [i, file] of files.entries()) writeFileSync(file, texts[i]);
    writeFileSync(join(folder, 'm.json'), await run('merge', files[3], files[0]));
    const merged = JSON.parse(await run('merge', files[4], join(folder, 'm.json'), files[2], files[1]));
    expect(merged).toEqual(JSON.parse(JSON.stringify(mergeExplorations(parts()))));
  });

  test('a shard run again gives the same', async () => {
    expect(parseExploration(await explore(...THREE, '--shard', '3/5'), '')).toEqual(parts()[3]);
  });

  test.each([1, 2, 3, 5])('of two controllers, in %i, by every way to take steps', (count) => {
    const ways: ({ steps: 'coarse' | 'group' } & ExploreOptions)[] = [
      { steps: 'coarse' },
      { steps: 'coarse', isPlain: false },
      { steps: 'group' },
    ];
    for (const { steps, ...options } of ways) {
      const prepared = prepareCase(caseConfig({ controllers: 2, vectors: 1, steps }));
      const { digest } = prepared;
      const all = exploreCase(prepared, options);
      const shards = () =>
        Array.from({ length: count }, (_, index) =>
          exploreCase(prepared, { ...options, statesToSplit: 2, shard: { index, count } }),
        );
      const question = { scenario: 'x', case: digest, controllers: 2, symmetric: true };
      const merged = mergeExplorations(
        shards().map((found, i) => {
          const violations = Object.fromEntries(found.violations);
          const part = { ...found, ...findingsOf(found, digest), violations, question, shard: `${i}/${count}` };
          return parseExploration(JSON.stringify(part), 'part');
        }),
      );
      expect(merged.shards[0].split).toMatch(/^layer/);
      expect(merged).toMatchObject(findingsOf(all, digest));
    }
  });

  test('a bound in one shard is one of the whole', async () => {
    const bounded = await explore(...THREE, '--shard', '1/5', '--max-states', '1000');
    const [a, , c, d, e] = parts();
    expect(mergeExplorations([a, parseExploration(bounded, ''), c, d, e]).complete).toBe(false);
  });

  test('interleavings that end before the shards part belong to the first', async () => {
    const few = ['--controllers', '2', '--sequential'];
    const results = [await explore(...few, '--shard', '0/2'), await explore(...few, '--shard', '1/2')];
    const [first, second] = results.map((text) => parseExploration(text, ''));
    expect([first.interleavings, second.interleavings]).toEqual([1, 0]);
    expect(common({ ...mergeExplorations([second, first]) })).toEqual(common(JSON.parse(await explore(...few))));
  });

  test('what does not belong together is refused', async () => {
    const [a, b] = parts();
    const few = ['--controllers', '2', '--sequential'];
    const other = parseExploration(await explore(...few, '--shard', '0/5'), '');
    expect(() => mergeExplorations([a, other])).toThrow(/different runs/);
    const otherCount = parseExploration(await explore(...THREE, '--shard', '0/1', '--max-states', '10'), '');
    expect(() => mergeExplorations([a, otherCount])).toThrow(/do not belong together/);
    const [shard] = a.shards;
    const two = { ...a, shards: [{ ...shard, interleavings: 1 }] };
    expect(() => mergeExplorations([a, two])).toThrow(/two results/);
    const apart = { ...b, shards: [{ ...b.shards[0], split: 'layer 3, 9 states, 00000000' }] };
    expect(() => mergeExplorations([a, apart])).toThrow(/parted differently/);
    const foreign = { ...a, shards: [{ ...shard, schedules: { ggg: '00000000:A' } }] };
    expect(() => parseExploration(JSON.stringify(foreign), 'x')).toThrow(/another run/);
  });

  test.each(['', '[]', 'null', '{}', '{"shards":[]}', '{"question":{},"shards":[{}]}'])('no result: %s', (text) => {
    expect(() => parseExploration(text, 'x')).toThrow(/^x: no /);
  });

  test('wrong words are refused', async () => {
    await expect(run('lp1657489', '--shard', '3/3')).rejects.toThrow(/0 to n/);
    await expect(run('lp1657489', '--shard', '0/2', '--steps', 'fine')).rejects.toThrow(/no choice points/);
    await expect(run('lp1657489', '--shard', '0/2', '--steps', 'fine')).rejects.toThrow(/--every-order/);
    await expect(run('lp1657489', '--shard', '0/2', '--schedule', 'x')).rejects.toThrow(/exclude/);
    await expect(run('merge')).rejects.toThrow(/needs files/);
    await expect(run('merge', join(folder, 'none'))).rejects.toThrow(/cannot read .*ENOENT/);
    await expect(run('lp1657489', 'file')).rejects.toThrow(/takes no files/);
    await expect(run('join')).rejects.toThrow(/merge/);
  });
});
