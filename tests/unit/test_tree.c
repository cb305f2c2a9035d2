/* docs/container.md, "Content tree", against RFC 9162 section 2.1.1 written as the recursion it is. */
#include "pqx_fixture.h"

#include "container/tree.h"

#define LEAVES 130

static uint8_t leaves[LEAVES][HASH_MAX];

static int leaves_new(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEAVES; i++)
		memset(leaves[i], (int)i + 1, HASH_MAX);
	return 0;
}

static void mth(const struct suite *s, size_t from, size_t to, uint8_t *out)
{
	uint8_t left[HASH_MAX], right[HASH_MAX];
	size_t k = 1;

	if (to - from == 1) {
		memcpy(out, leaves[from], s->hash_len);
		return;
	}
	while (2 * k < to - from)
		k *= 2;
	mth(s, from, from + k, left);
	mth(s, from + k, to, right);
	struct span in[] = {{"\x01", 1}, {left, s->hash_len}, {right, s->hash_len}};
	assert_int_equal(tree_hash(s, in, 3, out), 0);
}

static void every_size(void **state)
{
	(void)state;
	for (unsigned id = 1; id <= 2; id++) {
		const struct suite *s = suite_by_id(id);
		struct tree t, before;

		tree_init(&t, s);
		for (size_t n = 1; n <= LEAVES; n++) {
			uint8_t want[HASH_MAX] = {0}, got[HASH_MAX] = {0};

			assert_int_equal(tree_add(&t, leaves[n - 1]), 0);
			memcpy(&before, &t, sizeof(t));
			assert_int_equal(tree_root(&t, got), 0);
			assert_memory_equal(&before, &t, sizeof(t));
			mth(s, 0, n, want);
			assert_memory_equal(got, want, HASH_MAX);
		}
	}
}

static void empty_has_no_root(void **state)
{
	uint8_t root[HASH_MAX];
	struct tree t;

	(void)state;
	tree_init(&t, suite_by_id(1));
	assert_int_equal(tree_root(&t, root), PQC_EUSAGE);
}

static void root_of(const size_t *order, size_t n, uint8_t *root)
{
	struct tree t;

	tree_init(&t, suite_by_id(1));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(tree_add(&t, leaves[order[i]]), 0);
	assert_int_equal(tree_root(&t, root), 0);
}

static void order_and_number_count(void **state)
{
	static const size_t right[] = {0, 1, 2, 3, 4};
	static const size_t swapped[] = {0, 2, 1, 3, 4};
	static const size_t repeated[] = {0, 1, 2, 3, 4, 4};
	uint8_t a[HASH_MAX], b[HASH_MAX];

	(void)state;
	root_of(right, 5, a);
	root_of(swapped, 5, b);
	assert_memory_not_equal(a, b, 32);
	root_of(right, 4, b);
	assert_memory_not_equal(a, b, 32);
	root_of(repeated, 6, b);
	assert_memory_not_equal(a, b, 32);
}

/* A tree of 2^40 leaves is as small as any: levels past 32 work. */
static void high_levels(void **state)
{
	uint8_t root[HASH_MAX], want[HASH_MAX];
	const struct suite *s = suite_by_id(1);
	struct tree t;

	(void)state;
	tree_init(&t, s);
	t.n = UINT64_C(1) << 40;
	memset(t.node[40], 7, HASH_MAX);
	assert_int_equal(tree_add(&t, leaves[0]), 0);
	assert_int_equal(tree_root(&t, root), 0);
	struct span in[] = {{"\x01", 1}, {t.node[40], s->hash_len}, {leaves[0], s->hash_len}};
	assert_int_equal(tree_hash(s, in, 3, want), 0);
	assert_memory_equal(root, want, s->hash_len);
	t.n = UINT64_MAX;
	assert_int_equal(tree_add(&t, leaves[0]), PQC_ETOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size),
		cmocka_unit_test(empty_has_no_root),
		cmocka_unit_test(order_and_number_count),
		cmocka_unit_test(high_levels),
	};

	return cmocka_run_group_tests(tests, leaves_new, NULL);
}
