import { describe, expect, test } from 'vitest';
import { Prng } from '../../../src/core/index.ts';
import { type Access, KIND, REGION, RESET, SIGNAL } from '../../../src/fuzz/access.ts';
import { imageSpec } from '../../../src/fuzz/images.ts';
import {
  bindingsAgree,
  type DomainView,
  type Facts,
  FUNCTION_LAWS,
  factsOf,
  oneOwner,
  type Readable,
} from '../../../src/fuzz/oracle/laws.ts';
import { specBits } from '../../../src/fuzz/oracle/spec-bits.ts';
import { FunctionSubject } from '../../../src/fuzz/targets/function-subject.ts';
import { createFunction, type Effect, type EmulatedFunction, type FunctionSpec } from '../../../src/pci/index.ts';

const MSIX_SPEC = imageSpec({ name: 'a test', msix: { count: 8 }, pm: 0x0003 });
const MSI_SPEC = imageSpec({ name: 'a test', msi: 0x0186 });
const WEIGHTS = { configWrite: 20, configRead: 2, tableWrite: 24, raise: 20, reset: 1 };

type Message = Extract<Effect, { kind: 'message' }>;

/** What is wrong with a device: how it reads, what it does behind an access, what it sends. */
interface Fault {
  spec?: FunctionSpec;
  readConfig?(fn: EmulatedFunction, offset: number, width: 1 | 2 | 4): number;
  after?(fn: EmulatedFunction, step: Access): void;
  sent?(fn: EmulatedFunction, step: Access, messages: Message[]): Message[];
}

function carryOut(fn: EmulatedFunction, { kind, region, offset, width, value }: Access): void {
  const w = width as 1 | 2 | 4;
  if (kind === KIND.raise) {
    if (value === SIGNAL.ends) fn.lower();
    else fn.raise(offset);
  } else if (kind === KIND.reset) fn.reset(value === RESET.flr ? 'flr' : 'conventional');
  else if (kind === KIND.write && region === REGION.config) fn.writeConfig(offset, w, value);
  else if (kind === KIND.write) fn.writeBar(region, offset, w, value);
}

/** The laws that break in some thousand steps on a device with a fault. */
function broken({ spec = MSIX_SPEC, readConfig, after, sent }: Fault): string[] {
  const names = new Set<string>();
  const subject = new FunctionSubject(spec, WEIGHTS, /^(command|msi\.|msix\.)/);
  const fn = createFunction(spec);
  const facts: Facts = factsOf(specBits(fn.layout));
  const device: Readable = {
    readConfig: (offset, width) => (readConfig ? readConfig(fn, offset, width) : fn.readConfig(offset, width)),
    readBar: (bar, offset, width) => fn.readBar(bar, offset, width),
  };
  const prng = new Prng(11);
  for (let n = 0; n < 4000; n++) {
    const access = subject.generate(prng);
    subject.run(access);
    carryOut(fn, access);
    after?.(fn, access);
    const messages = fn.effects.splice(0).filter((e) => e.kind === 'message');
    const seen = { device, facts, access, sent: sent ? sent(fn, access, messages) : messages };
    for (const [name, law] of Object.entries(FUNCTION_LAWS)) if (law(seen)) names.add(name);
    if (names.size > 0) break;
  }
  return [...names];
}

const isRaise = ({ kind, value }: Access) => kind === KIND.raise && value === SIGNAL.begins;

/** For each law a device that breaks it and no other. */
const FAULTS: Record<string, Fault> = {
  'width independence': {
    readConfig: (fn, at, width) => fn.readConfig(at, width) ^ (width === 1 && at === 0x73 ? 0x20 : 0),
  },
  'read-only bits never change': {
    // the table's size can be written
    after: (fn, { kind, region, offset, value }) => {
      if (kind === KIND.write && region === REGION.config && offset === 0x72) fn.config.update(0x72, 2, 0x100, value);
    },
  },
  'pending if and only if signalled while masked': {
    // a vector that is signalled masked is forgotten
    after: (fn, step) => {
      if (isRaise(step) && fn.msix!.enabled && fn.msix!.count > step.offset) fn.msix!.withdraw(step.offset);
    },
  },
  'no message while disabled': {
    sent: (fn, step, messages) => {
      if (!isRaise(step) || fn.msix!.enabled) return messages;
      return [{ kind: 'message', bdf: 0, vector: 0, addressLo: 0, addressHi: 0, data: 0 }];
    },
  },
  'message bytes are those of the registers': {
    sent: (_, __, messages) => messages.map((m) => ({ ...m, addressHi: m.addressHi ^ 1 })),
  },
  'sent or pending, not both': {
    sent: (_, step, messages) => (isRaise(step) ? [...messages, ...messages] : messages),
  },
  'reset restores': {
    after: (fn, { kind }) => {
      if (kind === KIND.reset) fn.config.set(0x3c, 1, 0x55);
    },
  },
};

describe('a function', () => {
  test.each([MSIX_SPEC, MSI_SPEC])('as it should be breaks no law', (spec) => {
    expect(broken({ spec })).toEqual([]);
  });

  test('every law has a device that breaks it', () => {
    expect(Object.keys(FAULTS)).toEqual(Object.keys(FUNCTION_LAWS));
  });

  test.each(Object.entries(FAULTS))('%s: alone catches a device that breaks it', (name, fault) => {
    expect(broken(fault)).toEqual([name]);
  });

  test('MSI: data but for the bits of the vector', () => {
    const sent: Fault['sent'] = (_, __, messages) => messages.map((m) => ({ ...m, data: m.data ^ 0x40 }));
    expect(broken({ spec: MSI_SPEC, sent })).toEqual(['message bytes are those of the registers']);
  });
});

describe('pirqs', () => {
  const domain = (id: number, irq: number, evtchn: number, port: number): DomainView => ({
    id,
    pirqs: [
      { pirq: 3, irq: 3, evtchn: 0 },
      { pirq: 20, irq, evtchn },
    ],
    ports: [{ port, pirq: 20 }],
  });
  const fine = [domain(0, 24, 2, 2), domain(5, 25, 7, 7)];

  test('one owner each: an irq of two pirqs, a pirq of two ports', () => {
    expect([oneOwner(fine), bindingsAgree(fine)]).toEqual([undefined, undefined]);
    const shared = [domain(0, 3, 2, 2)];
    expect(oneOwner(shared)).toBe('law "one owner per pirq": irq 3 of domain 0 is of pirq 3 and of pirq 20');
    expect(bindingsAgree(shared)).toBeUndefined();
    const [first] = fine;
    const twice = [{ ...first, ports: [...first.ports, { port: 9, pirq: 20 }] }];
    expect(oneOwner(twice)).toContain('pirq 20 of domain 0 is of port 2 and of port 9');
  });

  test('bindings agree: a port whose pirq does not have it', () => {
    const lost = [domain(0, 24, 0, 2)];
    expect(bindingsAgree(lost)).toContain('law "conservation": port 2');
    expect(oneOwner(lost)).toBeUndefined();
    const twice = [{ ...domain(0, 24, 2, 2), ports: [] }];
    expect(bindingsAgree(twice)).toContain('1 bound pirqs and 0 ports');
  });
});
