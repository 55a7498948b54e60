import { describe, expect, test } from 'vitest';
import { createFunction, type EmulatedFunction, type Flavour } from '../../src/pci/index.ts';

const AT = 0x40;

/** A function with MSI alone: 1 << mmc vectors, 64-bit, masks if asked for. */
function make(flavour: Flavour, mmc: number, masks: boolean): EmulatedFunction {
  const image = new Uint8Array(256);
  image.set([0xf4, 0x1a, 0x01, 0x00], 0);
  image[0x06] = 0x10;
  image[0x34] = AT;
  image[0x3d] = 1;
  image.set([0x05, 0, (mmc << 1) | 0x80, masks ? 1 : 0], AT);
  const f = createFunction({ name: 'msi', bdf: 8, image, bars: [], flavour });
  f.writeConfig(4, 2, 4);
  f.writeConfig(AT + 4, 4, 0xfee01003);
  f.writeConfig(AT + 8, 4, 0x12);
  f.writeConfig(AT + 12, 2, 0x4a5f);
  return f;
}

const control = (mme: number, enable = 1) => (mme << 4) | enable;
const sent = (f: EmulatedFunction) => f.effects.splice(0).flatMap((e) => (e.kind === 'message' ? [e] : []));

describe.each(['spec', 'qemu-7.2'] as const)('MSI, %s', (flavour) => {
  test('the vector takes the low MME bits of data; address bits 1:0 are 0', () => {
    const f = make(flavour, 5, false);
    f.writeConfig(AT + 2, 2, control(3));
    f.raise(6);
    expect(sent(f)).toEqual([
      { kind: 'message', bdf: 8, vector: 6, addressLo: 0xfee01000, addressHi: 0x12, data: 0x4a5e },
    ]);
    f.raise(9);
    expect(sent(f)[0]).toMatchObject({ vector: 1, data: 0x4a59 });
  });

  test('with one vector data goes out as it stands', () => {
    const f = make(flavour, 0, false);
    f.writeConfig(AT + 2, 2, control(0));
    f.raise(0);
    expect(sent(f)[0].data).toBe(0x4a5f);
  });

  test('a masked vector is pending until unmasked, and sent once', () => {
    const f = make(flavour, 3, true);
    f.writeConfig(AT + 2, 2, control(3));
    f.writeConfig(AT + 0x10, 4, 0xff);
    f.raise(2);
    f.raise(2);
    f.raise(7);
    expect(f.readConfig(AT + 0x14, 4)).toBe(0x84);
    f.writeConfig(AT + 0x10, 1, 0x7b);
    expect(sent(f).map((m) => m.vector)).toEqual([2, 7]);
    expect(f.readConfig(AT + 0x14, 4)).toBe(0);
  });

  test('enabling lowers INTx; disabled again, the function asserts INTx', () => {
    const f = make(flavour, 0, false);
    f.raise(0);
    f.writeConfig(AT + 2, 2, control(0));
    expect(f.readConfig(6, 2) & 8).toBe(0);
    f.writeConfig(AT + 2, 2, 0);
    f.raise(0);
    expect(f.effects.map((e) => e.kind === 'intx' && e.level)).toEqual([1, 0, 1]);
  });

  test('mask bits exist for the vectors offered only', () => {
    const f = make(flavour, 2, true);
    f.writeConfig(AT + 0x10, 4, 0xffffffff);
    expect(f.readConfig(AT + 0x10, 4)).toBe(0xf);
  });
});

describe('MME above MMC', () => {
  test('spec: the register keeps it, the function uses what it offers', () => {
    const f = make('spec', 1, false);
    f.writeConfig(AT + 2, 2, control(5));
    expect(f.readConfig(AT + 2, 2)).toBe(0x80 | (1 << 1) | control(5));
    expect(f.msi!.allocated).toBe(2);
  });

  test('qemu-7.2: a write inside the enabled capability corrects the register', () => {
    const f = make('qemu-7.2', 1, false);
    f.writeConfig(AT + 2, 2, control(5, 0));
    expect(f.readConfig(AT + 2, 2) & 0x70).toBe(0x50);
    f.writeConfig(AT + 2, 2, control(5));
    expect(f.readConfig(AT + 2, 2) & 0x70).toBe(0x10);
  });
});
