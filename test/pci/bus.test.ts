import { describe, expect, test } from 'vitest';
import {
  createFunction,
  type EmulatedFunction,
  type Flavour,
  guessBars,
  HostBridge,
  PciBus,
} from '../../src/pci/index.ts';
import { probes } from './inferred-masks.ts';

const IMAGES = probes();

function fn(label: string, bdf: number, flavour: Flavour): EmulatedFunction {
  const { image } = IMAGES.find((p) => p.label.startsWith(label))!;
  return createFunction({ name: label, bdf, image, bars: guessBars(image), flavour });
}

/** A root port at 00:06.0 with an NVMe controller behind it on bus 1, numbers and windows programmed. */
function machine(flavour: Flavour) {
  const root = new PciBus();
  const port = fn('pcie-root-port.q35', 0x30, flavour);
  const nvme = fn('nvme-rp.q35', 0x100, flavour);
  root.attach(port);
  root.below(port)!.attach(nvme);
  const host = new HostBridge(root, { flavour });
  host.reset();
  host.writeConfig(0, 0x30, 0x18, 4, 0x00010100);
  host.writeConfig(0, 0x30, 0x20, 4, 0xe010e000);
  host.writeConfig(0, 0x30, 4, 2, 7);
  host.writeConfig(1, 0, 0x10, 4, 0xe0000000);
  host.writeConfig(1, 0, 4, 2, 6);
  return { host, port, nvme };
}

describe.each(['spec', 'qemu-7.2'] as const)('%s', (flavour) => {
  test('a function is where the bridges’ bus numbers say, and nowhere else', () => {
    const { host } = machine(flavour);
    expect(host.readConfig(1, 0, 0, 4)).toBe(0x00101b36);
    expect(host.readConfig(1, 8, 0, 4)).toBe(0xffffffff);
    expect(host.readConfig(2, 0, 0, 4)).toBe(0xffffffff);
    host.writeConfig(0, 0x30, 0x18, 4, 0x00070700);
    expect(host.readConfig(1, 0, 0, 2)).toBe(0xffff);
    expect(host.readConfig(7, 0, 0, 2)).toBe(0x1b36);
  });

  test('ECAM and ports reach the same registers; the latch must be enabled', () => {
    const { host } = machine(flavour);
    host.writePort(0xcf8, 4, 0x80010000);
    expect(host.readPort(0xcfc, 4)).toBe(0x00101b36);
    expect(host.readPort(0xcfe, 2)).toBe(0x0010);
    expect(host.readEcam(0x100000, 8)).toEqual({ lo: 0x00101b36, hi: 0x00100006 });
    host.writePort(0xcf8, 4, 0x00010000);
    expect(host.readPort(0xcfc, 4)).toBe(0xffffffff);
  });

  test('memory goes through the windows to the BAR', () => {
    const { host, port, nvme } = machine(flavour);
    const target = host.root.route('memory', 0xe0000000 + nvme.msix!.tableOffset + 12);
    expect(target).toMatchObject({ bar: 0, offset: nvme.msix!.tableOffset + 12 });
    expect(host.readMemory(0xe0000000 + nvme.msix!.tableOffset + 12, 4)).toBe(1);
    port.writeConfig(4, 2, 4);
    expect(host.readMemory(0xe0000000 + nvme.msix!.tableOffset + 12, 4)).toBe(0xffffffff);
  });

  test('Secondary Bus Reset resets what is below', () => {
    const { host, nvme } = machine(flavour);
    host.writeConfig(0, 0x30, 0x3e, 2, 0x40);
    expect(nvme.readConfig(4, 2)).toBe(0);
    expect(nvme.readConfig(0x10, 4)).toBe(4);
    expect(host.readConfig(0, 0x30, 0x19, 1)).toBe(1);
  });

  test('a slot without power hides and resets its device', () => {
    const { host, port, nvme } = machine(flavour);
    const control = 0x54 + 0x18;
    port.writeConfig(control, 2, 0x7c0);
    expect(host.readConfig(1, 0, 0, 4)).toBe(0xffffffff);
    port.writeConfig(control, 2, 0x1c0);
    expect(host.readConfig(1, 0, 0, 4)).toBe(0x00101b36);
    expect(nvme.readConfig(4, 2)).toBe(0);
  });
});

describe('what the flavours disagree about', () => {
  test('narrow reads of the address port', () => {
    const [spec, qemu] = [machine('spec').host, machine('qemu-7.2').host];
    for (const host of [spec, qemu]) host.writePort(0xcf8, 4, 0xff012344 + 3);
    expect([spec.readPort(0xcf8, 4), qemu.readPort(0xcf8, 4)]).toEqual([0x80012344, 0xff012347]);
    expect([spec.readPort(0xcfa, 2), qemu.readPort(0xcfa, 2)]).toEqual([0xffff, 0x2347]);
  });

  test('extended space ends at a bridge to conventional PCI', () => {
    const root = new PciBus();
    const bridge = fn('pci-bridge.q35', 0x20, 'spec');
    const nvme = fn('nvme.q35', 0x100, 'spec');
    root.attach(bridge);
    root.below(bridge)!.attach(nvme);
    const host = new HostBridge(root);
    host.writeConfig(0, 0x20, 0x18, 4, 0x00010100);
    expect(host.readConfig(1, 0, 0xfc, 4)).toBe(0);
    expect(host.readConfig(1, 0, 0x100, 4)).toBe(0xffffffff);
  });
});
