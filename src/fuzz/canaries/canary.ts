/** A planted bug: one replacement in one source file. */
export interface Canary {
  readonly name: string;
  /** Below `src`. */
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** The target that ought to see it. */
  readonly target: string;
}

export const canary = (target: string, file: string, name: string, find: string, replace: string): Canary => ({
  name,
  file,
  find,
  replace,
  target,
});
