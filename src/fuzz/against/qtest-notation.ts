import { hex, UsageError } from '../../core/index.ts';
import type { Layout } from '../../pci/index.ts';
import { registersAt } from '../../pci/index.ts';
import { type Access, KIND, NOT_APPLICABLE, REGION, RESET, SIGNAL } from '../access.ts';
import { access } from '../targets/function-subject.ts';

const ENTRY = ['addressLo', 'addressHi', 'data', 'vectorControl'];

/** Where the MSI-X structures of a function are. */
export interface MsixPlace {
  bar: number;
  offset: number;
  count: number;
  pbaBar: number;
  pba: number;
}

/** What a step's text is read for. */
export interface NotationSpace {
  bdf: number;
  layout: Layout;
  msix: MsixPlace | undefined;
}

/**
 * A step as a line of text that is the same for every function that has the register: `w8 pm.pmcsr 0x3`,
 * `r32 msix.table[0].addressLo`, `raise 0`, `end 0`, `reset`. `outside` is the first byte from 0x40 up that belongs to no
 * capability.
 */
export function formatStep({ kind, region, offset, width, value }: Access, space: NotationSpace): string {
  if (kind === KIND.raise) return `${value === SIGNAL.begins ? 'raise' : 'end'} ${offset}`;
  if (kind === KIND.reset) return 'reset';
  const place = formatPlace(region, offset, space);
  return kind === KIND.read ? `r${8 * width} ${place}` : `w${8 * width} ${place} ${hex(value, 1)}`;
}

/** @throws UsageError if it is no step, or of a register that the function does not have */
export function parseStep(text: string, space: NotationSpace): Access {
  const [verb, place, value] = text.trim().split(/\s+/);
  const plain = (kind: number, offset: number, what: number) =>
    access(kind, NOT_APPLICABLE, NOT_APPLICABLE, space.bdf, offset, what);
  if (verb === 'reset') return plain(KIND.reset, 0, RESET.conventional);
  if (verb === 'raise') return plain(KIND.raise, Number(place), SIGNAL.begins);
  if (verb === 'end') return plain(KIND.raise, Number(place), SIGNAL.ends);
  const width = { 8: 1, 16: 2, 32: 4 }[verb.slice(1)];
  if (!/^[rw]/.test(verb) || width === undefined || place === undefined) throw new UsageError(`no step: "${text}"`);
  const [region, offset] = parsePlace(place, space);
  if (verb[0] === 'r') return access(KIND.read, region, width, space.bdf, offset, 0);
  return access(KIND.write, region, width, space.bdf, offset, Number(value) >>> 0);
}

function formatPlace(region: number, offset: number, { layout, msix }: NotationSpace): string {
  if (region === REGION.config) {
    const [found] = registersAt(layout, offset, 1);
    if (!found) return offset === firstOutside(layout) ? 'outside' : `config+${hex(offset, 2)}`;
    return `${found.register.name}${offset > found.at ? `+${offset - found.at}` : ''}`;
  }
  if (msix && region === msix.bar && offset >= msix.offset && offset < msix.offset + 16 * msix.count) {
    const at = offset - msix.offset;
    return `msix.table[${at >> 4}].${ENTRY[(at >> 2) & 3]}${at & 3 ? `+${at & 3}` : ''}`;
  }
  if (msix && region === msix.pbaBar && offset >= msix.pba) return `msix.pba+${hex(offset - msix.pba)}`;
  return `bar${region}+${hex(offset)}`;
}

function parsePlace(text: string, { layout, msix }: NotationSpace): [region: number, offset: number] {
  const [, name, more] = /^(.*?)(?:\+(\w+))?$/.exec(text)!;
  const plus = more === undefined ? 0 : Number(more);
  if (name === 'config') return [REGION.config, plus];
  if (name === 'outside') return [REGION.config, firstOutside(layout) + plus];
  const entry = /^msix\.table\[(\d+)\]\.(\w+)$/.exec(name);
  if (entry && msix && ENTRY.includes(entry[2]))
    return [msix.bar, msix.offset + 16 * Number(entry[1]) + 4 * ENTRY.indexOf(entry[2]) + plus];
  if (name === 'msix.pba' && msix && more !== undefined) return [msix.pbaBar, msix.pba + plus];
  const bar = /^bar([0-5])$/.exec(name);
  if (bar && more !== undefined) return [Number(bar[1]), plus];
  const found = layout.registers.find(({ register }) => register.name === name);
  if (!found) throw new UsageError(`the function has no ${name}`);
  return [REGION.config, found.at + plus];
}

/** Extended configuration space has no such byte that could not be a capability of a kind unknown. */
function firstOutside({ capabilities }: Layout): number {
  for (let at = 0x40; at < 0x100; at++)
    if (!capabilities.some((c) => !c.extended && at >= c.at && at < c.at + ((c.sizeBytes + 3) & ~3))) return at;
  return -1;
}
