/*
 * Entry points of the native library: a second opinion, never the only implementation.
 *
 * Three groups: the layout of Xen's public structs as a C compiler sees it, a plain reference of a domain's pirq space,
 * and a plain reference of an MSI-X vector table. Objects are named by handles (never 0), so a stale or foreign one is
 * refused, not dereferenced. Nothing here is thread-safe: one thread per process uses it.
 *
 * Results >= 0 are values. A result of -1 .. -999 is a negated Xen errno: what the modelled code answers. The PQ_E*
 * values below that mean that the caller broke the contract of this library; nothing has been changed then.
 */
#ifndef PIRQLAB_NATIVE_H
#define PIRQLAB_NATIVE_H

#include <stdint.h>

#define PQ_EHANDLE (-1000)   /* not a live handle of this kind */
#define PQ_EARGUMENT (-1001) /* argument out of range */
#define PQ_EMEMORY (-1002)   /* no memory, or no handle left */

/* The library is built with hidden visibility; what follows is its whole surface. */
#pragma GCC visibility push(default)

/* Changes when an entry point changes its meaning; src/native/bindings.ts wants the same number. */
#define PQ_INTERFACE 1
int32_t pq_interface(void);

/* Live objects of all kinds; a test ends with 0. */
int32_t pq_live_objects(void);

/* ---- Xen public structs ---------------------------------------------------------------------------------------- */

#define PQ_ABI_X86_64 0
#define PQ_ABI_COMPAT 1 /* a 32-bit guest on a 64-bit hypervisor */

/* How many rows the layout table of `abi` has. */
int32_t pq_abi_rows(uint32_t abi);
/*
 * Row `index`: its name (`struct` or `struct.field`, NUL-terminated, at most `capacity` bytes with the NUL) and
 * out[0] = offset, out[1] = size. A row without a dot is the struct itself.
 */
int32_t pq_abi_row(uint32_t abi, uint32_t index, char *name, uint32_t capacity, uint32_t out[2]);
/* sizeof by struct name, offsetof by `struct.field`; -ENOENT (2) if there is no such row. */
int32_t pq_abi_sizeof(uint32_t abi, const char *name);
int32_t pq_abi_offsetof(uint32_t abi, const char *path);

/* ---- pirq space ------------------------------------------------------------------------------------------------ */

#define PQ_MAX_PIRQS (1 << 20)
#define PQ_TYPE_MSI 0
#define PQ_TYPE_GSI 1
#define PQ_TYPE_MULTI_MSI 4
#define PQ_IRQ_UNBOUND (-1) /* emuirq */
#define PQ_IRQ_PT (-2)

/* A domain's pirqs: 1 <= nr_irqs_gsi <= nr_pirqs <= PQ_MAX_PIRQS. Answers a handle or PQ_E*. */
int32_t pq_space_create(uint32_t nr_irqs_gsi, uint32_t nr_pirqs, uint32_t is_hvm);
int32_t pq_space_destroy(int32_t space);

/* The free pirq a search of `type` ends at; nothing is reserved. -ENOSPC. */
int32_t pq_space_get_free(int32_t space, int32_t type);
/* The base of the highest run of `count` (1 .. 32) free pirqs. -ENOSPC. */
int32_t pq_space_get_free_run(int32_t space, uint32_t count);
/*
 * allocate_pirq: the pirq for host irq `irq` (1 .. 2^20); a negative `pirq` asks for any. `count` is in and out (MULTI_MSI).
 * -EBUSY, -EEXIST, -EDOM, -EOPNOTSUPP, -ENOSPC.
 */
