import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CanaryBuild } from '../../src/fuzz/canaries/build.ts';
import { CANARIES } from '../../src/fuzz/canaries/patches.ts';

/** A planted bug of each kind: seen in a BAR, in a message, on the line, and behind bridges. */
const PLANTED: [name: string, files: string[]][] = [
  ['reserved bits of vector control stick', ['c', 'py', 'qtest', 'test.ts']],
  ['upper address is forgotten', ['c', 'py', 'test.ts']],
  ['reset leaves the line asserted', ['c', 'py', 'test.ts']],
  ['bridge forwards with memory disabled', ['test.ts']],
];

const root = fileURLToPath(new URL('../..', import.meta.url));
const has = (tool: string) => spawnSync(tool, ['--version']).status === 0;
const STRICT = ['-std=c99', '-D_POSIX_C_SOURCE=200809L', '-Wall', '-Wextra', '-Werror'];

/** A build with a planted bug, what it found, and the sources' own build. */
interface Found {
  folder: string;
  planted: string;
  released: string;
}

let build: CanaryBuild;
let home: string;
const found = new Map<string, Found>();
/** Status of each `reproduce.test.ts`, by path. */
let vitest: Map<string, string>;

beforeAll(async () => {
  build = await CanaryBuild.make();
  home = mkdtempSync(join(tmpdir(), 'pirqlab-reproducers-'));
  for (const [index, [name]] of PLANTED.entries()) {
    const canary = CANARIES.find((c) => c.name === name)!;
    const cwd = join(home, String(index));
    renameSync(join(build.build(canary), '../../..'), cwd);
    const planted = join(cwd, 'dist/cli/main.js');
    const done = spawnSync(process.execPath, [planted, 'fuzz', '--target', canary.target, '--for', '20s'], {
      cwd,
      encoding: 'utf8',
    });
    expect(done.stdout).toContain('kept in');
    const folder = join(cwd, 'findings', readdirSync(join(cwd, 'findings'))[0]);
    found.set(name, { folder, planted, released: build.released });
  }
  vitest = runVitest();
}, 400_000);
afterAll(() => {
  build.remove();
  rmSync(home, { recursive: true, force: true });
});

/** All tests among the findings in one run, each with its bug and, as a copy, without: file to status. */
function runVitest(): Map<string, string> {
  const projects: unknown[] = [];
  const project = (name: string, root: string, main: string) => {
    const alias = { pirqlab: join(dirname(main), '../index.js') };
    projects.push({ root, resolve: { alias }, test: { name, include: ['*.test.ts'] } });
  };
  for (const [name, { folder, planted, released }] of found) {
    project(`${name}, planted`, folder, planted);
    const copy = join(folder, 'released');
    mkdirSync(copy);
    cpSync(join(folder, 'reproduce.test.ts'), join(copy, 'reproduce.test.ts'));
    project(`${name}, released`, copy, released);
  }
  const config = join(home, 'vitest.config.mjs');
  writeFileSync(config, `export default ${JSON.stringify({ test: { projects } })};\n`);
  const program = join(root, 'node_modules/vitest/vitest.mjs');
  const args = [program, 'run', '--root', home, '--config', config, '--reporter', 'json'];
  const { stdout } = spawnSync(process.execPath, args, { cwd: home, encoding: 'utf8' });
  const { testResults } = JSON.parse(stdout) as { testResults: { name: string; status: string }[] };
  return new Map(testResults.map(({ name, status }) => [name, status]));
}

/** Runs what can be run of a finding against a build. @returns a program's name to its exit status and output */
class Runner {
  readonly #folder: string;
  readonly #main: string;

  constructor(folder: string, main: string) {
    this.#folder = folder;
    this.#main = main;
  }

