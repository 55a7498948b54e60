import { describe, expect, test } from 'vitest';
import {
  codec,
  ERRNO,
  EVTCHN_EXPAND_ARRAY,
  EVTCHN_INIT_CONTROL,
  EVTCHN_SET_PRIORITY,
} from '../../src/xen/abi/index.ts';
import { DOM0, machine } from './machine.ts';

const GUEST = 1;
const CONTROL = 0x1000;
const ARRAY = 0x2000;
const PENDING = 0x80000000;
const MASKED = 0x40000000;
const LINKED = 0x20000000;

function start() {
  const ram = new Uint8Array(0x4000);
  const view = new DataView(ram.buffer);
  const memory = {
    read: (at: number, n: number) => (at + n <= ram.length ? ram.slice(at, at + n) : undefined),
    write: (at: number, bytes: Uint8Array) => {
      if (at + bytes.length > ram.length) return false;
      ram.set(bytes, at);
      return true;
    },
  };
  const { xen } = machine({
    xen: 'xen-4.22',
    gsis: 24,
    nrIrqs: 64,
    domains: [DOM0, { id: GUEST, kind: 'hvm', nrPirqs: 56, hasPirq: true, maxPort: 200, fifo: true, memory }],
  });
  const op = (cmd: number, bytes: Uint8Array) => xen.hypercall(GUEST, 32, cmd, bytes);
  const guest = xen.as(GUEST);
  return {
    xen,
    guest,
    d: xen.domain(GUEST),
    word: (port: number) => view.getUint32(ARRAY + 4 * port, true),
    setWord: (port: number, value: number) => view.setUint32(ARRAY + 4 * port, value, true),
    ready: () => view.getUint32(CONTROL, true),
    head: (priority: number) => view.getUint32(CONTROL + 8 + 4 * priority, true),
    init: (offset = 0, gfn = 1n, vcpu = 0) =>
      op(11, codec(EVTCHN_INIT_CONTROL).encode({ control_gfn: gfn, offset, vcpu })),
    expand: (gfn = 2n) => op(12, codec(EVTCHN_EXPAND_ARRAY).encode({ array_gfn: gfn })).ret,
    priority: (port: number, priority: number) => op(13, codec(EVTCHN_SET_PRIORITY).encode({ port, priority })).ret,
    /** A port with a pirq, and how to make it pending. */
    bound: () => {
      const { pirq } = guest.getFreePirq();
      const { port } = guest.bindPirq(pirq);
      // only one pirq can be an emulated MSI's, the others deliver all the same once they have a record
      return {
        port,
        fire: () => xen.as(0).injectMsi(GUEST, { addressLo: 0xfee00000 + pirq * 4096, addressHi: 0, data: 0 }),
      };
    },
  };
}

describe('FIFO event channels', () => {
  test('events queue up in order behind one head, and only the first one is told', () => {
    const m = start();
    expect(m.init().ret).toBe(0);
    expect(m.expand()).toBe(0);
    const [a, b] = [m.bound(), m.bound()];
    a.fire();
    b.fire();
    expect(m.ready()).toBe(1 << 7);
    expect(m.head(7)).toBe(a.port);
    expect(m.word(a.port)).toBe((PENDING | LINKED | b.port) >>> 0);
    expect(m.word(b.port)).toBe((PENDING | LINKED) >>> 0);
    expect(m.d.sharedInfo[0]).toBe(1);
  });

  test('a masked event is only pending; unmask links it', () => {
    const m = start();
    m.init();
    m.expand();
    const a = m.bound();
    m.setWord(a.port, MASKED);
    a.fire();
    expect(m.word(a.port)).toBe((PENDING | MASKED) >>> 0);
    expect(m.ready()).toBe(0);
    expect(m.guest.unmask(a.port)).toBe(0);
    expect(m.word(a.port)).toBe((PENDING | LINKED) >>> 0);
    expect(m.head(7)).toBe(a.port);
  });

  test('what is pending before its page exists comes with the page', () => {
    const m = start();
    const a = m.bound();
    a.fire();
    expect(m.init().ret).toBe(0);
    expect(m.ready()).toBe(0);
    m.d.sharedInfo[0] = 0;
    expect(m.expand()).toBe(0);
    expect(m.head(7)).toBe(a.port);
    expect(m.d.sharedInfo[0]).toBe(1);
  });

  test('priorities have queues of their own', () => {
    const m = start();
    m.init();
    m.expand();
    const [a, b] = [m.bound(), m.bound()];
    expect(m.priority(b.port, 2)).toBe(0);
    a.fire();
    b.fire();
    expect(m.ready()).toBe((1 << 7) | (1 << 2));
    expect(m.head(2)).toBe(b.port);
  });

  test('a closed port that is still linked is not handed out again', () => {
    const m = start();
    m.init();
    m.expand();
    const a = m.bound();
    a.fire();
    expect(m.guest.close(a.port)).toBe(0);
    expect(m.guest.allocUnbound().port).toBe(a.port + 1);
    m.setWord(a.port, 0);
    expect(m.guest.allocUnbound().port).toBe(a.port);
  });

  test('refusals in Xen’s order', () => {
    const m = start();
    expect(m.expand()).toBe(-ERRNO.EOPNOTSUPP);
    expect(m.priority(99, 0)).toBe(-ERRNO.EINVAL);
    expect(m.priority(1, 0)).toBe(-ERRNO.ENOSYS);
    expect(m.init(0, 1n, 7).ret).toBe(-ERRNO.ENOENT);
    expect(m.init(4096 - 71).ret).toBe(-ERRNO.EINVAL);
    expect(m.init(4).ret).toBe(-ERRNO.EINVAL);
    expect(m.init(0, 99n).ret).toBe(-ERRNO.EINVAL);
    const ok = m.init(8);
    expect([ok.ret, ok.bytes[16]]).toEqual([0, 17]);
    expect(m.init(8).ret).toBe(-ERRNO.EINVAL);
    expect(m.expand(99n)).toBe(-ERRNO.EINVAL);
    expect(m.priority(1, 0)).toBe(-ERRNO.EACCES);
    const { port } = m.guest.allocUnbound();
    expect(m.priority(port, 16)).toBe(-ERRNO.EINVAL);
    expect(m.xen.hypercall(0, 32, 11, new Uint8Array(24)).ret, 'a domain made without').toBe(-ERRNO.EOPNOTSUPP);
  });
});
