import { KIND, SIGNAL } from '../access.ts';
import { isSeenOutside, type Script } from './script.ts';

/**
 * Why a script cannot be carried out over the socket of `pirqlab serve`, or shows nothing there; undefined if it does.
 * A server has functions one beside the other, and refuses to raise a vector that a function cannot have.
 */
export function whyNotOverSocket(script: Script): string | undefined {
  if (script.functions.length !== 1) return 'a server has no bridges with functions behind them';
  const [spec] = script.functions;
  for (const { access } of script.steps)
    if (access.kind === KIND.raise && access.value === SIGNAL.begins && access.offset >= vectors(spec.image))
      return `a server refuses to raise vector ${access.offset}, which the function does not have`;
  if (!script.steps.some(isSeenOutside)) return 'nothing of it is to be seen in answers, messages and lines';
  return undefined;
}

/** Vectors that a server lets a function raise: what its MSI-X table or its MSI capability offers, at least one. */
function vectors(image: Uint8Array): number {
  let most = 1;
  const seen = new Set<number>();
  for (let at = image[0x34] & 0xfc; at >= 0x40 && !seen.has(at); at = image[at + 1] & 0xfc) {
    seen.add(at);
    if (image[at] === 0x05) most = Math.max(most, 1 << ((image[at + 2] >> 1) & 7));
    if (image[at] === 0x11) most = Math.max(most, ((image[at + 2] | (image[at + 3] << 8)) & 0x7ff) + 1);
  }
  return most;
}
