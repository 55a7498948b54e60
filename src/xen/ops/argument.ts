/** What is wrong with a caller's pointer: cannot be read, can be read but not written, neither. */
export type Fault = 'read' | 'write' | 'null';

/**
 * The memory behind a hypercall's pointer. Xen copies a structure in, works on its copy and copies the whole structure
 * out; what lies beyond the bytes given is not mapped.
 */
export class Argument {
  readonly bytes: Uint8Array;
  readonly #fault: Fault | undefined;

  constructor(bytes: Uint8Array, fault?: Fault) {
    this.bytes = bytes;
    this.#fault = fault;
  }

  /** A private copy of `size` bytes at `at`, or undefined if they cannot be read. */
  copyIn(size: number, at = 0): Uint8Array | undefined {
    if (this.#fault === 'read' || this.#fault === 'null' || at + size > this.bytes.length) return undefined;
    return this.bytes.slice(at, at + size);
  }

  /** False if the memory cannot be written. */
  copyOut(local: Uint8Array, at = 0): boolean {
    if (this.#fault || at + local.length > this.bytes.length) return false;
    this.bytes.set(local, at);
    return true;
  }

  /** The argument that begins `at` bytes further on. */
  part(at: number): Argument {
    return new Argument(this.bytes.subarray(at), this.#fault);
  }
}
