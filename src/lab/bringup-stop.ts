import { ERRNO, EVTCHNOP, HYPERCALL, PHYSDEVOP } from '../xen/abi/index.ts';
import type { MapPirqMsi, MsiBinding, Toolstack } from '../xen/device-model/index.ts';
import type { Hypervisor } from '../xen/index.ts';

/** Which number was too small. */
export type LimitName =
  | 'functions of the guest'
  | 'pirqs of the domain'
  | 'host irqs'
  | 'CPU vectors'
  | 'remapping entries'
  | 'event channel ports'
  | 'other';

/** A call that was refused. */
export interface Refusal {
  limit: LimitName;
  call: string;
  errno: string;
  /** The controller whose task ran; −1: none, while drives are attached. */
  controller: number;
  /** Which of the controller's vectors it was for. */
  vector: number;
  /** How many vectors had an event channel by then, on all controllers. */
  vectors: number;
}

const ERRNO_NAMES = new Map(Object.entries(ERRNO).map(([name, value]) => [value as number, name]));

export function errnoName(ret: number): string {
  return ERRNO_NAMES.get(-ret) ?? `${ret}`;
}

/** What a refused hypercall of the guest was, or undefined for one that says nothing of limits. */
export function guestRefusal(nr: number, cmd: number, ret: number): { call: string; limit: LimitName } | undefined {
  if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.getFreePirq)
    return { call: 'get_free_pirq', limit: ret === -ERRNO.ENOSPC ? 'pirqs of the domain' : 'other' };
  if (nr === HYPERCALL.eventChannelOp && cmd === EVTCHNOP.bindPirq)
    return { call: 'bind_pirq', limit: ret === -ERRNO.ENOSPC ? 'event channel ports' : 'other' };
  if (nr === HYPERCALL.eventChannelOp && cmd === EVTCHNOP.expandArray)
    return { call: 'expand_array', limit: ret === -ERRNO.ENOSPC ? 'event channel ports' : 'other' };
  return undefined;
}

/**
 * What a map_pirq of the device model was refused for. -EINVAL stands for two things, as the errno of create_irq is lost
 * (arch/x86/irq.c: allocate_and_map_msi_pirq); which of them, the host's tables tell.
 */
export function mapLimit({ host }: Hypervisor, rc: number): LimitName {
  if (rc === -ERRNO.EFAULT) return 'remapping entries';
  if (rc === -ERRNO.ENOSPC) return 'pirqs of the domain';
  if (rc !== -ERRNO.EINVAL) return 'other';
  return host.irqs.findUnused() < 0 ? 'host irqs' : 'CPU vectors';
}

/** A device model's toolstack that tells of every refusal. */
export class WatchedToolstack implements Toolstack {
  readonly #inner: Toolstack;
  readonly #refused: (call: string, rc: number, vector?: number) => void;

  constructor(inner: Toolstack, refused: (call: string, rc: number, vector?: number) => void) {
    this.#inner = inner;
    this.#refused = refused;
  }

  mapPirqMsi(request: MapPirqMsi): { rc: number; pirq: number } {
    const answer = this.#inner.mapPirqMsi(request);
    if (answer.rc < 0) this.#refused('map_pirq', answer.rc, request.entry);
    return answer;
  }

  updateMsiIrq(request: MsiBinding & { gtable: number }): number {
    return this.#watch('bind_pt_irq', this.#inner.updateMsiIrq(request));
  }

  unbindMsiIrq(request: MsiBinding): number {
    return this.#watch('unbind_pt_irq', this.#inner.unbindMsiIrq(request));
  }

  unmapPirq(pirq: number): number {
    return this.#watch('unmap_pirq', this.#inner.unmapPirq(pirq));
  }

  unbindPtIrq(pirq: number): number {
    return this.#watch('unbind_pt_irq', this.#inner.unbindPtIrq(pirq));
  }

  fatal(reason: string): void {
    this.#inner.fatal(reason);
  }

  #watch(call: string, rc: number): number {
    if (rc < 0) this.#refused(call, rc);
    return rc;
  }
}
