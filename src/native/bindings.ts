/**
 * The C prototypes of native/pirqlab-native.h, by name without the `pq_` prefix. `W` is a pointer to 32-bit words that
 * may be written, `S` a string, `I`/`U` a 32-bit number.
 */
export const PROTOTYPES = {
  live_objects: '',
  abi_rows: 'U',
  abi_row: 'UUBUW',
  abi_sizeof: 'US',
  abi_offsetof: 'US',
  space_create: 'UUU',
  space_destroy: 'I',
  space_get_free: 'II',
  space_get_free_run: 'IU',
  space_allocate: 'IIIIUW',
  space_reserve: 'II',
  space_map: 'III',
  space_unmap: 'IIUU',
  space_complete: 'II',
  space_map_emuirq: 'III',
  space_unmap_emuirq: 'II',
  space_set_port: 'IIU',
  space_get: 'IIW',
  space_pirq_of_irq: 'IIW',
  space_nr_pirqs: 'I',
  space_records: 'I',
  space_fill: 'IU',
  space_churn: 'IUUUW',
  space_churn_runs: 'IUUUW',
  msix_create: 'UUUU',
  msix_destroy: 'I',
  msix_reset: 'I',
  msix_read: 'IUUW',
  msix_write: 'IUUUU',
  msix_set_control: 'IU',
  msix_raise: 'IU',
  msix_pending: 'IU',
  msix_messages: 'IWU',
  msix_deliver_many: 'IUUW',
  msix_mask_many: 'IUUW',
} as const;

/** Meaning of the entry points; the same number as PQ_INTERFACE in the header. */
export const INTERFACE = 1;

const C_TYPES: Record<string, string> = {
  I: 'int32_t',
  U: 'uint32_t',
  W: '_Inout_ int32_t *',
  B: '_Out_ uint8_t *',
  S: 'const char *',
};

type Word = { I: number; U: number; W: Int32Array; B: Uint8Array; S: string };
type Arguments<P extends string> = P extends `${infer T extends keyof Word}${infer Rest}`
  ? [Word[T], ...Arguments<Rest>]
  : [];

/** One function per prototype; all answer a signed 32-bit number. */
export type Calls = { [N in keyof typeof PROTOTYPES]: (...args: Arguments<(typeof PROTOTYPES)[N]>) => number };

/** What koffi makes of a shared library. */
export interface Library {
  func(prototype: string): unknown;
}

/** @throws Error if the library is of another version or lacks an entry point */
export function bind(library: Library): Calls {
  const version = library.func('int32_t pq_interface(void)') as () => number;
  if (version() !== INTERFACE) throw new Error(`interface ${version()}, not ${INTERFACE}`);
  const calls: Record<string, unknown> = {};
  for (const [name, types] of Object.entries(PROTOTYPES)) {
    const parameters = [...types].map((type, i) => `${C_TYPES[type]} a${i}`).join(', ');
    calls[name] = library.func(`int32_t pq_${name}(${parameters || 'void'})`);
  }
  return calls as Calls;
}
