/*
 * ML-DSA and Ed25519, the parts of an identity's signature. Ours are hedged, so
 * that the signatures of the sign vectors are verified, not made again.
 */
#include "vectors.h"

#include "crypto/pkey.h"

/* 0, PQC_EINTEGRITY and, for a context that FIPS 204 does not allow, PQC_ECRYPTO. */
static const char *check_signature(const struct pkey_alg *a, const struct vector *v, struct span pk)
{
	const struct span msg = field(v, "msg"), sig = field(v, "sig"), ctx = field(v, "ctx");
	int r;

	if (pk.n != a->pk_len || sig.n != a->sig_len)
		return out_of_range;
	r = pkey_verify(a, pk.p, ctx.p != NULL ? &ctx : NULL, &msg, sig.p);
	if (result_is(v, "valid"))
		return r == 0 ? NULL : "refused";
	if (ctx.n > 255)
		return r != 0 ? NULL : "accepted";
	return r == PQC_EINTEGRITY ? NULL : "accepted, or not checked";
}

static const char *check_ed25519(const struct vector *v)
{
	const json_t *key = json_object_get(v->group, "publicKey");

	return check_signature(&pkey_ed25519, v,
			       hex_span(v, json_string_value(json_object_get(key, "pk"))));
}

static const char *check_mldsa65_verify(const struct vector *v)
{
	return check_signature(&pkey_mldsa65, v, group_field(v, "publicKey"));
}

static const char *check_mldsa87_verify(const struct vector *v)
{
	return check_signature(&pkey_mldsa87, v, group_field(v, "publicKey"));
}

/* The key's PKCS#8 form and public key, then a signature of its own and the vector's. */
static const char *check_seed(const struct pkey_alg *a, const struct vector *v, EVP_PKEY *k)
{
	const struct span pk = group_field(v, "publicKey"), der = group_field(v, "privateKeyPkcs8");
	const struct span msg = field(v, "msg"), ctx = field(v, "ctx");
	const struct span *c = ctx.p != NULL ? &ctx : NULL;
	uint8_t *own = arena_get(v->arena, a->pk_len), *sig = arena_get(v->arena, a->sig_len);
	int r;

	if (pkey_public(a, k, own) != 0 || !same(own, pk))
		return "another public key";
	if (der.p != NULL && /* some groups have none */
	    (der.n != a->file.n + a->secret_len || memcmp(der.p, a->file.p, a->file.n) != 0))
		return "another PKCS#8 form";
	if (json_object_get(v->test, "msg") == NULL)
		return NULL; /* signs a hash (mu), which this API does not */
	r = pkey_sign(a, k, c, &msg, sig);
	if (!result_is(v, "valid"))
		return r != 0 ? NULL : "signed";
	if (r != 0 || pkey_verify(a, own, c, &msg, sig) != 0)
		return "its own signature is not valid";
	return check_signature(a, v, pk);
}

static const char *check_sign(const struct pkey_alg *a, const struct vector *v)
{
	const struct span seed = group_field(v, "privateSeed");
	EVP_PKEY *k = NULL;
	const char *verdict;

	if (seed.n != a->secret_len)
		return out_of_range;
	if (pkey_from_secret(a, seed.p, &k) != 0)
		return "no key of this seed";
	verdict = check_seed(a, v, k);
	EVP_PKEY_free(k);
	return verdict;
}

static const char *check_mldsa65_sign(const struct vector *v)
{
	return check_sign(&pkey_mldsa65, v);
}

static const char *check_mldsa87_sign(const struct vector *v)
{
	return check_sign(&pkey_mldsa87, v);
}

static void test_ed25519(void **state)
{
	(void)state;
	run_wycheproof("wycheproof/ed25519_test.json", check_ed25519);
}

static void test_mldsa65_verify(void **state)
{
	(void)state;
	run_wycheproof("wycheproof/mldsa_65_verify_test.json", check_mldsa65_verify);
}

static void test_mldsa87_verify(void **state)
{
	(void)state;
	run_wycheproof("wycheproof/mldsa_87_verify_test.json", check_mldsa87_verify);
}

static void test_mldsa65_sign(void **state)
{
	(void)state;
	run_wycheproof("wycheproof/mldsa_65_sign_seed_test.json", check_mldsa65_sign);
}

static void test_mldsa87_sign(void **state)
{
	(void)state;
	run_wycheproof("wycheproof/mldsa_87_sign_seed_test.json", check_mldsa87_sign);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ed25519),	       cmocka_unit_test(test_mldsa65_verify),
		cmocka_unit_test(test_mldsa87_verify), cmocka_unit_test(test_mldsa65_sign),
		cmocka_unit_test(test_mldsa87_sign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
