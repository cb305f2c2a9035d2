#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "crypto/kdf.h"

static void assert_hex(const void *p, size_t n, const char *hex)
{
	char found[2 * 64 + 1];

	assert_true(n <= 64);
	hex_encode(p, n, found);
	assert_string_equal(found, hex);
}

/* FIPS 180-4 example "abc", however it is cut into spans. */
static void test_sha512(void **state)
{
	static const char abc[] =
		"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
	const struct span whole = {"abc", 3};
	const struct span cut[] = {{"a", 1}, {NULL, 0}, {"bc", 2}};
	uint8_t h[SHA512_LEN];

	(void)state;
	assert_int_equal(sha512(&whole, 1, h), 0);
	assert_hex(h, sizeof h, abc);
	assert_int_equal(sha512(cut, 3, h), 0);
	assert_hex(h, sizeof h, abc);
	assert_int_equal(sha512(NULL, 0, h), 0);
	assert_hex(h, sizeof h,
		   "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
		   "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e");
}

/* FIPS 180-2, appendix B, in one piece and in others. */
static void test_sha256(void **state)
{
	static const char text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	static const uint8_t want[SHA256_LEN] = {0x24, 0x8d, 0x6a, 0x61, 0xd2, 0x06, 0x38, 0xb8,
						 0xe5, 0xc0, 0x26, 0x93, 0x0c, 0x3e, 0x60, 0x39,
						 0xa3, 0x3c, 0xe4, 0x59, 0x64, 0xff, 0x21, 0x67,
						 0xf6, 0xec, 0xed, 0xd4, 0x19, 0xdb, 0x06, 0xc1};
	uint8_t h[SHA256_LEN];

	(void)state;
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		struct sha256 *s = sha256_new();

		assert_non_null(s);
		assert_int_equal(sha256_add(s, text, cut), 0);
		assert_int_equal(sha256_add(s, text + cut, sizeof(text) - 1 - cut), 0);
		assert_int_equal(sha256_end(s, h), 0);
		assert_memory_equal(h, want, SHA256_LEN);
		sha256_free(s);
	}
}

static void test_hmac(void **state)
{
	uint8_t key[KEY_LEN] = {1}, a[32], b[32];
	const struct span whole = {"message", 7};
	const struct span cut[] = {{"mess", 4}, {"age", 3}};

	(void)state;
	assert_int_equal(hmac512_256(key, &whole, 1, a), 0);
	assert_int_equal(hmac512_256(key, cut, 2, b), 0);
	assert_memory_equal(a, b, 32);
	key[31] ^= 1;
	assert_int_equal(hmac512_256(key, &whole, 1, b), 0);
	assert_memory_not_equal(a, b, 32);
	assert_int_equal(hmac512_256(key, NULL, 0, b), 0);
}

/* An info is what its spans are together: RFC 5869 has no separators. */
static void test_expand_spans(void **state)
{
	const struct span whole = {"label-and-more", 14};
	const struct span cut[] = {{"label", 5}, {NULL, 0}, {"-and", 4}, {"-more", 5}};
	uint8_t prk[PRK_LEN], a[100], b[100];

	(void)state;
	assert_int_equal(hkdf_extract("salt", 4, "secret", 6, prk), 0);
	assert_int_equal(hkdf_expand(prk, PRK_LEN, &whole, 1, a, sizeof a), 0);
	assert_int_equal(hkdf_expand(prk, PRK_LEN, cut, 4, b, sizeof b), 0);
	assert_memory_equal(a, b, sizeof a);
	assert_int_equal(hkdf_expand(prk, PRK_LEN, cut, 3, b, sizeof b), 0);
	assert_memory_not_equal(a, b, 32);
	/* A shorter output is a prefix. */
	assert_int_equal(hkdf_expand(prk, PRK_LEN, &whole, 1, b, 40), 0);
	assert_memory_equal(a, b, 40);
}

static void test_expand_limits(void **state)
{
	struct span many[HKDF_SPANS_MAX + 1];
	static uint8_t out[255 * 64 + 1];
	uint8_t prk[PRK_LEN] = {0};

	(void)state;
	for (size_t i = 0; i < HKDF_SPANS_MAX + 1; i++)
		many[i] = (struct span){"x", 1};
	assert_int_equal(hkdf_expand(prk, PRK_LEN, many, HKDF_SPANS_MAX, out, 32), 0);
	assert_int_equal(hkdf_expand(prk, PRK_LEN, many, HKDF_SPANS_MAX + 1, out, 32), PQC_ECRYPTO);
	assert_int_equal(hkdf_expand(prk, PRK_LEN, many, 1, out, sizeof out - 1), 0);
	assert_int_equal(hkdf_expand(prk, PRK_LEN, many, 1, out, sizeof out), PQC_ECRYPTO);
	for (size_t i = 0; i < sizeof out; i++)
		assert_int_equal(out[i], 0); /* wiped */
}

static void test_argon2(void **state)
{
	const struct argon2_params p = {8192, 2, 2};
	uint8_t salt[32], out[KEY_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof salt; i++)
		salt[i] = (uint8_t)i;
	assert_int_equal(argon2id(&p, "passphrase", 10, salt, out), 0);
	/* as computed by the reference implementation */
	assert_hex(out, sizeof out,
		   "c471fa078ba7f8534d4f886a8f0ae73966831218d8d46fe05eecb72b3b775dbd");
	assert_int_equal(argon2id(&p, "passphrasf", 10, salt, out), 0);
	assert_int_not_equal(out[0], 0xc4);
}

static void test_argon2_bounds(void **state)
{
	static const struct argon2_params bad[] = {
		{ARGON2_M_MIN - 1, 3, 4},
		{ARGON2_M_MAX + 1, 3, 4},
		{0, 3, 4},
		{65536, 0, 4},
		{65536, ARGON2_T_MAX + 1, 4},
		{65536, 3, 0},
		{65536, 3, ARGON2_P_MAX + 1},
		{UINT32_MAX, 1, 1},
	};
	const struct argon2_params standard = ARGON2_DEFAULT;
	uint8_t salt[32] = {0}, out[KEY_LEN];

	(void)state;
	assert_true(argon2_in_bounds(&standard));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_false(argon2_in_bounds(&bad[i]));
		assert_int_equal(argon2id(&bad[i], "x", 1, salt, out), PQC_EINTEGRITY);
	}
}

static void test_tree_hash(void **state)
{
	const struct span cut[] = {{"a", 1}, {NULL, 0}, {"bc", 2}};
	uint8_t h[HASH_MAX];

	(void)state;
	assert_int_equal(tree_hash(suite_by_id(SUITE_KYBER768), cut, 3, h), 0);
	assert_hex(h, 32, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
	assert_int_equal(tree_hash(suite_by_id(SUITE_KYBER1024), cut, 3, h), 0);
	assert_hex(h, 48,
		   "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
		   "8086072ba1e7cc2358baeca134c825a7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha512),	      cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_hmac),	      cmocka_unit_test(test_expand_spans),
		cmocka_unit_test(test_expand_limits), cmocka_unit_test(test_argon2),
		cmocka_unit_test(test_argon2_bounds), cmocka_unit_test(test_tree_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
