import { decodeSteps, encodeSteps } from './step-bytes.ts';

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

/** The head of each is op, cut, vector, and the descriptors: two bits each from the lowest, 0 for none. */
export function encodeVfioSteps(steps: readonly VfioStep[]): Uint8Array {
  return encodeSteps(steps, ({ op, cut, vector, fds }) => [
    op,
    cut,
    vector,
    fds.reduce((bits, kind, i) => bits | ((kind + 1) << (2 * i)), 0),
  ]);
}

/** @throws UsageError if the bytes are no steps */
export function decodeVfioSteps(whole: Uint8Array): VfioStep[] {
  return decodeSteps(whole, ([op, cut, vector, kinds], bytes) => {
    const fds = [0, 2, 4, 6].map((shift) => ((kinds >> shift) & 3) - 1).filter((kind) => kind >= 0);
    return op > OP.reply ? undefined : { op, cut, vector, fds, bytes };
  });
}
