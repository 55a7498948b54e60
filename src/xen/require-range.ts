import { UsageError } from '../core/index.ts';

/** @throws UsageError unless `value` is an integer in `min` … `max` */
export function requireRange(what: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new UsageError(`${what} must be ${min} … ${max}, is ${value}`);
}
