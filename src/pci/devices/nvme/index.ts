export { ADMIN, ALL_NAMESPACES, NVM } from './commands.ts';
export { NvmeController } from './controller.ts';
export type { InterruptMode, NvmeHost } from './host.ts';
export { MemoryNamespace, type Namespace } from './namespace.ts';
export { completeOptions, type NvmeOptions, type NvmeShape } from './options.ts';
export { DOORBELLS, REGISTERS, type RegisterRow } from './registers.ts';
export { STATUS } from './status.ts';