int32_t pq_space_allocate(int32_t space, int32_t irq, int32_t pirq, int32_t type, uint32_t has_remapping, int32_t *count);
/* PHYSDEVOP_get_free_pirq: finds and reserves. -ENOSPC. */
int32_t pq_space_reserve(int32_t space, int32_t type);
/* Maps. 0 (also, unchanged, when either side belongs to something else), -EINVAL. */
int32_t pq_space_map(int32_t space, int32_t pirq, int32_t irq);
/* Unmaps `count` pirqs from `pirq` on; `forced` leaves them deferred. 0, -EINVAL. */
int32_t pq_space_unmap(int32_t space, int32_t pirq, uint32_t count, uint32_t forced);
/* Completes a forced unmap: a deferred pirq becomes free. 0, -EINVAL if it is not deferred. */
int32_t pq_space_complete(int32_t space, int32_t pirq);
/* Emulated irq `emuirq` (0 .. 47, PQ_IRQ_PT, -3) behind a pirq of an HVM domain. 0, -EINVAL. */
int32_t pq_space_map_emuirq(int32_t space, int32_t pirq, int32_t emuirq);
int32_t pq_space_unmap_emuirq(int32_t space, int32_t pirq);
/* Port bound to the pirq; 0 takes it away. 0, -EINVAL. */
int32_t pq_space_set_port(int32_t space, int32_t pirq, uint32_t port);
/* out = { record exists, irq, emuirq, port }. */
int32_t pq_space_get(int32_t space, int32_t pirq, int32_t out[4]);
/* irq_pirq[irq]: 0 unknown, p mapped, -p deferred. */
int32_t pq_space_pirq_of_irq(int32_t space, int32_t irq, int32_t *out);
int32_t pq_space_nr_pirqs(int32_t space);
/* Records in the tree. */
int32_t pq_space_records(int32_t space);

/* Maps the `count` highest free pirqs, pirq p to irq p + 1. Answers how many. */
int32_t pq_space_fill(int32_t space, uint32_t count);
/*
 * `steps` times: victim := nr_pirqs - 1 - below(span); if it is mapped, unmap it; then map the highest free pirq p to irq
 * p + 1. Folds every p (or error) into *checksum.
 */
int32_t pq_space_churn(int32_t space, uint32_t seed, uint32_t steps, uint32_t span, uint32_t *checksum);
/*
 * `steps` times with `slots` (1 .. 4096) owners: slot := below(slots); an owner with a run unmaps it, one without takes the
 * highest run of 2^below(6), pirq p to irq p + 1. Folds every base (or error). At the end all owners give back.
 */
int32_t pq_space_churn_runs(int32_t space, uint32_t seed, uint32_t steps, uint32_t slots, uint32_t *checksum);

/* ---- MSI-X vector table ---------------------------------------------------------------------------------------- */

#define PQ_MSIX_MAX_VECTORS 2048
#define PQ_MSIX_ENABLE 0x8000u
#define PQ_MSIX_FUNCTION_MASK 0x4000u

/*
 * A table of `vectors` (1 .. 2048) entries, all masked. `address_writable` and `control_writable`: the bits of address low
 * and Vector Control that take a written value. `pends_disabled`: a vector raised while MSI-X is off becomes pending
 * (QEMU) instead of being lost.
 */
int32_t pq_msix_create(uint32_t vectors, uint32_t address_writable, uint32_t control_writable, uint32_t pends_disabled);
int32_t pq_msix_destroy(int32_t table);
int32_t pq_msix_reset(int32_t table);
/*
 * Access of 1, 2, 4 or 8 bytes, naturally aligned, inside the table. words[0] low, words[1] high (8 bytes only). A write
 * answers how many messages it sent; eight bytes act as two dwords, low first.
 */
int32_t pq_msix_read(int32_t table, uint32_t offset, uint32_t width, uint32_t words[2]);
int32_t pq_msix_write(int32_t table, uint32_t offset, uint32_t width, uint32_t low, uint32_t high);
/* Message Control: PQ_MSIX_ENABLE | PQ_MSIX_FUNCTION_MASK, other bits ignored. Answers how many messages left. */
int32_t pq_msix_set_control(int32_t table, uint32_t control);
/* The device signals `vector`. 1 sent, 0 pending or lost. */
int32_t pq_msix_raise(int32_t table, uint32_t vector);
/* 1 if the pending bit of `vector` is set. */
int32_t pq_msix_pending(int32_t table, uint32_t vector);
/*
 * The messages of the last write, set_control or raise, in order: four words each (vector, address low, address high,
 * data), at most `capacity` of them. Answers how many there were.
 */
int32_t pq_msix_messages(int32_t table, uint32_t *out, uint32_t capacity);

/* `steps` times raise(below(vectors)); folds data and address low of every message sent. */
int32_t pq_msix_deliver_many(int32_t table, uint32_t seed, uint32_t steps, uint32_t *checksum);
/* `steps` times for vector below(vectors): mask, raise, unmask, each by a dword write. Folds like deliver_many. */
int32_t pq_msix_mask_many(int32_t table, uint32_t seed, uint32_t steps, uint32_t *checksum);

#pragma GCC visibility pop

#endif
