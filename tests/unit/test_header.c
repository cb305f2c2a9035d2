/* docs/container.md, "Core header": each field, each bit. */
#include "pqx_fixture.h"

#include "base/buf.h"

static void round_trip(void **state)
{
	struct pqx_header h, d;
	struct pqx_keys k, got;

	(void)state;
	header_make(&h, &k, SUITE_KYBER768, 1234567, alice[SUITE_KYBER768]);
	assert_int_equal(pqx_header_decode(h.raw, &d), 0);
	assert_memory_equal(&h, &d, sizeof(h));
	assert_int_equal(pqx_keys_derive(&d, k.dek, &got), 0);
	assert_memory_equal(&k, &got, sizeof(k));
	assert_true(pqx_header_is_signed(&d));
	header_make(&h, &k, SUITE_KYBER1024, PQX_SIZE_UNKNOWN, NULL);
	assert_int_equal(pqx_header_decode(h.raw, &d), 0);
	assert_int_equal(d.suite->id, SUITE_KYBER1024);
	assert_false(pqx_header_is_signed(&d));
}

static void two_files_share_nothing(void **state)
{
	struct pqx_header a, b;
	struct pqx_keys ka, kb;

	(void)state;
	header_make(&a, &ka, SUITE_KYBER768, 1, NULL);
	header_make(&b, &kb, SUITE_KYBER768, 1, NULL);
	assert_memory_not_equal(a.file_id, b.file_id, 32);
	assert_memory_not_equal(ka.dek, kb.dek, KEY_LEN);
	assert_memory_not_equal(ka.part, kb.part, KEY_LEN);
	assert_memory_not_equal(ka.part, ka.keyblock, KEY_LEN);
	assert_memory_not_equal(ka.part, ka.meta, KEY_LEN);
	assert_memory_not_equal(ka.keyblock, ka.meta, KEY_LEN);
	assert_int_equal(pqx_keys_derive(&a, kb.dek, &ka), PQC_EINTEGRITY);
	assert_int_equal(ka.part[0] | ka.part[31] | ka.dek[0], 0); /* wiped */
}

/* The document's formulas, written out once more with explicit bytes. */
static void key_schedule(void **state)
{
	static const char labels[3][16] = {"pqx1 part", "pqx1 keyblock", "pqx1 meta"};
	struct pqx_header h;
	struct pqx_keys k;
	uint8_t prk[PRK_LEN], want[32], hc[SHA512_LEN];
	const uint8_t *const keys[] = {k.part, k.keyblock, k.meta};

	(void)state;
	header_make(&h, &k, SUITE_KYBER768, 5, NULL);
	assert_int_equal(hkdf_extract(h.file_id, 32, k.dek, 32, prk), 0);
	struct span commit[] = {{"pqx1 commit\0", 12}, {h.raw, 96}};
	assert_int_equal(hkdf_expand(prk, 64, commit, 2, want, 32), 0);
	assert_memory_equal(h.raw + 96, want, 32);
	assert_int_equal(sha512(&(struct span){h.raw, 128}, 1, hc), 0);
	for (int i = 0; i < 3; i++) {
		struct span info[] = {{labels[i], strlen(labels[i]) + 1}, {hc, 64}};

		assert_int_equal(hkdf_expand(prk, 64, info, 2, want, 32), 0);
		assert_memory_equal(keys[i], want, 32);
	}
}

static void every_bit_counts(void **state)
{
	struct pqx_header h, d;
	struct pqx_keys k, got;

	(void)state;
	header_make(&h, &k, SUITE_KYBER768, 1234567, alice[SUITE_KYBER768]);
	for (size_t bit = 0; bit < 8 * PQX_HEADER_LEN; bit++) {
		flip(h.raw, bit);
		if (pqx_header_decode(h.raw, &d) == 0)
			assert_int_equal(pqx_keys_derive(&d, k.dek, &got), PQC_EINTEGRITY);
		flip(h.raw, bit);
	}
	for (size_t bit = 0; bit < 8 * KEY_LEN; bit++) {
		flip(k.dek, bit);
		assert_int_equal(pqx_keys_derive(&h, k.dek, &got), PQC_EINTEGRITY);
		flip(k.dek, bit);
	}
	assert_int_equal(pqx_keys_derive(&h, k.dek, &got), 0);
}

