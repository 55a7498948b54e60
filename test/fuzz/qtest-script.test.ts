import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { KIND, REGION } from '../../src/fuzz/access.ts';
import { qtestReproducer } from '../../src/fuzz/reproducers/qtest.ts';
import { recordScript } from '../../src/fuzz/reproducers/script.ts';
import type { FunctionTarget } from '../../src/fuzz/targets/devices.ts';
import { access } from '../../src/fuzz/targets/function-subject.ts';
import { getTarget } from '../../src/fuzz/targets/index.ts';
import { Qemu, qemuVersion } from '../../src/harness/qemu/process.ts';
import { parseDump } from '../../src/pci/dump/index.ts';

const DEVFN = 0x20;
/** An NVMe controller of QEMU by its own dump. */
const [{ spec }] = parseDump(gunzipSync(readFileSync(new URL('../golden/dumps/nvme.q35.dump.gz', import.meta.url))));
const at = (kind: number, region: number, width: number, offset: number, value = 0) =>
  access(kind, region, width, DEVFN, offset, value);

async function scriptOf(steps: ReturnType<typeof at>[]): Promise<string> {
  const target = (await getTarget('msix')) as unknown as FunctionTarget;
  const subject = target.openSpec({ ...spec, bdf: DEVFN });
  const made = qtestReproducer(recordScript('msix', subject, steps, 'a test')!, subject);
  if (!('text' in made)) throw new Error(made.whyNot);
  return made.text;
}

/** Puts the commands to QEMU: what each read must answer, and what it does. */
async function runInQemu(script: string): Promise<[want: string, got: string][]> {
  const machine = await Qemu.start({ args: ['-device', 'nvme,serial=x,addr=04.0'] });
  try {
    const pairs: [string, string][] = [];
    let answer = '';
    for (const line of script.split('\n')) {
      const must = /^# must answer: OK (.*)/.exec(line);
      if (must) pairs.push([must[1], `0x${BigInt(answer).toString(16)}`]);
      else if (line !== '' && !line.startsWith('#')) answer = await machine.qtest.command(line);
    }
    return pairs;
  } finally {
    await machine.close();
  }
}

test('a script is commands of qtest and comments', async () => {
  const { tableBar, tableOffset } = { tableBar: 0, tableOffset: 0x2000 };
  const text = await scriptOf([
    at(KIND.write, REGION.config, 4, 0x04, 0x0004),
    at(KIND.write, tableBar, 4, tableOffset + 12, 0xffff_ffff),
    at(KIND.read, tableBar, 4, tableOffset + 12),
    at(KIND.read, REGION.config, 4, 0x106),
    at(KIND.read, REGION.config, 4, 0x3d),
  ]);
  const lines = text.split('\n').filter((line) => line && !line.startsWith('#'));
  for (const line of lines) expect(line).toMatch(/^(out[bwl] 0xcf[8-f] |in[bwl] 0xcf[c-f]$|(read|write)[bwl] 0x)/);
  // BARs come first, memory space stays on, what crosses a dword goes byte by byte or through the window
  expect(lines.slice(0, 4)).toEqual([
    'outl 0xcf8 0x80000064',
    'outl 0xcfc 0x0',
    'outl 0xcf8 0x80000060',
    'outl 0xcfc 0xb0000001',
  ]);
  expect(lines).toContain('outl 0xcfc 0x6');
  expect(lines).toContain('readl 0xb0020106');
  expect(lines.filter((line) => line.startsWith('inb'))).toEqual(['inb 0xcfd', 'inb 0xcfe', 'inb 0xcff', 'inb 0xcfc']);
});

test('QEMU takes a script, and one that shows a deviation of QEMU 7.2 shows it', async ({ skip }) => {
  if (!qemuVersion()) skip('no qemu-system-x86_64');
  const { tableBar, tableOffset } = { tableBar: 0, tableOffset: 0x2000 };
  const pairs = await runInQemu(
    await scriptOf([
      at(KIND.write, tableBar, 4, tableOffset, 0xfee0_1000),
      at(KIND.read, tableBar, 4, tableOffset),
      at(KIND.read, REGION.config, 2, 0x02),
      // reserved bits of vector control: PCIe 5.0 §7.7.2.8 has them read-only 0, QEMU stores what is written
      at(KIND.write, tableBar, 4, tableOffset + 12, 0xffff_fffe),
      at(KIND.read, tableBar, 4, tableOffset + 12),
    ]),
  );
  expect(pairs).toEqual([
    ['0xfee01000', '0xfee01000'],
    ['0x10', '0x10'],
    ['0x0', '0xfffffffe'],
  ]);
});
