import { expect, test } from 'vitest';
import { type DecodedFunction, formatListing, functionsBehind } from '../../../src/pci/decode/index.ts';
import { parseDump } from '../../../src/pci/dump/index.ts';
import { createFunction, HostBridge, PciBus } from '../../../src/pci/index.ts';
import { recordedDumps } from './recorded.ts';

/** A host with the functions of a recorded machine, each on the bus that the bridges' registers name. */
function buildMachine(text: string): HostBridge {
  const root = new PciBus();
  for (const { spec } of parseDump(text).sort((a, b) => a.spec.bdf - b.spec.bdf)) {
    const bus = root.find(spec.bdf >> 8);
    expect(bus, `bus of ${spec.name}`).toBeDefined();
    bus!.attach(createFunction({ ...spec, flavour: 'qemu-7.2' }));
  }
  return new HostBridge(root);
}

test.each(recordedDumps('machines'))(
  '$name built as a bus lists as lspci lists the recorded one',
  ({ text, lspci }) => {
    const found = functionsBehind(buildMachine(text));
    expect(found.map((fn) => fn.bdf).sort()).toEqual(
      parseDump(text)
        .map((fn) => fn.spec.bdf)
        .sort(),
    );
    expect(formatListing(found, { decode: true })).toBe(lspci);
  },
);

test('a listing is sorted by slot and names domains if there is more than one', () => {
  const bytes = new Uint8Array(64);
  const functions: DecodedFunction[] = [
    { bdf: 0xe100, domain: 0x10000, bytes },
    { bdf: 0x0100, bytes },
    { bdf: 0x00fa, bytes },
  ];
  expect(formatListing(functions)).toBe(
    '0000:00:1f.2 0000: 0000:0000\n0000:01:00.0 0000: 0000:0000\n10000:e1:00.0 0000: 0000:0000\n',
  );
});
