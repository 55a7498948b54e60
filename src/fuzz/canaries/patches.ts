import type { Canary } from './canary.ts';
import { CONFIG_CANARIES } from './patches/config.ts';
import { MACHINE_CANARIES } from './patches/machine.ts';
import { MSI_CANARIES } from './patches/msi.ts';
import { NVME_CANARIES } from './patches/nvme.ts';
import { SOCKET_CANARIES } from './patches/socket.ts';
import { VFIO_USER_CANARIES } from './patches/vfio-user.ts';
import { XEN_CANARIES } from './patches/xen.ts';
import { XEN_INTERRUPT_CANARIES } from './patches/xen-interrupts.ts';

/** Mistakes that somebody made or might make, in any layer. */
export const CANARIES: readonly Canary[] = [
  ...CONFIG_CANARIES,
  ...MSI_CANARIES,
  ...XEN_CANARIES,
  ...XEN_INTERRUPT_CANARIES,
  ...NVME_CANARIES,
  ...MACHINE_CANARIES,
  ...SOCKET_CANARIES,
  ...VFIO_USER_CANARIES,
];
