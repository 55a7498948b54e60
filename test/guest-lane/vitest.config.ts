import { defineConfig } from 'vitest/config';

/** The lane with a real Linux: `npm run test:guest`. Its files are named so that `npm test` leaves them alone. */
export default defineConfig({
  test: {
    include: ['test/guest-lane/**/*.lane.ts'],
    reporters: ['default', './scripts/last-line-reporter.mjs'],
    testTimeout: 200_000,
    hookTimeout: 200_000,
    pool: 'forks',
  },
});
