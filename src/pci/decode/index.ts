export { decodeFunction, terseLine } from './header.ts';
export { formatListing, functionsBehind, type ListingOptions, listedFunction } from './listing.ts';
export type { DecodedFunction } from './page.ts';
export { progIfName } from './prog-if.ts';
