import { writeLe } from '../../../core/index.ts';
import { ADMIN, ALL_NAMESPACES, CHANGES_BLOCKS, NVM } from './commands.ts';
import { type Context, dataOut, maxTransfer, type Request } from './context.ts';
import { clearEvents } from './events.ts';
import { criticalWarning, TEMPERATURE } from './features.ts';
import { COUNTER, ERR, VAR } from './state.ts';
import { STATUS } from './status.ts';

/** Log pages by identifier: size in bytes and contents. NVMe 1.4 §5.14.1. */
const PAGES: ReadonlyMap<number, { size(ctx: Context): number; fill(ctx: Context, page: Uint8Array): void }> = new Map([
  [0x01, { size: (ctx: Context) => ctx.shape.errorLogEntries * 64, fill: fillErrors }],
  [0x02, { size: () => 512, fill: fillSmart }],
  [0x03, { size: () => 512, fill: fillFirmware }],
  [0x05, { size: () => 4096, fill: fillEffects }],
]);

/** Get Log Page; bytes asked for beyond the page's end read zero. NVMe 1.4 §5.14. */
export function getLogPage(ctx: Context, req: Request): number {
  const id = req.cdw[10] & 0xff;
  const retain = (req.cdw[10] & 0x8000) !== 0;
  const dwords = (req.cdw[10] >>> 16) + (req.cdw[11] & 0xffff) * 0x1_0000 + 1;
  const offset = req.cdw[12] + req.cdw[13] * 0x1_0000_0000;
  const page = PAGES.get(id);
  if (!page) return STATUS.invalidLogPage;
  if (req.nsid !== 0 && req.nsid !== ALL_NAMESPACES) return STATUS.invalidFieldInCommand;
  const size = page.size(ctx);
  if (offset % 4 !== 0 || offset > size || dwords * 4 > maxTransfer(ctx)) return STATUS.invalidFieldInCommand;
  const whole = new Uint8Array(size);
  page.fill(ctx, whole);
  const data = new Uint8Array(dwords * 4);
  data.set(whole.subarray(offset, offset + data.length));
  const status = dataOut(ctx, req, data);
  if (status === STATUS.success && !retain) clearEvents(ctx, id);
  return status;
}

/** Error Information, newest first; unused entries are zero. §5.14.1.1. */
function fillErrors(ctx: Context, page: Uint8Array): void {
  const { errors, vars } = ctx.state;
  const entries = ctx.shape.errorLogEntries;
  const held = Math.min(vars[VAR.ERRORS], entries);
  for (let i = 0; i < held; i++) {
    const from = ((vars[VAR.ERRORS] - 1 - i) % entries) * ERR.WORDS;
    const at = i * 64;
    writeLe(page, at, 4, errors[from + ERR.COUNT]);
    writeLe(page, at + 8, 4, errors[from + ERR.QUEUE]); // SQID and command identifier
    writeLe(page, at + 12, 2, errors[from + ERR.STATUS]);
    writeLe(page, at + 14, 2, 0xffff); // no particular parameter
    writeLe(page, at + 16, 4, errors[from + ERR.LBA_LO]);
    writeLe(page, at + 20, 4, errors[from + ERR.LBA_HI]);
    writeLe(page, at + 24, 4, errors[from + ERR.NSID]);
  }
}

/** SMART / Health Information. §5.14.1.2. */
function fillSmart(ctx: Context, page: Uint8Array): void {
  const { state } = ctx;
  page[0] = criticalWarning(ctx);
  writeLe(page, 1, 2, TEMPERATURE);
  page[3] = 100; // available spare and its threshold, per cent
  page[4] = 10;
  // data units are thousands of 512-byte units, rounded up
  write64(page, 32, Math.ceil(state.getCounter(COUNTER.SECTORS_READ) / 1000));
  write64(page, 48, Math.ceil(state.getCounter(COUNTER.SECTORS_WRITTEN) / 1000));
  write64(page, 64, state.getCounter(COUNTER.READS));
  write64(page, 80, state.getCounter(COUNTER.WRITES));
  page[112] = 1; // power cycles
  write64(page, 176, state.vars[VAR.ERRORS]);
}

/** Firmware Slot Information: slot 1 active. §5.14.1.3. */
function fillFirmware(ctx: Context, page: Uint8Array): void {
  page[0] = 1;
  for (let i = 0; i < 8; i++) page[8 + i] = ctx.shape.firmware.padEnd(8).charCodeAt(i);
}

/** Commands Supported and Effects: a dword per opcode, admin commands first. §5.14.1.5. */
function fillEffects(_: Context, page: Uint8Array): void {
  for (const opcode of Object.values(ADMIN)) page[opcode * 4] = 1;
  for (const opcode of Object.values(NVM)) page[1024 + opcode * 4] = CHANGES_BLOCKS.has(opcode) ? 3 : 1;
}

function write64(page: Uint8Array, at: number, value: number): void {
  writeLe(page, at, 4, value % 0x1_0000_0000);
  writeLe(page, at + 4, 4, Math.floor(value / 0x1_0000_0000));
}
