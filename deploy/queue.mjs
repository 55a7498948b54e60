// Shards over a queue: BullMQ on Redis or Valkey. Needs `npm install bullmq ioredis` beside pirqlab; a checkout has both.
//
//   node deploy/queue.mjs add 8 fuzz --target msix --seed 1 --runs 1000000
//   node deploy/queue.mjs work                        # as often and on as many machines as you like
//   node deploy/queue.mjs collect 8 fuzz --target msix --seed 1 --runs 1000000
//
// `explore lp1657489 …` is sharded the same way.
//
// A shard's result follows from its command alone. A worker that dies loses its lock on the shard, and another one takes
// it; one that was only slow and finishes as well brings the same result. So the merged digest is that of a quiet run.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const USAGE = 'queue.mjs add|collect SHARDS COMMAND…, or queue.mjs work';
const QUEUE = process.env.PIRQLAB_QUEUE ?? 'pirqlab';
/** Where Redis or Valkey is: an address, or the path of a Unix socket. */
const REDIS = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
/** How long a silent worker keeps its shard. Each renews its hold twice in that time. */
const LOCK_MS = Number(process.env.PIRQLAB_LOCK_MS ?? 30_000);
/** A shard goes back to the queue so often before its job counts as failed. */
const MAX_STALLED = 10;
const program = fileURLToPath(new URL('../bin/pirqlab.mjs', import.meta.url));

const [verb, ...words] = process.argv.slice(2);
const [bullmq, { Redis }] = await Promise.all([import('bullmq'), import('ioredis')]).catch(() =>
  fail('bullmq and ioredis are not installed: npm install bullmq ioredis'),
);
const connection = new Redis(REDIS, { maxRetriesPerRequest: null });
connection.on('error', (error) => fail(`no Redis at ${REDIS}: ${error.code ?? error.message}`));

if (verb === 'work') work();
else if (verb === 'add' || verb === 'collect') {
  const [count, ...command] = words;
  if (!/^[1-9]\d{0,4}$/.test(count ?? '') || command.length === 0) fail(`usage: ${USAGE}`);
  const shards = Array.from({ length: Number(count) }, (_, i) => `${i}/${count}`);
  const queue = new bullmq.Queue(QUEUE, { connection });
  if (verb === 'add') await add(queue, command, shards);
  else await collect(queue, command, shards);
  await queue.close();
  connection.disconnect();
} else fail(`usage: ${USAGE}`);

function fail(text) {
  process.stderr.write(`queue: ${text}\n`);
  process.exit(2);
}

/** The same shard of the same command has the same name, so adding it twice adds it once. */
function jobId(command, shard) {
  return createHash('sha256')
    .update(JSON.stringify([command, shard]))
    .digest('hex')
    .slice(0, 32);
}

async function add(queue, command, shards) {
  await queue.addBulk(
    shards.map((shard) => ({ name: 'shard', data: { command, shard }, opts: { jobId: jobId(command, shard) } })),
  );
}

function work() {
  const worker = new bullmq.Worker(QUEUE, (job) => runShard(job.data), {
    connection,
    lockDuration: LOCK_MS,
    stalledInterval: LOCK_MS / 2,
    maxStalledCount: MAX_STALLED,
  });
  worker.on('error', (error) => process.stderr.write(`queue: ${error.message}\n`));
  process.once('SIGTERM', () => worker.close().then(() => process.exit(0)));
}

/** Runs one shard in a process of its own, so that this one can hold its lock. Exit status 1 is a finding: a result. */
function runShard({ command, shard }) {
  process.stderr.write(`queue: shard ${shard} of ${command.join(' ')}\n`);
  const child = spawn(process.execPath, [program, ...command, '--shard', shard, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece) => {
    text += piece;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      if (status === 0 || status === 1) resolve(text);
      else reject(new Error(`shard ${shard} ended with status ${status}`));
    });
  });
}

/** Waits for every shard, then prints what `merge` makes of their results. */
async function collect(queue, command, shards) {
  const events = new bullmq.QueueEvents(QUEUE, { connection });
  await events.waitUntilReady();
  const results = await Promise.all(
    shards.map(async (shard) => {
      const job = await queue.getJob(jobId(command, shard));
      if (!job) fail(`shard ${shard} of ${command.join(' ')} was never added`);
      return job.waitUntilFinished(events).catch((error) => fail(error.message));
    }),
  );
  await events.close();
  const folder = mkdtempSync(join(tmpdir(), 'pirqlab-queue-'));
  const files = results.map((text, i) => {
    const file = join(folder, `${i}.json`);
    writeFileSync(file, text);
    return file;
  });
  const merged = spawnSync(process.execPath, [program, command[0], 'merge', ...files], { stdio: 'inherit' });
  rmSync(folder, { recursive: true });
  process.exitCode = merged.status ?? 1;
}
