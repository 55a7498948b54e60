/*
 * Calls every entry point, with good and with bad arguments, and a few thousand random ones: what the sanitizers and
 * valgrind watch. Prints nothing and ends with 0 if every answer is as expected.
 */
#include <stdio.h>
#include <string.h>

#include "../pirqlab-native.h"
#include "../prng.h"
#include "../xen-errno.h"

static int failures;

static void expect_at(int line, long got, long wanted)
{
    if (got == wanted)
        return;
    fprintf(stderr, "selftest: line %d: %ld instead of %ld\n", line, got, wanted);
    failures++;
}
#define EXPECT(got, wanted) expect_at(__LINE__, (got), (wanted))

static void abi(void)
{
    char name[80];
    uint32_t out[2];

    EXPECT(pq_interface(), PQ_INTERFACE);
    EXPECT(pq_abi_rows(2), PQ_EARGUMENT);
    for (uint32_t a = PQ_ABI_X86_64; a <= PQ_ABI_COMPAT; a++) {
        uint32_t rows = (uint32_t)pq_abi_rows(a);
        for (uint32_t i = 0; i < rows; i++) {
            EXPECT(pq_abi_row(a, i, name, sizeof name, out), 0);
            EXPECT(strchr(name, '.') != NULL ? pq_abi_offsetof(a, name) : pq_abi_sizeof(a, name),
                   strchr(name, '.') != NULL ? (long)out[0] : (long)out[1]);
        }
        EXPECT(pq_abi_row(a, rows, name, sizeof name, out), PQ_EARGUMENT);
    }
    EXPECT(pq_abi_row(0, 0, name, 4, out), PQ_EARGUMENT);
    EXPECT(pq_abi_row(0, 0, NULL, sizeof name, out), PQ_EARGUMENT);
    EXPECT(pq_abi_row(0, 0, name, sizeof name, NULL), PQ_EARGUMENT);
    EXPECT(pq_abi_sizeof(0, "physdev_map_pirq"), 40);
    EXPECT(pq_abi_sizeof(1, "physdev_map_pirq"), 36);
    EXPECT(pq_abi_offsetof(0, "physdev_map_pirq.table_base"), 32);
    EXPECT(pq_abi_offsetof(1, "physdev_map_pirq.table_base"), 28);
    EXPECT(pq_abi_sizeof(0, "none"), -XEN_ENOENT);
    EXPECT(pq_abi_sizeof(0, NULL), PQ_EARGUMENT);
    EXPECT(pq_abi_offsetof(0, "none.none"), -XEN_ENOENT);
    EXPECT(pq_abi_offsetof(2, "none.none"), PQ_EARGUMENT);
}

static void spaces(void)
{
    int32_t out[4], count = 4, pirq = 0;
    uint32_t sum = 0;

    EXPECT(pq_space_create(0, 10, 0), PQ_EARGUMENT);
    EXPECT(pq_space_create(11, 10, 0), PQ_EARGUMENT);
    EXPECT(pq_space_create(16, PQ_MAX_PIRQS + 1, 0), PQ_EARGUMENT);
    EXPECT(pq_space_destroy(0), PQ_EHANDLE);
    EXPECT(pq_space_reserve(12345, 0), PQ_EHANDLE);

    int32_t s = pq_space_create(16, 24, 1);
    EXPECT(pq_space_get_free_run(s, 0), PQ_EARGUMENT);
    EXPECT(pq_space_get_free_run(s, 33), PQ_EARGUMENT);
    EXPECT(pq_space_get_free_run(s, 3), 21);
    EXPECT(pq_space_reserve(s, PQ_TYPE_MSI), 23);
    EXPECT(pq_space_map(s, 23, 60), 0);
    EXPECT(pq_space_map(s, 24, 61), -XEN_EINVAL);
    EXPECT(pq_space_map(s, INT32_MIN, INT32_MAX), PQ_EARGUMENT);
    EXPECT(pq_space_allocate(s, 61, -1, PQ_TYPE_MULTI_MSI, 0, &count), -XEN_EOPNOTSUPP);
    EXPECT(pq_space_allocate(s, 61, -1, PQ_TYPE_MULTI_MSI, 1, &count), 19);
    EXPECT(pq_space_allocate(s, 61, -1, PQ_TYPE_MULTI_MSI, 1, NULL), PQ_EARGUMENT);
    EXPECT(pq_space_unmap(s, 23, 33, 0), PQ_EARGUMENT);
    EXPECT(pq_space_unmap(s, 23, 1, 1), 0);
    EXPECT(pq_space_pirq_of_irq(s, 60, &pirq), 0);
    EXPECT(pirq, -23);
    EXPECT(pq_space_complete(s, 23), 0);
    EXPECT(pq_space_complete(s, 23), -XEN_EINVAL);
    EXPECT(pq_space_map_emuirq(s, 20, -3), 0);
    EXPECT(pq_space_map_emuirq(s, 20, -4), PQ_EARGUMENT);
    EXPECT(pq_space_unmap_emuirq(s, 20), 0);
    EXPECT(pq_space_set_port(s, 20, 7), 0);
    EXPECT(pq_space_get(s, 20, out), 0);
    EXPECT(out[3], 7);
    EXPECT(pq_space_get(s, 20, NULL), PQ_EARGUMENT);
    EXPECT(pq_space_fill(s, 100), 8);
    EXPECT(pq_space_churn(s, 1, 100, 25, &sum), PQ_EARGUMENT);
    EXPECT(pq_space_churn(s, 1, 100, 8, &sum), 0);
    EXPECT(pq_space_destroy(s), 0);
    EXPECT(pq_space_destroy(s), PQ_EHANDLE);

    s = pq_space_create(24, 4096, 0);
    EXPECT(pq_space_churn_runs(s, 1, 1000, 0, &sum), PQ_EARGUMENT);
    EXPECT(pq_space_churn_runs(s, 1, 1000, 64, &sum), 0);
    EXPECT(pq_space_churn_runs(s, 1, 1000, 64, NULL), PQ_EARGUMENT);
    EXPECT(pq_space_destroy(s), 0);
}

