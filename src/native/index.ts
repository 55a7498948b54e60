import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../core/index.ts';
import { bind, type Calls, type Library } from './bindings.ts';
import { checked, type NativeMsixOptions, NativeMsixTable, NativePirqSpace } from './objects.ts';

export {
  type NativeMessage,
  type NativeMsixOptions,
  NativeMsixTable,
  NativePirqSpace,
  type NativeRecord,
} from './objects.ts';

/** One row of the layout table: `struct` or `struct.member`. */
export interface AbiRow {
  name: string;
  offset: number;
  size: number;
}

/** The native library: a second opinion and a baseline, never needed. Not for use from several threads. */
export interface Native {
  /** Xen's public structs as the C compiler lays them out; the names are those of `src/xen/abi`. */
  abiRows(abi: 'x86-64' | 'compat'): AbiRow[];
  createPirqSpace(nrIrqsGsi: number, nrPirqs: number, isHvm: boolean): NativePirqSpace;
  createMsixTable(vectors: number, options?: NativeMsixOptions): NativeMsixTable;
  /** Objects created and not destroyed. */
  liveObjects(): number;
}

const LIBRARY = process.platform === 'darwin' ? 'libpirqlab.dylib' : 'libpirqlab.so';
const DEFAULT_PATH = fileURLToPath(new URL(`../../build/native/${LIBRARY}`, import.meta.url));
const NAME_BYTES = 128;

let why: string | undefined;

/**
 * Loads build/native through koffi. Undefined if koffi or the library is absent, does not load, or is of another
 * version; {@link whyNoNative} then says which in one line.
 */
export function loadNative(path = DEFAULT_PATH): Native | undefined {
  try {
    const calls = open(path);
    why = undefined;
    return wrap(calls);
  } catch (error) {
    why = (error as Error).message;
    return undefined;
  }
}

/** The reason for which the last {@link loadNative} answered undefined. */
export function whyNoNative(): string | undefined {
  return why;
}

function open(path: string): Calls {
  if (!existsSync(path)) throw new UsageError(`${path} is not built; run \`npm run build:native\``);
  const { load } = koffi();
  try {
    return bind(load(path));
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message.split('\n')[0]}; run \`npm run build:native\``);
  }
}

function koffi(): { load(path: string): Library } {
  try {
    return createRequire(import.meta.url)('koffi');
  } catch (error) {
    throw new UsageError(`the optional package koffi does not load: ${(error as Error).message.split('\n')[0]}`);
  }
}

function wrap(calls: Calls): Native {
  return {
    abiRows(abi) {
      const number = abi === 'x86-64' ? 0 : 1;
      const text = new Uint8Array(NAME_BYTES);
      const words = new Int32Array(2);
      return Array.from({ length: checked(calls.abi_rows(number)) }, (_, i) => {
        checked(calls.abi_row(number, i, text, NAME_BYTES, words));
        const name = new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
        return { name, offset: words[0], size: words[1] };
      });
    },
    createPirqSpace: (nrIrqsGsi, nrPirqs, isHvm) => new NativePirqSpace(calls, nrIrqsGsi, nrPirqs, isHvm),
    createMsixTable: (vectors, options) => new NativeMsixTable(calls, vectors, options),
    liveObjects: () => checked(calls.live_objects()),
  };
}
