import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { type CFunction, ROOT } from './c-baseline.ts';

/** As much of the global as is used here; neither the language's library nor Node's declares it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: unknown };
};

const FLAGS = ['--target=wasm32', '-std=c11', '-O2', '-nostdlib', '-Wl,--no-entry', '-Wl,--export-all'];

/** Compiles benches/c/`name`.c as WebAssembly and loads its functions. Answers why not without clang and lld. */
export function loadWasm<N extends string>(name: string): Record<N, CFunction> | string {
  const source = `${ROOT}benches/c/${name}.c`;
  const target = `${ROOT}build/benches/${name}.wasm`;
  if (!existsSync(target) || statSync(target).mtimeMs < statSync(source).mtimeMs) {
    const done = spawnSync('clang', [...FLAGS, '-o', target, source], { encoding: 'utf8' });
    if (done.status !== 0) return 'no clang with wasm-ld (Debian: clang, lld)';
  }
  const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(target)));
  return instance.exports as Record<N, CFunction>;
}
