/*
 * A small NVMe driver: identifies the controller, writes a block and reads it back, all by DMA to our own memory.
 *
 *     pirqlab serve --device nvme:queues=4,size=1M --socket /tmp/nvme.sock &
 *     cc -std=c99 -D_POSIX_C_SOURCE=200809L -I native/include examples/c/nvme-read.c -o nvme-read
 *     ./nvme-read /tmp/nvme.sock
 */
#include <stdio.h>
#include <stdlib.h>

#define PIRQLAB_IMPLEMENTATION
#include "pirqlab.h"

#define NVME PQ_BDF(0, 4, 0)
#define ENTRIES 8

enum { ADMIN_SQ = 0x0000, ADMIN_CQ = 0x1000, IO_SQ = 0x2000, IO_CQ = 0x3000, DATA = 0x4000, MEMORY_BYTES = 0x6000 };

struct queue {
    unsigned number, sq, cq, tail, head, phase;
};

/* Host memory, at address 0 as the device sees it. */
static uint8_t memory[MEMORY_BYTES];
static struct pq_connection pq;

static void check(int error, const char *what)
{
    if (!error) return;
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

static int on_dma_read(void *context, uint32_t function, uint64_t address, void *into, size_t length)
{
    (void)context;
    (void)function;
    if (address > MEMORY_BYTES || length > MEMORY_BYTES - address) return EFAULT;
    memcpy(into, memory + address, length);
    return 0;
}

static void on_dma_write(void *context, uint32_t function, uint64_t address, const void *from, size_t length)
{
    (void)context;
    (void)function;
    if (address <= MEMORY_BYTES && length <= MEMORY_BYTES - address) memcpy(memory + address, from, length);
}

static void put(uint64_t offset, int width, uint64_t value)
{
    check(pq_write(&pq, NVME, PQ_BAR0, offset, width, value), "write");
}

static void store(unsigned at, uint32_t value)
{
    int i;
    for (i = 0; i < 4; i++) memory[at + (unsigned)i] = (uint8_t)(value >> (8 * i));
}

static uint32_t load(unsigned at)
{
    return memory[at] | (uint32_t)memory[at + 1] << 8 | (uint32_t)memory[at + 2] << 16 | (uint32_t)memory[at + 3] << 24;
}

/* Submits a command and returns its completion's first dword. */
static uint32_t run(struct queue *q, uint32_t opcode, uint32_t nsid, uint32_t prp, uint32_t cdw10, uint32_t cdw11)
{
    unsigned sqe = q->sq + 64 * q->tail, cqe = q->cq + 16 * q->head;
    uint32_t status;
    memset(memory + sqe, 0, 64);
    store(sqe, opcode);
    store(sqe + 4, nsid);
    store(sqe + 24, prp);
    store(sqe + 40, cdw10);
    store(sqe + 44, cdw11);
    q->tail = (q->tail + 1) % ENTRIES;
    put(0x1000 + 8 * q->number, 4, q->tail);
    status = load(cqe + 12) >> 16;
    if ((status & 1) != q->phase || status >> 1) {
        fprintf(stderr, "command 0x%x: status word 0x%x\n", (unsigned)opcode, (unsigned)status);
        exit(1);
    }
    q->head = (q->head + 1) % ENTRIES;
    if (q->head == 0) q->phase ^= 1;
    put(0x1004 + 8 * q->number, 4, q->head);
    return load(cqe);
}

int main(int argc, char **argv)
{
    struct pq_handlers handlers = {NULL, NULL, NULL, on_dma_read, on_dma_write};
    struct queue admin = {0, ADMIN_SQ, ADMIN_CQ, 0, 0, 1}, io = {1, IO_SQ, IO_CQ, 0, 0, 1};
    const uint32_t size = (ENTRIES - 1) << 16 | 1;
    uint64_t csts;
    uint32_t pairs;
    int length, i;

    if (argc != 2) {
        fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
        return 2;
    }
    check(pq_connect(&pq, argv[1], &handlers), argv[1]);
    check(pq_reset(&pq, NVME, PQ_RESET_CONVENTIONAL), "reset");
    check(pq_write(&pq, NVME, PQ_CONFIG, 0x04, 2, 0x0406), "command"); /* memory, bus master, no INTx */
    put(0x24, 4, (ENTRIES - 1) * UINT64_C(0x10001));
    put(0x28, 8, ADMIN_SQ);
    put(0x30, 8, ADMIN_CQ);
    put(0x14, 4, 0x00460001);
    check(pq_read(&pq, NVME, PQ_BAR0, 0x1c, 4, &csts), "status");
    if (!(csts & 1)) {
        fprintf(stderr, "the controller is not ready\n");
        return 1;
    }
    run(&admin, 0x06, 0, DATA, 1, 0);
    for (length = 40; length > 0 && memory[DATA + 24 + length - 1] == ' '; length--) continue;
    printf("00:04.0: %.*s", length, (const char *)memory + DATA + 24);
    pairs = (run(&admin, 0x09, 0, 0, 7, 0xfffefffe) & 0xffff) + 1;
    printf(", %u queue pairs\n", (unsigned)pairs);
    run(&admin, 0x05, 0, IO_CQ, size, 1);
    run(&admin, 0x01, 0, IO_SQ, size, 1 << 16 | 1);
    for (i = 0; i < 512; i++) memory[DATA + i] = (uint8_t)i;
    run(&io, 0x01, 1, DATA, 7, 0);
    memset(memory + DATA, 0, 512);
    run(&io, 0x02, 1, DATA, 7, 0);
    for (i = 0; i < 512; i++)
        if (memory[DATA + i] != (uint8_t)i) {
            fprintf(stderr, "read back something else\n");
            return 1;
        }
    printf("read back what was written\n");
    pq_close(&pq);
    return 0;
}
