import type { Prng } from '../core/index.ts';
import type { FunctionSpec } from '../pci/index.ts';
import type { ScriptSource } from './reproducers/script.ts';

/**
 * What is fuzzed: kinds of subjects, numbered. `S` is one step of an input: an access, or whatever else an input of
 * this target is made of.
 */
export interface Target<S> {
  readonly name: string;
  /** One line for people. */
  readonly about: string;
  /** Unit of a step, for reports: `accesses`, `lines`. */
  readonly unit: string;
  /** Number of different subjects: devices, machines, dumps. */
  readonly variants: number;
  /** Makes one of them, the same for the same number. */
  open(variant: number): Subject<S>;
  /** Makes one of any function, where a target's subjects differ in nothing else. */
  openSpec?(spec: FunctionSpec): Subject<S>;
  /** Steps as bytes and back; the format is in docs/fuzzing.md. */
  encode(steps: readonly S[]): Uint8Array;
  decode(bytes: Uint8Array): S[];
}

/** A model with its oracle. Whatever an input does is undone by `begin` or `restore`. */
export interface Subject<S> {
  /** What it is, in words. */
  readonly label: string;
  /** The functions that accesses name, where the steps are accesses to functions. */
  readonly functions: readonly FunctionSpec[];
  /** Steps that `begin` has behind it, where inputs do not begin at power-on. */
  readonly preparation?: readonly S[];
  /** Model and oracle as they were when made. */
  begin(): void;
  /** Present state of model and oracle, for `restore`; later steps do not change it. */
  save(): unknown;
  restore(saved: unknown): void;
  /** A random step that knows the tables. */
  generate(prng: Prng): S;
  /** The step changed a little. */
  mutate(prng: Prng, step: S): S;
  /** Carries out a step on model and oracle. @returns the law that is broken, undefined while all hold */
  run(step: S): string | undefined;
  /** What is too dear to check at each step. */
  finish(): string | undefined;
  /** A number that stands for what is notable of the present state. */
  abstractState(): number;
  /** Simpler steps that might do as well, the simplest first. */
  simpler(step: S): S[];
  /** What the step is, in register terms. The model is in the state before it. */
  tell(step: S): string;
  /** What the step did, as seen from outside; called after it. */
  outcome(): string;
  /** What reproducers are made from, where steps are accesses to functions. */
  readonly script?: ScriptSource;
}
