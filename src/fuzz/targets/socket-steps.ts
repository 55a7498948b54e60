import { UsageError } from '../../core/index.ts';

/** What one of two clients does. */
export const OP = { send: 0, answer: 1, finish: 2, leave: 3, window: 4, take: 5 } as const;

/** How a client answers the oldest DMA read that it owes. */
export const ANSWER = { right: 0, failed: 1, short: 2, long: 3, none: 4 } as const;

/** One step of a conversation: bytes sent, or something else that a client does. */
export interface SocketStep {
  /** 0 or 1. */
  client: number;
  /** One of {@link OP}. */
  op: number;
  /** How what is sent is cut: 0 whole, 1 kept back and sent with what comes next, n pieces of n − 1 bytes. */
  cut: number;
  /** send: how often; answer: one of {@link ANSWER}; window: KiB that the client takes before it stops reading. */
  count: number;
  /** send: whole records, parts of them, or anything. */
  bytes: Uint8Array;
}

const HEADER_BYTES = 8;

/** Eight bytes each (op, client, cut, count, u32 length) and the bytes. */
export function encodeSocketSteps(steps: readonly SocketStep[]): Uint8Array {
  const whole = new Uint8Array(steps.reduce((sum, s) => sum + HEADER_BYTES + s.bytes.length, 0));
  const view = new DataView(whole.buffer);
  let at = 0;
  for (const { op, client, cut, count, bytes } of steps) {
    whole.set([op, client, cut, count], at);
    view.setUint32(at + 4, bytes.length, true);
    whole.set(bytes, at + HEADER_BYTES);
    at += HEADER_BYTES + bytes.length;
  }
  return whole;
}

/** @throws UsageError if the bytes end within a step, or are none */
export function decodeSocketSteps(whole: Uint8Array): SocketStep[] {
  const view = new DataView(whole.buffer, whole.byteOffset, whole.length);
  const steps: SocketStep[] = [];
  for (let at = 0; at < whole.length; ) {
    const length = at + HEADER_BYTES <= whole.length ? view.getUint32(at + 4, true) : Number.POSITIVE_INFINITY;
    if (at + HEADER_BYTES + length > whole.length) throw new UsageError(`steps end within one, at byte ${at}`);
    const [op, client, cut, count] = whole.subarray(at, at + 4);
    if (op > OP.take || client > 1) throw new UsageError(`byte ${at} begins no step`);
    at += HEADER_BYTES + length;
    steps.push({ op, client, cut, count, bytes: whole.slice(at - length, at) });
  }
  return steps;
}
