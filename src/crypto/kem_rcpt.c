/*
 * The recipient KEMs: X-Wing (draft-connolly-cfrg-xwing-kem-10, but that the
 * two private keys are stored, not the seed from which the draft expands them)
 * and ML-KEM-1024 + P-384 (docs/container.md).
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/kem_internal.h"
#include "crypto/secmem.h"

static const struct rcpt_kem xwing = {&pkey_mlkem768, &pkey_x25519, false};
static const struct rcpt_kem p384_mlkem1024 = {&pkey_mlkem1024, &pkey_p384, true};

const struct rcpt_kem *rcpt_kem_of(const struct suite *s)
{
	return s->id == SUITE_KYBER1024 ? &p384_mlkem1024 : &xwing;
}

/* Where the two parts of a public key or a ciphertext begin, given the first's length. */
static size_t pq_offset(const struct rcpt_kem *m)
{
	return m->classic_first ? m->classic->pk_len : 0;
}

static size_t classic_offset(const struct rcpt_kem *m, size_t pq_len)
{
	return m->classic_first ? 0 : pq_len;
}

int kem_rcpt_from_secrets(const struct suite *s, const uint8_t *pq, const uint8_t *classic,
			  struct kem_key **out)
{
	const struct rcpt_kem *m = rcpt_kem_of(s);
	struct kem_key *k = calloc(1, sizeof *k);
	int r;

	if (k == NULL)
		return PQC_ENOMEM;
	k->s = s;
	if ((r = pkey_from_secret(m->pq, pq, &k->pq)) != 0 ||
	    (r = pkey_from_secret(m->classic, classic, &k->classic)) != 0) {
		kem_free(k);
		return r;
	}
	*out = k;
	return 0;
}

int kem_rcpt_generate(const struct suite *s, struct kem_key **out)
{
	const size_t n = (size_t)2 * PKEY_SECRET_MAX;
	uint8_t *secret = secret_alloc(n);
	int r;

	if (secret == NULL)
		return PQC_ENOMEM;
	/*
	 * 48 random bytes are no P-384 key with a probability below 2^-189: then this fails,
	 * rather than hold a loop that no test reaches (FIPS 186-5 appendix A.2.2).
	 */
	if ((r = random_bytes(secret, n)) == 0)
		r = kem_rcpt_from_secrets(s, secret, secret + PKEY_SECRET_MAX, out);
	secret_free(secret, n);
	return r == PQC_EINTEGRITY ? PQC_ECRYPTO : r;
}

int kem_rcpt_public(const struct kem_key *k, uint8_t *pk)
{
	const struct rcpt_kem *m = rcpt_kem_of(k->s);
	int r;

	if ((r = pkey_public(m->pq, k->pq, pk + pq_offset(m))) != 0)
		return r;
	return pkey_public(m->classic, k->classic, pk + classic_offset(m, m->pq->pk_len));
}

/* What goes into the shared secret; ct and pk are the classic parts of ciphertext and public key. */
struct shares {
	uint8_t pq[32], classic[48];
	const uint8_t *ct, *pk;
};

/* Section 5.3 of the X-Wing draft. */
static int xwing_combine(const struct shares *in, uint8_t *ss)
{
	static const uint8_t label[6] = {'\\', '.', '/', '/', '^', '\\'};
	EVP_MD *sha3 = EVP_MD_fetch(NULL, "SHA3-256", NULL);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	int r = PQC_ECRYPTO;

	if (sha3 != NULL && c != NULL && EVP_DigestInit_ex(c, sha3, NULL) == 1 &&
	    EVP_DigestUpdate(c, in->pq, 32) == 1 && EVP_DigestUpdate(c, in->classic, 32) == 1 &&
	    EVP_DigestUpdate(c, in->ct, 32) == 1 && EVP_DigestUpdate(c, in->pk, 32) == 1 &&
	    EVP_DigestUpdate(c, label, sizeof label) == 1 && EVP_DigestFinal_ex(c, ss, NULL) == 1)
		r = 0;
	EVP_MD_CTX_free(c);
	EVP_MD_free(sha3);
	return r;
}

static int combine(const struct rcpt_kem *m, const struct shares *in, uint8_t *ss)
{
	if (m == &xwing)
		return xwing_combine(in, ss);
	memcpy(ss, in->classic, m->classic->ss_len);
	memcpy(ss + m->classic->ss_len, in->pq, m->pq->ss_len);
	return 0;
}

int kem_rcpt_encap_with(const struct suite *s, const uint8_t *pk, const uint8_t *entropy,
			uint8_t *ct, uint8_t *ss)
{
	const struct rcpt_kem *m = rcpt_kem_of(s);
	uint8_t *classic_ct = ct + classic_offset(m, m->pq->ct_len);
	struct shares in = {.ct = classic_ct, .pk = pk + classic_offset(m, m->pq->pk_len)};
	EVP_PKEY *pq = NULL, *ephemeral = NULL;
	int r;

	if ((r = pkey_from_secret(m->classic, entropy + 32, &ephemeral)) != 0) {
		r = PQC_ECRYPTO; /* not the public key's fault */
		goto out;
	}
	if ((r = pkey_from_public(m->pq, pk + pq_offset(m), &pq)) == 0 &&
	    (r = pkey_encap(m->pq, pq, entropy, ct + pq_offset(m), in.pq)) == 0 &&
	    (r = pkey_public(m->classic, ephemeral, classic_ct)) == 0 &&
	    (r = pkey_dh(m->classic, ephemeral, in.pk, in.classic)) == 0)
		r = combine(m, &in, ss);
out:
	EVP_PKEY_free(pq);
	EVP_PKEY_free(ephemeral);
	secret_wipe(&in, sizeof in);
	return r;
}

int kem_rcpt_encap(const struct suite *s, const uint8_t *pk, uint8_t *ct, uint8_t *ss)
{
	uint8_t entropy[KEM_ENTROPY_MAX];
	int r;

	if ((r = random_bytes(entropy, sizeof entropy)) == 0)
		r = kem_rcpt_encap_with(s, pk, entropy, ct, ss);
	secret_wipe(entropy, sizeof entropy);
	return r;
}

int kem_rcpt_decap(const struct kem_key *k, const uint8_t *ct, uint8_t *ss)
{
	const struct rcpt_kem *m = rcpt_kem_of(k->s);
	uint8_t pk[97]; /* of the classic part, P-384 being the longer */
	struct shares in = {.ct = ct + classic_offset(m, m->pq->ct_len), .pk = pk};
	int r;

	if ((r = pkey_public(m->classic, k->classic, pk)) == 0 &&
	    (r = pkey_decap(m->pq, k->pq, ct + pq_offset(m), in.pq)) == 0 &&
	    (r = pkey_dh(m->classic, k->classic, in.ct, in.classic)) == 0)
		r = combine(m, &in, ss);
	secret_wipe(&in, sizeof in);
	return kem_verdict(r, ss, k->s->rcpt_ss_len);
}
