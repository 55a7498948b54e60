import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { register } from '../../../src/cli/fuzz.ts';
import { Arena } from '../../../src/core/index.ts';
import { imageSpec } from '../../../src/fuzz/images.ts';
import { MemoryPort, serveVfioUser, vfioDevice } from '../../../src/harness/vfio-user/index.ts';
import { builtinDump, listBuiltinDumps, parseDump } from '../../../src/pci/dump/index.ts';
import { createFunction, type EmulatedFunction, type FunctionSpec } from '../../../src/pci/index.ts';
import { runCommand } from '../../cli/run.ts';
import { openDescriptors, serveNvme, transports, until } from '../../harness/vfio-user/setup.ts';

const { available, reason } = transports();
const [sockets] = available;

const DEVICE = imageSpec({
  name: 'device',
  pm: 0xc803,
  msi: 0x0186,
  msix: { count: 4 },
  express: { caps: 0x1000_8fe1 },
});

let folder: string;
let was: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-against-'));
  was = process.cwd();
  process.chdir(folder); // findings go here
});
afterEach(() => {
  process.chdir(was);
  process.exitCode = 0;
  rmSync(folder, { recursive: true });
});

/** A function behind our server; `plant` spoils it. */
function serve(spec: FunctionSpec, plant: (fn: EmulatedFunction) => void = () => {}) {
  const arena = new Arena(1 << 17);
  const fn = createFunction(spec, { arena });
  plant(fn);
  const path = join(folder, 's');
  const log: string[] = [];
  const server = serveVfioUser({
    path,
    device: vfioDevice(fn, arena, new MemoryPort()),
    log: (l) => log.push(l),
    sockets,
  });
  return { where: `vfio-user:${path}`, log, close: () => server.close() };
}

const fuzz = (...args: string[]) => runCommand(register, 'fuzz', ...args);

describe.skipIf(available.length === 0)(`against a vfio-user server ${reason}`, () => {
  test.each(['config', 'msi', 'msix'])('%s: our own server has no finding', async (target) => {
    const { where, log, close } = serve(DEVICE);
    try {
      const before = openDescriptors();
      const result = JSON.parse(await fuzz('--target', target, '--against', where, '--runs', '30', '--json'));
      expect(result).toMatchObject({ findings: [], runs: 30, label: `vfio-user 1af4:0001 at ${where.slice(10)}` });
      expect(result.steps).toBeGreaterThan(200);
      expect(log).toEqual([]);
      await until(() => openDescriptors() === before); // the server sees that its client left
    } finally {
      close();
    }
  });

  test.each(['config', 'msix'])('%s: the NVMe controller has no finding', async (target) => {
    const { path, close } = serveNvme(sockets);
    try {
      const result = JSON.parse(
        await fuzz('--target', target, '--against', `vfio-user:${path}`, '--runs', '15', '--json'),
      );
      expect(result.findings).toEqual([]);
    } finally {
      close();
    }
  });

  test.each(listBuiltinDumps())('config: a clone of %s has no finding', async (id) => {
    for (const { spec } of parseDump(builtinDump(id)).slice(0, 2)) {
      const { where, close } = serve(spec);
      try {
        const result = JSON.parse(await fuzz('--target', 'config', '--against', where, '--runs', '8', '--json'));
        expect(result.findings).toEqual([]);
      } finally {
        close();
      }
    }
  });

  test('a planted bug is found, shrunk, told, kept and replayed', async () => {
    const { where, close } = serve(DEVICE, (fn) => {
      const write = fn.writeBar.bind(fn);
      fn.writeBar = (bar, offset, width, value) =>
        write(bar, offset, width, offset % 16 === 8 ? value & 0xffff : value);
    });
    try {
      const text = await fuzz('--target', 'msix', '--against', where, '--runs', '100');
      expect(process.exitCode).toBe(1);
      expect(text).toMatch(/bits of msix.table.data: BAR 0\+0x.* width 4 reads 0x0000.*, should be/);
      expect(text).toMatch(/shrunk to 1:\n {2}1 {2}write 0x[0-9a-f]+ to msix.table\[0\].data/);
      const [kept] = readdirSync('findings');
      expect(readFileSync(join('findings', kept, 'story.txt'), 'utf8')).toContain('msix.table[0].data');
      const input = join('findings', kept, 'input.bin');
      expect(await fuzz('--replay', input, '--against', where)).toMatch(/differs: bits of msix.table.data/);
      expect(await fuzz('--replay', input)).toMatch(/no law is broken/); // by the model
    } finally {
      close();
    }
  });

  test('a server that closes the connection is a finding', async () => {
    const { where, close } = serve(DEVICE, (fn) => {
      const write = fn.writeConfig.bind(fn);
      fn.writeConfig = (offset, width, value) => {
        if (offset === 0x3c) closeLater();
        write(offset, width, value);
      };
    });
    let closed = false;
    const closeLater = () => {
      if (!closed) close();
      closed = true;
    };
    const text = await fuzz('--target', 'config', '--against', where, '--runs', '100');
    expect(text).toMatch(/lost: .*closed.*, and it does not come back/);
    expect(process.exitCode).toBe(1);
  });

  test.each([
    [
      ['--target', 'msix', '--against', 'vfio-user:/nonexistent/s'],
      /no vfio-user device at \/nonexistent\/s: cannot connect/,
    ],
    [['--target', 'msix', '--against', 'telnet:x'], /--against takes vfio-user:/],
    [['--target', 'dump', '--against', 'vfio-user:/x'], /target of registers/],
    [['--target', 'msix', '--against', 'vfio-user:/x', '--corpus', 'x'], /goes without/],
  ])('%j is refused', async (args, message) => {
    await expect(fuzz(...args)).rejects.toThrow(message);
  });
});
