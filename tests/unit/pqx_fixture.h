/* What the container's tests share: identities of both suites, headers, and a bit to flip. */
#ifndef PQC_TESTS_PQX_FIXTURE_H
#define PQC_TESTS_PQX_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "container/header.h"
#include "crypto/identity.h"

#define PART 65536u

static struct identity *alice[3], *bob[3]; /* by suite number */

static inline int people_new(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		if (identity_generate(suite_by_id(s), &alice[s]) != 0 ||
		    identity_generate(suite_by_id(s), &bob[s]) != 0)
			return -1;
	}
	return 0;
}

static inline int people_free(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		identity_free(alice[s]);
		identity_free(bob[s]);
	}
	return 0;
}

/* A header of 64 KiB parts; by NULL: unsigned. */
static inline void header_make(struct pqx_header *h, struct pqx_keys *k, unsigned suite,
			       uint64_t plain_size, const struct identity *by)
{
	memset(h, 0, sizeof(*h));
	h->suite = suite_by_id(suite);
	h->part_size = PART;
	h->plain_size = plain_size;
	if (by != NULL)
		memcpy(h->sender_id, identity_public(by)->id, ID_LEN);
	assert_int_equal(pqx_header_new(h, k), 0);
}

static inline void flip(uint8_t *p, size_t bit)
{
	p[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* n bytes that are not all alike. */
static inline uint8_t *noise(size_t n)
{
	uint8_t *p = malloc(n + 1);
	uint32_t x = 2463534242u;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		p[i] = (uint8_t)x;
	}
	return p;
}

#endif
