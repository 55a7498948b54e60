import { decodeSteps, encodeSteps } from './step-bytes.ts';

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

/** The head of each is op, client, cut, count. */
export function encodeSocketSteps(steps: readonly SocketStep[]): Uint8Array {
  return encodeSteps(steps, ({ op, client, cut, count }) => [op, client, cut, count]);
}

/** @throws UsageError if the bytes are no steps */
export function decodeSocketSteps(whole: Uint8Array): SocketStep[] {
  return decodeSteps(whole, ([op, client, cut, count], bytes) =>
    op > OP.take || client > 1 ? undefined : { op, client, cut, count, bytes },
  );
}
