import { beforeAll, describe, expect, test } from 'vitest';
import { loadFdSockets } from '../../src/harness/vfio-user/index.ts';
import { createNvmeFunction } from '../../src/pci/devices/nvme/index.ts';
import type { FunctionSpec } from '../../src/pci/index.ts';
import { boot, makeInitramfs, type Outcome, qemuVersion } from './linux.ts';

const found = loadFdSockets();

beforeAll(() => {
  makeInitramfs();
  console.log(`QEMU ${qemuVersion()} under TCG`);
});

/** What every run must show. */
function expectSound(outcome: Outcome, controllers: number): void {
  const { lines, log } = outcome;
  for (const kind of ['raw', 'files']) {
    const sums = lines(kind).map((line) => line.split(' '));
    expect(sums.map(([name]) => name)).toEqual(Array.from({ length: controllers }, (_, i) => `nvme${i}n1`));
    for (const [name, written, read] of sums) expect([name, read]).toEqual([name, written]);
  }
  expect(lines('again').map((line) => line.split(' ')[1])).toEqual(new Array(controllers).fill('4194304'));
  expect(lines('reset').every((line) => / flr/.test(line))).toBe(true);
  expect(lines('dmesg').filter((line) => /timeout|polled|I\/O error/i.test(line))).toEqual([]);
  expect(log).toEqual([]);
}

/** Interrupts taken so far of each line of /proc/interrupts that names a queue, over both processors. */
function interrupts({ lines }: Outcome): Map<string, number> {
  const counts = lines('interrupts').map((line): [string, number] => {
    const words = line.trim().split(/\s+/);
    return [words.slice(3).join(' '), Number(words[1]) + Number(words[2])];
  });
  return new Map(counts);
}

/** The controller's function without its MSI-X capability: the chain ends before it. */
function withoutMsix(): FunctionSpec {
  const { layout, bdf } = createNvmeFunction({ queuePairs: 4 });
  const image = layout.image.slice();
  image[0x71] = 0;
  return { name: 'nvme', bdf, image, bars: [...layout.bars] };
}

describe('Linux drives our NVMe controllers over vfio-user', () => {
  const cases = [
    { name: 'MSI-X, shared memory', memory: 'shared', shows: 'MSI-X: Enable+' },
    { name: 'MSI-X, unshared memory', memory: 'unshared', shows: 'MSI-X: Enable+' },
    { name: 'MSI only', memory: 'shared', shows: 'MSI: Enable+', spec: withoutMsix() },
    { name: 'INTx only', memory: 'shared', shows: 'Enable-', append: 'pci=nomsi' },
    { name: 'four controllers', memory: 'shared', shows: 'MSI-X: Enable+', controllers: 4 },
  ] as const;

  test.for(cases)('$name', async (wanted, ctx) => {
    if ('unavailable' in found) ctx.skip(found.unavailable);
    else {
      const { memory, controllers = 1, append, spec } = { controllers: 1, append: '', spec: undefined, ...wanted };
      const options = { queuePairs: 4, ...(spec && { spec }) };
      const outcome = await boot({ sockets: found, memory, append, controllers: new Array(controllers).fill(options) });
      expectSound(outcome, controllers);
      expect(outcome.lines('lspci').filter((l) => l.includes(wanted.shows)).length).toBeGreaterThanOrEqual(controllers);
      const counts = interrupts(outcome);
      expect([...counts.values()].every((n) => n > 0)).toBe(true);
      expect(counts.size).toBeGreaterThan(0);
      const total = [...counts].map(([line, n]) => `${line.split(' ').at(-1)} ${n}`).join(', ');
      expect(outcome.lines('random')).toHaveLength(controllers);
      for (const line of outcome.lines('random')) {
        const [disk, ...counts] = line.split(' ');
        const [commands, reads, fromDisk, fromCache] = counts.map(Number);
        expect([commands >= reads, commands < 2 * reads]).toEqual([true, true]);
        const each = (centiseconds: number) => `${((centiseconds * 10_000) / reads).toFixed(0)} µs`;
        console.log(
          `${wanted.name}: ${disk} 4-KiB random read ${each(fromDisk)}, from the page cache ${each(fromCache)}`,
        );
      }
      console.log(`${wanted.name}: ${outcome.seconds.toFixed(1)} s; interrupts ${total}`);
    }
  });
});
