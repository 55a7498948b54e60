import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveRecords } from '../../src/harness/access-server.ts';
import { functionMap, hostFunction } from '../../src/harness/hosted-function.ts';
import { SocketServer } from '../../src/harness/socket-server.ts';
import { BDF } from './nvme-script.ts';

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const has = (tool: string) => spawnSync(tool, ['--version']).status === 0;
const STRICT = ['-std=c99', '-D_POSIX_C_SOURCE=200809L', '-Wall', '-Wextra', '-Werror'];
const FIRED = '00:04.0 is 1234:4e56\nmessage from 00:04.0: address 0xfee01000 data 0x4041\n';
const IDENTIFIED = '00:04.0: pirqlab NVMe controller, 4 queue pairs\nread back what was written\n';

let folder: string;
let server: SocketServer;
let socket: string;
const lines: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-clients-'));
  socket = join(folder, 's');
  const hosted = hostFunction({ kind: 'nvme', bdf: BDF, queuePairs: 4, sizeBytes: 1 << 20 });
  server = await SocketServer.listen(
    socket,
    serveRecords({ functions: functionMap([hosted]) }, (line) => lines.push(line)),
  );
});

afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** Runs a program while this process serves it. */
function run(command: string, args: string[]): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' } });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, output }));
  });
}

describe.each(['gcc', 'clang'])('the C header, built by %s', (compiler) => {
  test.for([
    ['fire-vector', FIRED],
    ['nvme-read', IDENTIFIED],
  ])('%s', async ([name, expected], { skip }) => {
    if (!has(compiler)) skip(`no ${compiler}`);
    const program = join(folder, `${name}-${compiler}`);
    const source = root(`examples/c/${name}.c`);
    expect(await run(compiler, [...STRICT, '-I', root('native/include'), source, '-o', program])).toEqual({
      status: 0,
      output: '',
    });
    expect(await run(program, [socket])).toEqual({ status: 0, output: expected });
    expect(lines).toEqual([]);
  });
});

describe('the Python module', () => {
  test.for([
    ['fire_vector', FIRED],
    ['nvme_read', IDENTIFIED],
  ])('%s', async ([name, expected], { skip }) => {
    if (!has('python3')) skip('no python3');
    const script = root(`examples/python/${name}.py`);
    expect(await run('python3', [script, socket])).toEqual({ status: 0, output: expected });
    expect(lines).toEqual([]);
  });
});
