import { hex } from '../../../core/index.ts';
import type { Layout } from '../../layout.ts';
import {
  type CapabilityAt,
  type CapabilityWalk,
  capabilityPointerAt,
  findCapability,
  walkCapabilities,
  walkExtendedCapabilities,
} from '../capabilities.ts';
import { capabilityName } from '../names.ts';
import type { Finding, LintRule } from './finding.ts';

const EXPRESS = 0x10;
const PCI_X = 0x07;
const AER = 0x01;
/** Without root registers and prefix log, which real endpoints lack and put the next capability over. PCIe 5.0 §7.8.4. */
const AER_LENGTH = 0x2c;
/** A capability takes a dword at least: pointers are to dwords. */
const MIN_LENGTH = 4;

/** Both lists: where they lead, what is on them, and whether the capabilities on them have room. */
export const lintLists: LintRule = ({ dumped: image, layout }, report) => {
  const lengths = capabilityLengths(layout);
  const conventional = walkCapabilities(image);
  lintWalk(image, conventional, report);
  if (conventional.capabilities.length > 0)
    lintAlignment(image[capabilityPointerAt(image)], capabilityPointerAt(image), report);
  lintContents(image, conventional.capabilities, lengths, Math.min(image.length, 256), report);

  const express = findCapability(image, EXPRESS) !== undefined;
  const canExtend = express || findCapability(image, PCI_X) !== undefined;
  if (image.length < 0x104) {
    if (express && image.length === 256)
      report({
        severity: 'note',
        rule: 'truncated',
        at: 0x100,
        text: 'a PCI Express function, but the dump has no extended configuration space',
        source: 'PCIe 5.0 §7.2',
      });
    return;
  }
  const extended = walkExtendedCapabilities(image);
  if (!canExtend && extended.capabilities.length > 0)
    report({
      severity: 'note',
      rule: 'extended-unexpected',
      at: 0x100,
      text: 'extended capabilities in a function that is neither PCI Express nor PCI-X 2.0',
      source: 'PCIe 5.0 §7.6',
    });
  lintWalk(image, extended, report);
  lintContents(image, extended.capabilities, lengths, image.length, report);
};

function lintWalk(image: Uint8Array, { capabilities, end }: CapabilityWalk, report: (f: Finding) => void): void {
  const extended = capabilities[0]?.extended ?? (end.kind !== 'end' && end.to >= 0x100);
  const source = extended ? 'PCIe 5.0 §7.6.3' : 'PCI 3.0 §6.7';
  const first = extended ? '100' : '40';
  for (const c of capabilities) lintAlignment(c.next, c.offset + (c.extended ? 2 : 1), report);
  if (end.kind === 'end') return;
  const to = hex(end.to, 2);
  const texts = {
    loop: `the list loops: the pointer leads back to ${to}`,
    below: `the pointer leads to ${to}, below ${first}h where capabilities begin`,
    beyond: `the pointer leads to ${to}, beyond the ${image.length} bytes of the dump`,
    ones: `the pointer leads to ${to}, where all bits are set`,
  };
  const severity = end.kind === 'beyond' && image.length < (extended ? 4096 : 256) ? 'note' : 'error';
  report({ severity, rule: `list-${end.kind}`, at: end.at, text: texts[end.kind], source });
}

function lintAlignment(pointer: number, at: number, report: (f: Finding) => void): void {
  if (!(pointer & 3)) return;
  report({
    severity: 'warning',
    rule: 'list-unaligned',
    at,
    text: `the pointer ${hex(pointer, 2)} has its reserved low bits set`,
    source: 'PCI 3.0 §6.7',
  });
}

/** Bytes that each capability takes by the register tables of the model, by offset. */
function capabilityLengths({ image, traits, capabilities }: Layout): Map<number, number> {
  return new Map(
    capabilities.map(({ at, id, extended, definition }) => [
      at,
      extended && id === AER ? AER_LENGTH : Math.max(MIN_LENGTH, definition.sizeBytes({ image, at, function: traits })),
    ]),
  );
}

function lintContents(
  image: Uint8Array,
  capabilities: CapabilityAt[],
  lengths: Map<number, number>,
  size: number,
  report: (f: Finding) => void,
): void {
  const sorted = [...capabilities].sort((a, b) => a.offset - b.offset);
  for (const [index, c] of sorted.entries()) {
    const name = capabilityName(c.id, c.extended);
    const called = name ?? `capability ${hex(c.id, 2)}`;
    const source = c.extended ? 'PCIe 5.0 §7.6.3' : 'PCI 3.0 §6.7';
    if (name === undefined)
      report({
        severity: 'note',
        rule: 'unknown-id',
        at: c.offset,
        text: `${c.extended ? 'extended ' : ''}capability ID ${hex(c.id, 2)} is not known`,
        source: 'PCI Code and ID Assignment 1.11',
      });
    const length = lengths.get(c.offset) ?? MIN_LENGTH;
    const next = sorted[index + 1];
    if (next && c.offset + length > next.offset)
      report({
        severity: 'warning',
        rule: 'overlap',
        at: c.offset,
        text: `${called} takes ${length} bytes, to ${hex(c.offset + length - 1)}, and ${capabilityName(next.id, c.extended) ?? 'another'} begins at ${hex(next.offset)}`,
        source,
      });
    else if (c.offset + length > size)
      report({
        severity: image.length === 256 || image.length === 4096 ? 'error' : 'note',
        rule: 'capability-end',
        at: c.offset,
        text: `${called} takes ${length} bytes, beyond the ${size} that there are`,
        source,
      });
  }
  lintDuplicates(capabilities, report);
}

/** These may be there once; vendor-specific ones and HyperTransport as often as they like. */
const ONCE = { conventional: [0x01, 0x05, 0x10, 0x11], extended: [0x01, 0x03, 0x0d, 0x0e, 0x0f, 0x10] };

function lintDuplicates(capabilities: CapabilityAt[], report: (f: Finding) => void): void {
  for (const [index, c] of capabilities.entries()) {
    if (!(c.extended ? ONCE.extended : ONCE.conventional).includes(c.id)) continue;
    const first = capabilities.findIndex((other) => other.id === c.id);
    if (first === index) continue;
    report({
      severity: 'warning',
      rule: 'duplicate',
      at: c.offset,
      text: `${capabilityName(c.id, c.extended)} is there twice; software takes the one at ${hex(capabilities[first].offset)}`,
      source: c.extended ? 'PCIe 5.0 §7.6' : 'PCI 3.0 §6.7',
    });
  }
}
