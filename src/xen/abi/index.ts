export { codec, StructCodec } from './codec.ts';
export * from './domctl.ts';
export * from './event-channel.ts';
export * from './hvm.ts';
export * from './numbers.ts';
export { structParser } from './parser.ts';
export * from './physdev.ts';
export * from './pirq-message.ts';
export * from './shared-info.ts';
export * from './struct.ts';

import { DOMCTL_STRUCTS } from './domctl.ts';
import { EVENT_CHANNEL_STRUCTS } from './event-channel.ts';
import { HVM_STRUCTS } from './hvm.ts';
import { PHYSDEV_STRUCTS } from './physdev.ts';
import { SHARED_INFO_STRUCTS } from './shared-info.ts';
import type { StructSpec } from './struct.ts';

/** Every structure as in the present headers, for tests against a compiler, docs and fuzz inputs. */
export const ALL_STRUCTS: readonly StructSpec[] = [
  ...PHYSDEV_STRUCTS,
  ...EVENT_CHANNEL_STRUCTS,
  ...DOMCTL_STRUCTS,
  ...HVM_STRUCTS,
  ...SHARED_INFO_STRUCTS,
];
