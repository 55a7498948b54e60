import { afterAll, describe, expect, test } from 'vitest';
import { QEMU_7_2 } from '../../src/fuzz/against/qemu-7.2.ts';
import { judgeQtest, replayQtest } from '../../src/fuzz/against/qtest-judge.ts';
import { isKnown } from '../../src/fuzz/against/qtest-known.ts';
import { qemuPlaces } from '../../src/fuzz/against/qtest-open.ts';
import type { Aim } from '../../src/fuzz/against/qtest-steps.ts';
import { qemuVersion } from '../../src/harness/qemu/process.ts';

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

  afterAll(() => {
    if (total.steps === 0) return;
    const { steps, messages, reproduced, findings } = total;
    console.log(
      `QEMU ${version} against the specification, ${devices.length} devices: ${QEMU_7_2.length} known deviations shown ` +
        `${reproduced} times; ${steps} random accesses, ${messages} messages, ${findings} new`,
    );
  });
});
