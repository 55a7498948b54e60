import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ADDON = fileURLToPath(new URL('../../../native/addon', import.meta.url));
const NODE_HEADERS = join(dirname(process.execPath), '..', 'include', 'node');
const STRICT = ['-std=c11', '-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Werror', '-fsyntax-only'];
const run = (compiler: string, ...args: string[]) => spawnSync(compiler, args, { encoding: 'utf8' });
const has = (compiler: string) => run(compiler, '--version').status === 0;

test.for(['gcc', 'clang'])('the add-on compiles without a warning of %s', (compiler, ctx) => {
  if (!has(compiler)) ctx.skip(`no ${compiler}`);
  const done = run(compiler, ...STRICT, join(ADDON, 'fd-socket.c'));
  expect([done.status, done.stderr]).toEqual([0, '']);
});

test("the add-on's declarations agree with those of Node and libuv", (ctx) => {
  const compiler = ['cc', 'gcc', 'clang'].find(has);
  if (!compiler) ctx.skip('no C compiler');
  if (!existsSync(join(NODE_HEADERS, 'node_api.h'))) ctx.skip(`no headers of Node in ${NODE_HEADERS}`);
  const directory = mkdtempSync(join(tmpdir(), 'pirqlab-addon-'));
  try {
    const source = join(directory, 'both.c');
    const compile = (text: string) => {
      writeFileSync(source, text);
      return run(compiler!, '-std=gnu11', '-fsyntax-only', `-I${NODE_HEADERS}`, `-I${ADDON}`, source).stderr;
    };
    const both = '#include <node_api.h>\n#include <uv.h>\n#include "node-api.h"\n';
    expect(compile(both)).toBe('');
    expect(compile(`${both}int uv_poll_stop(int handle);\n`)).toContain('conflicting types');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
