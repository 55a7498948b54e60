import type { Switches } from '../../xen/device-model/profiles.ts';

/** A call that a device model makes for one of its devices, with what came of it. */
export interface ModelCall {
  op: 'map' | 'bind' | 'unbind' | 'unmap';
  /** Signed; for a map the wanted one, negative = any. */
  pirq: number;
  /** Of a map: table entry and base; of a binding: vector and flags. */
  entry?: number;
  table?: number;
  gvec?: number;
  gflags?: number;
  rc: number;
  /** The pirq that a map gave. */
  got?: number;
}

interface Vector {
  /** Address, upper address, data, control, as the guest reads them. */
  words: [number, number, number, number];
  /** The message last used. */
  used: [number, number, number];
  pirq: number;
  changed: boolean;
}

interface State {
  enabled: boolean;
  functionMask: boolean;
  /** By entry, those that were touched. */
  vectors: Map<number, Vector>;
  msi: { message: [number, number, number]; pirq: number; ready: boolean };
}

const NONE = -1;

/**
 * qemu-xen's pass-through of message interrupts told a second time, from docs/device-model.md: which calls a write of the
 * guest must cause, compared one by one with those that were made. What came of each is taken as given.
 */
export class NaivePassthrough {
  readonly #rules: Switches;
  readonly #entries: number;
  readonly #tableBase: number;
  #state: State;
  #calls: ModelCall[] = [];
  #wrong: string | undefined;

