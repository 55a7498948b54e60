import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { builtinDump, listBuiltinDumps } from '../../../src/pci/dump/index.ts';

test('the built-in dumps are the collected ones, unchanged', () => {
  expect(listBuiltinDumps()).toEqual(['144d-a826', '15b7-7e9a', '1b36-0010', '2646-5013', '8086-0953']);
  for (const id of listBuiltinDumps())
    expect(builtinDump(id)).toBe(readFileSync(new URL(`../../dumps/${id}.txt`, import.meta.url), 'utf8'));
});

test('an unknown or path-like name is refused in one line', () => {
  expect(() => builtinDump('../dumps/144d-a826')).toThrow(/^no built-in dump "..\/dumps\/144d-a826"; there are 144d/);
});
