import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { QtestError } from '../qtest-client.ts';

/**
 * Runs the program given as arguments and kills it when standard input ends: when it is told to, and also when this
 * process dies in whatever way.
 */
const SCRIPT = `
exec 3<&0
"$@" 3<&- </dev/null &
child=$!
{ read -r _ <&3; kill -9 $child; } >/dev/null 2>&1 &
wait $child
status=$?
kill $! 2>/dev/null
exit $status
`;

/** How long a process whose connection broke may take to be gone, so that its last words are known. */
const EXIT_GRACE_MS = 500;
const MOST_WORDS = 4000;

/** A child process that does not outlive us. */
export class Keeper {
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | null>;
  #said = '';

  constructor(command: readonly string[]) {
    this.#child = spawn('sh', ['-c', SCRIPT, 'sh', ...command], { stdio: ['pipe', 'ignore', 'pipe'] });
    this.#child.stdin?.on('error', () => {}); // it may be gone before we tell it
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#said = (this.#said + text.toString()).slice(-MOST_WORDS);
    });
    this.#closed = new Promise((resolve) => {
      this.#child.once('close', resolve);
      this.#child.once('error', () => resolve(null));
    });
  }

  /**
   * The answer, unless the process ends first or, if `timeoutMs` is given, time runs out.
   * @throws QtestError with what the process wrote, if it ended; else whatever `answer` threw
   */
  async orExit<T>(answer: Promise<T>, timeoutMs?: number): Promise<T> {
    const stop = new AbortController();
    const ended = this.#closed.then((status) => {
      throw new QtestError(`QEMU ended with status ${status}${this.#said && `: ${this.#said.trim()}`}`);
    });
    const late = async (ms: number) => {
      await pause(ms, undefined, { signal: stop.signal });
      throw new QtestError(`QEMU was not ready within ${ms} ms`);
    };
    try {
      return await Promise.race([answer, ended, ...(timeoutMs === undefined ? [] : [late(timeoutMs)])]);
    } catch (error) {
      await Promise.race([ended, pause(EXIT_GRACE_MS)]);
      throw error;
    } finally {
      stop.abort();
    }
  }

  /** Kills the process; resolved when it is gone. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.#closed;
  }
}
