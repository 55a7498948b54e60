/* Handles instead of pointers across the border: kind, generation and slot, so that a stale one is recognised. */
#ifndef PIRQLAB_HANDLES_H
#define PIRQLAB_HANDLES_H

#include <stdint.h>

enum pq_kind { PQ_KIND_SPACE = 1, PQ_KIND_MSIX = 2 };

/* Answers a handle > 0, or PQ_EMEMORY if all slots are taken. */
int32_t pq_handle_open(enum pq_kind kind, void *object);
/* The object, or NULL. */
void *pq_handle_get(enum pq_kind kind, int32_t handle);
/* Ends the handle and answers its object, or NULL. */
void *pq_handle_close(enum pq_kind kind, int32_t handle);

#endif
