#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "crypto/sign.h"
#include "crypto/sign_internal.h"

static const struct span message = {"the message", 11};

struct signer {
	const struct suite *s;
	struct sign_key *k;
	uint8_t pk[SIG_PK_MAX + 1], sig[SIG_MAX + 1];
};

static void signer_open(struct signer *x, unsigned suite)
{
	x->s = suite_by_id(suite);
	assert_int_equal(sign_generate(x->s, &x->k), 0);
	x->pk[x->s->sig_pk_len] = x->sig[x->s->sig_len] = 0x5a;
	assert_int_equal(sign_public(x->k, x->pk), 0);
	assert_int_equal(sign_make(x->k, "ctx", &message, x->sig), 0);
	assert_int_equal(x->pk[x->s->sig_pk_len], 0x5a);
	assert_int_equal(x->sig[x->s->sig_len], 0x5a);
}

static int verify(const struct signer *x)
{
	return sign_verify(x->s, x->pk, "ctx", &message, x->sig);
}

static void for_each_suite(void (*test)(struct signer *x))
{
	for (unsigned suite = SUITE_KYBER768; suite <= SUITE_KYBER1024; suite++) {
		struct signer x;

		signer_open(&x, suite);
		test(&x);
		assert_int_equal(verify(&x), 0); /* as found */
		assert_int_equal(ERR_peek_error(), 0);
		sign_free(x.k);
	}
}

static void wrong_inputs(struct signer *x)
{
	static const char *const contexts[] = {"", "ct", "ctxx", "cty"};
	const struct span shorter = {message.p, message.n - 1}, other = {"the messagf", 11};
	const struct span empty = {NULL, 0};

	assert_int_equal(verify(x), 0);
	for (size_t i = 0; i < sizeof contexts / sizeof contexts[0]; i++)
		assert_int_equal(sign_verify(x->s, x->pk, contexts[i], &message, x->sig),
				 PQC_EINTEGRITY);
	assert_int_equal(sign_verify(x->s, x->pk, "ctx", &shorter, x->sig), PQC_EINTEGRITY);
	assert_int_equal(sign_verify(x->s, x->pk, "ctx", &other, x->sig), PQC_EINTEGRITY);
	assert_int_equal(sign_verify(x->s, x->pk, "ctx", &empty, x->sig), PQC_EINTEGRITY);
}

static void test_wrong_inputs(void **state)
{
	(void)state;
	for_each_suite(wrong_inputs);
}

static void edge_inputs(struct signer *x)
{
	const struct span empty = {NULL, 0};
	uint8_t sig[SIG_MAX];
	char ctx[257];

	assert_int_equal(sign_make(x->k, "", &empty, sig), 0);
	assert_int_equal(sign_verify(x->s, x->pk, "", &empty, sig), 0);
	assert_int_equal(sign_verify(x->s, x->pk, "x", &empty, sig), PQC_EINTEGRITY);
	memset(ctx, 'c', sizeof ctx);
	ctx[255] = '\0';
	assert_int_equal(sign_make(x->k, ctx, &message, sig), 0);
	assert_int_equal(sign_verify(x->s, x->pk, ctx, &message, sig), 0);
	ctx[255] = 'c';
	ctx[256] = '\0';
	assert_int_equal(sign_make(x->k, ctx, &message, sig), PQC_ECRYPTO);
	assert_int_equal(sign_verify(x->s, x->pk, ctx, &message, sig), PQC_ECRYPTO);
}

static void test_edge_inputs(void **state)
{
	(void)state;
	for_each_suite(edge_inputs);
}

static void bit_flips(struct signer *x)
{
	for (size_t i = 0; i<x->s->sig_len; i += i + 200> x->s->sig_len ? 1 : 41) {
		x->sig[i] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(verify(x), PQC_EINTEGRITY);
		x->sig[i] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i<x->s->sig_pk_len; i += i + 64> x->s->sig_pk_len ? 1 : 41) {
		x->pk[i] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(verify(x), PQC_EINTEGRITY);
		x->pk[i] ^= (uint8_t)(1 << i % 8);
	}
}

static void test_bit_flips(void **state)
{
	(void)state;
	for_each_suite(bit_flips);
}

/* One half of a composite is never enough, nor do halves of two signers make a signature. */
static void test_composite_halves(void **state)
{
	const size_t pq_sig = pkey_mldsa65.sig_len, pq_pk = pkey_mldsa65.pk_len;
	struct signer x, y;
	uint8_t kept[SIG_MAX];

	(void)state;
	signer_open(&x, SUITE_KYBER768);
	signer_open(&y, SUITE_KYBER768);
	memcpy(kept, x.sig, x.s->sig_len);

	memset(x.sig, 0, pq_sig); /* only Ed25519 */
	assert_int_equal(verify(&x), PQC_EINTEGRITY);
	memcpy(x.sig, y.sig, pq_sig);
	assert_int_equal(verify(&x), PQC_EINTEGRITY);
	memcpy(x.sig, kept, x.s->sig_len);

	memset(x.sig + pq_sig, 0, 64); /* only ML-DSA */
	assert_int_equal(verify(&x), PQC_EINTEGRITY);
	memcpy(x.sig + pq_sig, y.sig + pq_sig, 64);
	assert_int_equal(verify(&x), PQC_EINTEGRITY);
	memcpy(x.sig, kept, x.s->sig_len);

	memcpy(x.pk + pq_pk, y.pk + pq_pk, 32); /* the public key's halves likewise */
	assert_int_equal(verify(&x), PQC_EINTEGRITY);
	sign_free(x.k);
	sign_free(y.k);
}

/* A half is no signature by itself of the same message: each signs the composite's M'. */
static void test_halves_are_separate(void **state)
{
	const struct span ctx = {"ctx", 3};
	struct signer x;

	(void)state;
	signer_open(&x, SUITE_KYBER768);
	assert_int_equal(pkey_verify(&pkey_mldsa65, x.pk, &ctx, &message, x.sig), PQC_EINTEGRITY);
	assert_int_equal(pkey_verify(&pkey_mldsa65, x.pk, NULL, &message, x.sig), PQC_EINTEGRITY);
	assert_int_equal(pkey_verify(&pkey_ed25519, x.pk + pkey_mldsa65.pk_len, NULL, &message,
				     x.sig + pkey_mldsa65.sig_len),
			 PQC_EINTEGRITY);
	sign_free(x.k);
}

static void hedged(struct signer *x)
{
	uint8_t again[SIG_MAX];

	assert_int_equal(sign_make(x->k, "ctx", &message, again), 0);
	assert_memory_not_equal(again, x->sig, 64);
	assert_int_equal(sign_verify(x->s, x->pk, "ctx", &message, again), 0);
}

static void test_hedged(void **state)
{
	(void)state;
	for_each_suite(hedged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_inputs),	    cmocka_unit_test(test_edge_inputs),
		cmocka_unit_test(test_bit_flips),	    cmocka_unit_test(test_composite_halves),
		cmocka_unit_test(test_halves_are_separate), cmocka_unit_test(test_hedged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
