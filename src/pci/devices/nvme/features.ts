import { ALL_NAMESPACES } from './commands.ts';
import type { Context, Request } from './context.ts';
import { raiseEvent } from './events.ts';
import { WARNING_TEMPERATURE } from './identify.ts';
import { FEATURE_WORDS, VAR } from './state.ts';
import { STATUS } from './status.ts';

/** The composite temperature never changes: 37 °C in kelvin. */
export const TEMPERATURE = 310;

interface Feature {
  fid: number;
  /** Bits of dword 11 that are kept; the rest is reserved. */
  mask: number;
  initial: number;
  /** Has a value per namespace. */
  perNamespace?: boolean;
  /** Where the value of this request lives; undefined if dword 11 or the namespace names none. */
  locate(ctx: Context, req: Request): { words: Int32Array; at: number } | undefined;
  /** An error status if `value` (dword 11, all bits) is refused. */
  refuse?(ctx: Context, value: number): number;
}

const WORD = {
  arbitration: 0,
  powerManagement: 1,
  overTemperature: 2,
  underTemperature: 3,
  writeCache: 4,
  coalescing: 5,
  writeAtomicity: 6,
  asyncEvents: 7,
} as const;
const inWord = (at: number) => (ctx: Context) => ({ words: ctx.state.features, at });

/**
 * Features with a plain value, by identifier. NVMe 1.4 §5.21.1. Number of Queues (07h) and Interrupt Vector
 * Configuration (09h) are not one stored word and have functions of their own.
 */
const FEATURES: readonly Feature[] = [
  { fid: 0x01, mask: 0xffffff07, initial: 0, locate: inWord(WORD.arbitration) },
  {
    fid: 0x02,
    mask: 0x000000ff,
    initial: 0,
    locate: inWord(WORD.powerManagement),
    refuse: (_, value) => ((value & 31) === 0 ? STATUS.success : STATUS.invalidFieldInCommand), // one power state
  },
  { fid: 0x04, mask: 0x0000ffff, initial: WARNING_TEMPERATURE, locate: locateThreshold },
  {
    fid: 0x05,
    mask: 0x0000ffff,
    initial: 0,
    perNamespace: true,
    locate: (ctx, { nsid }) =>
      nsid >= 1 && nsid <= ctx.shape.namespaces.length ? { words: ctx.state.errorRecovery, at: nsid - 1 } : undefined,
    // DULBE needs NSFEAT bit 2, which no namespace has
    refuse: (_, value) => (value & 0x10000 ? STATUS.invalidFieldInCommand : STATUS.success),
  },
  { fid: 0x06, mask: 0x00000001, initial: 1, locate: inWord(WORD.writeCache) },
  { fid: 0x08, mask: 0x0000ffff, initial: 0, locate: inWord(WORD.coalescing) },
  { fid: 0x0a, mask: 0x00000001, initial: 0, locate: inWord(WORD.writeAtomicity) },
  { fid: 0x0b, mask: 0x000000ff, initial: 0, locate: inWord(WORD.asyncEvents) },
];
const BY_FID = new Map(FEATURES.map((f) => [f.fid, f]));
const NUMBER_OF_QUEUES = 0x07;
const VECTOR_CONFIGURATION = 0x09;

/** Feature values after a controller level reset; nothing is saved. */
export function resetFeatures(ctx: Context): void {
  const { features, coalescingDisable, errorRecovery, vars } = ctx.state;
  features.fill(0, 0, FEATURE_WORDS);
  features[WORD.overTemperature] = WARNING_TEMPERATURE;
  features[WORD.writeCache] = 1;
  coalescingDisable.fill(0);
  errorRecovery.fill(0);
  vars[VAR.GRANTED_SQS] = vars[VAR.GRANTED_CQS] = ctx.shape.queuePairs;
}

export function writeCacheEnabled(ctx: Context): boolean {
  return ctx.state.features[WORD.writeCache] !== 0;
}

/** Critical Warning of the SMART log: the temperature is at or beyond a threshold. NVMe 1.4 §5.14.1.2. */
export function criticalWarning(ctx: Context): number {
  const { features } = ctx.state;
  return TEMPERATURE >= features[WORD.overTemperature] || TEMPERATURE <= features[WORD.underTemperature] ? 0x02 : 0;
}

