import type { Domain } from './domain.ts';

/** Guest RAM as far as Xen reaches into it; addresses are guest-physical, below 2^53. */
export interface GuestMemory {
  /** `length` bytes, or undefined if they are not RAM. */
  read(address: number, length: number): Uint8Array | undefined;
  /** False if the bytes are not writable RAM. */
  write(address: number, bytes: Uint8Array): boolean;
}

const memories = new WeakMap<Domain, GuestMemory>();

/** Tells which memory a domain has; its contents belong to the machine around the hypervisor. */
export function attachMemory(d: Domain, memory: GuestMemory): void {
  memories.set(d, memory);
}

export function memoryOf(d: Domain): GuestMemory | undefined {
  return memories.get(d);
}
