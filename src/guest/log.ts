import type { Access, Task } from './access.ts';
import { kernel } from './ops.ts';

/** Lines of the kernel's log that the model writes, by code; `%d` are filled from the arguments in order. */
export const LOG_TEXTS = {
  failedToObtain: 'Failed to obtain physical IRQ %d',
  notRegistered: 'Xen PCI frontend has not registered MSI/MSI-X support!',
  alreadySetUp: 'xen: msi already setup: msi --> pirq=%d',
  completionPolled: 'nvme: I/O QID %d timeout, completion polled',
  threadPolled: 'nvme: completion on QID %d found by the polling thread',
  timeoutDisable: 'nvme: I/O QID %d timeout, disable controller',
  ioTimeout: 'nvme: I/O QID %d timeout, aborting',
  notReady: 'nvme: Device not ready; aborting initialisation',
  noQueues: 'nvme: IO queues not created',
  noIrqs: 'nvme: no interrupt vectors, error %d',
  eoiFailed: 'EOI of pirq %d failed',
  portNotSetUp: 'irq%d: Failed to set port to irq mapping',
} as const;

export type LogName = keyof typeof LOG_TEXTS;

const NAMES = Object.keys(LOG_TEXTS) as LogName[];

export function* log(name: LogName, ...args: number[]): Task<void> {
  yield* kernel('log', NAMES.indexOf(name), ...args);
}

/** The log line that an access writes, or undefined if it writes none. */
export function logLine(access: Access): string | undefined {
  if (access.op !== 'kernel' || access.call !== 'log') return undefined;
  let next = 1;
  return LOG_TEXTS[NAMES[access.args[0]]].replace(/%d/g, () => String(access.args[next++]));
}
