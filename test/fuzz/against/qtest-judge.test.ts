import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { fromHex } from '../../../src/core/index.ts';
import { judgeQtest, replayQtest } from '../../../src/fuzz/against/qtest-judge.ts';
import type { QtestPlace } from '../../../src/fuzz/against/qtest-peer.ts';
import type { Aim } from '../../../src/fuzz/against/qtest-steps.ts';
import { type ImageOptions, imageSpec } from '../../../src/fuzz/images.ts';
import { barsFromMasks, createFunction, type EmulatedFunction, type Flavour } from '../../../src/pci/index.ts';
import { FakeMachine } from '../../harness/qemu/fake-machine.ts';

const BDF = 0x20;
const machines: FakeMachine[] = [];
afterEach(() => {
  for (const machine of machines.splice(0)) machine.qtest.close();
});

/** A machine with one function of ours, as if it were QEMU's. */
function places(
  spec: Parameters<typeof createFunction>[0],
  change: (fn: EmulatedFunction) => void = () => {},
): () => Promise<QtestPlace> {
  return async () => {
    const fn = createFunction({ ...spec, bdf: BDF });
    change(fn);
    const machine = await FakeMachine.start([fn]);
    machines.push(machine);
    return { machine, bdf: BDF, close: async () => machine.qtest.close() };
  };
}

function recorded(name: string, flavour: Flavour) {
  const { funcs } = JSON.parse(readFileSync(`test/golden/probe/${name}.json`, 'utf8'));
  const [image, writable] = [fromHex(funcs[0].init), fromHex(funcs[0].rw)];
  return { name, bdf: BDF, image, bars: barsFromMasks(image, writable), flavour };
}

const told = (findings: readonly { law: string; register: string; text: string; lines: string[] }[]) =>
  findings.map(({ law, register, text, lines }) => `${law}, ${register}: ${text}; ${lines.join('; ')}`);

describe('a function that keeps to the specifications', () => {
  const made: [string, ImageOptions, Aim[]][] = [
    ['conventional with MSI', { name: 'a', msi: 0x0080 }, ['config', 'msi']],
    ['with masks and power management', { name: 'b', msi: 0x0186, pm: 0x0003 }, ['config', 'msi']],
    [
      'express with FLR',
      { name: 'c', express: { caps: 0x1000_8fe1 }, pm: 0x0003, msix: { count: 4 } },
      ['config', 'msix'],
    ],
  ];
  test.each(made)('%s: no finding', async (_, options, aims) => {
    const { findings, steps } = await judgeQtest(places(imageSpec(options)), { aims, seed: 5, runs: 20, known: [] });
    expect(told(findings)).toEqual([]);
    expect(steps).toBeGreaterThan(300);
  });
});

/** QEMU's edu in so far as it raises interrupts; `wrong` meddles with what a raise brought about. */
function asEdu(wrong: (effects: EmulatedFunction['effects'], fn: EmulatedFunction) => void = () => {}) {
  return (fn: EmulatedFunction) => {
    const writeBar = fn.writeBar.bind(fn);
    fn.writeBar = (bar, offset, width, value) => {
      if (offset === 0x64) fn.lower();
      else if (offset !== 0x60) writeBar(bar, offset, width, value);
      else {
        fn.raise(0);
        wrong(fn.effects, fn);
      }
    };
  };
}

function changeData(effects: EmulatedFunction['effects']): void {
  for (const effect of effects) if (effect.kind === 'message') effect.data ^= 1;
}

describe('messages', () => {
  const recordedEdu = recorded('edu.q35', 'spec');
  const options = { aims: ['msi'] as Aim[], seed: 3, runs: 12, known: [] };

  test('of a function that keeps to the specifications: no finding', async () => {
    const { findings, messages } = await judgeQtest(places(recordedEdu, asEdu()), options);
    expect(told(findings)).toEqual([]);
    expect(messages).toBeGreaterThan(10);
  });

  const wrongs: [string, string, (effects: EmulatedFunction['effects'], fn: EmulatedFunction) => void][] = [
    ['that carries other data', 'message, data', changeData],
    ['that is lost', 'message, missing', (effects) => effects.splice(0)],
    [
      'that is sent though MSI is off',
      'message, unasked',
      (effects, { msi }) => {
        const addressLo = msi?.addressLo ?? 0;
        if (effects.length === 0)
          effects.push({ kind: 'message', bdf: BDF, vector: 0, addressLo, addressHi: 0, data: 7 });
      },
    ],
  ];
  test.each(wrongs)('one %s is found', async (_, register, wrong) => {
    const { findings } = await judgeQtest(places(recordedEdu, asEdu(wrong)), { ...options, runs: 40 });
    const found = findings.find((f) => f.register === register);
    expect(found?.steps.length).toBeLessThanOrEqual(4);
    expect(found?.lines.at(-1)).toBe('raise 0');
  });
});

describe('a function in the flavour of QEMU 7.2', () => {
  /** Its registers, but no controller behind them that could raise something. */
  const nvme = recorded('nvme.q35', 'qemu-7.2');
  nvme.image[2] ^= 0x80;

  test('what is found is known', async () => {
    const options = { aims: ['config', 'msix'] as Aim[], seed: 2, runs: 20 };
    const { findings, seen } = await judgeQtest(places(nvme), options);
    expect(told(findings)).toEqual([]);
    expect([...seen].map(({ id }) => id)).toContain('power-state-not-offered');
  });

  test('a finding is shrunk to what it takes', async () => {
    const options = { aims: ['config'] as Aim[], seed: 2, runs: 40, known: [] };
    const { findings } = await judgeQtest(places(nvme), options);
    expect(findings.find(({ law }) => law === 'reset')?.lines).toEqual(['w8 pm.pmcsr 0x3', 'reset']);
    expect(findings.find(({ law }) => law === 'power state')?.steps).toHaveLength(1);
  });

  test('steps as text are carried out', async () => {
    const inputs = [{ aim: 'config' as const, steps: ['w8 outside 0x1', 'reset'] }];
    const [{ differences, story }] = await replayQtest(places(recorded('edu.q35', 'qemu-7.2')), inputs);
    expect(differences.map(({ law, register, verdict }) => [law, register, verdict])).toEqual([
      ['constant', 'outside capabilities', 'custom'],
    ]);
    expect(story[0]).toContain('write 0x01 to config+0x50');
  });
});
