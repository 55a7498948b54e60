// Builds native/ into build/native with the system's C compiler ($CC, else the first of cc, gcc, clang).
// One clear line and exit status 2 if there is none; everything else of pirqlab works without it.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'native');
const target = join(root, 'build', 'native');
const library = process.platform === 'darwin' ? 'libpirqlab.dylib' : 'libpirqlab.so';

function fail(text) {
  process.stderr.write(`pirqlab: ${text}\n`);
  process.exit(2);
}

const runs = (compiler) => spawnSync(compiler, ['--version'], { stdio: 'ignore' }).status === 0;
const candidates = process.env.CC ? [process.env.CC] : ['cc', 'gcc', 'clang'];
const compiler = candidates.find(runs);
if (!compiler) fail(`no C compiler: tried ${candidates.join(', ')} (set CC to name one)`);

mkdirSync(target, { recursive: true });
const sources = readdirSync(source).filter((name) => name.endsWith('.c'));
const fresh = join(target, `${library}.${process.pid}`);
const options = ['-std=c11', '-O2', '-Wall', '-Wextra', '-fPIC', '-fvisibility=hidden', '-shared'];
const done = spawnSync(compiler, [...options, '-o', fresh, ...sources], { cwd: source, stdio: ['ignore', 2, 2] });
if (done.status !== 0) fail(`${compiler} could not compile native/; see above`);
renameSync(fresh, join(target, library)); // whole or not at all, whoever else builds or has the old one open
process.stdout.write(`build/native/${library} (${compiler})\n`);
