import { describe, expect, test } from 'vitest';
import {
  CONTROLLER_STATE,
  enableOnce,
  enumerate,
  type Guest,
  getKernelProfile,
  logLine,
  type NvmeController,
  nvmeMemory,
  oneDisableMany,
  probe,
  unload,
  withDriverOf,
} from '../../src/guest/index.ts';
import { Bench, msixDevice, ScriptedXen, SHARED_INFO } from './fakes.ts';

const BDF = 0x18;
const CONTROLLER: NvmeController = { bdf: BDF, memoryBase: 0x100000, vectors: 2, adminDepth: 2, ioDepth: 4 };
const guest = (kernel: string): Guest => ({ profile: getKernelProfile(kernel), sharedInfo: SHARED_INFO });

/** A device whose CSTS follows CC; commands complete by interrupt, the queue count with `granted`, unless `deaf`. */
function bench(deaf: (queue: number, count: number) => boolean = () => false, granted = 8): Bench {
  const b = new Bench(new ScriptedXen([55, 54, 53, 52, 51, 50, 49, 48]));
  const device = msixDevice();
  b.devices.set(BDF, device);
  device.write(0, 0x00, 4, 0x0f0103ff);
  device.onBarWrite = (offset, value) => {
    if (offset === 0x14) device.write(0, 0x1c, 4, (value & 1) | ((value & 0xc000) === 0x4000 ? 8 : 0));
  };
  let count = 0;
  b.onWait = (_, queue) => {
    if (deaf(queue, count++)) return 2;
    b.records.perform('queue.complete', [BDF, queue, 0, (granted - 1) * 0x10001]);
    return 0;
  };
  b.run(enumerate({ bdfs: [BDF] }));
  b.takeTrace();
  return b;
}

const registersOnly = (trace: string[]) => trace.filter((line) => / bar0\+/.test(line));

describe('controller registers (reference §3.1)', () => {
  const bringUp = {
    'linux-3.13': [
      ...['R bar0+0', 'R bar0+4'],
      ...['W bar0+14 0x0', 'R bar0+1c'],
      ...['W bar0+24 0x3f003f', 'W bar0+28 0x100000', 'W bar0+2c 0x0', 'W bar0+30 0x101000', 'W bar0+34 0x0'],
      ...['W bar0+14 0x460001', 'R bar0+1c'],
    ],
    'linux-4.4.0-59': [
      'R bar0+1c',
      ...['R bar0+0', 'R bar0+4', 'R bar0+8'],
      ...['W bar0+14 0x0', 'R bar0+1c'],
      ...['W bar0+24 0xff00ff', 'W bar0+28 0x100000', 'W bar0+2c 0x0', 'W bar0+30 0x104000', 'W bar0+34 0x0'],
      ...['W bar0+14 0x460001', 'R bar0+1c'],
    ],
    'linux-6.1': [
      'R bar0+1c',
      ...['R bar0+0', 'R bar0+4', 'R bar0+8'],
      ...['W bar0+14 0x0', 'R bar0+1c'],
      ...['W bar0+24 0x1f001f', 'W bar0+28 0x100000', 'W bar0+2c 0x0', 'W bar0+30 0x101000', 'W bar0+34 0x0'],
      ...['W bar0+14 0x460000', 'R bar0+0', 'R bar0+4'],
      ...['W bar0+14 0x460001', 'R bar0+1c'],
    ],
  };
  test.each(Object.entries(bringUp))('%s', (kernel, expected) => {
    const b = bench();
    b.run(probe(guest(kernel), { bdf: BDF, memoryBase: 0x100000, vectors: 2 }));
    expect(registersOnly(b.takeTrace()).slice(0, expected.length)).toEqual(expected);
  });

  test('a device that is gone is left alone', () => {
    const b = bench();
    b.devices.get(BDF)!.write(0, 0x1c, 4, 0xffffffff);
    b.run(probe(guest('linux-6.1'), CONTROLLER));
    expect(registersOnly(b.takeTrace())).toEqual(['R bar0+1c']);
    expect(b.records.controller(BDF).state).toBe(CONTROLLER_STATE.failed);
  });

  test('a controller that never gets ready is waited for as long as CAP.TO says', () => {
    const b = bench();
    b.devices.get(BDF)!.onBarWrite = undefined;
    b.run(probe(guest('linux-4.4.0-59'), CONTROLLER));
    // CAP.TO = 15 in units of 500 ms: 8 s in looks of 100 ms.
    expect(b.accesses.filter((a) => a.op === 'delay')).toHaveLength(80);
    expect(b.records.controller(BDF).state).toBe(CONTROLLER_STATE.failed);
    expect(b.log.map(logLine)).toEqual(['nvme: Device not ready; aborting initialisation']);
  });

  test('memory: queues page-aligned, buffers apart from them, nothing overlaps', () => {
    const { queues, regions, spanBytes } = nvmeMemory(getKernelProfile('linux-6.1'), CONTROLLER);
    expect(queues).toEqual([
      { sq: 0x100000, cq: 0x101000 },
      { sq: 0x104000, cq: 0x105000 },
    ]);
    expect(regions.filter((r) => !r.isScratch).map((r) => r.length)).toEqual([128, 32, 256, 64]);
    expect(regions.filter((r) => r.isScratch)).toHaveLength(2);
    expect(spanBytes).toBe(0x6000);
  });
});

