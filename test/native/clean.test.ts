import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { has, NATIVE, ROOT, run, SELF_TEST, SOURCES, STRICT, withDirectory } from './toolchain.ts';

const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** Builds the self-test with `options` and runs it, under `wrapper` if given. */
function selfTest(compiler: string, options: string[], wrapper: string[] = []) {
  return withDirectory((directory) => {
    const program = join(directory, 'selftest');
    const built = run(compiler, [...STRICT, '-g', '-O1', ...options, ...SOURCES, SELF_TEST, '-o', program]);
    if (built.status !== 0) return built;
    const [command, ...args] = [...wrapper, program];
    return run(command, args);
  });
}

describe.each(['gcc', 'clang'])('%s', (compiler) => {
  test('compiles every file without a warning and the self-test passes', (ctx) => {
    if (!has(compiler)) ctx.skip(`no ${compiler}`);
    expect(selfTest(compiler, ['-O2'])).toEqual({ status: 0, output: '' });
  });

  test('the self-test runs clean under the address and undefined-behaviour sanitizers', (ctx) => {
    if (!has(compiler)) ctx.skip(`no ${compiler}`);
    const probe = withDirectory((directory) =>
      run(compiler, [...SANITIZERS, '-x', 'c', '-o', join(directory, 'a'), join(NATIVE, 'test', 'nothing.c')]),
    );
    if (probe.status !== 0) ctx.skip(`${compiler} has no sanitizer run time`);
    expect(selfTest(compiler, SANITIZERS)).toEqual({ status: 0, output: '' });
  });
});

test('the self-test runs clean under valgrind: no error, nothing leaked', (ctx) => {
  if (!has('valgrind')) ctx.skip('no valgrind');
  if (!has('cc')) ctx.skip('no C compiler');
  const valgrind = ['valgrind', '-q', '--leak-check=full', '--show-leak-kinds=all', '--error-exitcode=9'];
  expect(selfTest('cc', [], valgrind)).toEqual({ status: 0, output: '' });
});

test('without a compiler the build says so in one line and ends with 2', () => {
  const done = run(process.execPath, [join(ROOT, 'scripts', 'build-native.mjs')], { CC: '/nonexistent/cc' });
  expect(done).toEqual({ status: 2, output: 'pirqlab: no C compiler: tried /nonexistent/cc (set CC to name one)\n' });
});
