// The two commands of the README. Installs locked dependencies and builds if, and only if, that is needed,
// says so in one line each, then does the job. Needs nothing but Node and npm.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
const [job = 'start', ...rest] = process.argv.slice(2);

const major = Number(process.versions.node.split('.')[0]);
if (major < 20) fail(`Node ${process.versions.node} is too old: pirqlab needs Node 20 or newer`);

function fail(text) {
  process.stderr.write(`pirqlab: ${text}\n`);
  process.exit(2);
}

function run(command, args, options = {}) {
  return spawnSync(command, args, { stdio: 'inherit', shell: process.platform === 'win32', ...options });
}

/** Name, size and time of every file below `paths`: enough to see that something changed. */
function fingerprint(paths) {
  const hash = createHash('sha256');
  const visit = (path) => {
    if (!existsSync(path)) return;
    const stat = statSync(path);
    if (stat.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    else hash.update(`${path} ${stat.size} ${stat.mtimeMs}\n`);
  };
  paths.forEach(visit);
  return hash.digest('hex');
}

const isFresh = (stamp, value) => existsSync(stamp) && readFileSync(stamp, 'utf8') === value;

function install() {
  // a link leads to another checkout's modules, which are not ours to replace
  if (lstatSync('node_modules', { throwIfNoEntry: false })?.isSymbolicLink()) return;
  const stamp = 'node_modules/.pirqlab-stamp';
  const lock = createHash('sha256').update(readFileSync('package-lock.json')).digest('hex');
  if (isFresh(stamp, lock)) return;
  process.stderr.write('pirqlab: installing locked dependencies (npm ci)\n');
  const done = run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { stdio: ['ignore', 2, 2] });
  if (done.status !== 0) fail('npm ci failed; see above');
  writeFileSync(stamp, lock);
}

function build() {
  const stamp = 'dist/.pirqlab-stamp';
  const value = fingerprint(['src', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json']);
  if (isFresh(stamp, value)) return;
  process.stderr.write('pirqlab: building\n');
  const done = run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
    stdio: ['ignore', 2, 2],
  });
  if (done.status !== 0) fail('the build failed; see above');
  mkdirSync('dist', { recursive: true });
  writeFileSync(stamp, value);
}

install();
if (job !== 'install') build();
if (job === 'start' || job === 'bench') {
  process.argv = [process.argv[0], 'pirqlab', job === 'start' ? 'matrix' : job, ...rest];
  await import(new URL('../dist/cli/main.js', import.meta.url).href);
} else if (job === 'test') {
  process.exit(run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...rest]).status ?? 1);
} else if (job !== 'build' && job !== 'install') {
  fail(`unknown job "${job}"; known: start, test, bench, build, install`);
}
