/*
 * Configuration accesses in straightforward C: the address latch, a bus found by its bridges' numbers, functions of a bus
 * in an array by device and function, a flag for each dword with side effects. A baseline of benches/registers.ts.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A device model is not in the file of what drives it: that calls it. */
#define CALLED __attribute__((noinline))

struct function {
    uint32_t size; /* 256 or 4096 */
    uint8_t config[4096];
    uint8_t read_hooks[1024]; /* not 0: a read of this dword has to be prepared */
};

struct bus {
    int extended; /* extended configuration space gets here */
    struct function *functions[256];
    struct {
        struct function *bridge;
        struct bus *bus;
    } below[32];
    uint32_t below_count;
};

static struct function drive = { .size = 4096 };
static struct bus root = { .extended = 1 };
static uint32_t latch;

void bench_setup(uint32_t devfn)
{
    root.functions[devfn] = &drive;
}

void bench_set(uint32_t at, uint32_t value)
{
    memcpy(drive.config + at, &value, 4);
}

static struct bus *find_bus(struct bus *from, uint32_t number)
{
    if (number == 0)
        return from;
    for (uint32_t i = 0; i < from->below_count; i++) {
        const uint8_t *config = from->below[i].bridge->config;

        if (config[0x19] == 0 || number < config[0x19] || number > config[0x1a])
            continue;
        return number == config[0x19] ? from->below[i].bus : find_bus(from->below[i].bus, number);
    }
    return NULL;
}

static uint32_t ones(uint32_t width)
{
    return width == 4 ? 0xffffffffu : (1u << (8 * width)) - 1;
}

/* Registers of which a read changes something first; this drive has none. */
static CALLED void before_read(struct function *f, uint32_t offset)
{
    f->config[offset] ^= 1;
}

static CALLED uint32_t read_config(uint32_t bus_number, uint32_t devfn, uint32_t offset, uint32_t width, uint32_t limit)
{
    struct bus *bus = find_bus(&root, bus_number);
    struct function *f = bus == NULL ? NULL : bus->functions[devfn];
    uint32_t value = 0, size;

    if (f == NULL)
        return ones(width);
    size = bus->extended && limit > 256 ? f->size : 256;
    if (offset >= size)
        return ones(width);
    if (offset + width > size)
        width = size - offset;
    if (f->read_hooks[offset >> 2] != 0)
        before_read(f, offset);
    switch (width) {
    case 4:
        memcpy(&value, f->config + offset, 4);
        return value;
    case 2:
        memcpy(&value, f->config + offset, 2);
        return value;
    default:
        for (uint32_t i = 0; i < width; i++)
            value |= (uint32_t)f->config[offset + i] << (8 * i);
        return value;
    }
}

static CALLED void write_port(uint32_t port, uint32_t width, uint32_t value)
{
    if (port == 0xcf8 && width == 4)
        latch = value & 0x80fffffcu;
}

static CALLED uint32_t read_port(uint32_t port, uint32_t width)
{
    if (port < 0xcfc)
        return port == 0xcf8 && width == 4 ? latch : ones(width);
    if ((latch & 0x80000000u) == 0)
        return ones(width);
    return read_config(latch >> 16 & 0xff, latch >> 8 & 0xff, (latch & 0xfc) | (port & 3), width, 256);
}

static CALLED uint32_t read_ecam(uint32_t address, uint32_t width)
{
    return read_config(address >> 20 & 0xff, address >> 12 & 0xff, address & 0xfff, width, 4096);
}

uint32_t bench_pair(uint32_t devfn, uint32_t count)
{
    uint32_t sum = 0;

    for (uint32_t n = 0; n < count; n++) {
        write_port(0xcf8, 4, 0x80000000u | devfn << 8 | (n & 15) << 2);
        sum += read_port(0xcfc, 4);
    }
    return sum;
}

uint32_t bench_ecam(uint32_t devfn, uint32_t count)
{
    uint32_t sum = 0;

    for (uint32_t n = 0; n < count; n++)
        sum += read_ecam(devfn << 12 | (n & 15) << 2, 4);
    return sum;
}
