import { hex } from '../../core/index.ts';
import { type Access, KIND, REGION, RESET, SIGNAL } from '../access.ts';
import { isCheck, type Script, type ScriptStep, type SentMessage } from './script.ts';

/** A C99 program for the socket of `pirqlab serve`: status 0 if every answer is as it should be, 1 and a line if not. */
export function cReproducer(script: Script): string {
  return `${[
    `/* ${script.target}: ${oneLine(script.label)}: ${oneLine(script.broken)}`,
    ' *',
    ' * Against a fresh server (README.txt has the commands). Exit status 0: as it should be; 1: the bug shows. */',
    '#include <inttypes.h>',
    '#include <stdio.h>',
    '#include <stdlib.h>',
    '',
    '#define PIRQLAB_IMPLEMENTATION',
    '#include "pirqlab.h"',
    '',
    `#define FN UINT32_C(${hex(script.functions[0].bdf, 2)})`,
    '#define MAX_MESSAGES 4096',
    '',
    'struct message {',
    '    uint64_t address;',
    '    uint32_t data;',
    '};',
    '',
    'static struct pq_connection pq;',
    'static struct message sent[MAX_MESSAGES];',
    'static int count, line;',
    '',
    'static void on_message(void *context, uint32_t function, uint64_t address, uint32_t data)',
    '{',
    '    (void)context, (void)function;',
    '    if (count < MAX_MESSAGES) sent[count].address = address, sent[count].data = data;',
    '    count++;',
    '}',
    '',
    'static void on_intx(void *context, uint32_t function, int pin, int level)',
    '{',
    '    (void)context, (void)function, (void)pin;',
    '    line = level;',
    '}',
    '',
    '/* The connection or an answer failed: neither verdict. */',
    'static void must(int step, int error)',
    '{',
    '    if (!error) return;',
    '    fprintf(stderr, "step %d: %s\\n", step, strerror(error));',
    '    exit(2);',
    '}',
    '',
    'static void check(int step, const char *what, uint64_t got, uint64_t want)',
    '{',
    '    if (got == want) return;',
    '    printf("step %d: %s is 0x%" PRIx64 ", should be 0x%" PRIx64 "\\n", step, what, got, want);',
    '    exit(1);',
    '}',
    '',
    'static uint64_t get(int step, int region, uint64_t offset, int width)',
    '{',
    '    uint64_t value = 0;',
    '    must(step, pq_read(&pq, FN, region, offset, width, &value));',
    '    return value;',
    '}',
    '',
    '/* What was sent since the last call, and the line. */',
    'static void effects(int step, int number, const struct message *want, int level)',
    '{',
    '    int i;',
    '    for (i = 0; i < number && i < count && i < MAX_MESSAGES; i++) {',
    '        check(step, "address of a message", sent[i].address, want[i].address);',
    '        check(step, "data of a message", sent[i].data, want[i].data);',
    '    }',
    '    check(step, "the number of messages", (uint64_t)count, (uint64_t)number);',
    '    check(step, "the level of INTx", (uint64_t)line, (uint64_t)level);',
    '    count = 0;',
    '}',
    '',
    'int main(int argc, char **argv)',
    '{',
    '    struct pq_handlers handlers = {NULL, on_message, on_intx, NULL, NULL};',
    '    if (argc != 2) {',
    '        fprintf(stderr, "usage: %s SOCKET\\n", argv[0]);',
    '        return 2;',
    '    }',
    '    must(0, pq_connect(&pq, argv[1], &handlers));',
    ...script.steps.flatMap((step, i) => stepLines(step, script.steps[i - 1], i + 1)),
    '    (void)get, (void)effects;',
    '    pq_close(&pq);',
    '    puts("as it should be");',
    '    return 0;',
    '}',
  ].join('\n')}\n`;
}

const oneLine = (text: string) => text.replace(/\s+/g, ' ').replaceAll('*/', '* /').replaceAll('\\', '/');

function stepLines(step: ScriptStep, before: ScriptStep | undefined, number: number): string[] {
  const { access, told, read } = step;
  const lines = [`    /* ${number}  ${oneLine(told)} */`];
  if (read) {
    const [mask, want] = [hex(read.mask), hex((read.want & read.mask) >>> 0)];
    const what = JSON.stringify(oneLine(told.replace(/^read \d at /, '')));
    lines.push(`    check(${number}, ${what}, ${call(access, number)} & ${mask}, ${want});`);
  } else lines.push(`    must(${number}, ${call(access, number)});`);
  if (isCheck(step, before)) {
    const [{ want }] = step.effects;
    const { length } = want.messages;
    const list = length ? `(const struct message[]){${want.messages.map(message).join(', ')}}` : 'NULL';
    lines.push(`    effects(${number}, ${length}, ${list}, ${want.line});`);
  }
  return lines;
}

const message = ({ addressHi, addressLo, data }: SentMessage) =>
  `{UINT64_C(${hex(addressHi)}${hex(addressLo, 8).slice(2)}), ${hex(data)}}`;

function call({ kind, region, width, offset, value }: Access, number: number): string {
  if (kind === KIND.raise) return value === SIGNAL.ends ? 'pq_lower(&pq, FN)' : `pq_raise(&pq, FN, ${offset})`;
  if (kind === KIND.reset)
    return `pq_reset(&pq, FN, ${value === RESET.flr ? 'PQ_RESET_FLR' : 'PQ_RESET_CONVENTIONAL'})`;
  const place = `${region === REGION.config ? 'PQ_CONFIG' : region}, ${hex(offset, 2)}, ${width}`;
  return kind === KIND.read ? `get(${number}, ${place})` : `pq_write(&pq, FN, ${place}, ${hex(value)})`;
}
