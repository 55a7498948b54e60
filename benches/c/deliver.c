/*
 * MSI-X delivery in straightforward C: a struct per device, an array of entries each, a table from message data to event
 * port. The baseline of benches/deliver.ts, which does the same work in the same order and gets the same checksum.
 */
#include <stdint.h>
#include <stdlib.h>

/* A device model is not in the file of its devices: they call it. */
#define CALLED __attribute__((noinline))

struct entry {
    uint32_t address_low, address_high, data, control;
};

struct device {
    uint32_t count;
    uint32_t open; /* enabled and not masked as a whole */
    struct entry *entries;
    uint32_t *pending;
    uint32_t *route; /* port + 1, 0 unknown */
};

static uint32_t devices, vectors;
static struct device *device;
static uint32_t *port_of;
static uint32_t events[131072 / 32];

int32_t bench_setup(uint32_t device_count, uint32_t vector_count)
{
    devices = device_count;
    vectors = vector_count;
    device = calloc(devices, sizeof *device);
    port_of = calloc((size_t)devices * vectors, sizeof *port_of);
    if (device == NULL || port_of == NULL)
        return -1;
    for (uint32_t d = 0; d < devices; d++) {
        device[d] = (struct device){ .count = vectors, .open = 1,
                                     .entries = calloc(vectors, sizeof(struct entry)),
                                     .pending = calloc((vectors + 31) / 32, sizeof(uint32_t)),
                                     .route = calloc(vectors, sizeof(uint32_t)) };
        if (device[d].entries == NULL || device[d].pending == NULL || device[d].route == NULL)
            return -1;
        for (uint32_t v = 0; v < vectors; v++) {
            uint32_t number = d * vectors + v;
            device[d].entries[v] = (struct entry){ .address_low = 0xfee00000u, .data = number };
            port_of[number] = number & 0x1ffff;
        }
    }
    return 0;
}

static inline uint32_t below(uint32_t *state, uint32_t n)
{
    *state = *state * 1664525u + 1013904223u;
    return ((*state >> 16) * n) >> 16;
}

static inline uint32_t fold(uint32_t sum, uint32_t port)
{
    events[port >> 5] |= 1u << (port & 31);
    return (sum ^ port) * 0x01000193u;
}

/* The port of an open vector, or -1 if it is held. */
static CALLED int32_t raise_vector(struct device *d, uint32_t vector, int use_route)
{
    if (vector >= d->count)
        return -1;
    /* a masked entry has no route, so a route is leave to send */
    if (use_route && d->open && d->route[vector] != 0)
        return (int32_t)d->route[vector] - 1;
    struct entry *e = &d->entries[vector];
    if (!d->open || (e->control & 1) != 0) {
        d->pending[vector >> 5] |= 1u << (vector & 31);
        return -1;
    }
    if ((e->address_low >> 20) != 0xfee || e->address_high != 0)
        return -1;
    if (use_route)
        d->route[vector] = port_of[e->data] + 1;
    return (int32_t)port_of[e->data];
}

static inline uint32_t deliver(uint32_t count, int is_random, int use_route)
{
    uint32_t sum = 0x811c9dc5u, state = 1, at = 0, vector = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (is_random) {
            at = below(&state, devices);
            vector = below(&state, vectors);
        }
        int32_t port = raise_vector(&device[at], vector, use_route);
        if (port >= 0)
            sum = fold(sum, (uint32_t)port);
        if (!is_random && ++vector == vectors) {
            vector = 0;
            if (++at == devices)
                at = 0;
        }
    }
    return sum;
}

uint32_t bench_deliver(uint32_t count, uint32_t is_random, uint32_t use_route)
{
    if (use_route)
        return is_random ? deliver(count, 1, 1) : deliver(count, 0, 1);
    return is_random ? deliver(count, 1, 0) : deliver(count, 0, 0);
}

/* The port of the message that a write to vector control lets go, or -1. */
static CALLED int32_t write_control(struct device *d, uint32_t vector, uint32_t mask, uint32_t value)
{
    struct entry *e = &d->entries[vector];
    uint32_t old = e->control;

    e->control = (old & ~mask) | (value & mask);
    d->route[vector] = 0;
    if ((old & 1) == 0 || (e->control & 1) != 0 || !d->open)
        return -1;
    if ((d->pending[vector >> 5] & (1u << (vector & 31))) == 0)
        return -1;
    d->pending[vector >> 5] &= ~(1u << (vector & 31));
    return (int32_t)port_of[e->data];
}

/* Mask, raise, unmask: the held message leaves with the unmask. */
uint32_t bench_mask(uint32_t count)
{
    uint32_t sum = 0x811c9dc5u, state = 1;

    for (uint32_t i = 0; i < count; i++) {
        struct device *d = &device[below(&state, devices)];
        uint32_t vector = below(&state, vectors);

        write_control(d, vector, 1, 1);
        raise_vector(d, vector, 0);
        int32_t port = write_control(d, vector, 1, 0);
        if (port >= 0)
            sum = fold(sum, (uint32_t)port);
    }
    return sum;
}
