/* docs/container.md, "Receipt": the receipt, and the bundle that is kept. */
#include "pqx_fixture.h"

#include "base/text.h"
#include "container/manifest.h"

/* A file's header and manifest, and what a server says of them. */
struct kept {
	struct pqx_header h;
	struct pqx_keys k;
	struct buf manifest, receipt, pem;
	struct pqx_receipt r;
};

static void kept_new(struct kept *t, unsigned suite, const struct identity *server)
{
	struct pqx_manifest m = {.n = 1, .plain_size = 10, .time = 1};

	memset(t, 0, sizeof(*t));
	buf_init(&t->manifest, PQX_MANIFEST_MAX);
	buf_init(&t->receipt, PQX_RECEIPT_MAX);
	buf_init(&t->pem, 65536);
	header_make(&t->h, &t->k, suite, 10, alice[suite]);
	assert_int_equal(pqx_manifest_make(&t->h, &t->k, alice[suite], &m, &t->manifest), 0);
	memcpy(t->r.hc, t->h.hc, SHA512_LEN);
	assert_int_equal(
		sha512(&(struct span){t->manifest.p, t->manifest.len}, 1, t->r.manifest_hash), 0);
	memcpy(t->r.client_id, identity_public(alice[suite])->id, ID_LEN);
	memset(t->r.log_root, 0x77, HASH_MAX);
	t->r.time = 1700000001;
	t->r.log_index = 41;
	assert_int_equal(pqx_receipt_make(server, &t->r, &t->receipt), 0);
}

static void kept_free(struct kept *t)
{
	buf_free(&t->manifest);
	buf_free(&t->receipt);
	buf_free(&t->pem);
}

static int bundle(struct kept *t, struct pqx_bundle *b)
{
	struct err e = {0};
	int r;

	buf_reset(&t->pem);
	assert_int_equal(
		pqx_receipt_bundle_encode(t->h.raw, &(struct span){t->manifest.p, t->manifest.len},
					  &(struct span){t->receipt.p, t->receipt.len}, &t->pem),
		0);
	r = pqx_receipt_bundle_check(t->pem.p, t->pem.len, b, &e);
	assert_int_equal(e.code, r);
	return r;
}

static void receipt_round_trip(void **state)
{
	struct pqx_receipt got;
	struct kept t;

	(void)state;
	for (unsigned suite = 1; suite <= 2; suite++) {
		kept_new(&t, 1, bob[suite]); /* the server's suite need not be the file's */
		assert_int_equal(pqx_receipt_check(t.receipt.p, t.receipt.len, &got), 0);
		assert_int_equal(got.suite->id, suite);
		assert_memory_equal(got.server_id, identity_public(bob[suite])->id, ID_LEN);
		assert_memory_equal(got.client_id, t.r.client_id, ID_LEN);
		assert_memory_equal(got.hc, t.h.hc, SHA512_LEN);
		assert_memory_equal(got.log_root, t.r.log_root, got.suite->hash_len);
		assert_int_equal(got.time, 1700000001);
		assert_int_equal(got.log_index, 41);
		kept_free(&t);
	}
}

/* What the log hashes are the receipt's own first bytes. */
static void core_hash(void **state)
{
	uint8_t want[SHA512_LEN], got[SHA512_LEN];
	struct pqx_receipt r;
	struct kept t;

	(void)state;
	kept_new(&t, 1, bob[1]);
	assert_int_equal(pqx_receipt_check(t.receipt.p, t.receipt.len, &r), 0);
	assert_int_equal(pqx_receipt_core_hash(&r, got), 0);
	assert_int_equal(
		sha512(&(struct span){t.receipt.p, 4 + 2 + 64 + 64 + 32 + 32 + 8}, 1, want), 0);
	assert_memory_equal(got, want, SHA512_LEN);
	r.log_index++; /* not part of it */
	assert_int_equal(pqx_receipt_core_hash(&r, got), 0);
	assert_memory_equal(got, want, SHA512_LEN);
	r.time++;
	assert_int_equal(pqx_receipt_core_hash(&r, got), 0);
	assert_memory_not_equal(got, want, SHA512_LEN);
	kept_free(&t);
}

static void receipt_bits(void **state)
{
	struct pqx_receipt r;
	struct kept t;

	(void)state;
	kept_new(&t, 1, bob[1]);
	for (size_t bit = 0; bit < 8 * t.receipt.len; bit += bit < 8 * 260 ? 1 : 131) {
		flip(t.receipt.p, bit);
		assert_int_equal(pqx_receipt_check(t.receipt.p, t.receipt.len, &r), PQC_EINTEGRITY);
		flip(t.receipt.p, bit);
	}
	assert_int_equal(pqx_receipt_check(t.receipt.p, t.receipt.len, &r), 0);
	kept_free(&t);
}

