import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { QEMU_7_2 } from '../../src/fuzz/against/qemu-7.2.ts';
import { judgeQtest, replayQtest } from '../../src/fuzz/against/qtest-judge.ts';
import { isKnown } from '../../src/fuzz/against/qtest-known.ts';
import { qemuPlaces, qtestPlaces } from '../../src/fuzz/against/qtest-open.ts';
import type { Aim } from '../../src/fuzz/against/qtest-steps.ts';
import { Keeper } from '../../src/harness/qemu/keeper.ts';
import { QEMU_BINARY, qemuVersion } from '../../src/harness/qemu/process.ts';

const version = qemuVersion() ?? '';
const whyNot = version.startsWith('7.2.') ? undefined : `QEMU ${version} is not the 7.2 whose deviations are recorded`;
const devices = [...new Set(QEMU_7_2.flatMap((d) => d.devices))].sort();
const HAS_MSI = /^(edu|e1000e|ioh3420)/;
const HAS_NO_MSIX = /^(edu|ioh3420)/;
const RUNS = 25;
const total = { steps: 0, messages: 0, reproduced: 0, findings: 0 };

describe('devices of QEMU against the specification', () => {
  test.for(devices)('%s: every recorded deviation shows, and nothing else', async (device, ctx) => {
    if (whyNot) ctx.skip(whyNot);
    const list = QEMU_7_2.filter((d) => d.devices.includes(device));
    const results = await replayQtest(
      qemuPlaces(device),
      list.map(({ aim, steps }) => ({ aim, steps })),
    );
    for (const [i, deviation] of list.entries()) {
      const { differences } = results[i];
      expect(
        differences.some((d) => isKnown(deviation, d)),
        `${deviation.id} shows`,
      ).toBe(true);
      expect(differences.filter((d) => !QEMU_7_2.some((known) => isKnown(known, d)))).toEqual([]);
    }
    total.reproduced += list.length;
  });

  test.for(devices)('%s: fuzzing finds nothing new', async (device, ctx) => {
    if (whyNot) ctx.skip(whyNot);
    const aims: Aim[] = ['config'];
    if (HAS_MSI.test(device)) aims.push('msi');
    if (!HAS_NO_MSIX.test(device)) aims.push('msix');
    const { findings, steps, messages } = await judgeQtest(qemuPlaces(device), { aims, seed: 1, runs: RUNS });
    total.steps += steps;
    total.messages += messages;
    total.findings += findings.length;
    expect(findings.map(({ law, register, text, lines }) => ({ law, register, text, lines }))).toEqual([]);
  });

  test('a QEMU that runs already is reached by its socket and reset by its chipset', async (ctx) => {
    if (whyNot) ctx.skip(whyNot);
    const folder = mkdtempSync(join(tmpdir(), 'pirqlab-qtest-'));
    const socket = join(folder, 'qtest');
    const machine = ['-machine', 'q35', '-S', '-nodefaults', '-display', 'none', '-m', '64M', '-device', 'edu,addr=4'];
    const qtest = ['-qtest', `unix:${socket},server=on,wait=off`, '-qtest-log', '/dev/null'];
    const keeper = new Keeper([QEMU_BINARY, ...machine, ...qtest]);
    try {
      for (let waited = 0; !existsSync(socket) && waited < 100; waited++) await pause(50);
      const options = { aims: ['config', 'msi'] as Aim[], seed: 1, runs: 5 };
      const { findings, steps } = await keeper.orExit(judgeQtest(qtestPlaces(socket, '0:4.0'), options));
      expect(findings).toEqual([]);
      expect(steps).toBeGreaterThan(100);
    } finally {
      await keeper.end();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  afterAll(() => {
    if (total.steps === 0) return;
    const { steps, messages, reproduced, findings } = total;
    console.log(
      `QEMU ${version} against the specification, ${devices.length} devices: ${QEMU_7_2.length} known deviations shown ` +
        `${reproduced} times; ${steps} random accesses, ${messages} messages, ${findings} new`,
    );
  });
});
