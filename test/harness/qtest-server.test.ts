import { spawn, spawnSync } from 'node:child_process';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readDumpFile } from '../../src/cli/dump-input.ts';
import { recipesOfDump } from '../../src/harness/device-text.ts';
import { PcMachine } from '../../src/harness/pc-machine.ts';
import { QtestInterpreter } from '../../src/harness/qtest-commands.ts';
import { serveQtest } from '../../src/harness/qtest-server.ts';

function ask(machine: PcMachine, commands: readonly string[]): string[] {
  const interpreter = new QtestInterpreter(machine);
  return commands.map((line) => interpreter.answer(line));
}

/** What a client reads that sends all of `input` at once and then nothing. */
async function converse(machine: PcMachine, input: string | Buffer): Promise<{ output: string; log: string[] }> {
  const [from, to] = [new PassThrough(), new PassThrough()];
  const log: string[] = [];
  let output = '';
  to.on('data', (chunk) => (output += chunk));
  const over = serveQtest(machine, (line) => log.push(line))(from, to, 'client');
  from.end(input);
  await over;
  return { output, log };
}

const NVME = () => PcMachine.of(['nvme:queues=4,msix=5']);
/** Maps BAR 0 of 00:04.0 at 0xe0000000 and enables memory and bus mastering. */
const MAP = ['outl 0xcf8 0x80002010', 'outl 0xcfc 0xe0000000', 'outl 0xcf8 0x80002004', 'outw 0xcfc 0x6'];

