import { readdirSync, readFileSync } from 'node:fs';
import { join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));
/** Rooms from the ground up: a file imports from its own room and from those below. */
const ROOMS = ['core', 'native', 'pci', 'xen', 'guest', 'lab', 'harness', 'fuzz', 'report', 'cli'];

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));

function importsOf(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  return [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, path]) => normalize(join(file, '..', path)));
}

function roomOf(file: string): string {
  return file.includes('/') ? file.split('/')[0] : 'index';
}

describe('the layers', () => {
  test('imports point down only', () => {
    const upwards = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => roomOf(file) !== 'index' && ROOMS.indexOf(roomOf(target)) > ROOMS.indexOf(roomOf(file)))
        .map((target) => `${file} imports ${target}`),
    );
    expect(upwards).toEqual([]);
  });

  test('the guest knows of the hypervisor only its ABI', () => {
    const forbidden = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => file.startsWith('guest/') && target.startsWith('xen/') && !target.startsWith('xen/abi/'))
        .map((target) => `${file} imports ${target}`),
    );
    expect(forbidden).toEqual([]);
  });

  test('every room is a known one', () => {
    const rooms = new Set(files.map(roomOf));
    rooms.delete('index');
    expect([...rooms].filter((room) => !ROOMS.includes(room))).toEqual([]);
  });

  test('the model knows no clock, no chance and no locale', () => {
    const uses = files
      .filter((file) => ['core', 'pci', 'xen', 'guest', 'lab'].includes(roomOf(file)))
      .flatMap((file) => {
        const code = readFileSync(join(SRC, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
        const found =
          /\b(Date\.now|new Date|Math\.random|performance\.now|setTimeout|setInterval|toLocale\w*|Intl\.)/.exec(code);
        return found ? [`${relative('.', file)} uses ${found[1]}`] : [];
      });
    expect(uses).toEqual([]);
  });
});
