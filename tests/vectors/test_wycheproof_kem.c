/* ML-KEM, X25519 and P-384, the parts of the KEMs. */
#include "vectors.h"

#include "crypto/pkey.h"

/* ------------------------------------------------------- Diffie-Hellman */

static const char *check_dh(const struct pkey_alg *a, const struct vector *v, struct span secret)
{
	const struct span peer = field(v, "public"), want = field(v, "shared");
	static const uint8_t zero[32] = {0};
	uint8_t ss[48];
	EVP_PKEY *k = NULL;
	int r;

	if (peer.n != a->pk_len)
		return out_of_range;
	if (pkey_from_secret(a, secret.p, &k) != 0)
		return "no private key";
	r = pkey_dh(a, k, peer.p, ss);
	EVP_PKEY_free(k);
	if (result_is(v, "invalid") || (a == &pkey_x25519 && same(zero, want)))
		return r == PQC_EINTEGRITY ? NULL : "accepted, or another error";
	return r == 0 && want.n == a->ss_len && same(ss, want) ? NULL : "another secret";
}

static const char *check_x25519(const struct vector *v)
{
	return check_dh(&pkey_x25519, v, field(v, "private"));
}

/* The file has private keys as numbers of any length. */
static const char *check_p384(const struct vector *v)
{
	const struct span number = field(v, "private");
	const uint8_t *p = number.p;
	size_t n = number.n;
	uint8_t secret[48] = {0};

	for (; n > sizeof secret && p[0] == 0; n--)
		p++;
	if (n > sizeof secret)
		return out_of_range;
	memcpy(secret + sizeof secret - n, p, n);
	return check_dh(&pkey_p384, v, (struct span){secret, sizeof secret});
}

static void test_x25519(void **state)
{
	(void)state;
	run_wycheproof("wycheproof/x25519_test.json", check_x25519);
}

static void test_p384(void **state)
{
	(void)state;
	run_wycheproof("wycheproof/ecdh_secp384r1_ecpoint_test.json", check_p384);
}

/* --------------------------------------------------------------- ML-KEM */

static const struct pkey_alg *alg_of(const struct vector *v)
{
	const char *set = json_string_value(json_object_get(v->group, "parameterSet"));

	return strcmp(set, "ML-KEM-1024") == 0 ? &pkey_mlkem1024 : &pkey_mlkem768;
}

static const char *check_keygen(const struct vector *v)
{
	const struct pkey_alg *a = alg_of(v);
	const struct span seed = field(v, "seed"), ek = field(v, "ek");
	uint8_t *own = arena_get(v->arena, a->pk_len);
	EVP_PKEY *k = NULL;
	int r;

	if (seed.n != a->secret_len)
		return out_of_range;
	if (pkey_from_secret(a, seed.p, &k) != 0)
		return "no key of this seed";
	r = pkey_public(a, k, own);
	EVP_PKEY_free(k);
	return r == 0 && same(own, ek) ? NULL : "another public key";
}

static const char *check_encaps(const struct vector *v)
{
	const struct pkey_alg *a = alg_of(v);
	const struct span m = field(v, "m"), ek = field(v, "ek"), c = field(v, "c"),
			  want = field(v, "K");
	uint8_t *ct = arena_get(v->arena, a->ct_len), ss[32];
	EVP_PKEY *k = NULL;
	int r;

	if (m.n != 32 || ek.n != a->pk_len)
		return out_of_range;
	r = pkey_from_public(a, ek.p, &k);
	if (!result_is(v, "valid")) {
		EVP_PKEY_free(k);
		return r == PQC_EINTEGRITY ? NULL : "accepted, or another error";
	}
	if (r == 0)
		r = pkey_encap(a, k, m.p, ct, ss);
	EVP_PKEY_free(k);
	if (r != 0 || c.n != a->ct_len || !same(ct, c))
		return "another ciphertext";
	return same(ss, want) ? NULL : "another secret";
}

static const char *check_decaps(const struct vector *v)
{
	const struct pkey_alg *a = alg_of(v);
	const struct span seed = field(v, "seed"), c = field(v, "c"), want = field(v, "K");
	uint8_t ss[32];
	EVP_PKEY *k = NULL;
	int r;

	if (seed.n != a->secret_len || c.n != a->ct_len)
		return out_of_range;
	if (pkey_from_secret(a, seed.p, &k) != 0)
		return "no key of this seed";
	r = pkey_decap(a, k, c.p, ss);
	EVP_PKEY_free(k);
	if (!result_is(v, "valid"))
		return r != 0 ? NULL : "accepted";
	return r == 0 && same(ss, want) ? NULL : "another secret";
}

static void test_mlkem_keygen(void **state)
{
	(void)state;
	run_wycheproof("wycheproof/mlkem_768_keygen_seed_test.json", check_keygen);
	run_wycheproof("wycheproof/mlkem_1024_keygen_seed_test.json", check_keygen);
}

static void test_mlkem_encaps(void **state)
{
	(void)state;
	run_wycheproof("wycheproof/mlkem_768_encaps_test.json", check_encaps);
	run_wycheproof("wycheproof/mlkem_1024_encaps_test.json", check_encaps);
}

static void test_mlkem_decaps(void **state)
{
	(void)state;
	run_wycheproof("wycheproof/mlkem_768_test.json", check_decaps);
	run_wycheproof("wycheproof/mlkem_1024_test.json", check_decaps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_x25519),	     cmocka_unit_test(test_p384),
		cmocka_unit_test(test_mlkem_keygen), cmocka_unit_test(test_mlkem_encaps),
		cmocka_unit_test(test_mlkem_decaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
