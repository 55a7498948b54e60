import { UsageError } from '../../core/index.ts';
import type { Target } from '../target.ts';

/** Targets by name, each loaded when it is asked for. */
const TARGETS: Record<string, () => Promise<unknown>> = {
  config: async () => (await import('./devices.ts')).CONFIG_TARGET,
  msi: async () => (await import('./devices.ts')).MSI_TARGET,
  msix: async () => (await import('./devices.ts')).MSIX_TARGET,
  bridge: async () => (await import('./bridge.ts')).BRIDGE_TARGET,
  'nvme-regs': async () => (await import('./nvme-regs.ts')).NVME_TARGET,
  machine: async () => (await import('./machine.ts')).MACHINE_TARGET,
  hypercalls: async () => (await import('./hypercalls.ts')).HYPERCALL_TARGET,
  socket: async () => (await import('./socket.ts')).SOCKET_TARGET,
  'vfio-user': async () => (await import('./vfio-user.ts')).VFIO_USER_TARGET,
  dump: async () => (await import('./dump.ts')).DUMP_TARGET,
};

export function targetNames(): string[] {
  return Object.keys(TARGETS);
}

/** @throws UsageError naming the targets there are */
export async function getTarget(name: string): Promise<Target<unknown>> {
  const load = Object.hasOwn(TARGETS, name) ? TARGETS[name] : undefined;
  if (!load) throw new UsageError(`unknown target "${name}"; known: ${targetNames().join(', ')}`);
  return (await load()) as Target<unknown>;
}
