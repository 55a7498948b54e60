/*
 * Finds the functions of bus 0, enables MSI-X on the first that has it, fires vector 1 and prints the message.
 *
 *     pirqlab serve --device nvme:queues=4 --socket /tmp/nvme.sock &
 *     cc -std=c99 -D_POSIX_C_SOURCE=200809L -I native/include examples/c/fire-vector.c -o fire-vector
 *     ./fire-vector /tmp/nvme.sock
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PIRQLAB_IMPLEMENTATION
#include "pirqlab.h"

static struct pq_connection pq;

static void check(int error, const char *what)
{
    if (!error) return;
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

static uint64_t get(uint32_t function, int region, uint64_t offset, int width)
{
    uint64_t value;
    check(pq_read(&pq, function, region, offset, width, &value), "read");
    return value;
}

static void put(uint32_t function, int region, uint64_t offset, int width, uint64_t value)
{
    check(pq_write(&pq, function, region, offset, width, value), "write");
}

static void on_message(void *seen, uint32_t function, uint64_t address, uint32_t data)
{
    printf("message from 00:%02x.%x: address 0x%" PRIx64 " data 0x%" PRIx32 "\n", (function >> 3) & 31, function & 7,
           address, data);
    ++*(int *)seen;
}

int main(int argc, char **argv)
{
    int seen = 0;
    struct pq_handlers handlers = {&seen, on_message, NULL, NULL, NULL};
    uint32_t device, chosen = 0;
    uint64_t cap = 0, table;
    int bar;

    if (argc != 2) {
        fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
        return 2;
    }
    check(pq_connect(&pq, argv[1], &handlers), argv[1]);
    for (device = 0; device < 32; device++) {
        uint32_t function = PQ_BDF(0, device, 0);
        uint64_t id = get(function, PQ_CONFIG, 0, 4);
        if (id == 0xffffffff) continue;
        printf("00:%02" PRIx32 ".0 is %04x:%04x\n", device, (unsigned)(id & 0xffff), (unsigned)(id >> 16));
        if (!cap) {
            check(pq_find_capability(&pq, function, 0x11, &cap), "capabilities");
            if (cap) chosen = function;
        }
    }
    if (!cap) {
        fprintf(stderr, "no function with MSI-X\n");
        return 1;
    }
    put(chosen, PQ_CONFIG, 0x04, 2, 0x0406); /* memory, bus master, no INTx */
    put(chosen, PQ_CONFIG, cap + 2, 2, 0x8000);
    table = get(chosen, PQ_CONFIG, cap + 4, 4);
    bar = (int)(table & 7);
    table = (table & ~UINT64_C(7)) + 16; /* the entry of vector 1 */
    put(chosen, bar, table, 8, 0xfee01000);
    put(chosen, bar, table + 8, 4, 0x4041);
    put(chosen, bar, table + 12, 4, 0);
    check(pq_raise(&pq, chosen, 1), "raise");
    pq_close(&pq);
    return seen == 1 ? 0 : 1;
}
