/* X-Wing, from the vectors of its draft. */
#include "vectors.h"

#include <openssl/evp.h>

#include "crypto/kem_internal.h"

/* The draft expands a 32-byte seed; our key files hold what comes out of it. */
static void expand(const uint8_t seed[32], uint8_t out[96])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	assert_non_null(c);
	assert_int_equal(EVP_DigestInit_ex(c, EVP_shake256(), NULL), 1);
	assert_int_equal(EVP_DigestUpdate(c, seed, 32), 1);
	assert_int_equal(EVP_DigestFinalXOF(c, out, 96), 1);
	EVP_MD_CTX_free(c);
}

static const char *check_key(const struct vector *v, const struct kem_key *k)
{
	const struct suite *s = suite_by_id(SUITE_KYBER768);
	const struct span eseed = field(v, "eseed"), want = field(v, "ss");
	const struct span pk = field(v, "pk"), ct = field(v, "ct");
	uint8_t own_pk[KEM_PK_MAX], own_ct[KEM_CT_MAX], ss[KEM_SS_MAX];

	assert_int_equal(pk.n, s->rcpt_pk_len);
	assert_int_equal(ct.n, s->rcpt_ct_len);
	assert_int_equal(want.n, s->rcpt_ss_len);
	assert_int_equal(eseed.n, 64);
	if (kem_rcpt_public(k, own_pk) != 0 || !same(own_pk, pk))
		return "another public key";
	if (kem_rcpt_encap_with(s, pk.p, eseed.p, own_ct, ss) != 0 || !same(own_ct, ct))
		return "another ciphertext";
	if (!same(ss, want))
		return "another secret encapsulated";
	memset(ss, 0, sizeof ss);
	return kem_rcpt_decap(k, ct.p, ss) == 0 && same(ss, want) ? NULL : "another secret found";
}

static const char *check(const struct vector *v)
{
	const struct span seed = field(v, "seed");
	uint8_t secrets[96];
	struct kem_key *k = NULL;
	const char *verdict;

	assert_int_equal(seed.n, 32);
	expand(seed.p, secrets);
	if (kem_rcpt_from_secrets(suite_by_id(SUITE_KYBER768), secrets, secrets + 64, &k) != 0)
		return "no key of this seed";
	verdict = check_key(v, k);
	kem_free(k);
	return verdict;
}

static void test_xwing(void **state)
{
	json_t *root = load_vectors("xwing/test-vectors.json"), *test;
	struct arena arena = {.n = 0};
	struct tally t = {0, 0};
	size_t i;

	(void)state;
	json_array_foreach(root, i, test)
	{
		const struct vector v = {NULL, test, &arena};

		tally_add(&t, "xwing", (long long)i, check(&v));
		arena_clear(&arena);
	}
	tally_end(&t, "xwing/test-vectors.json");
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_xwing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
