import { UsageError } from '../../core/index.ts';

/** What the client, or for `raise` and `lower` the device itself, does. */
export const OP = { send: 0, leave: 1, raise: 2, lower: 3, reply: 4 } as const;

/** How the client answers a DMA command that waits; `newest` answers the last first. */
export const ANSWER = { right: 0, newest: 1, failed: 2, short: 3, wrong: 4, stranger: 5 } as const;

export const FD_KINDS = ['eventfd', 'file', 'other'] as const;

/** One step of a conversation in vfio-user. */
export interface VfioStep {
  /** One of {@link OP}. */
  op: number;
  /** How what is sent is cut: 0 whole, 1 kept back and sent with what comes next, n pieces of n − 1 bytes. */
  cut: number;
  /** raise: the vector; reply: one of {@link ANSWER}. */
  vector: number;
  /** Descriptors that go with the first byte, indices into {@link FD_KINDS}; at most 4. */
  fds: readonly number[];
  /** A message, or anything. */
  bytes: Uint8Array;
}

const HEADER_BYTES = 8;

/** Eight bytes each (op, cut, vector, descriptors of two bits each from the lowest with 0 for none, u32 length) and the bytes. */
export function encodeVfioSteps(steps: readonly VfioStep[]): Uint8Array {
  const whole = new Uint8Array(steps.reduce((sum, s) => sum + HEADER_BYTES + s.bytes.length, 0));
  const view = new DataView(whole.buffer);
  let at = 0;
  for (const { op, cut, vector, fds, bytes } of steps) {
    whole.set([op, cut, vector, fds.reduce((bits, kind, i) => bits | ((kind + 1) << (2 * i)), 0)], at);
    view.setUint32(at + 4, bytes.length, true);
    whole.set(bytes, at + HEADER_BYTES);
    at += HEADER_BYTES + bytes.length;
  }
  return whole;
}

/** @throws UsageError if the bytes end within a step, or are none */
export function decodeVfioSteps(whole: Uint8Array): VfioStep[] {
  const view = new DataView(whole.buffer, whole.byteOffset, whole.length);
  const steps: VfioStep[] = [];
  for (let at = 0; at < whole.length; ) {
    const length = at + HEADER_BYTES <= whole.length ? view.getUint32(at + 4, true) : Number.POSITIVE_INFINITY;
    if (at + HEADER_BYTES + length > whole.length) throw new UsageError(`steps end within one, at byte ${at}`);
    const [op, cut, vector, kinds] = whole.subarray(at, at + 4);
    if (op > OP.reply) throw new UsageError(`byte ${at} begins no step`);
    const fds = [0, 2, 4, 6].map((shift) => ((kinds >> shift) & 3) - 1).filter((kind) => kind >= 0);
    at += HEADER_BYTES + length;
    steps.push({ op, cut, vector, fds, bytes: whole.slice(at - length, at) });
  }
  return steps;
}
