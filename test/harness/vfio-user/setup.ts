import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type FdSockets,
  loadFdSockets,
  MemoryPort,
  serveVfioUser,
  vfioDevice,
} from '../../../src/harness/vfio-user/index.ts';
import { createNvmeFunction, MemoryNamespace, type NvmeFunctionOptions } from '../../../src/pci/devices/nvme/index.ts';

const BUILD = fileURLToPath(new URL('../../../scripts/build-addon.mjs', import.meta.url));

/** The ways to pass descriptors that work here, the add-on built first; else why there is none. */
export function transports(): { available: FdSockets[]; reason: string } {
  spawnSync(process.execPath, [BUILD], { stdio: 'ignore' });
  const found = (['add-on', 'koffi'] as const).map((kind) => loadFdSockets(kind));
  const available = found.filter((f): f is FdSockets => !('unavailable' in f));
  return { available, reason: found.map((f) => ('unavailable' in f ? f.unavailable : '')).join('; ') };
}

/** An NVMe controller served in this process at a socket of its own. */
export function serveNvme(sockets: FdSockets, options: NvmeFunctionOptions = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'pirqlab-vfio-'));
  const path = join(directory, 's');
  const port = new MemoryPort();
  const namespaces = [new MemoryNamespace(1 << 20)];
  const fn = createNvmeFunction({ queuePairs: 4, namespaces, ...options, dma: port, defer: true });
  const log: string[] = [];
  const server = serveVfioUser({
    path,
    device: vfioDevice(fn, fn.arena, port),
    log: (line) => void log.push(line.replace(path, 'PATH')),
    sockets,
  });
  const close = () => {
    server.close();
    rmSync(directory, { recursive: true });
  };
  return { path, directory, fn, log, server, close };
}

export function openDescriptors(pid: number | 'self' = 'self'): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Turns of the event loop until `done`; a test that never gets there fails by its timeout. */
export async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
}
