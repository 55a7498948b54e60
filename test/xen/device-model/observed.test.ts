import { describe, expect, test } from 'vitest';
import { deviceModel, PassthroughDevice, withSwitches } from '../../../src/xen/device-model/index.ts';
import { FakeHost, FakeXen } from './fakes.ts';
import { disable, enableNewOrder, enableOldOrder } from './guest-writes.ts';

/** What was measured on Xen 4.17.7 with Linux 6.1: qemu-xen 7.2 as it is, and with the freeing on disable made a no-op. */
const fixed = deviceModel('qemu-7.2');
const freesNothing = withSwitches(fixed, { freeOnDisable: false });

function attach(profile = fixed) {
  const xen = new FakeXen();
  return { xen, device: new PassthroughDevice(profile, new FakeHost(65), xen) };
}

describe('a device model that frees on disable', () => {
  test('maps and binds one entry at a time, and gives all back', () => {
    const { xen, device } = attach();
    enableNewOrder(device, [54]);
    expect(xen.log.splice(0)).toEqual(['map entry 0 as 54: 54', 'bind 54 unmasked: 0']);
    disable(device);
    expect(xen.log.splice(0)).toEqual(['unbind 54: 0', 'unmap 54: 0']);
    enableNewOrder(device, [54, 53, 51]);
    disable(device);
    expect(xen.mapped.size).toBe(0);
    expect(device.msix!.entryMessage(0).addressLo).toBe(0xfee36000); // stale, as seen after unload
  });

  test('an entry that the guest re-uses without a write is not mapped again (case 3)', () => {
    const { xen, device } = attach();
    enableNewOrder(device, [53]);
    disable(device);
    xen.log.length = 0;
    enableNewOrder(device, [undefined, 52, 50]);
    expect(xen.log).toEqual([
      'map entry 1 as 52: 52',
      'bind 52 unmasked: 0',
      'map entry 2 as 50: 50',
      'bind 50 unmasked: 0',
    ]);
    expect(device.msix!.entryPirq(0)).toBe(-1);
  });

  test('writing the same message on re-use maps it again, since the entry has no pirq', () => {
    const { xen, device } = attach();
    enableNewOrder(device, [54]);
    disable(device);
    xen.log.length = 0;
    enableNewOrder(device, [54]);
    expect(xen.log).toEqual(['map entry 0 as 54: 54', 'bind 54 unmasked: 0']);
  });
});

describe('a device model that frees nothing on disable (cases 1 and 2)', () => {
  test('one controller alone: EPERM, forced unmap, EEXIST for everything after', () => {
    const { xen, device } = attach(freesNothing);
    enableNewOrder(device, [55]);
    expect(xen.log.splice(0)).toEqual(['map entry 0 as 55: 55', 'bind 55 unmasked: 0']);
    disable(device);
    expect(xen.log.splice(0)).toEqual([]);
    enableNewOrder(device, [54, 53, 52]);
    expect(xen.log.splice(0)).toEqual([
      'bind 54 unmasked: -1',
      'unmap 55: 0',
      'map entry 1 as 53: -17',
      'map entry 2 as 52: -17',
    ]);
    expect(xen.mapped.size).toBe(0);
    disable(device);
    // The reload enables one vector, but the entries left over from the failure are tried again too.
    enableNewOrder(device, [51]);
    expect(xen.log.splice(0)).toEqual(['map entry 0 as 51: -17', 'map entry 1 as 53: -17', 'map entry 2 as 52: -17']);
  });

  test('a guest that keeps the stored pirq causes no call at all on reload', () => {
    const { xen, device } = attach(freesNothing);
    enableNewOrder(device, [53, 51, 50]);
    disable(device);
    xen.log.length = 0;
    enableNewOrder(device, [undefined, undefined, undefined]);
    enableNewOrder(device, [53, 51, 50]); // nor does writing what is there already
    expect(xen.log).toEqual([]);
    expect([...xen.bound]).toEqual([53, 51, 50]);
  });
});

describe('qemu 2.0 itself (from its source, not measured)', () => {
  test('makes the same calls with a guest of its age, without the unmasked flag', () => {
    const { xen, device } = attach(deviceModel('qemu-2.0'));
    enableOldOrder(device, [55]);
    disable(device);
    enableOldOrder(device, [54, 53, 52]);
    expect(xen.log).toEqual([
      'map entry 0 as 55: 55',
      'bind 55: 0',
      'bind 54: -1',
      'unmap 55: 0',
      'map entry 1 as 53: -17',
      'map entry 2 as 52: -17',
    ]);
  });

  test('refuses what Linux 6.1 writes while the vector is unmasked, so only vector 0 goes deaf', () => {
    const host = new FakeHost();
    const xen = new FakeXen();
    const device = new PassthroughDevice(deviceModel('qemu-2.0'), host, xen);
    enableNewOrder(device, [55]);
    host.masked[0] = false;
    disable(device);
    xen.log.length = 0;
    enableNewOrder(device, [54, 53]);
    expect(xen.log).toEqual(['map entry 1 as 53: 53', 'bind 53: 0']);
    expect(device.msix!.entryPirq(0)).toBe(55);
    expect(device.msix!.entryMessage(0).addressLo).toBe(0xfee37000);
  });
});
