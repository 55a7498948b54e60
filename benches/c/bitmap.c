/*
 * The bitmap of src/core/free-bitmap.ts in C, tree for tree and word for word: which numbers are free, singly and in runs of
 * 2, 4 ... 32. The baseline of benches/allocation.ts, which takes the same numbers in the same order.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../../native/prng.h"

/* An allocator is not in the file of those who use it: they call it. */
#define CALLED __attribute__((noinline))
#define MAX_RUN_LOG2 5
#define MAX_LEVELS 5
#define NO_SPACE (-28)
#define GSIS 16

static uint32_t size, stride, levels, level_at[MAX_LEVELS];
static uint32_t *words;

static inline int highest_bit(uint32_t bits)
{
    return 31 - __builtin_clz(bits);
}

/* Stores a word of a tree's widest level; those above hear of it if it becomes or ceases to be zero. */
static void store(uint32_t tree, uint32_t word, uint32_t value)
{
    uint32_t old = words[tree + word];

    words[tree + word] = value;
    if ((old == 0) == (value == 0))
        return;
    uint32_t index = word, any = value != 0;
    for (uint32_t level = 1; level < levels; level++) {
        uint32_t *at = &words[tree + level_at[level] + (index >> 5)];
        *at = (*at & ~(1u << (index & 31))) | (any << (index & 31));
        any = *at != 0;
        index >>= 5;
    }
}

static void update_runs(uint32_t word)
{
    uint32_t low = words[word];
    uint32_t high = word + 1 < (size + 31) >> 5 ? words[word + 1] : 0;

    for (uint32_t k = 1, tree = stride; k <= MAX_RUN_LOG2; k++, tree += stride) {
        uint32_t shift = 1u << (k - 1);
        low &= (low >> shift) | (high << (32 - shift));
        high &= high >> shift;
        if (words[tree + word] != low)
            store(tree, word, low);
        else if (low == 0)
            return;
    }
}

static CALLED void set(uint32_t number, int is_free)
{
    uint32_t word = number >> 5, bit = 1u << (number & 31);
    uint32_t old = words[word], now = is_free ? old | bit : old & ~bit;

    if (now == old)
        return;
    store(0, word, now);
    update_runs(word);
    if (word > 0 && words[word - 1] != 0)
        update_runs(word - 1);
}

/* The highest number at which a run of 2^run_log2 begins, or -1. */
static CALLED int32_t highest(uint32_t run_log2)
{
    const uint32_t *tree = words + run_log2 * stride;
    uint32_t index = 0;

    for (uint32_t level = levels; level-- > 0;) {
        uint32_t bits = tree[level_at[level] + index];
        if (bits == 0)
            return -1;
        index = index << 5 | (uint32_t)highest_bit(bits);
    }
    return (int32_t)index;
}

/* All numbers but the `occupied` highest and the 16 of GSIs are free. */
int32_t bench_setup(uint32_t new_size, uint32_t occupied)
{
    size = new_size;
    stride = levels = 0;
    for (uint32_t count = (size + 31) >> 5;; count = (count + 31) >> 5) {
        level_at[levels++] = stride;
        stride += count;
        if (count == 1)
            break;
    }
    words = calloc((size_t)stride * (MAX_RUN_LOG2 + 1), sizeof *words);
    if (words == NULL)
        return -1;
    for (uint32_t number = GSIS; number < size - occupied; number++)
        set(number, 1);
    return 0;
}

uint32_t bench_churn(uint32_t seed, uint32_t count, uint32_t span)
{
    struct pq_prng prng = pq_prng_seeded(seed);
    uint32_t sum = PQ_FOLD_START;

    for (uint32_t n = 0; n < count; n++) {
        set(size - 1 - pq_prng_below(&prng, span), 1);
        int32_t number = highest(0);
        set((uint32_t)number, 0);
        sum = pq_fold(sum, (uint32_t)number);
    }
    return sum;
}

static void set_run(int32_t base, uint32_t count, int is_free)
{
    for (uint32_t n = 0; n < count; n++)
        set((uint32_t)base + n, is_free);
}

uint32_t bench_runs(uint32_t seed, uint32_t count, uint32_t owners)
{
    struct pq_prng prng = pq_prng_seeded(seed);
    uint32_t sum = PQ_FOLD_START;
    int32_t *bases = calloc(owners, sizeof *bases);
    uint32_t *counts = calloc(owners, sizeof *counts);

    for (uint32_t n = 0; bases != NULL && counts != NULL && n < count; n++) {
        uint32_t owner = pq_prng_below(&prng, owners);
        if (counts[owner] > 0) {
            sum = pq_fold(sum, (uint32_t)bases[owner]);
            set_run(bases[owner], counts[owner], 1);
            counts[owner] = 0;
            continue;
        }
        uint32_t run_log2 = pq_prng_below(&prng, MAX_RUN_LOG2 + 1);
        int32_t base = highest(run_log2);
        sum = pq_fold(sum, (uint32_t)(base < 0 ? NO_SPACE : base));
        if (base < 0)
            continue;
        bases[owner] = base;
        counts[owner] = 1u << run_log2;
        set_run(base, counts[owner], 0);
    }
    for (uint32_t owner = 0; bases != NULL && counts != NULL && owner < owners; owner++)
        set_run(bases[owner], counts[owner], 1);
    free(bases);
    free(counts);
    return sum;
}
