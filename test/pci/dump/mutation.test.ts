import { expect, test } from 'vitest';
import { Prng, UsageError } from '../../../src/core/index.ts';
import { decodeFunction } from '../../../src/pci/decode/index.ts';
import {
  describeFunction,
  formatLspciDump,
  lintFunction,
  type ParsedFunction,
  parseDump,
  readConfigImage,
} from '../../../src/pci/dump/index.ts';
import { createFunction } from '../../../src/pci/index.ts';
import { recordedDumps } from '../decode/recorded.ts';
import { mutate, mutateBytes } from './mutate.ts';

const CASES = 10_000;
const SEED = 20261122;

/** One clear line, or functions with which everything works. */
function outcome(dump: string | Uint8Array): ParsedFunction[] | undefined {
  try {
    return parseDump(dump);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    const { message } = error as UsageError;
    expect(message).toMatch(/^[^\n\r]{10,300}$/);
    return undefined;
  }
}

function checkFunction(fn: ParsedFunction): void {
  for (const finding of lintFunction(fn)) expect(finding.text).toMatch(/^[^\n]+$/);
  describeFunction(fn); // of all that reportFunction gathers
  decodeFunction({ bdf: fn.spec.bdf, domain: fn.domain, bytes: fn.dumped });
  const [again] = parseDump(formatLspciDump([{ slot: fn.slot, title: fn.title, bytes: fn.dumped }]));
  expect(Buffer.compare(again.dumped, fn.dumped)).toBe(0);
  expect(again.slot).toBe(fn.slot);
  // A device of it shows the bytes of the dump, and zeros behind their end.
  const device = readConfigImage(createFunction(fn.spec));
  expect(Buffer.compare(device.subarray(0, fn.spec.image.length), fn.spec.image)).toBe(0);
}

const real = recordedDumps('real').map(({ text }) => text);
const machines = recordedDumps('machines').map(({ text }) => text);

test(`${CASES} damaged dumps are refused in one line or make a device (seed ${SEED})`, () => {
  const prng = new Prng(SEED);
  const counts = { refused: 0, functions: 0 };
  for (let i = 0; i < CASES; i++) {
    const text = prng.pick(prng.below(16) ? real : machines);
    const functions = outcome(i % 10 === 0 ? mutateBytes(parseDump(text)[0].dumped, prng) : mutate(text, prng));
    if (functions) {
      counts.functions++;
      checkFunction(prng.pick(functions));
    } else counts.refused++;
  }
  // Most damage is not noticeable as such: it makes another device. Neither may swallow the other.
  expect(counts.refused).toBeGreaterThan(CASES / 20);
  expect(counts.functions).toBeGreaterThan(CASES / 4);
});

test('noise of any kind is refused in one line', () => {
  const prng = new Prng(7);
  for (let i = 0; i < 500; i++) {
    const bytes = Uint8Array.from({ length: prng.below(6000) }, () => prng.below(i % 2 ? 256 : 95) + (i % 2 ? 0 : 32));
    for (const fn of outcome(bytes) ?? []) checkFunction(fn);
  }
});
