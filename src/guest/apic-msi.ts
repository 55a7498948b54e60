import type { Task } from './access.ts';
import { IRQ_TYPE } from './irq-list.ts';
import { MSI_MODE } from './irq-records.ts';
import type { KernelProfile } from './kernel-profile.ts';
import { writeMessage } from './msi-message.ts';
import { kernel } from './ops.ts';

/**
 * Message set-up on bare metal: each vector gets a CPU vector of its own, physical destination 0, fixed delivery. One
 * vector only for plain MSI. arch/x86/kernel/apic/io_apic.c native_setup_msi_irqs; data without the level bit since
 * 5.11 (arch/x86/kernel/apic/apic.c __irq_msi_compose_msg).
 */
export function* setupApicIrqs(profile: KernelProfile, bdf: number, mode: number, n: number): Task<number> {
  if (mode === MSI_MODE.msi && n > 1) return 1;
  const level = profile.msiEnableShape === 'new' ? 0 : 0x4000;
  for (let entry = 0; entry < n; entry++) {
    const irq = yield* kernel('irq.allocate', bdf, entry, 0, IRQ_TYPE.apic);
    if (irq < 0) return irq;
    yield* kernel('vector.irq=', bdf, entry, irq);
    const idtVector = yield* kernel('irq.idtVector', irq);
    yield* writeMessage(profile, bdf, mode, entry, { addressLo: 0xfee00000, addressHi: 0, data: level | idtVector });
  }
  return 0;
}
