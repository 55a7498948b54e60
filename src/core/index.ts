export { Arena, fingerprintWords } from './arena.ts';
export { fromHex, hex, ones, readLe, storeHex, toHex, type Width, writeLe } from './bits.ts';
export { UsageError } from './errors.ts';
export { Footprint } from './footprint.ts';
export { FreeBitmap } from './free-bitmap.ts';
export { Prng } from './prng.ts';
export {
  type AccessKind,
  decodeRegister,
  explainRegister,
  explainRegisterDifference,
  type Field,
  fieldMask,
  fieldValue,
  type Register,
  reg,
  whole,
} from './registers.ts';
export { isShardName, joinShards, type Shard } from './shards.ts';
export { escapeHtml, humanCount, jsonCount, jsonCounts, table } from './text.ts';
export { TraceRing } from './trace-ring.ts';
