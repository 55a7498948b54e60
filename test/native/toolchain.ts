import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadNative, type Native, whyNoNative } from '../../src/native/index.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const NATIVE = join(ROOT, 'native');
export const STRICT = ['-std=c11', '-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Werror'];

/** The library's sources, and the program that calls all of it. */
export const SOURCES = readdirSync(NATIVE)
  .filter((name) => name.endsWith('.c'))
  .map((name) => join(NATIVE, name));
export const SELF_TEST = join(NATIVE, 'test', 'selftest.c');

export interface Outcome {
  status: number | null;
  output: string;
}

export function run(command: string, args: string[], env: Record<string, string> = {}): Outcome {
  const done = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env } });
  return { status: done.status, output: (done.stdout ?? '') + (done.stderr ?? '') + (done.error?.message ?? '') };
}

export function has(tool: string): boolean {
  return run(tool, ['--version']).status === 0;
}

/** The first C compiler of the system, or undefined. */
export const COMPILER = ['cc', 'gcc', 'clang'].find(has);

/** Calls `use` with a directory that is gone afterwards. */
export function withDirectory<T>(use: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'pirqlab-native-'));
  try {
    return use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Compiles a text that holds assertions only; nothing is linked, so no library of the target is needed. */
export function compileText(compiler: string, text: string, options: string[]): Outcome {
  return withDirectory((directory) => {
    const file = join(directory, 'text.c');
    writeFileSync(file, text);
    return run(compiler, [...options, '-fsyntax-only', file]);
  });
}

/** Builds the library as the npm script does and loads it; else why not. */
export function buildAndLoad(): { native?: Native; reason: string } {
  if (!COMPILER) return { reason: 'no C compiler' };
  const built = run(process.execPath, [join(ROOT, 'scripts', 'build-native.mjs')]);
  if (built.status !== 0) throw new Error(built.output);
  const native = loadNative();
  return native ? { native, reason: '' } : { reason: whyNoNative()! };
}