static void fields_out_of_bounds(void **state)
{
	static const struct {
		size_t at, len;
		uint64_t value;
		bool ok;
	} edits[] = {
		{0, 8, UINT64_C(0x895051580d0a1a0b), false},
		{8, 2, 0, false},
		{8, 2, 2, false},
		{10, 2, 0, false},
		{10, 2, 3, false},
		{10, 2, 257, false},
		{12, 4, 0, false},
		{12, 4, 32768, false},
		{12, 4, 65535, false},
		{12, 4, 65537, false},
		{12, 4, 98304, false},
		{12, 4, 65536, true},
		{12, 4, 33554432, true},
		{12, 4, 67108864, false},
		{12, 4, 0x80000000, false},
		{16, 8, 0, true},
		{16, 8, UINT64_MAX, true},
		{16, 8, UINT64_MAX - 1, false},
		{24, 8, 0, true},
		{24, 8, 1, true},
		{24, 8, 2, false},
		{24, 8, 3, false},
		{24, 8, UINT64_C(1) << 63, false},
	};
	struct pqx_header h, d;
	struct pqx_keys k;

	(void)state;
	header_make(&h, &k, SUITE_KYBER768, 99, NULL);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		uint8_t raw[PQX_HEADER_LEN], be[8];

		memcpy(raw, h.raw, sizeof(raw));
		be64_put(be, edits[i].value);
		memcpy(raw + edits[i].at, be + 8 - edits[i].len, edits[i].len);
		memset(&d, 0x5a, sizeof(d));
		assert_int_equal(pqx_header_decode(raw, &d), edits[i].ok ? 0 : PQC_EINTEGRITY);
		if (!edits[i].ok) /* the output is untouched */
			assert_int_equal(d.part_size, 0x5a5a5a5a);
	}
}

static void new_refuses(void **state)
{
	struct pqx_keys k;
	struct pqx_header h = {.suite = suite_by_id(1), .part_size = PART, .plain_size = 1};

	(void)state;
	assert_int_equal(pqx_header_new(&h, &k), 0);
	h.part_size = 2 * PQX_PART_MAX;
	assert_int_equal(pqx_header_new(&h, &k), PQC_EUSAGE);
	h.part_size = PART + 1;
	assert_int_equal(pqx_header_new(&h, &k), PQC_EUSAGE);
	h.part_size = PART;
	h.flags = 2;
	assert_int_equal(pqx_header_new(&h, &k), PQC_EUSAGE);
	h.flags = 0;
	h.plain_size = UINT64_MAX - 1;
	assert_int_equal(pqx_header_new(&h, &k), PQC_EUSAGE);
	h.plain_size = 0;
	h.suite = NULL;
	assert_int_equal(pqx_header_new(&h, &k), PQC_EUSAGE);
}

static void capacity_is_exact(void **state)
{
	(void)state;
	for (uint32_t s = PQX_PART_MIN; s <= PQX_PART_MAX; s *= 2) {
		uint32_t p = pqx_part_capacity(s);

		assert_int_equal(cob_sealed_len(p), s);
		assert_true(cob_sealed_len(p + 1) > s);
	}
	assert_int_equal(pqx_part_capacity(1048576), 1047496);
	/* Why 32 MiB is the largest: at 64 MiB it would not be exact. */
	assert_true(cob_sealed_len(pqx_part_capacity(67108864)) < 67108864);
}

static void counts_and_lengths(void **state)
{
	const uint64_t cap = pqx_part_capacity(PART);
	uint64_t n;

	(void)state;
	assert_int_equal(pqx_part_count(PART, 0, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(pqx_body_len(PART, 0), 72);
	assert_int_equal(pqx_part_count(PART, cap, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(pqx_body_len(PART, cap), PART);
	assert_int_equal(pqx_part_count(PART, cap + 1, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(pqx_body_len(PART, cap + 1), PART + 73);
	assert_int_equal(pqx_part_count(PART, cap << 32, &n), 0);
	assert_true(n == PQX_PARTS_MAX);
	assert_true(pqx_body_len(PART, cap << 32) == (uint64_t)PART << 32);
	assert_int_equal(pqx_part_count(PART, (cap << 32) + 1, &n), PQC_ETOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),		cmocka_unit_test(two_files_share_nothing),
		cmocka_unit_test(key_schedule),		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(fields_out_of_bounds), cmocka_unit_test(new_refuses),
		cmocka_unit_test(capacity_is_exact),	cmocka_unit_test(counts_and_lengths),
	};

	return cmocka_run_group_tests(tests, people_new, people_free);
}
