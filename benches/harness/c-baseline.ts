import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The repository, from build/benches/benches/harness. */
export const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

export type CFunction = (...args: number[]) => number;

/**
 * Compiles benches/c/`name`.c if that is newer than what is there, and loads its functions by their C prototypes.
 * Answers why not if there is no compiler or no koffi.
 */
export function loadC<N extends string>(name: string, prototypes: Record<N, string>): Record<N, CFunction> | string {
  const source = `${ROOT}benches/c/${name}.c`;
  const target = `${ROOT}build/benches/${name}.so`;
  if (!existsSync(target) || statSync(target).mtimeMs < statSync(source).mtimeMs) {
    const compiler = process.env['CC'] ?? 'cc';
    const fresh = `${target}.${process.pid}`;
    const done = spawnSync(compiler, ['-std=c11', '-O2', '-fPIC', '-shared', '-o', fresh, source], {
      encoding: 'utf8',
    });
    if (done.status !== 0) return `no C compiler (${compiler})`;
    renameSync(fresh, target);
  }
  try {
    const library = createRequire(import.meta.url)('koffi').load(target);
    const entries = Object.entries<string>(prototypes).map(([key, prototype]) => [key, library.func(prototype)]);
    return Object.fromEntries(entries) as Record<N, CFunction>;
  } catch (error) {
    return `koffi: ${(error as Error).message.split('\n')[0]}`;
  }
}
