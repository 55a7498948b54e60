export { type Answer, Caller } from './caller.ts';
export {
  ABSENT,
  Domain,
  type DomainConfig,
  type DomainKind,
  DPCI,
  IRQ_MSI_EMU,
  IRQ_PT,
  IRQ_UNBOUND,
  PIRQ_ALLOCATED,
} from './domain.ts';
export { isMasked2l, isPending2l } from './event-2l.ts';
export { HostFault } from './fault.ts';
export type { GuestMemory } from './guest-memory.ts';
export type { Host } from './host.ts';
export type { HostBus } from './host-bus.ts';
export { type HypercallOptions, type HypercallResult, Hypervisor, type HypervisorOptions } from './hypervisor.ts';
export {
  type IrqView,
  isPassthroughBound,
  type MessageView,
  type MsiView,
  type PirqView,
  type PortView,
  vcpuEvents,
  viewIrqs,
  viewMessages,
  viewPirqs,
  viewPorts,
} from './inspect.ts';
export { IRQ_ACTION, IRQ_UNUSED, NO_MSI } from './irq-table.ts';
export { LIFTED_LIMITS, LIMIT_SOURCES, OLD_LIMITS, RELEASE_LIMITS, type XenLimits } from './limits.ts';
export type { Fault } from './ops/argument.ts';
export { ECS } from './port-table.ts';
export { getXenProfile, SWITCH_SOURCES, type XenProfile, xenProfileNames } from './profile.ts';
export { domainPirqs, type HostSize, hostIrqs } from './sizes.ts';
export type { HypervisorEvent, TraceSink } from './trace.ts';
