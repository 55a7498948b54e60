export { decodeFunction, terseLine } from './header.ts';
export type { DecodedFunction } from './page.ts';
export { progIfName } from './prog-if.ts';
