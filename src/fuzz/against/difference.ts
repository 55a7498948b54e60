/** A difference between a function and what it is obliged to do. */
export interface Difference {
  /** What kind of thing is wrong; with the register it makes what counts as one finding. */
  law: Law;
  register: string;
  /** Bits of the register, 0 where there are none to name. */
  bits: number;
  section: string;
  /** `custom`: no specification forbids it, hardware does otherwise. */
  verdict: 'violates' | 'custom';
  text: string;
}

export type Law =
  | 'constant'
  | 'writable'
  | 'write-1-to-clear'
  | 'power state'
  | 'side effect'
  | 'read'
  | 'reset'
  | 'flr'
  | 'd3hot to d0'
  | 'decode in d3hot'
  | 'table'
  | 'narrow'
  | 'pending'
  | 'message'
  | 'line'
  | 'missing'
  | 'abort';

/** What brought about the present state of the registers. */
export interface Cause {
  reset: 'conventional' | 'hot' | 'flr' | undefined;
  /** Bytes that were written. */
  written: readonly (readonly [offset: number, width: number])[];
}

/** After the way from D3hot to D0 with No_Soft_Reset clear a function's state is undefined, PCIe 5.0 §7.5.2.2, §5.3.1.4. */
export function verdictOf(law: Law, isCustom = false): Difference['verdict'] {
  return isCustom || law === 'd3hot to d0' ? 'custom' : 'violates';
}

export function lawOfReset(reset: Cause['reset']): Law | undefined {
  if (reset === 'conventional') return 'reset';
  if (reset === 'flr') return 'flr';
  return reset && 'd3hot to d0';
}
