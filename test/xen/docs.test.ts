import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type Abi, ALL_STRUCTS, fieldSize, offsetOf, sizeOf } from '../../src/xen/abi/index.ts';
import { getXenProfile, LIMIT_SOURCES, SWITCH_SOURCES, xenProfileNames } from '../../src/xen/index.ts';

const path = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));

/** Rewritten by UPDATE_DOCS=1. */
function checkGenerated(name: string, generated: string, part = 'generated'): void {
  const text = readFileSync(path(name), 'utf8');
  const [start, end] = [`<!-- ${part} -->\n`, `<!-- end of ${part} -->`];
  const at = text.indexOf(start) + start.length;
  const wanted = text.slice(0, at) + generated + text.slice(text.indexOf(end));
  if (process.env.UPDATE_DOCS) writeFileSync(path(name), wanted);
  else expect(text).toBe(wanted);
}

test('docs/xen-profiles.md lists every switch of every release', () => {
  const names = xenProfileNames();
  const profiles = names.map((name) => getXenProfile(name));
  const show = (value: unknown) =>
    typeof value === 'object'
      ? Object.entries(value as object)
          .map(([k, v]) => `${k} ${Array.isArray(v) ? v.map((n) => `0x${n.toString(16)}`).join(' ') : v}`)
          .join(', ')
      : String(value);
  const rows = Object.entries(SWITCH_SOURCES).map(([key, source]) => {
    const cells = profiles.map((p) => show(p[key as keyof typeof p]));
    return `| \`${key}\` | ${cells.map((cell, i) => (i && cell === cells[i - 1] ? '=' : cell)).join(' | ')} | ${source} |`;
  });
  const head = `| switch | ${names.join(' | ')} | source |\n|${' --- |'.repeat(names.length + 2)}\n`;
  checkGenerated('xen-profiles.md', `${head}${rows.join('\n')}\n`);
});

test('docs/xen-profiles.md lists every limit that xen-unbounded lifts', () => {
  const lifted = getXenProfile('xen-unbounded').limits;
  const real = getXenProfile('xen-4.22').limits;
  const rows = Object.entries(LIMIT_SOURCES).map(([key, source]) => {
    const k = key as keyof typeof lifted;
    return `| \`${key}\` | ${real[k]} | ${lifted[k]} | ${source} |`;
  });
  const head = '| limit | releases | xen-unbounded | source |\n| --- | --- | --- | --- |\n';
  checkGenerated('xen-profiles.md', `${head}${rows.join('\n')}\n`, 'limits');
});

test('docs/hypercalls.md lists every structure', () => {
  const both = (of: (abi: Abi) => number) => {
    const [a, b] = [of('x86-64'), of('compat')];
    return a === b ? `${a}` : `${a} / ${b}`;
  };
  const rows = ALL_STRUCTS.map((spec) => {
    const fields = Object.entries(spec.fields).map(([name, field]) => {
      const type = field[0] === 'bytes' ? `${both((abi) => fieldSize(field, abi))} bytes` : field[0];
      return `${name} ${type}@${both((abi) => offsetOf(spec, name, abi))}`;
    });
    return `| ${spec.cName} | ${both((abi) => sizeOf(spec, abi))} | ${fields.join(', ')} |`;
  });
  checkGenerated(
    'hypercalls.md',
    `| structure | size | members: type@offset |\n| --- | --- | --- |\n${rows.join('\n')}\n`,
  );
});
