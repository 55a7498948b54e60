// Builds native/addon into build/addon with the system's C compiler ($CC, else the first of cc, gcc, clang).
// One clear line and exit status 2 if there is none; what needs the add-on then goes through koffi, or says so.
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'native', 'addon');
const target = join(root, 'build', 'addon');

function fail(text) {
  process.stderr.write(`pirqlab: ${text}\n`);
  process.exit(2);
}

if (process.platform !== 'linux') fail(`the add-on is for Linux (eventfd, accept4), not ${process.platform}`);
const runs = (compiler) => spawnSync(compiler, ['--version'], { stdio: 'ignore' }).status === 0;
const candidates = process.env.CC ? [process.env.CC] : ['cc', 'gcc', 'clang'];
const compiler = candidates.find(runs);
if (!compiler) fail(`no C compiler: tried ${candidates.join(', ')} (set CC to name one)`);

mkdirSync(target, { recursive: true });
const fresh = join(target, `fd-socket.${process.pid}`);
const options = ['-std=c11', '-O2', '-Wall', '-Wextra', '-fPIC', '-fvisibility=hidden', '-shared'];
const done = spawnSync(compiler, [...options, '-o', fresh, 'fd-socket.c'], { cwd: source, stdio: ['ignore', 2, 2] });
if (done.status !== 0) fail(`${compiler} could not compile native/addon; see above`);
renameSync(fresh, join(target, 'fd-socket.node')); // whole or not at all, whoever else builds or has the old one open
process.stdout.write(`build/addon/fd-socket.node (${compiler})\n`);
