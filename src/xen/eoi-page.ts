import type { Domain } from './domain.ts';
import { memoryOf } from './guest-memory.ts';

/** Sets or clears a pirq's bit in the domain's EOI page, if it has one. arch/x86/irq.c: set_pirq_eoi, clear_pirq_eoi */
export function eoiPageBit(d: Domain, pirq: number, set: boolean): void {
  if (!d.eoiPage) return;
  const memory = memoryOf(d);
  const address = (d.eoiPage - 1) * 4096 + (pirq >> 3);
  const byte = memory?.read(address, 1)?.[0];
  if (byte === undefined) return;
  const bit = 1 << (pirq & 7);
  memory?.write(address, Uint8Array.of(set ? byte | bit : byte & ~bit));
}
