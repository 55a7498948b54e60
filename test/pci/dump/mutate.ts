import type { Prng } from '../../../src/core/index.ts';

type Mutation = (text: string, prng: Prng) => string;

function splitAt(text: string, prng: Prng): [string[], number] {
  const lines = text.split('\n');
  return [lines, prng.below(lines.length)];
}

/** Picks a hex line (if there is one) and replaces some of its characters. */
function inHexLine(change: (line: string, prng: Prng) => string): Mutation {
  return (text, prng) => {
    const lines = text.split('\n');
    const hex = lines.flatMap((line, index) => (/^[0-9a-f]{2,8}: /.test(line) ? [index] : []));
    if (hex.length > 0) {
      const at = prng.pick(hex);
      lines[at] = change(lines[at], prng);
    }
    return lines.join('\n');
  };
}

function setByte(line: string, index: number, value: number): string {
  const [offset, ...bytes] = line.split(' ');
  if (index < bytes.length) bytes[index] = value.toString(16).padStart(2, '0');
  return [offset, ...bytes].join(' ');
}

/** Ways in which a dump gets damaged between a machine and a mailbox, and ways in which hardware is odd. */
const MUTATIONS: Record<string, Mutation> = {
  'a byte changes': inHexLine((line, prng) => setByte(line, prng.below(16), prng.below(256))),
  'a bit flips': inHexLine((line, prng) => {
    const index = prng.below(16);
    const byte = Number.parseInt(line.split(' ')[index + 1] ?? '0', 16);
    return setByte(line, index, (byte ^ (1 << prng.below(8))) & 0xff);
  }),
  'a digit is lost': inHexLine((line, prng) => {
    const at = prng.below(line.length);
    return line.slice(0, at) + line.slice(at + 1);
  }),
  'a character is another': (text, prng) => {
    const at = prng.below(text.length);
    return text.slice(0, at) + String.fromCharCode(32 + prng.below(95)) + text.slice(at + 1);
  },
  'a line is lost': (text, prng) => {
    const [lines, at] = splitAt(text, prng);
    lines.splice(at, 1);
    return lines.join('\n');
  },
  'a line is cut': (text, prng) => {
    const [lines, at] = splitAt(text, prng);
    lines[at] = lines[at].slice(0, prng.below(lines[at].length + 1));
    return lines.join('\n');
  },
  'a line is doubled': (text, prng) => {
    const [lines, at] = splitAt(text, prng);
    lines.splice(prng.below(lines.length), 0, lines[at]);
    return lines.join('\n');
  },
  'two lines change places': (text, prng) => {
    const [lines, a] = splitAt(text, prng);
    const b = prng.below(lines.length);
    [lines[a], lines[b]] = [lines[b], lines[a]];
    return lines.join('\n');
  },
  'the end is lost': (text, prng) => text.slice(0, prng.below(text.length + 1)),
  'a capability points elsewhere': (text, prng) =>
    // 34h is the head of the list; elsewhere the second byte of a capability is its pointer.
    text.replace(/^(30: \S+ \S+ \S+ \S+ )\S+|^([4-9a-f]0: \S+ )\S+/gm, (line, head, body) =>
      prng.below(3) ? line : (head ?? body) + (prng.below(64) * 4).toString(16).padStart(2, '0'),
    ),
  'an extended capability points elsewhere': (text, prng) =>
    text.replace(/^([1-9a-f][0-9a-f]0: \S+ \S+ )\S+ \S+/gm, (line, start) =>
      prng.below(8)
        ? line
        : `${start}${(prng.below(16) * 16 + 1).toString(16).padStart(2, '0')} ${prng.below(256).toString(16).padStart(2, '0')}`,
    ),
  'it is pasted from a log': (text) => text.replace(/^/gm, '[    0.123456] '),
};

/** Applies one to four mutations. */
export function mutate(text: string, prng: Prng): string {
  let mutated = text;
  for (let times = 1 + prng.below(4); times > 0; times--) mutated = prng.pick(Object.values(MUTATIONS))(mutated, prng);
  return mutated;
}

/** The same for a sysfs config file: bytes change, the end is lost, pointers lead anywhere. */
export function mutateBytes(bytes: Uint8Array, prng: Prng): Uint8Array {
  const copy = bytes.slice(0, prng.below(4) ? bytes.length : prng.below(bytes.length + 1));
  for (let times = prng.below(20); times > 0 && copy.length > 0; times--)
    copy[prng.below(prng.below(2) ? Math.min(64, copy.length) : copy.length)] = prng.below(256);
  return copy;
}
