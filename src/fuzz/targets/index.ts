import { UsageError } from '../../core/index.ts';
import type { Target } from '../target.ts';

/** Targets by name, each loaded when it is asked for. */
const TARGETS: Record<string, () => Promise<Target<never>>> = {
  config: async () => (await import('./devices.ts')).CONFIG_TARGET as Target<never>,
  msi: async () => (await import('./devices.ts')).MSI_TARGET as Target<never>,
  msix: async () => (await import('./devices.ts')).MSIX_TARGET as Target<never>,
  bridge: async () => (await import('./bridge.ts')).BRIDGE_TARGET as Target<never>,
  hypercalls: async () => (await import('./hypercalls.ts')).HYPERCALL_TARGET as Target<never>,
  dump: async () => (await import('./dump.ts')).DUMP_TARGET as Target<never>,
};

export function targetNames(): string[] {
  return Object.keys(TARGETS);
}

/** @throws UsageError naming the targets there are */
export async function getTarget(name: string): Promise<Target<unknown>> {
  const load = Object.hasOwn(TARGETS, name) ? TARGETS[name] : undefined;
  if (!load) throw new UsageError(`unknown target "${name}"; known: ${targetNames().join(', ')}`);
  return (await load()) as unknown as Target<unknown>;
}
