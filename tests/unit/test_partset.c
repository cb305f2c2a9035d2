/* Sets of parts: against a plain array as the model, and the wire form against what is not canonical. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/partset.h"

#define UNIVERSE 200
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t rng(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Sorted, disjoint, not adjacent, none empty. */
static void assert_canonical(const struct partset *s)
{
	for (size_t i = 0; i < s->n; i++) {
		assert_true(s->r[i].count > 0);
		if (i > 0)
			assert_true(s->r[i].first > s->r[i - 1].first + s->r[i - 1].count);
	}
}

static void assert_same(const struct partset *s, const bool *model)
{
	uint64_t count = 0;

	assert_canonical(s);
	for (uint64_t i = 0; i < UNIVERSE; i++) {
		uint64_t next = i;

		assert_int_equal(partset_has(s, i), model[i]);
		count += model[i];
		while (next < UNIVERSE && model[next])
			next++;
		assert_int_equal(partset_next_missing(s, i), next);
	}
	assert_int_equal(partset_count(s), count);
}

static void assert_round_trip(const struct partset *s)
{
	struct partset back = PARTSET_INIT;
	struct buf b = BUF_INIT(65536);

	partset_encode(s, &b);
	assert_int_equal(b.len, 16 * s->n);
	assert_int_equal(partset_decode(b.p, b.len, &back), 0);
	assert_int_equal(back.n, s->n);
	if (s->n > 0)
		assert_memory_equal(back.r, s->r, s->n * sizeof(*s->r));
	partset_free(&back);
	buf_free(&b);
}

static void assert_complement(const struct partset *s, const bool *model, uint64_t n)
{
	struct partset c = PARTSET_INIT;

	assert_int_equal(partset_complement(s, n, &c), 0);
	assert_canonical(&c);
	for (uint64_t i = 0; i < UNIVERSE + 5; i++)
		assert_int_equal(partset_has(&c, i), i < n && !(i < UNIVERSE && model[i]));
	partset_free(&c);
}

static void test_model(void **state)
{
	uint64_t seed = 88172645463325252u;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct partset s = PARTSET_INIT;
		bool model[UNIVERSE] = {false};

		for (int step = 0; step < 40; step++) {
			uint64_t first = rng(&seed) % UNIVERSE;
			uint64_t count = rng(&seed) % (round % 2 ? 4 : 30);

			if (count > UNIVERSE - first)
				count = UNIVERSE - first;
			assert_int_equal(partset_add(&s, first, count), 0);
			for (uint64_t i = first; i < first + count; i++)
				model[i] = true;
			assert_same(&s, model);
		}
		assert_round_trip(&s);
		assert_complement(&s, model, rng(&seed) % (UNIVERSE + 5));
		partset_free(&s);
	}
}

static void test_covers(void **state)
{
	struct partset s = PARTSET_INIT;

	(void)state;
	assert_true(partset_covers(&s, 7, 0));
	assert_false(partset_covers(&s, 0, 1));
	assert_int_equal(partset_add(&s, 10, 5), 0);
	assert_int_equal(partset_add(&s, 20, 1), 0);
	assert_true(partset_covers(&s, 10, 5));
	assert_true(partset_covers(&s, 12, 3));
	assert_false(partset_covers(&s, 9, 2));
	assert_false(partset_covers(&s, 10, 6));
	assert_false(partset_covers(&s, 14, 7));
	assert_false(partset_covers(&s, 12, UINT64_MAX));
	assert_true(partset_covers(&s, 15, 0));
	partset_free(&s);
}

