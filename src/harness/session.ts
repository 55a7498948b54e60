import { UsageError } from '../core/index.ts';
import { type DmaMemory, type Effect, formatBdf, type ResetKind } from '../pci/index.ts';
import { type AccessTarget, effectRecord, executeRecord, type HypercallHandler, transcribe } from './access-execute.ts';
import { type AccessRecord, accessRecord, joinWords, KIND, REGION, STATUS } from './access-record.ts';
import { parseDevice, parseSlot, placeRecipes } from './device-text.ts';
import { DmaJournal } from './dma-journal.ts';
import { EffectStream } from './effect-stream.ts';
import { type FunctionRecipe, functionMap, type HostedFunction, hostFunction } from './hosted-function.ts';
import { SparseMemory } from './sparse-memory.ts';

/** Effects kept for {@link Session.takeEffects}; beyond that the oldest go. */
const MAX_KEPT_EFFECTS = 1 << 20;

export interface SessionOptions {
  /** Devices as text (`nvme:queues=4,msix=5`) or as recipes; the first without an address stands at 00:04.0. */
  devices: readonly (string | FunctionRecipe)[];
  /** Memory that the devices reach; a {@link SparseMemory} of 4 GiB if not given. */
  memory?: DmaMemory;
  /** Carries out hypercall records; without it they answer ENOSYS. */
  hypercall?: HypercallHandler;
}

/** Accesses to one function. `bar` 6 is the ROM; a BAR that is not there throws UsageError. */
export interface FunctionAccess {
  readConfig(offset: number, width: 1 | 2 | 4): number;
  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void;
  readBar(bar: number, offset: number, width: 1 | 2 | 4): number;
  writeBar(bar: number, offset: number, width: 1 | 2 | 4, value: number): void;
}

/** A state to return to: every function's registers, and memory if it is the session's own. */
export interface SessionSnapshot {
  readonly functions: readonly Int32Array[];
  readonly memory: ReadonlyMap<number, Uint8Array> | undefined;
}

/**
 * Devices in this process, driven as a harness drives them: accesses of any region and width in, messages and INTx
 * levels out. Everything an access sets off has happened when the call returns.
 *
 * Functions are named by number (segment << 16 | bus << 8 | device << 3 | function) or as lspci does (`00:04.0`).
 */
export class Session implements AccessTarget {
  readonly functions: ReadonlyMap<number, HostedFunction>;
  readonly memory: DmaMemory;
  readonly hypercall?: HypercallHandler;
  readonly #ownMemory: SparseMemory | undefined;
  readonly #kept: Effect[] = [];
  readonly #streams = new Set<EffectStream<Effect>>();
  readonly #recorders = new Set<(transcript: readonly AccessRecord[]) => void>();

  /** @throws UsageError if a device text is wrong or two functions have the same address */
  constructor(options: SessionOptions) {
    const recipes = options.devices.map((device) => (typeof device === 'string' ? parseDevice(device) : device));
    this.functions = functionMap(placeRecipes(recipes).map(hostFunction));
    if (!options.memory) this.#ownMemory = new SparseMemory();
    this.memory = options.memory ?? this.#ownMemory!;
    if (options.hypercall) this.hypercall = options.hypercall;
    for (const { port } of this.functions.values()) if (port) port.memory = this.memory;
  }

  /** One function's registers, in the shape that drivers ask for; accesses go through the session. */
  function(fn: number | string): FunctionAccess {
    const address = typeof fn === 'number' ? fn : parseSlot(fn);
    if (!this.functions.has(address)) throw new UsageError(`no function ${formatBdf(address)} in this session`);
    return {
      readConfig: (offset, width) => this.read(address, REGION.config, offset, width),
      writeConfig: (offset, width, value) => this.write(address, REGION.config, offset, width, value),
      readBar: (bar, offset, width) => this.read(address, bar, offset, width),
      writeBar: (bar, offset, width, value) => this.write(address, bar, offset, width, value),
    };
  }

  /** Reads 1, 2 or 4 bytes of a region (0–5 BARs, 6 ROM, 7 configuration space). @returns an unsigned number */
  read(fn: number | string, region: number, offset: number | bigint, width: 1 | 2 | 4): number {
    return this.#access(KIND.read, fn, { region, offset, width }).valueLo;
  }

  write(fn: number | string, region: number, offset: number | bigint, width: 1 | 2 | 4, value: number): void {
    this.#access(KIND.write, fn, { region, offset, width, value: value >>> 0 });
  }

  /** Reads 8 bytes, as two accesses of four, low first. */
  read64(fn: number | string, region: number, offset: number | bigint): bigint {
    const { valueLo, valueHi } = this.#access(KIND.read, fn, { region, offset, width: 8 });
    return (BigInt(valueHi) << 32n) | BigInt(valueLo);
  }

