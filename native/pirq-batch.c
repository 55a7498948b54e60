/* Many operations on a pirq space in one call, so that a benchmark measures the scan and not the way across the border. */
#include <stdlib.h>

#include "pirqlab-native.h"
#include "prng.h"
#include "xen-errno.h"

#define MAX_OWNERS 4096
#define RUN_SIZES 6 /* 1, 2, 4 ... 32 */

/* Maps pirq p to irq p + 1. */
static int32_t map_default(int32_t space, int32_t pirq)
{
    return pq_space_map(space, pirq, pirq + 1);
}

/* Takes and maps the highest free pirq; -ENOSPC, PQ_E*. */
static int32_t take_one(int32_t space)
{
    int32_t pirq = pq_space_get_free(space, PQ_TYPE_MSI);
    int32_t mapped = pirq >= 0 ? map_default(space, pirq) : 0;

    return mapped < 0 ? mapped : pirq;
}

int32_t pq_space_fill(int32_t space, uint32_t count)
{
    for (uint32_t done = 0; done < count; done++) {
        int32_t pirq = take_one(space);
        if (pirq == -XEN_ENOSPC)
            return (int32_t)done;
        if (pirq < 0)
            return pirq;
    }
    return (int32_t)count;
}

int32_t pq_space_churn(int32_t space, uint32_t seed, uint32_t steps, uint32_t span, uint32_t *checksum)
{
    int32_t nr_pirqs = pq_space_nr_pirqs(space);

    if (nr_pirqs < 0)
        return nr_pirqs;
    if (span == 0 || span > (uint32_t)nr_pirqs || checksum == NULL)
        return PQ_EARGUMENT;

    struct pq_prng prng = pq_prng_seeded(seed);
    uint32_t sum = PQ_FOLD_START;
    for (uint32_t step = 0; step < steps; step++) {
        int32_t victim = nr_pirqs - 1 - (int32_t)pq_prng_below(&prng, span);
        pq_space_unmap(space, victim, 1, 0); /* -EINVAL if it is not mapped */
        int32_t pirq = take_one(space);
        if (pirq <= PQ_EHANDLE)
            return pirq;
        sum = pq_fold(sum, (uint32_t)pirq);
    }
    *checksum = sum;
    return 0;
}

struct run {
    int32_t base;
    uint32_t count; /* 0: none */
};

static void give_back(int32_t space, struct run *run)
{
    pq_space_unmap(space, run->base, run->count, 0);
    run->count = 0;
}

/* Takes and maps the highest run of `count`; its base, -ENOSPC or PQ_E*. */
static int32_t take_run(int32_t space, struct run *run, uint32_t count)
{
    int32_t base = pq_space_get_free_run(space, count);

    if (base < 0)
        return base;
    *run = (struct run){ base, count };
    for (int32_t pirq = base; pirq < base + (int32_t)count; pirq++) {
        int32_t mapped = map_default(space, pirq);
        if (mapped < 0)
            return mapped;
    }
    return base;
}

int32_t pq_space_churn_runs(int32_t space, uint32_t seed, uint32_t steps, uint32_t slots, uint32_t *checksum)
{
    int32_t nr_pirqs = pq_space_nr_pirqs(space);

    if (nr_pirqs < 0)
        return nr_pirqs;
    if (slots == 0 || slots > MAX_OWNERS || checksum == NULL)
        return PQ_EARGUMENT;
    struct run *owners = calloc(slots, sizeof *owners);
    if (owners == NULL)
        return PQ_EMEMORY;

    struct pq_prng prng = pq_prng_seeded(seed);
    uint32_t sum = PQ_FOLD_START;
    int32_t result = 0;
    for (uint32_t step = 0; step < steps && result > PQ_EHANDLE; step++) {
        struct run *owner = &owners[pq_prng_below(&prng, slots)];
        if (owner->count > 0) {
            sum = pq_fold(sum, (uint32_t)owner->base);
            give_back(space, owner);
        } else {
            result = take_run(space, owner, 1u << pq_prng_below(&prng, RUN_SIZES));
            sum = pq_fold(sum, (uint32_t)result);
        }
    }
    for (uint32_t i = 0; i < slots; i++)
        if (owners[i].count > 0)
            give_back(space, &owners[i]);
    free(owners);
    if (result <= PQ_EHANDLE)
        return result;
    *checksum = sum;
    return 0;
}
