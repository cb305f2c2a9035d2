/*
 * A client before it knows its server. The first byte says what the input is:
 * 0 M2; 1 a bundle, well signed by the server the client trusts; 2 M4.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "protocol/handshake.h"
#include "protocol/hs_json.h"

#define NOW 1000000

static struct identity *server, *client;
static struct hs_bundle *bundle;

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void prepare(void)
{
	const struct suite *s = suite_by_id(SUITE_KYBER768);

	if (server)
		return;
	require(identity_generate(s, &server) == 0);
	require(identity_generate(s, &client) == 0);
	require(hs_bundle_new(server, NOW, &bundle) == 0);
}

static void forge_m2(const struct span *text, struct buf *out)
{
	const struct public_identity *id = identity_public(server);
	struct hs_m2 m = HS_M2_INIT;
	uint8_t nonce[HS_NONCE_LEN] = {0}, *sig = buf_extend(&m.sig, id->suite->sig_len);

	require(sig && sign_make(identity_sign_key(server), "pqx1 bundle", text, sig) == 0);
	buf_put(&m.bundle, text->p, text->n);
	/* The id is right, or nothing behind it would be looked at. */
	if (m.bundle.len >= 4 + ID_LEN) {
		memcpy(m.bundle.p + 4, id->id, ID_LEN);
		require(sign_make(identity_sign_key(server), "pqx1 bundle",
				  &(struct span){m.bundle.p, m.bundle.len}, sig) == 0);
	}
	buf_put(&m.server_pk, id->sig_pk, id->suite->sig_pk_len);
	hs_m2_head(&m, out);
	base64_encode(out, nonce, sizeof(nonce));
	buf_put_str(out, HS_M2_TAIL);
	hs_m2_free(&m);
}

static void honest_m2(const struct buf *m1, struct buf *out)
{
	struct hs_server *h;

	require(hs_server_new(&h, server, bundle) == 0);
	require(hs_server_hello(h, m1->p, m1->len, out, NULL) == 0);
	hs_server_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct msg request = {.type = MSG_REQUEST,
				    .op = OP_LIST,
				    .name = {"", 0},
				    .has = msg_bit(TAG_OP) | msg_bit(TAG_NAME)};
	struct buf m1 = BUF_INIT(HS_JSON_MAX), m2 = BUF_INIT(1 << 20), m3 = BUF_INIT(HS_M3_MAX);
	struct session *s = NULL;
	struct hs_client *h;
	uint8_t id[ID_LEN];
	struct span in;
	struct msg reply;
	struct err e = {0};
	int r;

	prepare();
	if (n < 1)
		return 0;
	in = (struct span){p + 1, n - 1};
	if (p[0] % 3 == 1 && in.n > HS_BUNDLE_MAX)
		return 0;
	require(hs_client_new(&h, client) == 0 && hs_client_hello(h, &m1) == 0);
	if (p[0] % 3 == 0)
		buf_put(&m2, in.p, in.n);
	else if (p[0] % 3 == 1)
		forge_m2(&in, &m2);
	else
		honest_m2(&m1, &m2);
	if ((r = hs_client_ready(h, m2.p, m2.len, id, &e)) == 0)
		r = hs_client_request(h, &request, NOW, &m3, &e);
	require(r == 0 || (r == e.code && m3.len == 0));
	if (p[0] % 3 == 2) {
		require(r == 0);
		require(hs_client_reply(h, in.p, in.n, &reply, &s, &e) == PQC_EREFUSED);
	}
	hs_client_free(h);
	buf_free(&m1);
	buf_free(&m2);
	buf_free(&m3);
	return 0;
}
