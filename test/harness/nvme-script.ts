import { accessRecord, KIND, REGION } from '../../src/harness/access-record.ts';

export const BDF = 0x20;

/** Requests that set up an admin queue of 8 at `base` and enable the controller, MSI-X vector 0 unmasked. */
export function enableRequests(base: number) {
  const config = (offset: number, width: number, value: number) =>
    accessRecord({ kind: KIND.write, function: BDF, region: REGION.config, offset, width, value });
  const bar = (offset: number, value: number) =>
    accessRecord({ kind: KIND.write, function: BDF, region: 0, offset, width: 4, value });
  return [
    config(4, 2, 0x0406),
    bar(0x24, 0x0007_0007),
    bar(0x28, base),
    bar(0x30, base + 0x1000),
    bar(0x14, 0x0046_0001),
  ];
}

/** An Identify Controller command with its data at `page`. */
export function identifyCommand(cid: number, page: number): Uint8Array {
  const entry = new DataView(new ArrayBuffer(64));
  entry.setUint32(0, 0x06 | (cid << 16), true);
  entry.setUint32(24, page, true);
  entry.setUint32(40, 1, true);
  return new Uint8Array(entry.buffer);
}

/** The doorbell write that submits entries up to `tail`. */
export function ring(tail: number) {
  return accessRecord({ kind: KIND.write, function: BDF, region: 0, offset: 0x1000, width: 4, value: tail });
}