/** Set Features. NVMe 1.4 §5.21. */
export function setFeatures(ctx: Context, req: Request): number {
  const fid = req.cdw[10] & 0xff;
  const value = req.cdw[11];
  const feature = BY_FID.get(fid);
  if (!feature && fid !== NUMBER_OF_QUEUES && fid !== VECTOR_CONFIGURATION) return STATUS.invalidFieldInCommand;
  if (req.cdw[10] & 0x80000000) return STATUS.featureIdentifierNotSaveable;
  const named = req.nsid !== 0 && req.nsid !== ALL_NAMESPACES;
  if (named && req.nsid > ctx.shape.namespaces.length) return STATUS.invalidNamespaceOrFormat;
  if (named && !feature?.perNamespace) return STATUS.featureNotNamespaceSpecific;
  if (fid === NUMBER_OF_QUEUES) return setNumberOfQueues(ctx, req, value);
  if (fid === VECTOR_CONFIGURATION) return setVectorConfiguration(ctx, value);
  const refused = feature!.refuse?.(ctx, value) ?? STATUS.success;
  if (refused !== STATUS.success) return refused;
  if (feature!.perNamespace && req.nsid === ALL_NAMESPACES) {
    ctx.state.errorRecovery.fill(value & feature!.mask);
    return STATUS.success;
  }
  const place = feature!.locate(ctx, req);
  if (!place) return feature!.perNamespace ? STATUS.invalidNamespaceOrFormat : STATUS.invalidFieldInCommand;
  const warned = criticalWarning(ctx);
  place.words[place.at] = value & feature!.mask;
  if (criticalWarning(ctx) & ~warned & ctx.state.features[WORD.asyncEvents]) raiseEvent(ctx, 'smart', 1);
  return STATUS.success;
}

/** Get Features; Select: 0 current, 1 default, 2 saved (nothing is: default), 3 capabilities. NVMe 1.4 §5.13. */
export function getFeatures(ctx: Context, req: Request): number {
  const fid = req.cdw[10] & 0xff;
  const select = (req.cdw[10] >>> 8) & 7;
  const feature = BY_FID.get(fid);
  if (select > 3) return STATUS.invalidFieldInCommand;
  if (fid === NUMBER_OF_QUEUES || fid === VECTOR_CONFIGURATION) {
    if (select === 3) req.result = 0x4;
    else return fid === NUMBER_OF_QUEUES ? getNumberOfQueues(ctx, req, select) : getVector(ctx, req, select);
    return STATUS.success;
  }
  if (!feature) return STATUS.invalidFieldInCommand;
  const place = feature.locate(ctx, req);
  if (select === 3)
    req.result = feature.perNamespace ? 0x6 : 0x4; // changeable, bit 1: namespace specific
  else if (!place) return feature.perNamespace ? STATUS.invalidNamespaceOrFormat : STATUS.invalidFieldInCommand;
  else if (select === 0) req.result = place.words[place.at] >>> 0;
  else req.result = place.at === WORD.underTemperature && fid === 0x04 ? 0 : feature.initial;
  return STATUS.success;
}

/** Temperature Threshold: only the composite temperature, over (THSEL 0) and under (1). §5.21.1.4. */
function locateThreshold(ctx: Context, { cdw }: Request) {
  const sensor = (cdw[11] >>> 16) & 15;
  const under = (cdw[11] >>> 20) & 3;
  if ((sensor !== 0 && sensor !== 15) || under > 1) return undefined;
  return { words: ctx.state.features, at: under ? WORD.underTemperature : WORD.overTemperature };
}

/** Grants what is asked for up to what there is, before any I/O queue exists. §5.21.1.7. */
function setNumberOfQueues(ctx: Context, req: Request, value: number): number {
  const { vars } = ctx.state;
  const sqs = value & 0xffff;
  const cqs = value >>> 16;
  if (vars[VAR.IO_QUEUES] > 0) return STATUS.commandSequenceError;
  if (sqs === 0xffff || cqs === 0xffff) return STATUS.invalidFieldInCommand;
  vars[VAR.GRANTED_SQS] = Math.min(sqs + 1, ctx.shape.queuePairs);
  vars[VAR.GRANTED_CQS] = Math.min(cqs + 1, ctx.shape.queuePairs);
  return getNumberOfQueues(ctx, req, 0);
}

function getNumberOfQueues(ctx: Context, req: Request, select: number): number {
  const { vars } = ctx.state;
  const sqs = select === 0 ? vars[VAR.GRANTED_SQS] : ctx.shape.queuePairs;
  const cqs = select === 0 ? vars[VAR.GRANTED_CQS] : ctx.shape.queuePairs;
  req.result = ((sqs - 1) | ((cqs - 1) << 16)) >>> 0;
  return STATUS.success;
}

/** Coalescing Disable of one vector. §5.21.1.9. */
function setVectorConfiguration(ctx: Context, value: number): number {
  const vector = value & 0xffff;
  if (vector >= ctx.vectors) return STATUS.invalidFieldInCommand;
  if (value & 0x10000) ctx.state.coalescingDisable[vector >> 5] |= 1 << (vector & 31);
  else ctx.state.coalescingDisable[vector >> 5] &= ~(1 << (vector & 31));
  return STATUS.success;
}

function getVector(ctx: Context, req: Request, select: number): number {
  const vector = req.cdw[11] & 0xffff;
  if (vector >= ctx.vectors) return STATUS.invalidFieldInCommand;
  const disabled = select === 0 && (ctx.state.coalescingDisable[vector >> 5] >>> (vector & 31)) & 1;
  req.result = vector | (disabled ? 0x10000 : 0);
  return STATUS.success;
}
