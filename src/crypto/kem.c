/* The handshake KEMs: OpenSSL's hybrids, draft-ietf-tls-ecdhe-mlkem. */
#include "crypto/kem.h"

#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>

#include "crypto/fault.h"
#include "crypto/kem_internal.h"
#include "crypto/secmem.h"

static struct pkey_alg hybrid_of(const struct suite *s)
{
	return (struct pkey_alg){
		.name = s->handshake_kem,
		.type = s->handshake_kem,
		.pk_len = s->hs_pk_len,
		.ct_len = s->hs_ct_len,
		.ss_len = s->hs_ss_len,
	};
}

/* TLS knows only uncompressed points (RFC 8446 section 4.2.8.2); OpenSSL reads other forms too. */
static bool point_form_ok(const struct suite *s, const uint8_t *share)
{
	return s->id != SUITE_KYBER1024 || share[0] == POINT_CONVERSION_UNCOMPRESSED;
}

int kem_hs_generate(const struct suite *s, struct kem_key **out, uint8_t *pk)
{
	struct kem_key *k = calloc(1, sizeof *k);
	size_t len = 0;
	int r;

	if (k == NULL)
		return PQC_ENOMEM;
	k->s = s;
	if ((r = fault_begin()) != 0)
		goto fail;
	/* A hybrid key has no "pub", only the encoded one. */
	r = fault_end((k->pq = EVP_PKEY_Q_keygen(NULL, NULL, s->handshake_kem)) != NULL &&
		      EVP_PKEY_get_octet_string_param(k->pq, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, pk,
						      s->hs_pk_len, &len) == 1 &&
		      len == s->hs_pk_len);
	if (r != 0)
		goto fail;
	*out = k;
	return 0;
fail:
	kem_free(k);
	return PQC_ECRYPTO;
}

int kem_hs_encap(const struct suite *s, const uint8_t *pk, uint8_t *ct, uint8_t *ss)
{
	const struct pkey_alg a = hybrid_of(s);
	EVP_PKEY *k = NULL;
	int r;

	if (!point_form_ok(s, pk))
		return PQC_EINTEGRITY;
	if ((r = pkey_from_public(&a, pk, &k)) == 0)
		r = pkey_encap(&a, k, NULL, ct, ss);
	EVP_PKEY_free(k);
	return r;
}

int kem_verdict(int r, uint8_t *ss, size_t ss_len)
{
	return r == PQC_EINTEGRITY ? random_bytes(ss, ss_len) : r;
}

int kem_hs_decap(const struct kem_key *k, const uint8_t *ct, uint8_t *ss)
{
	const struct pkey_alg a = hybrid_of(k->s);
	int r = PQC_EINTEGRITY;

	if (point_form_ok(k->s, ct))
		r = pkey_decap(&a, k->pq, ct, ss);
	return kem_verdict(r, ss, a.ss_len);
}

void kem_free(struct kem_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pq);
	EVP_PKEY_free(k->classic);
	free(k);
}
