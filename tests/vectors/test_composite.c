/* id-MLDSA65-Ed25519-SHA512, from the vectors of draft-ietf-lamps-pq-composite-sigs. */
#include "vectors.h"

#include "crypto/sign.h"
#include "crypto/sign_internal.h"

static struct span base64_field(const json_t *o, const char *name, struct arena *a)
{
	const char *s = json_string_value(json_object_get(o, name));
	struct buf b = BUF_INIT(1 << 20);
	struct span out;

	assert_non_null(s);
	assert_int_equal(base64_decode(&b, s, strlen(s)), 0);
	out = (struct span){arena_get(a, b.len), b.len};
	memcpy(a->p[a->n - 1], b.p, b.len);
	buf_free(&b);
	return out;
}

/* The vector's key signs what verifies under its public key, and its signatures verify. */
static const char *check(const json_t *root, const json_t *test, struct arena *a)
{
	const struct suite *s = suite_by_id(SUITE_KYBER768);
	const struct span m = base64_field(root, "m", a), ctx = base64_field(root, "ctx", a);
	const struct span pk = base64_field(test, "pk", a), sk = base64_field(test, "sk", a);
	const struct span sig = base64_field(test, "s", a),
			  with = base64_field(test, "sWithContext", a);
	uint8_t own[SIG_PK_MAX], made[SIG_MAX];
	struct sign_key *k = NULL;
	bool ok;

	assert_int_equal(pk.n, s->sig_pk_len);
	assert_int_equal(sig.n, s->sig_len);
	assert_int_equal(with.n, s->sig_len);
	assert_int_equal(sk.n, 64);
	if (sign_verify(s, pk.p, "", &m, sig.p) != 0)
		return "its signature was refused";
	if (sign_verify(s, pk.p, ctx.p, &m, with.p) != 0)
		return "its signature with a context was refused";
	if (sign_verify(s, pk.p, "", &m, with.p) != PQC_EINTEGRITY ||
	    sign_verify(s, pk.p, ctx.p, &m, sig.p) != PQC_EINTEGRITY)
		return "the context does not matter";
	if (sign_from_secrets(s, sk.p, (const uint8_t *)sk.p + 32, &k) != 0)
		return "no such key";
	ok = sign_public(k, own) == 0 && same(own, pk) && sign_make(k, ctx.p, &m, made) == 0 &&
	     sign_verify(s, pk.p, ctx.p, &m, made) == 0;
	/* Ed25519 is deterministic: that half is the vector's to the byte. */
	ok = ok && memcmp(made + 3309, (const uint8_t *)with.p + 3309, 64) == 0;
	sign_free(k);
	return ok ? NULL : "its key signs otherwise";
}

static void test_composite(void **state)
{
	json_t *root = load_vectors("composite/testvectors.json"), *test;
	struct arena arena = {.n = 0};
	struct tally t = {0, 0};
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(root, "tests"), i, test)
	{
		const char *id = json_string_value(json_object_get(test, "tcId"));

		if (strcmp(id, "id-MLDSA65-Ed25519-SHA512") != 0)
			tally_add(&t, id, (long long)i, out_of_range);
		else
			tally_add(&t, id, (long long)i, check(root, test, &arena));
		arena_clear(&arena);
	}
	tally_end(&t, "composite/testvectors.json");
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_composite)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
