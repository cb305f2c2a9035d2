/* Receipts and the PEM bundle that people keep (docs/container.md, "Receipt"). */
#include <string.h>

#include "container/manifest.h"
#include "crypto/pem.h"

static const char magic[4] = {'p', 'q', 'x', 'r'};
static const char context[] = "pqx1 receipt";

#define PEM_LABEL  "PQC RECEIPT"
#define BUNDLE_MAX (PQX_HEADER_LEN + 4 + PQX_MANIFEST_MAX + 4 + PQX_RECEIPT_MAX)
#define PEM_MAX	   (4 * (BUNDLE_MAX / 3 + 1) * (PEM_LINE + 2) / PEM_LINE + 128)

/* The bytes from "pqxr" up to and including time: what the server's log commits to. */
static void put_core(const struct pqx_receipt *r, struct buf *b)
{
	buf_put(b, magic, sizeof(magic));
	buf_put_u16(b, r->suite->id);
	buf_put(b, r->hc, SHA512_LEN);
	buf_put(b, r->manifest_hash, SHA512_LEN);
	buf_put(b, r->server_id, ID_LEN);
	buf_put(b, r->client_id, ID_LEN);
	buf_put_u64(b, r->time);
}

int pqx_receipt_core_hash(const struct pqx_receipt *r, uint8_t out[SHA512_LEN])
{
	struct buf b = BUF_INIT(PQX_RECEIPT_MAX);
	int rc;

	put_core(r, &b);
	if ((rc = buf_error(&b)) == 0)
		rc = sha512(&(struct span){b.p, b.len}, 1, out);
	buf_free(&b);
	return rc;
}

int pqx_receipt_make(const struct identity *by, const struct pqx_receipt *r, struct buf *out)
{
	const struct public_identity *pub = identity_public(by);
	struct buf b = BUF_INIT(PQX_RECEIPT_MAX);
	struct pqx_receipt own = *r;
	uint8_t sig[SIG_MAX];
	int rc;

	own.suite = pub->suite;
	memcpy(own.server_id, pub->id, ID_LEN);
	put_core(&own, &b);
	buf_put_u64(&b, own.log_index);
	buf_put_block(&b, own.log_root, own.suite->hash_len);
	buf_put_block(&b, pub->sig_pk, own.suite->sig_pk_len);
	if ((rc = buf_error(&b)) != 0)
		goto out;
	rc = sign_make(identity_sign_key(by), context, &(struct span){b.p, b.len}, sig);
	if (rc != 0)
		goto out;
	buf_put_block(&b, sig, own.suite->sig_len);
	if ((rc = buf_error(&b)) != 0)
		goto out;
	buf_put(out, b.p, b.len);
	rc = buf_error(out);
out:
	buf_free(&b);
	return rc;
}

/* Where the parts of a receipt lie that are not kept in its struct. Borrowed. */
struct receipt_tail {
	const uint8_t *pk, *sig;
};

static int decode(const uint8_t *p, size_t n, struct pqx_receipt *r, struct receipt_tail *t)
{
	struct rd rd = rd_init(p, n);
	const uint8_t *m = rd_bytes(&rd, sizeof(magic)), *root;
	size_t root_len, pk_len, sig_len;

	if (n > PQX_RECEIPT_MAX || m == NULL || memcmp(m, magic, sizeof(magic)) != 0)
		return PQC_EINTEGRITY;
	if ((r->suite = suite_by_id(rd_u16(&rd))) == NULL)
		return PQC_EINTEGRITY;
	rd_copy(&rd, r->hc, SHA512_LEN);
	rd_copy(&rd, r->manifest_hash, SHA512_LEN);
	rd_copy(&rd, r->server_id, ID_LEN);
	rd_copy(&rd, r->client_id, ID_LEN);
	r->time = rd_u64(&rd);
	r->log_index = rd_u64(&rd);
	root = rd_block(&rd, HASH_MAX, &root_len);
	t->pk = rd_block(&rd, SIG_PK_MAX, &pk_len);
	t->sig = rd_block(&rd, SIG_MAX, &sig_len);
	if (root_len != r->suite->hash_len || pk_len != r->suite->sig_pk_len ||
	    sig_len != r->suite->sig_len)
		return PQC_EINTEGRITY;
	memcpy(r->log_root, root, root_len);
	return rd_finish(&rd);
}

