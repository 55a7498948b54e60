/**
 * Status of a completed command: Status Code Type << 8 | Status Code. NVMe 1.4 §4.6.1.
 * Names are the specification's.
 */
export const STATUS = {
  // Generic command status, §4.6.1.2.1
  success: 0x000,
  invalidCommandOpcode: 0x001,
  invalidFieldInCommand: 0x002,
  dataTransferError: 0x004,
  internalError: 0x006,
  commandAbortRequested: 0x007,
  invalidNamespaceOrFormat: 0x00b,
  commandSequenceError: 0x00c,
  invalidSglSegmentDescriptor: 0x00d,
  invalidNumberOfSglDescriptors: 0x00e,
  dataSglLengthInvalid: 0x00f,
  sglDescriptorTypeInvalid: 0x011,
  prpOffsetInvalid: 0x013,
  lbaOutOfRange: 0x080,
  // Command specific status, §4.6.1.2.2
  completionQueueInvalid: 0x100,
  invalidQueueIdentifier: 0x101,
  invalidQueueSize: 0x102,
  asyncEventRequestLimitExceeded: 0x105,
  invalidInterruptVector: 0x108,
  invalidLogPage: 0x109,
  invalidQueueDeletion: 0x10c,
  featureIdentifierNotSaveable: 0x10d,
  featureNotNamespaceSpecific: 0x10f,
  // Media and data integrity errors, §4.6.1.2.3
  writeFault: 0x280,
  unrecoveredReadError: 0x281,
  compareFailure: 0x285,
} as const;

/** A handler's answer when the command stays outstanding: no completion is posted now. */
export const OUTSTANDING = -1;

/** Errors that another try may not meet again; all others carry Do Not Retry. */
const RETRYABLE: ReadonlySet<number> = new Set([
  STATUS.dataTransferError,
  STATUS.internalError,
  STATUS.commandAbortRequested,
  STATUS.asyncEventRequestLimitExceeded,
]);

/** True if the error gets an entry in the Error Information log; an abort that was asked for is none. */
export function isLogged(status: number): boolean {
  return status !== STATUS.success && status !== STATUS.commandAbortRequested;
}

/**
 * The 15-bit Status Field of a completion: code, type, More (the error log tells more) and Do Not Retry.
 * NVMe 1.4 §4.6.1.
 */
export function statusField(status: number): number {
  if (status === STATUS.success) return 0;
  return status | (isLogged(status) ? 1 << 13 : 0) | (RETRYABLE.has(status) ? 0 : 1 << 14);
}