  /** Writes 8 bytes, as two accesses of four, low first. */
  write64(fn: number | string, region: number, offset: number | bigint, value: bigint): void {
    this.#access(KIND.write, fn, { region, offset, width: 8, value: BigInt.asUintN(64, value) });
  }

  /** The device signals a vector: by MSI-X or MSI if enabled, else it asserts INTx. */
  raise(fn: number | string, vector = 0): void {
    this.#access(KIND.raise, fn, { offset: vector });
  }

  /** The device's interrupt condition ends: INTx deasserts. */
  lower(fn: number | string): void {
    this.#access(KIND.raise, fn, { value: 1 });
  }

  reset(fn: number | string, kind: Exclude<ResetKind, 'hot'> = 'conventional'): void {
    this.#access(KIND.reset, fn, { value: kind === 'flr' ? 1 : 0 });
  }

  /**
   * Carries out any record, as the binary interface would.
   * @returns its effects in order, then its answer; DMA is done with the session's memory
   */
  execute(request: AccessRecord): AccessRecord[] {
    const hosted = this.functions.get(request.function);
    const journal =
      this.#recorders.size > 0 && hosted?.port ? new DmaJournal(hosted.fn.effects, this.memory) : undefined;
    if (journal) hosted!.port!.journal = journal;
    const answer = executeRecord(this, request);
    if (journal) hosted!.port!.journal = undefined;
    const effects = hosted ? hosted.fn.effects.splice(0) : [];
    if (this.#recorders.size > 0) {
      const transcript = transcribe(request, journal?.entries ?? [], effects, answer);
      for (const recorder of this.#recorders) recorder(transcript);
    }
    for (const effect of effects) this.#tell(effect);
    return [...effects.map(effectRecord), answer];
  }

  /** Messages and INTx levels since the last call, oldest first. */
  takeEffects(): Effect[] {
    return this.#kept.splice(0);
  }

  /** Messages and INTx levels from now on: `for await (const effect of session.effects())`. Ends with the session. */
  effects(): AsyncIterableIterator<Effect> {
    const stream = new EffectStream<Effect>((ended) => this.#streams.delete(ended));
    this.#streams.add(stream);
    return stream;
  }

  /** Calls `recorder` with the transcript of every access until the returned function is called. */
  record(recorder: (transcript: readonly AccessRecord[]) => void): () => void {
    this.#recorders.add(recorder);
    return () => void this.#recorders.delete(recorder);
  }

  /** The present state but for the contents of namespaces and of memory that the caller brought. */
  snapshot(): SessionSnapshot {
    return {
      functions: [...this.functions.values()].map(({ arena }) => arena.snapshot()),
      memory: this.#ownMemory?.snapshot(),
    };
  }

  /** @throws UsageError if the snapshot is of a session with other devices */
  restore(snapshot: SessionSnapshot): void {
    const functions = [...this.functions.values()];
    if (snapshot.functions.length !== functions.length)
      throw new UsageError(`a snapshot of ${snapshot.functions.length} functions, the session has ${functions.length}`);
    for (const [i, { arena }] of functions.entries()) arena.restore(snapshot.functions[i]);
    if (snapshot.memory) this.#ownMemory?.restore(snapshot.memory);
  }

  /** Ends effect streams and closes files. */
  close(): void {
    for (const stream of [...this.#streams]) stream.close();
    for (const hosted of this.functions.values()) hosted.close();
  }

  #access(
    kind: number,
    fn: number | string,
    fields: { region?: number; offset?: number | bigint; width?: number; value?: number | bigint },
  ): AccessRecord {
    const address = typeof fn === 'number' ? fn : parseSlot(fn);
    const records = this.execute(accessRecord({ kind, function: address, ...fields }));
    const answer = records[records.length - 1];
    if (answer.status === STATUS.noDevice) throw new UsageError(`no function ${formatBdf(address)} in this session`);
    if (answer.status !== STATUS.ok) throw new UsageError(`${formatBdf(address)} has no ${describeWhat(answer)}`);
    return answer;
  }

  #tell(effect: Effect): void {
    this.#kept.push(effect);
    if (this.#kept.length > MAX_KEPT_EFFECTS) this.#kept.splice(0, MAX_KEPT_EFFECTS >> 1);
    for (const stream of this.#streams) stream.push(effect);
  }
}

function describeWhat(answer: AccessRecord): string {
  const kind = answer.kind & 0x7f;
  if (kind === KIND.raise) return `vector ${joinWords(answer.offsetLo, answer.offsetHi)}`;
  return kind === KIND.reset ? 'such reset' : `region ${answer.region} to access ${answer.width} bytes wide`;
}
