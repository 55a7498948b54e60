import { behindPort, direct, type QemuTarget } from '../../src/harness/qemu/devices.ts';

/** Endpoints, ports and bridges of every kind of capability; the last four are in no recording. */
export const TARGETS: readonly QemuTarget[] = [
  ...['nvme', 'e1000e', 'edu', 'qemu-xhci', 'virtio-blk-pci', 'pcie-root-port', 'pci-bridge', 'pci-testdev'].map((d) =>
    direct(d),
  ),
  behindPort('nvme,serial=goldrp', 'nvme-rp'),
  behindPort('virtio-blk-pci,drive=disk', 'virtio-blk-rp'),
  ...['ioh3420', 'x3130-upstream', 'pcie-pci-bridge', 'intel-hda'].map((d) => direct(d)),
  ...['edu', 'nvme', 'pci-bridge'].map((d) => direct(d, 'pc')),
  { ...direct('pcie-root-port,power_controller_present=off'), name: 'pcie-root-port-no-power' },
  ...['vmxnet3', 'megasas-gen2', 'rocker'].map((d) => direct(d)),
];
