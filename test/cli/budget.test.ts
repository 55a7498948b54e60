import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { register } from '../../src/cli/budget.ts';
import { UsageError } from '../../src/core/index.ts';
import type { Budget } from '../../src/lab/budget.ts';

const DUMPS = new URL('../dumps/', import.meta.url).pathname;
const PM174X = `${DUMPS}144d-a826.txt`;
const KC3000 = `${DUMPS}2646-5013.txt`;
const I82576 = `${DUMPS}8086-10c9.txt`;
const ICH10 = `${DUMPS}8086-3a22.txt`;

afterEach(() => vi.restoreAllMocks());

/** What the command prints. */
async function run(...args: string[]): Promise<string> {
  let text = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += chunk;
    return true;
  });
  const program = new Command().exitOverride();
  register(program);
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => {} });
  await program.parseAsync(['budget', ...args], { from: 'user' });
  return text;
}

async function json(...args: string[]): Promise<Budget & { notes: string[] }> {
  return JSON.parse(await run(...args, '--json'));
}

test('the table names the limit, who starves, what remains and the cure', async () => {
  const text = await run(PM174X, PM174X, KC3000, '--cpus', '16');
  expect(text).toContain('nr_pirqs = min(24 GSIs + 32 extra_guest_irqs, 3328 nr_irqs) = 56');
  expect(text).toMatch(/0000:2e:00\.0#1 +NVMe .* 17 MSI-X +I\/O queues: 16, pirqs 54\.\.38/);
  expect(text).toMatch(/0000:2e:00\.0#2 .* INTx +STARVES, reserved and lost: 14, falls back to INTx, I\/O queues: 1/);
  expect(text).toMatch(/0000:02:00\.0 .* INTx +STARVES, falls back to INTx, I\/O queues: 1/);
  expect(text).toContain('stops first: domU pirqs\n');
  expect(text).toContain('starving: 2 of 3\n');
  expect(text).toContain(
    "extra_guest_irqs=52 on Xen's command line (now 32); or at most 9 I/O queues per NVMe controller",
  );
});

test('the cures cure, and one less does not', async () => {
  const { cure } = await json(PM174X, PM174X, KC3000);
  const starving = async (...more: string[]) => (await json(PM174X, PM174X, KC3000, ...more)).starving;
  expect(cure).toEqual({ extraGuestIrqs: 52, nvmeQueues: 9 });
  expect(await starving('--extra-guest-irqs', '52')).toBe(0);
  expect(await starving('--extra-guest-irqs', '51')).toBe(1);
  expect(await starving('--nvme-queues', '9')).toBe(0);
  expect(await starving('--nvme-queues', '10')).toBe(1);
});

test('a drive that offers 512 vectors asks for one a vCPU', async () => {
  const [drive] = (await json(`${DUMPS}15b7-7e9a.txt`, '--cpus', '32')).devices;
  expect(drive).toMatchObject({
    offers: 'MSI-X 512, MSI 32, INTx',
    asks: 33,
    gets: 0,
    mode: 'INTx',
    lost: 32,
    queues: 1,
  });
});

test('devices that are no NVMe: MSI-X by vCPUs, plain MSI always one, or what the caller knows', async () => {
  const plain = await json(I82576, ICH10, '--cpus', '4');
  expect(plain.devices.map((d) => [d.asks, d.mode, d.gets])).toEqual([
    [5, 'MSI-X', 5],
    [1, 'MSI', 1],
  ]);
  const known = await json(I82576, I82576, '--ask', '01:00.0=3', '0000:01:00.0#2=2');
  expect(known.devices.map((d) => d.asks)).toEqual([3, 2]);
});

test('a release without HVM pirqs: the guest is not told, vectors stay deaf', async () => {
  const budget = await json(PM174X, KC3000, '--xen', 'xen-4.22', '--cpus', '24');
  expect(budget.route).toBe('vectors');
  expect(budget.devices.map((d) => [d.gets, d.deaf, d.lost])).toEqual([
    [25, 0, 0],
    [25, 18, 0],
  ]);
  expect(budget.notes.join()).toContain('does not learn');
  expect((await json(PM174X, KC3000, '--xen', 'xen-4.22', '--hvm-pirqs', 'on')).route).toBe('pirqs');
});

test('a sysfs config file and a choice of functions are taken', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pirqlab-budget-'));
  try {
    const config = new Uint8Array(256);
    config.set([0x6b, 0x1b, 0x10, 0x00, 0, 0, 0x10, 0, 2, 2, 8, 1]);
    config[0x34] = 0x40;
    config.set([0x11, 0, 7, 0], 0x40);
    writeFileSync(join(directory, 'config'), config);
    const { devices } = await json(join(directory, 'config'), PM174X, '--function', '00:00.0');
    expect(devices).toHaveLength(1);
    expect(devices[0]).toMatchObject({ kind: 'nvme', offers: 'MSI-X 8', asks: 8, queues: 7 });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

describe('one line for what the user got wrong', () => {
  test.each([
    [['/nonexistent'], 'no file /nonexistent, and no built-in dump of that name; there are 144d-a826'],
    [[PM174X, '--xen', 'xen-3'], 'unknown Xen profile "xen-3"; known: xen-4.4'],
    [[PM174X, '--kernel', 'windows'], 'unknown kernel "windows"'],
    [[PM174X, '--gsis', '3'], '--gsis must be a whole number from 16'],
    [[PM174X, '--extra-guest-irqs', '-1'], '--extra-guest-irqs must be a whole number'],
    [[PM174X, '--hvm-pirqs', 'maybe'], 'unknown --hvm-pirqs "maybe"; known: on, off'],
    [[PM174X, '--ask', '7'], '--ask takes slot=number, not "7"'],
    [[PM174X, '--ask', '01:00.0=3'], '--ask: no endpoint 0000:01:00.0 in the dumps'],
    [[PM174X, '--function', 'x'], '"x" is no slot'],
    [[PM174X, '--function', '00:00.0'], 'no endpoint 0000:00:00.0 in the dumps'],
    [[`${DUMPS}index.json`], ''],
  ])('%j', async (args, message) => {
    const error = await run(...args).catch((e: Error) => e);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toContain('\n');
  });
});

test('the example of the help works', async () => {
  const program = new Command();
  register(program);
  let help = '';
  program.commands[0].configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  const [, example] = /\n {2}pirqlab budget (.*)\n/.exec(help)!;
  expect(await run(...example.split(' '))).toContain('starving: 2 of 3');
});
