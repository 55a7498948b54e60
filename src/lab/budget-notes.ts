import type { Budget, BudgetInputs } from './budget.ts';

/** The first pirq that does not fit in 8 bits. */
const WIDE_PIRQ = 256;

/** What else to know about a budget: consequences that the numbers do not show, one sentence each. */
export function budgetNotes(budget: Budget, { kernel, host }: BudgetInputs): string[] {
  const notes: string[] = [];
  const starving = budget.devices.filter((d) => d.starves);
  const lost = budget.devices.reduce((sum, d) => sum + d.lost, 0);
  const deaf = budget.devices.reduce((sum, d) => sum + d.deaf, 0);

  if (lost > 0) notes.push(`numbers reserved for nothing until the domU ends: ${lost}; a guest cannot give them back`);
  if (lost > 0 && !kernel.partialSuccess)
    notes.push(
      'a set-up that got only some of its numbers was seen to end in a BUG in xen_free_irq on Linux 6.1, and controllers probed after it did not come up',
    );
  if (starving.length > 0 && kernel.nvmeConcurrentProbe && budget.devices.filter((d) => d.kind === 'nvme').length > 1)
    notes.push(
      'this kernel sets NVMe controllers up at the same time: which of them starves can differ from boot to boot',
    );
  if (deaf > 0)
    notes.push(
      'the guest does not learn of a vector that was not mapped: commands on it end by timeout, the device model logs it',
    );

  const highest = Math.max(budget.nrPirqs, host.gsis + (budget.cure?.extraGuestIrqs ?? 0)) - 1;
  if (budget.route === 'pirqs' && highest >= WIDE_PIRQ)
    notes.push(
      'pirqs above 255 do not fit a function with 32-bit MSI only, and are cut to 8 bits where the device model remaps MSI-X (xc_domain_unbind_pt_irq)',
    );
  return notes;
}
