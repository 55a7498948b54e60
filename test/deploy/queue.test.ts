import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { register } from '../../src/cli/fuzz.ts';
import { mergeResults, parseResult } from '../../src/fuzz/merge.ts';
import { runCommand } from '../cli/run.ts';

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const hasRedis = spawnSync('redis-server', ['--version']).status === 0;
const isBuilt = existsSync(root('dist/cli/main.js'));
const SHARDS = 4;
const COMMAND = ['fuzz', '--target', 'msix', '--seed', '5', '--runs', '2000'];

let folder: string;
let env: NodeJS.ProcessEnv;
const children: ChildProcess[] = [];

beforeAll(async () => {
  if (!hasRedis) return;
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-redis-'));
  const socket = join(folder, 'redis.sock');
  env = { ...process.env, REDIS_URL: socket, PIRQLAB_LOCK_MS: '1000' };
  const args = ['--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', 'no', '--dir', folder];
  const redis = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(redis);
  await said(redis.stdout, /ready to accept connections/i);
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** Waits until a stream has said something that matches. */
function said(stream: NodeJS.ReadableStream, pattern: RegExp): Promise<void> {
  let text = '';
  return new Promise((resolve, reject) => {
    stream.on('data', (piece) => {
      text += piece;
      if (pattern.test(text)) resolve();
    });
    stream.on('end', () => reject(new Error(`ended before ${pattern}: ${text}`)));
  });
}

function queue(...args: string[]): Promise<{ stdout: string }> {
  return promisify(execFile)(process.execPath, [root('deploy/queue.mjs'), ...args], { env });
}

/** A worker in a process group of its own: killing the group takes the shard it is at with it. */
function worker(): ChildProcess & { stderr: NodeJS.ReadableStream } {
  const child = spawn(process.execPath, [root('deploy/queue.mjs'), 'work'], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  children.push(child);
  return child as ChildProcess & { stderr: NodeJS.ReadableStream };
}

test('a worker killed in mid-shard changes nothing in the merged digest', async (ctx) => {
  if (!hasRedis) return ctx.skip('redis-server is not installed');
  if (!isBuilt) return ctx.skip('not built: npm run build');
  await queue('add', String(SHARDS), ...COMMAND);
  await queue('add', String(SHARDS), ...COMMAND); // a second time adds nothing
  const first = worker();
  await said(first.stderr, /shard \d\/4/);
  process.kill(-first.pid!, 'SIGKILL');
  const second = worker();
  let told = '';
  second.stderr.on('data', (piece) => {
    told += piece;
  });
  const collected = parseResult((await queue('collect', String(SHARDS), ...COMMAND)).stdout, 'collect');
  process.kill(-second.pid!, 'SIGKILL');

  const shards: string[] = [];
  for (let i = 0; i < SHARDS; i++)
    shards.push(await runCommand(register, ...(COMMAND as ['fuzz']), '--shard', `${i}/${SHARDS}`, '--json'));
  expect(collected).toEqual(mergeResults(shards.map((text, i) => parseResult(text, `shard ${i}`))));
  expect(collected).toMatchObject({ complete: true, runs: 8000 });
  // the first worker's shard was taken up by the second, and none was run more often than that
  expect(told.match(/shard \d\/4/g)?.sort()).toEqual(['shard 0/4', 'shard 1/4', 'shard 2/4', 'shard 3/4']);
});

test('wrong words and a queue that is not there are one line and status 2', async (ctx) => {
  const cases: [string[], NodeJS.ProcessEnv, RegExp][] = [
    [['add', 'x', 'fuzz'], env ?? process.env, /^queue: (usage|no Redis).*\n$/],
    [['work'], { ...process.env, REDIS_URL: '/nowhere/redis.sock' }, /^queue: no Redis at .*\n$/],
  ];
  if (!hasRedis) ctx.skip('redis-server is not installed');
  for (const [args, given, line] of cases) {
    const { status, stderr } = spawnSync(process.execPath, [root('deploy/queue.mjs'), ...args], {
      env: given,
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect(status).toBe(2);
    expect(stderr).toMatch(line);
  }
});
