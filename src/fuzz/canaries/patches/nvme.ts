import { type Canary, canary } from '../canary.ts';

const CONTROLLER = 'pci/devices/nvme/controller.ts';
const QUEUES = 'pci/devices/nvme/queues.ts';
const INTERRUPTS = 'pci/devices/nvme/interrupts.ts';
const PRP = 'pci/devices/nvme/prp.ts';
const FEATURES = 'pci/devices/nvme/features.ts';
const NVM = 'pci/devices/nvme/nvm.ts';
const nvme = (file: string, name: string, find: string, replace: string): Canary =>
  canary('nvme-regs', file, name, find, replace);

/** Planted in the NVMe controller; where a name says whose bug it was, the file is theirs. */
export const NVME_CANARIES: readonly Canary[] = [
  nvme(
    QUEUES,
    'a full completion queue is written over (QEMU hw/nvme/ctrl.c nvme_cq_full)',
    'sqs[q + SQ.STOPPED] === 0 &&\n    cqRoom(ctx, sqs[q + SQ.CQID]) > 0',
    'sqs[q + SQ.STOPPED] === 0',
  ),
  nvme(
    CONTROLLER,
    'room in a full completion queue wakes nobody (QEMU hw/nvme/ctrl.c nvme_process_db, start_sqs)',
    'if (wasFull && !this.#ctx.shape.defer) this.#drainAll();',
    '',
  ),
  nvme(
    INTERRUPTS,
    'entries left at a head doorbell send no new message',
    'now & (~this.#statusBefore | this.#acknowledged)',
    'now & ~this.#statusBefore',
  ),
  nvme(
    INTERRUPTS,
    'the pin falls though another queue holds entries (QEMU hw/nvme/ctrl.c nvme_irq_deassert)',
    '    this.#acknowledged |= 1 << this.#statusBit(this.#ctx.state.cqs[cqAt(id) + CQ.VECTOR]);',
    '    this.#acknowledged |= 1 << this.#statusBit(this.#ctx.state.cqs[cqAt(id) + CQ.VECTOR]);\n' +
      '    const q = cqAt(id);\n    const { cqs } = this.#ctx.state;\n' +
      "    if (cqs[q + CQ.HEAD] === cqs[q + CQ.TAIL] && this.#ctx.host.interruptMode() === 'intx') this.#ctx.host.lower();",
  ),
  nvme(
    INTERRUPTS,
    'INTMS does not mask the pin (QEMU hw/nvme/ctrl.c nvme_irq_check)',
    'return pending & ~registers[word(INTMS)];',
    "return pending & ~(this.#ctx.host.interruptMode() === 'intx' ? 0 : registers[word(INTMS)]);",
  ),
  nvme(
    INTERRUPTS,
    'INTMS masks MSI-X',
    'for (const vector of this.#posted) host.raise(vector);',
    'for (const vector of this.#posted) if ((this.#ctx.state.registers[word(INTMS)] >>> vector) % 2 === 0) host.raise(vector);',
  ),
  nvme(
    QUEUES,
    'the phase tag does not turn over',
    'if (cqs[q + CQ.TAIL] === 0) cqs[q + CQ.PHASE] ^= 1;',
    'if (cqs[q + CQ.TAIL] === 1 && cqs[q + CQ.SIZE] === 1) cqs[q + CQ.PHASE] ^= 1;',
  ),
  nvme(
    QUEUES,
    'the head of a queue does not wrap in completions',
    'writeLe(entry, 8, 2, sqs[s + SQ.HEAD]);',
    'writeLe(entry, 8, 2, sqs[s + SQ.HEAD] || sqs[s + SQ.SIZE]);',
  ),
  nvme(
    QUEUES,
    'a completion queue in use can be deleted',
    'if (cqs[cqAt(id) + CQ.USERS] > 0) return STATUS.invalidQueueDeletion;',
    '',
  ),
  nvme(
    QUEUES,
    'a queue may have one entry more than MQES allows',
    "if (size < 2 || size > ctx.shape.maxQueueEntries) return STATUS.invalidQueueSize;\n  if (ccField('iocqes'",
    "if (size < 2 || size > ctx.shape.maxQueueEntries + 1) return STATUS.invalidQueueSize;\n  if (ccField('iocqes'",
  ),
  nvme(
    QUEUES,
    'a vector just beyond the table is accepted',
    'if (vector >= ctx.host.vectorCount())',
    'if (vector > ctx.host.vectorCount())',
  ),
  nvme(
    QUEUES,
    'a tail doorbell may be the size of the queue (QEMU hw/nvme/ctrl.c nvme_process_db)',
    'if (tail >= size || added === 0',
    'if (tail > size || added === 0',
  ),
  nvme(
    CONTROLLER,
    'requests for events outlive a reset (QEMU hw/nvme/ctrl.c nvme_ctrl_reset, outstanding_aers)',
    'state.vars[VAR.AER_COUNT] = state.vars[VAR.AER_MASKED]',
    'state.vars[VAR.AER_MASKED]',
  ),
  nvme(CONTROLLER, 'commands are taken after a shutdown', '(RDY | CFS | SHST)) === RDY', '(RDY | CFS)) === RDY'),
  nvme(CONTROLLER, 'a page size beyond MPSMAX is taken', "ccField('mps', cc) > ctx.shape.mpsMax || ", ''),
  nvme(
    'pci/devices/nvme/host.ts',
    'data moves without bus mastering',
    'address + length <= Number.MAX_SAFE_INTEGER && this.#host.busMaster()',
    'address + length <= Number.MAX_SAFE_INTEGER',
  ),
  nvme(
    PRP,
    'the second entry may have an offset',
    'if (prp.lo2 & offsetMask) return STATUS.prpOffsetInvalid;\n    append',
    'append',
  ),
  nvme(
    PRP,
    'the last entry of a list page is data though more follows',
    'if (chained && i === count - 1) {',
    'if (chained && i === count) {',
  ),
  nvme(
    NVM,
    'one block beyond the end can be read (QEMU hw/nvme/ctrl.c nvme_check_bounds)',
    'if (first + count > ns.blockCount)',
    'if (first + count > ns.blockCount + 1)',
  ),
  nvme(
    NVM,
    'forced unit access is forgotten',
    'return fua || !writeCacheEnabled(ctx)',
    'return !writeCacheEnabled(ctx)',
  ),
  nvme(
    'pci/devices/nvme/log-pages.ts',
    'the offset into a log page is not checked (CVE-2021-3947, QEMU hw/nvme/ctrl.c nvme_changed_nslist)',
    'offset % 4 !== 0 || offset > size ||',
    'offset % 4 !== 0 ||',
  ),
  nvme(
    FEATURES,
    'the number of queues changes under their users',
    'if (vars[VAR.IO_QUEUES] > 0) return STATUS.commandSequenceError;',
    '',
  ),
  nvme(FEATURES, 'features outlive a reset', 'features.fill(0, 0, FEATURE_WORDS);', ''),
  nvme(
    'pci/devices/nvme/events.ts',
    'an event is reported again before its log was read',
    'vars[VAR.AER_MASKED] |= 1 << type;',
    '',
  ),
  nvme(
    'pci/devices/nvme/function.ts',
    'the pin stays low when MSI-X gives way to it',
    "if (before !== 'intx' && interruptMode(this) === 'intx') this.controller.refreshIntx();",
    '',
  ),
];
