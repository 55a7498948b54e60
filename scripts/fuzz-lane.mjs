// The longer lane: every target, as many at a time as there are cores.
//
//   npm run fuzz                                    a minute each
//   npm run fuzz -- --for 1h
//   npm run fuzz -- --accesses 1e9 --json record.json
//
// Exit status 1 if one finds something. `--accesses` is shared out by weight, so that slow targets do not take for ever;
// the same seed and number give the same inputs and digests on every machine.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';

const { targetNames } = await import('../dist/fuzz/targets/index.js');

/** Parts of `--accesses`, roughly by steps a second; a target without one gets 1. */
const WEIGHTS = {
  config: 300,
  msi: 250,
  msix: 250,
  bridge: 150,
  'nvme-regs': 10,
  hypercalls: 5,
  dump: 3,
};

const { values } = parseArgs({
  options: {
    for: { type: 'string' },
    accesses: { type: 'string' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
  },
});
const accesses = values.accesses === undefined ? undefined : Number(values.accesses);
if (accesses !== undefined && !(accesses >= 1)) {
  process.stderr.write(`fuzz: --accesses takes a number, not "${values.accesses}"\n`);
  process.exit(2);
}
const names = targetNames();
const weightOf = (name) => WEIGHTS[name] ?? 1;
const total = names.reduce((sum, name) => sum + weightOf(name), 0);

function bound(name) {
  if (accesses === undefined) return ['--for', values.for ?? '60s'];
  return ['--accesses', String(Math.ceil((accesses * weightOf(name)) / total))];
}

/** Runs one target in a process of its own. @returns what it printed as JSON; undefined if it ended otherwise */
function fuzz(name) {
  const args = ['bin/pirqlab.mjs', 'fuzz', '--target', name, '--seed', values.seed, ...bound(name), '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece) => {
    text += piece;
  });
  return new Promise((resolve) => {
    child.on('close', (status) => resolve(status === 0 || status === 1 ? JSON.parse(text) : undefined));
  });
}

const results = new Map();
const waiting = [...names].sort((a, b) => weightOf(a) - weightOf(b));
async function job() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const result = await fuzz(name);
    results.set(name, result);
    if (!result) {
      console.log(`${name}: ended without a result`);
      continue;
    }
    const { steps, unit, runs, states, cpuSeconds, findings, digest } = result;
    console.log(
      `${name}: ${steps.toLocaleString('en')} ${unit} in ${runs.toLocaleString('en')} inputs, ${states.toLocaleString('en')} states, ` +
        `${cpuSeconds.toFixed(0)} CPU s, digest ${digest}, ${findings.length} findings`,
    );
    for (const finding of findings) console.log(`  ${finding.subject}: ${finding.broken}\n  kept in ${finding.folder}`);
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, job));

const all = names.map((name) => results.get(name) ?? { target: name, steps: 0, findings: [], failed: true });
const steps = all.reduce((sum, r) => sum + r.steps, 0);
const findings = all.reduce((sum, r) => sum + r.findings.length, 0);
const failed = all.filter((r) => r.failed).length;
if (values.json !== undefined) {
  const machine = { node: process.version, cpu: cpus()[0]?.model ?? '', cores: cpus().length };
  writeFileSync(values.json, `${JSON.stringify({ steps, findings, machine, targets: all }, null, 1)}\n`);
}
console.log(`${steps.toLocaleString('en')} steps, ${findings} findings`);
process.exitCode = findings + failed > 0 ? 1 : 0;