describe('interrupt set-up by era (reference §3.2)', () => {
  /** Commands as opcode:cdw10.cdw11 of the entries that tail doorbells announce, with irq and MSI-X events between. */
  function story(b: Bench): string[] {
    const lines: string[] = [];
    let words: number[] = [];
    for (const access of b.accesses) {
      if (access.op === 'store') words.push(access.value);
      if (access.op === 'write' && access.region === 0 && access.offset >= 0x1000 && access.offset < 0x2000) {
        const [opcode, cdw10, cdw11] = [words.at(-16)! & 0xff, words.at(-6)!, words.at(-5)!];
        lines.push(`q${(access.offset - 0x1000) >> 3} ${opcode}: ${cdw10.toString(16)} ${cdw11.toString(16)}`);
        words = [];
      }
      if (access.op === 'write' && access.region === 7 && access.offset === 0x42)
        lines.push(`msix ${(access.value >>> 12).toString(16)}`);
      if (access.op === 'kernel' && access.call === 'handler.request') {
        const [bdf, queue, irq] = access.args;
        expect(bdf).toBe(BDF);
        lines.push(`handler of q${queue} on ${irq === 0 ? 'nothing' : `irq ${irq - 48}`}`);
      }
      if (access.op === 'kernel' && access.call === 'handler.free') lines.push(`free q${access.args[1]}`);
    }
    return lines;
  }

  test('Xenial: 1, disable, N; queue i on vector i − 1', () => {
    const b = bench();
    b.accesses.length = 0;
    b.run(oneDisableMany(guest('linux-4.4.0-59'), CONTROLLER));
    expect(story(b)).toEqual([
      ...['msix 0', 'msix c', 'msix 8'],
      ...['handler of q0 on irq 0', 'q0 6: 1 0', 'q0 9: 7 10001'],
      ...['free q0', 'msix 0'],
      ...['msix 0', 'msix c', 'msix 8'],
      'handler of q0 on irq 0',
      ...['q0 5: 30001 3', 'q0 1: 30001 10005', 'handler of q1 on irq 0'],
      ...['q0 5: 30002 10003', 'q0 1: 30002 20005', 'handler of q2 on irq 1'],
    ]);
    expect(b.records.controller(BDF).state).toBe(CONTROLLER_STATE.up);
  });

  test('6.1: the same with a vector of its own for each queue', () => {
    const b = bench();
    b.accesses.length = 0;
    b.run(oneDisableMany(guest('linux-6.1'), { ...CONTROLLER, vectors: 3 }));
    expect(story(b)).toEqual([
      ...['msix c', 'msix 8'],
      ...['handler of q0 on irq 0', 'q0 6: 1 0', 'q0 9: 7 10001'],
      ...['free q0', 'msix 0'],
      ...['msix c', 'msix 8'],
      'handler of q0 on irq 0',
      ...['q0 5: 30001 10003', 'q0 1: 30001 10005', 'handler of q1 on irq 1'],
      ...['q0 5: 30002 20003', 'q0 1: 30002 20005', 'handler of q2 on irq 2'],
    ]);
  });

  test('Trusty: admin phase on the pin (none here), one enable, identify afterwards', () => {
    const b = bench();
    b.accesses.length = 0;
    b.run(enableOnce(guest('linux-3.13'), CONTROLLER));
    expect(story(b)).toEqual([
      'q0 9: 7 10001',
      ...['msix 0', 'msix c', 'msix 8'],
      'handler of q0 on irq 0',
      ...['q0 5: 30001 3', 'q0 1: 30001 10005', 'handler of q1 on irq 0'],
      ...['q0 5: 30002 10003', 'q0 1: 30002 20005', 'handler of q2 on irq 1'],
      'q0 6: 1 0',
    ]);
  });

  test('fewer queues granted than asked for: fewer vectors', () => {
    const b = bench(() => false, 1);
    b.run(oneDisableMany(guest('linux-4.4.0-59'), { ...CONTROLLER, vectors: 4 }));
    expect(b.records.device(BDF).vectors).toBe(1);
    expect(b.records.controller(BDF)).toMatchObject({ ioQueues: 1, state: CONTROLLER_STATE.up });
  });

  test('a controller that refuses I/O queues keeps its one vector', () => {
    const b = bench();
    const wait = b.onWait;
    b.onWait = (bdf, queue) => {
      const outcome = wait(bdf, queue);
      b.records.perform('queue.status=', [BDF, 0, 2]);
      return outcome;
    };
    b.run(oneDisableMany(guest('linux-6.1'), CONTROLLER));
    expect(b.records.controller(BDF).state).toBe(CONTROLLER_STATE.partly);
    expect(b.records.device(BDF)).toMatchObject({ mode: 2, vectors: 1 });
    b.onWait = wait;
    b.run(unload(guest('linux-6.1'), CONTROLLER));
    expect(b.records.irqs()).toEqual([]);
  });

  test('fewer vectors than asked for: fewer queues, no error', () => {
    const b = bench();
    const small = msixDevice(2);
    small.bars.set(0, b.devices.get(BDF)!.bars.get(0)!);
    small.onBarWrite = (offset, value) => offset === 0x14 && small.write(0, 0x1c, 4, value & 1);
    b.devices.set(BDF, small);
    b.run(oneDisableMany(guest('linux-4.4.0-59'), { ...CONTROLLER, vectors: 4 }));
    expect(b.records.controller(BDF)).toMatchObject({ ioQueues: 2, state: CONTROLLER_STATE.up });
  });

  test('no vector and no pin: given up', () => {
    const b = bench();
    b.xen.pool = [];
    b.run(oneDisableMany(guest('linux-6.1'), CONTROLLER));
    expect(b.records.controller(BDF).state).toBe(CONTROLLER_STATE.failed);
    expect(b.log.map(logLine)).toContain('nvme: no interrupt vectors, error -19');
    expect(b.steps.filter((s) => !s.includes('.'))).toEqual([
      'enable',
      'disable',
      'reenable',
      'start-admin',
      'start-queues',
    ]);
  });
});

