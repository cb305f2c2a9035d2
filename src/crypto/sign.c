#include "crypto/sign.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/secmem.h"
#include "crypto/sign_internal.h"

static const struct sign_parts composite = {&pkey_mldsa65, &pkey_ed25519};
static const struct sign_parts pure = {&pkey_mldsa87, NULL};

const struct sign_parts *sign_parts_of(const struct suite *s)
{
	return s->id == SUITE_KYBER1024 ? &pure : &composite;
}

int sign_from_secrets(const struct suite *s, const uint8_t *pq, const uint8_t *classic,
		      struct sign_key **out)
{
	const struct sign_parts *m = sign_parts_of(s);
	struct sign_key *k = calloc(1, sizeof *k);
	int r;

	if (k == NULL)
		return PQC_ENOMEM;
	k->s = s;
	if ((r = pkey_from_secret(m->pq, pq, &k->pq)) != 0 ||
	    (m->classic != NULL && (r = pkey_from_secret(m->classic, classic, &k->classic)) != 0)) {
		sign_free(k);
		return r;
	}
	*out = k;
	return 0;
}

int sign_generate(const struct suite *s, struct sign_key **out)
{
	const size_t n = (size_t)2 * PKEY_SECRET_MAX;
	uint8_t *secret = secret_alloc(n);
	int r;

	if (secret == NULL)
		return PQC_ENOMEM;
	if ((r = random_bytes(secret, n)) == 0)
		r = sign_from_secrets(s, secret, secret + PKEY_SECRET_MAX, out);
	secret_free(secret, n);
	return r;
}

void sign_free(struct sign_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pq);
	EVP_PKEY_free(k->classic);
	free(k);
}

int sign_public(const struct sign_key *k, uint8_t *pk)
{
	const struct sign_parts *m = sign_parts_of(k->s);
	int r;

	if ((r = pkey_public(m->pq, k->pq, pk)) != 0 || m->classic == NULL)
		return r;
	return pkey_public(m->classic, k->classic, pk + m->pq->pk_len);
}

/*
 * draft-ietf-lamps-pq-composite-sigs section 3.2: what both parts sign,
 * M' = Prefix | Label | len(ctx) | ctx | SHA-512(M).
 */
static const char prefix[] = "CompositeAlgorithmSignatures2025";
static const char label_text[] = "COMPSIG-MLDSA65-Ed25519-SHA512";
static const struct span label = {label_text, sizeof label_text - 1};

#define PREFIX_LEN (sizeof prefix - 1)
#define LABEL_LEN  (sizeof label_text - 1)

struct representative {
	uint8_t bytes[PREFIX_LEN + LABEL_LEN + 1 + 255 + SHA512_LEN];
	struct span span;
};

static int represent(const char *ctx, const struct span *msg, struct representative *m)
{
	size_t ctx_len = strlen(ctx);
	uint8_t *p = m->bytes;

	memcpy(p, prefix, PREFIX_LEN);
	p += PREFIX_LEN;
	memcpy(p, label_text, LABEL_LEN);
	p += LABEL_LEN;
	*p++ = (uint8_t)ctx_len;
	memcpy(p, ctx, ctx_len);
	p += ctx_len;
	m->span = (struct span){m->bytes, (size_t)(p - m->bytes) + SHA512_LEN};
	return sha512(msg, 1, p);
}

int sign_make(const struct sign_key *k, const char *ctx, const struct span *msg, uint8_t *sig)
{
	const struct sign_parts *m = sign_parts_of(k->s);
	const struct span c = {ctx, strlen(ctx)};
	struct representative rep;
	int r;

	if (c.n > 255)
		return PQC_ECRYPTO;
	if (m->classic == NULL)
		return pkey_sign(m->pq, k->pq, &c, msg, sig);
	if ((r = represent(ctx, msg, &rep)) != 0 ||
	    (r = pkey_sign(m->pq, k->pq, &label, &rep.span, sig)) != 0)
		return r;
	return pkey_sign(m->classic, k->classic, NULL, &rep.span, sig + m->pq->sig_len);
}

int sign_verify(const struct suite *s, const uint8_t *pk, const char *ctx, const struct span *msg,
		const uint8_t *sig)
{
	const struct sign_parts *m = sign_parts_of(s);
	const struct span c = {ctx, strlen(ctx)};
	struct representative rep;
	int r, pq, classic;

	if (c.n > 255)
		return PQC_ECRYPTO;
	if (m->classic == NULL)
		return pkey_verify(m->pq, pk, &c, msg, sig);
	if ((r = represent(ctx, msg, &rep)) != 0)
		return r;
	pq = pkey_verify(m->pq, pk, &label, &rep.span, sig);
	classic =
		pkey_verify(m->classic, pk + m->pq->pk_len, NULL, &rep.span, sig + m->pq->sig_len);
	if (pq == PQC_EINTEGRITY || classic == PQC_EINTEGRITY)
		return PQC_EINTEGRITY;
	return pq != 0 ? pq : classic;
}
