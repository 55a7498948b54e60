/*
 * Accesses to MSI-X tables in straightforward C: devices with a window of entries in a BAR, any width inside a quadword.
 * A baseline of benches/registers.ts, compiled for this machine and as WebAssembly: no library, all memory static.
 */
#include <stdint.h>

/* A device model is not in the file of what drives it: that calls it. */
#define CALLED __attribute__((noinline))

enum { DEVICES = 64, VECTORS = 129, TABLE_BAR = 0, TABLE_AT = 0x2000, PBA_AT = 0x3000, BAR_BYTES = 0x4000 };

struct device {
    uint32_t bar_bytes[6];
    uint32_t table_bar, table_at, table_bytes;
    uint32_t pba_bar, pba_at, pba_bytes;
    uint32_t open; /* enabled and not masked as a whole */
    uint32_t words[4 * VECTORS];
    uint32_t pending[2 * ((VECTORS + 63) / 64)];
    uint32_t route[VECTORS]; /* where a vector's message goes, 0 unknown */
};

static struct device device[DEVICES];
static uint32_t messages; /* that left */

static const uint32_t writable[4] = { ~3u, ~0u, ~0u, 1 };

void bench_setup(void)
{
    for (uint32_t d = 0; d < DEVICES; d++) {
        device[d].bar_bytes[TABLE_BAR] = BAR_BYTES;
        device[d].table_bar = device[d].pba_bar = TABLE_BAR;
        device[d].table_at = TABLE_AT;
        device[d].table_bytes = 16 * VECTORS;
        device[d].pba_at = PBA_AT;
        device[d].pba_bytes = sizeof device[d].pending;
        device[d].open = 1;
        for (uint32_t v = 0; v < VECTORS; v++) {
            device[d].words[4 * v] = 0xfee00000u;
            device[d].words[4 * v + 2] = d * VECTORS + v;
            device[d].words[4 * v + 3] = 1;
        }
    }
}

static uint64_t ones(uint32_t width)
{
    return width == 8 ? ~0ull : (1ull << (8 * width)) - 1;
}

/* `offset` is below the size of the window; what lies beyond it reads 0. */
static uint64_t read_words(const uint32_t *words, uint32_t count, uint32_t offset, uint32_t width)
{
    uint32_t at = offset >> 2, shift = 8 * (offset & 3);
    uint64_t value = words[at];

    if (shift + 8 * width > 32 && at + 1 < count)
        value |= (uint64_t)words[at + 1] << 32;
    value >>= shift;
    if (shift + 8 * width > 64 && at + 2 < count)
        value |= (uint64_t)words[at + 2] << (64 - shift);
    return value & ones(width);
}

static CALLED uint64_t read_bar(struct device *d, uint32_t bar, uint32_t offset, uint32_t width)
{
    if (offset + width > d->bar_bytes[bar])
        return ones(width);
    if (bar == d->table_bar && offset - d->table_at < d->table_bytes)
        return read_words(d->words, 4 * VECTORS, offset - d->table_at, width);
    if (bar == d->pba_bar && offset - d->pba_at < d->pba_bytes)
        return read_words(d->pending, d->pba_bytes / 4, offset - d->pba_at, width);
    return 0;
}

static void write_word(struct device *d, uint32_t at, uint32_t mask, uint32_t value)
{
    uint32_t old = d->words[at], vector = at >> 2, bit = 1u << (vector & 31);

    mask &= writable[at & 3];
    d->words[at] = (old & ~mask) | (value & mask);
    d->route[vector] = 0;
    if ((at & 3) != 3 || (old & 1) == 0 || (d->words[at] & 1) != 0 || !d->open)
        return;
    if ((d->pending[vector >> 5] & bit) == 0)
        return;
    d->pending[vector >> 5] &= ~bit;
    messages++;
}

/* Up to 4 bytes. */
static CALLED void write_bar(struct device *d, uint32_t bar, uint32_t offset, uint32_t width, uint32_t value)
{
    uint32_t at, shift;

    if (offset + width > d->bar_bytes[bar] || bar != d->table_bar || offset - d->table_at >= d->table_bytes)
        return;
    offset -= d->table_at;
    at = offset >> 2;
    shift = 8 * (offset & 3);
    write_word(d, at, (uint32_t)ones(width) << shift, value << shift);
    if (shift + 8 * width > 32 && at + 1 < 4 * VECTORS)
        write_word(d, at + 1, (uint32_t)(ones(width) >> (32 - shift)), value >> (32 - shift));
}

/* One access from outside, for a caller that makes them one by one; of 8 bytes, low and high word summed. */
uint32_t bench_read(uint32_t d, uint32_t offset, uint32_t width)
{
    uint64_t value = read_bar(&device[d], TABLE_BAR, TABLE_AT + offset, width);

    return (uint32_t)value + (uint32_t)(value >> 32);
}

/* Each entry of each device in turn: what is at byte `within` of it. */
uint32_t bench_reads(uint32_t count, uint32_t within, uint32_t width)
{
    uint32_t sum = 0, d = 0, vector = 0;

    for (uint32_t n = 0; n < count; n++) {
        uint64_t value = read_bar(&device[d], TABLE_BAR, TABLE_AT + 16 * vector + within, width);

        sum += (uint32_t)value + (uint32_t)(value >> 32);
        if (++vector < VECTORS)
            continue;
        vector = 0;
        d = (d + 1) % DEVICES;
    }
    return sum;
}

/* Writes the data of each entry in turn; the last entry's. */
uint32_t bench_writes(uint32_t count, uint32_t width)
{
    uint32_t d = 0, vector = 0;

    for (uint32_t n = 0; n < count; n++) {
        write_bar(&device[d], TABLE_BAR, TABLE_AT + 16 * vector + 8, width, n);
        if (++vector < VECTORS)
            continue;
        vector = 0;
        d = (d + 1) % DEVICES;
    }
    return device[DEVICES - 1].words[4 * (VECTORS - 1) + 2] + device[0].words[2];
}
