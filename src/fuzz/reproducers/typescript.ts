import { hex, toHex } from '../../core/index.ts';
import type { FunctionSpec } from '../../pci/index.ts';
import { type Access, BY_ADDRESS, ECAM_SEGMENT, KIND, REGION, RESET, SIGNAL } from '../access.ts';
import { isCheck, type Script, type ScriptStep, type SeenEffects } from './script.ts';

/**
 * A test for vitest against the package's public API, which passes where the law holds and fails where the finding was
 * made. Functions behind bridges are reached by bus number and address, a lone one directly.
 */
export function typescriptReproducer(script: Script): string {
  const tree = script.functions.length > 1;
  const imports = ['createFunction', 'type EmulatedFunction', ...(tree ? ['HostBridge', 'PciBus'] : [])].sort(byName);
  return `${[
    `// ${script.target}: ${oneLine(script.label)}`,
    `// ${oneLine(script.broken)}`,
    `import { ${imports.join(', ')} } from 'pirqlab';`,
    "import { expect, test } from 'vitest';",
    '',
    '/** Bytes of a configuration space, given by the rows that are not zero. */',
    'function bytes(size: number, rows: Record<number, string>): Uint8Array {',
    '  const all = new Uint8Array(size);',
    "  for (const [at, row] of Object.entries(rows)) all.set(Buffer.from(row, 'hex'), Number(at));",
    '  return all;',
    '}',
    '',
    "const hex = (value: number) => '0x' + (value >>> 0).toString(16);",
    '',
    '/** Messages that a function has sent since it was last asked. */',
    'function messages(fn: EmulatedFunction): string[] {',
    '  const sent: string[] = [];',
    '  for (const e of fn.effects.splice(0)) {',
    "    if (e.kind === 'intx') lines.set(fn, e.level);",
    "    else sent.push(e.vector + ': ' + hex(e.data) + ' to ' + hex(e.addressHi) + ':' + hex(e.addressLo));",
    '  }',
    '  return sent;',
    '}',
    '',
    '/** Levels of the interrupt lines. */',
    'const lines = new Map<EmulatedFunction, number>();',
    'const line = (fn: EmulatedFunction) => lines.get(fn) ?? 0;',
    '',
    ...script.functions.flatMap((spec, i) => functionLines(spec, i)),
    ...(tree ? treeLines(script.behind) : []),
    `test(${JSON.stringify(oneLine(script.broken))}, () => {`,
    ...script.steps.flatMap((step, i) => stepLines(step, script.steps[i - 1], i, script)),
    '});',
  ].join('\n')}\n`;
}

const byName = (a: string, b: string) => (a.replace('type ', '') < b.replace('type ', '') ? -1 : 1);
const oneLine = (text: string) => text.replace(/\s+/g, ' ');

function functionLines({ name, bdf, image, bars, masks }: FunctionSpec, index: number): string[] {
  return [
    `const fn${index} = createFunction({`,
    `  name: ${JSON.stringify(name)},`,
    `  bdf: ${hex(bdf, 2)},`,
    `  image: ${rows(image)},`,
    `  bars: ${JSON.stringify(bars)},`,
    ...(masks
      ? [`  masks: { writable: ${rows(masks.writable)}${masks.w1c ? `, w1c: ${rows(masks.w1c)}` : ''} },`]
      : []),
    '});',
    '',
  ];
}

function rows(image: Uint8Array): string {
  const list: string[] = [];
  for (let at = 0; at < image.length; at += 16) {
    const row = image.subarray(at, at + 16);
    if (row.some((byte) => byte !== 0)) list.push(`    ${hex(at, 3)}: '${toHex(row)}',`);
  }
  return `bytes(${image.length}, {\n${list.join('\n')}\n  })`;
}

/** Bridges come before what stands behind them. */
function treeLines(behind: readonly number[]): string[] {
  const list = ['const root = new PciBus();', 'const bus = (bridge: EmulatedFunction) => buses.get(bridge) ?? root;'];
  list.push('const buses = new Map<EmulatedFunction, PciBus>();');
  list.push('function attach(fn: EmulatedFunction, on: PciBus): void {', '  on.attach(fn);');
  list.push('  const below = on.below(fn);', '  if (below) buses.set(fn, below);', '}');
  for (const [i, bridge] of behind.entries()) list.push(`attach(fn${i}, ${bridge < 0 ? 'root' : `bus(fn${bridge})`});`);
  list.push('const host = new HostBridge(root);');
  list.push('function readIo(port: number, width: 1 | 2 | 4): number {', "  const at = root.route('io', port);");
  list.push('  return at ? at.function.readBar(at.bar, at.offset, width) : 2 ** (8 * width) - 1;', '}');
  list.push('function writeIo(port: number, width: 1 | 2 | 4, value: number): void {');
  list.push("  const at = root.route('io', port);", '  at?.function.writeBar(at.bar, at.offset, width, value);', '}');
  return [...list, ''];
}

function stepLines(step: ScriptStep, before: ScriptStep | undefined, index: number, script: Script): string[] {
  const { access, told, read } = step;
  const call = script.functions.length > 1 ? treeCall(access) : functionCall(access);
  const lines = [`  // ${index + 1}  ${oneLine(told)}`];
  if (!read) lines.push(`  ${call};`);
  else if (read.mask === 2 ** (8 * access.width) - 1) lines.push(`  expect(hex(${call})).toBe('${hex(read.want)}');`);
  else lines.push(`  expect(hex(${call} & ${hex(read.mask)})).toBe('${hex((read.want & read.mask) >>> 0)}');`);
  if (isCheck(step, before))
    for (const [i, effects] of step.effects.entries()) lines.push(...effectLines(effects, before?.effects[i], i));
  return lines;
}

function effectLines({ got, want }: SeenEffects, before: SeenEffects | undefined, index: number): string[] {
  const lines: string[] = [];
  const wasLine = before?.want.line ?? 0;
  const moved = want.line !== wasLine || got.line !== want.line;
  if (got.messages.length + want.messages.length > 0 || moved) {
    const list = want.messages.map((m) => `'${m.vector}: ${hex(m.data)} to ${hex(m.addressHi)}:${hex(m.addressLo)}'`);
    lines.push(`  expect(messages(fn${index})).toEqual([${list.join(', ')}]);`);
  }
  if (moved) lines.push(`  expect(line(fn${index})).toBe(${want.line});`);
  return lines;
}

function functionCall({ kind, region, width, offset, value }: Access): string {
  if (kind === KIND.raise) return value === SIGNAL.ends ? 'fn0.lower()' : `fn0.raise(${offset})`;
  if (kind === KIND.reset) return `fn0.reset('${value === RESET.flr ? 'flr' : 'conventional'}')`;
  const place = region === REGION.config ? `Config(${hex(offset, 2)}` : `Bar(${region}, ${hex(offset, 2)}`;
  return kind === KIND.read ? `fn0.read${place}, ${width})` : `fn0.write${place}, ${width}, ${hex(value)})`;
}

/** As a CPU reaches functions; raises and resets name them by number. */
function treeCall(access: Access): string {
  const { kind, region, width, offset, value } = access;
  if (kind === KIND.raise || kind === KIND.reset)
    return functionCall(access).replace('fn0', `fn${access.function & 0xff}`);
  const call = (what: string, place: string) =>
    kind === KIND.read ? `read${what}(${place}, ${width})` : `write${what}(${place}, ${width}, ${hex(value)})`;
  if (region === BY_ADDRESS.io)
    return offset >= 0xcf8 && offset < 0xd00 ? `host.${call('Port', hex(offset))}` : call('Io', hex(offset));
  if (region !== REGION.config) return `host.${call('Memory', hex(offset))}`;
  const [bus, devfn] = [(access.function >> 8) & 0xff, access.function & 0xff];
  if (!(access.function & ECAM_SEGMENT)) return `host.${call('Config', `${bus}, ${hex(devfn, 2)}, ${hex(offset, 2)}`)}`;
  const ecam = `host.${call('Ecam', hex(((bus << 20) | (devfn << 12) | offset) >>> 0))}`;
  return kind === KIND.read ? `${ecam}.lo` : ecam;
}
