/*
 * pirqlab.h - drive pirqlab's fake PCI devices from C.
 *
 * One file, no dependencies but POSIX. In one source file of the program:
 *
 *     #define PIRQLAB_IMPLEMENTATION
 *     #include "pirqlab.h"
 *
 * The server is `pirqlab serve --device nvme --socket PATH`; docs/access-records.md has the protocol. Calls return 0 or
 * an errno: one of the device's answer (EINVAL: no such region or width; ENODEV: nobody at that address), or of the
 * connection (EPIPE: it is gone). Functions are segment << 16 | bus << 8 | device << 3 | function, see PQ_BDF. A
 * connection belongs to one thread.
 */
#ifndef PIRQLAB_H
#define PIRQLAB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PQ_RECORD_BYTES 24
#define PQ_MAX_DATA 65536
#define PQ_ANSWER 0x80
#define PQ_BDF(bus, device, function) (((uint32_t)(bus) << 8) | ((uint32_t)(device) << 3) | (uint32_t)(function))

enum pq_kind {
    PQ_READ, PQ_WRITE, PQ_RESET, PQ_MESSAGE, PQ_INTX, PQ_RAISE, PQ_HYPERCALL, PQ_DMA_READ, PQ_DMA_WRITE
};

/* Regions as VFIO numbers them: 0 to 5 are BARs. */
enum pq_region { PQ_BAR0 = 0, PQ_ROM = 6, PQ_CONFIG = 7, PQ_NONE = 0xff };

enum pq_reset { PQ_RESET_CONVENTIONAL = 0, PQ_RESET_FLR = 1 };

struct pq_record {
    uint8_t kind, region, width, status;
    uint32_t function;
    uint64_t offset, value;
};

/* What a device does while an access is carried out. All may be null; without memory its reads fail. */
struct pq_handlers {
    void *context;
    void (*message)(void *context, uint32_t function, uint64_t address, uint32_t data);
    /* pin 1 to 4 is INTA to INTD */
    void (*intx)(void *context, uint32_t function, int pin, int level);
    /* returns 0, or an errno if there is no such memory */
    int (*dma_read)(void *context, uint32_t function, uint64_t address, void *into, size_t length);
    void (*dma_write)(void *context, uint32_t function, uint64_t address, const void *from, size_t length);
};

struct pq_connection {
    int in, out;
    struct pq_handlers handlers;
    uint8_t data[PQ_MAX_DATA + PQ_RECORD_BYTES];
};

/* Connects to the server's socket. */
int pq_connect(struct pq_connection *pq, const char *path, const struct pq_handlers *handlers);
/* Talks over descriptors that are open already, such as pipes to `pirqlab serve --socket -`. */
void pq_attach(struct pq_connection *pq, int in, int out, const struct pq_handlers *handlers);
void pq_close(struct pq_connection *pq);

/* width: 1, 2, 4 or 8 bytes; 8 is two accesses of 4, low first */
int pq_read(struct pq_connection *pq, uint32_t function, int region, uint64_t offset, int width, uint64_t *value);
int pq_write(struct pq_connection *pq, uint32_t function, int region, uint64_t offset, int width, uint64_t value);
int pq_reset(struct pq_connection *pq, uint32_t function, enum pq_reset kind);
/* The device signals a vector, or its interrupt condition ends (INTx falls). */
int pq_raise(struct pq_connection *pq, uint32_t function, unsigned vector);
int pq_lower(struct pq_connection *pq, uint32_t function);

/* Finds a capability in configuration space; offset 0 if there is none. */
int pq_find_capability(struct pq_connection *pq, uint32_t function, int id, uint64_t *offset);

#ifdef __cplusplus
}
#endif
#endif /* PIRQLAB_H */

#ifdef PIRQLAB_IMPLEMENTATION
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

