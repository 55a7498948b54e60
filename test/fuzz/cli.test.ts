import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { register } from '../../src/cli/fuzz.ts';
import { fuzz } from '../../src/fuzz/engine.ts';
import { writeFinding } from '../../src/fuzz/finding.ts';
import type { Subject, Target } from '../../src/fuzz/target.ts';
import { getTarget } from '../../src/fuzz/targets/index.ts';
import { runCommand } from '../cli/run.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-fuzz-'));
});
afterEach(() => {
  process.exitCode = 0;
  rmSync(folder, { recursive: true });
});

const run = (...args: string[]) => runCommand(register, 'fuzz', ...args);

test('a run reports what it did, and its corpus is taken up by the next', async () => {
  const first = JSON.parse(await run('--target', 'msi', '--runs', '200', '--corpus', folder, '--json'));
  expect(first).toMatchObject({ target: 'msi', seed: 1, runs: 200, findings: [] });
  const kept = readdirSync(folder);
  expect(kept.length).toBeGreaterThan(10);
  const second = JSON.parse(await run('--target', 'msi', '--runs', '200', '--corpus', folder, '--json'));
  expect(second.digest).not.toBe(first.digest);
  expect(await run('--replay', join(folder, kept[0]))).toMatch(/no law is broken/);
});

test('a run by the clock says how to repeat it', async () => {
  const text = await run('--target', 'config', '--for', '0.2s');
  const [, runs] = /--seed 1 --runs (\d+) \(digest ([0-9a-f]+)\)/.exec(text)!;
  const again = await run('--target', 'config', '--runs', runs);
  expect(again.split('\n').at(-2)).toBe(text.split('\n').at(-2));
});

test.each([
  [['--runs', '1'], /needs --target/],
  [['--target', 'nothing'], /unknown target "nothing"; known: config/],
  [['--target', 'msi', '--runs', '1', '--for', '1s'], /exclude each other/],
  [['--target', 'msi', '--for', 'soon'], /60s/],
  [['--replay', '/nonexistent'], /ENOENT/],
  [['--replay', import.meta.filename], /no input/],
])('%j is refused', async (args, message) => {
  await expect(run(...args)).rejects.toThrow(message);
});

/** The second vector's message is lost on its way: what a finding looks like. */
function broken(target: Target<unknown>): Target<unknown> {
  return {
    ...target,
    variants: 3,
    open: (variant) => {
      const subject = target.open(variant) as Subject<{ kind: number; offset: number }>;
      const original = subject.run.bind(subject);
      subject.run = (step) => (step.kind === 5 && step.offset === 1 ? 'test: vector 1 was signalled' : original(step));
      return subject as Subject<unknown>;
    },
  };
}

test('a finding is shrunk, told and kept as a folder', async () => {
  const target = broken(await getTarget('msix'));
  const { findings } = fuzz(target, { seed: 3, runs: 1000 });
  expect(findings).toHaveLength(1);
  expect(findings[0].steps).toHaveLength(1);
  expect(findings[0].found.length).toBeGreaterThanOrEqual(1);
  const path = writeFinding(folder, target, findings[0], 3);
  expect(readdirSync(path).sort()).toEqual(['finding.json', 'input.bin', 'story.txt']);
  expect(readFileSync(join(path, 'story.txt'), 'utf8')).toMatch(
    /1 {2}the device signals vector 1\n {5}broken: test: vector 1 was/,
  );
  expect(JSON.parse(readFileSync(join(path, 'finding.json'), 'utf8'))).toMatchObject({
    target: 'msix',
    steps: 1,
    seed: 3,
  });
});

test('a corpus below a folder that takes none is refused, and a deep one is made', async () => {
  await expect(run('--target', 'msi', '--runs', '5', '--corpus', '/proc/x')).rejects.toThrow(/--corpus \/proc\/x: E/);
  const deep = join(folder, 'a/b/c');
  await run('--target', 'msi', '--runs', '50', '--corpus', deep);
  expect(readdirSync(deep).length).toBeGreaterThan(0);
});
