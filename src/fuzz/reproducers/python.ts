import { hex } from '../../core/index.ts';
import { type Access, KIND, REGION, RESET, SIGNAL } from '../access.ts';
import { isCheck, type Script, type ScriptStep, type SentMessage } from './script.ts';

/** A program for the socket of `pirqlab serve`: status 0 if every answer is as it should be, 1 and a line if not. */
export function pythonReproducer(script: Script): string {
  return `${[
    `"""${script.target}: ${oneLine(script.label)}: ${oneLine(script.broken)}`,
    '',
    'Against a fresh server (README.txt has the commands). Exit status 0: as it should be; 1: the bug shows.',
    '"""',
    '',
    'import sys',
    '',
    'from pirqlab import CONFIG, Connection, Intx, Message',
    '',
    `FN = ${hex(script.functions[0].bdf, 2)}`,
    '',
    '',
    'def check(step, what, got, want, show):',
    '    if got != want:',
    '        print(f"step {step}: {what} is {show(got)}, should be {show(want)}")',
    '        sys.exit(1)',
    '',
    '',
    'def show_messages(messages):',
    '    return ", ".join(f"{data:#x} to {address:#x}" for address, data in messages) or "no message"',
    '',
    '',
    'def main(path):',
    '    line = 0',
    '    with Connection(path) as pq:',
    '',
    '        def effects(step, want, level):',
    '            nonlocal line',
    '            sent = [(e.address, e.data) for e in pq.effects if isinstance(e, Message)]',
    '            line = next((e.level for e in reversed(pq.effects) if isinstance(e, Intx)), line)',
    '            pq.effects.clear()',
    '            check(step, "what is sent", sent, want, show_messages)',
    '            check(step, "the level of INTx", line, level, str)',
    '',
    ...script.steps.flatMap((step, i) => stepLines(step, script.steps[i - 1], i + 1)),
    '    print("as it should be")',
    '',
    '',
    'if __name__ == "__main__":',
    '    if len(sys.argv) != 2:',
    '        sys.exit("usage: reproduce.py SOCKET")',
    '    main(sys.argv[1])',
  ].join('\n')}\n`;
}

const oneLine = (text: string) => text.replace(/\s+/g, ' ').replaceAll('\\', '\\\\').replaceAll('"', "'");

function stepLines(step: ScriptStep, before: ScriptStep | undefined, number: number): string[] {
  const { access, told, read } = step;
  const lines = [`        # ${number}  ${oneLine(told)}`];
  if (read) {
    const [mask, want] = [hex(read.mask), hex((read.want & read.mask) >>> 0)];
    const what = JSON.stringify(oneLine(told.replace(/^read \d at /, '')));
    lines.push(`        check(${number}, ${what}, ${call(access)} & ${mask}, ${want}, hex)`);
  } else lines.push(`        ${call(access)}`);
  if (isCheck(step, before)) {
    const [{ want }] = step.effects;
    lines.push(`        effects(${number}, [${want.messages.map(message).join(', ')}], ${want.line})`);
  }
  return lines;
}

const message = ({ addressHi, addressLo, data }: SentMessage) =>
  `(${hex(addressHi)}${hex(addressLo, 8).slice(2)}, ${hex(data)})`;

function call({ kind, region, width, offset, value }: Access): string {
  if (kind === KIND.raise) return value === SIGNAL.ends ? 'pq.lower(FN)' : `pq.raise_vector(FN, ${offset})`;
  if (kind === KIND.reset) return `pq.reset(FN, flr=${value === RESET.flr ? 'True' : 'False'})`;
  const place = `FN, ${region === REGION.config ? 'CONFIG' : region}, ${hex(offset, 2)}, ${width}`;
  return kind === KIND.read ? `pq.read(${place})` : `pq.write(${place}, ${hex(value)})`;
}
