/** Opcodes of the Admin command set that this controller executes. NVMe 1.4 §5. All others: Invalid Command Opcode. */
export const ADMIN = {
  deleteIoSq: 0x00,
  createIoSq: 0x01,
  getLogPage: 0x02,
  deleteIoCq: 0x04,
  createIoCq: 0x05,
  identify: 0x06,
  abort: 0x08,
  setFeatures: 0x09,
  getFeatures: 0x0a,
  asyncEventRequest: 0x0c,
} as const;

/** Opcodes of the NVM command set that this controller executes. NVMe 1.4 §6. */
export const NVM = {
  flush: 0x00,
  write: 0x01,
  read: 0x02,
  compare: 0x05,
  writeZeroes: 0x08,
  datasetManagement: 0x09,
} as const;

/** NVM commands that may change the contents of blocks. */
export const CHANGES_BLOCKS: ReadonlySet<number> = new Set([NVM.write, NVM.writeZeroes, NVM.datasetManagement]);

/** NVM commands that name their first block in dwords 10 and 11. */
export const NAMES_BLOCK: ReadonlySet<number> = new Set([NVM.write, NVM.read, NVM.compare, NVM.writeZeroes]);

/** Namespace identifier that stands for all namespaces, or for none in particular. NVMe 1.4 §6.1. */
export const ALL_NAMESPACES = 0xffffffff;
