import { writeLe } from '../../../core/index.ts';
import { NAMES_BLOCK } from './commands.ts';
import { type Context, fail, logError, NO_COMMAND, pageSize, type Request } from './context.ts';
import { raiseEvent } from './events.ts';
import { address64 } from './prp.ts';
import { CC, CQES, ccField, SQES, word } from './registers.ts';
import { CQ, SQ, VAR } from './state.ts';
import { isLogged, STATUS, statusField } from './status.ts';

/** Index of the first word of submission queue `id` in `state.sqs`. */
export const sqAt = (id: number) => id * SQ.WORDS;
/** Index of the first word of completion queue `id` in `state.cqs`. */
export const cqAt = (id: number) => id * CQ.WORDS;

export function sqExists(ctx: Context, id: number): boolean {
  return id <= ctx.shape.queuePairs && ctx.state.sqs[sqAt(id) + SQ.SIZE] !== 0;
}

export function cqExists(ctx: Context, id: number): boolean {
  return id <= ctx.shape.queuePairs && ctx.state.cqs[cqAt(id) + CQ.SIZE] !== 0;
}

/** Entries that the completion queue can take now. One slot always stays empty: NVMe 1.4 §4.1.2. */
export function cqRoom(ctx: Context, id: number): number {
  if (!cqExists(ctx, id)) return 0;
  const q = cqAt(id);
  const { cqs } = ctx.state;
  const size = cqs[q + CQ.SIZE];
  return (cqs[q + CQ.HEAD] - cqs[q + CQ.TAIL] - 1 + size) % size;
}

/** True if commands can be taken from the submission queue: it has some, and their completions have a place. */
export function sqReady(ctx: Context, id: number): boolean {
  const q = sqAt(id);
  const { sqs } = ctx.state;
  return (
    sqs[q + SQ.SIZE] !== 0 &&
    sqs[q + SQ.HEAD] !== sqs[q + SQ.TAIL] &&
    sqs[q + SQ.STOPPED] === 0 &&
    cqRoom(ctx, sqs[q + SQ.CQID]) > 0
  );
}

/** Takes the next entry of a ready submission queue; undefined if it cannot be read, which is fatal (§9.5). */
export function fetch(ctx: Context, id: number): Uint8Array | undefined {
  const q = sqAt(id);
  const { sqs } = ctx.state;
  const head = sqs[q + SQ.HEAD];
  const entry = ctx.memory.read(address64(sqs[q + SQ.BASE_LO], sqs[q + SQ.BASE_HI]) + (head << SQES), 1 << SQES);
  if (!entry) {
    fail(ctx);
    return undefined;
  }
  sqs[q + SQ.HEAD] = (head + 1) % sqs[q + SQ.SIZE];
  return entry;
}

/**
 * Posts a completion, which has a place. Layout: NVMe 1.4 §4.6.
 * @returns the completion queue's identifier
 */
export function complete(ctx: Context, req: Pick<Request, 'sqid' | 'cid' | 'result'>, status: number): number {
  const { sqs, cqs } = ctx.state;
  const s = sqAt(req.sqid);
  const cqid = sqs[s + SQ.CQID];
  const q = cqAt(cqid);
  const tail = cqs[q + CQ.TAIL];
  const entry = new Uint8Array(1 << CQES);
  writeLe(entry, 0, 4, req.result);
  writeLe(entry, 8, 2, sqs[s + SQ.HEAD]);
  writeLe(entry, 10, 2, req.sqid);
  writeLe(entry, 12, 2, req.cid);
  writeLe(entry, 14, 2, cqs[q + CQ.PHASE] | (statusField(status) << 1));
  const base = address64(cqs[q + CQ.BASE_LO], cqs[q + CQ.BASE_HI]);
  if (!ctx.memory.write(base + (tail << CQES), entry)) fail(ctx);
  cqs[q + CQ.TAIL] = (tail + 1) % cqs[q + CQ.SIZE];
  if (cqs[q + CQ.TAIL] === 0) cqs[q + CQ.PHASE] ^= 1;
  return cqid;
}

