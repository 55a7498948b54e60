import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { accessRecord, encodeRecord, KIND } from '../../src/harness/access-record.ts';
import { openAccessRecording } from '../../src/harness/access-recording.ts';

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const MAIN = root('bin/pirqlab.mjs');
const isBuilt = existsSync(root('dist/cli/serve.js'));
const vendor = accessRecord({ kind: KIND.read, function: 0x20, region: 7, offset: 0, width: 2 });

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-serve-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const serve = (args: string[], input: Uint8Array | string = '') =>
  spawnSync(process.execPath, [MAIN, 'serve', ...args], { input });

describe('pirqlab serve', () => {
  beforeEach(({ skip }) => {
    if (!isBuilt) skip('dist/ is not built');
  });

  test('answers records on standard input and output, and ends with its input', () => {
    const { status, stdout, stderr } = serve(['--device', 'nvme', '--socket', '-'], encodeRecord(vendor));
    expect([status, stderr.toString()]).toEqual([0, '']);
    expect(stdout.subarray(16, 18).toString('hex')).toBe('3412');
  });

  test('answers qtest likewise', () => {
    const { status, stdout } = serve(['--device', 'nvme', '--qtest', '-'], 'outl 0xcf8 0x80002000\ninl 0xcfc\n');
    expect([status, stdout.toString()]).toEqual([0, 'OK\nOK 0x4e561234\n']);
  });

  test('serves the devices of a dump, and records', () => {
    const file = join(folder, 'clone.pirqacc');
    const request = accessRecord({ kind: KIND.read, function: 0x0b00, region: 7, offset: 0, width: 4 });
    const dump = root('data/dumps/8086-0953.txt');
    const found = spawnSync(process.execPath, [MAIN, 'clone', dump, '--json']).stdout.toString();
    const [{ slot }] = JSON.parse(found).functions;
    const [, bus, device] = /:(..):(..)\./.exec(slot)!;
    request.function = (Number.parseInt(bus, 16) << 8) | (Number.parseInt(device, 16) << 3);
    const { status, stdout } = serve(['--clone', dump, '--socket', '-', '--record', file], encodeRecord(request));
    expect([status, stdout.readUInt32LE(16)]).toEqual([0, 0x09538086]);
    expect(openAccessRecording(file).records).toHaveLength(2);
    expect(spawnSync(process.execPath, [MAIN, 'replay', file]).status).toBe(0);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it and removes the socket', async (signal) => {
    const path = join(folder, `s-${signal}`);
    const child = spawn(process.execPath, [MAIN, 'serve', '--device', 'nvme', '--socket', path, '--json']);
    const line = await firstLine(child);
    expect(JSON.parse(line)).toEqual({ protocol: 'socket', path, devices: [{ bdf: '0000:00:04.0', name: 'nvme' }] });
    expect(existsSync(path)).toBe(true);
    const ended = new Promise((resolve) => child.on('exit', (code, by) => resolve([code, by])));
    child.kill(signal);
    expect(await ended).toEqual([0, null]);
    expect(existsSync(path)).toBe(false);
  });

  test.each([
    [[], 'say how to serve'],
    [['--socket', '-'], 'nothing to serve'],
    [['--device', 'nvme'], 'say how to serve'],
    [['--device', 'nvme', '--socket', '-', '--qtest', '-'], 'say how to serve'],
    [['--device', 'floppy', '--socket', '-'], 'unknown device "floppy"'],
    [['--device', 'nvme:size=1', '--socket', '-'], 'size takes'],
    [['--device', 'nvme:queues=0', '--socket', '-'], 'from 1 to 2048'],
    [['--device', 'nvme:colour=red', '--socket', '-'], 'unknown device option "colour"'],
    [['--device', 'nvme:bdf=1', '--socket', '-'], 'is no slot'],
    [['--device', 'nvme:bdf=00:04.0', '--device', 'nvme:bdf=00:04.0', '--socket', '-'], 'same address'],
    [['--device', 'nvme', '--socket', '/no/such/folder/s'], 'no such folder'],
    [['--device', 'nvme', '--socket', '-', '--record', '/no/such/folder/s'], 'cannot write'],
    [['--device', 'nvme', '--qtest', '-', '--record', 'x'], 'needs --socket'],
    [['--device', 'nvme:bdf=01:00.0', '--qtest', '-'], 'bus 0 only'],
    [['--clone', '/no/such/dump', '--socket', '-'], 'cannot read'],
    [['--device', 'nvme', '--socket', '-', '--json'], '--json'],
  ])('%j is refused in one line', (args, reason) => {
    const { status, stdout, stderr } = serve(args);
    expect([status, stdout.length]).toEqual([2, 0]);
    expect(stderr.toString()).toMatch(/^pirqlab: .*\n$/);
    expect(stderr.toString()).toContain(reason);
  });

  test('--help has an example', () => {
    expect(serve(['--help']).stdout.toString()).toContain('Example:');
  });
});

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => child.stdout!.once('data', (chunk) => resolve(String(chunk).split('\n')[0])));
}
