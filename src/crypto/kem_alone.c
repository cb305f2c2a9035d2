#include "crypto/kem_alone.h"

#include <string.h>

#include "crypto/kem_internal.h"
#include "crypto/keyder.h"
#include "crypto/pem.h"
#include "crypto/secmem.h"

static const char label[] = "pqx1 kem"; /* its NUL is hashed in the info, not in the salt */

static int shared_secret(const struct suite *s, const uint8_t *raw, const struct span *pk,
			 const struct span *ct, uint8_t out[KEY_LEN])
{
	uint8_t prk[PRK_LEN], h_pk[SHA512_LEN], h_ct[SHA512_LEN];
	const struct span info[] = {{label, sizeof(label)}, {h_pk, SHA512_LEN}, {h_ct, SHA512_LEN}};
	int r;

	if (s->id == SUITE_KYBER768) {
		memcpy(out, raw, KEY_LEN);
		return 0;
	}
	if ((r = sha512(pk, 1, h_pk)) == 0 && (r = sha512(ct, 1, h_ct)) == 0 &&
	    (r = hkdf_extract(label, sizeof(label) - 1, raw, s->rcpt_ss_len, prk)) == 0)
		r = hkdf_expand(prk, PRK_LEN, info, 3, out, KEY_LEN);
	secret_wipe(prk, sizeof(prk));
	return r;
}

int kem_alone_generate(const struct suite *s, struct buf *pk, struct buf *sk, struct err *e)
{
	const struct rcpt_kem *m = rcpt_kem_of(s);
	struct kem_key *k = NULL;
	uint8_t *p;
	int r;

	if ((r = kem_rcpt_generate(s, &k)) != 0)
		goto out;
	if ((p = buf_extend(pk, s->rcpt_pk_len)) == NULL) {
		r = buf_error(pk);
		goto out;
	}
	if ((r = kem_rcpt_public(k, p)) == 0 && (r = keyder_put_pem(sk, m->pq, k->pq)) == 0)
		r = keyder_put_pem(sk, m->classic, k->classic);
out:
	kem_free(k);
	return r != 0 ? err_set(e, r, "the key could not be made") : 0;
}

int kem_alone_encap(const struct suite *s, const struct span *pk, struct buf *ct,
		    uint8_t ss[KEY_LEN], struct err *e)
{
	uint8_t raw[KEM_SS_MAX], *p;
	int r;

	if (pk->n != s->rcpt_pk_len)
		return err_set(e, PQC_EINTEGRITY,
			       "a public key of %s has %zu bytes, this one has %zu", s->name,
			       s->rcpt_pk_len, pk->n);
	if ((p = buf_extend(ct, s->rcpt_ct_len)) == NULL)
		return err_set(e, buf_error(ct), "out of memory");
	if ((r = kem_rcpt_encap(s, pk->p, p, raw)) == 0)
		r = shared_secret(s, raw, pk, &(struct span){p, s->rcpt_ct_len}, ss);
	secret_wipe(raw, sizeof(raw));
	if (r == PQC_EINTEGRITY)
		err_set(e, r, "this is no public key of %s", s->name);
	else if (r != 0)
		err_set(e, r, "no secret could be made for this key");
	return r;
}

/* The next block of text must hold the one form of a key of a; the key itself comes after its head. */
static int read_key(struct pem *in, const struct pkey_alg *a, struct buf *der)
{
	if (pem_read(in, KEYDER_LABEL, der) != 0 || keyder_alg(der) != a)
		return PQC_EINTEGRITY;
	return 0;
}

/* A P-384 block also has the public key, which must be that of the private key. */
static int check_form(const struct pkey_alg *a, const EVP_PKEY *k, const struct buf *der)
{
	uint8_t again[PKEY_DER_MAX];
	int r = keyder_encode(a, k, again);

	if (r == 0 && !secret_equal(again, der->p, der->len))
		r = PQC_EINTEGRITY;
	secret_wipe(again, sizeof(again));
	return r;
}

static int decode(const struct suite *s, const struct span *sk, struct kem_key **out)
{
	const struct rcpt_kem *m = rcpt_kem_of(s);
	struct pem in = {sk->p, (const char *)sk->p + sk->n};
	struct buf pq = BUF_INIT(PKEY_DER_MAX), classic = BUF_INIT(PKEY_DER_MAX);
	struct kem_key *k = NULL;
	int r;

	if ((r = read_key(&in, m->pq, &pq)) != 0 || (r = read_key(&in, m->classic, &classic)) != 0)
		goto out;
	if (!pem_at_end(&in)) {
		r = PQC_EINTEGRITY;
		goto out;
	}
	if ((r = kem_rcpt_from_secrets(s, pq.p + m->pq->file.n, classic.p + m->classic->file.n,
				       &k)) != 0 ||
	    (r = check_form(m->classic, k->classic, &classic)) != 0)
		goto out;
	*out = k;
	k = NULL;
out:
	kem_free(k);
	buf_free(&pq);
	buf_free(&classic);
	return r;
}

int kem_alone_decap(const struct suite *s, const struct span *sk, const struct span *ct,
		    uint8_t ss[KEY_LEN], struct err *e)
{
	uint8_t raw[KEM_SS_MAX], pk[KEM_PK_MAX];
	struct kem_key *k = NULL;
	int r;

	if (ct->n != s->rcpt_ct_len)
		return err_set(e, PQC_EINTEGRITY,
			       "a ciphertext of %s has %zu bytes, this one has %zu", s->name,
			       s->rcpt_ct_len, ct->n);
	if ((r = decode(s, sk, &k)) != 0)
		return err_set(e, r,
			       "this is no private key of %s: two PEM blocks, as at the end "
			       "of a private key file",
			       s->name);
	if ((r = kem_rcpt_public(k, pk)) == 0 && (r = kem_rcpt_decap(k, ct->p, raw)) == 0)
		r = shared_secret(s, raw, &(struct span){pk, s->rcpt_pk_len}, ct, ss);
	secret_wipe(raw, sizeof(raw));
	kem_free(k);
	return r != 0 ? err_set(e, r, "the secret could not be found out") : 0;
}