  constructor(rules: Switches, entries: number, tableBase: number) {
    this.#rules = rules;
    this.#entries = entries;
    this.#tableBase = tableBase;
    this.#state = {
      enabled: false,
      functionMask: false,
      vectors: new Map(),
      msi: { message: [0, 0, 0], pirq: NONE, ready: false },
    };
  }

  save(): State {
    return copy(this.#state);
  }

  restore(saved: State): void {
    this.#state = copy(saved);
  }

  get enabled(): boolean {
    return this.#state.enabled;
  }

  get functionMask(): boolean {
    return this.#state.functionMask;
  }

  /** The pirq that an entry holds, −1 none; entry −1 is that of MSI. */
  pirqOf(entry: number): number {
    return entry < 0 ? this.#state.msi.pirq : (this.#state.vectors.get(entry)?.pirq ?? NONE);
  }

  word(entry: number, word: number): number {
    return this.#state.vectors.get(entry)?.words[word] ?? 0;
  }

  /** Judges the calls of one access, which `act` tells. @returns what is wrong */
  judge(calls: ModelCall[], act: () => void): string | undefined {
    this.#calls = calls.slice();
    this.#wrong = undefined;
    act();
    if (!this.#wrong && this.#calls.length > 0)
      this.#wrong = `device model: ${describe(this.#calls[0])}, which nothing called for`;
    return this.#wrong;
  }

  /** A write of the MSI-X control word. */
  writeControl(value: number): void {
    const s = this.#state;
    const enable = (value & 0x8000) !== 0;
    const mask = (value & 0x4000) !== 0;
    const touched = [...s.vectors].sort(([a], [b]) => a - b);
    if (enable && !mask) for (const [entry, v] of touched) this.#setUp(entry, v, v.words[3]);
    if (!enable && s.enabled && this.#rules.freeOnDisable)
      for (const [, v] of touched) {
        if (v.pirq !== NONE) this.#release(v.pirq, this.#rules.latchTable ? v.used : v.words);
        v.pirq = NONE;
        v.changed = false;
      }
    s.enabled = enable;
    s.functionMask = mask;
  }

  /** A dword of the table; `hostMasked` is the mask bit of that entry in the device. */
  writeTable(offset: number, value: number, hostMasked: boolean): void {
    const s = this.#state;
    const entry = offset >> 4;
    if (entry >= this.#entries || offset % 4 !== 0) return;
    let v = s.vectors.get(entry);
    if (!v) s.vectors.set(entry, (v = { words: [0, 0, 0, 0], used: [0, 0, 0], pirq: NONE, changed: false }));
    const word = (offset >> 2) & 3;
    const rules = this.#rules;
    if (word < 3) {
      const isSame = v.words[word] === value;
      if (isSame && (rules.shadowCompare === 'value' || v.pirq !== NONE)) return;
      if (rules.refuseWriteWhileUnmasked && s.enabled && !hostMasked) return;
      v.words[word] = value;
      v.changed = true;
      return;
    }
    const opens = s.enabled && (value & 1) === 0;
    if (opens && rules.latchTable) this.#setUp(entry, v, hostMasked ? 1 : 0);
    v.words[3] = value;
    if (opens && !rules.latchTable) this.#setUp(entry, v, value);
  }

  /** Maps a changed entry, if nothing is mapped for it, and binds it. */
  #setUp(entry: number, v: Vector, control: number): void {
    if (!v.changed) return;
    const isMasked = (control & 1) !== 0;
    if (v.pirq === NONE || this.#state.functionMask || isMasked) v.used = [v.words[0], v.words[1], v.words[2]];
    const message = this.#rules.latchTable ? v.used : v.words;
    let target = named(message);
    if (v.pirq === NONE) {
      const map = this.#expect({ op: 'map', pirq: target ?? NONE, entry, table: this.#tableBase });
      if (map.rc !== 0) return;
      v.pirq = target = map.got!;
    }
    const bind = this.#expect({ op: 'bind', pirq: target ?? v.pirq, ...this.#binding(message, isMasked) });
    if (bind.rc === 0) v.changed = false;
    else {
      this.#expect({ op: 'unmap', pirq: v.pirq });
      v.pirq = NONE;
    }
  }

  /** A write of the MSI control word; enabling goes through only if mapping and binding do. */
  writeMsiControl(value: number): void {
    const { msi } = this.#state;
    if ((value & 1) === 0) {
      if (this.#rules.freeOnDisable && msi.ready) {
        if (msi.pirq !== NONE) this.#release(msi.pirq, msi.message);
        msi.pirq = NONE;
        msi.ready = false;
      }
      return;
    }
    if (msi.ready) return;
    const map = this.#expect({ op: 'map', pirq: named(msi.message) ?? NONE, entry: 0, table: 0 });
    if (map.rc !== 0 || map.got! < 0) return;
    msi.pirq = map.got!;
    msi.ready = this.#bindMsi();
  }

  /** A write of the MSI address (0), upper address (1) or data (2). */
  writeMsiMessage(part: number, value: number): void {
    const { msi } = this.#state;
    const isNew = msi.message[part] !== value;
    msi.message[part] = value;
    if (isNew && msi.ready && !this.#rules.configCopyTakesWrites) this.#bindMsi();
  }

  #bindMsi(): boolean {
    const { msi } = this.#state;
    const bind = this.#expect({ op: 'bind', pirq: msi.pirq, ...this.#binding(msi.message, true) }, 0xffff);
    if (bind.rc === 0) return true;
    this.#expect({ op: 'unmap', pirq: msi.pirq });
    msi.pirq = NONE;
    return false;
  }

  #release(pirq: number, message: readonly number[]): void {
    const { gvec, gflags } = this.#binding(message, true);
    const unbind = this.#expect({ op: 'unbind', pirq, gvec, gflags });
    if (unbind.rc === 0) this.#expect({ op: 'unmap', pirq });
  }

  /** Vector and flags of a binding: destination, hint, mode, delivery, trigger; bit 16 says unmasked. */
  #binding([address, , data]: readonly number[], isMasked: boolean): { gvec: number; gflags: number } {
    const bit = (value: number, at: number) => Math.floor(value / 2 ** at) % 2;
    let gflags = Math.floor(address / 4096) % 256;
    gflags += 0x100 * bit(address, 3) + 0x200 * bit(address, 2);
    gflags += 0x1000 * (Math.floor(data / 256) % 8) + 0x8000 * bit(data, 15);
    if (!isMasked && this.#rules.bindFlagUnmasked) gflags += 0x1_0000;
    return { gvec: data % 256, gflags };
  }

  /** The next call must be this one, in those bits of its flags; answers what came of it. */
  #expect(want: Omit<ModelCall, 'rc'>, flags = 0x1_ffff): { rc: number; got?: number } {
    const call = this.#calls.shift();
    const isIt =
      call !== undefined &&
      call.op === want.op &&
      call.pirq === want.pirq &&
      call.entry === want.entry &&
      call.table === want.table &&
      call.gvec === want.gvec &&
      ((call.gflags ?? 0) & flags) === ((want.gflags ?? 0) & flags);
    if (isIt) return call;
    const made = call ? `made ${describe(call)}` : 'made no call';
    this.#wrong ??= `device model: ${made}, should have made ${describe({ ...want, rc: 0 })}`;
    this.#calls.length = 0;
    return { rc: -1, got: NONE };
  }
}

/** The pirq that a message with vector 0 names; 0 and other vectors name none. */
function named([address, upper, data]: readonly number[]): number | undefined {
  if (data % 256 !== 0) return undefined;
  const pirq = (upper - (upper % 256) + (Math.floor(address / 4096) % 256)) | 0;
  return pirq === 0 ? NONE : pirq;
}

function describe({ op, pirq, entry, table, gvec, gflags, rc }: ModelCall): string {
  const more = [
    ...(entry === undefined ? [] : [`entry ${entry} of ${table!.toString(16)}`]),
    ...(gvec === undefined ? [] : [`vector ${gvec} flags ${gflags!.toString(16)}`]),
  ];
  return `${[op, pirq, ...more].join(' ')}${rc ? ` (${rc})` : ''}`;
}

function copy(s: State): State {
  return {
    enabled: s.enabled,
    functionMask: s.functionMask,
    vectors: new Map([...s.vectors].map(([entry, v]) => [entry, { ...v, words: [...v.words], used: [...v.used] }])),
    msi: { ...s.msi, message: [...s.msi.message] },
  };
}
