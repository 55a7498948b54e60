import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const QUIET = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
let folder: string;

function run(command: string, args: string[], cwd: string): string {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8' });
  expect(`${done.status} ${done.stderr.replace(/^npm warn .*\n/gm, '')}`).toBe('0 ');
  return done.stdout;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-package-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the package', () => {
  beforeEach(({ skip }) => {
    if (!existsSync(join(ROOT, 'dist', 'index.js'))) skip('dist/ is not built');
    if (spawnSync('npm', ['--version']).status !== 0) skip('no npm');
  });

  test('installs in an empty project without network, imports, and runs', () => {
    // the dependencies as tarballs too, so that nothing is asked of a registry
    for (const path of ['.', './node_modules/commander', './node_modules/binary-parser'])
      run('npm', ['pack', path, '--pack-destination', folder, ...QUIET], ROOT);
    const tarballs = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
    expect(tarballs).toHaveLength(3);
    writeFileSync(join(folder, 'package.json'), '{"name":"empty","private":true,"type":"module"}');
    run('npm', ['install', '--omit=optional', ...QUIET, ...tarballs.map((name) => `./${name}`)], folder);
    const program = `
      import { Session, xen, guest, PcMachine } from 'pirqlab';
      const session = new Session({ devices: ['nvme:queues=4'] });
      console.log(session.read('00:04.0', 7, 0, 4).toString(16), typeof xen.Hypervisor, typeof guest.boot);
      session.close();
    `;
    writeFileSync(join(folder, 'main.js'), program);
    expect(run(process.execPath, ['main.js'], folder)).toBe('4e561234 function function\n');
    const bin = join(folder, 'node_modules', '.bin', 'pirqlab');
    expect(run(bin, ['lspci', '--builtin', 'nvme', '-v'], folder)).toContain('1234:4e56');
    expect(existsSync(join(folder, 'node_modules', 'pirqlab', 'native', 'include', 'pirqlab.h'))).toBe(true);
  });

  test('its types serve a strict project that imports it', () => {
    const module = join(folder, 'node_modules', 'pirqlab', 'package.json');
    expect(existsSync(module)).toBe(true);
    writeFileSync(
      join(folder, 'main.ts'),
      `import { type AccessRecord, PcMachine, Session } from 'pirqlab';
       const session = new Session({ devices: ['nvme'] });
       export const value: bigint = session.read64(0x20, 0, 0);
       export const seen: AccessRecord[] = [];
       session.record((transcript) => seen.push(...transcript));
       export const machine: PcMachine = PcMachine.of(['nvme']);\n`,
    );
    const node = ['--types', 'node', '--typeRoots', join(ROOT, 'node_modules', '@types')];
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2022', ...node];
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const done = spawnSync(process.execPath, [tsc, ...options, 'main.ts'], { cwd: folder, encoding: 'utf8' });
    expect(done.stdout).toBe('');
    expect(done.status).toBe(0);
  });
});
