import { existsSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { direct, type QemuTarget as Target } from '../../src/harness/qemu/devices.ts';
import { QemuPci } from '../../src/harness/qemu/pci.ts';
import { type LiveProbe, probeFunction } from '../../src/harness/qemu/probe.ts';
import { Qemu, qemuVersion } from '../../src/harness/qemu/process.ts';
import { applySetup, record } from '../../src/harness/qemu/recorder.ts';
import { CONFIG_REPLAYER } from '../../src/harness/replay/config.ts';
import { RecordingReader } from '../../src/harness/replay/recording-reader.ts';
import { keepRecording } from './keep.ts';
import { TARGETS } from './targets.ts';

const version = qemuVersion() ?? '';
const whyNot = version.startsWith('7.2.') ? undefined : `QEMU ${version} is not the 7.2 whose bytes we claim`;

// --device, --machine, --seed and --ops of `npm run test:qemu`
const device = process.env['PIRQLAB_QEMU_DEVICE'];
const machine = process.env['PIRQLAB_QEMU_MACHINE'] === 'pc' ? 'pc' : 'q35';
const seed = Number(process.env['PIRQLAB_QEMU_SEED'] ?? 1);
const operations = Number(process.env['PIRQLAB_QEMU_OPS'] ?? 6000);
const targets = device === undefined ? TARGETS : [direct(device, machine)];

const title = (t: Target) => `${t.name} on ${t.machine}`;
const total = { devices: 0, operations: 0, comparisons: 0, differences: 0, excluded: new Map<string, number>() };

async function withQemu<T>({ machine, args, setup = [] }: Target, work: (qemu: Qemu, pci: QemuPci) => Promise<T>) {
  const qemu = await Qemu.start({ machine, args });
  try {
    const pci = new QemuPci(qemu);
    await pci.enableEcam();
    await applySetup(pci, setup);
    return await qemu.whileAlive(work(qemu, pci));
  } finally {
    await qemu.close();
  }
}

function measure(target: Target): Promise<LiveProbe[]> {
  return withQemu(target, async (_, pci) => {
    const bus = target.bus ?? 0;
    const found = (await pci.scan(bus)).filter((bdf) => bus !== 0 || bdf >> 3 === 4);
    const probes: LiveProbe[] = [];
    for (const bdf of found) probes.push(await probeFunction(pci, bdf));
    return probes;
  });
}

function expectRecorded({ init, rw }: LiveProbe, file: string): void {
  const { funcs } = JSON.parse(readFileSync(file, 'utf8')) as { funcs: LiveProbe[] };
  expect(init).toBe(funcs[0].init);
  expect(rw).toBe(funcs[0].rw);
}

describe('random accesses: QEMU and the model answer alike', () => {
  test.for(targets.map((t) => [title(t), t] as const))('%s', async ([, target], ctx) => {
    if (whyNot) ctx.skip(whyNot);
    const probes = await measure(target);
    expect(probes.length, 'functions found').toBeGreaterThan(0);
    const { name, args, setup = [] } = target;
    const recorded = `test/golden/probe/${name}.${target.machine}.json`;
    if (device === undefined && existsSync(recorded)) expectRecorded(probes[0], recorded);
    const lines = await withQemu(target, (qemu) => record(qemu, probes, { seed, operations, setup }));
    const header = {
      ...{ format: 1, device: name, machine: target.machine, args, kind: 'random', seed, qemu: version },
      ...{ bdf: probes.map((p) => p.bdf), cfg_size: probes.map((p) => p.init.length / 2), setup },
    };
    const probe = { device: name, machine: target.machine, funcs: probes };
    const reader = RecordingReader.of(lines, `${name}.${target.machine}`);
    const result = CONFIG_REPLAYER.replay(reader.file, header, reader, { probe: () => ({ ...probe }) });
    total.devices++;
    total.operations += result.operations;
    total.comparisons += result.comparisons;
    total.differences += result.differences;
    for (const [reason, n] of Object.entries(result.excluded))
      total.excluded.set(reason, (total.excluded.get(reason) ?? 0) + n);
    const kept = result.differences === 0 ? '' : keepRecording(header, lines, probe);
    expect(result.differences, `${result.first}; ${kept}`).toBe(0);
  });

  afterAll(() => {
    if (total.devices === 0) return;
    const { devices, operations: done, comparisons, differences, excluded } = total;
    const left = [...excluded].map(([reason, n]) => `\n  left out ${n}: ${reason}`).join('');
    console.log(
      `QEMU ${version}, ${devices} devices, seed ${seed}: ${done} operations, ${comparisons} comparisons, ` +
        `${differences} differences${left}`,
    );
  });
});
