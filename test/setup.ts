import fc from 'fast-check';

/**
 * Property tests run the same cases every time, so that a failure is a change's and not a draw's; another seed makes
 * another run: `PIRQLAB_SEED=7 npm test`, or `PIRQLAB_SEED=random`.
 */
const seed = process.env['PIRQLAB_SEED'] ?? '1';
if (seed !== 'random') fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(seed) });
