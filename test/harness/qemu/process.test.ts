import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Qemu, qemuVersion } from '../../../src/harness/qemu/process.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-process-'));
  vi.stubEnv('TMPDIR', folder); // so that what is left behind would be seen
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function program(name: string, script: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

const left = () => readdirSync(folder).filter((name) => name.startsWith('pirqlab-qemu-'));

test('a program that is not there is named, and nothing is left behind', async () => {
  await expect(Qemu.start({ executable: '/no/such/qemu' })).rejects.toThrow('/no/such/qemu');
  expect(left()).toEqual([]);
});

test('a program that ends is quoted', async () => {
  const executable = program('refuses', 'echo "-device foo: no such device" >&2; exit 3');
  await expect(Qemu.start({ executable })).rejects.toThrow('QEMU ended with status 3: -device foo: no such device');
  expect(left()).toEqual([]);
});

test('a program that never connects is given up and killed', async () => {
  const pid = join(folder, 'pid');
  const executable = program('hangs', `echo $$ >${pid}; exec sleep 600`);
  await expect(Qemu.start({ executable, timeoutMs: 1_000 })).rejects.toThrow('not ready within 1000 ms');
  expect(left()).toEqual([]);
  expect(existsSync(pid)).toBe(true);
  expect(() => process.kill(Number(readFileSync(pid, 'utf8')), 0)).toThrow('ESRCH');
});

test('a version is read, or there is none', () => {
  expect(qemuVersion(program('old', 'echo "QEMU emulator version 6.2.0 (Debian 1:6.2)"'))).toBe('6.2.0');
  expect(qemuVersion('/no/such/qemu')).toBeUndefined();
});
