import { describe, expect, test } from 'vitest';
import {
  conventionalCapabilities,
  createFunction,
  type EmulatedFunction,
  extendedCapabilities,
  type Flavour,
} from '../../src/pci/index.ts';
import { probes } from './inferred-masks.ts';

/** A type 0 function with one conventional capability at 0x40. */
function withCapability(bytes: number[], flavour: Flavour = 'spec'): EmulatedFunction {
  const image = new Uint8Array(256);
  image.set([0xf4, 0x1a, 0x01, 0x00], 0);
  image[0x06] = 0x10;
  image[0x34] = 0x40;
  image.set(bytes, 0x40);
  return createFunction({ name: 'f', bdf: 8, image, bars: [{ bar: 0, kind: 'mem32', sizeBytes: 4096 }], flavour });
}

describe('power management', () => {
  const pm = (noSoftReset: number, flavour: Flavour) => {
    const f = withCapability([0x01, 0, 0x03, 0, noSoftReset], flavour);
    f.writeConfig(0x10, 4, 0xe0000000);
    f.writeConfig(4, 2, 2);
    f.writeConfig(0x44, 2, 3);
    return f;
  };

  test('D3hot decodes nothing, and resets on the way out unless No_Soft_Reset', () => {
    const [soft, kept] = [pm(0, 'spec'), pm(8, 'spec')];
    expect(soft.mappedBar(0)).toBeUndefined();
    for (const f of [soft, kept]) f.writeConfig(0x44, 2, 0);
    expect(soft.readConfig(4, 2)).toBe(0);
    expect(kept.mappedBar(0)?.base).toBe(0xe0000000);
  });
});

test('VPD: the flag turns over when the transfer is complete, at once', () => {
  const f = withCapability([0x03, 0, 0, 0]);
  f.writeConfig(0x42, 2, 0x0010);
  expect(f.readConfig(0x42, 2)).toBe(0x8010);
  f.writeConfig(0x42, 2, 0x8010);
  expect(f.readConfig(0x42, 2)).toBe(0x0010);
});

test('Advanced Features: FLR where it is offered', () => {
  for (const [caps, command] of [
    [3, 0],
    [1, 4],
  ]) {
    const f = withCapability([0x13, 0, 6, caps]);
    f.writeConfig(4, 2, 4);
    f.writeConfig(0x44, 1, 1);
    expect(f.readConfig(4, 2)).toBe(command);
    expect(f.readConfig(0x44, 1)).toBe(0);
  }
});

test('FLR leaves sticky bits and the link alone, a conventional reset does not', () => {
  const image = new Uint8Array(4096);
  image.set([0x86, 0x80, 0x01, 0x00], 0);
  image[0x06] = 0x10;
  image[0x34] = 0x40;
  image.set([0x10, 0, 0x02, 0, 0x01, 0, 0, 0x10], 0x40);
  image.set([0x01, 0x00, 0x02, 0x00], 0x100);
  const f = createFunction({ name: 'f', bdf: 8, image, bars: [] });
  const write = () => {
    f.writeConfig(0x48, 2, 0x503f); // payload 256, read request 4 KiB
    f.writeConfig(0x50, 2, 0x0042); // common clock, ASPM L1
    f.writeConfig(0x108, 4, 0x1000);
  };
  const read = () => [f.readConfig(0x48, 2), f.readConfig(0x50, 2), f.readConfig(0x108, 4)];
  write();
  f.writeConfig(0x48, 2, 0xd03f);
  expect(read()).toEqual([0x2830, 0x0042, 0x1000]);
  f.reset('conventional');
  expect(read()).toEqual([0x2810, 0, 0x0440_0000]);
});

test('every capability of the recordings has a table', () => {
  for (const { image } of probes())
    for (const { definition } of [...conventionalCapabilities(image), ...extendedCapabilities(image)])
      expect(definition.name).not.toMatch(/^(cap|ext)[0-9a-f]+$/);
});
