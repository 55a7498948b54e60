import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../src/core/index.ts';
import {
  DEVICE_MODELS,
  type DeviceModelProfile,
  deviceModel,
  PassthroughDevice,
  SWITCHES,
  withSwitches,
} from '../../../src/xen/device-model/index.ts';
import { FakeHost, FakeXen, MSI_AT } from './fakes.ts';
import { disable, enableOldOrder, writeEntry } from './guest-writes.ts';

const old = deviceModel('qemu-2.0');
const fixed = deviceModel('qemu-2.1');
const now = deviceModel('qemu-7.2');

/** Everything the device does to the outside while `guest` runs. */
function trace(profile: DeviceModelProfile, guest: (device: PassthroughDevice, host: FakeHost) => void): string[] {
  const host = new FakeHost();
  const xen = new FakeXen();
  xen.marks = false;
  const log: string[] = [];
  host.log.push = (...lines) => log.push(...lines);
  xen.log.push = (...lines) => log.push(...lines);
  guest(new PassthroughDevice(profile, host, xen), host);
  return log;
}

const reload = (device: PassthroughDevice) => {
  enableOldOrder(device, [55]);
  disable(device);
  enableOldOrder(device, [55]);
};

describe('each switch alone changes what happens', () => {
  test('freeOnDisable', () => {
    expect(trace(fixed, reload)).toContain('unmap 55: 0');
    expect(trace(withSwitches(fixed, { freeOnDisable: false }), reload)).not.toContain('unmap 55: 0');
  });

  test('shadowCompare: with freeing but the old comparison, the same message is never mapped again', () => {
    const maps = (profile: DeviceModelProfile) => trace(profile, reload).filter((line) => line.startsWith('map'));
    expect(maps(fixed)).toHaveLength(2);
    expect(maps(withSwitches(fixed, { shadowCompare: 'value' }))).toHaveLength(1);
  });

  test('refuseWriteWhileUnmasked and latchTable', () => {
    const rewrite = (device: PassthroughDevice, host: FakeHost) => {
      enableOldOrder(device, [55]);
      host.masked[0] = false;
      writeEntry(device, 0, 54);
      device.writeTable(12, 0);
    };
    expect(trace(fixed, rewrite)).not.toContain('bind 54: -1');
    expect(trace(withSwitches(fixed, { refuseWriteWhileUnmasked: false }), rewrite)).toContain('bind 54: -1');
    // Latched, the change waits for a masked entry: what is bound again is the old message.
    const latched = withSwitches(fixed, { refuseWriteWhileUnmasked: false, latchTable: true });
    expect(trace(latched, rewrite).filter((line) => line.startsWith('bind'))).toEqual(['bind 55: 0', 'bind 55: 0']);
  });

  test('bindFlagUnmasked', () => {
    expect(trace(fixed, reload)).toContain('bind 55: 0');
    expect(trace(withSwitches(fixed, { bindFlagUnmasked: true }), reload)).toContain('bind 55 unmasked: 0');
  });

  test('configCopyTakesWrites: a rewritten MSI message reaches the hypervisor only in the old way', () => {
    const rewrite = (device: PassthroughDevice) => {
      device.writeConfig(MSI_AT + 4, 4, 0xfee3_7000);
      device.writeConfig(MSI_AT + 2, 2, 1);
      device.writeConfig(MSI_AT + 4, 4, 0xfee3_8000);
    };
    const binds = (profile: DeviceModelProfile) => trace(profile, rewrite).filter((l) => l.startsWith('bind'));
    expect(binds(fixed)).toHaveLength(2);
    expect(binds(withSwitches(fixed, { configCopyTakesWrites: true }))).toHaveLength(1);
  });

  test('msiTeardownForgets: with the old rule a freed MSI is never set up again', () => {
    const twice = (device: PassthroughDevice) => {
      for (const enable of [1, 0, 1]) device.writeConfig(MSI_AT + 2, 2, enable);
    };
    const maps = (profile: DeviceModelProfile) => trace(profile, twice).filter((l) => l.startsWith('map'));
    expect(maps(fixed)).toHaveLength(2);
    expect(maps(withSwitches(fixed, { msiTeardownForgets: 'flags' }))).toHaveLength(1);
  });

  test('registers: a reserved bit of the command register is written through by the old tables', () => {
    const write = (device: PassthroughDevice) => device.writeConfig(0x04, 2, 0x1000);
    expect(trace(now, write)).toEqual(['hw 4.2=0']);
    expect(trace(withSwitches(now, { registers: '2.0' }), write)).toEqual(['hw 4.2=1000']);
  });

  test('configLimit: the last byte', () => {
    const host = new FakeHost();
    host.config[0xff] = 0x5a;
    const read = (profile: DeviceModelProfile) =>
      new PassthroughDevice(profile, host, new FakeXen()).readConfig(0xff, 1);
    expect([read(now), read(withSwitches(now, { configLimit: 0xff }))]).toEqual([0x5a, 0]);
  });

  test('decodeAtAttach', () => {
    const attach = (device: PassthroughDevice) => device.attach();
    expect(trace(now, attach)).toEqual(['hw 4.2=2']);
    expect(trace(withSwitches(now, { decodeAtAttach: false }), attach)).toEqual([]);
  });
});

describe('profiles', () => {
  test('the commit c976437c is three switches, all that tells 2.1 from 2.0', () => {
    const { freeOnDisable, msiTeardownForgets, shadowCompare } = fixed.switches;
    expect(withSwitches(old, { freeOnDisable, msiTeardownForgets, shadowCompare }).switches).toEqual(fixed.switches);
  });

  test('every switch has a source, and every profile an accepted value of it', () => {
    for (const [name, { source, values }] of Object.entries(SWITCHES)) {
      expect(source).not.toBe('');
      for (const { switches } of DEVICE_MODELS) expect(values).toContain(switches[name as keyof typeof switches]);
    }
  });

  test('a changed profile says so in its name; text values are taken', () => {
    const changed = withSwitches(now, { freeOnDisable: 'false', configLimit: '255', latchTable: true });
    expect(changed.name).toBe('qemu-7.2 freeOnDisable=false configLimit=255');
    expect(changed.switches).toEqual({ ...now.switches, freeOnDisable: false, configLimit: 255 });
  });

  test('unknown names are answered with what is accepted', () => {
    expect(() => deviceModel('qemu-3.0')).toThrow(
      new UsageError('unknown device model "qemu-3.0"; there are qemu-2.0, qemu-2.1, qemu-7.2'),
    );
    expect(() => withSwitches(now, { free: true })).toThrow(
      /unknown device-model switch "free"; there are registers, /,
    );
    expect(() => withSwitches(now, { shadowCompare: 'pirq' })).toThrow(
      new UsageError('device-model switch shadowCompare is value or value-and-pirq, not "pirq"'),
    );
  });
});
