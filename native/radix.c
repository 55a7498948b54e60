#include "radix.h"

#include <stdbool.h>
#include <stdlib.h>

#define FANOUT (1u << RADIX_BITS)
#define MAX_HEIGHT 6 /* 36 bits cover a 32-bit key */

struct radix_node {
    void *slots[FANOUT]; /* nodes, in the lowest level items */
};

static bool covers(uint32_t height, uint32_t key)
{
    return height >= MAX_HEIGHT || key >> (RADIX_BITS * height) == 0;
}

static uint32_t slot_at(uint32_t key, uint32_t level)
{
    return key >> (RADIX_BITS * level) & (FANOUT - 1);
}

/* The address of the key's slot in the lowest level, or NULL. */
static void **find(const struct radix_tree *tree, uint32_t key)
{
    struct radix_node *node = tree->root;

    if (node == NULL || !covers(tree->height, key))
        return NULL;
    for (uint32_t level = tree->height - 1; level > 0; level--) {
        node = node->slots[slot_at(key, level)];
        if (node == NULL)
            return NULL;
    }
    return &node->slots[slot_at(key, 0)];
}

void *radix_lookup(const struct radix_tree *tree, uint32_t key)
{
    void **slot = find(tree, key);

    return slot != NULL ? *slot : NULL;
}

int radix_insert(struct radix_tree *tree, uint32_t key, void *item)
{
    while (tree->root == NULL || !covers(tree->height, key)) {
        struct radix_node *above = calloc(1, sizeof *above);
        if (above == NULL)
            return -1;
        above->slots[0] = tree->root; /* what there was has zeros in the new upper bits */
        tree->root = above;
        tree->height++;
    }

    struct radix_node *node = tree->root;
    for (uint32_t level = tree->height - 1; level > 0; level--) {
        void **slot = &node->slots[slot_at(key, level)];
        if (*slot == NULL && (*slot = calloc(1, sizeof *node)) == NULL)
            return -1;
        node = *slot;
    }
    node->slots[slot_at(key, 0)] = item;
    return 0;
}

void *radix_remove(struct radix_tree *tree, uint32_t key)
{
    void **slot = find(tree, key);
    void *item = slot != NULL ? *slot : NULL;

    if (item != NULL)
        *slot = NULL;
    return item;
}

static void clear_below(struct radix_node *node, uint32_t level, void (*free_item)(void *item))
{
    for (uint32_t i = 0; i < FANOUT; i++) {
        if (node->slots[i] == NULL)
            continue;
        if (level > 0)
            clear_below(node->slots[i], level - 1, free_item);
        else
            free_item(node->slots[i]);
    }
    free(node);
}

void radix_clear(struct radix_tree *tree, void (*free_item)(void *item))
{
    if (tree->root != NULL)
        clear_below(tree->root, tree->height - 1, free_item);
    tree->root = NULL;
    tree->height = 0;
}
