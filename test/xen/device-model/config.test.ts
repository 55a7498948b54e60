import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromHex, readLe, UsageError, type Width, writeLe } from '../../../src/core/index.ts';
import { BusHostFunction, DEVICE_MODELS, deviceModel, PassthroughDevice } from '../../../src/xen/device-model/index.ts';
import type { HostBus } from '../../../src/xen/host-bus.ts';
import { FakeHost, FakeXen, MSI_AT, MSIX_AT } from './fakes.ts';

const now = deviceModel('qemu-7.2');

function attach(change?: (config: Uint8Array) => void, permissive = false, profile = now) {
  const host = new FakeHost();
  change?.(host.config);
  const xen = new FakeXen();
  return { host, xen, device: new PassthroughDevice(profile, host, xen, { permissive }) };
}

/** Puts a capability of `id` at the head of the chain. */
const prepend = (at: number, id: number) => (config: Uint8Array) => {
  config.set([id, config[0x34]], at);
  config[0x34] = at;
};

describe('what the guest sees', () => {
  test('hardwired and unknown capabilities drop out of the chain', () => {
    const { device } = attach((config) => {
      prepend(0x80, 0x0d)(config); // subsystem id: hardwired
      prepend(0x90, 0x14)(config); // not known at all
    });
    expect(device.readConfig(0x34, 1)).toBe(MSIX_AT);
    expect(device.readConfig(0x80, 4)).toBe(0); // hardwired: zero
    expect(device.readConfig(0x90, 1)).toBe(0x14); // unknown: there, but not linked
    expect(device.readConfig(0x06, 2)).toBe(0x10);
  });

  test('a BAR reads back its size, with the type bits of the host', () => {
    for (const profile of DEVICE_MODELS) {
      const { host, device } = attach(undefined, false, profile);
      device.writeConfig(0x10, 4, 0xffff_ffff);
      device.writeConfig(0x14, 4, 0xffff_ffff);
      expect([device.readConfig(0x10, 4), device.readConfig(0x14, 4)]).toEqual([0xffff_c004, 0xffff_ffff]);
      expect(readLe(host.config, 0x10, 4)).toBe(profile.switches.registers === '2.0' ? 0xf : 0);
    }
  });

  test('misaligned accesses and those beyond 256 bytes: reads give 0, writes vanish', () => {
    const { host, device } = attach();
    const accesses: [number, Width][] = [
      [0x101, 1],
      [0x41, 2],
      [0x42, 4],
      [0x1000, 4],
    ];
    for (const [offset, width] of accesses) {
      expect(device.readConfig(offset, width)).toBe(0);
      device.writeConfig(offset, width, 1);
    }
    expect(host.log).toEqual([]);
  });

  test('unknown bytes are written only in permissive mode, or by old code', () => {
    const writes = (permissive: boolean, profile = now) => {
      const { host, device } = attach(undefined, permissive, profile);
      device.writeConfig(0xf0, 4, 0x1234_5678);
      return host.log;
    };
    expect(writes(false)).toEqual([]);
    expect(writes(true)).toEqual(['hw f0.4=12345678']);
    expect(writes(false, deviceModel('qemu-2.0'))).toEqual(['hw f0.4=12345678']);
  });

  test('read-only emulated bits from 0x40 up take what is written since the copy is writable', () => {
    const write = (profile = now) => {
      const { device } = attach(undefined, false, profile);
      device.writeConfig(MSIX_AT + 1, 1, 0x99);
      return device.readConfig(MSIX_AT + 1, 1);
    };
    expect(write()).toBe(0x99);
    expect(write(deviceModel('qemu-2.1'))).toBe(MSI_AT);
  });

  test('a version 1 PCIe capability has registers of version 2 behind its end: only a shared copy lets them do harm', () => {
    const next = (profile = now) => {
      const { device } = attach(
        (config) => {
          prepend(0x94, 0x03)(config); // VPD where Device Control 2 (+0x28) would be
          prepend(0x6c, 0x10)(config);
          config[0x6e] = 0x01;
        },
        false,
        profile,
      );
      return device.readConfig(0x95, 1);
    };
    expect(next(deviceModel('qemu-2.0'))).toBe(MSIX_AT);
    expect(next()).toBe(0); // the guest's chain ends at the VPD
  });

  test('INTx Disable reaches the device when set, and is cleared there only if INTx is bound', () => {
    const command = (intxBound: boolean) => {
      const host = new FakeHost();
      const device = new PassthroughDevice(now, host, new FakeXen(), { intxBound });
      device.writeConfig(0x04, 2, 0x404);
      device.writeConfig(0x04, 2, 0x004);
      return readLe(host.config, 0x04, 2);
    };
    expect([command(false), command(true)]).toEqual([0x404, 0x004]);
  });
});

