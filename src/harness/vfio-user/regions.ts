import type { Width } from '../../core/index.ts';
import type { EmulatedFunction } from '../../pci/index.ts';
import { ERRNO, REGION, REGION_COUNT, REGION_INFO } from './protocol.ts';

/** A function's regions as VFIO numbers them: BARs 0–5, ROM 6, configuration space 7, VGA 8, which no function has. */
export class Regions {
  readonly #fn: EmulatedFunction;
  readonly #sizes: number[];

  constructor(fn: EmulatedFunction) {
    this.#fn = fn;
    this.#sizes = new Array(REGION_COUNT).fill(0);
    for (const bar of fn.layout.bars) this.#sizes[bar.bar] = bar.sizeBytes;
    this.#sizes[REGION.config] = fn.configSize;
  }

  /** Undefined if there is no such index; size 0 and no flags if there is no such region. */
  info(index: number): { flags: number; size: number } | undefined {
    if (index >= REGION_COUNT) return undefined;
    const size = this.#sizes[index];
    if (size === 0) return { flags: 0, size };
    return { flags: index === REGION.rom ? REGION_INFO.read : REGION_INFO.read | REGION_INFO.write, size };
  }

  /** 0 if the run of bytes is inside the region, else an errno. */
  check(index: number, offset: number, count: number): number {
    const size = index < REGION_COUNT ? this.#sizes[index] : 0;
    return size > 0 && offset + count <= size ? 0 : ERRNO.EINVAL;
  }

  /** Reads a run that was checked into `view` from `at` on. */
  read(index: number, offset: number, count: number, view: DataView, at: number): void {
    for (let done = 0; done < count; ) {
      const width = pieceAt(offset + done, count - done, count);
      const value =
        index === REGION.config
          ? this.#fn.readConfig(offset + done, width)
          : this.#fn.readBar(index, offset + done, width);
      if (width === 4) view.setUint32(at + done, value, true);
      else if (width === 2) view.setUint16(at + done, value, true);
      else view.setUint8(at + done, value);
      done += width;
    }
  }

  /** Writes a run that was checked. */
  write(index: number, offset: number, count: number, view: DataView, at: number): void {
    for (let done = 0; done < count; ) {
      const width = pieceAt(offset + done, count - done, count);
      const value =
        width === 4
          ? view.getUint32(at + done, true)
          : width === 2
            ? view.getUint16(at + done, true)
            : view.getUint8(at + done);
      if (index === REGION.config) this.#fn.writeConfig(offset + done, width, value);
      else this.#fn.writeBar(index, offset + done, width, value);
      done += width;
    }
  }
}

/** An access of 1, 2 or 4 bytes is one access wherever it stands; others go in naturally aligned pieces, low first. */
function pieceAt(offset: number, left: number, count: number): Width {
  if (count === 1 || count === 2 || count === 4) return count;
  if (left >= 4 && offset % 4 === 0) return 4;
  return left >= 2 && offset % 2 === 0 ? 2 : 1;
}