  async overSocket(command: string, args: string[]): Promise<{ status: number | null; output: string }> {
    const socket = join(this.#folder, 'pq.sock');
    const server = spawn(process.execPath, [this.#main, 'serve', '--recorded', 'input.bin', '--socket', socket], {
      cwd: this.#folder,
    });
    try {
      await firstOutput(server);
      const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' };
      const done = spawnSync(command, [...args, socket], { cwd: this.#folder, encoding: 'utf8', env });
      return { status: done.status, output: done.stdout + done.stderr };
    } finally {
      server.kill('SIGTERM');
      await new Promise((resolve) => server.once('close', resolve));
    }
  }

  /** Answers that the script says must come, and those that come. */
  qtest(): { want: string[]; got: string[] } {
    const script = readFileSync(join(this.#folder, 'reproduce.qtest'), 'utf8').split('\n');
    const commands = script.filter((line) => line !== '' && !line.startsWith('#'));
    const done = spawnSync(process.execPath, [this.#main, 'serve', '--recorded', 'input.bin', '--qtest', '-'], {
      cwd: this.#folder,
      encoding: 'utf8',
      input: `${commands.join('\n')}\n`,
    });
    const answers = done.stdout.trim().split('\n');
    expect(answers.length).toBe(commands.length);
    return compareAnswers(script, answers);
  }
}

function compareAnswers(script: readonly string[], answers: readonly string[]): { want: string[]; got: string[] } {
  const [want, got]: string[][] = [[], []];
  let next = 0;
  for (const line of script) {
    const must = /^# must answer: OK (0x[0-9a-f]+)(?: in the bits (0x[0-9a-f]+))?/.exec(line);
    if (must) {
      const mask = BigInt(must[2] ?? '0xffffffff');
      want.push(must[1]);
      got.push(`0x${(BigInt(answers[next - 1].replace('OK ', '')) & mask).toString(16)}`);
    } else if (line !== '' && !line.startsWith('#')) next++;
  }
  return { want, got };
}

function firstOutput(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    server.stdout!.once('data', () => resolve());
    server.once('close', () => reject(new Error('the server ended')));
  });
}

describe.each(PLANTED)('%s', (name, kinds) => {
  const folder = () => found.get(name)!.folder;
  const planted = () => new Runner(folder(), found.get(name)!.planted);
  const released = () => new Runner(folder(), found.get(name)!.released);

  test('the folder has what can be made of it, and says why the rest is not there', () => {
    const made = readdirSync(folder()).filter((file) => file.startsWith('reproduce.'));
    expect(made.sort()).toEqual(kinds.map((kind) => `reproduce.${kind}`));
    const readme = readFileSync(join(folder(), 'README.txt'), 'utf8');
    for (const kind of ['c', 'py', 'qtest', 'test.ts'])
      expect(readme).toContain(kinds.includes(kind) ? `\nreproduce.${kind}:\n` : `\nNo reproduce.${kind}: `);
  });

  test('vitest: fails with the bug, passes without', () => {
    expect(vitest.get(join(folder(), 'reproduce.test.ts'))).toBe('failed');
    expect(vitest.get(join(folder(), 'released/reproduce.test.ts'))).toBe('passed');
  });

  test('Python: status 1 and a line with the bug, 0 without', async ({ skip }) => {
    if (!kinds.includes('py')) return;
    if (!has('python3')) skip('no python3');
    const shown = await planted().overSocket('python3', ['reproduce.py']);
    expect(shown).toEqual({ status: 1, output: expect.stringMatching(/^step \d+: .* is .*, should be .*\n$/) });
    expect(await released().overSocket('python3', ['reproduce.py'])).toEqual({
      status: 0,
      output: 'as it should be\n',
    });
  });

  test('C: status 1 and a line with the bug, 0 without', async ({ skip }) => {
    if (!kinds.includes('c')) return;
    const compilers = ['gcc', 'clang'].filter(has);
    if (compilers.length === 0) skip('no C compiler');
    for (const compiler of compilers) {
      const made = spawnSync(compiler, [...STRICT, '-I.', 'reproduce.c', '-o', 'reproduce'], {
        cwd: folder(),
        encoding: 'utf8',
      });
      expect(made.stderr).toBe('');
    }
    const program = join(folder(), 'reproduce');
    const shown = await planted().overSocket(program, []);
    expect(shown).toEqual({ status: 1, output: expect.stringMatching(/^step \d+: .* is .*, should be .*\n$/) });
    expect(await released().overSocket(program, [])).toEqual({ status: 0, output: 'as it should be\n' });
  });

  test('qtest: the answers are what they must be without the bug only', () => {
    if (!kinds.includes('qtest')) return;
    expect(existsSync(join(folder(), 'reproduce.qtest'))).toBe(true);
    const shown = planted().qtest();
    expect(shown.want.length).toBeGreaterThan(0);
    expect(shown.got).not.toEqual(shown.want);
    const passed = released().qtest();
    expect(passed.got).toEqual(passed.want);
  });
});
