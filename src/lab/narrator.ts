import { hex } from '../core/index.ts';
import { type Access, type Answer, CONFIG_REGION, type HypercallAnswer, logLine, QUEUE_FLAG } from '../guest/index.ts';
import {
  codec,
  decodePirqMessage,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHNOP,
  formatRet,
  HYPERCALL,
  PHYSDEV_EOI,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_IRQ_STATUS_QUERY,
  PHYSDEVOP,
} from '../xen/abi/index.ts';
import type { Toolstack } from '../xen/device-model/index.ts';
import type { HypervisorEvent } from '../xen/index.ts';
import type { Machine, Slot } from './machine.ts';
import { taskName } from './schedule.ts';
import type { Line, Trace } from './trace.ts';
import type { Watch } from './watch.ts';

const MSIX_ENABLE = 0x8000;
const MSIX_FUNCTION_MASK = 0x4000;

/** A host function's message; words unsigned. */
interface Message {
  vector: number;
  addressLo: number;
  addressHi: number;
  data: number;
}

/** Puts what happens in a machine into words, for a trace; costs nothing while there is none. */
export class Narrator {
  trace: Trace | undefined;
  readonly #machine: Machine;
  /** The event channel that became pending last: what an upcall is taken for. */
  #lastEvent = -1;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** What happens from now on goes to `trace`; undefined stops it. */
  tell(trace: Trace | undefined): void {
    this.trace = trace;
    this.#lastEvent = -1;
  }

  access(task: number, access: Access, action: () => Answer): Answer {
    const { trace } = this;
    if (!trace) return action();
    trace.task = task;
    return trace.around('guest', action, (answer) => this.#accessLine(access, answer));
  }

  message(slot: Slot, message: Message, action: () => void): void {
    const words = `${hex(message.addressLo, 8)} ${hex(message.addressHi)} ${hex(message.data, 4)}`;
    const text = `${this.#name(slot.guestBdf)} signals vector ${message.vector}: host message ${words}`;
    if (this.trace) this.trace.around('device', action, () => ({ name: 'message', text, isKey: true }));
    else action();
  }

  xen(event: HypervisorEvent): void {
    if (!this.trace) return;
    const { seq } = this.trace.add('xen', xenLine(event));
    if (event.kind === 'event') this.#lastEvent = seq;
  }

  /** The guest's upcall, brought about by the event channel that became pending last. */
  upcall(action: () => void): void {
    if (this.trace && this.#lastEvent >= 0) this.trace.because(this.#lastEvent, action);
    else action();
  }

  /** The toolstack that the device model of `bdf` uses, telling every call; and the watch, about which pirq it is. */
  toolstack(bdf: number, inner: Toolstack, watch: Watch): Toolstack {
    const tell = <T>(pirq: number, action: () => T, describe: (result: T) => string): T => {
      watch.beforeToolstack(pirq);
      if (!this.trace) return action();
      return this.trace.around('device-model', action, (result) => {
        const text = describe(result);
        return { name: text.split(' ')[0], text, isKey: true };
      });
    };
    const entry = (n: number) => `${this.#name(bdf)} entry ${n}`;
    return {
      mapPirqMsi: (request) =>
        tell(
          request.pirq,
          () => {
            const mapped = inner.mapPirqMsi(request);
            watch.afterMap(mapped.pirq);
            return mapped;
          },
          ({ rc, pirq }) =>
            `map pirq ${request.pirq} for ${entry(request.entry)}: ${rc < 0 ? formatRet(rc) : `pirq ${pirq}`}`,
        ),
      updateMsiIrq: (binding) =>
        tell(
          binding.pirq,
          () => inner.updateMsiIrq(binding),
          (rc) => `bind pirq ${binding.pirq} of ${this.#name(bdf)}: ${formatRet(rc)}`,
        ),
      unbindMsiIrq: (binding) =>
        tell(
          binding.pirq,
          () => inner.unbindMsiIrq(binding),
          (rc) => `unbind pirq ${binding.pirq} of ${this.#name(bdf)}: ${formatRet(rc)}`,
        ),
      unmapPirq: (pirq) =>
        tell(
          pirq,
          () => inner.unmapPirq(pirq),
          (rc) => `unmap pirq ${pirq} of ${this.#name(bdf)}: ${formatRet(rc)}`,
        ),
      unbindPtIrq: (pirq) => {
        watch.beforeToolstack(pirq);
        return inner.unbindPtIrq(pirq);
      },
      fatal: (reason) => inner.fatal(reason),
    };
  }

  /** A guest function as the reports call it: A, B, C … */
  #name(bdf: number): string {
    const index = this.#machine.slots?.findIndex((slot) => slot.guestBdf === bdf) ?? -1;
    return index < 0 ? 'host' : taskName(index);
  }

  #accessLine(access: Access, answer: Answer): Line {
    switch (access.op) {
      case 'read':
        return this.#registerLine(access, answer as number, 'r', '→');
      case 'write':
        return this.#registerLine(access, access.value, 'w', ':=');
      case 'load':
        return { name: 'load', text: `load ${hex(access.address, 8)} → ${hex(answer as number, 8)}` };
      case 'store':
        return { name: 'store', text: `store ${hex(access.address, 8)} := ${hex(access.value, 8)}` };
      case 'update':
        return {
          name: 'update',
          text: `update ${hex(access.address, 8)} & ~${hex(access.clear)} | ${hex(access.set)}`,
        };
      case 'hypercall':
        return hypercallLine(access, answer as HypercallAnswer);
      case 'kernel':
        return this.#kernelLine(access, answer as number);
      case 'wait': {
        const how = answer === 0 ? 'completed' : `no interrupt within ${access.timeoutMs} ms`;
        const text = `wait for ${this.#name(access.bdf)} queue ${access.queue}: ${how}`;
        return { name: 'wait', text, isKey: answer !== 0 };
      }
      default:
        return { name: access.op, text: access.op };
    }
  }

