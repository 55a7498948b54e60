import { defineConfig } from 'vitest/config';

/** The lane against a live QEMU: `npm run test:qemu`. Its files are named so that `npm test` leaves them alone. */
export default defineConfig({
  test: {
    include: ['test/qemu/**/*.lane.ts'],
    reporters: ['default', './scripts/last-line-reporter.mjs'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
});
