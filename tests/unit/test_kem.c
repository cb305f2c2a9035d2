#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "crypto/kem.h"
#include "crypto/kem_internal.h"
#include "crypto/secmem.h"

/* Both KEMs of a suite behind one face. */
struct kem {
	const struct suite *s;
	size_t pk_len, ct_len, ss_len, point; /* point: where the classic share begins in ct */
	bool handshake;
	struct kem_key *k;
	uint8_t pk[KEM_PK_MAX];
};

static void kem_open(struct kem *m, unsigned suite, bool handshake)
{
	const struct suite *s = suite_by_id(suite);

	*m = (struct kem){.s = s, .handshake = handshake};
	m->pk_len = handshake ? s->hs_pk_len : s->rcpt_pk_len;
	m->ct_len = handshake ? s->hs_ct_len : s->rcpt_ct_len;
	m->ss_len = handshake ? s->hs_ss_len : s->rcpt_ss_len;
	m->point = suite == SUITE_KYBER1024 ? 0 : 1088;
	if (handshake) {
		assert_int_equal(kem_hs_generate(s, &m->k, m->pk), 0);
		return;
	}
	assert_int_equal(kem_rcpt_generate(s, &m->k), 0);
	assert_int_equal(kem_rcpt_public(m->k, m->pk), 0);
}

static int encap(const struct kem *m, const uint8_t *pk, uint8_t *ct, uint8_t *ss)
{
	return m->handshake ? kem_hs_encap(m->s, pk, ct, ss) : kem_rcpt_encap(m->s, pk, ct, ss);
}

static int decap(const struct kem *m, const uint8_t *ct, uint8_t *ss)
{
	return m->handshake ? kem_hs_decap(m->k, ct, ss) : kem_rcpt_decap(m->k, ct, ss);
}

static void for_each_kem(void (*test)(const struct kem *m))
{
	for (unsigned suite = SUITE_KYBER768; suite <= SUITE_KYBER1024; suite++) {
		for (int handshake = 0; handshake < 2; handshake++) {
			struct kem m;

			kem_open(&m, suite, handshake == 1);
			test(&m);
			kem_free(m.k);
		}
	}
}

static void roundtrip(const struct kem *m)
{
	uint8_t ct[KEM_CT_MAX + 1], ss[KEM_SS_MAX + 1], again[KEM_SS_MAX + 1], ct2[KEM_CT_MAX];

	ct[m->ct_len] = ss[m->ss_len] = again[m->ss_len] = 0x5a;
	assert_int_equal(encap(m, m->pk, ct, ss), 0);
	assert_int_equal(decap(m, ct, again), 0);
	assert_memory_equal(ss, again, m->ss_len);
	/* not a byte more is written than the suite says */
	assert_int_equal(ct[m->ct_len], 0x5a);
	assert_int_equal(ss[m->ss_len], 0x5a);
	assert_int_equal(again[m->ss_len], 0x5a);
	/* fresh every time, in both halves */
	assert_int_equal(encap(m, m->pk, ct2, again), 0);
	assert_memory_not_equal(ct, ct2, 32);
	assert_memory_not_equal(ct + m->ct_len - 32, ct2 + m->ct_len - 32, 32);
	assert_memory_not_equal(ss, again, m->ss_len);
}

static void test_roundtrip(void **state)
{
	(void)state;
	for_each_kem(roundtrip);
}

/* A changed ciphertext gives 0 and another secret, whichever half was changed. */
static void assert_other_secret(const struct kem *m, const uint8_t *ct, const uint8_t *ss)
{
	uint8_t got[KEM_SS_MAX] = {0}, zero[KEM_SS_MAX] = {0};

	assert_int_equal(decap(m, ct, got), 0);
	assert_memory_not_equal(got, ss, m->ss_len);
	assert_memory_not_equal(got, zero, m->ss_len);
	assert_int_equal(ERR_peek_error(), 0); /* nor is a trace left for the next to stumble on */
}

static void bit_flips(const struct kem *m)
{
	uint8_t ct[KEM_CT_MAX], ss[KEM_SS_MAX];

	assert_int_equal(encap(m, m->pk, ct, ss), 0);
	for (size_t i = 0; i < m->ct_len; i += i < 100 || i + 100 > m->ct_len ? 1 : 17) {
		/* X25519 ignores the top bit of a share (RFC 7748 section 5). */
		uint8_t bit = i == m->point + 31 ? 0x01 : 0x80;

		ct[i] ^= bit;
		assert_other_secret(m, ct, ss);
		ct[i] ^= bit;
	}
	assert_int_equal(decap(m, ct, ss), 0);
}