  #registerLine(access: Extract<Access, { op: 'read' | 'write' }>, value: number, rw: string, sign: string): Line {
    const { bdf, region, offset, width } = access;
    const slot = this.#machine.slots?.find((s) => s.guestBdf === bdf);
    const inTable = slot && region !== CONFIG_REGION ? slot.model.tableOffset(region, offset) : -1;
    const shown = hex(value, 2 * width);
    if (inTable >= 0) return this.#tableLine(slot!, inTable, rw, `${sign} ${shown}`);
    const where = region === CONFIG_REGION ? 'cfg' : `bar${region}`;
    const line: Line = {
      name: `${where}.${rw}${8 * width}`,
      text: `${this.#name(bdf)} ${where}+${hex(offset, 2)} ${sign} ${shown}`,
    };
    const control = slot?.model.msix?.layout.control;
    if (region === CONFIG_REGION && rw === 'w' && offset === control) {
      const enable = value & MSIX_ENABLE ? 1 : 0;
      const mask = value & MSIX_FUNCTION_MASK ? 1 : 0;
      return { ...line, text: `${line.text} (MSI-X enable=${enable} function mask=${mask})`, isKey: true };
    }
    return line;
  }

  /** The write of an entry's data word, its last, tells the complete message. */
  #tableLine(slot: Slot, offset: number, rw: string, value: string): Line {
    const entry = offset >> 4;
    const word = offset & 15;
    const field = ['address', 'upper address', 'data', 'vector control'][word >> 2];
    const text = `${this.#name(slot.guestBdf)} entry ${entry} ${field} ${value}`;
    const line: Line = { name: `table.${rw}32`, text };
    if (word !== 8) return line;
    const message = slot.model.msix!.entryMessage(entry);
    const words = `${hex(message.addressLo, 8)} ${hex(message.addressHi)} ${hex(message.data, 4)}`;
    const pirq = decodePirqMessage(message.addressLo, message.addressHi, message.data);
    const what = pirq > 0 ? `pirq ${pirq}` : 'no pirq';
    const verb = rw === 'w' ? 'is written' : 'reads';
    return { ...line, text: `${this.#name(slot.guestBdf)} entry ${entry} ${verb} ${words} (${what})`, isKey: true };
  }

  #kernelLine(access: Extract<Access, { op: 'kernel' }>, answer: number): Line {
    const { call, args } = access;
    const logged = logLine(access);
    if (logged) return { name: 'printk', text: `log: ${logged}`, isKey: true };
    if (call === 'queue.flag' && args[2] & (QUEUE_FLAG.interrupted | QUEUE_FLAG.spurious)) {
      const found = args[2] & QUEUE_FLAG.interrupted ? 'and takes its completion' : 'and finds nothing';
      const text = `handler of ${this.#name(args[0])} queue ${args[1]} runs ${found}`;
      return { name: 'handler', text, isKey: true };
    }
    return { name: call, text: `${call}(${args.join(', ')}) = ${answer}` };
  }
}

