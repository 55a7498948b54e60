import { decodePirqMessage, encodePirqMessage, type MsiMessage } from '../xen/abi/index.ts';
import type { Task } from './access.ts';
import { ENODEV } from './errno.ts';
import { getFreePirq } from './hypercalls.ts';
import { IRQ_TYPE } from './irq-list.ts';
import { MSI_MODE } from './irq-records.ts';
import type { KernelProfile } from './kernel-profile.ts';
import { log } from './log.ts';
import { readMessage, writeMessage } from './msi-message.ts';
import { groupStep, kernel } from './ops.ts';

/**
 * Message set-up of an HVM guest with pirqs: each vector gets a pirq, named in the message, and a Linux irq that
 * carries it. Plain MSI is held to one vector. Linux arch/x86/pci/xen.c xen_hvm_setup_msi_irqs
 */
export function* setupXenIrqs(
  profile: KernelProfile,
  bdf: number,
  mode: number,
  n: number,
  place: string,
): Task<number> {
  if (mode === MSI_MODE.msi && n > 1) return 1;
  for (let entry = 0; entry < n; entry++) {
    if (entry > 0) yield* groupStep(`${place}.vector${entry}`);
    const reused = yield* reusablePirq(profile, bdf, mode, entry);
    const pirq = reused >= 0 ? reused : yield* freshPirq(profile, bdf, mode, entry);
    if (pirq < 0) return pirq;
    if (reused >= 0 && profile.reuseRewrites)
      yield* writeMessage(profile, bdf, mode, entry, encodePirqMessage(pirq, profile.messageData));
    const irq = yield* kernel('irq.allocate', bdf, entry, pirq, IRQ_TYPE.pirq);
    if (irq < 0) return irq;
    yield* kernel('vector.irq=', bdf, entry, irq);
    if (reused >= 0 && profile.reuseEndsSetup) return 0;
  }
  return 0;
}

/**
 * The pirq that the device's message names, if the kernel's rule lets it be used again; else −1. As it is in the device
 * already, nothing need be written, and the descriptor's cached message stays zero.
 */
function* reusablePirq(profile: KernelProfile, bdf: number, mode: number, entry: number): Task<number> {
  if (profile.reuse === 'R2') return -1;
  const message: MsiMessage = yield* readMessage(bdf, mode, entry);
  if (message.data !== profile.messageData) return -1;
  const pirq = decodePirqMessage(message.addressLo, message.addressHi, message.data);
  if (profile.reuse === 'R1' && (yield* kernel('irq.fromPirq', pirq)) < 0) return -1;
  if (profile.reuse === 'R0' && (yield* kernel('irq.everFromPirq', pirq)) < 0) return -1;
  yield* log('alreadySetUp', pirq);
  return pirq;
}

function* freshPirq(profile: KernelProfile, bdf: number, mode: number, entry: number): Task<number> {
  const pirq = yield* getFreePirq();
  if (pirq < 0) {
    yield* log('notRegistered');
    return -ENODEV;
  }
  yield* writeMessage(profile, bdf, mode, entry, encodePirqMessage(pirq, profile.messageData));
  return pirq;
}