/** Completes a command that was executed, with an entry in the error log if it failed. */
export function finish(ctx: Context, req: Request, status: number): number {
  if (isLogged(status)) {
    const block = req.sqid !== 0 && NAMES_BLOCK.has(req.opcode) ? [req.cdw[10], req.cdw[11]] : [0, 0];
    logError(ctx, req.sqid | (req.cid << 16), statusField(status) << 1, req.nsid, block[0], block[1]);
  }
  return complete(ctx, req, status);
}

/** Writes the descriptor of a completion queue; `cqs` words of a queue that does not exist are all zero. */
export function openCq(
  ctx: Context,
  id: number,
  q: { lo: number; hi: number; size: number; vector: number; interrupts: boolean },
): void {
  const { cqs } = ctx.state;
  const at = cqAt(id);
  cqs[at + CQ.BASE_LO] = q.lo;
  cqs[at + CQ.BASE_HI] = q.hi;
  cqs[at + CQ.SIZE] = q.size;
  cqs[at + CQ.PHASE] = 1;
  cqs[at + CQ.VECTOR] = q.vector;
  cqs[at + CQ.INTERRUPTS] = q.interrupts ? 1 : 0;
}

export function openSq(ctx: Context, id: number, q: { lo: number; hi: number; size: number; cqid: number }): void {
  const { sqs, cqs } = ctx.state;
  const at = sqAt(id);
  sqs[at + SQ.BASE_LO] = q.lo;
  sqs[at + SQ.BASE_HI] = q.hi;
  sqs[at + SQ.SIZE] = q.size;
  sqs[at + SQ.CQID] = q.cqid;
  cqs[cqAt(q.cqid) + CQ.USERS]++;
}

/** Create I/O Completion Queue. NVMe 1.4 §5.3. */
export function createCq(ctx: Context, { cdw }: Request): number {
  const id = cdw[10] & 0xffff;
  const size = (cdw[10] >>> 16) + 1;
  const vector = cdw[11] >>> 16;
  const { vars, registers } = ctx.state;
  if (id === 0 || id > vars[VAR.GRANTED_CQS] || cqExists(ctx, id)) return STATUS.invalidQueueIdentifier;
  if (size < 2 || size > ctx.shape.maxQueueEntries) return STATUS.invalidQueueSize;
  if (ccField('iocqes', registers[word(CC)]) !== CQES) return STATUS.invalidQueueSize;
  if ((cdw[11] & 1) === 0) return STATUS.invalidFieldInCommand; // CAP.CQR: physically contiguous only
  if (cdw[6] & (pageSize(ctx) - 1)) return STATUS.prpOffsetInvalid;
  if (vector >= ctx.host.vectorCount()) return STATUS.invalidInterruptVector;
  openCq(ctx, id, { lo: cdw[6], hi: cdw[7], size, vector, interrupts: (cdw[11] & 2) !== 0 });
  vars[VAR.IO_QUEUES]++;
  return STATUS.success;
}

/** Create I/O Submission Queue. NVMe 1.4 §5.4. */
export function createSq(ctx: Context, { cdw }: Request): number {
  const id = cdw[10] & 0xffff;
  const size = (cdw[10] >>> 16) + 1;
  const cqid = cdw[11] >>> 16;
  const { vars, registers } = ctx.state;
  if (id === 0 || id > vars[VAR.GRANTED_SQS] || sqExists(ctx, id)) return STATUS.invalidQueueIdentifier;
  if (cqid === 0 || cqid > vars[VAR.GRANTED_CQS]) return STATUS.invalidQueueIdentifier;
  if (!cqExists(ctx, cqid)) return STATUS.completionQueueInvalid;
  if (size < 2 || size > ctx.shape.maxQueueEntries) return STATUS.invalidQueueSize;
  if (ccField('iosqes', registers[word(CC)]) !== SQES) return STATUS.invalidQueueSize;
  if ((cdw[11] & 1) === 0) return STATUS.invalidFieldInCommand;
  if (cdw[6] & (pageSize(ctx) - 1)) return STATUS.prpOffsetInvalid;
  openSq(ctx, id, { lo: cdw[6], hi: cdw[7], size, cqid });
  vars[VAR.IO_QUEUES]++;
  return STATUS.success;
}

