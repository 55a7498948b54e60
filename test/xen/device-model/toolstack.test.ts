import { describe, expect, test } from 'vitest';
import { fromHex, toHex, writeLe } from '../../../src/core/index.ts';
import { HypercallToolstack, type ToolstackOptions } from '../../../src/xen/device-model/index.ts';

const MAP_BYTES = {
  domid: '0300',
  pad: '0000',
  type: '00000000',
  index: 'ffffffff',
  pirq: '37000000',
  bus: '03000000',
  devfn: '21000000',
  entry_nr: '02000000',
  pad2: '00000000',
  table_base: '000000f000000000',
};

function toolstack(ret: number, options: Partial<ToolstackOptions> = {}, reply?: (bytes: Uint8Array) => void) {
  const calls: [nr: number, cmd: number, hex: string][] = [];
  const stack = new HypercallToolstack(
    (nr, cmd, bytes) => {
      calls.push([nr, cmd, toHex(bytes)]);
      const out = bytes.slice();
      reply?.(out);
      return { ret, bytes: out };
    },
    { domid: 3, domctlVersion: 0x15, domctlLayout: '4.10', ...options },
  );
  return { stack, calls };
}

/** A 144-byte xen_domctl for domain 3 that begins with `hex`. */
const domctl = (hex: string) => toHex(fromHex(hex)).padEnd(288, '0');

describe('the hypercalls of libxenctrl, byte for byte', () => {
  const request = { index: -1, pirq: 55, devfn: 0x21, bus: 3, entry: 2, tableBase: 0xf000_0000 };

  test('xc_physdev_map_pirq_msi', () => {
    const { stack, calls } = toolstack(0, {}, (out) => writeLe(out, 12, 4, 54));
    expect(stack.mapPirqMsi(request)).toEqual({ rc: 0, pirq: 54 });
    expect(calls).toEqual([[33, 13, Object.values(MAP_BYTES).join('')]]);
  });

  test('its type became MSI_SEG', () => {
    const { stack, calls } = toolstack(0, { mapType: 'msiSeg' });
    stack.mapPirqMsi(request);
    expect(calls[0][2]).toBe(Object.values({ ...MAP_BYTES, type: '03000000' }).join(''));
  });

  test('a refusal keeps its errno, and the wanted pirq', () => {
    const { stack } = toolstack(-17, {}, (out) => writeLe(out, 12, 4, 54));
    expect(stack.mapPirqMsi(request)).toEqual({ rc: -17, pirq: 55 });
  });

  test('xc_physdev_unmap_pirq, −1 included', () => {
    const { stack, calls } = toolstack(-22);
    expect(stack.unmapPirq(-1)).toBe(-22);
    expect(calls).toEqual([[33, 14, '03000000ffffffff']]);
  });

  test('xc_domain_update_msi_irq from 4.10 on', () => {
    const { stack, calls } = toolstack(0);
    expect(stack.updateMsiIrq({ gvec: 0x41, pirq: 55, gflags: 0x17037, gtable: 0xf100_0000 })).toBe(0);
    const head = '26000000 15000000 0300 000000000000';
    expect(calls).toEqual([[36, 38, domctl(`${head} 37000000 02000000 41000000 37700100 000000f100000000`)]]);
  });

  test('xc_domain_unbind_msi_irq up to 4.9 names the guest again', () => {
    const { stack, calls } = toolstack(-1, { domctlVersion: 0xc, domctlLayout: '4.4' });
    expect(stack.unbindMsiIrq({ gvec: 0, pirq: 300, gflags: 0x3037 })).toBe(-1);
    const head = '30000000 0c000000 0300 000000000000';
    expect(calls).toEqual([
      [36, 48, domctl(`${head} 2c010000 02000000 03000000 00000000 00000000 37300000 0000000000000000`)],
    ]);
  });

  test('xc_domain_unbind_pt_irq takes the low byte of a pirq only: 300 becomes 44', () => {
    const { stack, calls } = toolstack(0);
    stack.unbindPtIrq(300);
    expect(calls[0][2].slice(32, 40)).toBe('2c000000');
  });

  test('giving up is reported to who asked', () => {
    const reasons: string[] = [];
    toolstack(0, { onFatal: (reason) => reasons.push(reason) }).stack.fatal('why');
    toolstack(0).stack.fatal('nobody listens');
    expect(reasons).toEqual(['why']);
  });
});
