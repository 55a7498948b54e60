/*
 * A domain's pirqs as the hypervisor keeps them: records in a radix tree, found by linear scans. Deliberately plain; its
 * speed is the baseline that faster allocators are compared with. Rules: get_free_pirq, get_free_pirqs, allocate_pirq,
 * map_domain_pirq, unmap_domain_pirq, map_domain_emuirq_pirq and pirq_cleanup_check of xen/arch/x86/irq.c (4.17.5 and
 * later).
 */
#include <stdbool.h>
#include <stdlib.h>

#include "handles.h"
#include "pirqlab-native.h"
#include "radix.h"
#include "xen-errno.h"

#define FIRST_DYNAMIC_GSI 16
#define MAX_RUN 32
#define PIRQ_ALLOCATED (-1)
#define IRQ_MSI_EMU (-3)
#define EMULATED_GSIS 48

struct record {
    int32_t irq; /* 0 free, > 0 mapped, -1 reserved, -n deferred */
    int32_t emuirq;
    uint32_t port;
};

struct space {
    uint32_t nr_irqs_gsi;
    uint32_t nr_pirqs;
    bool is_hvm;
    uint32_t records;
    struct radix_tree pirq_tree;   /* pirq -> record */
    struct radix_tree irq_pirq;    /* irq -> signed pirq, stored in the pointer itself */
    struct radix_tree emuirq_pirq; /* emuirq -> pirq + 1, stored in the pointer itself */
};

static void keep(void *item)
{
    (void)item;
}

static int32_t word_at(const struct radix_tree *tree, int32_t key)
{
    return (int32_t)(intptr_t)radix_lookup(tree, (uint32_t)key);
}

static int set_word(struct radix_tree *tree, int32_t key, int32_t value)
{
    radix_remove(tree, (uint32_t)key);
    return value == 0 ? 0 : radix_insert(tree, (uint32_t)key, (void *)(intptr_t)value);
}

static struct space *space_of(int32_t handle)
{
    return pq_handle_get(PQ_KIND_SPACE, handle);
}

static struct record *record_of(const struct space *s, uint32_t pirq)
{
    return radix_lookup(&s->pirq_tree, pirq);
}

/* The record of `pirq`, made if need be; NULL without memory. */
static struct record *get_record(struct space *s, uint32_t pirq)
{
    struct record *r = record_of(s, pirq);

    if (r != NULL)
        return r;
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->emuirq = PQ_IRQ_UNBOUND;
    if (radix_insert(&s->pirq_tree, pirq, r) != 0) {
        free(r);
        return NULL;
    }
    s->records++;
    return r;
}

static void clean_up(struct space *s, uint32_t pirq)
{
    struct record *r = record_of(s, pirq);

    if (r == NULL || r->port != 0 || r->irq != 0 || r->emuirq != PQ_IRQ_UNBOUND)
        return;
    free(radix_remove(&s->pirq_tree, pirq));
    s->records--;
}

/* The port is not looked at: a bound but unmapped pirq of an HVM domain counts as free. */
static bool is_free(const struct space *s, uint32_t pirq)
{
    const struct record *r = record_of(s, pirq);

    return r == NULL || (r->irq == 0 && (!s->is_hvm || r->emuirq == PQ_IRQ_UNBOUND));
}

static bool in_range(const struct space *s, int32_t pirq)
{
    return pirq >= 0 && (uint32_t)pirq < s->nr_pirqs;
}

int32_t pq_space_create(uint32_t nr_irqs_gsi, uint32_t nr_pirqs, uint32_t is_hvm)
{
    if (nr_irqs_gsi == 0 || nr_irqs_gsi > nr_pirqs || nr_pirqs > PQ_MAX_PIRQS || is_hvm > 1)
        return PQ_EARGUMENT;

    struct space *s = calloc(1, sizeof *s);
    if (s == NULL)
        return PQ_EMEMORY;
    s->nr_irqs_gsi = nr_irqs_gsi;
    s->nr_pirqs = nr_pirqs;
    s->is_hvm = is_hvm != 0;

    int32_t handle = pq_handle_open(PQ_KIND_SPACE, s);
    if (handle < 0)
        free(s);
    return handle;
}

int32_t pq_space_destroy(int32_t space)
{
    struct space *s = pq_handle_close(PQ_KIND_SPACE, space);

    if (s == NULL)
        return PQ_EHANDLE;
    radix_clear(&s->pirq_tree, free);
    radix_clear(&s->irq_pirq, keep);
    radix_clear(&s->emuirq_pirq, keep);
    free(s);
    return 0;
}

