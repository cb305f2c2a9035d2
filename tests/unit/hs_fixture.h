/*
 * For the tests of the handshake: the parties, a handshake step by step, and a
 * forger that makes M2 and M3 from docs/protocol.md alone, right or wrong in
 * any place.
 */
#ifndef PQC_TESTS_HS_FIXTURE_H
#define PQC_TESTS_HS_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/secmem.h"
#include "protocol/handshake.h"

#define NOW UINT64_C(1800000000)

/* For each suite (index id - 1). mallory is another client, eve another server. */
struct parties {
	struct identity *server, *eve, *client, *mallory;
	struct hs_bundle *bundle; /* of server, made NOW */
};
extern struct parties all[2];

static inline const struct suite *suite_of(const struct identity *id)
{
	return identity_public(id)->suite;
}

struct hs {
	struct hs_server *s;
	struct hs_client *c;
	struct buf m1, m2, m3, m4;
	struct session *ss, *cs;
	uint8_t server_id[ID_LEN], client_id[ID_LEN];
	struct msg request, reply; /* as they arrived */
	struct err e;
};

static inline void hs_begin(struct hs *h, const struct identity *server, struct hs_bundle *b,
			    const struct identity *client)
{
	memset(h, 0, sizeof(*h));
	buf_init(&h->m1, HS_JSON_MAX);
	buf_init(&h->m2, HS_JSON_MAX);
	buf_init(&h->m3, HS_M3_MAX);
	buf_init(&h->m4, MSG_MAX);
	assert_int_equal(hs_server_new(&h->s, server, b), 0);
	assert_int_equal(hs_client_new(&h->c, client), 0);
	assert_int_equal(hs_client_hello(h->c, &h->m1), 0);
}

static inline void hs_end(struct hs *h)
{
	hs_server_free(h->s);
	hs_client_free(h->c);
	session_free(h->ss);
	session_free(h->cs);
	buf_free(&h->m1);
	buf_free(&h->m2);
	buf_free(&h->m3);
	buf_free(&h->m4);
}

static inline struct msg ask(void)
{
	return (struct msg){.type = MSG_REQUEST,
			    .op = OP_GET,
			    .name = {"a/name", 6},
			    .has = msg_bit(TAG_OP) | msg_bit(TAG_NAME)};
}

static inline struct msg answer(void)
{
	return (struct msg){.type = MSG_REPLY,
			    .status = ST_ACCEPTED,
			    .size = 99,
			    .has = msg_bit(TAG_STATUS) | msg_bit(TAG_SIZE)};
}

/* The steps, each on the buffers of h; the first failure is the answer. */
static inline int step_m2(struct hs *h)
{
	return hs_server_hello(h->s, h->m1.p, h->m1.len, &h->m2, &h->e);
}

static inline int step_m3(struct hs *h)
{
	const struct msg m = ask();
	int r = hs_client_ready(h->c, h->m2.p, h->m2.len, h->server_id, &h->e);

	return r ? r : hs_client_request(h->c, &m, NOW, &h->m3, &h->e);
}

static inline int step_server(struct hs *h)
{
	return hs_server_request(h->s, h->m3.p, h->m3.len, NOW, h->client_id, &h->request);
}

static inline int step_m4(struct hs *h)
{
	const struct msg m = answer();

	return hs_server_reply(h->s, &m, &h->m4, &h->ss);
}

static inline int step_client(struct hs *h)
{
	return hs_client_reply(h->c, h->m4.p, h->m4.len, &h->reply, &h->cs, &h->e);
}

/* ---- the forger ---- */

#define BUNDLE_PK 58 /* where the KEM public key begins: 2 + 2 + 32 + 8 + 8 + 1 + 1 + 4 */

/* A member of M2, a base64 string, decoded. */
static inline void m2_member(const struct buf *m2, const char *key, struct buf *out)
{
	const char *start = memmem(m2->p, m2->len, key, strlen(key)), *end;

	assert_non_null(start);
	start += strlen(key) + 3; /* ":" */
	end = memchr(start, '"', (size_t)((const char *)m2->p + m2->len - start));
	assert_non_null(end);
	buf_init(out, HS_JSON_MAX);
	assert_int_equal(base64_decode(out, start, (size_t)(end - start)), 0);
}

/* An M2 of this bundle, signed by `signer` and showing the key of `shown`. */
static inline void forge_m2(const struct buf *bundle, const struct identity *signer,
			    const char *context, const struct identity *shown, struct buf *m2)
{
	const struct public_identity *pub = identity_public(shown);
	const struct span text = {bundle->p, bundle->len};
	uint8_t sig[SIG_MAX], nonce[32] = {1};

	assert_int_equal(sign_make(identity_sign_key(signer), context, &text, sig), 0);
	buf_reset(m2);
	buf_put_str(m2, "{\"status\":\"ready\",\"session_key\":{\"bundle\":\"");
	base64_encode(m2, bundle->p, bundle->len);
	buf_put_str(m2, "\",\"sig\":\"");
	base64_encode(m2, sig, suite_of(signer)->sig_len);
	buf_put_str(m2, "\",\"server_pk\":\"");
	base64_encode(m2, pub->sig_pk, pub->suite->sig_pk_len);
	buf_put_str(m2, "\"},\"nonce\":\"");
	base64_encode(m2, nonce, sizeof(nonce));
	buf_put_str(m2, "\"}");
	assert_int_equal(buf_error(m2), 0);
}

