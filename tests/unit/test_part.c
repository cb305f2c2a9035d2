/* docs/container.md, "Parts": each place a part may not be, each length it may not have. */
#include "pqx_fixture.h"

#include "base/buf.h"
#include "container/part.h"

static struct aead *aead;
static uint8_t *plain, *sealed, *opened;
static uint32_t cap;

static int setup(void **state)
{
	cap = pqx_part_capacity(PART);
	aead = aead_new();
	plain = noise(cap);
	sealed = malloc(PART + 64);
	opened = malloc(PART);
	return aead != NULL && sealed != NULL && opened != NULL ? people_new(state) : -1;
}

static int teardown(void **state)
{
	aead_free(aead);
	free(plain);
	free(sealed);
	free(opened);
	return people_free(state);
}

struct file {
	struct pqx_header h;
	struct pqx_keys k;
};

static int seal(const struct file *f, uint64_t i, bool final, size_t n)
{
	uint8_t leaf[HASH_MAX];

	return pqx_part_seal(aead, &f->h, &f->k, i, final, &(struct span){plain, n}, sealed, leaf);
}

static int open_as(const struct file *f, uint64_t i, bool final, size_t sealed_len)
{
	size_t n;

	return pqx_part_open(aead, &f->h, &f->k, i, final, &(struct span){sealed, sealed_len},
			     opened, &n);
}

static void round_trip(void **state)
{
	const size_t sizes[] = {0, 1, 16383, 16384, 16385, cap - 1, cap};
	struct file f;
	uint8_t leaf[HASH_MAX], want[HASH_MAX];
	size_t n;

	(void)state;
	for (unsigned suite = 1; suite <= 2; suite++) {
		header_make(&f.h, &f.k, suite, PQX_SIZE_UNKNOWN, NULL);
		for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
			struct span in = {plain, sizes[j]};
			struct span out = {sealed, pqx_part_sealed_len(sizes[j])};

			assert_int_equal(
				pqx_part_seal(aead, &f.h, &f.k, 0, true, &in, sealed, leaf), 0);
			struct span hashed[] = {{"\0\0\0\0\0\0\0\0\0", 9}, out};
			assert_int_equal(tree_hash(f.h.suite, hashed, 2, want), 0);
			assert_memory_equal(leaf, want, f.h.suite->hash_len);
			assert_int_equal(pqx_part_open(aead, &f.h, &f.k, 0, true, &out, opened, &n),
					 0);
			assert_int_equal(n, sizes[j]);
			assert_memory_equal(opened, plain, n);
		}
	}
}

/* The context of the document, byte by byte. */
static void context_bytes(void **state)
{
	static const uint8_t ctx[] = "pqx1 part\0\0\0\0\0\0\0\0\x07\x01\0\0\0\x05";
	struct span c = {ctx, sizeof(ctx) - 1}, in;
	struct file f;

	(void)state;
	assert_int_equal(c.n, 10 + 8 + 1 + 4);
	header_make(&f.h, &f.k, 1, PQX_SIZE_UNKNOWN, NULL);
	assert_int_equal(seal(&f, 7, true, 5), 0);
	in = (struct span){sealed, 56 + 5 + 16};
	assert_int_equal(cob_open(aead, f.k.part, &c, &in, opened), 0);
	assert_memory_equal(opened, plain, 5);
}

static void fresh_salt(void **state)
{
	uint8_t first[COB_SALT];
	struct file f;

	(void)state;
	header_make(&f.h, &f.k, 1, PQX_SIZE_UNKNOWN, NULL);
	assert_int_equal(seal(&f, 0, true, 100), 0);
	memcpy(first, sealed, COB_SALT);
	assert_int_equal(seal(&f, 0, true, 100), 0);
	assert_memory_not_equal(first, sealed, COB_SALT);
}

static void seal_refuses(void **state)
{
	struct file f;

	(void)state;
	header_make(&f.h, &f.k, 1, PQX_SIZE_UNKNOWN, NULL);
	assert_int_equal(seal(&f, 0, false, cap - 1), PQC_EUSAGE); /* short and not the last */
	assert_int_equal(seal(&f, 0, false, 0), PQC_EUSAGE);
	assert_int_equal(seal(&f, 1, true, 0), PQC_EUSAGE); /* empty and not the only one */
	assert_int_equal(seal(&f, PQX_PARTS_MAX, true, 1), PQC_EUSAGE);
	assert_int_equal(seal(&f, PQX_PARTS_MAX - 1, false, cap), PQC_EUSAGE);
	assert_int_equal(seal(&f, PQX_PARTS_MAX - 1, true, 1), 0);
	assert_int_equal(seal(&f, 0, true, cap + 1), PQC_EUSAGE);
	header_make(&f.h, &f.k, 1, (uint64_t)cap + 10, NULL);
	assert_int_equal(seal(&f, 0, true, cap), PQC_EUSAGE); /* there is a second part */
	assert_int_equal(seal(&f, 1, true, 9), PQC_EUSAGE);   /* and it has ten bytes */
	assert_int_equal(seal(&f, 1, true, 11), PQC_EUSAGE);
	assert_int_equal(seal(&f, 1, false, cap), PQC_EUSAGE);
	assert_int_equal(seal(&f, 2, true, 10), PQC_EUSAGE);
	assert_int_equal(seal(&f, 1, true, 10), 0);
}

