import type { Arena } from '../core/index.ts';
import type { Access, Answer } from '../guest/access.ts';

/** How a controller ended: every vector reaches its own handler; up, but some vector is deaf, misrouted or missing; not up. */
export type ControllerState = 'good' | 'degraded' | 'failed';

/**
 * What tasks run in: answers their accesses and carries all shared state in its arena. The explorer knows nothing else
 * of it, so a toy world serves to test the explorer and a machine to answer real questions.
 */
export interface World {
  readonly arena: Arena;
  /**
   * What tells states apart besides the arena's fingerprint, for a world that leaves names out of that; see
   * {@link Arena.excludeFromIdentity}. No side effects.
   */
  identity?(): Int32Array;
  /** Carries out an access of `task` and everything that follows from it at once (interrupts included). */
  perform(task: number, access: Access): Answer;
  /** Names of invariants broken since the last call or in the present state. Must not change the state. */
  takeViolations(): string[];
  /** How each controller stands when nothing more runs. May change the state; the caller restores it. */
  verdict(): ControllerState[];
}