/** Delete I/O Completion Queue. NVMe 1.4 §5.5. */
export function deleteCq(ctx: Context, { cdw }: Request): number {
  const id = cdw[10] & 0xffff;
  if (id === 0 || !cqExists(ctx, id)) return STATUS.invalidQueueIdentifier;
  const { cqs, vars } = ctx.state;
  if (cqs[cqAt(id) + CQ.USERS] > 0) return STATUS.invalidQueueDeletion;
  cqs.fill(0, cqAt(id), cqAt(id + 1));
  vars[VAR.IO_QUEUES]--;
  return STATUS.success;
}

/** Delete I/O Submission Queue; commands in it that were not taken are aborted without completion. NVMe 1.4 §5.6. */
export function deleteSq(ctx: Context, { cdw }: Request): number {
  const id = cdw[10] & 0xffff;
  if (id === 0 || !sqExists(ctx, id)) return STATUS.invalidQueueIdentifier;
  const { sqs, cqs, vars } = ctx.state;
  cqs[cqAt(sqs[sqAt(id) + SQ.CQID]) + CQ.USERS]--;
  sqs.fill(0, sqAt(id), sqAt(id + 1));
  vars[VAR.IO_QUEUES]--;
  return STATUS.success;
}

/** Event information of the Error Status type. NVMe 1.4 §5.2.1. */
const INVALID_DOORBELL_REGISTER = 0;
const INVALID_DOORBELL_VALUE = 1;

/**
 * Moves the tail of a submission queue. A value that is out of range, repeats the last one or would overfill the queue
 * is reported as an event, and the queue gives no more commands until it is made anew. NVMe 1.4 §4.1, §5.2.1.
 * @returns true if the tail moved
 */
export function writeTail(ctx: Context, id: number, tail: number): boolean {
  if (!sqExists(ctx, id)) return refuseDoorbell(ctx, INVALID_DOORBELL_REGISTER);
  const { sqs } = ctx.state;
  const q = sqAt(id);
  const size = sqs[q + SQ.SIZE];
  const added = (tail - sqs[q + SQ.TAIL] + size) % size;
  const room = (sqs[q + SQ.HEAD] - sqs[q + SQ.TAIL] - 1 + size) % size;
  if (tail >= size || added === 0 || added > room) {
    sqs[q + SQ.STOPPED] = 1;
    return refuseDoorbell(ctx, INVALID_DOORBELL_VALUE);
  }
  sqs[q + SQ.TAIL] = tail;
  return true;
}

/** Moves the head of a completion queue past entries that the host has taken; see {@link writeTail}. */
export function writeHead(ctx: Context, id: number, head: number): boolean {
  if (!cqExists(ctx, id)) return refuseDoorbell(ctx, INVALID_DOORBELL_REGISTER);
  const { cqs } = ctx.state;
  const q = cqAt(id);
  const size = cqs[q + CQ.SIZE];
  const taken = (head - cqs[q + CQ.HEAD] + size) % size;
  const held = (cqs[q + CQ.TAIL] - cqs[q + CQ.HEAD] + size) % size;
  if (head >= size || taken === 0 || taken > held) return refuseDoorbell(ctx, INVALID_DOORBELL_VALUE);
  cqs[q + CQ.HEAD] = head;
  return true;
}

function refuseDoorbell(ctx: Context, info: number): false {
  logError(ctx, NO_COMMAND, 0);
  raiseEvent(ctx, 'error', info);
  return false;
}
