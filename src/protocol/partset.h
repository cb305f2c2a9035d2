/* A set of part numbers as sorted, disjoint, non-adjacent ranges; at most PARTSET_MAX of them. */
#ifndef PQC_PROTOCOL_PARTSET_H
#define PQC_PROTOCOL_PARTSET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define PARTSET_MAX 4096

struct partrange {
	uint64_t first, count;
};
struct partset {
	struct partrange *r; /* owned */
	size_t n, cap;
};

#define PARTSET_INIT       \
	{                  \
		NULL, 0, 0 \
	}

void partset_free(struct partset *s);
void partset_clear(struct partset *s);
/*
 * Add [first, first+count); first+count is at most 2^64-1. PQC_ETOOBIG past
 * that or past PARTSET_MAX ranges; the set is then unchanged.
 */
int partset_add(struct partset *s, uint64_t first, uint64_t count) MUST_CHECK;
bool partset_has(const struct partset *s, uint64_t part);
/* All of [first, first+count)? True when count is 0. */
bool partset_covers(const struct partset *s, uint64_t first, uint64_t count);
/* Lowest part >= from that is not in the set. */
uint64_t partset_next_missing(const struct partset *s, uint64_t from);
/* How many parts it holds. */
uint64_t partset_count(const struct partset *s);
int partset_copy(struct partset *to, const struct partset *from) MUST_CHECK;
/* to = [0, n) minus s. */
int partset_complement(const struct partset *s, uint64_t n, struct partset *to) MUST_CHECK;
/* Wire form (docs/protocol.md, tag 9). Decode refuses what is not canonical: PQC_EPROTO; s is then unchanged. */
void partset_encode(const struct partset *s, struct buf *b);
int partset_decode(const uint8_t *p, size_t n, struct partset *s) MUST_CHECK;
/* Is p[n] what partset_encode would write for some set? */
bool partset_canonical(const uint8_t *p, size_t n);

#endif
