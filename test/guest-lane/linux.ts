import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FdSockets, MemoryPort, serveVfioUser, vfioDevice } from '../../src/harness/vfio-user/index.ts';
import { createNvmeFunction, MemoryNamespace, type NvmeFunctionOptions } from '../../src/pci/devices/nvme/index.ts';

/** Folder with Debian, QEMU and a kernel, as `scripts/test-guest.mjs` makes it. */
export const ROOT = process.env['PIRQLAB_GUEST_ROOT'] ?? '';
/** Where the lane puts its files, and how those in the folder see it. */
const INSIDE = '/tmp/lane';
const SHARED = 'memory-backend-memfd,id=mem,size=256M,share=on';

/** Runs a shell in the folder. */
function inRoot(script: string): string {
  const done = spawnSync('chroot', [ROOT, 'sh', '-ec', script], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${script}: ${done.stderr}`);
  return done.stdout;
}

export function qemuVersion(): string {
  return /version (\S+)/.exec(inRoot('qemu-system-x86_64 --version'))![1];
}

/** Packs busybox, lspci, mke2fs, perl with their libraries, and the two programs. */
export function makeInitramfs(): void {
  rmSync(join(ROOT, INSIDE), { recursive: true, force: true });
  mkdirSync(join(ROOT, INSIDE, 'image'), { recursive: true });
  const pack = (name: string, as = name) =>
    copyFileSync(fileURLToPath(new URL(name, import.meta.url)), join(ROOT, INSIDE, 'image', as));
  pack('init.sh', 'init');
  pack('random-read.pl');
  inRoot(`cd ${INSIDE}/image
    chmod 755 init
    mkdir bin tools proc sys dev mnt
    cp /usr/bin/busybox bin
    cp /usr/bin/lspci /usr/sbin/mke2fs /usr/bin/perl tools
    for file in $(ldd tools/* | grep -o '/[^ :]*' | sort -u); do
      case $file in *.so*) mkdir -p .\${file%/*}; cp -L $file .$file;; esac
    done
    find . | cpio -o -H newc --quiet | gzip -1 > ../initrd`);
}

export interface Boot {
  sockets: FdSockets;
  memory: 'shared' | 'unshared';
  controllers: NvmeFunctionOptions[];
  append?: string;
}

export interface Outcome {
  /** What init printed, by the word after the @. */
  lines(kind: string): string[];
  /** What the servers logged. */
  log: string[];
  seconds: number;
}

/** Boots Linux with the controllers, to power-off. @throws Error with the console's last lines if it does not get there */
export async function boot({ sockets, memory, controllers, append = '' }: Boot): Promise<Outcome> {
  const log: string[] = [];
  const started = performance.now();
  const paths = controllers.map((_, i) => `${INSIDE}/s${i}`);
  const servers = controllers.map((options, i) => {
    const port = new MemoryPort();
    const namespaces = [new MemoryNamespace(64 << 20)];
    const fn = createNvmeFunction({ namespaces, serial: `lane-${i}`, ...options, dma: port, defer: true });
    const path = join(ROOT, paths[i]);
    return serveVfioUser({ path, device: vfioDevice(fn, fn.arena, port), log: (line) => void log.push(line), sockets });
  });
  try {
    const console = await runQemu(
      [...(memory === 'shared' ? ['-object', SHARED, '-machine', 'q35,memory-backend=mem'] : ['-machine', 'q35'])],
      paths,
      `console=ttyS0 quiet panic=-1 controllers=${controllers.length} ${append}`,
    );
    const all = console.split(/\r?\n/);
    const tail = () => [...log, ...all.slice(-40)].join('\n');
    if (!all.includes('@end')) throw new Error(`the guest did not finish:\n${tail()}`);
    const lines = (kind: string) => all.filter((l) => l.startsWith(`@${kind} `)).map((l) => l.slice(kind.length + 2));
    return { lines, log, seconds: (performance.now() - started) / 1000 };
  } finally {
    for (const server of servers) server.close();
  }
}

/** @returns what came over the serial console and QEMU's standard error */
function runQemu(machine: string[], paths: string[], append: string): Promise<string> {
  const kernel = readdirSync(join(ROOT, 'boot')).find((name) => name.startsWith('vmlinuz-'));
  const devices = paths.flatMap((path, i) => [
    '-device',
    JSON.stringify({ driver: 'vfio-user-pci', socket: { type: 'unix', path }, addr: `${i + 2}.0` }),
  ]);
  const args = [
    ...machine,
    ...['-m', '256M', '-smp', '2', '-accel', 'tcg', '-cpu', 'max', '-nodefaults', '-display', 'none'],
    ...['-serial', `file:${INSIDE}/console`, '-no-reboot', '-append', append],
    ...['-kernel', `/boot/${kernel}`, '-initrd', `${INSIDE}/initrd`, ...devices],
  ];
  rmSync(join(ROOT, INSIDE, 'console'), { force: true });
  const qemu = spawn('chroot', [ROOT, 'qemu-system-x86_64', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  qemu.stderr.on('data', (data) => (errors += data));
  const timer = setTimeout(() => qemu.kill('SIGKILL'), 150_000);
  return new Promise((resolve, reject) => {
    qemu.on('error', reject);
    qemu.on('exit', () => {
      clearTimeout(timer);
      resolve(readFileSync(join(ROOT, INSIDE, 'console'), 'utf8') + errors);
    });
  });
}