static void test_limits(void **state)
{
	struct partset s = PARTSET_INIT, copy = PARTSET_INIT;

	(void)state;
	for (uint64_t i = 0; i < PARTSET_MAX; i++)
		assert_int_equal(partset_add(&s, 10 + 2 * i, 1), 0);
	assert_int_equal(s.n, PARTSET_MAX);
	assert_round_trip(&s);
	assert_int_equal(partset_copy(&copy, &s), 0);
	/* one range more: refused, and nothing changed */
	assert_int_equal(partset_add(&s, 0, 1), PQC_ETOOBIG);
	assert_int_equal(partset_add(&s, UINT64_MAX - 1, 1), PQC_ETOOBIG);
	assert_int_equal(s.n, PARTSET_MAX);
	assert_memory_equal(s.r, copy.r, s.n * sizeof(*s.r));
	/* what merges is still taken */
	assert_int_equal(partset_add(&s, 11, 1), 0);
	assert_int_equal(s.n, PARTSET_MAX - 1);
	assert_int_equal(partset_add(&s, 0, 100000), 0);
	assert_int_equal(s.n, 1);
	/* the end of the numbers */
	assert_int_equal(partset_add(&s, UINT64_MAX, 1), PQC_ETOOBIG);
	assert_int_equal(partset_add(&s, 2, UINT64_MAX - 1), PQC_ETOOBIG);
	assert_int_equal(partset_add(&s, UINT64_MAX - 1, 1), 0);
	assert_true(partset_has(&s, UINT64_MAX - 1));
	assert_false(partset_has(&s, UINT64_MAX));
	assert_round_trip(&s);
	assert_int_equal(partset_add(&s, UINT64_MAX, 0), 0);
	partset_clear(&s);
	assert_int_equal(partset_count(&s), 0);
	partset_free(&s);
	partset_free(&copy);
}

/* Ranges that may not be on the wire. */
static void test_not_canonical(void **state)
{
	static const struct {
		const char *what;
		uint64_t v[4];
	} cases[] = {
		{"empty range", {0, 0, 5, 1}},
		{"empty second", {0, 1, 5, 0}},
		{"out of order", {10, 1, 5, 1}},
		{"the same twice", {5, 1, 5, 1}},
		{"overlap", {5, 3, 7, 3}},
		{"adjacent", {5, 3, 8, 1}},
		{"past the end", {0, 1, UINT64_MAX, 1}},
		{"far past the end", {0, 1, 5, UINT64_MAX}},
		{"first of all numbers, nothing can follow", {0, UINT64_MAX, 0, 1}},
		{"nothing above the last number", {UINT64_MAX - 1, 1, UINT64_MAX, 1}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct partset s = PARTSET_INIT;
		struct buf b = BUF_INIT(64);

		assert_int_equal(partset_add(&s, 77, 1), 0);
		for (size_t k = 0; k < 4; k++)
			buf_put_u64(&b, cases[i].v[k]);
		if (partset_decode(b.p, b.len, &s) != PQC_EPROTO)
			fail_msg("taken: %s", cases[i].what);
		assert_int_equal(s.n, 1); /* unchanged */
		assert_true(partset_has(&s, 77));
		partset_free(&s);
		buf_free(&b);
	}
}

static void test_wire_lengths(void **state)
{
	struct partset s = PARTSET_INIT;
	struct buf b = BUF_INIT(1 << 20);

	(void)state;
	assert_int_equal(partset_decode(NULL, 0, &s), 0);
	assert_int_equal(s.n, 0);
	for (uint64_t i = 0; i <= PARTSET_MAX; i++) {
		buf_put_u64(&b, 2 * i);
		buf_put_u64(&b, 1);
	}
	assert_int_equal(partset_decode(b.p, b.len, &s), PQC_EPROTO);
	assert_int_equal(partset_decode(b.p, b.len - 16, &s), 0);
	assert_int_equal(s.n, PARTSET_MAX);
	for (size_t n = 1; n < 32; n++)
		assert_int_equal(partset_decode(b.p, n, &s), n == 16 ? 0 : PQC_EPROTO);
	partset_free(&s);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),	     cmocka_unit_test(test_covers),
		cmocka_unit_test(test_limits),	     cmocka_unit_test(test_not_canonical),
		cmocka_unit_test(test_wire_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
