import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hex } from '../../core/index.ts';
import { CONFIG_ADDRESS, CONFIG_DATA } from '../../pci/index.ts';
import { type Access, KIND, REGION, SIGNAL } from '../access.ts';
import { contentName, encodeInput } from '../input-file.ts';
import type { FunctionTarget } from '../targets/devices.ts';
import { getTarget } from '../targets/index.ts';
import { actionsOf, RAM } from './qtest-actions.ts';
import type { QtestFinding } from './qtest-judge.ts';
import type { QtestPeer } from './qtest-peer.ts';

const ECAM = 0xb000_0000;
const SUFFIX: Record<number, string> = { 1: 'b', 2: 'w', 4: 'l' };

/**
 * A finding as a folder below `folder`: the steps as text and as access records, the story, and a script for QEMU's qtest
 * socket.
 * @returns the folder's path
 */
export async function writeQtestFinding(
  folder: string,
  label: string,
  peer: QtestPeer,
  finding: QtestFinding,
): Promise<string> {
  const { law, register, bits, section, verdict, text, aim, lines, steps, story } = finding;
  const { image, bars } = peer.measured.layout;
  const target = (await getTarget(aim)) as FunctionTarget;
  const subject = target.openSpec({ name: label, bdf: peer.bdf, image, bars: [...bars] });
  const input = encodeInput(target, subject, 0, steps);
  const path = join(folder, `qemu-${label.replace(/[^\w@-]+/g, '-')}-${contentName(input)}`);
  mkdirSync(path, { recursive: true });
  const heading = `${label}: ${law}: ${register}${bits ? `, bits ${hex(bits)}` : ''} (${section})\n${text}\n\n`;
  writeFileSync(join(path, 'story.txt'), `${heading}${story.join('\n')}\n`);
  writeFileSync(join(path, 'input.bin'), input);
  writeFileSync(join(path, 'script.qtest'), qtestScript(peer, finding));
  const about = { device: label, law, register, bits, section, verdict, text, aim, steps: lines };
  writeFileSync(join(path, 'finding.json'), `${JSON.stringify(about, null, 2)}\n`);
  return path;
}

/** The accesses as lines for `-qtest`, of a machine just reset; lines that begin with # are to be left out. */
export function qtestScript(peer: QtestPeer, { aim, steps, law, register, text, section }: QtestFinding): string {
  const { measured, homes, bdf } = peer;
  const lines = [`# ${law}: ${register} (${section})`, `# ${text.replace(/\n/g, '; ')}`];
  const config = (verb: 'in' | 'out', offset: number, width: number, value = 0): string[] => {
    const what = verb === 'out' ? ` ${hex(value)}` : '';
    if (offset >= 0x100)
      return [`${verb === 'out' ? 'write' : 'read'}${SUFFIX[width]} ${hex(ECAM + bdf * 0x1000 + offset)}${what}`];
    const select = (0x8000_0000 | (bdf << 8) | (offset & 0xfc)) >>> 0;
    const port = hex(CONFIG_DATA + (offset & 3));
    return [`outl ${hex(CONFIG_ADDRESS)} ${hex(select)}`, `${verb}${SUFFIX[width]} ${port}${what}`];
  };
  const write = (region: number, offset: number, width: number, value: number) =>
    region === REGION.config
      ? config('out', offset, width, value)
      : [`write${SUFFIX[width]} ${hex((homes.get(region) ?? 0) + offset)} ${hex(value)}`];
  const read = ({ region, offset, width }: Pick<Access, 'region' | 'offset' | 'width'>) =>
    region === REGION.config
      ? config('in', offset, width)
      : [`read${SUFFIX[width]} ${hex((homes.get(region) ?? 0) + offset)}`];
  if (steps.some((s) => s.region === REGION.config && s.offset >= 0x100))
    lines.push('# ECAM of a q35', 'outl 0xcf8 0x80000060', `outl 0xcfc ${hex(ECAM + 1)}`);
  if (aim !== 'config') {
    lines.push('# BARs placed, memory and bus master on');
    for (const w of peer.bringUp()) lines.push(...config('out', w.offset, w.width, w.value));
    lines.push(...config('out', 4, 2, 6));
  }
  const actions = actionsOf(peer);
  for (const step of steps) {
    if (step.kind === KIND.write) lines.push(...write(step.region, step.offset, step.width, step.value));
    else if (step.kind === KIND.read) lines.push(...read(step));
    else if (step.kind === KIND.reset) lines.push('# reset of the machine', 'outb 0xcf9 0x6');
    else if (actions) {
      const begins = step.value === SIGNAL.begins;
      lines.push(`# vector ${step.offset} ${begins ? 'is raised' : 'has no condition any more'}`);
      for (const p of begins ? actions.raise(step.offset) : actions.lower(step.offset)) {
        if (p.region === RAM)
          lines.push(
            `${p.does ? 'read' : 'write'}${SUFFIX[p.width]} ${hex(p.offset)}${p.does ? '' : ` ${hex(p.value)}`}`,
          );
        else lines.push(...(p.does ? read(p) : write(p.region, p.offset, p.width, p.value)));
      }
    }
  }
  const found = measured.layout.registers.find((r) => r.register.name === register);
  if (found) lines.push(`# ${register}`, ...config('in', found.at, found.register.width));
  return `${lines.join('\n')}\n`;
}
