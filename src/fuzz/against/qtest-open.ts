import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { UsageError } from '../../core/index.ts';
import { behindPort, direct } from '../../harness/qemu/devices.ts';
import { QemuPci } from '../../harness/qemu/pci.ts';
import { Qemu, type QtestMachine, qemuVersion } from '../../harness/qemu/process.ts';
import { QtestClient, QtestError } from '../../harness/qtest-client.ts';
import type { QtestPlace } from './qtest-peer.ts';

/** Device 4 of bus 0, where {@link direct} puts a device, and the one behind a port. */
const DIRECT = 0x20;
const BEHIND = 0x100;
/** How long a QEMU whose connection broke may take to say why. */
const LAST_WORDS_MS = 1_000;

/** Vendor and device of the host bridges. */
const Q35_HOST = 0x29c0_8086;
const I440FX_HOST = 0x1237_8086;
const RESET_PORT = 0xcf9;
const HARD_RESET = 0x06;
const INTERRUPT_LINE = 0x3c;
const MARK = 0xa5;
const LONGEST_RESET_MS = 5_000;

/**
 * Starts a QEMU for each opening: `nvme`, `nvme,serial=x,msix_qsize=4`; with `@port` behind a root port.
 * @throws UsageError if there is no QEMU here
 */
export function qemuPlaces(text: string): () => Promise<QtestPlace> {
  if (qemuVersion() === undefined) throw new UsageError('no qemu-system-x86_64 here (Debian package qemu-system-x86)');
  const isBehind = text.endsWith('@port');
  const device = isBehind ? text.slice(0, -'@port'.length) : text;
  const { machine, args, setup } = isBehind ? behindPort(device) : direct(device);
  return async () => {
    const qemu = await Qemu.start({ machine, args }).catch((error: Error) => {
      throw error instanceof QtestError ? new UsageError(`${text}: ${error.message}`) : error;
    });
    return {
      machine: qemu,
      bdf: isBehind ? BEHIND : DIRECT,
      ...(setup && { setup }),
      lastWords: () => lastWords(qemu),
      close: () => qemu.close(),
    };
  };
}

/** What QEMU wrote when it died, undefined if it lives. */
async function lastWords(qemu: Qemu): Promise<string | undefined> {
  try {
    await qemu.whileAlive(pause(LAST_WORDS_MS));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * A function of a QEMU that runs already, by the socket of its `-qtest unix:PATH,server=on,wait=off`. It had better run
 * no guest of its own (`-S`): what is fuzzed is altered, and a page of its RAM is written to.
 * @param bdf as `0:4.0`
 */
export function qtestPlaces(path: string, bdf: string): () => Promise<QtestPlace> {
  const number = parsePlace(bdf);
  return async () => {
    const socket = await connected(path);
    const machine = await RemoteMachine.of(new QtestClient(socket), number);
    return { machine, bdf: number, close: async () => machine.qtest.close() };
  };
}

/** `0:4.0`, `00:04.0`. */
function parsePlace(text: string): number {
  const [, bus, device, fn] = /^([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])$/i.exec(text) ?? [];
  const [b, d] = [Number.parseInt(bus, 16), Number.parseInt(device, 16)];
  if (bus === undefined || d > 31) throw new UsageError(`--bdf takes bus:device.function such as 0:4.0, not "${text}"`);
  return (b << 8) | (d << 3) | Number(fn);
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      reject(new UsageError(`cannot connect to ${path}: ${error.code}`)),
    );
  });
}

/** A machine of which there is only its qtest socket: it is reset as software does, by the chipset's reset register. */
class RemoteMachine implements QtestMachine {
  readonly machine: string;
  readonly qtest: QtestClient;
  readonly #bdf: number;

  private constructor(machine: string, qtest: QtestClient, bdf: number) {
    this.machine = machine;
    this.qtest = qtest;
    this.#bdf = bdf;
  }

  static async of(qtest: QtestClient, bdf: number): Promise<RemoteMachine> {
    const pci = new QemuPci(new RemoteMachine('pc', qtest, bdf));
    const host = await pci.read(0, 'c', 0, 4);
    const machine = host === Q35_HOST ? 'q35' : host === I440FX_HOST ? 'pc' : undefined;
    if (!machine) throw new UsageError(`the machine is neither q35 nor pc: its host bridge is ${host.toString(16)}`);
    if ((await pci.read(bdf, 'c', 0, 4)) === 0xffff_ffff) throw new UsageError('no function answers at --bdf');
    return new RemoteMachine(machine, qtest, bdf);
  }

  /** Resolved when a mark in the function's Interrupt Line, which every reset clears, is gone. */
  async reset(): Promise<void> {
    const pci = new QemuPci({ machine: 'pc', qtest: this.qtest, reset: async () => {} });
    await pci.write(this.#bdf, 'c', INTERRUPT_LINE, 1, MARK);
    await this.qtest.out(RESET_PORT, 1, HARD_RESET);
    for (let waited = 0; (await pci.read(this.#bdf, 'c', INTERRUPT_LINE, 1)) === MARK; waited++) {
      if (waited > LONGEST_RESET_MS) throw new QtestError(`the machine was not reset within ${LONGEST_RESET_MS} ms`);
      await pause(1);
    }
  }
}
