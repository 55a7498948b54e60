import { UsageError } from '../../core/index.ts';

const HEADER_BYTES = 8;

/** Copies the parts one after another into an array with a buffer of its own. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Of each step the four bytes that `head` gives, u32 length, and the step's bytes. */
export function encodeSteps<S extends { bytes: Uint8Array }>(
  steps: readonly S[],
  head: (step: S) => readonly number[],
): Uint8Array {
  return joinBytes(
    steps.flatMap((step) => {
      const header = new Uint8Array(HEADER_BYTES);
      header.set(head(step));
      new DataView(header.buffer).setUint32(4, step.bytes.length, true);
      return [header, step.bytes];
    }),
  );
}

/**
 * The inverse of {@link encodeSteps}; `make` gives the step of a head and its bytes, or undefined if there is none such.
 *
 * @throws UsageError if the bytes end within a step, or are none
 */
export function decodeSteps<S>(whole: Uint8Array, make: (head: Uint8Array, bytes: Uint8Array) => S | undefined): S[] {
  const view = new DataView(whole.buffer, whole.byteOffset, whole.length);
  const steps: S[] = [];
  for (let at = 0; at < whole.length; ) {
    const begin = at + HEADER_BYTES;
    const end = begin <= whole.length ? begin + view.getUint32(at + 4, true) : Number.POSITIVE_INFINITY;
    if (end > whole.length) throw new UsageError(`steps end within one, at byte ${at}`);
    const step = make(whole.subarray(at, at + 4), whole.slice(begin, end));
    if (step === undefined) throw new UsageError(`byte ${at} begins no step`);
    steps.push(step);
    at = end;
  }
  return steps;
}
