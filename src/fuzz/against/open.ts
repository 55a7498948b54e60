import { UsageError } from '../../core/index.ts';
import type { Peer } from './peer.ts';

/** What belongs to some way only. */
export interface PeerOptions {
  /** Where the device stands, for ways to a whole machine. */
  bdf?: string;
}

interface Way {
  /** One line for people. */
  about: string;
  open(place: string, options: PeerOptions): Promise<Peer>;
}

/** Ways to devices in other hands, by the word before the colon. */
const WAYS: Record<string, Way> = {
  'vfio-user': {
    about: 'vfio-user:PATH, a vfio-user server at a UNIX socket',
    open: async (place) => (await import('./vfio-user.ts')).VfioUserPeer.open(place),
  },
};

/** Ways of another kind: a whole machine, of which more is known than a {@link Peer} shows. */
const MACHINES = ['qemu:DEVICE, a QEMU started for it', 'qtest:PATH with --bdf, a QEMU that runs'];

/** Ways there are, for help texts. */
export function describeWays(): string {
  return [...Object.values(WAYS).map(({ about }) => about), ...MACHINES].join('; ');
}

/** Opens a device named as `way:place`. @throws UsageError if there is no such way, or nobody at the place */
export function openPeer(text: string, options: PeerOptions = {}): Promise<Peer> {
  const colon = text.indexOf(':');
  const name = text.slice(0, Math.max(0, colon));
  const way = Object.hasOwn(WAYS, name) ? WAYS[name] : undefined;
  if (!way || colon === text.length - 1)
    throw new UsageError(`--against takes ${Object.keys(WAYS).join(': or ')}: and a place, not "${text}"`);
  return way.open(text.slice(colon + 1), options);
}
