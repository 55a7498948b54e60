import type { Width } from '../../../src/core/index.ts';
import type { Peer, PeerEvent } from '../../../src/fuzz/against/peer.ts';
import { createFunction, type EmulatedFunction, type FunctionSpec } from '../../../src/pci/index.ts';

/** Our own model behind the interface of a foreign device; `corrupt` may get in the way of what is written. */
export class LocalPeer implements Peer {
  readonly label = 'local';
  readonly spec: FunctionSpec;
  readonly fn: EmulatedFunction;
  writes = 0;
  readonly #corrupt: Corrupt;

  constructor(spec: FunctionSpec, corrupt: Corrupt = (_r, _o, _w, v) => v) {
    this.fn = createFunction(spec);
    this.fn.reset('conventional');
    const image = spec.image.map((_, at) => this.fn.getConfig(at, 1));
    this.spec = { ...spec, image };
    this.#corrupt = corrupt;
  }

  async read(region: number, offset: number, width: Width): Promise<number> {
    return region === 7 ? this.fn.readConfig(offset, width) : this.fn.readBar(region, offset, width);
  }

  async write(region: number, offset: number, width: Width, value: number): Promise<void> {
    this.writes++;
    const changed = this.#corrupt(region, offset, width, value);
    if (region === 7) this.fn.writeConfig(offset, width, changed);
    else this.fn.writeBar(region, offset, width, changed);
  }

  async reset(): Promise<void> {
    this.fn.reset('conventional');
  }

  async drain(): Promise<PeerEvent[]> {
    return this.fn.effects.splice(0);
  }

  async raise(vector: number): Promise<void> {
    this.fn.raise(vector);
  }

  async lower(): Promise<void> {
    this.fn.lower();
  }

  async close(): Promise<void> {}
}

export type Corrupt = (region: number, offset: number, width: Width, value: number) => number;
