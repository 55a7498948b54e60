/* The layout of Xen's public structs as this compiler sees it, for both ABIs, as a table of names, offsets and sizes. */
#include <stddef.h>
#include <string.h>

#include "pirqlab-native.h"
#include "xen-errno.h"

typedef uint64_t u64_aligned __attribute__((aligned(8)));
typedef uint64_t u64_compat __attribute__((aligned(4)));

#define ABI(name) x64_##name
#define ABI_U64 u64_aligned
#define ABI_U64_ALIGNED u64_aligned
#define ABI_LONG u64_aligned
#define ABI_PORT_WORDS 64
#define ABI_ARCH_LONGS 2
#include "xen-abi.h"
#undef ABI
#undef ABI_U64
#undef ABI_LONG
#undef ABI_PORT_WORDS
#undef ABI_ARCH_LONGS

#define ABI(name) compat_##name
#define ABI_U64 u64_compat
#define ABI_LONG uint32_t
#define ABI_PORT_WORDS 32
#define ABI_ARCH_LONGS 6
#include "xen-abi.h"
#undef ABI

struct row {
    const char *name;
    uint32_t offset;
    uint32_t size;
};

#define STRUCT(name) { #name, 0, sizeof(struct ABI(name)) },
#define MEMBER(name, field) \
    { #name "." #field, offsetof(struct ABI(name), field), sizeof(((struct ABI(name) *)0)->field) },

#define ABI(name) x64_##name
static const struct row x64_rows[] = {
#include "xen-abi-rows.h"
};
#undef ABI

#define ABI(name) compat_##name
static const struct row compat_rows[] = {
#include "xen-abi-rows.h"
};
#undef ABI

#define ROWS (sizeof x64_rows / sizeof x64_rows[0])
_Static_assert(ROWS == sizeof compat_rows / sizeof compat_rows[0], "both tables have the same rows");

static const struct row *row_at(uint32_t abi, uint32_t index)
{
    if (abi > PQ_ABI_COMPAT || index >= ROWS)
        return NULL;
    return abi == PQ_ABI_X86_64 ? &x64_rows[index] : &compat_rows[index];
}

static const struct row *row_named(uint32_t abi, const char *name)
{
    for (uint32_t i = 0; i < ROWS; i++)
        if (strcmp(row_at(abi, i)->name, name) == 0)
            return row_at(abi, i);
    return NULL;
}

int32_t pq_abi_rows(uint32_t abi)
{
    return abi > PQ_ABI_COMPAT ? PQ_EARGUMENT : (int32_t)ROWS;
}

int32_t pq_abi_row(uint32_t abi, uint32_t index, char *name, uint32_t capacity, uint32_t out[2])
{
    const struct row *row = row_at(abi, index);

    if (row == NULL || name == NULL || out == NULL || strlen(row->name) >= capacity)
        return PQ_EARGUMENT;
    memcpy(name, row->name, strlen(row->name) + 1);
    out[0] = row->offset;
    out[1] = row->size;
    return 0;
}

int32_t pq_abi_sizeof(uint32_t abi, const char *name)
{
    if (abi > PQ_ABI_COMPAT || name == NULL || strchr(name, '.') != NULL)
        return PQ_EARGUMENT;
    const struct row *row = row_named(abi, name);
    return row != NULL ? (int32_t)row->size : -XEN_ENOENT;
}

int32_t pq_abi_offsetof(uint32_t abi, const char *path)
{
    if (abi > PQ_ABI_COMPAT || path == NULL || strchr(path, '.') == NULL)
        return PQ_EARGUMENT;
    const struct row *row = row_named(abi, path);
    return row != NULL ? (int32_t)row->offset : -XEN_ENOENT;
}
