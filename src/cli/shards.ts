import { readFileSync } from 'node:fs';
import { type Shard, UsageError } from '../core/index.ts';

/** `i/n` with i below n, for option parsing. */
export function shardOf(text: string): Shard {
  const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text)?.map(Number) ?? [];
  if (index === undefined || index >= count)
    throw new UsageError(`--shard takes i/n with i from 0 to n − 1, not "${text}"`);
  return { index, count };
}

/** What `parse` makes of each file. @throws UsageError if there are none, or one cannot be read */
export function readResults<R>(
  command: string,
  files: readonly string[],
  parse: (text: string, from: string) => R,
): R[] {
  if (files.length === 0) throw new UsageError(`${command} merge needs files`);
  return files.map((file) => {
    try {
      return parse(readFileSync(file, 'utf8'), file);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw new UsageError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`);
    }
  });
}