static void tables(void)
{
    uint32_t words[2], messages[8], sum = 0;

    EXPECT(pq_msix_create(0, ~0u, 1, 0), PQ_EARGUMENT);
    EXPECT(pq_msix_create(2049, ~0u, 1, 0), PQ_EARGUMENT);
    int32_t t = pq_msix_create(2, ~3u, 1, 0);
    EXPECT(pq_space_records(t), PQ_EHANDLE);
    EXPECT(pq_msix_write(t, 32, 4, 0, 0), PQ_EARGUMENT);
    EXPECT(pq_msix_write(t, 28, 8, 0, 0), PQ_EARGUMENT);
    EXPECT(pq_msix_write(t, 0, 3, 0, 0), PQ_EARGUMENT);
    EXPECT(pq_msix_read(t, 0, 4, NULL), PQ_EARGUMENT);
    EXPECT(pq_msix_read(t, UINT32_MAX, 1, words), PQ_EARGUMENT);
    EXPECT(pq_msix_write(t, 0, 8, 0xfee37003, 1), 0);
    EXPECT(pq_msix_read(t, 0, 8, words), 0);
    EXPECT(words[0], 0xfee37000);
    EXPECT(words[1], 1);
    EXPECT(pq_msix_raise(t, 0), 0);
    EXPECT(pq_msix_pending(t, 0), 0);
    EXPECT(pq_msix_set_control(t, PQ_MSIX_ENABLE | PQ_MSIX_FUNCTION_MASK), 0);
    EXPECT(pq_msix_raise(t, 0), 0);
    EXPECT(pq_msix_raise(t, 2), PQ_EARGUMENT);
    EXPECT(pq_msix_pending(t, 0), 1);
    EXPECT(pq_msix_write(t, 8, 8, 0x4300, 0), 0);
    EXPECT(pq_msix_set_control(t, PQ_MSIX_ENABLE), 1);
    EXPECT(pq_msix_messages(t, messages, 2), 1);
    EXPECT(messages[3], 0x4300);
    EXPECT(pq_msix_messages(t, NULL, 1), PQ_EARGUMENT);
    EXPECT(pq_msix_deliver_many(t, 1, 1000, &sum), 0);
    EXPECT(pq_msix_mask_many(t, 1, 1000, &sum), 0);
    EXPECT(pq_msix_mask_many(t, 1, 1000, NULL), PQ_EARGUMENT);
    EXPECT(pq_msix_reset(t), 0);
    EXPECT(pq_msix_destroy(t), 0);
    EXPECT(pq_msix_reset(t), PQ_EHANDLE);
}

/* Small numbers mostly, extremes now and then. */
static uint32_t any(struct pq_prng *prng)
{
    static const uint32_t extremes[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 1u << 20 };
    uint32_t r = pq_prng_next(prng);

    return r % 8 == 0 ? extremes[(r >> 8) % 7] : (r >> 8) % 40;
}

static void random_calls(void)
{
    struct pq_prng p = pq_prng_seeded(1);
    int32_t s = pq_space_create(16, 40, 1), t = pq_msix_create(3, ~0u, ~0u, 1);

    for (int i = 0; i < 20000; i++) {
        int32_t a = (int32_t)any(&p), b = (int32_t)any(&p), out[4] = { b };
        uint32_t c = any(&p), d = any(&p), words[2];
        switch (pq_prng_below(&p, 14)) {
        case 0: pq_space_reserve(s, a); break;
        case 1: pq_space_map(s, a, b); break;
        case 2: pq_space_unmap(s, a, c, d & 1); break;
        case 3: pq_space_complete(s, a); break;
        case 4: pq_space_map_emuirq(s, a, (int32_t)c % 60 - 6); break;
        case 5: pq_space_unmap_emuirq(s, a); break;
        case 6: pq_space_set_port(s, a, d); break;
        case 7: pq_space_allocate(s, a, b, (int32_t)c, d & 1, &out[0]); break;
        case 8: pq_space_get(s, a, out); break;
        case 9: pq_msix_write(t, c, d % 9, (uint32_t)a, (uint32_t)b); break;
        case 10: pq_msix_read(t, c, d % 9, words); break;
        case 11: pq_msix_set_control(t, c << 14); break;
        case 12: pq_msix_raise(t, c); break;
        case 13: EXPECT(pq_space_reserve(a, b), PQ_EHANDLE); break;
        }
    }
    EXPECT(pq_space_destroy(s), 0);
    EXPECT(pq_msix_destroy(t), 0);
}

int main(void)
{
    abi();
    spaces();
    tables();
    random_calls();
    EXPECT(pq_live_objects(), 0);
    return failures != 0;
}
