import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { register as registerFuzz } from '../../src/cli/fuzz.ts';
import { register as registerReplay } from '../../src/cli/replay.ts';
import { Prng } from '../../src/core/index.ts';
import { decodeAccesses, encodeAccesses, KIND, REGION, toRecord } from '../../src/fuzz/access.ts';
import { encodeInput } from '../../src/fuzz/input-file.ts';
import { access } from '../../src/fuzz/targets/function-subject.ts';
import { getTarget } from '../../src/fuzz/targets/index.ts';
import { accessRecord, encodeRecord, RecordReader } from '../../src/harness/access-record.ts';
import { runCommand } from '../cli/run.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-replay-'));
});
afterAll(() => {
  process.exitCode = 0;
  rmSync(folder, { recursive: true });
});

const replay = async (...paths: string[]) => JSON.parse(await runCommand(registerReplay, 'replay', '--json', ...paths));

describe.each(['config', 'msi', 'msix', 'bridge', 'hypercalls'])('%s', (name) => {
  test('a corpus replays without a difference, by folder and by file', async () => {
    const corpus = join(folder, name);
    await runCommand(registerFuzz, 'fuzz', '--target', name, '--runs', '150', '--corpus', corpus, '--json');
    const all = await replay(corpus);
    expect(all.files.length).toBe(readdirSync(corpus).length);
    expect(all.differences).toBe(0);
    for (const { operations, comparisons } of all.files) expect(comparisons).toBe(operations + 1);
    const one = await replay(join(corpus, readdirSync(corpus)[0]));
    expect(one).toMatchObject({ differences: 0, files: [{ first: null }] });
  });

  test('steps are access records', async () => {
    const target = await getTarget(name);
    const subject = target.open(0);
    const prng = new Prng(3);
    const steps = Array.from({ length: 40 }, () => subject.generate(prng));
    const reader = new RecordReader();
    reader.push(target.encode(steps));
    let count = 0;
    while (reader.next()) count++;
    expect(count).toBe(steps.length);
    expect(reader.pendingBytes).toBe(0);
  });
});

test('a file brings its functions along: another number of its subject changes nothing', async () => {
  const target = await getTarget('msix');
  const subject = target.open(3);
  const prng = new Prng(1);
  const steps = Array.from({ length: 30 }, () => subject.generate(prng));
  const file = join(folder, 'elsewhere.bin');
  const bytes = Buffer.from(encodeInput(target, subject, 3, steps));
  writeFileSync(file, Buffer.from(bytes.toString('latin1').replace('"variant":3', '"variant":9'), 'latin1'));
  expect(await replay(file)).toMatchObject({ differences: 0, files: [{ operations: 30 }] });
  const text = await runCommand(registerFuzz, 'fuzz', '--replay', file);
  expect(text).toContain(`msix: ${subject.label}`);
});

test('functions that this version does not have are refused where they cannot be made', async () => {
  const target = await getTarget('bridge');
  const bytes = Buffer.from(encodeInput(target, target.open(0), 0, []));
  const file = join(folder, 'other.bin');
  writeFileSync(file, Buffer.from(bytes.toString('latin1').replace('"lone"', '"long"'), 'latin1'));
  await expect(replay(file)).rejects.toThrow(/other functions than this version's bridge has/);
});

test('eight bytes are two accesses of four, low first; other widths are refused', () => {
  const wide = accessRecord({ kind: KIND.write, region: 0, width: 8, offset: 0x10, value: 0x2_0000_0001n });
  expect(decodeAccesses(encodeRecord(wide))).toMatchObject([
    { width: 4, offset: 0x10, value: 1 },
    { width: 4, offset: 0x14, value: 2 },
  ]);
  expect(() => decodeAccesses(encodeRecord({ ...wide, width: 3 }))).toThrow(/3 bytes/);
  const one = access(KIND.read, REGION.config, 4, 0x20, 0, 0);
  expect(encodeRecord(toRecord(one))).toEqual(encodeAccesses([one]));
  expect(() => decodeAccesses(encodeAccesses([one]).subarray(1))).toThrow(/end within/);
});
