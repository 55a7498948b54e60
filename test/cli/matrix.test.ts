import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { register as registerExplore } from '../../src/cli/explore.ts';
import { register as registerMatrix } from '../../src/cli/matrix.ts';
import { runCommand } from './run.ts';

describe('pirqlab explore', () => {
  test('prints the counts of the report’s case 3 as JSON', async () => {
    const text = await runCommand(
      registerExplore,
      'explore',
      ...'lp1657489 --device-model qemu-2.1 --kernel linux-4.4.0-59 --controllers 2 --vectors 4 --steps coarse --from start --json'.split(
        ' ',
      ),
    );
    expect(JSON.parse(text)).toMatchObject({ interleavings: 252, complete: true, good: { 0: 82, 1: 68, 2: 102 } });
    expect(text).toContain('"good":{"0":82,"1":68,"2":102}');
  });

  test('replays a schedule that it printed', async () => {
    const args = 'lp1657489 --controllers 2 --vectors 2 --json'.split(' ');
    const { schedules } = JSON.parse(await runCommand(registerExplore, 'explore', ...args));
    const replayed = JSON.parse(await runCommand(registerExplore, 'explore', ...args, '--schedule', schedules.ff));
    expect(replayed.verdict).toEqual(['failed', 'failed']);
  });

  test('the line that replays names the drive, and a bound is not sold as a proof', async () => {
    const args = 'lp1657489 --controllers 2 --vectors 1 --drive 2646-5013'.split(' ');
    const text = await runCommand(registerExplore, 'explore', ...args);
    const line = /replay it: pirqlab explore (.*)$/m.exec(text)![1];
    expect(await runCommand(registerExplore, 'explore', ...line.split(' '))).toContain('this schedule: ');
    const bounded = await runCommand(registerExplore, 'explore', ...args, '--max-states', '5');
    expect(bounded).toContain('stopped at a bound');
    expect(bounded).not.toContain('no interleaving fails');
  });

  test('group steps find what coarse steps find, and more orders', async () => {
    const args = 'lp1657489 --controllers 2 --vectors 1 --from reenable --json'.split(' ');
    const coarse = JSON.parse(await runCommand(registerExplore, 'explore', ...args));
    const group = JSON.parse(await runCommand(registerExplore, 'explore', ...args, '--steps', 'group'));
    expect(group.complete).toBe(true);
    expect(BigInt(group.interleavings)).toBeGreaterThan(BigInt(coarse.interleavings));
    expect(Object.keys(group.good)).toEqual(expect.arrayContaining(Object.keys(coarse.good)));
  });

  test.each([
    [['lp1'], /unknown scenario "lp1"; known: lp1657489/],
    [['lp1657489', '--kernel', 'linux-9'], /unknown kernel "linux-9"; there are linux-3.13/],
    [['lp1657489', '--device-model', 'qemu-9'], /unknown device model "qemu-9"; there are qemu-2.0/],
    [['lp1657489', '--xen', 'xen-9'], /unknown Xen profile "xen-9"; known: xen-4.4/],
    [['lp1657489', '--controllers', '0'], /--controllers must be a whole number from 1 to 26, not "0"/],
    [['lp1657489', '--vectors', '130'], /has 129 MSI-X vectors, fewer than the 130/],
    [['lp1657489', '--schedule', 'AB'], /"AB" is no schedule/],
    [['lp1657489', '--schedule', '00000000:A'], /belongs to another run/],
    [['lp1657489', '--set', 'foo=1'], /unknown switch "foo"; known: registers/],
    [['lp1657489', '--set', 'freeOnDisable=perhaps'], /freeOnDisable is true or false, not "perhaps"/],
    [['lp1657489', '--drive', 'nowhere'], /no drive "nowhere"/],
    [['lp1657489', '--workload', 'enable-once', '--from', 'reenable'], /has no re-enable/],
  ])('%j is refused in one line', async (args, reason) => {
    await expect(runCommand(registerExplore, 'explore', ...args)).rejects.toThrow(reason);
  });
});

describe('pirqlab matrix', () => {
  test('takes other sides and one workload', async () => {
    const args =
      '--controllers 1 --vectors 1 --kernel linux-6.1 --device-model qemu-7.2 --workload one-disable-many --json'.split(
        ' ',
      );
    const found = JSON.parse(await runCommand(registerMatrix, 'matrix', ...args));
    expect(found.rows).toHaveLength(1);
    expect(found.rows[0]).toMatchObject({ case: 4, cells: [{ verdict: 'works', interleavings: 1 }] });
  });
});

describe('the program', () => {
  const isBuilt = existsSync(new URL('../../dist/cli/main.js', import.meta.url));
  const wrong = [
    'matrix --controllers 0',
    'bogus',
    'explore lp1657489 --schedule 00000000:A',
    'matrix --no-such-option',
  ];
  for (const args of wrong)
    test(`${args}: one line, exit status 2, no stack trace`, (ctx) => {
      if (!isBuilt) ctx.skip('the program is not built: npm test builds it');
      const words = ['bin/pirqlab.mjs', ...args.split(' ')];
      const { status, stderr, stdout } = spawnSync(process.execPath, words, { encoding: 'utf8' });
      expect(status).toBe(2);
      expect(stdout).toBe('');
      expect(stderr).toMatch(/^pirqlab: [^\n]+\n$/);
    });
});
