import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fromHex } from '../../../src/core/index.ts';
import { QemuPci } from '../../../src/harness/qemu/pci.ts';
import { type LiveProbe, probeFunction } from '../../../src/harness/qemu/probe.ts';
import { record } from '../../../src/harness/qemu/recorder.ts';
import { CONFIG_REPLAYER } from '../../../src/harness/replay/config.ts';
import { RecordingReader } from '../../../src/harness/replay/recording-reader.ts';
import { barsFromMasks, createFunction, type EmulatedFunction } from '../../../src/pci/index.ts';
import { FakeMachine } from './fake-machine.ts';

const BDF = 0x20;
const DEVICES = ['nvme', 'e1000e', 'edu', 'pcie-root-port', 'virtio-blk-pci', 'ich9-ahci'];

function recordedProbe(name: string): LiveProbe {
  const probe = JSON.parse(readFileSync(`test/golden/probe/${name}.q35.json`, 'utf8')) as { funcs: LiveProbe[] };
  return probe.funcs[0];
}

function build(name: string): EmulatedFunction {
  const { init, rw } = recordedProbe(name);
  const [image, writable] = [fromHex(init), fromHex(rw)];
  const bars = barsFromMasks(image, writable);
  return createFunction({ name, bdf: BDF, image, bars, flavour: 'qemu-7.2', masks: { writable } });
}

async function compare(name: string, spoil: (fn: EmulatedFunction) => void = () => {}, seed = 1) {
  const measured = await FakeMachine.start([build(name)]);
  const probes = [await probeFunction(new QemuPci(measured), BDF)];
  const fn = build(name);
  const machine = await FakeMachine.start([fn]);
  machine.onWrite = () => spoil(fn);
  const lines = await record(machine, probes, { seed, operations: 1500 });
  measured.qtest.close();
  machine.qtest.close();
  const header = { device: name, machine: 'q35', kind: 'random', bdf: ['00:04.0'], cfg_size: [fn.configSize] };
  const reader = RecordingReader.of(lines, name);
  return { probes, lines, result: CONFIG_REPLAYER.replay(name, header, reader, { probe: () => ({ funcs: probes }) }) };
}

test.each(DEVICES)('a model of %s is measured as it was made, and records what it replays', async (name) => {
  const { probes, lines, result } = await compare(name);
  expect(probes[0].init).toBe(recordedProbe(name).init);
  expect(probes[0].rw).toBe(recordedProbe(name).rw);
  expect(result).toMatchObject({ differences: 0 });
  expect(result.comparisons).toBeGreaterThan(500);
  const kinds = new Set(lines.map((line) => (line as unknown[])[0]));
  const tables = build(name).msix ? ['tr', 'tw', 'pr', 'pw', 'T', 'P'] : [];
  expect([...kinds]).toEqual(expect.arrayContaining(['r', 'w', 's', 'reset', ...tables]));
});

test('the same seed gives the same accesses, another seed others', async () => {
  const accesses = async (seed: number) => JSON.stringify((await compare('edu', undefined, seed)).lines);
  const first = await accesses(5);
  expect(await accesses(5)).toBe(first);
  expect(await accesses(6)).not.toBe(first);
});

test('one wrong bit is found and named', async () => {
  const { result } = await compare('nvme', (fn) => {
    fn.config.bytes[0x0c] &= 0xfe;
  });
  expect(result.differences).toBeGreaterThan(0);
  expect(result.first).toMatch(/cacheLineSize|at 0x00c/);
});

test('I/O BARs are kept away from the ports of the machine', async () => {
  const { lines } = await compare('e1000e');
  const io = lines.filter((line) => {
    const [op, , , offset, width] = line as [string, number, string, number, number];
    return op === 'w' && offset < 0x1c && offset + width > 0x18;
  }) as unknown as [string, number, string, number, number, number][];
  expect(io.length).toBeGreaterThan(0);
  for (const [, , , offset, width, value] of io) {
    expect([offset, width]).toEqual([0x18, 4]);
    expect(value >>> 16).not.toBe(0);
  }
});
