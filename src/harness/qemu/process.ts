import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QtestClient } from '../qtest-client.ts';
import { Keeper } from './keeper.ts';
import { QmpClient } from './qmp.ts';

export const QEMU_BINARY = 'qemu-system-x86_64';

export interface QemuOptions {
  /** As after `-machine`; default `q35`. */
  machine?: string;
  /** Further arguments, devices above all. */
  args?: readonly string[];
  /** Contents of a drive with id `disk`. */
  disk?: Uint8Array;
  /** Longest wait for QEMU to start, and for each answer. */
  timeoutMs?: number;
  /** Program to start; default {@link QEMU_BINARY}. */
  executable?: string;
}

/** What accesses are put to: a QEMU, or something that answers like one. */
export interface QtestMachine {
  /** As after `-machine`. */
  readonly machine: string;
  readonly qtest: QtestClient;
  /** Resets the machine; resolved when every device has been. No qtest command may be outstanding. */
  reset(): Promise<void>;
}

/** RAM of the machine, from address 0. */
export const QEMU_RAM_BYTES = 64 << 20;

/**
 * A QEMU of its own with its processor parked, reached by qtest and QMP over private sockets. QEMU connects to us, so
 * there is nothing to poll for; as soon as it has, the folder of the sockets is removed.
 */
export class Qemu implements QtestMachine {
  readonly machine: string;
  readonly qtest: QtestClient;
  readonly #qmp: QmpClient;
  readonly #keeper: Keeper;

  private constructor(machine: string, keeper: Keeper, sockets: readonly Socket[], timeoutMs: number) {
    this.machine = machine;
    this.#keeper = keeper;
    this.qtest = new QtestClient(sockets[0], { timeoutMs });
    this.#qmp = new QmpClient(sockets[1], timeoutMs);
  }

  /** @throws QtestError with what QEMU wrote if it does not start */
  static async start(options: QemuOptions = {}): Promise<Qemu> {
    const { machine = 'q35', args = [], timeoutMs = 20_000, executable = QEMU_BINARY } = options;
    const folder = mkdtempSync(join(tmpdir(), 'pirqlab-qemu-'));
    const path = (name: string) => join(folder, name);
    const servers = [listen(path('qtest')), listen(path('qmp'))];
    let keeper: Keeper | undefined;
    let qemu: Qemu | undefined;
    try {
      writeFileSync(path('firmware'), parkedFirmware());
      if (options.disk) writeFileSync(path('disk'), options.disk);
      keeper = new Keeper([executable, ...commonArgs(machine, path, options), ...args]);
      const sockets = await keeper.orExit(Promise.all(servers.map((s) => s.connection)), timeoutMs);
      qemu = new Qemu(machine, keeper, sockets, timeoutMs);
      await keeper.orExit(qemu.#qmp.negotiate(), timeoutMs);
      return qemu;
    } catch (error) {
      await (qemu ? qemu.close() : keeper?.end());
      throw error;
    } finally {
      for (const server of servers) server.close();
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** What `work` answers. @throws QtestError with QEMU's last words if it dies meanwhile */
  whileAlive<T>(work: Promise<T>): Promise<T> {
    return this.#keeper.orExit(work);
  }

  /** @throws QtestError with QEMU's own words if it refuses */
  qmp(command: string, args?: Record<string, unknown>): Promise<unknown> {
    return this.#qmp.execute(command, args);
  }

  /** A command of the human monitor; its text. */
  async monitor(line: string): Promise<string> {
    return String(await this.qmp('human-monitor-command', { 'command-line': line }));
  }

  async reset(): Promise<void> {
    const done = this.#qmp.event('RESET');
    await Promise.all([this.#qmp.execute('system_reset'), done]);
  }

  /** Kills QEMU; resolved when it is gone. */
  async close(): Promise<void> {
    this.qtest.close();
    this.#qmp.close();
    await this.#keeper.end();
  }
}

/** `7.2.22` of the QEMU there is, or undefined if there is none. */
export function qemuVersion(executable = QEMU_BINARY): string | undefined {
  const { stdout } = spawnSync(executable, ['--version'], { encoding: 'utf8' });
  return /version (\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1];
}

function commonArgs(machine: string, path: (name: string) => string, { disk }: QemuOptions): string[] {
  return [
    ...['-machine', machine, '-accel', 'tcg', '-bios', path('firmware'), '-m', `${QEMU_RAM_BYTES >> 20}M`],
    ...['-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-qtest', `unix:${path('qtest')}`, '-qtest-log', '/dev/null', '-qmp', `unix:${path('qmp')}`],
    ...(disk ? ['-drive', `if=none,id=disk,file=${path('disk')},format=raw`] : []),
  ];
}

/** A ROM whose reset vector is `cli; hlt` and a jump back to the `hlt`. */
function parkedFirmware(): Uint8Array {
  const image = new Uint8Array(0x10000).fill(0xf4);
  image.set([0xfa, 0xf4, 0xeb, 0xfd], 0xfff0);
  return image;
}

function listen(path: string): { connection: Promise<Socket>; close(): void } {
  const server = createServer();
  const connection = new Promise<Socket>((resolve, reject) => {
    server.once('connection', resolve);
    server.once('error', reject);
  });
  server.listen(path);
  return { connection, close: () => server.close() };
}
