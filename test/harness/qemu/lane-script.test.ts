import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

function lane(args: string[], env: Record<string, string> = {}) {
  const done = spawnSync(process.execPath, ['scripts/test-qemu.mjs', ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status: done.status, lines: (done.stdout + done.stderr).trim().split('\n') };
}

test('without QEMU the lane says that it is skipped', () => {
  expect(lane([], { PATH: '/no/such/folder' })).toEqual({
    status: 0,
    lines: [expect.stringMatching(/^no qemu-system-x86_64 here: the lane is skipped/), '0 passed, 0 failed, 1 skipped'],
  });
});

test.each([
  [['--seed', 'x'], '--seed takes a number from 1 to 9999999, not "x"'],
  [['--ops', '0'], '--ops takes a number from 1 to 9999999, not "0"'],
  [['--device', 'edu', '--machine', 'microvm'], '--machine takes q35 or pc, not "microvm"'],
  [['--machine', 'pc'], '--machine goes with --device'],
  [['--colour', 'red'], "Unknown option '--colour'; known: --device, --machine, --seed, --ops"],
  [['edu'], "Unexpected argument 'edu'"],
])('%j is refused in one line', (args, text) => {
  const { status, lines } = lane(args);
  expect(status).toBe(2);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(text);
});
