import type { Context } from './context.ts';
import { VAR } from './state.ts';

/** Asynchronous event types with the log page that tells more and, once read, lets the type be reported again. */
export const EVENT_TYPES = {
  error: { type: 0, logPage: 0x01 },
  smart: { type: 1, logPage: 0x02 },
} as const;
export type EventType = keyof typeof EVENT_TYPES;

/** Notes an event; it is reported by {@link takeEvent} when a request is outstanding and the type not masked. */
export function raiseEvent(ctx: Context, event: EventType, info: number): void {
  ctx.state.vars[VAR.AER_PENDING] |= 1 << (8 * EVENT_TYPES[event].type + info);
}

/** Holds an Asynchronous Event Request. NVMe 1.4 §5.2. @returns false if the limit is reached */
export function holdEventRequest(ctx: Context, cid: number): boolean {
  const { vars, aerCids } = ctx.state;
  if (vars[VAR.AER_COUNT] === aerCids.length) return false;
  aerCids[vars[VAR.AER_COUNT]++] = cid;
  return true;
}

/** Takes a held request out of turn, for Abort. */
export function dropEventRequest(ctx: Context, cid: number): boolean {
  const { vars, aerCids } = ctx.state;
  const at = aerCids.subarray(0, vars[VAR.AER_COUNT]).indexOf(cid);
  if (at < 0) return false;
  aerCids.copyWithin(at, at + 1, vars[VAR.AER_COUNT]);
  aerCids[--vars[VAR.AER_COUNT]] = 0;
  return true;
}

/**
 * The next event to report together with the request that reports it, if both are there. The type is masked from then
 * on, until its log page is read. Completion dword 0: NVMe 1.4 §5.2.1.
 */
export function takeEvent(ctx: Context): { cid: number; result: number } | undefined {
  const { vars, aerCids } = ctx.state;
  if (vars[VAR.AER_COUNT] === 0) return undefined;
  for (const { type, logPage } of Object.values(EVENT_TYPES)) {
    const pending = (vars[VAR.AER_PENDING] >>> (8 * type)) & 0xff;
    if (pending === 0 || vars[VAR.AER_MASKED] & (1 << type)) continue;
    const info = 31 - Math.clz32(pending & -pending);
    vars[VAR.AER_PENDING] &= ~(1 << (8 * type + info));
    vars[VAR.AER_MASKED] |= 1 << type;
    const cid = aerCids[0];
    dropEventRequest(ctx, cid);
    return { cid, result: type | (info << 8) | (logPage << 16) };
  }
  return undefined;
}

/** A log page was read without Retain Asynchronous Event: its event type is reported again. NVMe 1.4 §5.14. */
export function clearEvents(ctx: Context, logPage: number): void {
  for (const { type, logPage: page } of Object.values(EVENT_TYPES))
    if (page === logPage) ctx.state.vars[VAR.AER_MASKED] &= ~(1 << type);
}
