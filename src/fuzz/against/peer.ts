import type { Width } from '../../core/index.ts';
import type { FunctionSpec } from '../../pci/index.ts';

/** What a device did to the outside; what the way to it does not show is left out. */
export type PeerEvent =
  | { kind: 'message'; vector?: number; addressLo?: number; addressHi?: number; data?: number }
  | { kind: 'intx'; level?: 0 | 1 };

/**
 * A device in other hands: a server of another project, a machine under QEMU. Calls take effect in the order in which they
 * are made; nobody needs to wait for one before making the next.
 *
 * Promises are rejected with {@link PeerRefusal} where the other side refuses this access and goes on, with
 * {@link PeerLost} where it is gone.
 */
export interface Peer {
  /** What it is and where, for people. */
  readonly label: string;
  /** What it says of itself: configuration space as it stands after a reset, and its BARs. */
  readonly spec: FunctionSpec;
  /** Value as an unsigned number. Regions as VFIO numbers them: 0–5 BARs, 6 ROM, 7 configuration space. */
  read(region: number, offset: number, width: Width): Promise<number>;
  write(region: number, offset: number, width: Width, value: number): Promise<void>;
  /** Conventional reset: the state after power-on. */
  reset(): Promise<void>;
  /** What it did to the outside since the last call, oldest first as far as the way to it shows an order. */
  drain(): Promise<PeerEvent[]>;
  /** Makes its device signal a vector, where there is a way to. */
  raise?(vector: number): Promise<void>;
  /** Ends its device's interrupt condition, where there is a way to. */
  lower?(): Promise<void>;
  close(): Promise<void>;
}

/** The other side refuses an access; nothing has happened. */
export class PeerRefusal extends Error {
  override name = 'PeerRefusal';
  /** Why, as short as the protocol says it: `EINVAL`, `errno 5`. */
  readonly reason: string;

  constructor(reason: string) {
    super(`refused: ${reason}`);
    this.reason = reason;
  }
}

/** The other side does not answer any more. */
export class PeerLost extends Error {
  override name = 'PeerLost';
}
