#include "handles.h"

#include <stddef.h>

#include "pirqlab-native.h"

/* handle: kind 30:28, generation 27:10, slot 9:0 */
#define SLOTS 1024
#define GENERATIONS (1 << 18)

static struct {
    void *object;
    uint32_t generation;
    enum pq_kind kind;
} slots[SLOTS];
static int32_t live;

static int32_t encode(uint32_t slot)
{
    return (int32_t)((uint32_t)slots[slot].kind << 28 | slots[slot].generation << 10 | slot);
}

int32_t pq_handle_open(enum pq_kind kind, void *object)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (slots[slot].object != NULL)
            continue;
        slots[slot].object = object;
        slots[slot].kind = kind;
        slots[slot].generation = (slots[slot].generation + 1) % GENERATIONS;
        live++;
        return encode(slot);
    }
    return PQ_EMEMORY;
}

void *pq_handle_get(enum pq_kind kind, int32_t handle)
{
    uint32_t slot = (uint32_t)handle % SLOTS;

    if (handle <= 0 || slots[slot].object == NULL || slots[slot].kind != kind || encode(slot) != handle)
        return NULL;
    return slots[slot].object;
}

void *pq_handle_close(enum pq_kind kind, int32_t handle)
{
    void *object = pq_handle_get(kind, handle);

    if (object != NULL) {
        slots[(uint32_t)handle % SLOTS].object = NULL;
        live--;
    }
    return object;
}

int32_t pq_live_objects(void)
{
    return live;
}

int32_t pq_interface(void)
{
    return PQ_INTERFACE;
}
