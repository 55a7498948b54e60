import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { register } from '../src/cli/explore.ts';
import { runCommand } from './cli/run.ts';

test('the replay line of the README replays', async () => {
  const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, words] = /replay: pirqlab explore (.*)$/m.exec(text) ?? [];
  expect(words).toBeDefined();
  const told = await runCommand(register, 'explore', ...words.split(' '));
  process.exitCode = 0;
  expect(told).toMatch(/bind_pirq 55: -EEXIST/);
});
