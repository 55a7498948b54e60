import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../src/core/index.ts';
import { createFunction, type EmulatedFunction, type Flavour, guessBars } from '../../src/pci/index.ts';

function golden(label: string, flavour: Flavour = 'spec'): EmulatedFunction {
  const probe = JSON.parse(readFileSync(new URL(`../golden/probe/${label}.json`, import.meta.url), 'utf8'));
  const image = fromHex(probe.funcs[0].init);
  return createFunction({ name: label, bdf: 0x20, image, bars: guessBars(image), flavour });
}

describe('MSI-X', () => {
  const nvme = () => {
    const f = golden('nvme-q9.q35');
    f.writeConfig(4, 2, 6);
    f.writeBar(0, f.msix!.tableOffset, 4, 0xfee00000);
    f.writeBar(0, f.msix!.tableOffset + 8, 4, 0x4021);
    return f;
  };

  test('a masked vector is held and sent when it is unmasked', () => {
    const f = nvme();
    f.writeConfig(0x42, 2, 0x8000);
    f.raise(0);
    expect(f.effects).toEqual([]);
    expect(f.readBar(f.msix!.pbaBar, f.msix!.pbaOffset, 4)).toBe(1);
    f.writeBar(0, f.msix!.tableOffset + 12, 4, 0);
    expect(f.effects).toEqual([
      { kind: 'message', bdf: 0x20, vector: 0, addressLo: 0xfee00000, addressHi: 0, data: 0x4021 },
    ]);
    expect(f.msix!.isPending(0)).toBe(false);
  });

  test('function mask holds all vectors until it is cleared', () => {
    const f = nvme();
    f.writeBar(0, f.msix!.tableOffset + 12, 4, 0);
    f.writeConfig(0x42, 2, 0xc000);
    f.raise(0);
    f.raise(3);
    f.writeConfig(0x42, 2, 0x8000);
    expect(f.effects.map((e) => e.kind === 'message' && e.vector)).toEqual([0]);
    expect(f.msix!.isPending(3)).toBe(true);
  });

  test('without Bus Master Enable a message is lost', () => {
    const f = nvme();
    f.writeBar(0, f.msix!.tableOffset + 12, 4, 0);
    f.writeConfig(0x42, 2, 0x8000);
    f.writeConfig(4, 2, 2);
    f.raise(0);
    expect(f.effects).toEqual([]);
  });
});

describe('INTx', () => {
  test('status follows the device, the line also the disable bit', () => {
    const f = golden('nvme.q35');
    f.raise(0);
    expect(f.readConfig(6, 2) & 8).toBe(8);
    f.writeConfig(4, 2, 0x400);
    f.lower();
    expect(f.effects.map((e) => e.kind === 'intx' && e.level)).toEqual([1, 0]);
  });
});

describe('configuration space', () => {
  test('beyond the end: all ones, writes vanish', () => {
    const f = golden('edu.pc');
    expect(f.readConfig(0x100, 4)).toBe(0xffffffff);
    f.writeConfig(0x100, 4, 0);
    expect(f.readConfig(0xfe, 4)).toBe(f.readConfig(0xfe, 2));
  });

  test('FLR resets the function and leaves what it must', () => {
    const f = golden('nvme.q35');
    f.writeConfig(4, 2, 6);
    f.writeConfig(0x88, 2, 0x8000 | 0x2810);
    expect(f.readConfig(4, 2)).toBe(0);
    expect(f.readConfig(0x88, 2) & 0x8000).toBe(0);
  });
});
