import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type Abi,
  ALL_STRUCTS,
  DOMCTL_BIND_PT_IRQ_4_4,
  DOMCTL_IRQ_PERMISSION_4_4,
  fieldSize,
  offsetOf,
  type StructSpec,
  sizeOf,
} from '../../src/xen/abi/index.ts';
import { buildAndLoad, COMPILER, compileText, NATIVE, STRICT } from './toolchain.ts';

const XEN_HEADERS = '/usr/include/xen';
const ABIS: Abi[] = ['x86-64', 'compat'];
/** Where no 32-bit libraries are installed, -ffreestanding leaves the compiler's own headers only. */
const I386 = ['-m32', '-ffreestanding'];

/** Layouts of older releases, which our declarations name by the release. */
const OLDER: [name: string, spec: StructSpec][] = [
  ['xen_domctl_bind_pt_irq_4_4', DOMCTL_BIND_PT_IRQ_4_4],
  ['xen_domctl_irq_permission_4_4', DOMCTL_IRQ_PERMISSION_4_4],
];
const NAMED: [name: string, spec: StructSpec][] = [
  ...ALL_STRUCTS.map((spec): [string, StructSpec] => [spec.cName, spec]),
  ...OLDER,
];

/** The size and every member of `struct tag`, as static assertions. */
function assertions(tag: string, spec: StructSpec, abi: Abi): string[] {
  const lines = [`_Static_assert(sizeof(struct ${tag}) == ${sizeOf(spec, abi)}, "sizeof");`];
  for (const [name, field] of Object.entries(spec.fields)) {
    const size = `sizeof(((struct ${tag} *)0)->${name})`;
    lines.push(`_Static_assert(offsetof(struct ${tag}, ${name}) == ${offsetOf(spec, name, abi)}, "offset");`);
    lines.push(`_Static_assert(${size} == ${fieldSize(field, abi)}, "size of member");`);
  }
  return lines;
}

const passes = { status: 0, output: '' };

describe("Xen's own public headers (libxen-dev)", () => {
  const prologue = (headers: Iterable<string>) =>
    [
      '#include <stddef.h>',
      '#include <stdint.h>',
      '#define __XEN_TOOLS__ 1',
      '#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__',
      '#include <xen/xen.h>',
      ...[...headers].map((header) => `#include <xen/${header}>`),
    ].join('\n');

  test.for(ABIS)('the tables are what the compiler makes of them, %s', (abi, ctx) => {
    if (!COMPILER) ctx.skip('no C compiler');
    if (!existsSync(XEN_HEADERS)) ctx.skip('no libxen-dev');
    const options = abi === 'compat' ? I386 : [];
    const headers = new Set(ALL_STRUCTS.map((spec) => spec.header));
    const includes = prologue(headers);
    if (compileText(COMPILER!, 'int x;\n', options).status !== 0) ctx.skip(`${COMPILER} has no ${abi} target`);

    const declared = ALL_STRUCTS.filter(({ header, cName }) =>
      new RegExp(`struct ${cName} \\{`).test(readFileSync(join(XEN_HEADERS, header), 'utf8')),
    );
    const text = [includes, ...declared.flatMap((spec) => assertions(spec.cName, spec, abi))].join('\n');
    expect(compileText(COMPILER!, text, options)).toEqual(passes);
    // newer (4.20) and older (up to 4.8) than the headers of 4.17
    const absent = ALL_STRUCTS.filter((spec) => !declared.includes(spec)).map((spec) => spec.cName);
    expect(['pci_device_reset', 'xen_hvm_inject_msi']).toEqual(expect.arrayContaining(absent));
  });

  test('a wrong offset is noticed', (ctx) => {
    if (!COMPILER) ctx.skip('no C compiler');
    if (!existsSync(XEN_HEADERS)) ctx.skip('no libxen-dev');
    const wrong = '_Static_assert(offsetof(struct physdev_map_pirq, table_base) == 28, "offset");';
    expect(compileText(COMPILER!, `${prologue(['physdev.h'])}\n${wrong}`, []).status).not.toBe(0);
  });
});

describe('our own C declarations', () => {
  const ours = `#include "${join(NATIVE, 'abi.c')}"`;

  test('agree with the tables for both ABIs', (ctx) => {
    if (!COMPILER) ctx.skip('no C compiler');
    const checks = NAMED.flatMap(([name, spec]) => [
      ...assertions(`x64_${name}`, spec, 'x86-64'),
      ...assertions(`compat_${name}`, spec, 'compat'),
    ]);
    expect(compileText(COMPILER!, [ours, ...checks].join('\n'), STRICT)).toEqual(passes);
  });

  test('as an i386 compiler lays them out they are the compat ABI', (ctx) => {
    if (!COMPILER) ctx.skip('no C compiler');
    if (compileText(COMPILER!, 'int x;\n', I386).status !== 0) ctx.skip(`${COMPILER} has no 32-bit target`);
    const plain = [
      '#include <stddef.h>',
      '#include <stdint.h>',
      'typedef uint64_t u64_aligned __attribute__((aligned(8)));',
      '#define ABI(name) name',
      '#define ABI_U64 uint64_t',
      '#define ABI_U64_ALIGNED u64_aligned',
      '#define ABI_LONG unsigned long',
      '#define ABI_PORT_WORDS 32',
      '#define ABI_ARCH_LONGS 6',
      `#include "${join(NATIVE, 'xen-abi.h')}"`,
    ];
    const checks = NAMED.flatMap(([name, spec]) => assertions(name, spec, 'compat'));
    expect(compileText(COMPILER!, [...plain, ...checks].join('\n'), I386)).toEqual(passes);
  });

  test.for(ABIS)('the loaded library reports the rows of the tables, %s', (abi, ctx) => {
    const { native, reason } = buildAndLoad();
    if (!native) ctx.skip(reason);
    const rows = new Map(native!.abiRows(abi).map(({ name, offset, size }) => [name, [offset, size]]));
    const wanted = NAMED.flatMap(([tag, spec]) => [
      [tag, [0, sizeOf(spec, abi)]] as const,
      ...Object.entries(spec.fields).map(
        ([name, field]) => [`${tag}.${name}`, [offsetOf(spec, name, abi), fieldSize(field, abi)]] as const,
      ),
    ]);
    expect(wanted.map(([name]) => [name, rows.get(name)])).toEqual(wanted);
  });
});
