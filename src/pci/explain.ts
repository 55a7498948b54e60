import { explainRegister, explainRegisterDifference, hex, readLe } from '../core/index.ts';
import type { Layout, PlacedRegister } from './layout.ts';

/** Registers that have a byte in [offset, offset + sizeBytes), by offset. */
export function registersAt(layout: Layout, offset: number, sizeBytes: number): PlacedRegister[] {
  const found: PlacedRegister[] = [];
  for (const placed of layout.registers) {
    if (placed.at >= offset + sizeBytes) break;
    if (placed.at + placed.register.width > offset) found.push(placed);
  }
  return found;
}

/** Decodes the registers in a range of a configuration space image: `command=0x0006 memory=1 busMaster=1`. */
export function explainConfig(layout: Layout, image: Uint8Array, offset: number, sizeBytes: number): string[] {
  return registersAt(layout, offset, sizeBytes).map(({ at, register }) =>
    explainRegister(register, readLe(image, at, register.width)),
  );
}

/**
 * Words how two images differ in [offset, offset + sizeBytes), in register terms. Bytes outside the range are taken
 * as equal; bytes of no register are named by offset.
 */
export function explainConfigDifference(
  layout: Layout,
  expected: Uint8Array,
  actual: Uint8Array,
  offset: number,
  sizeBytes: number,
): string {
  const words: string[] = [];
  for (let at = offset; at < offset + sizeBytes && words.length < 4; ) {
    if (expected[at] === actual[at]) {
      at++;
      continue;
    }
    const [found] = registersAt(layout, at, 1);
    if (!found) {
      words.push(`byte ${hex(at, 3)}: ${hex(actual[at], 2)}, not ${hex(expected[at], 2)}`);
      at++;
      continue;
    }
    const { width } = found.register;
    const value = (image: Uint8Array) => {
      const bytes = actual.slice(found.at, found.at + width);
      for (let i = 0; i < width; i++)
        if (found.at + i >= offset && found.at + i < offset + sizeBytes) bytes[i] = image[found.at + i];
      return readLe(bytes, 0, width);
    };
    words.push(`${explainRegisterDifference(found.register, value(expected), value(actual))} (at ${hex(found.at, 3)})`);
    at = found.at + width;
  }
  return words.join(', ');
}
