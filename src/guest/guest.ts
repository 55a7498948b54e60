import type { KernelProfile } from './kernel-profile.ts';

/** What guest code is told once: the kernel it is and where it shares memory with the hypervisor. */
export interface Guest {
  readonly profile: KernelProfile;
  /** Guest-physical address of the page shared with the hypervisor. Not used with `msiBackend: 'apic'`. */
  readonly sharedInfo: number;
}
