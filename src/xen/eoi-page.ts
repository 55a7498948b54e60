import type { Domain } from './domain.ts';
import type { Host } from './host.ts';

/** Guest RAM as far as Xen reaches into it; addresses are guest-physical, below 2^53. */
export interface GuestMemory {
  /** `length` bytes, or undefined if they are not RAM. */
  read(address: number, length: number): Uint8Array | undefined;
  /** False if the bytes are not writable RAM. */
  write(address: number, bytes: Uint8Array): boolean;
}

const memories = new WeakMap<Domain, GuestMemory>();

/** Tells which memory a domain has; it belongs to the machine around the hypervisor. */
export function attachMemory(d: Domain, memory: GuestMemory): void {
  memories.set(d, memory);
}

export function memoryOf(d: Domain): GuestMemory | undefined {
  return memories.get(d);
}

/** Sets or clears a pirq's bit in the domain's EOI page, if it has one. arch/x86/irq.c: set_pirq_eoi, clear_pirq_eoi */
export function eoiPageBit(_h: Host, d: Domain, pirq: number, set: boolean): void {
  if (!d.eoiPage) return;
  const memory = memories.get(d);
  const address = (d.eoiPage - 1) * 4096 + (pirq >> 3);
  const byte = memory?.read(address, 1)?.[0];
  if (byte === undefined) return;
  const bit = 1 << (pirq & 7);
  memory?.write(address, Uint8Array.of(set ? byte | bit : byte & ~bit));
}
