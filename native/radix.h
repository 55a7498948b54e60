/* A sparse map from a 32-bit key to a pointer: the radix tree in which a hypervisor keeps a domain's pirq records. */
#ifndef PIRQLAB_RADIX_H
#define PIRQLAB_RADIX_H

#include <stdint.h>

#define RADIX_BITS 6

struct radix_node;

struct radix_tree {
    struct radix_node *root;
    uint32_t height; /* levels below root; 0 = empty */
};

/* NULL if absent. */
void *radix_lookup(const struct radix_tree *tree, uint32_t key);
/* 0, or -1 without memory; the key must be absent and `item` not NULL. */
int radix_insert(struct radix_tree *tree, uint32_t key, void *item);
/* Takes the item out and answers it, or NULL. Nodes stay until radix_clear. */
void *radix_remove(struct radix_tree *tree, uint32_t key);
/* Frees all nodes, and every item with `free_item`. */
void radix_clear(struct radix_tree *tree, void (*free_item)(void *item));

#endif