describe('a completion without an interrupt (reference §3.3)', () => {
  /** The third admin command is the first create; its entry is in the queue, but nobody was told. */
  function deafFrom(kernel: string, first: number, options: Partial<NvmeController> = {}): Bench {
    const b = bench((_, count) => count >= first);
    const profile = getKernelProfile(kernel);
    const { queues } = nvmeMemory(profile, { ...CONTROLLER, ...options });
    const perform = b.perform.bind(b);
    b.perform = (access) => {
      // The device completes every command: head entry of the queue with the phase that is due.
      if (access.op === 'wait') {
        const { head, phase } = b.records.queue(BDF, access.queue);
        b.memory.set(queues[access.queue].cq + head * 16 + 12, phase << 16);
      }
      return perform(access);
    };
    b.run(probe({ profile, sharedInfo: SHARED_INFO }, { ...CONTROLLER, ...options }));
    return b;
  }

  test('Trusty finds it by its thread: slow but up', () => {
    const b = deafFrom('linux-3.13', 1);
    expect(b.records.controller(BDF).state).toBe(CONTROLLER_STATE.slow);
    expect(b.log.map(logLine)).toContain('nvme: completion on QID 0 found by the polling thread');
    const waits = b.accesses.flatMap((a) => (a.op === 'wait' ? [a.timeoutMs] : []));
    expect(new Set(waits)).toEqual(new Set([1000]));
  });

  test('6.1 finds it when the timeout strikes: slow but up', () => {
    const b = deafFrom('linux-6.1', 2);
    expect(b.records.controller(BDF).state).toBe(CONTROLLER_STATE.slow);
    expect(b.log.map(logLine)).toContain('nvme: I/O QID 0 timeout, completion polled');
  });

  test('Xenial disables the controller and leaves the rest as it is', () => {
    const b = deafFrom('linux-4.4.0-59', 2);
    expect(b.records.controller(BDF).state).toBe(CONTROLLER_STATE.failed);
    expect(b.log.map(logLine)).toContain('nvme: I/O QID 0 timeout, disable controller');
    expect(b.records.irqs()).toHaveLength(2);
    expect(b.records.device(BDF).mode).toBe(2);
  });

  test('or, if asked to, tears down what it had', () => {
    const b = deafFrom('linux-4.4.0-59', 2, { onTimeout: 'teardown' });
    expect(b.records.controller(BDF).state).toBe(CONTROLLER_STATE.failed);
    expect(b.records.irqs()).toEqual([]);
    expect(b.xen.ports.size).toBe(0);
    expect(b.records.device(BDF).mode).toBe(0);
  });

  test('a missed pin does not make a controller slow', () => {
    const b = bench((_, count) => count < 1);
    const profile = withDriverOf(getKernelProfile('linux-4.4.0-61'), 'linux-3.13');
    const { queues } = nvmeMemory(profile, CONTROLLER);
    const wait = b.onWait;
    b.onWait = (bdf, queue) => {
      b.memory.set(queues[0].cq + 12, 1 << 16);
      return wait(bdf, queue);
    };
    b.run(enableOnce({ profile, sharedInfo: SHARED_INFO }, CONTROLLER));
    expect(b.records.controller(BDF).state).toBe(CONTROLLER_STATE.up);
  });

  test('a lost I/O vector shows only by I/O: partly on Xenial, slow on 6.1', () => {
    const isIo = (queue: number) => queue === 1;
    for (const [kernel, state] of [
      ['linux-4.4.0-59', CONTROLLER_STATE.partly],
      ['linux-6.1', CONTROLLER_STATE.slow],
    ] as const) {
      const b = bench(isIo);
      const { queues } = nvmeMemory(getKernelProfile(kernel), CONTROLLER);
      const wait = b.onWait;
      b.onWait = (bdf, queue) => {
        if (queue === 1) b.memory.set(queues[1].cq + 12, 1 << 16);
        return wait(bdf, queue);
      };
      b.run(probe(guest(kernel), { ...CONTROLLER, ioCheck: true }));
      expect(b.records.controller(BDF).state).toBe(state);
    }
  });
});

