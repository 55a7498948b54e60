export { type Answer, Caller } from './caller.ts';
export {
  Domain,
  type DomainConfig,
  type DomainKind,
  DPCI,
  IRQ_MSI_EMU,
  IRQ_PT,
  IRQ_UNBOUND,
  PIRQ_ALLOCATED,
} from './domain.ts';