static void receipt_lengths(void **state)
{
	struct pqx_receipt r;
	struct kept t;

	(void)state;
	kept_new(&t, 1, bob[1]);
	for (size_t n = 0; n < t.receipt.len; n++)
		assert_int_equal(pqx_receipt_check(t.receipt.p, n, &r), PQC_EINTEGRITY);
	buf_put_u8(&t.receipt, 0);
	assert_int_equal(pqx_receipt_check(t.receipt.p, t.receipt.len, &r), PQC_EINTEGRITY);
	kept_free(&t);
}

/* Signed by the key inside, whose id is not the one claimed. */
static void claimed_id(void **state)
{
	const struct public_identity *pub = identity_public(bob[1]);
	const size_t server_at = 4 + 2 + 64 + 64,
		     before_sig = 4 + 2 + 64 + 64 + 32 + 32 + 8 + 8 + (4 + 32) + (4 + 1984);
	struct pqx_receipt r;
	struct kept t;
	uint8_t sig[SIG_MAX];

	(void)state;
	kept_new(&t, 1, bob[1]);
	assert_int_equal(t.receipt.len, before_sig + 4 + pub->suite->sig_len);
	t.receipt.p[server_at] ^= 1;
	assert_int_equal(sign_make(identity_sign_key(bob[1]), "pqx1 receipt",
				   &(struct span){t.receipt.p, before_sig}, sig),
			 0);
	memcpy(t.receipt.p + before_sig + 4, sig, pub->suite->sig_len);
	assert_int_equal(pqx_receipt_check(t.receipt.p, t.receipt.len, &r), PQC_EINTEGRITY);
	t.receipt.p[server_at] ^= 1;
	assert_int_equal(sign_make(identity_sign_key(bob[1]), "pqx1 receipt",
				   &(struct span){t.receipt.p, before_sig}, sig),
			 0);
	memcpy(t.receipt.p + before_sig + 4, sig, pub->suite->sig_len);
	assert_int_equal(pqx_receipt_check(t.receipt.p, t.receipt.len, &r), 0);
	kept_free(&t);
}

static void bundle_round_trip(void **state)
{
	struct pqx_bundle b;
	struct kept t;

	(void)state;
	for (unsigned suite = 1; suite <= 2; suite++) {
		kept_new(&t, suite, bob[1]);
		assert_int_equal(bundle(&t, &b), 0);
		assert_memory_equal(b.header.raw, t.h.raw, PQX_HEADER_LEN);
		assert_int_equal(b.manifest.plain_size, 10);
		assert_int_equal(b.receipt.log_index, 41);
		assert_int_equal(memcmp(t.pem.p, "-----BEGIN PQC RECEIPT-----\n", 28), 0);
		kept_free(&t);
	}
}

/* Each piece is genuine, but not of the same transfer. */
static void bundle_of_strangers(void **state)
{
	struct pqx_header header;
	struct pqx_bundle b;
	struct kept t, other;
	struct buf hold;

	(void)state;
	kept_new(&t, 1, bob[1]);
	kept_new(&other, 1, bob[1]);
	header = t.h;
	t.h = other.h;
	assert_int_equal(bundle(&t, &b), PQC_EINTEGRITY);
	t.h = header;
	hold = t.manifest;
	t.manifest = other.manifest;
	assert_int_equal(bundle(&t, &b), PQC_EINTEGRITY);
	t.h = other.h; /* header and manifest fit each other, the receipt speaks of another */
	assert_int_equal(bundle(&t, &b), PQC_EINTEGRITY);
	t.h = header;
	t.manifest = hold;
	assert_int_equal(bundle(&t, &b), 0);
	kept_free(&t);
	kept_free(&other);
}

/* The server signed it, and yet it contradicts the rest: header, manifest, who uploaded. */
static void receipt_of_half(void **state)
{
	struct pqx_bundle b;
	struct kept t;

	(void)state;
	kept_new(&t, 1, bob[1]);
	uint8_t *const fields[] = {t.r.hc, t.r.manifest_hash, t.r.client_id};

	for (int i = 0; i < 3; i++) {
		fields[i][0] ^= 1;
		buf_reset(&t.receipt);
		assert_int_equal(pqx_receipt_make(bob[1], &t.r, &t.receipt), 0);
		assert_int_equal(bundle(&t, &b), PQC_EINTEGRITY);
		fields[i][0] ^= 1;
	}
	buf_reset(&t.receipt);
	assert_int_equal(pqx_receipt_make(bob[1], &t.r, &t.receipt), 0);
	assert_int_equal(bundle(&t, &b), 0);
	kept_free(&t);
}

