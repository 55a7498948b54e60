import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { register } from '../../src/cli/replay.ts';
import { runCommand } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'pirqlab-replay-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  process.exitCode = undefined;
});
const golden = (path: string) => fileURLToPath(new URL(`../golden/${path}`, import.meta.url));
const replay = (...args: string[]) => runCommand(register, 'replay', ...args);
const EDU = golden('random/edu.q35.s1.jsonl.gz');
const PROBES = golden('probe');

/** A copy of the edu recording with one line changed. */
function changed(name: string, from: RegExp, to: string): string {
  const text = gunzipSync(readFileSync(EDU)).toString();
  expect(text).toMatch(from);
  writeFileSync(join(folder, name), gzipSync(text.replace(from, to)));
  return join(folder, name);
}

describe('pirqlab replay', () => {
  test('--json has totals and one entry a file', async () => {
    const report = JSON.parse(await replay(EDU, golden('unaligned'), '--probe', PROBES, '--json'));
    expect(report.differences).toBe(0);
    expect(report.files).toHaveLength(14);
    expect(report.files[0]).toMatchObject({ file: EDU, excluded: {}, differences: 0, first: null });
    expect(report.files[0].comparisons).toBeGreaterThan(600);
    expect(report.files[0].operations).toBeGreaterThan(report.files[0].comparisons);
    expect(report.accessesPerSecond).toBeGreaterThan(0);
    expect(report.peakMemoryBytes).toBeGreaterThan(0);
    expect(process.exitCode).toBeUndefined();
  });

  test('a probe file serves every recording', async () => {
    expect(await replay(EDU, '--probe', golden('probe/edu.q35.json'))).toContain(' 0 differences\n');
  });

  test('a difference is worded by register and field, and the exit status is 1', async () => {
    const file = changed(
      'wrong.jsonl.gz',
      /\["r",0,"c",4,2,1287\]|\["r",0,"e",4,2,\d+\]|\["r",0,"c",4,2,\d+\]/,
      '["r",0,"c",4,2,64]',
    );
    const text = await replay(file, '--probe', PROBES);
    expect(text).toMatch(
      /first: line \d+: 0000:00:04\.0 read of 2 at 0x004 gives 0x\w{4}, recorded 0x0040: command: .*parityResponse 0x0, not 0x1/,
    );
    expect(process.exitCode).toBe(1);
  });

  test('what is no recording is one line', async () => {
    await expect(replay(PROBES)).rejects.toThrow('no recordings');
    await expect(replay(golden('README.md'))).rejects.toThrow('README.md:1: malformed JSON');
    await expect(replay(join(folder, 'none'))).rejects.toThrow('ENOENT');
    await expect(replay(EDU, '--probe', golden('MANIFEST.json'))).rejects.toThrow('not a probe');
    await expect(replay(changed('cut.jsonl.gz', /\n\["w",0[^\]]*\]/, '\n["w",0,"c"'))).rejects.toThrow(
      /:\d+: malformed JSON/,
    );
    await expect(replay(changed('odd.jsonl.gz', /\n\["w",0/, '\n["what",0'))).rejects.toThrow(
      'unknown operation "what"',
    );
    await expect(replay(changed('kind.jsonl.gz', /"kind":"random"/, '"kind":"other"'))).rejects.toThrow('kind "other"');
  });
});
