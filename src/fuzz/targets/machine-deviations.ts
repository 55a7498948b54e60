import type { ReuseRule } from '../../guest/index.ts';
import type { Switches } from '../../xen/device-model/profiles.ts';
import type { KernelIrq, PirqBook } from '../oracle/pirq-book.ts';

/** The two sides that decide what becomes of a pirq when a function's messages are disabled. */
export interface Pairing {
  switches: Switches;
  reuse: ReuseRule;
}

/** Both sides agree: freed and taken anew, or kept and used again. */
export function isExpected({ switches, reuse }: Pairing): boolean {
  return switches.freeOnDisable ? reuse === 'R2' : reuse === 'R0' || reuse === 'Rideal';
}

/**
 * Why a vector does not fire though its driver did all it does, where the two sides do not agree; undefined if it should
 * have. The cases are those of docs/observed.md; the commits, qemu c976437c7d (frees on disable) and Linux c74fd80f2f41
 * (uses no pirq again).
 */
export function deviation({ switches, reuse }: Pairing, irq: KernelIrq, book: PirqBook): string | undefined {
  const { refused } = book.state;
  if (switches.freeOnDisable && reuse !== 'R2') {
    if (irq.reused) return 'case 1 or 3: a pirq found in the device was freed when it was disabled';
    if (irq.shared) return 'case 3: another vector has found the same pirq in its device';
  }
  if (!switches.freeOnDisable && (reuse === 'R1' || reuse === 'R2')) {
    if (irq.again && !irq.reused) return 'case 2: a fresh pirq, while the one before is still mapped for the entry';
    // arch/x86/irq.c: unmap_domain_pirq leaves −irq in both trees while the pirq is bound, map_domain_pirq finds it there
    if (book.hasGhost && refused.has(`${irq.slot}.${irq.entry}`))
      return 'after case 2: the host irq of a pirq that was unmapped while bound is given out again, and refused';
  }
  return undefined;
}
