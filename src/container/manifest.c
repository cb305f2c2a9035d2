#include "container/manifest.h"

#include <string.h>

#include "crypto/secmem.h"

static const char magic[4] = {'p', 'q', 'x', 'm'};
static const char context[] = "pqx1 manifest";

#define MAC_LEN 32

enum { AUTH_MAC = 0, AUTH_SIGNED = 1 };

/* All bytes before the mac, after "pqx1 manifest" | 00 (the label's own NUL). */
static int manifest_mac(const struct pqx_keys *k, const uint8_t *p, size_t n, uint8_t mac[MAC_LEN])
{
	const struct span in[] = {{context, sizeof(context)}, {p, n}};

	return hmac512_256(k->meta, in, 2, mac);
}

size_t pqx_manifest_len(const struct suite *s, bool is_signed)
{
	const size_t fields = sizeof(magic) + 2 + SHA512_LEN + 8 + 8 + s->hash_len + 8 + 1;

	return fields + (is_signed ? 4 + s->sig_pk_len + 4 + s->sig_len : MAC_LEN);
}

static void put_fields(const struct pqx_header *h, const struct pqx_manifest *m, struct buf *b)
{
	buf_put(b, magic, sizeof(magic));
	buf_put_u16(b, h->suite->id);
	buf_put(b, h->hc, SHA512_LEN);
	buf_put_u64(b, m->n);
	buf_put_u64(b, m->plain_size);
	buf_put(b, m->root, h->suite->hash_len);
	buf_put_u64(b, m->time);
}

static int put_signature(const struct identity *by, struct buf *b)
{
	const struct public_identity *pub = identity_public(by);
	uint8_t sig[SIG_MAX];
	int r;

	buf_put_u8(b, AUTH_SIGNED);
	buf_put_block(b, pub->sig_pk, pub->suite->sig_pk_len);
	if ((r = buf_error(b)) != 0)
		return r;
	r = sign_make(identity_sign_key(by), context, &(struct span){b->p, b->len}, sig);
	if (r != 0)
		return r;
	buf_put_block(b, sig, pub->suite->sig_len);
	return buf_error(b);
}

static int put_mac(const struct pqx_keys *k, struct buf *b)
{
	uint8_t mac[MAC_LEN];
	int r;

	buf_put_u8(b, AUTH_MAC);
	if ((r = buf_error(b)) != 0)
		return r;
	if ((r = manifest_mac(k, b->p, b->len, mac)) != 0)
		return r;
	buf_put(b, mac, MAC_LEN);
	return buf_error(b);
}

/* n and plain_size as the parts must have them. */
static bool sizes_ok(const struct pqx_header *h, const struct pqx_manifest *m)
{
	uint64_t n;

	if (h->plain_size != PQX_SIZE_UNKNOWN && h->plain_size != m->plain_size)
		return false;
	return pqx_part_count(h->part_size, m->plain_size, &n) == 0 && n == m->n;
}

/* The signer is the header's sender, and a stranger's suite cannot sign for this file. */
static bool signer_ok(const struct pqx_header *h, const struct identity *by)
{
	const struct public_identity *pub;

	if (by == NULL)
		return !pqx_header_is_signed(h);
	pub = identity_public(by);
	return pub->suite == h->suite && memcmp(pub->id, h->sender_id, ID_LEN) == 0;
}

int pqx_manifest_make(const struct pqx_header *h, const struct pqx_keys *k,
		      const struct identity *by, const struct pqx_manifest *m, struct buf *out)
{
	struct buf b = BUF_INIT(PQX_MANIFEST_MAX);
	int r;

	if (!sizes_ok(h, m) || !signer_ok(h, by))
		return PQC_EUSAGE;
	put_fields(h, m, &b);
	r = by != NULL ? put_signature(by, &b) : put_mac(k, &b);
	if (r == 0) {
		buf_put(out, b.p, b.len);
		r = buf_error(out);
	}
	buf_free(&b);
	return r;
}

static int check_signature(const struct pqx_header *h, const struct pqx_manifest *m,
			   const uint8_t *p, const uint8_t *sig)
{
	/* signed are all bytes before the signature's own L() */
	const size_t n = (size_t)(sig - p) - 4;
	uint8_t id[ID_LEN];
	int r;

	if ((r = identity_id(m->suite, m->sender_pk, id)) != 0)
		return r;
	if (memcmp(id, h->sender_id, ID_LEN) != 0)
		return PQC_EINTEGRITY;
	return sign_verify(m->suite, m->sender_pk, context, &(struct span){p, n}, sig);
}

static int check_mac(const struct pqx_keys *k, const uint8_t *p, const uint8_t *mac)
{
	uint8_t want[MAC_LEN];
	int r;

	if (k == NULL)
		return PQC_EINTEGRITY;
	if ((r = manifest_mac(k, p, (size_t)(mac - p), want)) != 0)
		return r;
	return secret_equal(want, mac, MAC_LEN) ? 0 : PQC_EINTEGRITY;
}

/* Fields and shape. *auth gets the signature or the mac, borrowed from p. */
static int decode(const struct pqx_header *h, const uint8_t *p, size_t n, struct pqx_manifest *m,
		  const uint8_t **auth)
{
	struct rd r = rd_init(p, n);
	const uint8_t *t = rd_bytes(&r, sizeof(magic)), *pk;
	size_t pk_len, sig_len;
	uint8_t kind;

	if (n > PQX_MANIFEST_MAX || t == NULL || memcmp(t, magic, sizeof(magic)) != 0)
		return PQC_EINTEGRITY;
	m->suite = suite_by_id(rd_u16(&r));
	if (m->suite != h->suite)
		return PQC_EINTEGRITY;
	rd_copy(&r, m->hc, SHA512_LEN);
	m->n = rd_u64(&r);
	m->plain_size = rd_u64(&r);
	rd_copy(&r, m->root, m->suite->hash_len);
	m->time = rd_u64(&r);
	kind = rd_u8(&r);
	if (kind > AUTH_SIGNED)
		return PQC_EINTEGRITY;
	m->is_signed = kind == AUTH_SIGNED;
	if (m->is_signed) {
		pk = rd_block(&r, SIG_PK_MAX, &pk_len);
		*auth = rd_block(&r, SIG_MAX, &sig_len);
		if (pk_len != m->suite->sig_pk_len || sig_len != m->suite->sig_len)
			return PQC_EINTEGRITY;
		memcpy(m->sender_pk, pk, pk_len);
	} else {
		*auth = rd_bytes(&r, MAC_LEN);
	}
	return rd_finish(&r);
}

int pqx_manifest_decode(const struct pqx_header *h, const uint8_t *p, size_t n,
			struct pqx_manifest *out)
{
	struct pqx_manifest m = {0};
	const uint8_t *auth;
	int r;

	if ((r = decode(h, p, n, &m, &auth)) == 0)
		*out = m;
	return r;
}

int pqx_manifest_check(const struct pqx_header *h, const struct pqx_keys *k, const uint8_t *p,
		       size_t n, struct pqx_manifest *out)
{
	struct pqx_manifest m = {0};
	const uint8_t *auth;
	int r;

	if ((r = decode(h, p, n, &m, &auth)) != 0)
		return r;
	if (memcmp(m.hc, h->hc, SHA512_LEN) != 0 || m.is_signed != pqx_header_is_signed(h))
		return PQC_EINTEGRITY;
	if (!sizes_ok(h, &m))
		return PQC_EINTEGRITY;
	r = m.is_signed ? check_signature(h, &m, p, auth) : check_mac(k, p, auth);
	if (r == 0)
		*out = m;
	return r;
}
