/** What a hypervisor tells whoever watches; nothing in the model depends on it. */
export type HypervisorEvent =
  | { kind: 'hypercall'; domid: number; nr: number; cmd: number; ret: number }
  /** A host interrupt is taken; `irq` is −1 for a vector that nobody owns. */
  | { kind: 'interrupt'; vector: number; irq: number }
  /** An event channel becomes pending; `upcall` if that notifies the vCPU. */
  | { kind: 'event'; domid: number; port: number; upcall: boolean }
  /** A virtual APIC is asked for a vector. */
  | { kind: 'virtual'; domid: number; vcpu: number; vector: number }
  /** An interrupt for a guest goes nowhere. */
  | { kind: 'dropped'; domid: number; pirq: number; why: 'no-event-channel' | 'delivery-mode' | 'no-target' }
  /** A message of a device is not accepted by the interrupt remapper or no interrupt message at all. */
  | { kind: 'blocked'; addressLo: number; addressHi: number; data: number }
  | { kind: 'domain-crash'; domid: number };

export type TraceSink = (event: HypervisorEvent) => void;
