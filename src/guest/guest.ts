import type { KernelProfile } from './kernel-profile.ts';

/** What guest code is told once: the kernel it is and where it shares memory with the hypervisor. */
export interface Guest {
  readonly profile: KernelProfile;
  /** Guest-physical address of the page shared with the hypervisor. Not used with `msiBackend: 'apic'`. */
  readonly sharedInfo: number;
  /** Set in a kernel that uses FIFO event channels, as Linux does from 3.14 on; default two levels. */
  readonly fifo?: FifoMemory;
}

/** Where a kernel keeps what FIFO event channels need; multiples of 4096. */
export interface FifoMemory {
  readonly controlBlock: number;
  /** The event words, as many pages as ports need. */
  readonly array: number;
  /** The bits of an event word that are the next port. */
  readonly linkMask: number;
}
