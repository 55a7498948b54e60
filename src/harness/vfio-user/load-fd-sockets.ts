import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { FdSockets } from './fd-sockets.ts';
import { loadKoffiSockets } from './fd-sockets-koffi.ts';

const ADDON = fileURLToPath(new URL('../../../build/addon/fd-socket.node', import.meta.url));

/**
 * The add-on if it is built, else koffi, or one of them alone.
 * @returns what works, or why nothing does, in one line
 */
export function loadFdSockets(only?: FdSockets['kind']): FdSockets | { unavailable: string } {
  const reasons: string[] = [];
  if (process.platform !== 'linux')
    return { unavailable: `descriptors over sockets need Linux, not ${process.platform}` };
  if (only !== 'koffi') {
    try {
      const addon = createRequire(import.meta.url)(ADDON) as Omit<FdSockets, 'kind'>;
      return { kind: 'add-on', ...addon };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const why = code === 'MODULE_NOT_FOUND' ? 'not built (`npm run build:addon`)' : message.split('\n')[0];
      reasons.push(`add-on: ${why}`);
    }
  }
  if (only !== 'add-on') {
    const koffi = loadKoffiSockets();
    if (typeof koffi !== 'string') return koffi;
    reasons.push(`koffi: ${koffi}`);
  }
  return { unavailable: reasons.join('; ') };
}
