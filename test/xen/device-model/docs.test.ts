import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DEVICE_MODELS, SWITCHES } from '../../../src/xen/device-model/index.ts';

test('docs/device-model.md has a row for every switch, with the value of each profile', () => {
  const text = readFileSync(new URL('../../../docs/device-model.md', import.meta.url), 'utf8');
  const inWords = (value: unknown) =>
    value === true ? 'yes' : value === false ? 'no' : typeof value === 'number' ? `0x${value.toString(16)}` : value;
  for (const name of Object.keys(SWITCHES) as (keyof typeof SWITCHES)[]) {
    const values = DEVICE_MODELS.map(({ switches }) => inWords(switches[name]));
    expect(text).toContain(`| \`${name}\` | ${values.join(' | ')} |`);
  }
});
