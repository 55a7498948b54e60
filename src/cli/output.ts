import { UsageError } from '../core/index.ts';

export { humanCount, jsonCount, jsonCounts, table } from '../core/index.ts';

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A line on the terminal that is overwritten as work proceeds; nothing at all when standard error is no terminal. */
export class Progress {
  readonly #isOn = process.stderr.isTTY === true;
  #last = 0;

  show(text: string): void {
    const now = performance.now();
    if (!this.#isOn || now - this.#last < 100) return;
    this.#last = now;
    process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  }

  clear(): void {
    if (this.#isOn) process.stderr.write('\r\x1b[K');
  }
}

/** A whole number from `min` to `max`, for option parsing. */
export function wholeNumber(name: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new UsageError(`${name} must be a whole number from ${min} to ${max}, not "${text}"`);
    return value;
  };
}

/** One of `allowed`, for option parsing. */
export function oneOf<T extends string>(name: string, allowed: readonly T[]): (text: string) => T {
  return (text) => {
    const found = allowed.find((value) => value === text);
    if (!found) throw new UsageError(`unknown ${name} "${text}"; known: ${allowed.join(', ')}`);
    return found;
  };
}
