import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { register } from '../../src/cli/fuzz.ts';
import { mergeResults, parseResult } from '../../src/fuzz/merge.ts';
import { runCommand } from '../cli/run.ts';

const run = (...args: string[]) => runCommand(register, 'fuzz', ...args);
const shard = (i: number, seed = 1, runs = 100) =>
  run('--target', 'msi', '--seed', String(seed), '--runs', String(runs), '--shard', `${i}/3`, '--json');

let folder: string;
let texts: string[];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-merge-'));
  texts = [await shard(0), await shard(1), await shard(2)];
});
afterAll(() => rmSync(folder, { recursive: true }));

test('merging is associative, commutative and idempotent', () => {
  const [a, b, c] = texts.map((text, i) => parseResult(text, String(i)));
  const all = mergeResults([a, b, c]);
  expect(all).toMatchObject({ complete: true, runs: 300, findings: 0 });
  expect(mergeResults([mergeResults([a, b]), c])).toEqual(all);
  expect(mergeResults([c, mergeResults([b, a])])).toEqual(all);
  expect(mergeResults([all, b, all])).toEqual(all);
  expect(mergeResults([a, c]).complete).toBe(false);
});

test('a shard run again gives the same, and the shards are different inputs', async () => {
  expect(parseResult(await shard(1), '')).toEqual(parseResult(texts[1], ''));
  expect(new Set(texts.map((text) => JSON.parse(text).digest)).size).toBe(3);
});

test('the command merges files, merged ones too', async () => {
  const files = texts.map((_, i) => join(folder, `${i}.json`));
  for (const [i, file] of files.entries()) writeFileSync(file, texts[i]);
  writeFileSync(join(folder, 'm.json'), await run('merge', files[0], files[1]));
  const merged = JSON.parse(await run('merge', join(folder, 'm.json'), files[2]));
  expect(merged).toEqual(JSON.parse(JSON.stringify(mergeResults(texts.map((t) => parseResult(t, ''))))));
});

test('what does not belong together is refused', async () => {
  const [a] = texts.map((t) => parseResult(t, ''));
  expect(() => parseResult('{}', 'x')).toThrow(/no result/);
  const other = parseResult(await shard(0, 2), '');
  expect(() => mergeResults([a, other])).toThrow(/different runs/);
  const longer = parseResult(await shard(0, 1, 50), '');
  expect(() => mergeResults([a, longer])).toThrow(/two results/);
  await expect(run('--target', 'msi', '--shard', '3/3')).rejects.toThrow(/0 to n/);
  await expect(run('join')).rejects.toThrow(/known: merge/);
  await expect(run('merge')).rejects.toThrow(/needs files/);
});