static void bundle_needs_a_signed_manifest(void **state)
{
	struct pqx_manifest m = {.n = 1, .plain_size = 10};
	struct pqx_bundle b;
	struct kept t;

	(void)state;
	kept_new(&t, 1, bob[1]);
	header_make(&t.h, &t.k, 1, 10, NULL);
	buf_reset(&t.manifest);
	buf_reset(&t.receipt);
	assert_int_equal(pqx_manifest_make(&t.h, &t.k, NULL, &m, &t.manifest), 0);
	memcpy(t.r.hc, t.h.hc, SHA512_LEN);
	assert_int_equal(sha512(&(struct span){t.manifest.p, t.manifest.len}, 1, t.r.manifest_hash),
			 0);
	assert_int_equal(pqx_receipt_make(bob[1], &t.r, &t.receipt), 0);
	assert_int_equal(bundle(&t, &b), PQC_EINTEGRITY);
	kept_free(&t);
}

static void pem_edits(void **state)
{
	struct pqx_bundle b;
	struct kept t;
	char *text;
	size_t n;

	(void)state;
	kept_new(&t, 1, bob[1]);
	assert_int_equal(bundle(&t, &b), 0);
	n = t.pem.len;
	text = malloc(n + 16);
	assert_non_null(text);
	for (size_t cut = 0; cut < n - 1; cut += 37)
		assert_int_equal(pqx_receipt_bundle_check(t.pem.p, cut, &b, NULL), PQC_EINTEGRITY);
	for (size_t i = 0; i < n - 1; i += 53) { /* another character, of the alphabet or not */
		memcpy(text, t.pem.p, n);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		assert_int_equal(pqx_receipt_bundle_check(text, n, &b, NULL), PQC_EINTEGRITY);
		text[i] = '!';
		assert_int_equal(pqx_receipt_bundle_check(text, n, &b, NULL), PQC_EINTEGRITY);
	}
	memcpy(text, t.pem.p, n);
	memcpy(text + n, "more", 4);
	assert_int_equal(pqx_receipt_bundle_check(text, n + 4, &b, NULL), PQC_EINTEGRITY);
	memcpy(text + n, "\n\n\r\n", 4);
	assert_int_equal(pqx_receipt_bundle_check(text, n + 4, &b, NULL), 0);
	free(text);
	kept_free(&t);
}

/* Bytes after the receipt inside the block. */
static void bundle_extended(void **state)
{
	struct buf raw = BUF_INIT(65536), pem = BUF_INIT(65536);
	struct pqx_bundle b;
	struct kept t;

	(void)state;
	kept_new(&t, 1, bob[1]);
	for (unsigned extra = 0; extra < 2; extra++) {
		buf_reset(&raw);
		buf_reset(&pem);
		buf_put(&raw, t.h.raw, PQX_HEADER_LEN);
		buf_put_block(&raw, t.manifest.p, t.manifest.len);
		buf_put_block(&raw, t.receipt.p, t.receipt.len);
		buf_put(&raw, "x", extra);
		buf_put_str(&pem, "-----BEGIN PQC RECEIPT-----\n");
		base64_encode(&pem, raw.p, raw.len);
		buf_put_str(&pem, "\n-----END PQC RECEIPT-----\n");
		assert_int_equal(pqx_receipt_bundle_check(pem.p, pem.len, &b, NULL),
				 extra != 0 ? PQC_EINTEGRITY : 0);
	}
	buf_free(&raw);
	buf_free(&pem);
	kept_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(receipt_round_trip),
		cmocka_unit_test(core_hash),
		cmocka_unit_test(receipt_bits),
		cmocka_unit_test(receipt_lengths),
		cmocka_unit_test(claimed_id),
		cmocka_unit_test(bundle_round_trip),
		cmocka_unit_test(bundle_of_strangers),
		cmocka_unit_test(receipt_of_half),
		cmocka_unit_test(bundle_needs_a_signed_manifest),
		cmocka_unit_test(pem_edits),
		cmocka_unit_test(bundle_extended),
	};

	return cmocka_run_group_tests(tests, people_new, people_free);
}