static int32_t found(struct space *s, uint32_t pirq)
{
    return get_record(s, pirq) != NULL ? (int32_t)pirq : PQ_EMEMORY;
}

static int32_t get_free(struct space *s, int32_t type)
{
    if (type == PQ_TYPE_GSI)
        for (uint32_t pirq = FIRST_DYNAMIC_GSI; pirq < s->nr_irqs_gsi; pirq++)
            if (is_free(s, pirq))
                return found(s, pirq);
    for (uint32_t pirq = s->nr_pirqs; pirq-- > s->nr_irqs_gsi;)
        if (is_free(s, pirq))
            return found(s, pirq);
    return -XEN_ENOSPC;
}

/* A record is made for every free slot that the scan passes, as a side effect the original has too. */
static int32_t get_free_run(struct space *s, uint32_t count)
{
    uint32_t seen = 0;

    for (uint32_t pirq = s->nr_pirqs; pirq-- > s->nr_irqs_gsi;) {
        if (!is_free(s, pirq)) {
            seen = 0;
            continue;
        }
        if (get_record(s, pirq) == NULL)
            return PQ_EMEMORY;
        if (++seen == count)
            return (int32_t)pirq;
    }
    return -XEN_ENOSPC;
}

int32_t pq_space_get_free(int32_t space, int32_t type)
{
    struct space *s = space_of(space);

    return s == NULL ? PQ_EHANDLE : get_free(s, type);
}

int32_t pq_space_get_free_run(int32_t space, uint32_t count)
{
    struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    return count == 0 || count > MAX_RUN ? PQ_EARGUMENT : get_free_run(s, count);
}

static int32_t allocate_multi(struct space *s, bool has_remapping, int32_t *count)
{
    int32_t n = *count;

    if (n <= 0 || n > MAX_RUN)
        return -XEN_EDOM;
    if (n != 1 && !has_remapping)
        return -XEN_EOPNOTSUPP;
    while ((n & (n - 1)) != 0)
        n += n & -n; /* up to a power of two */

    int32_t base = get_free_run(s, (uint32_t)n);
    if (base == -XEN_ENOSPC) /* what would have fitted stays in *count as a hint */
        for (n >>= 1; n > 1 && get_free_run(s, (uint32_t)n) == -XEN_ENOSPC;)
            n >>= 1;
    *count = n;
    return base;
}

int32_t pq_space_allocate(int32_t space, int32_t irq, int32_t pirq, int32_t type, uint32_t has_remapping, int32_t *count)
{
    struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    if (irq <= 0 || irq > PQ_MAX_PIRQS || count == NULL || has_remapping > 1)
        return PQ_EARGUMENT;

    int32_t current = word_at(&s->irq_pirq, irq);
    if (pirq >= 0)
        return current != 0 && current != pirq ? -XEN_EEXIST : pirq;
    if (current != 0)
        return current < 0 ? -XEN_EBUSY : current;
    return type == PQ_TYPE_MULTI_MSI ? allocate_multi(s, has_remapping != 0, count) : get_free(s, type);
}

int32_t pq_space_reserve(int32_t space, int32_t type)
{
    struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    int32_t pirq = get_free(s, type);
    if (pirq >= 0)
        record_of(s, (uint32_t)pirq)->irq = PIRQ_ALLOCATED;
    return pirq;
}

static int32_t map(struct space *s, int32_t pirq, int32_t irq)
{
    if (!in_range(s, pirq) || irq <= 0)
        return -XEN_EINVAL;

    const struct record *old = record_of(s, (uint32_t)pirq);
    int32_t current = word_at(&s->irq_pirq, irq);
    if ((old != NULL && old->irq > 0 && old->irq != irq) || (current != 0 && current != pirq))
        return 0;

    struct record *r = get_record(s, (uint32_t)pirq);
    if (r == NULL || set_word(&s->irq_pirq, irq, pirq) != 0)
        return PQ_EMEMORY;
    r->irq = irq;
    return 0;
}

int32_t pq_space_map(int32_t space, int32_t pirq, int32_t irq)
{
    struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    return irq > PQ_MAX_PIRQS ? PQ_EARGUMENT : map(s, pirq, irq);
}

