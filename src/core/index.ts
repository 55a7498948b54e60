export { Arena } from './arena.ts';
export { fromHex, hex, ones, readLe, toHex, type Width, writeLe } from './bits.ts';
export { UsageError } from './errors.ts';
export { Prng } from './prng.ts';
