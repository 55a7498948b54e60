export * from './access.ts';
export { type BootGsi, type BootOptions, boot, registerGsi } from './boot.ts';
export { readOneBlock } from './drivers/nvme.ts';
export * from './drivers/nvme-layout.ts';
export { type BarWindow, type EnumerateOptions, enumerate } from './enumerate.ts';
export { SHARED_INFO_BYTES } from './event-bits.ts';
export { handleIdtVector, handleUpcall, runHandlers } from './events.ts';
export type { FifoMemory, Guest } from './guest.ts';
export { IRQ, IRQ_FLAG, IRQ_TYPE } from './irq-list.ts';
export {
  CONTROLLER_STATE,
  type IrqRecord,
  KernelRecords,
  type KernelShape,
  MSI_MODE,
  QUEUE_FLAG,
  VECTOR,
} from './irq-records.ts';
export {
  getKernelProfile,
  KERNEL_PROFILES,
  type KernelProfile,
  onBareMetal,
  type ReuseRule,
  SWITCHES,
  type SwitchName,
  withSwitches,
} from './kernel-profile.ts';
export { logLine } from './log.ts';
export * from './workloads.ts';
