import { type Canary, canary } from '../canary.ts';

const plant = (file: string, name: string, find: string, replace: string) =>
  canary('vfio-user', `harness/vfio-user/${file}.ts`, name, find, replace);

/** Planted in the vfio-user server. */
export const VFIO_USER_CANARIES: readonly Canary[] = [
  plant('version', 'any major version will do', 'if (major !== 0) throw', 'if (major > 1) throw'),
  plant(
    'version',
    'the reply has more room than the client',
    'Math.min(MAX_DATA_BYTES, client.maxDataXferSize)',
    'MAX_DATA_BYTES',
  ),
  plant(
    'version',
    'a text need not end in NUL',
    'if (bytes[bytes.length - 1] !== 0) throw',
    'if (bytes.length < 1) throw',
  ),
  plant(
    'version',
    'negative numbers are capabilities',
    '|| !Number.isInteger(value) || value < 0)',
    '|| !Number.isInteger(value))',
  ),
  plant(
    'dma-map',
    'unmapping what is not mapped succeeds',
    'range.size !== size) return ERRNO.ENOENT;',
    'range.size !== size) return 0;',
  ),
  plant(
    'dma-map',
    'mappings side by side overlap',
    'before.address + before.size > address',
    'before.address + before.size >= address',
  ),
  plant(
    'dma-map',
    'overlap with the next mapping is not seen',
    'this.#ranges[at].address < address + size',
    'this.#ranges[at].address === address',
  ),
  plant(
    'dma-map',
    'the file of a mapping stays open',
    'if (range.fd >= 0) this.#host.close(range.fd);\n    else',
    'if (range.fd < 0)',
  ),
  plant('dma-map', 'a mapping may wrap round', 'address + size > SPACE', 'address >= SPACE'),
  plant('dma-map', 'a file may be shorter than its mapping', '|| fileOffset + size > bytes)', '|| fileOffset > bytes)'),
  plant('interrupts', 'INTx does not wait for unmask', 'line.masked.add(0);', ''),
  plant(
    'interrupts',
    'own mask bits hold a vector back',
    'if (this.#fn.busMaster)\n      for (let w = 0;',
    'if (false)\n      for (let w = 0;',
  ),
  plant(
    'interrupts',
    'what is raised before its eventfd comes is lost',
    'const { table } = this.#fn.msix!;\n    if (vectors.fds.size === 0) return;',
    'const { table } = this.#fn.msix!;\n    if (vectors.fds.size === 0) return vectors.held.clear();',
  ),
  plant(
    'interrupts',
    'one vector too many can be named',
    'start + count > vectors.count)',
    'start + count > vectors.count + 1)',
  ),
  plant('interrupts', 'a 0 among bools counts', 'if (type === IRQ_SET.bool && data[i] === 0) continue;', ''),
  plant(
    'interrupts',
    'an older eventfd stays open',
    'setFd(vector: number, fd: number): void {\n    this.removeFd(vector);',
    'setFd(vector: number, fd: number): void {',
  ),
  plant(
    'interrupts',
    'turning all off keeps the eventfds',
    '      vectors.clear();\n      vectors.held.clear();',
    '      vectors.held.clear();',
  ),
  plant('regions', 'an access may begin inside and end outside', 'offset + count <= size', 'offset < size'),
  plant('session', 'a reset by command is an FLR', "fn.reset('conventional');", "fn.reset('flr');"),
  plant(
    'session',
    'REGION_WRITE_MULTI without agreement',
    'if (!this.#writeMultiple || payload.length < 8)',
    'if (payload.length < 8)',
  ),
  plant(
    'session',
    'REGION_WRITE_MULTI counts the entry that failed',
    'return done === 0 && count > 0 ? ERRNO.EINVAL : words(done, 0);',
    'return done === 0 && count > 0 ? ERRNO.EINVAL : words(Math.min(done + 1, count), 0);',
  ),
  plant(
    'session',
    'argsz is not looked at',
    'if (payload.length < 32 || view.getUint32(0, true) < 32) return ERRNO.EINVAL;',
    'if (payload.length < 32) return ERRNO.EINVAL;',
  ),
  plant('session', 'dirty bitmaps are promised', 'if (flags & ~DMA_UNMAP_ALL) return', 'if (flags & ~3) return'),
  plant(
    'connection',
    'errors are told where no reply is wanted',
    'if (!message.noReply) this.append(message.id, message.command, FLAG.reply | FLAG.error',
    'this.append(message.id, message.command, FLAG.reply | FLAG.error',
  ),
  plant('connection', 'an error reply lacks its bit', 'FLAG.reply | FLAG.error, 0, errno', 'FLAG.reply, 0, errno'),
  plant('connection', 'descriptors that nobody takes stay open', '          this.#closeAll(message.fds);\n', ''),
  plant(
    'message-reader',
    'descriptors go to the message before theirs',
    'this.#held[0].at < end',
    'this.#held[0].at <= end',
  ),
  plant('message-reader', 'a size below the header is taken', 'size < HEADER_BYTES ||', 'size < 8 ||'),
  plant(
    'message-reader',
    'what follows a message is lost',
    'this.#to -= this.#from;\n    this.#from = 0;',
    'this.#to = 0;\n    this.#from = 0;',
  ),
  plant('worker', 'a step that waits leaves its traces', '    arena.restore(this.#snapshot!);\n', ''),
  plant(
    'worker',
    'nothing is done after a mapping',
    'if (!disturbs) return;',
    'if (disturbs) this.#idle = true;\n    if (!disturbs) return;',
  ),
  plant(
    'dma-channel',
    'bytes for another address are taken',
    'return u64(view, 0) === address && u64(view, 8) === length',
    'return u64(view, 8) === length',
  ),
  plant('dma-channel', "the client's limit is not kept", 'Math.min(this.maxBytes, PIECE_BYTES)', 'PIECE_BYTES'),
  plant(
    'dma-channel',
    'any id is the answer to the oldest',
    'this.#inFlight.get(message.id)',
    'this.#inFlight.get(message.id) ?? this.#inFlight.values().next().value',
  ),
];
