/* The generator of src/core/prng.ts, number for number, so that a batch here can be repeated in TypeScript. */
#ifndef PIRQLAB_PRNG_H
#define PIRQLAB_PRNG_H

#include <stdint.h>

struct pq_prng {
    uint32_t s[4];
};

static inline struct pq_prng pq_prng_seeded(uint32_t seed)
{
    struct pq_prng prng;
    uint32_t z = seed;

    for (int i = 0; i < 4; i++) {
        z += 0x9e3779b9u;
        uint32_t x = (z ^ (z >> 16)) * 0x21f0aaadu;
        x = (x ^ (x >> 15)) * 0x735a2d97u;
        x ^= x >> 15;
        prng.s[i] = x != 0 ? x : 1;
    }
    return prng;
}

static inline uint32_t pq_prng_next(struct pq_prng *prng)
{
    uint32_t t = prng->s[3];
    uint32_t first = prng->s[0];

    prng->s[3] = prng->s[2];
    prng->s[2] = prng->s[1];
    prng->s[1] = first;
    t ^= t << 11;
    t ^= t >> 8;
    return prng->s[0] = t ^ first ^ (first >> 19);
}

/* 0 .. n - 1; equal to the TypeScript for n <= 2^21, where its double arithmetic is exact. */
static inline uint32_t pq_prng_below(struct pq_prng *prng, uint32_t n)
{
    return (uint32_t)((uint64_t)pq_prng_next(prng) * n >> 32);
}

/* One step of the checksum; starts at 0x811c9dc5. */
static inline uint32_t pq_fold(uint32_t checksum, uint32_t word)
{
    return ((checksum ^ word) * 0x01000193u) ^ (checksum >> 15);
}

#define PQ_FOLD_START 0x811c9dc5u

#endif