static void wrong_place(void **state)
{
	struct file f, other;

	(void)state;
	header_make(&f.h, &f.k, 1, PQX_SIZE_UNKNOWN, NULL);
	header_make(&other.h, &other.k, 1, PQX_SIZE_UNKNOWN, NULL);
	assert_int_equal(seal(&f, 3, false, cap), 0);
	assert_int_equal(open_as(&f, 3, false, PART), 0);
	assert_int_equal(open_as(&f, 2, false, PART), PQC_EINTEGRITY);
	assert_int_equal(open_as(&f, 4, false, PART), PQC_EINTEGRITY);
	assert_int_equal(open_as(&f, 3 + (UINT64_C(1) << 32), false, PART), PQC_EINTEGRITY);
	assert_int_equal(open_as(&f, 3, true, PART), PQC_EINTEGRITY);
	assert_int_equal(open_as(&other, 3, false, PART), PQC_EINTEGRITY);
	assert_int_equal(seal(&f, 3, true, cap), 0);
	assert_int_equal(open_as(&f, 3, false, PART), PQC_EINTEGRITY);
	assert_int_equal(open_as(&f, 3, true, PART), 0);
}

/* Parts that a writer that breaks the rules made with the right key. */
static void lawless_writer(void **state)
{
	static const uint8_t salt[COB_SALT] = {1};
	struct file f;
	uint8_t ctx[23] = "pqx1 part";
	struct span c = {ctx, sizeof(ctx)};
	struct {
		uint64_t i;
		bool final;
		uint32_t n;
		uint64_t plain_size;
	} bad[] = {
		{0, false, cap - 1, PQX_SIZE_UNKNOWN},
		{0, false, 0, PQX_SIZE_UNKNOWN},
		{1, true, 0, PQX_SIZE_UNKNOWN},
		{PQX_PARTS_MAX, true, 1, PQX_SIZE_UNKNOWN},
		{0, true, cap + 1, PQX_SIZE_UNKNOWN},
		{0, true, 10, 11},
		{0, true, 12, 11},
		{0, false, cap, 11},
		{1, true, 11, 11},
		{1, true, 1, cap},
	};

	(void)state;
	for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
		size_t n = cob_sealed_len(bad[j].n);
		struct span in = {plain, bad[j].n};

		header_make(&f.h, &f.k, 1, bad[j].plain_size, NULL);
		be64_put(ctx + 10, bad[j].i);
		ctx[18] = bad[j].final;
		be32_put(ctx + 19, bad[j].n);
		assert_int_equal(cob_seal(aead, f.k.part, salt, &c, &in, sealed), 0);
		assert_int_equal(open_as(&f, bad[j].i, bad[j].final, n), PQC_EINTEGRITY);
	}
}

static void truncated_and_extended(void **state)
{
	struct file f;
	const size_t n = pqx_part_sealed_len(20000);

	(void)state;
	header_make(&f.h, &f.k, 1, PQX_SIZE_UNKNOWN, NULL);
	assert_int_equal(seal(&f, 0, true, 20000), 0);
	memset(sealed + n, 0, 64);
	for (size_t cut = 0; cut < n; cut += cut < 200 || cut > n - 200 ? 1 : 97)
		assert_int_equal(open_as(&f, 0, true, cut), PQC_EINTEGRITY);
	for (size_t more = 1; more <= 64; more++)
		assert_int_equal(open_as(&f, 0, true, n + more), PQC_EINTEGRITY);
	assert_int_equal(open_as(&f, 0, true, n), 0);
}

static void bit_flips(void **state)
{
	struct file f;
	const size_t n = pqx_part_sealed_len(200);

	(void)state;
	header_make(&f.h, &f.k, 1, PQX_SIZE_UNKNOWN, NULL);
	assert_int_equal(seal(&f, 0, true, 200), 0);
	for (size_t bit = 0; bit < 8 * n; bit++) {
		flip(sealed, bit);
		assert_int_equal(open_as(&f, 0, true, n), PQC_EINTEGRITY);
		flip(sealed, bit);
	}
	assert_int_equal(open_as(&f, 0, true, n), 0);
}

static void leaf_depends_on_all(void **state)
{
	const struct suite *s = suite_by_id(2);
	uint8_t a[HASH_MAX], b[HASH_MAX];

	(void)state;
	assert_int_equal(pqx_leaf(s, 1, &(struct span){"xy", 2}, a), 0);
	assert_int_equal(pqx_leaf(s, 2, &(struct span){"xy", 2}, b), 0);
	assert_memory_not_equal(a, b, s->hash_len);
	assert_int_equal(pqx_leaf(s, 1, &(struct span){"x", 1}, b), 0);
	assert_memory_not_equal(a, b, s->hash_len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(context_bytes),
		cmocka_unit_test(fresh_salt),
		cmocka_unit_test(seal_refuses),
		cmocka_unit_test(wrong_place),
		cmocka_unit_test(lawless_writer),
		cmocka_unit_test(truncated_and_extended),
		cmocka_unit_test(bit_flips),
		cmocka_unit_test(leaf_depends_on_all),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