describe('attach', () => {
  test('Enable that the host left set is cleared', () => {
    const { host, device } = attach((config) => {
      config[MSI_AT + 2] |= 1;
      config[MSIX_AT + 3] |= 0x80;
    });
    expect(host.log).toEqual(['hw 62.2=180', 'hw 42.2=3']);
    expect(device.msi!.flags).toBe(0x181); // the recorded flags keep it, as in xen_pt_msgctrl_reg_init
  });

  test('a PCI Express port cannot be passed through', () => {
    expect(() =>
      attach((config) => {
        prepend(0x80, 0x10)(config);
        writeLe(config, 0x82, 2, 0x0042);
      }),
    ).toThrow(
      new UsageError(
        '0000:03:04.1 cannot be passed through: PCI Express capability of version 2, port type 4; ' +
          'endpoints of version 1 or 2 can',
      ),
    );
  });

  test('the empty PCIe capability of the 82599 virtual function is hidden instead', () => {
    const { device } = attach((config) => {
      prepend(0x80, 0x10)(config);
      writeLe(config, 0, 4, 0x10ed_8086);
    });
    expect(device.readConfig(0x34, 1)).toBe(MSIX_AT);
  });

  test('only the table pages of the right BAR are trapped', () => {
    const { device } = attach();
    expect(device.tableOffset(0, 0x2010)).toBe(0x10);
    expect(device.tableOffset(0, 0x2fff)).toBe(0xfff);
    expect([device.tableOffset(0, 0x3000), device.tableOffset(0, 0x1fff), device.tableOffset(2, 0x2000)]).toEqual([
      -1, -1, -1,
    ]);
  });
});

test('a guest that overwrites the form of a 32-bit MSI capability kills its device model', () => {
  const { xen, host, device } = attach((config) => {
    config[MSI_AT + 2] = 0;
  });
  device.writeConfig(MSI_AT + 2, 2, 0x80);
  host.log.length = 0;
  device.writeConfig(MSI_AT + 8, 2, 0x4300);
  expect(xen.log).toEqual(['fatal: the offset of the MSI data register does not match the 32/64-bit type']);
  expect(host.log).toEqual([]);
  expect(device.msi!.message.data).toBe(0);
});

describe('on the host bus', () => {
  /** Logs accesses of a bus whose configuration space reads as its own offsets. */
  function bus() {
    const log: string[] = [];
    const host: HostBus = {
      isPresent: () => true,
      readConfig: (_, offset, width) => {
        log.push(`r${width}@${offset}`);
        return readLe(Uint8Array.of(offset, offset + 1, offset + 2, offset + 3), 0, width);
      },
      writeConfig: (_, offset, width, value) => log.push(`w${width}@${offset}=${value.toString(16)}`),
      readMmio: (address) => address % 0x1000,
      writeMmio: () => {},
    };
    return { log, fn: new BusHostFunction(host, 0x321, []) };
  }

  test('accesses of any length and alignment are made of aligned ones', () => {
    const { log, fn } = bus();
    expect(fn.readConfig(0x41, 3)).toBe(0x434241);
    fn.writeConfig(0x40, 3, 0xccbbaa);
    fn.writeConfig(0x41, 3, 0xccbbaa);
    fn.writeConfig(0x44, 4, 0xddccbbaa);
    expect(log).toEqual(['r1@65', 'r2@66', 'w2@64=bbaa', 'w1@66=cc', 'w1@65=aa', 'w2@66=ccbb', 'w4@68=ddccbbaa']);
  });
});

describe('real devices', () => {
  const dumps = new URL('../../dumps/', import.meta.url);
  for (const file of readdirSync(dumps).filter((name) => name.endsWith('.txt')))
    test(file, () => {
      const image = new Uint8Array(0x100);
      for (const [, at, bytes] of readFileSync(new URL(file, dumps), 'utf8').matchAll(/^([0-9a-f]0): ((?:.. ?){16})/gm))
        image.set(fromHex(bytes), Number.parseInt(at, 16));
      for (const profile of DEVICE_MODELS) {
        const host = new FakeHost();
        host.config.set(image);
        host.regions.length = 0;
        const device = new PassthroughDevice(profile, host, new FakeXen());
        // The guest's chain ends, and no hardwired capability is linked in it. A second capability of one id has no
        // registers of its own, and one may lie inside a hardwired neighbour (8086:100f, whose PCI-X is taken for
        // 0x18 bytes, so that the MSI capability behind it reads as 0).
        let steps = 0;
        for (let at = device.readConfig(0x34, 1); at !== 0; at = device.readConfig(at + 1, 1)) {
          const group = device.layout.groupAt[at];
          expect(group?.hardwired && group.base === at).toBeFalsy();
          expect(++steps).toBeLessThan(48);
        }
        const emulated = device.layout.groups.filter((g) => !g.hardwired).map((g) => g.name);
        expect(emulated.includes('msi')).toBe(device.msi !== undefined);
        expect(emulated.includes('msix')).toBe(device.msix !== undefined);
        if (device.msix)
          expect(device.msix.entryCount).toBe((readLe(image, device.msix.layout.control, 2) & 0x7ff) + 1);
      }
    });
});