describe('unload', () => {
  test.each(['linux-3.13', 'linux-4.4.0-59', 'linux-6.1'])('%s gives everything back', (kernel) => {
    const b = bench();
    b.run(probe(guest(kernel), { ...CONTROLLER, vectors: 3 }));
    b.takeTrace();
    b.run(unload(guest(kernel), { ...CONTROLLER, vectors: 3 }));
    const trace = b.takeTrace();
    expect(b.records.irqs()).toEqual([]);
    expect(b.xen.ports.size).toBe(0);
    expect(b.records.controller(BDF)).toMatchObject({ state: CONTROLLER_STATE.unbound, ioQueues: 0 });
    expect(trace).toContain('W bar0+14 0x464001');
    expect(b.devices.get(BDF)!.read(7, 4, 2)).toBe(2);
    expect(b.devices.get(BDF)!.read(7, 0x42, 2)).toBe(0x40);
  });

  test.each([
    ['linux-4.4.0-59', ['close', 'delete', 'close', 'shutdown']],
    ['linux-6.1', ['delete', 'shutdown', 'close', 'close']],
  ])('%s: handlers, queues and controller in the order of its time', (kernel, expected) => {
    const b = bench();
    b.run(probe(guest(kernel), CONTROLLER));
    b.accesses.length = 0;
    b.takeTrace();
    b.run(unload(guest(kernel), CONTROLLER));
    const events = b.takeTrace().flatMap((line) => {
      if (line.startsWith('close')) return ['close'];
      if (line === 'W bar0+14 0x464001') return ['shutdown'];
      return /^W bar0\+1000 /.test(line) ? ['delete'] : [];
    });
    expect(events.filter((e, i) => e !== 'delete' || events[i - 1] !== 'delete')).toEqual(expected);
  });

  test('a dead controller gets no commands any more', () => {
    const b = bench();
    b.run(probe(guest('linux-6.1'), CONTROLLER));
    b.devices.get(BDF)!.write(0, 0x1c, 4, 3);
    b.takeTrace();
    b.run(unload(guest('linux-6.1'), CONTROLLER));
    expect(b.takeTrace().filter((line) => line.startsWith('W bar0'))).toEqual([]);
    expect(b.records.irqs()).toEqual([]);
  });

  test('of a driver that was never loaded does nothing', () => {
    const b = bench();
    b.run(unload(guest('linux-6.1'), CONTROLLER));
    expect(b.takeTrace()).toEqual([]);
  });
});
