import { type Canary, canary } from '../canary.ts';

const RECORD = 'harness/access-record.ts';
const EXECUTE = 'harness/access-execute.ts';
const CHANNEL = 'harness/access-channel.ts';
const JOURNAL = 'harness/dma-journal.ts';

const plant = (file: string, name: string, find: string, replace: string) =>
  canary('socket', file, name, find, replace);

/** Planted in what speaks access records. */
export const SOCKET_CANARIES: readonly Canary[] = [
  plant(RECORD, 'data is not padded', '      end += paddedBytes(length);', '      end += length;'),
  plant(
    RECORD,
    'data may be longer than the limit',
    'if (length > MAX_DATA_BYTES) throw',
    'if (length > 2 * MAX_DATA_BYTES) throw',
  ),
  plant(
    RECORD,
    'the high word of a length is not looked at',
    'const length = joinWords(record.valueLo, record.valueHi);\n      if',
    'const length = record.valueLo;\n      if',
  ),
  plant(
    RECORD,
    'a record in two pieces loses its beginning',
    'joined.set(this.#bytes.subarray(this.#at));',
    'joined.set(this.#bytes.subarray(0, rest));',
  ),
  plant(EXECUTE, 'three bytes are a width', 'width !== 4 && width !== 8', 'width !== 3 && width !== 4 && width !== 8'),
  plant(EXECUTE, 'the second half of eight bytes is the first again', 'piece(offset + 4, 4));', 'piece(offset, 4));'),
  plant(EXECUTE, 'the vector beyond the last can be raised', 'vector >= vectorLimit(fn)', 'vector > vectorLimit(fn)'),
  plant(EXECUTE, 'an FLR is a conventional reset', "choice === 1 ? 'flr' : 'conventional'", "'conventional'"),
  plant(EXECUTE, 'values beyond 1 are taken for resets', '|| choice > 1)', '|| choice > 2)'),
  plant(
    EXECUTE,
    'nobody in configuration space is an error',
    'if (request.region !== REGION.config) return answerTo(request, STATUS.noDevice);',
    'return answerTo(request, STATUS.noDevice);',
  ),
  plant(EXECUTE, 'a negative result is 32 bits wide', 'ret < 0 ? 0xffffffff : 0', '0'),
  plant(EXECUTE, 'a BAR that is not there reads', '&& hasBar(hosted.fn, region)', ''),
  plant(
    CHANNEL,
    'effects come behind the answer',
    'for (const effect of effects) this.#out.write(effectRecord(effect));\n    this.#out.write(answer);',
    'this.#out.write(answer);\n    for (const effect of effects) this.#out.write(effectRecord(effect));',
  ),
  plant(
    CHANNEL,
    'an answer of the wrong length is taken',
    'if (record.status === STATUS.ok && data.length !== entry.length)',
    'if (record.status === STATUS.ok && data.length > entry.length)',
  ),
  plant(
    CHANNEL,
    'an answer that nobody asked for is passed over',
    "if (!entry) return 'a DMA read answer that nobody asked for';",
    'if (!entry) return undefined;',
  ),
  plant(CHANNEL, 'an access that waits leaves its traces', '      arena.restore(before);\n', ''),
  plant(
    CHANNEL,
    'what waits before a record that is too long is dropped',
    'this.#carryOut(true);\n      this.#out.write(answerTo(error.record',
    'this.#out.write(answerTo(error.record',
  ),
  plant(CHANNEL, 'requests pile up without bound', 'this.#pending && this.#queuedBytes > MAX_BACKLOG_BYTES', 'false'),
  plant(CHANNEL, 'what waits for memory is not told that nothing comes', 'this.#pending?.journal.abandon();', ''),
  plant(
    JOURNAL,
    'writes before a wait are made again',
    "if (this.#matching((e) => e.kind === 'write' && e.address === address && e.bytes.length === bytes.length)) return;",
    '',
  ),
];
