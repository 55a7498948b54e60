import { ones, type Width } from '../core/index.ts';
import type { Effect } from '../pci/index.ts';
import { type AccessRecord, ANSWER, accessRecord, joinWords, KIND, REGION, STATUS } from './access-record.ts';
import type { JournalEntry } from './dma-journal.ts';
import { type HostedFunction, hasBar, vectorLimit } from './hosted-function.ts';

/** Carries out hypercalls: the result, ≥ 0 or −errno, and the argument as the call leaves it. */
export type HypercallHandler = (nr: number, cmd: number, bytes: Uint8Array) => { ret: number; bytes: Uint8Array };

/** What records are carried out on. */
export interface AccessTarget {
  readonly functions: ReadonlyMap<number, HostedFunction>;
  readonly hypercall?: HypercallHandler;
  /** Is told each completed access: the request, all it did outside and what it got from there, the answer. */
  observe?(transcript: readonly AccessRecord[]): void;
}

/** The answer to a request: its own fields, the answer bit, a status, and what was read. */
export function answerTo(request: AccessRecord, status: number, valueLo = 0, valueHi = 0): AccessRecord {
  const { data: _, ...echo } = request;
  return { ...echo, kind: request.kind | ANSWER, status, valueLo, valueHi };
}

/**
 * Carries out one request and answers it; effects are left in the functions' lists. Never throws: what cannot be gets an
 * errno as its status.
 */
export function executeRecord(target: AccessTarget, request: AccessRecord): AccessRecord {
  if (request.kind === KIND.hypercall) return hypercall(target, request);
  if (request.kind !== KIND.read && request.kind !== KIND.write) return signal(target, request);
  const { region, width } = request;
  if (width !== 1 && width !== 2 && width !== 4 && width !== 8) return answerTo(request, STATUS.invalid);
  const hosted = target.functions.get(request.function);
  if (!hosted) return nobody(request);
  if (region !== REGION.config && !(region <= REGION.rom && hasBar(hosted.fn, region)))
    return answerTo(request, STATUS.invalid);
  const offset = joinWords(request.offsetLo, request.offsetHi);
  return request.kind === KIND.read ? read(hosted, request, offset) : write(hosted, request, offset);
}

/** Configuration space without a function reads all ones, as a bus scan expects; a BAR cannot be. PCIe 5.0 §2.3.2. */
function nobody(request: AccessRecord): AccessRecord {
  if (request.region !== REGION.config) return answerTo(request, STATUS.noDevice);
  if (request.kind === KIND.write) return answerTo(request, STATUS.ok);
  const all = ones(Math.min(request.width, 4) as Width);
  return answerTo(request, STATUS.ok, all, request.width === 8 ? all : 0);
}

/** Eight bytes are two accesses of four, low first. */
function read({ fn }: HostedFunction, request: AccessRecord, offset: number): AccessRecord {
  const { region, width } = request;
  const piece = (at: number, w: Width) => (region === REGION.config ? fn.readConfig(at, w) : fn.readBar(region, at, w));
  if (width !== 8) return answerTo(request, STATUS.ok, piece(offset, width as Width));
  const lo = piece(offset, 4);
  return answerTo(request, STATUS.ok, lo, piece(offset + 4, 4));
}

function write({ fn }: HostedFunction, request: AccessRecord, offset: number): AccessRecord {
  const { region, width, valueLo, valueHi } = request;
  const piece = (at: number, w: Width, value: number) =>
    region === REGION.config ? fn.writeConfig(at, w, value) : fn.writeBar(region, at, w, value);
  if (width !== 8) piece(offset, width as Width, (valueLo & ones(width as Width)) >>> 0);
  else {
    piece(offset, 4, valueLo);
    piece(offset + 4, 4, valueHi);
  }
  return answerTo(request, STATUS.ok);
}

/** Resets, and interrupt conditions that the harness begins (value 0) or ends (value 1). */
function signal(target: AccessTarget, request: AccessRecord): AccessRecord {
  const { kind } = request;
  const choice = joinWords(request.valueLo, request.valueHi);
  if ((kind !== KIND.reset && kind !== KIND.raise) || choice > 1) return answerTo(request, STATUS.invalid);
  const hosted = target.functions.get(request.function);
  if (!hosted) return answerTo(request, STATUS.noDevice);
  const { fn } = hosted;
  if (kind === KIND.reset) fn.reset(choice === 1 ? 'flr' : 'conventional');
  else if (choice === 1) fn.lower();
  else {
    const vector = joinWords(request.offsetLo, request.offsetHi);
    if (vector >= vectorLimit(fn)) return answerTo(request, STATUS.invalid);
    fn.raise(vector);
  }
  return answerTo(request, STATUS.ok);
}

/** `offset` is nr << 32 | cmd; in the answer it is the call's result as 64 bits. */
function hypercall(target: AccessTarget, request: AccessRecord): AccessRecord {
  const empty = { ...answerTo(request, STATUS.noHypercalls), data: new Uint8Array(0) };
  if (!target.hypercall) return empty;
  const { ret, bytes } = target.hypercall(request.offsetHi, request.offsetLo, request.data ?? empty.data);
  return {
    ...answerTo(request, STATUS.ok, bytes.length),
    offsetLo: ret >>> 0,
    offsetHi: ret < 0 ? 0xffffffff : 0,
    data: bytes,
  };
}

/** An effect as the record that tells it. */
export function effectRecord(effect: Effect): AccessRecord {
  if (effect.kind === 'intx')
    return accessRecord({ kind: KIND.intx, function: effect.bdf, offset: effect.pin, value: effect.level });
  const record = accessRecord({ kind: KIND.message, function: effect.bdf, width: 4, value: effect.data });
  record.offsetLo = effect.addressLo;
  record.offsetHi = effect.addressHi;
  return record;
}

/** A DMA request of a function: a read, answered by the host, or a write with its bytes, which is not. */
export function dmaRecord(bdf: number, address: number, transfer: number | Uint8Array): AccessRecord {
  return typeof transfer === 'number'
    ? accessRecord({ kind: KIND.dmaRead, function: bdf, offset: address, value: transfer })
    : accessRecord({ kind: KIND.dmaWrite, function: bdf, offset: address, data: transfer });
}

/**
 * A completed access in order: the request, effects and transfers as the function made them, the answer. Behind each DMA
 * read stands what it was answered.
 */
export function transcribe(
  request: AccessRecord,
  entries: readonly JournalEntry[],
  effects: readonly Effect[],
  answer: AccessRecord,
): AccessRecord[] {
  const records = [request];
  let told = 0;
  const tellUpTo = (count: number) => {
    for (; told < count; told++) records.push(effectRecord(effects[told]));
  };
  for (const entry of entries) {
    if (entry.kind === 'medium') continue;
    tellUpTo(entry.effects);
    const record = dmaRecord(request.function, entry.address, entry.kind === 'read' ? entry.length : entry.bytes);
    records.push(record);
    if (entry.kind === 'read') records.push(dmaAnswer(record, entry.answer));
  }
  tellUpTo(effects.length);
  records.push(answer);
  return records;
}

/** What a DMA read is answered: the bytes asked for, or EIO without any. */
export function dmaAnswer(read: AccessRecord, bytes: Uint8Array | undefined): AccessRecord {
  const complete = bytes !== undefined && bytes.length === joinWords(read.valueLo, read.valueHi);
  const data = complete ? bytes : new Uint8Array(0);
  return { ...answerTo(read, complete ? STATUS.ok : STATUS.io, data.length), data };
}