function hypercallLine(access: Extract<Access, { op: 'hypercall' }>, answer: HypercallAnswer): Line {
  const { nr, cmd, bytes } = access;
  const ret = formatRet(answer.ret);
  const isOk = answer.ret >= 0;
  if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.getFreePirq) {
    const got = isOk ? `pirq ${codec(PHYSDEV_GET_FREE_PIRQ).decode(answer.bytes).pirq}` : ret;
    return { name: 'get_free_pirq', text: `get_free_pirq: ${got}`, isKey: true };
  }
  if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.irqStatusQuery)
    return {
      name: 'irq_status_query',
      text: `irq_status_query ${codec(PHYSDEV_IRQ_STATUS_QUERY).decode(bytes).irq}: ${ret}`,
    };
  if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.eoi)
    return { name: 'eoi', text: `eoi of pirq ${codec(PHYSDEV_EOI).decode(bytes).irq}: ${ret}` };
  if (nr === HYPERCALL.eventChannelOp && cmd === EVTCHNOP.bindPirq) {
    const { pirq } = codec(EVTCHN_BIND_PIRQ).decode(bytes);
    const got = isOk ? `port ${codec(EVTCHN_BIND_PIRQ).decode(answer.bytes).port}` : ret;
    return { name: 'bind_pirq', text: `bind_pirq ${pirq}: ${got}`, isKey: true };
  }
  if (nr === HYPERCALL.eventChannelOp && cmd === EVTCHNOP.close)
    return { name: 'close', text: `close port ${codec(EVTCHN_CLOSE).decode(bytes).port}: ${ret}`, isKey: true };
  return { name: `hypercall.${nr}`, text: `hypercall ${nr} command ${cmd}: ${ret}` };
}

function xenLine(event: HypervisorEvent): Line {
  switch (event.kind) {
    case 'interrupt': {
      const whose = event.irq < 0 ? 'nobody’s' : `irq ${event.irq}`;
      return { name: 'interrupt', text: `vector ${hex(event.vector, 2)} is ${whose}`, isKey: event.irq < 0 };
    }
    case 'event': {
      const how = event.upcall ? ', upcall' : '';
      return { name: 'event', text: `event channel port ${event.port} becomes pending${how}`, isKey: true };
    }
    case 'virtual':
      return { name: 'virtual', text: `virtual APIC takes vector ${hex(event.vector, 2)}` };
    case 'dropped':
      return { name: 'dropped', text: `interrupt of pirq ${event.pirq} goes nowhere: ${event.why}`, isKey: true };
    case 'blocked':
      return { name: 'blocked', text: `message to ${hex(event.addressLo, 8)} is no interrupt`, isKey: true };
    case 'domain-crash':
      return { name: 'crash', text: `domain ${event.domid} is killed`, isKey: true };
    case 'hypercall': {
      const text = `hypercall ${event.nr}, command ${event.cmd}, of domain ${event.domid}: ${formatRet(event.ret)}`;
      return { name: 'hypercall', text };
    }
  }
}
