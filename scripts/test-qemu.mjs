// The lane against a live QEMU: random accesses to QEMU and to the model compared, and our guest's code on QEMU's devices.
// `npm run test:qemu -- --device e1000e --seed 7 --ops 5000` for one device, also one that no list here knows.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

function fail(text) {
  process.stderr.write(`pirqlab: ${text}\n`);
  process.exit(2);
}

function options() {
  try {
    const text = { type: 'string' };
    return parseArgs({ options: { device: text, machine: text, seed: text, ops: text } }).values;
  } catch (error) {
    return fail(`${error.message.split('. ')[0]}; known: --device, --machine, --seed, --ops`);
  }
}

const chosen = options();
for (const name of ['seed', 'ops'])
  if (chosen[name] !== undefined && !/^[1-9]\d{0,6}$/.test(chosen[name]))
    fail(`--${name} takes a number from 1 to 9999999, not "${chosen[name]}"`);
if (!['q35', 'pc', undefined].includes(chosen.machine)) fail(`--machine takes q35 or pc, not "${chosen.machine}"`);
if (chosen.machine && !chosen.device) fail('--machine goes with --device');

const asked = spawnSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' });
if (asked.error) {
  process.stdout.write('no qemu-system-x86_64 here: the lane is skipped (Debian package qemu-system-x86)\n');
  process.stdout.write('0 passed, 0 failed, 1 skipped\n');
  process.exit(0);
}

const prepared = spawnSync(process.execPath, ['scripts/launch.mjs', 'install'], { stdio: 'inherit' });
if (prepared.status !== 0) process.exit(prepared.status ?? 1);
const only = chosen.device ? ['test/qemu/config.lane.ts'] : [];
const env = { ...process.env };
for (const [name, value] of Object.entries(chosen)) env[`PIRQLAB_QEMU_${name.toUpperCase()}`] = value;
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/qemu/vitest.config.ts', ...only];
process.exit(spawnSync(process.execPath, vitest, { stdio: 'inherit', env }).status ?? 1);
