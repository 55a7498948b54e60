import type { RegisterSpec, RegisterTables } from './registers.ts';

const NEXT: RegisterSpec = { name: 'next', at: 0x01, size: 1, init: 'next-capability', ro: 0xff, emu: 0xff };

/** Register tables of QEMU 2.0 and 2.1. hw/xen/xen_pt_config_init.c at c976437c7d: xen_pt_emu_reg_* */
export const REGISTERS_2_0: RegisterTables = {
  header: [
    { name: 'vendor', at: 0x00, size: 2, init: 'vendor', ro: 0xffff, emu: 0xffff },
    { name: 'device', at: 0x02, size: 2, init: 'device', ro: 0xffff, emu: 0xffff },
    { name: 'command', at: 0x04, size: 2, ro: 0xf880, emu: 0x0740, action: 'command' },
    { name: 'cap-pointer', at: 0x34, size: 1, init: 'next-capability', ro: 0xff, emu: 0xff },
    { name: 'status', at: 0x06, size: 2, init: 'status', ro: 0x06ff, emu: 0x0010 },
    { name: 'cache-line', at: 0x0c, size: 1, emu: 0xff },
    { name: 'latency', at: 0x0d, size: 1, emu: 0xff },
    { name: 'header-type', at: 0x0e, size: 1, init: 0x80, ro: 0xff },
    { name: 'interrupt-line', at: 0x3c, size: 1, emu: 0xff },
    { name: 'interrupt-pin', at: 0x3d, size: 1, init: 'interrupt-pin', ro: 0xff, emu: 0xff },
    { name: 'bar0', at: 0x10, size: 4, init: 'bar' },
    { name: 'bar1', at: 0x14, size: 4, init: 'bar' },
    { name: 'bar2', at: 0x18, size: 4, init: 'bar' },
    { name: 'bar3', at: 0x1c, size: 4, init: 'bar' },
    { name: 'bar4', at: 0x20, size: 4, init: 'bar' },
    { name: 'bar5', at: 0x24, size: 4, init: 'bar' },
    { name: 'rom', at: 0x30, size: 4, init: 'bar', ro: 0x000007fe, emu: 0xfffff800 },
  ],
  pm: [
    NEXT,
    { name: 'pmc', at: 0x02, size: 2, ro: 0xffff, emu: 0xf9c8 },
    // The table says emu 0x8100; xen_pt_pmcsr_reg_read and _write add the power state and No_Soft_Reset.
    { name: 'pmcsr', at: 0x04, size: 2, init: 0x0008, ro: 0xe1fc, emu: 0x810b },
  ],
  vpd: [NEXT],
  msi: [
    NEXT,
    { name: 'control', at: 0x02, size: 2, ro: 0xff8e, emu: 0x007f, action: 'msi-control' },
    {
      name: 'address',
      at: 0x04,
      size: 4,
      ro: 0x00000003,
      emu: 0xffffffff,
      action: 'msi-address-lo',
      noWriteBack: true,
    },
    {
      name: 'upper-address',
      at: 0x08,
      size: 4,
      emu: 0xffffffff,
      onlyIf: 'msi-64',
      action: 'msi-address-hi',
      noWriteBack: true,
    },
    { name: 'data', at: 0x08, size: 2, emu: 0xffff, onlyIf: 'msi-32', action: 'msi-data', noWriteBack: true },
    { name: 'data', at: 0x0c, size: 2, emu: 0xffff, onlyIf: 'msi-64', action: 'msi-data', noWriteBack: true },
  ],
  vendor: [NEXT],
  pcie: [
    NEXT,
    { name: 'devcap', at: 0x04, size: 4, ro: 0x1ffcffff, emu: 0x10000000 },
    { name: 'devctl', at: 0x08, size: 2, init: 0x2810, ro: 0x8400, emu: 0xffff },
    { name: 'lnkctl', at: 0x10, size: 2, ro: 0xfc34, emu: 0xffff },
    { name: 'devctl2', at: 0x28, size: 2, ro: 0xffe0, emu: 0xffff },
    { name: 'lnkctl2', at: 0x30, size: 2, init: 'link-speed', ro: 0xe040, emu: 0xffff, onlyIf: 'pcie-not-v1' },
  ],
  msix: [NEXT, { name: 'control', at: 0x02, size: 2, ro: 0x3fff, action: 'msix-control' }],
};