/* What may be wrong in an M3; zero or NULL: right. */
struct forge {
	const struct identity *client;	  /* whose key is sent */
	const struct identity *signer;	  /* who signs: client */
	const struct identity *server;	  /* whose id is signed */
	const uint8_t *signed_id;	  /* the client id signed: client's */
	const char *context;		  /* of the signature */
	const struct buf *request;	  /* encoded, as sent */
	const struct buf *signed_request; /* as signed */
	uint8_t suite;			  /* the byte sent */
	int ct_extra;			  /* so many bytes more or less of ct */
	bool wrong_ct, wrong_th3;	  /* a ct of nothing; a transcript that is not signed */
};

/* TH3, of exactly these bytes. */
static inline void doc_th3(uint8_t suite, const struct buf *m1, const struct buf *m2,
			   const uint8_t *ct, size_t ct_len, uint8_t th3[SHA512_LEN])
{
	struct buf t = BUF_INIT(1 << 20);

	buf_put(&t, "pqx1 handshake\0", 15);
	buf_put_u8(&t, suite);
	buf_put_block(&t, m1->p, m1->len);
	buf_put_block(&t, m2->p, m2->len);
	buf_put_block(&t, ct, ct_len);
	assert_int_equal(sha512(&(struct span){t.p, t.len}, 1, th3), 0);
	buf_free(&t);
}

static inline void doc_expand(const uint8_t *prk, const char *label, size_t n, void *out)
{
	const struct span info = {label, strlen(label) + 1};

	assert_int_equal(hkdf_expand(prk, PRK_LEN, &info, 1, out, n), 0);
}

/* client_pk | sigC | request */
static inline void forge_plain(const struct forge *f, const uint8_t th3[SHA512_LEN],
			       struct buf *plain)
{
	const struct identity *signer = f->signer ? f->signer : f->client;
	const struct buf *asked = f->signed_request ? f->signed_request : f->request;
	const struct public_identity *pub = identity_public(f->client);
	uint8_t sig[SIG_MAX], hash[SHA512_LEN];
	struct buf t = BUF_INIT(1024);

	assert_int_equal(sha512(&(struct span){asked->p, asked->len}, 1, hash), 0);
	buf_put(&t, th3, SHA512_LEN);
	if (f->wrong_th3)
		t.p[0] ^= 1;
	buf_put(&t, identity_public(f->server)->id, ID_LEN);
	buf_put(&t, f->signed_id ? f->signed_id : pub->id, ID_LEN);
	buf_put(&t, hash, sizeof(hash));
	assert_int_equal(sign_make(identity_sign_key(signer),
				   f->context ? f->context : "pqx1 client auth",
				   &(struct span){t.p, t.len}, sig),
			 0);
	buf_put(plain, pub->sig_pk, pub->suite->sig_pk_len);
	buf_put(plain, sig, pub->suite->sig_len);
	buf_put(plain, f->request->p, f->request->len);
	buf_free(&t);
}

/* M3 to h->m3 and, when asked, s_ctl and TH4 of the session that would be. */
static inline void forge_m3(struct hs *h, const struct forge *f, uint8_t s_ctl[44],
			    uint8_t th4[SHA512_LEN])
{
	const struct suite *s = suite_of(f->client);
	uint8_t ct[KEM_CT_MAX + 16] = {0}, ss[KEM_SS_MAX], th3[SHA512_LEN], prk[PRK_LEN], key[44];
	uint8_t derived[64], prk_a[PRK_LEN], tag[AEAD_TAG], sent = f->suite ? f->suite : s->id;
	size_t ct_len = s->hs_ct_len + (size_t)f->ct_extra;
	struct buf bundle, plain = BUF_INIT(1 << 20), t = BUF_INIT(1 << 20);
	struct aead *a = aead_new();
	uint8_t *sealed;

	m2_member(&h->m2, "bundle", &bundle);
	assert_int_equal(kem_hs_encap(s, bundle.p + BUNDLE_PK, ct, ss), 0);
	if (f->wrong_ct)
		memset(ct, 0xff, sizeof(ct));
	doc_th3(sent, &h->m1, &h->m2, ct, ct_len, th3);
	assert_int_equal(hkdf_extract(th3, SHA512_LEN, ss, s->hs_ss_len, prk), 0);
	doc_expand(prk, "pqx1 c hs", 44, key);
	forge_plain(f, th3, &plain);
	buf_reset(&h->m3);
	buf_put_u8(&h->m3, 3);
	buf_put_u8(&h->m3, sent);
	buf_put(&h->m3, ct, ct_len);
	sealed = buf_extend(&h->m3, plain.len);
	assert_non_null(sealed);
	assert_int_equal(aead_seal(a, key, key + 32, &(struct span){th3, SHA512_LEN},
				   &(struct span){plain.p, plain.len}, sealed, tag),
			 0);
	buf_put(&h->m3, tag, AEAD_TAG);
	if (s_ctl) {
		buf_put(&t, "pqx1 app\0", 9);
		buf_put(&t, th3, SHA512_LEN);
		buf_put_block(&t, h->m3.p, h->m3.len);
		assert_int_equal(sha512(&(struct span){t.p, t.len}, 1, th4), 0);
		doc_expand(prk, "pqx1 derived", 64, derived);
		assert_int_equal(hkdf_extract(th4, SHA512_LEN, derived, 64, prk_a), 0);
		doc_expand(prk_a, "pqx1 s ctl", 44, s_ctl);
	}
	aead_free(a);
	buf_free(&bundle);
	buf_free(&plain);
	buf_free(&t);
}

#endif
