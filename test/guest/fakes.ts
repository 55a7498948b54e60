import { Arena, fromHex, hex, readLe, type Width, writeLe } from '../../src/core/index.ts';
import { type Access, type Answer, CONFIG_REGION, type Task } from '../../src/guest/access.ts';
import { KernelRecords, type KernelShape } from '../../src/guest/index.ts';
import {
  codec,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHN_UNMASK,
  EVTCHNOP,
  HYPERCALL,
  PHYSDEV_EOI,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_IRQ_STATUS_QUERY,
  PHYSDEV_MAP_PIRQ,
  PHYSDEVOP,
} from '../../src/xen/abi/index.ts';

/** A device that is nothing but bytes: every register keeps what is written, unless `onWrite` says otherwise. */
export class BytesDevice {
  readonly config = new Uint8Array(256);
  readonly bars = new Map<number, Map<number, number>>();
  onBarWrite: ((offset: number, value: number) => void) | undefined;

  /** @param parts hex bytes by configuration offset */
  constructor(parts: Record<number, string> = {}) {
    for (const [offset, bytes] of Object.entries(parts)) this.config.set(fromHex(bytes), Number(offset));
  }

  read(region: number, offset: number, width: Width): number {
    if (region === CONFIG_REGION) return readLe(this.config, offset, width);
    return this.bars.get(region)?.get(offset) ?? 0;
  }

  write(region: number, offset: number, width: Width, value: number): void {
    if (region === CONFIG_REGION) {
      writeLe(this.config, offset, width, value);
      return;
    }
    const bar = this.bars.get(region) ?? new Map<number, number>();
    this.bars.set(region, bar.set(offset, value));
    this.onBarWrite?.(offset, value);
  }
}

/** A type-0 function with MSI-X at 0x40: `size` entries in BAR 0 at 0x2000. */
export function msixDevice(size = 65): BytesDevice {
  const field = (size - 1).toString(16).padStart(4, '0');
  return new BytesDevice({
    0: '361b1000',
    6: '1000',
    52: '40',
    64: `1100 ${field.slice(2)}${field.slice(0, 2)} 00200000 00300000`,
  });
}

/** A type-0 function with MSI at 0x50. */
export function msiDevice(control: number): BytesDevice {
  const device = new BytesDevice({ 0: '361b1000', 6: '1000', 52: '50', 80: '0500' });
  writeLe(device.config, 0x52, 2, control);
  return device;
}

/** Hands out pirqs from a list and ports from 1; what is bound stays bound until closed. */
export class ScriptedXen {
  pool: number[];
  readonly ports = new Map<number, number>();
  /** pirqs that a status query calls in need of an EOI; for others the query fails. */
  readonly wantsEoi = new Set<number>();
  nextGsiPirq = 16;

  constructor(pool: number[] = []) {
    this.pool = pool;
  }

  call(nr: number, cmd: number, bytes: Uint8Array): Answer {
    const out = bytes.slice();
    return { ret: this.#serve(nr, cmd, out), bytes: out };
  }

  #serve(nr: number, cmd: number, bytes: Uint8Array): number {
    if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.getFreePirq) {
      const pirq = this.pool.shift();
      if (pirq === undefined) return -28;
      codec(PHYSDEV_GET_FREE_PIRQ).encode({ pirq }, bytes);
    } else if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.mapPirq) {
      codec(PHYSDEV_MAP_PIRQ).encode({ pirq: this.nextGsiPirq++ }, bytes);
    } else if (nr === HYPERCALL.physdevOp && cmd === PHYSDEVOP.irqStatusQuery) {
      const { irq } = codec(PHYSDEV_IRQ_STATUS_QUERY).decode(bytes);
      if (!this.wantsEoi.has(irq)) return -22;
      codec(PHYSDEV_IRQ_STATUS_QUERY).encode({ flags: 1 }, bytes);
    } else if (nr === HYPERCALL.eventChannelOp && cmd === EVTCHNOP.bindPirq) {
      const { pirq } = codec(EVTCHN_BIND_PIRQ).decode(bytes);
      if ([...this.ports.values()].includes(pirq)) return -17;
      let port = 1;
      while (this.ports.has(port)) port++;
      this.ports.set(port, pirq);
      codec(EVTCHN_BIND_PIRQ).encode({ port }, bytes);
    } else if (nr === HYPERCALL.eventChannelOp && cmd === EVTCHNOP.close) {
      this.ports.delete(codec(EVTCHN_CLOSE).decode(bytes).port);
    }
    return 0;
  }
}

export const SHARED_INFO = 0x1000;

