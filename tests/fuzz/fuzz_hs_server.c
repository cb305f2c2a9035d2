/*
 * A server before it knows its client. The first byte says how far the input
 * gets: 0 M1; 1 M3 as bytes; 2 what M3 carries, well sealed; 3 the request of
 * a client that signed it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "protocol/handshake.h"
#include "protocol/hs_keys.h"

#define NOW	  1000000
#define BUNDLE_PK 58 /* where the KEM public key lies in a bundle */

static struct identity *server, *client;
static struct hs_bundle *bundle;
static const struct suite *suite;
static uint8_t kem_pk[KEM_PK_MAX];

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void take_kem_pk(const struct buf *m2)
{
	static const char key[] = "\"bundle\":\"";
	const char *start = memmem(m2->p, m2->len, key, sizeof(key) - 1), *end;
	struct buf b = BUF_INIT(HS_JSON_MAX);

	require(start != NULL);
	start += sizeof(key) - 1;
	end = strchr(start, '"');
	require(end && base64_decode(&b, start, (size_t)(end - start)) == 0);
	memcpy(kem_pk, b.p + BUNDLE_PK, suite->hs_pk_len);
	buf_free(&b);
}

static const char hello[] = "{\"action\":\"transfer_file\"}";

static void say_hello(struct hs_server *h, struct buf *m2)
{
	require(hs_server_hello(h, hello, sizeof(hello) - 1, m2, NULL) == 0);
	require(buf_cstr(m2) != NULL);
}

static void prepare(void)
{
	struct buf m2 = BUF_INIT(HS_JSON_MAX);
	struct hs_server *h;

	if (server)
		return;
	suite = suite_by_id(SUITE_KYBER768);
	require(identity_generate(suite, &server) == 0);
	require(identity_generate(suite, &client) == 0);
	require(hs_bundle_new(server, NOW, &bundle) == 0);
	require(hs_server_new(&h, server, bundle) == 0);
	say_hello(h, &m2);
	take_kem_pk(&m2);
	hs_server_free(h);
	buf_free(&m2);
}

static void put_signed(struct buf *plain, const uint8_t *th3, const struct span *request)
{
	uint8_t text[HS_AUTH_LEN], sig[SIG_MAX];

	require(hs_auth(th3, identity_public(server)->id, identity_public(client)->id, request,
			text) == 0);
	require(sign_make(identity_sign_key(client), HS_AUTH_CONTEXT,
			  &(struct span){text, sizeof(text)}, sig) == 0);
	buf_put(plain, identity_public(client)->sig_pk, suite->sig_pk_len);
	buf_put(plain, sig, suite->sig_len);
	buf_put(plain, request->p, request->n);
}

/* M3 around the input. */
static void seal_m3(const struct buf *m2, const struct span *in, bool sign, struct buf *m3)
{
	const struct span m1 = {hello, sizeof(hello) - 1};
	const struct span pieces[HS_M2_PIECES] = {{m2->p, m2->len}, {NULL, 0}, {NULL, 0}};
	struct buf plain = BUF_INIT(1 << 20);
	uint8_t ct[KEM_CT_MAX], ss[KEM_SS_MAX], th3[SHA512_LEN], *sealed;
	struct aead *a = aead_new();
	struct hs_keys k;

	require(kem_hs_encap(suite, kem_pk, ct, ss) == 0);
	require(hs_th3(suite, &m1, pieces, ct, th3) == 0);
	require(hs_keys_derive(suite, ss, th3, &k) == 0);
	if (sign)
		put_signed(&plain, th3, in);
	else
		buf_put(&plain, in->p, in->n);
	buf_put_u8(m3, WIRE_HANDSHAKE);
	buf_put_u8(m3, suite->id);
	buf_put(m3, ct, suite->hs_ct_len);
	sealed = buf_extend(m3, plain.len + AEAD_TAG);
	require(sealed &&
		aead_seal(a, k.c_hs.key, k.c_hs.iv, &(struct span){th3, SHA512_LEN},
			  &(struct span){plain.p, plain.len}, sealed, sealed + plain.len) == 0);
	aead_free(a);
	buf_free(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf m2 = BUF_INIT(HS_JSON_MAX), m3 = BUF_INIT(2 << 20);
	struct hs_server *h;
	uint8_t id[ID_LEN];
	struct span in;
	struct msg request;
	struct err e;
	int r;

	prepare();
	if (n < 1 || n > HS_M3_MAX)
		return 0;
	in = (struct span){p + 1, n - 1};
	require(hs_server_new(&h, server, bundle) == 0);
	if (p[0] % 4 == 0) {
		r = hs_server_hello(h, in.p, in.n, &m2, &e);
		require(r == 0 || (r == e.code && (r == PQC_EPROTO || r == PQC_EREFUSED)));
		require(m2.len > 0 && m2.len <= HS_JSON_MAX);
		goto out;
	}
	say_hello(h, &m2);
	if (p[0] % 4 == 1)
		buf_put(&m3, in.p, in.n);
	else
		seal_m3(&m2, &in, p[0] % 4 == 3, &m3);
	r = hs_server_request(h, m3.p, m3.len, NOW, id, &request);
	require(r == PQC_EREFUSED || (r == 0 && p[0] % 4 == 3 && request.type == MSG_REQUEST));
out:
	hs_server_free(h);
	buf_free(&m2);
	buf_free(&m3);
	return 0;
}
