import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FileNamespace } from '../../src/harness/file-namespace.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a namespace in a file', () => {
  test('is sparse, private to its owner, and keeps what was written', () => {
    const path = join(folder, 'disk');
    const ns = FileNamespace.open(path, 1 << 30);
    expect(ns.blockCount).toBe(2 << 20);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(ns.write(1 << 29, Uint8Array.of(...new Array(512).keys()))).toBe(true);
    expect(ns.flush()).toBe(true);
    ns.close();
    expect(statSync(path).blocks).toBeLessThan(1000);
    const again = FileNamespace.open(path, undefined, 12);
    expect(again.blockCount).toBe(1 << 18);
    const data = new Uint8Array(8192).fill(1);
    expect(again.read((1 << 29) - 4096, data)).toBe(true);
    expect([data[0], data[4095], data[4097], data[4096 + 513]]).toEqual([0, 0, 1, 0]);
    again.close();
  });

  test('zeroes what was written and leaves holes', () => {
    const path = join(folder, 'disk');
    const ns = FileNamespace.open(path, 1 << 24);
    ns.write(512, new Uint8Array(512).fill(7));
    expect(ns.writeZeroes(0, 1 << 24)).toBe(true);
    ns.flush();
    expect(statSync(path).blocks).toBeLessThan(1000);
    const data = new Uint8Array(1024).fill(1);
    ns.read(0, data);
    expect(data.every((byte) => byte === 0)).toBe(true);
    ns.close();
  });

  test('failures of the file are failures of the medium', () => {
    const path = join(folder, 'disk');
    const ns = FileNamespace.open(path, 8192);
    truncateSync(path, 4096);
    expect(ns.read(4096, new Uint8Array(512))).toBe(false);
    ns.close();
    expect(ns.write(0, new Uint8Array(512))).toBe(false);
    expect(ns.flush()).toBe(false);
    expect(ns.writeZeroes(0, 512)).toBe(false);
  });

  test('what cannot be is refused', () => {
    expect(() => FileNamespace.open(join(folder, 'none'))).toThrow('ENOENT');
    expect(() => FileNamespace.open(join(folder, 'odd'), 1000)).toThrow('no multiple');
    FileNamespace.open(join(folder, 'disk'), 8192).close();
    expect(() => FileNamespace.open(join(folder, 'disk'), 4096)).toThrow('more than the 4096');
  });
});
