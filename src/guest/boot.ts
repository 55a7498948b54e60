import { UsageError } from '../core/index.ts';
import type { Task } from './access.ts';
import { type EnumerateOptions, enumerate } from './enumerate.ts';
import { maskAllEvents } from './event-bits.ts';
import { startFifo } from './event-fifo.ts';
import type { Guest } from './guest.ts';
import { mapGsi } from './hypercalls.ts';
import { startup } from './irq.ts';
import { IRQ_FLAG } from './irq-list.ts';
import { kernel } from './ops.ts';

/** A GSI that the guest registers at boot. */
export interface BootGsi {
  gsi: number;
  /** Level-triggered, like a PCI pin. */
  isShareable?: boolean;
  /** A driver has requested it, so it is bound to an event channel; default true. */
  isStarted?: boolean;
  /** The function whose pin this is. */
  bdf?: number;
}

export interface BootOptions extends EnumerateOptions {
  /** In this order. Linux pirq numbers follow from it: 9, 8, 12, 1, 6 got 16 … 20 on a real Xen. */
  gsis?: readonly BootGsi[];
  /** Event channel ports to mask at first; default 256. */
  ports?: number;
}

/** Boots the guest as far as interrupts go: events masked, functions enumerated, GSIs registered. Answers the bdfs. */
export function* boot(guest: Guest, options: BootOptions = {}): Task<number[]> {
  const usesXen = guest.profile.msiBackend === 'xen-hvm';
  if (guest.fifo) {
    const rc = yield* startFifo(guest.fifo);
    if (rc < 0) throw new UsageError(`the guest's kernel wants FIFO event channels, the hypervisor says ${rc}`);
  } else if (usesXen) yield* maskAllEvents(guest, options.ports ?? 256);
  const bdfs = yield* enumerate(options);
  for (const gsi of options.gsis ?? []) if (usesXen) yield* registerGsi(guest, gsi);
  return bdfs;
}

/**
 * A GSI of an HVM guest becomes a pirq of the hypervisor's choice and an irq of the GSI's number.
 * arch/x86/pci/xen.c xen_register_pirq; answers the pirq or a negative error.
 */
export function* registerGsi(guest: Guest, { gsi, isShareable, isStarted = true, bdf }: BootGsi): Task<number> {
  const pirq = yield* mapGsi(gsi);
  if (pirq < 0) return pirq;
  const irq = yield* kernel('irq.allocateGsi', gsi, pirq, isShareable ? IRQ_FLAG.shareable : 0);
  if (irq < 0) return irq;
  if (bdf !== undefined) yield* kernel('device.intxIrq=', bdf, irq);
  if (isStarted) yield* startup(guest, irq);
  return pirq;
}
