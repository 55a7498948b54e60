import { getKernelProfile } from '../guest/index.ts';
import { deviceModel } from '../xen/device-model/index.ts';
import { getXenProfile, xenProfileNames } from '../xen/index.ts';
import { BringUp, type BroughtUp } from './bringup.ts';
import type { BringUpHost } from './bringup-setup.ts';
import type { LimitName } from './bringup-stop.ts';

/** Settings of a host, each with what the one before has besides. */
export const BRINGUP_HOSTS: readonly (BringUpHost & { name: string })[] = [
  { name: '32 CPUs, as installed', cpus: 32, gsis: 48 },
  { name: 'extra_guest_irqs=65536', cpus: 32, gsis: 48, extraGuestIrqs: 65536 },
  { name: 'max_event_channels=131071', cpus: 32, gsis: 48, extraGuestIrqs: 65536, maxPort: 131071 },
  { name: '4095 CPUs', cpus: 4095, gsis: 48, extraGuestIrqs: 65536, maxPort: 131071 },
];

/** How many controllers are tried for. */
export const BRINGUP_SERIES = [1, 2, 4, 16, 64, 256, 1024, 4096] as const;

/** Where bringing up controllers one after another stops. */
export interface BringUpStop {
  xen: string;
  kernel: string;
  host: string;
  /** I/O queues of a controller: what was asked, or as many vCPUs as the guest can have. */
  queues: number;
  vectors: number;
  /** Controllers that came up with all of them. */
  complete: number;
  /** The first limit in the way; undefined if every controller came up. */
  limit?: LimitName;
  /** The refused call and its errno, where it was a call. */
  refused?: string;
  /** Which of its vectors that was for, in the controller that met it. */
  vector?: number;
  /** Vectors with an event channel when it was refused. */
  after: number;
  /** What became of the controller that met it. */
  outcome?: string;
}

/**
 * Probes controllers until the first that does not get all its vectors; as each only adds to what those before took, this
 * tells for any smaller number as well.
 */
export function findBringUpStop(
  xen: string,
  kernel: string,
  host: BringUpHost & { name: string },
  controllers: number,
  queues: number,
): BringUpStop {
  const options = { xen: getXenProfile(xen), kernel: getKernelProfile(kernel), deviceModel: deviceModel('qemu-7.2') };
  const run = new BringUp({ ...options, controllers, queues, host });
  const { shape } = run;
  const found = { xen, kernel, host: host.name, queues: shape.queues, vectors: shape.vectors };
  for (let i = 0; i < shape.attached; i++) {
    const outcome = run.probe(i);
    const { refusal } = run;
    if (!refusal) continue;
    return {
      ...found,
      complete: i,
      limit: refusal.limit,
      refused: `${refusal.call} -${refusal.errno}`,
      vector: refusal.vector,
      after: refusal.vectors,
      outcome: describe(outcome, shape.queues, run.deafVectors(i)),
    };
  }
  const all = { ...found, complete: shape.attached, after: run.boundVectors };
  return shape.attached === controllers ? all : { ...all, limit: 'functions of the guest', outcome: 'is not attached' };
}

/** Rows for every release, kernel and host, of which {@link BRINGUP_SERIES} says how far each gets. */
export function bringUpStops(kernels: readonly string[], queues: number): BringUpStop[] {
  return kernels.flatMap((kernel) =>
    BRINGUP_HOSTS.flatMap((host) =>
      xenProfileNames().map((xen) => findBringUpStop(xen, kernel, host, BRINGUP_SERIES.at(-1)!, queues)),
    ),
  );
}

function describe({ state, mode, vectors, queues }: BroughtUp, wanted: number, deaf: number): string {
  const how =
    mode === 'none' ? 'without interrupts' : `${mode} with ${vectors} vectors${deaf ? ` (${deaf} deaf)` : ''}`;
  if (state === 'failed') return `given up (${how})`;
  const got = queues === wanted ? 'all queues' : `${queues} of ${wanted} queues`;
  if (state === 'up') return `up, ${got}, ${how}`;
  return state === 'slow' ? `up, ${got}, ${how}; completions found by looking` : `${state}: ${got}, ${how}`;
}
