import type { FunctionSpec } from '../../pci/index.ts';
import type { Access } from '../access.ts';
import { runStep } from '../attempt.ts';
import type { Subject } from '../target.ts';

/** A place to read. */
export interface Place {
  region: number;
  offset: number;
  width: 1 | 2 | 4;
}

/** What a read gave, what it had to give, and the bits that count. */
export interface SeenRead {
  got: number;
  want: number;
  mask: number;
}

/** A message as it left. */
export interface SentMessage {
  vector: number;
  addressLo: number;
  addressHi: number;
  data: number;
}

interface Effects {
  messages: readonly SentMessage[];
  /** Level of the interrupt line after the step. */
  line: number;
}

/** What a step made a function do to the outside, and what it had to. */
export interface SeenEffects {
  got: Effects;
  want: Effects;
}

/** What a subject tells about its last step besides words. It is telling: `tell` was called. */
export interface ScriptSource {
  /** For each of the subject's functions the index of the bridge it stands behind, −1 on the root. */
  readonly behind: readonly number[];
  seen(): { read: SeenRead | undefined; effects: readonly (SeenEffects | undefined)[] };
  /** Reads that show differences between model and oracle which no step has shown yet. */
  differences(): Access[];
}

/** An access of a reproducer, in words too, and what must come of it. */
export interface ScriptStep {
  readonly access: Access;
  readonly told: string;
  /** Of a read. */
  readonly read: SeenRead | undefined;
  /** Of each function. */
  readonly effects: readonly SeenEffects[];
}

/** A finding as accesses with what each must bring about: what reproducers in any language are written from. */
export interface Script {
  readonly target: string;
  readonly label: string;
  readonly broken: string;
  readonly functions: readonly FunctionSpec[];
  readonly behind: readonly number[];
  readonly steps: readonly ScriptStep[];
}

/** Reads added to make a difference show that is not in an answer or a message. */
const MAX_READS = 4;

/**
 * Carries out an input once more and notes what each step brings about, in the model and in the oracle. Where the last
 * step leaves a register wrong without showing it, reads follow that do.
 * @returns undefined if the subject is not made of functions
 */
export function recordScript(
  target: string,
  subject: Subject<Access>,
  steps: readonly Access[],
  broken: string,
): Script | undefined {
  const { script, functions, label } = subject;
  if (!script) return undefined;
  const noted: ScriptStep[] = [];
  const run = (access: Access): boolean => {
    const told = subject.tell(access);
    const wrong = runStep(subject, access);
    const { read, effects } = script.seen();
    noted.push({ access, told, read, effects: effects.map((e) => e ?? NOTHING) });
    return wrong !== undefined;
  };
  subject.begin();
  for (const step of steps) if (run(step)) break;
  if (!noted.some(isSeen)) for (const read of script.differences().slice(0, MAX_READS)) run(read);
  return { target, label, broken, functions, behind: script.behind, steps: noted };
}

const NOTHING: SeenEffects = { got: { messages: [], line: 0 }, want: { messages: [], line: 0 } };

/** True if the step shows that something is wrong. */
export function isSeen(step: ScriptStep): boolean {
  return readDiffers(step) || step.effects.some((e) => !sameMessages(e) || e.got.line !== e.want.line);
}

/** The same for who sees no vector numbers, as over the socket. */
export function isSeenOutside(step: ScriptStep): boolean {
  return readDiffers(step) || step.effects.some((e) => !sameMessages(e, false) || e.got.line !== e.want.line);
}

/** A step's effects that are worth a check: where there are any, or had to be. */
export function isCheck(step: ScriptStep, before: ScriptStep | undefined): boolean {
  return step.effects.some(({ got, want }, i) => {
    const line = before?.effects[i].want.line ?? 0;
    return got.messages.length + want.messages.length > 0 || got.line !== want.line || want.line !== line;
  });
}

function readDiffers({ read }: ScriptStep): boolean {
  return read !== undefined && ((read.got ^ read.want) & read.mask) !== 0;
}

function sameMessages({ got, want }: SeenEffects, vectors = true): boolean {
  const text = ({ messages }: Effects) =>
    messages.map((m) => [vectors ? m.vector : 0, m.addressHi, m.addressLo, m.data].join()).join(';');
  return text(got) === text(want);
}
