import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { alias: { pirqlab: fileURLToPath(new URL('./src/index.ts', import.meta.url)) } },
  test: {
    setupFiles: ['test/setup.ts'],
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    reporters: ['default', './scripts/last-line-reporter.mjs'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
  },
});
