import { ADMIN } from './commands.ts';
import type { Context, Request } from './context.ts';
import { dropEventRequest, holdEventRequest } from './events.ts';
import { getFeatures, setFeatures } from './features.ts';
import { identify } from './identify.ts';
import { getLogPage } from './log-pages.ts';
import { complete, cqRoom, createCq, createSq, deleteCq, deleteSq, sqExists } from './queues.ts';
import { OUTSTANDING, STATUS } from './status.ts';

type Handler = (ctx: Context, req: Request) => number;

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [ADMIN.deleteIoSq, deleteSq],
  [ADMIN.createIoSq, createSq],
  [ADMIN.getLogPage, getLogPage],
  [ADMIN.deleteIoCq, deleteCq],
  [ADMIN.createIoCq, createCq],
  [ADMIN.identify, identify],
  [ADMIN.abort, abort],
  [ADMIN.setFeatures, setFeatures],
  [ADMIN.getFeatures, getFeatures],
  [ADMIN.asyncEventRequest, asyncEventRequest],
]);

/** Executes an admin command: its status, or OUTSTANDING if it completes later. NVMe 1.4 §5. */
export function executeAdmin(ctx: Context, req: Request): number {
  return HANDLERS.get(req.opcode)?.(ctx, req) ?? STATUS.invalidCommandOpcode;
}

/** Asynchronous Event Request, §5.2. */
function asyncEventRequest(ctx: Context, req: Request): number {
  return holdEventRequest(ctx, req.cid) ? OUTSTANDING : STATUS.asyncEventRequestLimitExceeded;
}

/**
 * Abort, §5.1. All commands but Asynchronous Event Requests are complete as soon as they were taken, and those that
 * were not taken are not known yet, so only such requests can be aborted. The aborted command's completion comes first
 * and needs a place besides the Abort's own. Dword 0 bit 0 set: not aborted.
 */
function abort(ctx: Context, req: Request): number {
  const sqid = req.cdw[10] & 0xffff;
  const cid = req.cdw[10] >>> 16;
  req.result = 1;
  if (!sqExists(ctx, sqid)) return STATUS.invalidFieldInCommand;
  if (sqid === 0 && cqRoom(ctx, 0) >= 2 && dropEventRequest(ctx, cid)) {
    complete(ctx, { sqid: 0, cid, result: 0 }, STATUS.commandAbortRequested);
    req.result = 0;
  }
  return STATUS.success;
}