static void test_bit_flips(void **state)
{
	(void)state;
	for_each_kem(bit_flips);
}

/* Shares that are none: zero, off the curve, other encodings of a point. */
static void malformed_shares(const struct kem *m)
{
	uint8_t ct[KEM_CT_MAX], good[KEM_CT_MAX], ss[KEM_SS_MAX], first[KEM_SS_MAX],
		second[KEM_SS_MAX];
	const size_t n = m->s->id == SUITE_KYBER1024 ? 97 : 32;

	assert_int_equal(encap(m, m->pk, good, ss), 0);
	memcpy(ct, good, m->ct_len);
	memset(ct + m->point, 0, n);
	assert_other_secret(m, ct, ss);
	memset(ct + m->point, 0xff, n);
	if (n == 97)
		assert_other_secret(m, ct, ss);
	if (n == 97) {
		static const uint8_t forms[] = {0x00, 0x02, 0x03, 0x05, 0x06, 0x07};

		for (size_t i = 0; i < sizeof forms; i++) {
			memcpy(ct, good, m->ct_len);
			ct[0] = forms[i];
			assert_other_secret(m, ct, ss);
		}
	}
	/* The secret is drawn anew: nothing can be learnt from it. */
	memcpy(ct, good, m->ct_len);
	memset(ct + m->point, 0, n);
	assert_int_equal(decap(m, ct, first), 0);
	assert_int_equal(decap(m, ct, second), 0);
	assert_memory_not_equal(first, second, m->ss_len);
}

static void test_malformed_shares(void **state)
{
	(void)state;
	for_each_kem(malformed_shares);
}

static void other_key(const struct kem *m)
{
	uint8_t ct[KEM_CT_MAX], ss[KEM_SS_MAX];
	struct kem other;

	kem_open(&other, m->s->id, m->handshake);
	assert_int_equal(encap(&other, other.pk, ct, ss), 0);
	assert_other_secret(m, ct, ss);
	kem_free(other.k);
}

static void test_other_key(void **state)
{
	(void)state;
	for_each_kem(other_key);
}

static void bad_public_keys(const struct kem *m)
{
	const bool p384 = m->s->id == SUITE_KYBER1024;
	const size_t pq = p384 ? 97 : 0, classic = p384 ? 0 : 1184;
	uint8_t pk[KEM_PK_MAX], ct[KEM_CT_MAX], ss[KEM_SS_MAX];

	/* a coefficient of 4095, beyond the modulus (FIPS 203 section 7.2) */
	memcpy(pk, m->pk, m->pk_len);
	pk[pq] = 0xff;
	pk[pq + 1] |= 0x0f;
	assert_int_equal(encap(m, pk, ct, ss), PQC_EINTEGRITY);
	/* the point of order 1, or no point */
	memcpy(pk, m->pk, m->pk_len);
	memset(pk + classic, 0, p384 ? 97 : 32);
	assert_int_equal(encap(m, pk, ct, ss), PQC_EINTEGRITY);
	if (p384) {
		memcpy(pk, m->pk, m->pk_len);
		pk[96] ^= 1; /* off the curve */
		assert_int_equal(encap(m, pk, ct, ss), PQC_EINTEGRITY);
		memcpy(pk, m->pk, m->pk_len);
		pk[0] = (uint8_t)(6 | (pk[96] & 1)); /* the same point in the hybrid form */
		assert_int_equal(encap(m, pk, ct, ss), PQC_EINTEGRITY);
	}
	assert_int_equal(ERR_peek_error(), 0);
	assert_int_equal(encap(m, m->pk, ct, ss), 0);
}

static void test_bad_public_keys(void **state)
{
	(void)state;
	for_each_kem(bad_public_keys);
}

