export { ADMIN, ALL_NAMESPACES, NVM } from './commands.ts';
export { NvmeController } from './controller.ts';
export { createNvmeFunction, NvmeFunction, type NvmeFunctionOptions } from './function.ts';
export type { InterruptMode, NvmeHost } from './host.ts';
export { MemoryNamespace, type Namespace } from './namespace.ts';
export { completeOptions, type NvmeOptions, type NvmeShape } from './options.ts';
export { DOORBELLS, REGISTERS } from './registers.ts';
export { STATUS } from './status.ts';
