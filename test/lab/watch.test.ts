import { expect, test } from 'vitest';

test('can be loaded before the machine that it watches', async () => {
  // the two import each other; what one takes of the other while loading must not wait for it
  await expect(import('../../src/lab/watch.ts')).resolves.toHaveProperty('Watch');
});