/* The recipient KEM is a function of its randomness, and of all of it. */
static void test_encap_with(void **state)
{
	(void)state;
	for (unsigned suite = SUITE_KYBER768; suite <= SUITE_KYBER1024; suite++) {
		uint8_t a[KEM_CT_MAX], b[KEM_CT_MAX], sa[KEM_SS_MAX], sb[KEM_SS_MAX];
		uint8_t entropy[KEM_ENTROPY_MAX];
		struct kem m;

		kem_open(&m, suite, false);
		for (size_t i = 0; i < sizeof entropy; i++)
			entropy[i] = (uint8_t)(i + 1);
		assert_int_equal(kem_rcpt_encap_with(m.s, m.pk, entropy, a, sa), 0);
		assert_int_equal(kem_rcpt_encap_with(m.s, m.pk, entropy, b, sb), 0);
		assert_memory_equal(a, b, m.ct_len);
		assert_memory_equal(sa, sb, m.ss_len);
		for (size_t i = 0; i < 64; i += 32) {
			entropy[i + 1] ^= 1;
			assert_int_equal(kem_rcpt_encap_with(m.s, m.pk, entropy, b, sb), 0);
			assert_memory_not_equal(a, b, m.ct_len);
			assert_memory_not_equal(sa, sb, m.ss_len);
			entropy[i + 1] ^= 1;
		}
		kem_free(m.k);
	}
}

/* The P-384 numbers that are no private keys (SEC 1 section 3.2.1). */
static void test_p384_range(void **state)
{
	static const uint8_t order[48] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2,
		0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};
	uint8_t n[48] = {0}, back[48];
	EVP_PKEY *k = NULL;

	(void)state;
	assert_int_equal(pkey_from_secret(&pkey_p384, n, &k), PQC_EINTEGRITY);
	assert_int_equal(pkey_from_secret(&pkey_p384, order, &k), PQC_EINTEGRITY);
	memset(n, 0xff, sizeof n);
	assert_int_equal(pkey_from_secret(&pkey_p384, n, &k), PQC_EINTEGRITY);
	memcpy(n, order, sizeof n);
	n[47]--;
	assert_int_equal(pkey_from_secret(&pkey_p384, n, &k), 0);
	EVP_PKEY_free(k);
	memset(n, 0, sizeof n);
	n[47] = 1;
	assert_int_equal(pkey_from_secret(&pkey_p384, n, &k), 0);
	assert_int_equal(pkey_secret(&pkey_p384, k, back), 0); /* with its leading zeros */
	assert_memory_equal(n, back, sizeof n);
	EVP_PKEY_free(k);
}

static void test_secret_roundtrip(void **state)
{
	static const struct pkey_alg *const all[] = {
		&pkey_mldsa65,	 &pkey_mldsa87, &pkey_ed25519, &pkey_mlkem768,
		&pkey_mlkem1024, &pkey_x25519,	&pkey_p384,
	};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		uint8_t secret[PKEY_SECRET_MAX], back[PKEY_SECRET_MAX], pk[SIG_PK_MAX];
		EVP_PKEY *k = NULL, *pub = NULL;

		assert_int_equal(random_bytes(secret, sizeof secret), 0);
		secret[0] &= 0x7f;
		assert_true(all[i]->file.n + all[i]->secret_len + all[i]->point.n +
				    (all[i]->point.n > 0 ? all[i]->pk_len : 0) <=
			    PKEY_DER_MAX);
		assert_int_equal(pkey_from_secret(all[i], secret, &k), 0);
		assert_int_equal(pkey_secret(all[i], k, back), 0);
		assert_memory_equal(secret, back, all[i]->secret_len);
		assert_int_equal(pkey_public(all[i], k, pk), 0);
		assert_int_equal(pkey_from_public(all[i], pk, &pub), 0);
		assert_int_equal(EVP_PKEY_eq(k, pub), 1);
		EVP_PKEY_free(k);
		EVP_PKEY_free(pub);
	}
}

/* Why hybrids serve as ephemeral keys only. Says so when OpenSSL learns to store them. */
static void test_hybrids_are_not_stored(void **state)
{
	(void)state;
	for (unsigned suite = SUITE_KYBER768; suite <= SUITE_KYBER1024; suite++) {
		unsigned char *der = NULL;
		struct kem m;

		kem_open(&m, suite, true);
		assert_true(i2d_PrivateKey(m.k->pq, &der) <= 0);
		OPENSSL_free(der);
		ERR_clear_error();
		kem_free(m.k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip),
		cmocka_unit_test(test_bit_flips),
		cmocka_unit_test(test_malformed_shares),
		cmocka_unit_test(test_other_key),
		cmocka_unit_test(test_bad_public_keys),
		cmocka_unit_test(test_encap_with),
		cmocka_unit_test(test_p384_range),
		cmocka_unit_test(test_secret_roundtrip),
		cmocka_unit_test(test_hybrids_are_not_stored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
