/** What comparing one recording with the model found. */
export interface ReplayResult {
  file: string;
  /** Recorded operations carried out. */
  operations: number;
  /** Values compared: reads, snapshots, messages, results, states. */
  comparisons: number;
  /** Comparisons left out, by reason; every reason is documented in docs/replay.md. */
  excluded: Record<string, number>;
  differences: number;
  /** The first difference in words a register reader understands; undefined if there is none. */
  first?: string;
}

/** One JSON value per line of a recording, numbers above 2^53 as bigint. */
export type RecordingLine = unknown[] | Record<string, unknown>;

/** A replayer of one kind of recording, which reads the lines after the header as values or, faster, in another way. */
export interface Replayer<Lines = Iterable<RecordingLine>> {
  replay(file: string, header: Record<string, unknown>, lines: Lines, options: ReplayOptions): ReplayResult;
}

export interface ReplayOptions {
  /**
   * The measured masks of a device (parsed probe file), looked up by `<device>.<machine>`, else one of the machine's
   * whose initial image has the same registers as `image`; undefined if there is none.
   */
  probe(device: string, machine: string, image?: Uint8Array): Record<string, unknown> | undefined;
}
