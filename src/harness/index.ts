export { type AccessTarget, executeRecord, type HypercallHandler } from './access-execute.ts';
export {
  type AccessRecord,
  ANSWER,
  accessRecord,
  describeRecord,
  encodeRecord,
  KIND,
  MAX_DATA_BYTES,
  RECORD_BYTES,
  REGION,
  type RecordFields,
  RecordReader,
  RecordWriter,
  STATUS,
} from './access-record.ts';
export { AccessRecordingWriter, openAccessRecording } from './access-recording.ts';
export { replayAccessRecording } from './access-replay.ts';
export { serveRecords } from './access-server.ts';
export { parseDevice, parseSlot, placeRecipes, recipesOfDump } from './device-text.ts';
export { FileNamespace } from './file-namespace.ts';
export { type FunctionRecipe, functionMap, type HostedFunction, hostFunction } from './hosted-function.ts';
export { ECAM_BASE, type MachineEvent, PcMachine, type PcMachineOptions } from './pc-machine.ts';
export { serveQtest } from './qtest-server.ts';
export { type FunctionAccess, Session, type SessionOptions, type SessionSnapshot } from './session.ts';
export { type Conversation, type Log, SocketServer } from './socket-server.ts';
export { SparseMemory } from './sparse-memory.ts';