static int32_t unmap(struct space *s, int32_t base, uint32_t count, bool forced)
{
    const struct record *first = in_range(s, base) ? record_of(s, (uint32_t)base) : NULL;

    if (first == NULL || first->irq <= 0)
        return -XEN_EINVAL;
    for (uint32_t pirq = (uint32_t)base; pirq < (uint32_t)base + count; pirq++) {
        struct record *r = record_of(s, pirq);
        if (r == NULL || r->irq <= 0)
            continue;
        if (set_word(&s->irq_pirq, r->irq, forced ? -base : 0) != 0)
            return PQ_EMEMORY;
        r->irq = forced ? -r->irq : 0;
        clean_up(s, pirq);
    }
    return 0;
}

int32_t pq_space_unmap(int32_t space, int32_t pirq, uint32_t count, uint32_t forced)
{
    struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    return count == 0 || count > MAX_RUN || forced > 1 ? PQ_EARGUMENT : unmap(s, pirq, count, forced != 0);
}

int32_t pq_space_complete(int32_t space, int32_t pirq)
{
    struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    struct record *r = in_range(s, pirq) ? record_of(s, (uint32_t)pirq) : NULL;
    if (r == NULL || r->irq >= PIRQ_ALLOCATED)
        return -XEN_EINVAL;
    set_word(&s->irq_pirq, -r->irq, 0);
    r->irq = 0;
    clean_up(s, (uint32_t)pirq);
    return 0;
}

int32_t pq_space_map_emuirq(int32_t space, int32_t pirq, int32_t emuirq)
{
    struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    if (emuirq < IRQ_MSI_EMU || emuirq >= EMULATED_GSIS)
        return PQ_EARGUMENT;
    if (!s->is_hvm || !in_range(s, pirq) || emuirq == PQ_IRQ_UNBOUND)
        return -XEN_EINVAL;

    const struct record *old = record_of(s, (uint32_t)pirq);
    int32_t holder = emuirq == PQ_IRQ_PT ? 0 : word_at(&s->emuirq_pirq, emuirq);
    if ((old != NULL && old->emuirq != PQ_IRQ_UNBOUND && old->emuirq != emuirq) || (holder != 0 && holder != pirq + 1))
        return 0;

    struct record *r = get_record(s, (uint32_t)pirq);
    if (r == NULL || (emuirq != PQ_IRQ_PT && set_word(&s->emuirq_pirq, emuirq, pirq + 1) != 0))
        return PQ_EMEMORY;
    r->emuirq = emuirq;
    return 0;
}

int32_t pq_space_unmap_emuirq(int32_t space, int32_t pirq)
{
    struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    struct record *r = s->is_hvm && in_range(s, pirq) ? record_of(s, (uint32_t)pirq) : NULL;
    if (r == NULL || r->emuirq == PQ_IRQ_UNBOUND)
        return -XEN_EINVAL;
    if (r->emuirq != PQ_IRQ_PT)
        set_word(&s->emuirq_pirq, r->emuirq, 0);
    r->emuirq = PQ_IRQ_UNBOUND;
    clean_up(s, (uint32_t)pirq);
    return 0;
}

int32_t pq_space_set_port(int32_t space, int32_t pirq, uint32_t port)
{
    struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    if (!in_range(s, pirq))
        return -XEN_EINVAL;
    struct record *r = get_record(s, (uint32_t)pirq);
    if (r == NULL)
        return PQ_EMEMORY;
    r->port = port;
    if (port == 0)
        clean_up(s, (uint32_t)pirq);
    return 0;
}

int32_t pq_space_get(int32_t space, int32_t pirq, int32_t out[4])
{
    const struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    if (out == NULL || pirq < 0 || pirq > PQ_MAX_PIRQS)
        return PQ_EARGUMENT;
    const struct record *r = record_of(s, (uint32_t)pirq);
    out[0] = r != NULL;
    out[1] = r != NULL ? r->irq : 0;
    out[2] = r != NULL ? r->emuirq : PQ_IRQ_UNBOUND;
    out[3] = r != NULL ? (int32_t)r->port : 0;
    return 0;
}

int32_t pq_space_pirq_of_irq(int32_t space, int32_t irq, int32_t *out)
{
    const struct space *s = space_of(space);

    if (s == NULL)
        return PQ_EHANDLE;
    if (out == NULL || irq < 0 || irq > PQ_MAX_PIRQS)
        return PQ_EARGUMENT;
    *out = word_at(&s->irq_pirq, irq);
    return 0;
}

int32_t pq_space_nr_pirqs(int32_t space)
{
    const struct space *s = space_of(space);

    return s == NULL ? PQ_EHANDLE : (int32_t)s->nr_pirqs;
}

int32_t pq_space_records(int32_t space)
{
    const struct space *s = space_of(space);

    return s == NULL ? PQ_EHANDLE : (int32_t)s->records;
}