describe('the machine behind qtest', () => {
  test('RAM, at every width and in blocks', () => {
    expect(
      ask(NVME(), [
        'write 0x1000 4 0x01020304',
        'readq 0x1000',
        'readb 4097',
        'b64read 010000 4',
        'memset 0x1001 2 0xaa',
        'read 0x1000 5',
        'b64write 0x1000 4 AQID',
        'writew 0x1002 -1',
        'readl 0x1000',
        'write 0x1000 3 0xff',
        'read 0x1000 3',
      ]),
    ).toEqual([
      'OK',
      'OK 0x0000000004030201',
      'OK 0x0000000000000002',
      'OK AQIDBA==',
      'OK',
      'OK 0x01aaaa0400',
      'OK',
      'OK',
      'OK 0x00000000ffff0201',
      'OK',
      'OK 0xff0000',
    ]);
  });

  test('what nobody decodes: memory reads 0, ports all ones', () => {
    expect(ask(NVME(), ['readl 0xe0000000', 'readq 0xffffffffffffffff', 'inb 0x3f0', 'inl 0xfffe'])).toEqual([
      'OK 0x0000000000000000',
      'OK 0x0000000000000000',
      'OK 0x00ff',
      'OK 0xffffffff',
    ]);
  });

  test('a controller is found by ports and ECAM, mapped, and answers', () => {
    expect(
      ask(NVME(), [
        'outl 0xcf8 0x80002000',
        'inl 0xcfc',
        'inw 0xcfe',
        'readl 0xb0020000',
        ...MAP,
        'readl 0xe0000008',
        'readq 0xe0000000',
        'readw 0xe000000a',
      ]).filter((line) => line !== 'OK'),
    ).toEqual([
      'OK 0x4e561234',
      'OK 0x4e56',
      'OK 0x000000004e561234',
      'OK 0x0000000000010400',
      'OK 0x004000200f0103ff',
      'OK 0x0000000000000001',
    ]);
  });

  test('a command in RAM is executed at its doorbell, and its message stored in RAM', () => {
    const machine = NVME();
    const { fn } = machine.functions.get(0x20)!;
    const hex = (n: number) => `0x${n.toString(16)}`;
    ask(machine, [
      ...MAP,
      'outl 0xcf8 0x80002004',
      'outw 0xcfc 0x406',
      `writew ${hex(0xb0020000 + fn.msix!.at + 2)} 0x8000`,
      `writel ${hex(0xe0000000 + fn.msix!.tableOffset)} 0x5000`,
      `writel ${hex(0xe0000000 + fn.msix!.tableOffset + 8)} 0xabcd`,
      `writel ${hex(0xe0000000 + fn.msix!.tableOffset + 12)} 0`,
      'writel 0xe0000024 0x70007',
      'writel 0xe0000028 0x10000',
      'writel 0xe0000030 0x11000',
      'writel 0xe0000014 0x460001',
      'writel 0x10000 0x00070006',
      'writel 0x10018 0x20000',
      'writel 0x10028 1',
      'writel 0xe0001000 1',
    ]);
    expect(ask(machine, ['readw 0x1100c', 'readw 0x1100e', 'readl 0x20000', 'readl 0x5000'])).toEqual([
      'OK 0x0000000000000007',
      'OK 0x0000000000000001',
      'OK 0x0000000012341234',
      'OK 0x000000000000abcd',
    ]);
  });

  test('the clock only counts', () => {
    expect(
      ask(NVME(), [
        'clock_step 1000',
        'clock_step',
        'clock_set 5000',
        'clock_set 10',
        'clock_step 9223372036854775807',
      ]),
    ).toEqual(['OK 1000', 'OK 1000', 'OK 5000', 'OK 5000', 'OK 4999']);
  });

  test('what cannot be done fails with a reason, and nothing else happens', () => {
    const bad = [
      '',
      'foo',
      'inq 0',
      'inb',
      'inb zzz',
      'inb 65536',
      'inb 99999999999999999999999',
      'outb 1',
      'read 0 0',
      'read 0 0xffffffffff',
      'write 0 4 zz',
      'write 0 4',
      'memset 0 5000000 1',
      'clock_set',
      'irq_intercept_in nobody',
      'constructor',
    ];
    for (const line of bad) expect([line, ask(NVME(), [line])[0]]).toEqual([line, expect.stringMatching(/^FAIL ./)]);
  });

  test('two devices on one line: it falls when the last lets go', () => {
    const machine = PcMachine.of(['nvme:bdf=00:04.0', 'nvme:bdf=00:08.0', 'nvme:bdf=00:05.0']);
    const seen: string[] = [];
    machine.listen((event) => event.kind === 'line' && seen.push(`${event.gsi}:${event.level}`));
    for (const bdf of [0x20, 0x40, 0x28]) machine.raise(bdf);
    for (const bdf of [0x20, 0x40])
      machine.writePort(0xcf8, 4, 0x80000004 + bdf * 0x100) ?? machine.writePort(0xcfc, 2, 0x400);
    expect(seen).toEqual(['20:1', '21:1', '20:0']);
  });

  test('a snapshot brings RAM, registers and the address latch back', () => {
    const machine = NVME();
    ask(machine, [...MAP, 'writel 0x1000 1', 'outl 0xcf8 0x80002000']);
    const before = machine.snapshot();
    ask(machine, ['outl 0xcfc 0', 'outl 0xcf8 0', 'writel 0x1000 2', 'writel 0xb0020010 0']);
    machine.restore(before);
    expect(ask(machine, ['inl 0xcfc', 'readl 0x1000', 'readl 0xb0020010'])).toEqual([
      'OK 0x4e561234',
      'OK 0x0000000000000001',
      'OK 0x00000000e0000004',
    ]);
  });
});

describe('the conversation', () => {
  test('IRQ lines come before the answer of the command that moved them', async () => {
    const machine = PcMachine.of(['nvme:queues=1']);
    const enable = [
      'writel 0xe0000024 0x70007',
      'writel 0xe0000028 0x10000',
      'writel 0xe0000030 0x11000',
      'writel 0xe0000014 0x460001',
    ];
    const script = ['irq_intercept_in ioapic', ...MAP, ...enable, 'writel 0xe0001000 1', 'writel 0xe0001004 1'];
    const { output, log } = await converse(machine, `${script.join('\n')}\n`);
    expect(output.split('\n').slice(-5)).toEqual(['IRQ raise 20', 'OK', 'IRQ lower 20', 'OK', '']);
    expect(output.split('\n').filter((line) => line.startsWith('OK'))).toHaveLength(script.length);
    expect(log).toEqual([]);
  });

  test('a last line without its end counts; carriage returns do not', async () => {
    expect((await converse(NVME(), 'endianness\r\nreadb 0')).output).toBe('OK little\nOK 0x0000000000000000\n');
  });

  test('a line without end is refused in one line of log', async () => {
    const { output, log } = await converse(NVME(), Buffer.alloc(9 << 20, 0x61));
    expect(output).toBe('');
    expect(log).toEqual([expect.stringMatching(/^client: a command of more than \d+ bytes; connection closed$/)]);
  });
});

