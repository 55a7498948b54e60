import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadNative, whyNoNative } from '../../src/native/index.ts';
import { COMPILER, compileText, run, withDirectory } from './toolchain.ts';

test('a library that is not built is no error, and the reason names the command', () => {
  expect(loadNative('/nonexistent/libpirqlab.so')).toBeUndefined();
  expect(whyNoNative()).toBe('/nonexistent/libpirqlab.so is not built; run `npm run build:native`');
});

test('a file that is no library, or one of another version, is no error either', (ctx) => {
  if (!COMPILER || compileText(COMPILER, 'int x;\n', []).status !== 0) ctx.skip('no C compiler');
  withDirectory((directory) => {
    const text = join(directory, 'text.so');
    writeFileSync(text, 'no library');
    expect(loadNative(text)).toBeUndefined();
    if (whyNoNative()!.includes('koffi')) ctx.skip(whyNoNative());
    expect(whyNoNative()).toMatch(/text\.so: .*npm run build:native/);

    const source = join(directory, 'other.c');
    const other = join(directory, 'other.so');
    writeFileSync(source, 'int pq_interface(void) { return 0; }\n');
    expect(run(COMPILER!, ['-shared', '-fPIC', '-o', other, source])).toEqual({ status: 0, output: '' });
    expect(loadNative(other)).toBeUndefined();
    expect(whyNoNative()).toMatch(/interface 0, not 1/);
  });
});
