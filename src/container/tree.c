#include "container/tree.h"

#include <string.h>

/* out = H(01 | left | right); out may be one of them. */
static int join(const struct suite *s, const uint8_t *left, const uint8_t *right, uint8_t *out)
{
	static const uint8_t inner = 0x01;
	const struct span in[] = {{&inner, 1}, {left, s->hash_len}, {right, s->hash_len}};

	return tree_hash(s, in, 3, out);
}

void tree_init(struct tree *t, const struct suite *s)
{
	memset(t, 0, sizeof(*t));
	t->suite = s;
}

/* node[l] is the root of a finished subtree of 2^l leaves where bit l of n is set. */
int tree_add(struct tree *t, const uint8_t *leaf)
{
	uint8_t acc[HASH_MAX];
	unsigned l;
	int r;

	if (t->n == UINT64_MAX)
		return PQC_ETOOBIG;
	memcpy(acc, leaf, t->suite->hash_len);
	for (l = 0; (t->n >> l & 1) != 0; l++) {
		if ((r = join(t->suite, t->node[l], acc, acc)) != 0)
			return r;
	}
	memcpy(t->node[l], acc, t->suite->hash_len);
	t->n++;
	return 0;
}

/*
 * RFC 9162 section 2.1.1 splits at the largest power of two below the number
 * of leaves: the finished subtrees, largest leftmost, joined from the right.
 */
int tree_root(const struct tree *t, uint8_t *root)
{
	uint8_t acc[HASH_MAX];
	unsigned l = 0;
	int r;

	if (t->n == 0)
		return PQC_EUSAGE;
	while ((t->n >> l & 1) == 0)
		l++;
	memcpy(acc, t->node[l], t->suite->hash_len);
	for (l++; l < TREE_LEVELS; l++) {
		if ((t->n >> l & 1) == 0)
			continue;
		if ((r = join(t->suite, t->node[l], acc, acc)) != 0)
			return r;
	}
	memcpy(root, acc, t->suite->hash_len);
	return 0;
}
