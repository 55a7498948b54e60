import type { MachineEvent, PcMachine } from './pc-machine.ts';
import { QtestInterpreter } from './qtest-commands.ts';
import type { Conversation, Log } from './socket-server.ts';
import { type PeerHandler, StreamPeer } from './stream-peer.ts';

/** Longest command: a write of 4 MiB in hexadecimal. */
const MAX_LINE_BYTES = (8 << 20) + 64;
/** Bytes of `IRQ` lines waiting for a client that reads nothing. */
const MAX_UNREAD_BYTES = 4 << 20;
const NEWLINE = 0x0a;

/** Conversations in QEMU's qtest protocol (`docs/devel/testing/qtest.rst`) about one machine. */
export function serveQtest(machine: PcMachine, log: Log): Conversation {
  return (input, output, name) =>
    new Promise((resolve) => {
      const tell = (line: string) => log(`${name}: ${line}`);
      new StreamPeer(input, output, tell, (peer) => new QtestHandler(machine, peer), resolve);
    });
}

/** Lines in, an answer for each, and `IRQ` lines in front of the answer of the command that moved them. */
class QtestHandler implements PeerHandler {
  readonly #peer: StreamPeer;
  readonly #interpreter: QtestInterpreter;
  readonly #stopListening: () => void;
  /** Pieces of a line that has not ended yet. */
  #partial: Buffer[] = [];
  #partialBytes = 0;
  /** Lines that wait for the client to read. */
  readonly #waiting: Buffer[] = [];

  constructor(machine: PcMachine, peer: StreamPeer) {
    this.#peer = peer;
    this.#interpreter = new QtestInterpreter(machine);
    this.#stopListening = machine.listen((event) => this.#tell(event));
  }

  get isBusy(): boolean {
    return this.#waiting.length > 0;
  }

  receive(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#waiting.push(Buffer.concat([...this.#partial, chunk.subarray(from, at)]));
      this.#partial = [];
      this.#partialBytes = 0;
      from = at + 1;
    }
    if (from < chunk.length) {
      this.#partial.push(chunk.subarray(from));
      this.#partialBytes += chunk.length - from;
    }
    this.resume();
    if (this.#partialBytes > MAX_LINE_BYTES) this.#peer.end(`a command of more than ${MAX_LINE_BYTES} bytes`);
  }

  resume(): void {
    let next = 0;
    while (next < this.#waiting.length && this.#peer.isReady && !this.#peer.isOver)
      this.#peer.write(`${this.#interpreter.answer(this.#waiting[next++].toString('latin1'))}\n`);
    this.#waiting.splice(0, next);
  }

  finish(): void {
    if (this.#partialBytes > 0) this.#waiting.push(Buffer.concat(this.#partial));
    this.#partialBytes = 0;
    this.resume();
  }

  close(): void {
    this.#stopListening();
  }

  #tell(event: MachineEvent): void {
    if (event.kind !== 'line' || !this.#interpreter.interceptsLines) return;
    this.#peer.write(`IRQ ${event.level ? 'raise' : 'lower'} ${event.gsi}\n`);
    if (this.#peer.unreadBytes > MAX_UNREAD_BYTES) this.#peer.lost('reads nothing; connection closed');
  }
}
