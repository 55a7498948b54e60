import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Width } from '../../../../src/core/index.ts';
import { Ram } from './fake-host.ts';
import type { RegisterFile } from './toy-driver.ts';

/** Why no QEMU can be asked, or undefined if one can. */
export function whyNoQemu(): string | undefined {
  const { stdout, error } = spawnSync('qemu-system-x86_64', ['-device', 'help'], { encoding: 'utf8' });
  if (error) return 'no qemu-system-x86_64';
  return stdout.includes('name "nvme"') ? undefined : 'this QEMU has no NVMe controller';
}

const BAR0 = 0xe000_0000;
/** Guest RAM from here on is mirrored: below lie the holes of a PC. */
export const QEMU_RAM_BASE = 0x10_0000;
const MIRRORED = 0x6_0000;
/** RAM is compared and written by such pieces: the size of a command, so that no completion is overwritten. */
const LINE = 64;
const WORDS = LINE / 4;

/**
 * QEMU's own NVMe controller over qtest, its processor halted. Guest RAM is a file that both use: what the driver
 * changed in `ram` is written out before every register write, and the file read back after it.
 */
export class QemuNvme implements RegisterFile {
  readonly ram = new Ram(QEMU_RAM_BASE + MIRRORED);
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #to: number;
  readonly #from: number;
  readonly #memory: number;
  /** RAM as last read back. */
  readonly #known = new Uint8Array(MIRRORED);

  constructor(device = 'max_ioqpairs=4,msix_qsize=5') {
    this.#folder = mkdtempSync(join(tmpdir(), 'pirqlab-qemu-'));
    const path = (name: string) => join(this.#folder, name);
    execFileSync('mkfifo', [path('q.in'), path('q.out')]);
    writeFileSync(path('disk'), new Uint8Array(1 << 20));
    const firmware = new Uint8Array(0x10000).fill(0xf4);
    firmware.set([0xfa, 0xf4, 0xeb, 0xfd], 0xfff0); // cli; hlt; jmp to the hlt
    writeFileSync(path('firmware'), firmware);
    const args = [
      ...['-machine', 'q35,memory-backend=m', '-bios', path('firmware'), '-display', 'none', '-nodefaults'],
      ...['-object', `memory-backend-file,id=m,size=64M,mem-path=${path('ram')},share=on`, '-m', '64M'],
      ...['-qtest', `pipe:${path('q')}`, '-qtest-log', '/dev/null'],
      ...['-drive', `if=none,id=d,file=${path('disk')},format=raw`],
      ...['-device', `nvme,serial=q,drive=d,addr=4,${device}`],
    ];
    this.#to = openSync(path('q.in'), constants.O_RDWR);
    this.#from = openSync(path('q.out'), constants.O_RDWR | constants.O_NONBLOCK);
    this.#process = spawn('qemu-system-x86_64', args, { stdio: 'ignore' });
    process.once('exit', () => this.#process.kill('SIGKILL'));
    this.#writeConfig(0x04, 0);
    this.#writeConfig(0x10, BAR0);
    this.#writeConfig(0x14, 0);
    this.#writeConfig(0x04, 6);
    this.#memory = openSync(path('ram'), 'r+');
  }

  readRegister(offset: number, width: Width): number {
    return Number(this.#ask(`read${{ 1: 'b', 2: 'w', 4: 'l' }[width]} ${BAR0 + offset}`));
  }

  writeRegister(offset: number, width: Width, value: number): void {
    const now = new Int32Array(this.ram.bytes.buffer, QEMU_RAM_BASE, MIRRORED / 4);
    const known = new Int32Array(this.#known.buffer);
    for (let w = 0; w < now.length; w++) {
      if (now[w] === known[w]) continue;
      w -= w % WORDS;
      writeSync(this.#memory, this.ram.bytes, QEMU_RAM_BASE + 4 * w, LINE, QEMU_RAM_BASE + 4 * w);
      w += WORDS - 1;
    }
    this.#ask(`write${{ 1: 'b', 2: 'w', 4: 'l' }[width]} ${BAR0 + offset} ${value >>> 0}`);
    this.wait();
  }

  /** Lets QEMU work: it acts on doorbells by timers of half a microsecond and threads of the block layer. */
  wait(): void {
    sleep(3);
    readSync(this.#memory, this.#known, 0, MIRRORED, QEMU_RAM_BASE);
    this.ram.bytes.set(this.#known, QEMU_RAM_BASE);
  }

  /** MSI-X on or off. */
  enableMsix(on: boolean): void {
    this.#writeConfig(0x40, on ? 0x8000_0000 : 0);
  }

  quit(): void {
    this.#process.kill('SIGKILL');
    for (const fd of [this.#to, this.#from, this.#memory]) closeSync(fd);
    rmSync(this.#folder, { recursive: true });
  }

  #writeConfig(offset: number, value: number): void {
    this.#ask(`outl 0xcf8 ${0x8000_2000 + offset}`);
    this.#ask(`outl 0xcfc ${value >>> 0}`);
  }

  /** One command of the qtest protocol; its answer without the `OK`. */
  #ask(line: string): string {
    writeSync(this.#to, `${line}\n`);
    let text = '';
    const buffer = new Uint8Array(4096);
    for (let tries = 0; tries < 20_000; tries++) {
      try {
        text += new TextDecoder().decode(buffer.subarray(0, readSync(this.#from, buffer)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        sleep(1);
      }
      if (text.endsWith('\n')) return text.trim().replace(/^OK ?/, '');
    }
    throw new Error(`QEMU does not answer "${line}"`);
  }
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
