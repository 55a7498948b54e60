/*
 * An MSI-X vector table with one struct per entry: the plain reference. Rules: PCI Local Bus 3.0 §6.8.2 and §6.8.3.4
 * (masking and pending), PCIe 5.0 §7.7.2. What depends on the device (which bits stick, whether a vector raised while
 * MSI-X is off stays pending) is given when the table is made.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "handles.h"
#include "pirqlab-native.h"
#include "prng.h"

#define ENTRY_BYTES 16
#define CONTROL_WORD 3
#define VECTOR_MASK 1u

struct entry {
    uint32_t words[4]; /* address low, address high, data, vector control */
    bool is_pending;
};

struct table {
    uint32_t vectors;
    uint32_t writable[4];
    bool pends_disabled;
    uint32_t control;
    uint32_t sent; /* messages of the last call */
    uint32_t *messages;
    struct entry entries[];
};

static struct table *table_of(int32_t handle)
{
    return pq_handle_get(PQ_KIND_MSIX, handle);
}

static void reset(struct table *t)
{
    t->control = 0;
    t->sent = 0;
    for (uint32_t v = 0; v < t->vectors; v++)
        t->entries[v] = (struct entry){ .words = { [CONTROL_WORD] = VECTOR_MASK } };
}

int32_t pq_msix_create(uint32_t vectors, uint32_t address_writable, uint32_t control_writable, uint32_t pends_disabled)
{
    if (vectors == 0 || vectors > PQ_MSIX_MAX_VECTORS || pends_disabled > 1)
        return PQ_EARGUMENT;

    struct table *t = calloc(1, sizeof *t + vectors * sizeof t->entries[0]);
    if (t == NULL)
        return PQ_EMEMORY;
    t->messages = calloc(vectors, 4 * sizeof *t->messages);
    t->vectors = vectors;
    t->writable[0] = address_writable;
    t->writable[1] = t->writable[2] = UINT32_MAX;
    t->writable[CONTROL_WORD] = control_writable;
    t->pends_disabled = pends_disabled != 0;
    reset(t);

    int32_t handle = t->messages != NULL ? pq_handle_open(PQ_KIND_MSIX, t) : PQ_EMEMORY;
    if (handle < 0) {
        free(t->messages);
        free(t);
    }
    return handle;
}

int32_t pq_msix_destroy(int32_t table)
{
    struct table *t = pq_handle_close(PQ_KIND_MSIX, table);

    if (t == NULL)
        return PQ_EHANDLE;
    free(t->messages);
    free(t);
    return 0;
}

int32_t pq_msix_reset(int32_t table)
{
    struct table *t = table_of(table);

    if (t == NULL)
        return PQ_EHANDLE;
    reset(t);
    return 0;
}

/* A vector sends if MSI-X is on and neither mask holds it back. */
static bool is_open(const struct table *t, uint32_t vector)
{
    return (t->control & (PQ_MSIX_ENABLE | PQ_MSIX_FUNCTION_MASK)) == PQ_MSIX_ENABLE &&
           (t->entries[vector].words[CONTROL_WORD] & VECTOR_MASK) == 0;
}

static void send(struct table *t, uint32_t vector)
{
    uint32_t *message = &t->messages[4 * t->sent++];

    message[0] = vector;
    for (uint32_t i = 0; i < CONTROL_WORD; i++)
        message[i + 1] = t->entries[vector].words[i];
}

static void send_if_pending(struct table *t, uint32_t vector)
{
    if (!t->entries[vector].is_pending || !is_open(t, vector))
        return;
    t->entries[vector].is_pending = false;
    send(t, vector);
}

static uint32_t raise_vector(struct table *t, uint32_t vector)
{
    t->sent = 0;
    if (is_open(t, vector))
        send(t, vector);
    else if (t->pends_disabled || (t->control & PQ_MSIX_ENABLE) != 0)
        t->entries[vector].is_pending = true;
    return t->sent;
}

/* Writes the bits of `mask` in one dword of an entry. */
static void write_bits(struct table *t, uint32_t dword, uint32_t mask, uint32_t value)
{
    uint32_t vector = dword / 4;
    uint32_t *word = &t->entries[vector].words[dword % 4];

    mask &= t->writable[dword % 4];
    *word = (*word & ~mask) | (value & mask);
    send_if_pending(t, vector);
}

static bool is_valid(const struct table *t, uint32_t offset, uint32_t width)
{
    return (width == 1 || width == 2 || width == 4 || width == 8) && offset % width == 0 &&
           offset < t->vectors * ENTRY_BYTES;
}

