/**
 * A caller broke the contract of our API: wrong argument, unknown name, malformed file. The command line prints
 * `message` as its one line and exits with 2. Never thrown for anything a guest or a hypercall argument does.
 */
export class UsageError extends Error {
  override name = 'UsageError';
}