/** Answers tasks from devices, a hypervisor and memory that know no rules, and writes down what was accessed. */
export class Bench {
  readonly records: KernelRecords;
  readonly arena = new Arena(1 << 20);
  readonly devices = new Map<number, BytesDevice>();
  readonly memory = new Map<number, number>();
  readonly xen: ScriptedXen;
  /** Device accesses and hypercalls, one a line, since {@link takeTrace}. */
  trace: string[] = [];
  /** Everything yielded, steps included. */
  readonly accesses: Access[] = [];
  readonly log: Access[] = [];
  onWait: (bdf: number, queue: number) => number = () => 2;

  constructor(xen = new ScriptedXen(), shape: Partial<KernelShape> = {}) {
    this.xen = xen;
    this.records = new KernelRecords({ devices: 4, vectors: 8, queues: 9, ...shape }, this.arena);
  }

  run<T>(task: Task<T>): T {
    let next = task.next();
    while (!next.done) next = task.next(this.perform(next.value));
    return next.value;
  }

  takeTrace(): string[] {
    const trace = this.trace;
    this.trace = [];
    return trace;
  }

  get steps(): string[] {
    return this.accesses.flatMap((a) => (a.op === 'step' ? [a.name] : []));
  }

  perform(access: Access): Answer {
    this.accesses.push(access);
    switch (access.op) {
      case 'read': {
        const value = this.devices.get(access.bdf)?.read(access.region, access.offset, access.width) ?? 0xffffffff;
        this.trace.push(`R ${place(access)}`);
        return value;
      }
      case 'write':
        this.devices.get(access.bdf)?.write(access.region, access.offset, access.width, access.value);
        this.trace.push(`W ${place(access)} ${hex(access.value)}`);
        return 0;
      case 'load':
        return this.memory.get(access.address) ?? 0;
      case 'store':
        this.memory.set(access.address, access.value);
        return 0;
      case 'update': {
        const old = this.memory.get(access.address) ?? 0;
        this.memory.set(access.address, ((old & ~access.clear) | access.set) >>> 0);
        return old;
      }
      case 'hypercall': {
        const answer = this.xen.call(access.nr, access.cmd, access.bytes);
        this.trace.push(callText(access, answer));
        return answer;
      }
      case 'kernel':
        if (access.call === 'log') this.log.push(access);
        return this.records.perform(access.call, access.args);
      case 'wait':
        return this.onWait(access.bdf, access.queue);
      default:
        return 0;
    }
  }
}

const WIDTH_NAME = { 1: 'b', 2: 'w', 4: 'l' } as const;
const ENTRY_WORDS = ['lo', 'hi', 'data', 'ctrl'];

/** `w 42` for configuration space, `tab2.lo` for the table of {@link msixDevice}, `bar0+1000` for the rest. */
function place(access: { region: number; offset: number; width: Width }): string {
  const { region, offset, width } = access;
  if (region === CONFIG_REGION) return `${WIDTH_NAME[width]} ${offset.toString(16)}`;
  const inTable = offset - 0x2000;
  if (region === 0 && inTable >= 0 && inTable < 0x1000 && width === 4)
    return `tab${inTable >> 4}.${ENTRY_WORDS[(inTable >> 2) & 3]}`;
  return `bar${region}+${offset.toString(16)}`;
}

function callText(access: { nr: number; cmd: number; bytes: Uint8Array }, answer: Answer): string {
  const { ret, bytes } = answer as { ret: number; bytes: Uint8Array };
  const failed = ret < 0 ? ` = ${ret}` : '';
  if (access.nr === HYPERCALL.physdevOp)
    switch (access.cmd) {
      case PHYSDEVOP.getFreePirq:
        return `get_free_pirq = ${ret < 0 ? ret : codec(PHYSDEV_GET_FREE_PIRQ).decode(bytes).pirq}`;
      case PHYSDEVOP.mapPirq: {
        const map = codec(PHYSDEV_MAP_PIRQ).decode(bytes);
        return `map_pirq type ${map.type} index ${map.index} = ${map.pirq}`;
      }
      case PHYSDEVOP.irqStatusQuery:
        return `irq_status_query ${codec(PHYSDEV_IRQ_STATUS_QUERY).decode(bytes).irq}${failed}`;
      case PHYSDEVOP.eoi:
        return `eoi ${codec(PHYSDEV_EOI).decode(bytes).irq}`;
    }
  switch (access.cmd) {
    case EVTCHNOP.bindPirq: {
      const bind = codec(EVTCHN_BIND_PIRQ).decode(bytes);
      return `bind_pirq ${bind.pirq} flags ${bind.flags} = ${ret < 0 ? ret : bind.port}`;
    }
    case EVTCHNOP.close:
      return `close ${codec(EVTCHN_CLOSE).decode(bytes).port}`;
    case EVTCHNOP.unmask:
      return `unmask ${codec(EVTCHN_UNMASK).decode(bytes).port}`;
  }
  return `hypercall ${access.nr}.${access.cmd}`;
}
