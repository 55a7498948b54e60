import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Access } from '../access.ts';
import type { Subject } from '../target.ts';
import { cReproducer } from './c.ts';
import { pythonReproducer } from './python.ts';
import { qtestReproducer } from './qtest.ts';
import { isSeen, recordScript } from './script.ts';
import { whyNotOverSocket } from './socket.ts';
import { typescriptReproducer } from './typescript.ts';

/** What C and Python programs need beside them, from this package. */
const CLIENTS = { 'pirqlab.h': 'native/include/pirqlab.h', 'pirqlab.py': 'examples/python/pirqlab.py' };

const SERVE = 'pirqlab serve --recorded input.bin --socket pq.sock &';

/**
 * Writes programs that show a finding into its folder: a test for vitest, Python and C for the socket of `pirqlab serve`,
 * a script for QEMU's qtest; and README.txt, which says how to run each, or why it is not there.
 * @returns names of the files written, none where nothing that is broken can be seen from outside
 */
export function writeReproducers(
  folder: string,
  target: string,
  subject: Subject<Access>,
  steps: readonly Access[],
  broken: string,
): string[] {
  const script = recordScript(target, subject, steps, broken);
  if (!script?.steps.some(isSeen)) return [];
  const written: string[] = [];
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    written.push(name);
  };
  const readme = [`${target}: ${script.label}`, broken, '', 'Told step by step: story.txt. Again, with the oracle:'];
  readme.push('  pirqlab fuzz --replay input.bin', '');
  const say = (name: string, lines: string | string[]) => {
    if (typeof lines === 'string') readme.push(`No ${name}: ${lines}.`, '');
    else readme.push(`${name}:`, ...lines.map((line) => `  ${line}`), '');
  };

  write('reproduce.test.ts', typescriptReproducer(script));
  say('reproduce.test.ts', ['npx vitest run reproduce.test.ts']);

  const whyNot = whyNotOverSocket(script);
  if (!whyNot) {
    write('reproduce.py', pythonReproducer(script));
    write('reproduce.c', cReproducer(script));
    for (const [name, path] of Object.entries(CLIENTS)) copyClient(name, path, write);
  }
  say('reproduce.py', whyNot ?? [SERVE, 'python3 reproduce.py pq.sock']);
  say(
    'reproduce.c',
    whyNot ?? [SERVE, 'cc -std=c99 -D_POSIX_C_SOURCE=200809L -I. reproduce.c -o reproduce && ./reproduce pq.sock'],
  );

  const qtest = qtestReproducer(script, subject);
  if ('text' in qtest) write('reproduce.qtest', qtest.text);
  say(
    'reproduce.qtest',
    'whyNot' in qtest
      ? qtest.whyNot
      : [
          "against this model: grep -v '^#' reproduce.qtest | pirqlab serve --recorded input.bin --qtest -",
          'against a device of QEMU with the same registers, here called DEVICE:',
          "grep -v '^#' reproduce.qtest | qemu-system-x86_64 -M q35 -nodefaults -display none -qtest stdio -device DEVICE",
        ],
  );
  write('README.txt', `${readme.join('\n').trimEnd()}\n`);
  return written;
}

/** From the package that this file is part of; src/fuzz/reproducers and dist/fuzz/reproducers lie equally deep. */
function copyClient(name: string, path: string, write: (name: string, text: string) => void): void {
  const file = new URL(`../../../${path}`, import.meta.url);
  if (existsSync(file)) write(name, readFileSync(file, 'utf8'));
}