static void pq_put(uint8_t *at, uint64_t value, int bytes)
{
    int i;
    for (i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t pq_get(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    int i;
    for (i = 0; i < bytes; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static int pq_send_all(struct pq_connection *pq, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t done = send(pq->out, bytes, length, MSG_NOSIGNAL);
        if (done < 0 && errno == ENOTSOCK) done = write(pq->out, bytes, length);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return errno;
        bytes += done;
        length -= (size_t)done;
    }
    return 0;
}

static int pq_receive_all(struct pq_connection *pq, uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t done = read(pq->in, bytes, length);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return errno;
        if (done == 0) return EPIPE;
        bytes += done;
        length -= (size_t)done;
    }
    return 0;
}

static int pq_send_record(struct pq_connection *pq, const struct pq_record *record)
{
    uint8_t bytes[PQ_RECORD_BYTES];
    bytes[0] = record->kind;
    bytes[1] = record->region;
    bytes[2] = record->width;
    bytes[3] = record->status;
    pq_put(bytes + 4, record->function, 4);
    pq_put(bytes + 8, record->offset, 8);
    pq_put(bytes + 16, record->value, 8);
    return pq_send_all(pq, bytes, sizeof bytes);
}

static size_t pq_padded(size_t length)
{
    return (length + PQ_RECORD_BYTES - 1) / PQ_RECORD_BYTES * PQ_RECORD_BYTES;
}

/* Receives a record; its data, if it has any, goes to pq->data. */
static int pq_receive_record(struct pq_connection *pq, struct pq_record *record)
{
    uint8_t bytes[PQ_RECORD_BYTES];
    int error = pq_receive_all(pq, bytes, sizeof bytes);
    if (error) return error;
    record->kind = bytes[0];
    record->region = bytes[1];
    record->width = bytes[2];
    record->status = bytes[3];
    record->function = (uint32_t)pq_get(bytes + 4, 4);
    record->offset = pq_get(bytes + 8, 8);
    record->value = pq_get(bytes + 16, 8);
    if (record->kind != PQ_DMA_WRITE) return 0;
    if (record->value > PQ_MAX_DATA) return EPROTO;
    return pq_receive_all(pq, pq->data, pq_padded((size_t)record->value));
}

static int pq_answer_read(struct pq_connection *pq, struct pq_record *record)
{
    const struct pq_handlers *h = &pq->handlers;
    size_t length = (size_t)record->value;
    int error;
    if (record->value > PQ_MAX_DATA) return EPROTO;
    error = h->dma_read ? h->dma_read(h->context, record->function, record->offset, pq->data, length) : EIO;
    if (error) length = 0;
    memset(pq->data + length, 0, pq_padded(length) - length);
    record->kind = PQ_DMA_READ | PQ_ANSWER;
    record->status = error ? EIO : 0;
    record->value = length;
    error = pq_send_record(pq, record);
    return error ? error : pq_send_all(pq, pq->data, pq_padded(length));
}

/* Sends a request, serves what the device does meanwhile, and takes the answer. */
static int pq_request(struct pq_connection *pq, struct pq_record *record)
{
    const struct pq_handlers *h = &pq->handlers;
    uint8_t wanted = (uint8_t)(record->kind | PQ_ANSWER);
    int error = pq_send_record(pq, record);
    while (!error) {
        error = pq_receive_record(pq, record);
        if (error) break;
        if (record->kind == wanted) return record->status;
        if (record->kind == PQ_MESSAGE) {
            if (h->message) h->message(h->context, record->function, record->offset, (uint32_t)record->value);
        } else if (record->kind == PQ_INTX) {
            if (h->intx) h->intx(h->context, record->function, (int)record->offset, (int)record->value);
        } else if (record->kind == PQ_DMA_WRITE) {
            if (h->dma_write)
                h->dma_write(h->context, record->function, record->offset, pq->data, (size_t)record->value);
        } else if (record->kind == PQ_DMA_READ) {
            error = pq_answer_read(pq, record);
        } else {
            error = EPROTO;
        }
    }
    return error;
}

void pq_attach(struct pq_connection *pq, int in, int out, const struct pq_handlers *handlers)
{
    memset(&pq->handlers, 0, sizeof pq->handlers);
    if (handlers) pq->handlers = *handlers;
    pq->in = in;
    pq->out = out;
}

int pq_connect(struct pq_connection *pq, const char *path, const struct pq_handlers *handlers)
{
    struct sockaddr_un address;
    int fd;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address.sun_path) return ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return error;
    }
    pq_attach(pq, fd, fd, handlers);
    return 0;
}

void pq_close(struct pq_connection *pq)
{
    close(pq->in);
    if (pq->out != pq->in) close(pq->out);
    pq->in = pq->out = -1;
}

static int pq_access(struct pq_connection *pq, struct pq_record record, uint64_t *value)
{
    int error = pq_request(pq, &record);
    if (!error && value) *value = record.value;
    return error;
}

int pq_read(struct pq_connection *pq, uint32_t function, int region, uint64_t offset, int width, uint64_t *value)
{
    struct pq_record record = {PQ_READ, (uint8_t)region, (uint8_t)width, 0, function, offset, 0};
    return pq_access(pq, record, value);
}

int pq_write(struct pq_connection *pq, uint32_t function, int region, uint64_t offset, int width, uint64_t value)
{
    struct pq_record record = {PQ_WRITE, (uint8_t)region, (uint8_t)width, 0, function, offset, value};
    return pq_access(pq, record, NULL);
}

int pq_reset(struct pq_connection *pq, uint32_t function, enum pq_reset kind)
{
    struct pq_record record = {PQ_RESET, PQ_NONE, PQ_NONE, 0, function, 0, (uint64_t)kind};
    return pq_access(pq, record, NULL);
}

int pq_raise(struct pq_connection *pq, uint32_t function, unsigned vector)
{
    struct pq_record record = {PQ_RAISE, PQ_NONE, PQ_NONE, 0, function, vector, 0};
    return pq_access(pq, record, NULL);
}

int pq_lower(struct pq_connection *pq, uint32_t function)
{
    struct pq_record record = {PQ_RAISE, PQ_NONE, PQ_NONE, 0, function, 0, 1};
    return pq_access(pq, record, NULL);
}

int pq_find_capability(struct pq_connection *pq, uint32_t function, int id, uint64_t *offset)
{
    uint64_t status, at, header;
    int left;
    int error = pq_read(pq, function, PQ_CONFIG, 0x06, 2, &status);
    *offset = 0;
    if (error || !(status & 0x10)) return error;
    error = pq_read(pq, function, PQ_CONFIG, 0x34, 1, &at);
    for (left = 48; !error && left > 0 && (at & 0xfc) != 0; left--) {
        at &= 0xfc;
        error = pq_read(pq, function, PQ_CONFIG, at, 2, &header);
        if (error) break;
        if ((int)(header & 0xff) == id) {
            *offset = at;
            break;
        }
        at = header >> 8;
    }
    return error;
}
#endif /* PIRQLAB_IMPLEMENTATION */