int32_t pq_msix_read(int32_t table, uint32_t offset, uint32_t width, uint32_t words[2])
{
    const struct table *t = table_of(table);

    if (t == NULL)
        return PQ_EHANDLE;
    if (words == NULL || !is_valid(t, offset, width))
        return PQ_EARGUMENT;

    const uint32_t *entry = t->entries[offset / ENTRY_BYTES].words;
    uint32_t word = entry[offset % ENTRY_BYTES / 4] >> (offset % 4 * 8);
    words[0] = width < 4 ? word & ((1u << (8 * width)) - 1) : word;
    words[1] = width == 8 ? entry[offset % ENTRY_BYTES / 4 + 1] : 0;
    return 0;
}

int32_t pq_msix_write(int32_t table, uint32_t offset, uint32_t width, uint32_t low, uint32_t high)
{
    struct table *t = table_of(table);

    if (t == NULL)
        return PQ_EHANDLE;
    if (!is_valid(t, offset, width))
        return PQ_EARGUMENT;

    uint32_t shift = offset % 4 * 8;
    uint32_t lane = width < 4 ? ((1u << (8 * width)) - 1) << shift : UINT32_MAX;
    t->sent = 0;
    write_bits(t, offset / 4, lane, low << shift);
    if (width == 8)
        write_bits(t, offset / 4 + 1, UINT32_MAX, high);
    return (int32_t)t->sent;
}

int32_t pq_msix_set_control(int32_t table, uint32_t control)
{
    struct table *t = table_of(table);

    if (t == NULL)
        return PQ_EHANDLE;
    t->control = control & (PQ_MSIX_ENABLE | PQ_MSIX_FUNCTION_MASK);
    t->sent = 0;
    for (uint32_t v = 0; v < t->vectors; v++)
        send_if_pending(t, v);
    return (int32_t)t->sent;
}

int32_t pq_msix_raise(int32_t table, uint32_t vector)
{
    struct table *t = table_of(table);

    if (t == NULL)
        return PQ_EHANDLE;
    return vector >= t->vectors ? PQ_EARGUMENT : (int32_t)raise_vector(t, vector);
}

int32_t pq_msix_pending(int32_t table, uint32_t vector)
{
    const struct table *t = table_of(table);

    if (t == NULL)
        return PQ_EHANDLE;
    return vector >= t->vectors ? PQ_EARGUMENT : t->entries[vector].is_pending;
}

int32_t pq_msix_messages(int32_t table, uint32_t *out, uint32_t capacity)
{
    const struct table *t = table_of(table);

    if (t == NULL)
        return PQ_EHANDLE;
    if (out == NULL && capacity > 0)
        return PQ_EARGUMENT;
    for (uint32_t i = 0; i < 4 * t->sent && i / 4 < capacity; i++)
        out[i] = t->messages[i];
    return (int32_t)t->sent;
}

static uint32_t fold_sent(const struct table *t, uint32_t sum)
{
    for (uint32_t i = 0; i < t->sent; i++)
        sum = pq_fold(pq_fold(sum, t->messages[4 * i + 3]), t->messages[4 * i + 1]);
    return sum;
}

int32_t pq_msix_deliver_many(int32_t table, uint32_t seed, uint32_t steps, uint32_t *checksum)
{
    struct table *t = table_of(table);

    if (t == NULL)
        return PQ_EHANDLE;
    if (checksum == NULL)
        return PQ_EARGUMENT;

    struct pq_prng prng = pq_prng_seeded(seed);
    uint32_t sum = PQ_FOLD_START;
    for (uint32_t step = 0; step < steps; step++) {
        raise_vector(t, pq_prng_below(&prng, t->vectors));
        sum = fold_sent(t, sum);
    }
    *checksum = sum;
    return 0;
}

int32_t pq_msix_mask_many(int32_t table, uint32_t seed, uint32_t steps, uint32_t *checksum)
{
    struct table *t = table_of(table);

    if (t == NULL)
        return PQ_EHANDLE;
    if (checksum == NULL)
        return PQ_EARGUMENT;

    struct pq_prng prng = pq_prng_seeded(seed);
    uint32_t sum = PQ_FOLD_START;
    for (uint32_t step = 0; step < steps; step++) {
        uint32_t vector = pq_prng_below(&prng, t->vectors);
        t->sent = 0;
        write_bits(t, 4 * vector + CONTROL_WORD, UINT32_MAX, VECTOR_MASK);
        sum = fold_sent(t, sum);
        raise_vector(t, vector);
        sum = fold_sent(t, sum);
        t->sent = 0;
        write_bits(t, 4 * vector + CONTROL_WORD, UINT32_MAX, 0);
        sum = fold_sent(t, sum);
    }
    *checksum = sum;
    return 0;
}
