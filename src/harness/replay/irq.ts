import { UsageError } from '../../core/index.ts';
import type { Effect } from '../../pci/index.ts';
import { ConfigSession } from './config.ts';
import type { RecordingReader } from './recording-reader.ts';
import type { Replayer, ReplayOptions, ReplayResult } from './result.ts';

/** Uncorrectable errors by the names that QEMU's `pcie_aer_inject_error` takes, as bits of the status register. */
const AER_ERRORS: Record<string, number> = {
  DLP: 4,
  SDN: 5,
  POISON_TLP: 12,
  FCP: 13,
  COMP_TIME: 14,
  COMP_ABORT: 15,
  UNX_COMP: 16,
  RX_OVER: 17,
  MALF_TLP: 18,
  ECRC: 19,
  UNSUP: 20,
  ACSV: 21,
  INTN: 22,
  MCBTLP: 23,
  ATOP_EBLOCKED: 24,
  TLP_PRF_BLOCKED: 25,
};

class IrqSession {
  readonly #session: ConfigSession;
  readonly #file: string;
  readonly #window: readonly [number, number];
  /**
   * In a `port` scenario the model's own slot and error logic makes the interrupts that `fire`, `fall` and `clr` tell
   * of beforehand; carried out as well, they would come twice.
   */
  readonly #portScenario: boolean;
  /** Messages inside the window since the last `m`, data by address: the last of several to one address stands. */
  readonly #messages = new Map<number, number>();

  constructor(file: string, header: Record<string, unknown>, options: ReplayOptions) {
    this.#file = file;
    this.#session = new ConfigSession(file, header, options);
    this.#window = (header['window'] ?? [0, 0]) as [number, number];
    this.#portScenario = header['scenario'] === 'port';
  }

  run(lines: RecordingReader): ReplayResult {
    const { tally } = this.#session;
    while (lines.next()) {
      tally.line = lines.line;
      if (!this.#session.step(lines)) this.#step(lines);
      lines.end();
      this.#collect();
    }
    return tally.result(this.#file);
  }

  #step(lines: RecordingReader): void {
    const model = (): ReturnType<ConfigSession['model']> => this.#session.model(lines.number());
    this.#session.tally.operations++;
    switch (lines.name) {
      case 'm':
        this.#compareMessages(lines);
        return;
      case 'fire':
        if (!this.#portScenario) model().raise(lines.number());
        return;
      case 'lower':
        if (!this.#portScenario) this.#lower(model());
        return;
      case 'fall':
      case 'clr':
      case 'bw': // the device's own registers; what they do to its interrupt, `fire` and `lower` say
        return;
      case 'vecs':
        this.#setUsed(model(), lines);
        return;
      case 'aer':
        this.#inject(model(), lines.text());
        return;
      default:
        throw new UsageError(`${this.#file}:${lines.line}: unknown operation ${JSON.stringify(lines.name)}`);
    }
  }

  /** QEMU's devices lower INTx only while no message interrupt is enabled. */
  #lower(model: ReturnType<ConfigSession['model']>): void {
    if (!model.msix?.enabled && !model.msi?.enabled) model.lower();
  }

  #setUsed(model: ReturnType<ConfigSession['model']>, lines: RecordingReader): void {
    const { msix } = model;
    if (!msix) throw new UsageError(`${this.#file}:${this.#session.tally.line}: the function has no MSI-X`);
    const used = new Set<number>();
    lines.enter();
    while (!lines.leave()) used.add(lines.number());
    for (let v = 0; v < msix.count; v++) msix.setUsed(v, used.has(v));
  }

  #inject(model: ReturnType<ConfigSession['model']>, name: string): void {
    const bit = AER_ERRORS[name];
    if (bit === undefined || !model.rootErrors)
      throw new UsageError(`${this.#file}:${this.#session.tally.line}: cannot inject ${JSON.stringify(name)} here`);
    model.rootErrors.uncorrectable(bit);
  }

  /** Drains the effects of one step, of which most have none. */
  #collect(): void {
    const { functions } = this.#session;
    for (let d = 0; d < functions.length; d++) {
      const effects = functions[d]?.model.effects;
      if (effects === undefined || effects.length === 0) continue;
      this.#keepMessages(effects);
      effects.length = 0;
    }
  }

  /** Only messages that fall into the watched memory can have been seen. */
  #keepMessages(effects: readonly Effect[]): void {
    const [base, size] = this.#window;
    for (const effect of effects) {
      if (effect.kind !== 'message') continue;
      const address = effect.addressHi * 0x1_0000_0000 + effect.addressLo;
      if (address < base || address >= base + size) continue;
      this.#messages.delete(address);
      this.#messages.set(address, effect.data);
    }
  }

  #compareMessages(lines: RecordingReader): void {
    const expected: [number, number][] = [];
    lines.enter();
    while (!lines.leave()) {
      lines.enter();
      expected.push([lines.number(), lines.number()]);
      if (!lines.leave()) throw new UsageError(`${this.#file}:${lines.line}: a message is an address and data`);
    }
    if (expected.length === 0 && this.#messages.size === 0) {
      this.#session.tally.comparisons++;
      return;
    }
    const actual = [...this.#messages].sort(([a], [b]) => a - b);
    this.#messages.clear();
    const equal =
      actual.length === expected.length && actual.every(([a, d], i) => a === expected[i][0] && d === expected[i][1]);
    this.#session.tally.compare(equal, () => `messages ${describe(actual)}, recorded ${describe(expected)}`);
  }
}

function describe(messages: readonly (readonly [number, number])[]): string {
  if (messages.length === 0) return 'none';
  return messages.map(([address, data]) => `0x${data.toString(16)} to 0x${address.toString(16)}`).join(', ');
}

/** Recordings of interrupt delivery: kind `irq`. */
export const IRQ_REPLAYER: Replayer<RecordingReader> = {
  replay: (file, header, lines, options) => new IrqSession(file, header, options).run(lines),
};
