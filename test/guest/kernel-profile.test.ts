import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/core/index.ts';
import {
  getKernelProfile,
  KERNEL_PROFILES,
  KernelRecords,
  SWITCHES,
  withDriverOf,
  withSwitches,
} from '../../src/guest/index.ts';

const base = getKernelProfile('linux-4.4.0-59');

test('every switch of every kernel has a meaning, a source, and takes the value it has', () => {
  for (const profile of KERNEL_PROFILES) {
    const { name, ...switches } = profile;
    expect(Object.keys(switches).sort()).toEqual(Object.keys(SWITCHES).sort());
    expect(withSwitches(profile, switches)).toEqual(profile);
    expect(name).toMatch(/^linux-/);
  }
  for (const spec of Object.values(SWITCHES)) expect(spec.source && spec.what).toBeTruthy();
});

test('Xenial before and after the fix differ in the re-use rule only', () => {
  expect({ ...base, name: 'linux-4.4.0-61', reuse: 'R2' }).toEqual(getKernelProfile('linux-4.4.0-61'));
});

test('switches may be given as text', () => {
  const changed = withSwitches(base, { reuse: 'R0', messageData: '0x0700', partialSuccess: 'false', nvmeIoDepth: '8' });
  expect(changed).toMatchObject({ reuse: 'R0', messageData: 0x700, partialSuccess: false, nvmeIoDepth: 8 });
});

describe('misuse is answered with what there is', () => {
  test.each([
    [() => getKernelProfile('linux-5'), /unknown kernel "linux-5"; there are linux-3\.13, linux-4\.4\.0-59/],
    [() => withSwitches(base, { colour: 'red' }), /unknown kernel switch "colour"; there are msiBackend, reuse/],
    [() => withSwitches(base, { reuse: 'R7' }), /reuse takes R0, R1, R2, Rideal, not "R7"/],
    [() => withSwitches(base, { messageData: '1' }), /messageData takes 0x4300, 0x0700, not "1"/],
    [() => withSwitches(base, { writesMasks: 'maybe' }), /writesMasks takes true or false/],
    [() => withSwitches(base, { nvmeAdminDepth: 1 }), /nvmeAdminDepth takes a number from 2 to 4096/],
    [() => new KernelRecords({ devices: 1, vectors: 1, queues: 2, gsis: 2 }), /at least 16 GSIs/],
    [
      () => new KernelRecords({ devices: 1, vectors: 1, queues: 2 }).device(0x18),
      /not enumerated function 0000:00:03\.0/,
    ],
    [() => new KernelRecords({ devices: 1, vectors: 1, queues: 2 }).perform('x', []), /no call "x"/],
  ])('%s', (misuse, message) => {
    expect(misuse).toThrow(UsageError);
    expect(misuse).toThrow(message);
  });
});

test('a driver can be taken from another release', () => {
  const mixed = withDriverOf(getKernelProfile('linux-4.4.0-61'), 'linux-3.13');
  expect(mixed).toMatchObject({ reuse: 'R2', nvmePreEnable: 'never', nvmePollThread: true, msixControlKept: false });
});