describe('beside QEMU', () => {
  const isThere = spawnSync('qemu-system-x86_64', ['--version']).status === 0;

  test('the same commands get the same answers', async ({ skip }) => {
    if (!isThere) skip('no qemu-system-x86_64');
    const dump = fileURLToPath(new URL('../golden/dumps/edu.q35.dump.gz', import.meta.url));
    const [{ spec }] = recipesOfDump(readDumpFile(dump));
    // the dump was taken before anybody placed the BAR, so it does not show
    const bars = [{ bar: 0, kind: 'mem32', sizeBytes: 1 << 20 }] as const;
    const machine = PcMachine.of([{ kind: 'plain', bdf: 0x20, spec: { ...spec!, bars: [...bars] } }]);
    const commands = [
      'endianness',
      'nonsense 1 2',
      'outl 0xcf8 0x80000060',
      'outl 0xcfc 0xb0000001',
      ...[
        'write 0x1000 4 0x01020304',
        'readq 0x1000',
        'readw 0x1001',
        'readb 0x1003',
        'read 0x1000 6',
        'b64read 0x1000 6',
      ],
      ...['memset 0x1001 2 0xaa', 'readl 0x1000', 'b64write 0x1000 4 AQIDBA==', 'read 0x1000 5', 'writel 0x1000 -1'],
      ...['write 0x1002 4 0x01', 'read 0x1000 8', 'writel 0x1000 0x123456789a', 'readq 0x1000', 'memset 0x1000 0 0'],
      ...['inb 0x3f0', 'readl 0xe0000000', 'read 0xe0000000 8', 'readq 0x1000000000'],
      ...[
        'inl 0xcf8',
        'outl 0xcf8 0x80002000',
        'inl 0xcfc',
        'inw 0xcfc',
        'inw 0xcfe',
        'inb 0xcfd',
        'inl 0xcf8',
        'inw 0xcf8',
      ],
      ...[
        'outl 0xcf8 0x80002010',
        'outl 0xcfc 0xffffffff',
        'inl 0xcfc',
        'outl 0xcfc 0xe0000000',
        'inl 0xcfc',
        'inb 0xcff',
      ],
      ...[
        'outl 0xcf8 0x80002004',
        'outw 0xcfc 0x6',
        'inl 0xcfc',
        'outw 0xcf8 0',
        'inl 0xcf8',
        'outb 0xcf8 1',
        'inl 0xcf8',
      ],
      ...['readl 0xb0020000', 'readw 0xb0020002', 'readb 0xb0020001', 'readq 0xb0020000', 'read 0xb0020001 7'],
      ...['writew 0xb0020004 0x406', 'readl 0xb0020004', 'readl 0xb0028000', 'readl 0xb0000000', 'readl 0xb0020100'],
      ...['outl 0xcf8 0x80004000', 'inl 0xcfc', 'outl 0xcf8 0', 'inl 0xcfc', 'inw 0xcfe'],
    ];
    const expected = await askQemu(['-device', 'edu,addr=4'], commands);
    const actual = ask(machine, commands);
    expect(commands.map((c, i) => `${c}: ${actual[i]}`)).toEqual(commands.map((c, i) => `${c}: ${expected[i]}`));
  });
});

/** Answers of a q35 whose CPU stands still. */
function askQemu(args: string[], commands: readonly string[]): Promise<string[]> {
  const machine = ['-M', 'q35', '-S', '-nodefaults', '-display', 'none', '-qtest', 'stdio', '-qtest-log', '/dev/null'];
  const qemu = spawn('qemu-system-x86_64', [...machine, ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
  return new Promise((resolve) => {
    let output = '';
    const finish = () => {
      qemu.kill('SIGKILL');
      resolve(output.split('\n').slice(0, -1));
    };
    qemu.stdout.on('data', (chunk) => {
      output += chunk;
      const answers = output.split('\n').length - 1;
      if (answers >= commands.length) finish();
      else qemu.stdin.write(`${commands[answers]}\n`);
    });
    qemu.on('exit', finish);
    qemu.stdin.on('error', () => {});
    qemu.stdin.write(`${commands[0]}\n`);
  });
}