int pqx_receipt_check(const uint8_t *p, size_t n, struct pqx_receipt *out)
{
	struct pqx_receipt r = {0};
	struct receipt_tail t;
	uint8_t id[ID_LEN];
	size_t covered;
	int rc;

	if ((rc = decode(p, n, &r, &t)) != 0)
		return rc;
	if ((rc = identity_id(r.suite, t.pk, id)) != 0)
		return rc;
	if (memcmp(id, r.server_id, ID_LEN) != 0)
		return PQC_EINTEGRITY;
	/* signed are all bytes before the signature's own L() */
	covered = (size_t)(t.sig - p) - 4;
	if ((rc = sign_verify(r.suite, t.pk, context, &(struct span){p, covered}, t.sig)) != 0)
		return rc;
	*out = r;
	return 0;
}

int pqx_receipt_bundle_encode(const uint8_t header[PQX_HEADER_LEN], const struct span *manifest,
			      const struct span *receipt, struct buf *out)
{
	struct buf b = BUF_INIT(BUNDLE_MAX);
	int r;

	buf_put(&b, header, PQX_HEADER_LEN);
	buf_put_block(&b, manifest->p, manifest->n);
	buf_put_block(&b, receipt->p, receipt->n);
	if ((r = buf_error(&b)) == 0) {
		pem_write(out, PEM_LABEL, b.p, b.len);
		r = buf_error(out);
	}
	buf_free(&b);
	return r;
}

/* Manifest and receipt of raw[n] against each other and their signatures. */
static int bundle_check(const uint8_t *raw, size_t n, struct pqx_bundle *b)
{
	struct rd r = rd_init(raw, n);
	const uint8_t *header = rd_bytes(&r, PQX_HEADER_LEN), *manifest, *receipt;
	uint8_t hash[SHA512_LEN];
	size_t mlen, rlen;
	int rc;

	manifest = rd_block(&r, PQX_MANIFEST_MAX, &mlen);
	receipt = rd_block(&r, PQX_RECEIPT_MAX, &rlen);
	if ((rc = rd_finish(&r)) != 0)
		return rc;
	if ((rc = pqx_header_decode(header, &b->header)) != 0)
		return rc;
	if ((rc = pqx_receipt_check(receipt, rlen, &b->receipt)) != 0)
		return rc;
	/* no key is at hand: this refuses an unsigned manifest */
	if ((rc = pqx_manifest_check(&b->header, NULL, manifest, mlen, &b->manifest)) != 0)
		return rc;
	if ((rc = sha512(&(struct span){manifest, mlen}, 1, hash)) != 0)
		return rc;
	if (memcmp(b->receipt.client_id, b->header.sender_id, ID_LEN) != 0)
		return PQC_EINTEGRITY;
	if (memcmp(hash, b->receipt.manifest_hash, SHA512_LEN) != 0 ||
	    memcmp(b->receipt.hc, b->header.hc, SHA512_LEN) != 0)
		return PQC_EINTEGRITY;
	return 0;
}

int pqx_receipt_bundle_check(const void *pem, size_t n, struct pqx_bundle *out, struct err *e)
{
	const char *text = pem;
	struct pem in = {text, text + n};
	struct buf raw = BUF_INIT(BUNDLE_MAX);
	struct pqx_bundle b = {0};
	int r;

	if ((r = pem_read(&in, PEM_LABEL, &raw)) == 0 && !pem_at_end(&in))
		r = PQC_EINTEGRITY;
	if (r != 0) {
		err_set(e, r, "not a receipt: expected one PEM block \"%s\"", PEM_LABEL);
		goto out;
	}
	if ((r = bundle_check(raw.p, raw.len, &b)) != 0) {
		r = err_set(e, r,
			    r == PQC_EINTEGRITY ? "the receipt is not valid"
						: "the receipt could not be checked");
		goto out;
	}
	*out = b;
out:
	buf_free(&raw);
	return r;
}
