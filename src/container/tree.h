/* Content tree: RFC 9162 shape, built leaf by leaf in order with one pending node a level. */
#ifndef PQC_CONTAINER_TREE_H
#define PQC_CONTAINER_TREE_H

#include "crypto/kdf.h"

#define TREE_LEVELS 64

/* Plain data; copy it to keep a state, zero-initialise `n` by tree_init. */
struct tree {
	const struct suite *suite;
	uint64_t n; /* leaves so far */
	uint8_t node[TREE_LEVELS][HASH_MAX];
};

void tree_init(struct tree *t, const struct suite *s);
/* Add the next leaf hash (suite->hash_len bytes). */
int tree_add(struct tree *t, const uint8_t *leaf) MUST_CHECK;
/* Root over the leaves so far, n >= 1; t is unchanged. */
int tree_root(const struct tree *t, uint8_t *root) MUST_CHECK;

#endif
