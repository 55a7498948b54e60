import { ERRNO } from './abi/index.ts';
import type { Domain } from './domain.ts';
import type { Host } from './host.ts';

const DELIVERY = { fixed: 0, lowestPriority: 1 } as const;
const FIRST_VALID_VECTOR = 16;
const PHYSICAL_BROADCAST = 0xff;

/** True if a message's destination names the vCPU. Flat model. arch/x86/hvm/vlapic.c: vlapic_match_dest */
function matches(d: Domain, vcpu: number, dest: number, logical: boolean): boolean {
  if (logical) return (dest & d.logicalIds[vcpu]) !== 0;
  return dest === PHYSICAL_BROADCAST || dest === 2 * vcpu;
}

/** The only vCPU that a destination names, or −1. A domain with one vCPU has only that. vmsi.c: hvm_girq_dest_2_vcpu_id */
export function destVcpu(d: Domain, dest: number, logical: boolean): number {
  if (d.vcpus === 1) return 0;
  let found = -1;
  for (let vcpu = 0; vcpu < d.vcpus; vcpu++) {
    if (!matches(d, vcpu, dest, logical)) continue;
    if (found >= 0) return -1;
    found = vcpu;
  }
  return found;
}

/** Requests a vector of a virtual APIC. Vectors below 16 are errors that only the APIC's status would show. */
export function setVirtualIrq(h: Host, d: Domain, vcpu: number, vector: number): void {
  if (vector < FIRST_VALID_VECTOR) return;
  d.virtualIrr[vcpu * 8 + (vector >> 5)] |= 1 << (vector & 31);
  h.trace?.({ kind: 'virtual', domid: d.id, vcpu, vector });
}

/**
 * Delivers a message to the virtual APICs. 0, -ESRCH (lowest priority and nobody matches), -EINVAL (other delivery
 * modes). All virtual APICs are enabled and, like the guest's flat model, quiet. arch/x86/hvm/vmsi.c: vmsi_deliver
 */
export function deliverVirtual(
  h: Host,
  d: Domain,
  vector: number,
  dest: number,
  logical: boolean,
  deliveryMode: number,
): number {
  switch (deliveryMode) {
    case DELIVERY.lowestPriority:
      for (let i = 1; i <= d.vcpus; i++) {
        const vcpu = (d.lastVcpu + i) % d.vcpus;
        if (!matches(d, vcpu, dest, logical)) continue;
        d.lastVcpu = vcpu;
        setVirtualIrq(h, d, vcpu, vector);
        return 0;
      }
      return -ERRNO.ESRCH;
    case DELIVERY.fixed:
      for (let vcpu = 0; vcpu < d.vcpus; vcpu++) if (matches(d, vcpu, dest, logical)) setVirtualIrq(h, d, vcpu, vector);
      return 0;
    default:
      return -ERRNO.EINVAL;
  }
}
