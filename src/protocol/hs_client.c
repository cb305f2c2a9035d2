#include <stdlib.h>
#include <string.h>

#include "crypto/secmem.h"
#include "protocol/handshake.h"
#include "protocol/hs_bundle.h"
#include "protocol/hs_json.h"
#include "protocol/hs_keys.h"

enum state { SEND_M1, WANT_M2, SEND_M3, WANT_M4, OVER };

struct hs_client {
	enum state state;
	const struct identity *id;
	const struct suite *suite, *server_suite;
	struct buf m1, m2, m4;
	struct hs_m2 parts; /* of M2 */
	struct bundle_view bundle;
	uint8_t th4[SHA512_LEN];
	struct session *session;
};

int hs_client_new(struct hs_client **out, const struct identity *client)
{
	struct hs_client *h = calloc(1, sizeof(*h));

	if (!h)
		return PQC_ENOMEM;
	h->state = SEND_M1;
	h->id = client;
	h->suite = identity_public(client)->suite;
	h->parts = (struct hs_m2)HS_M2_INIT;
	buf_init(&h->m1, HS_JSON_MAX);
	buf_init(&h->m2, HS_JSON_MAX);
	buf_init(&h->m4, MSG_MAX);
	*out = h;
	return 0;
}

void hs_client_free(struct hs_client *h)
{
	if (!h)
		return;
	buf_free(&h->m1);
	buf_free(&h->m2);
	buf_free(&h->m4);
	hs_m2_free(&h->parts);
	session_free(h->session);
	free(h);
}

int hs_client_hello(struct hs_client *h, struct buf *out)
{
	size_t start = out->len;
	int r;

	if (h->state != SEND_M1)
		return PQC_EPROTO;
	h->state = OVER;
	if ((r = hs_m1_encode(h->suite, &h->m1)) != 0)
		return r;
	buf_put(out, h->m1.p, h->m1.len);
	if ((r = buf_error(out)) != 0) {
		buf_truncate(out, start);
		return r;
	}
	h->state = WANT_M2;
	return 0;
}

static const struct suite *suite_of_pk(size_t len)
{
	for (unsigned id = SUITE_KYBER768; id <= SUITE_KYBER1024; id++)
		if (suite_by_id(id)->sig_pk_len == len)
			return suite_by_id(id);
	return NULL;
}

/* Is M2 well-formed, and server_pk the key of the id in the bundle? */
static int check_ready(struct hs_client *h, uint8_t server_id[ID_LEN], struct err *e)
{
	const struct buf *pk = &h->parts.server_pk, *bundle = &h->parts.bundle;
	const struct suite *s = suite_of_pk(pk->len);
	int r;

	if (!s || h->parts.sig.len != s->sig_len ||
	    bundle_decode(bundle->p, bundle->len, h->suite, &h->bundle) != 0)
		return err_set(e, PQC_EPROTO, "the server's hello is malformed");
	if ((r = identity_id(s, pk->p, server_id)) != 0)
		return err_set(e, r, "the server's identity could not be computed");
	if (memcmp(server_id, h->bundle.server_id, ID_LEN) != 0)
		return err_set(e, PQC_EPROTO, "the server's hello names another identity's key");
	h->server_suite = s;
	return 0;
}

int hs_client_ready(struct hs_client *h, const void *m2, size_t n, uint8_t server_id[ID_LEN],
		    struct err *e)
{
	int r;

	if (h->state != WANT_M2)
		return err_set(e, PQC_EPROTO, "a hello from the server that was not asked for");
	h->state = OVER;
	if ((r = hs_m2_decode(m2, n, &h->parts, e)) == 0)
		r = check_ready(h, server_id, e);
	if (r != 0) {
		memset(server_id, 0, ID_LEN);
		return r;
	}
	buf_put(&h->m2, m2, n);
	if ((r = buf_error(&h->m2)) != 0)
		return err_set(e, r, "no memory for the server's hello");
	h->state = SEND_M3;
	return 0;
}

static int check_dates(const struct bundle_view *b, uint64_t now, struct err *e)
{
	if (b->not_after < b->not_before || b->not_after - b->not_before != HS_BUNDLE_SECONDS)
		return err_set(e, PQC_EREFUSED, "the server's key is not for %d seconds",
			       HS_BUNDLE_SECONDS);
	if (b->not_before > now && b->not_before - now > HS_CLOCK_SKEW)
		return err_set(e, PQC_EREFUSED,
			       "the server's clock is %llu s ahead of this machine's, %d are "
			       "allowed: set the clock that is wrong",
			       (unsigned long long)(b->not_before - now), HS_CLOCK_SKEW);
	if (now > b->not_after && now - b->not_after > HS_CLOCK_SKEW)
		return err_set(e, PQC_EREFUSED,
			       "the server's key ended %llu s ago by this machine's clock, %d are "
			       "allowed: set the clock that is wrong",
			       (unsigned long long)(now - b->not_after), HS_CLOCK_SKEW);
	return 0;
}

/* What makes the bundle believable and usable (docs/protocol.md, "The client MUST check"). */
static int check_bundle(const struct hs_client *h, uint64_t now, struct err *e)
{
	const struct bundle_view *b = &h->bundle;
	const struct span text = {h->parts.bundle.p, h->parts.bundle.len};
	int r;

	r = sign_verify(h->server_suite, h->parts.server_pk.p, HS_BUNDLE_CONTEXT, &text,
			h->parts.sig.p);
	if (r == PQC_EINTEGRITY)
		return err_set(e, PQC_EREFUSED,
			       "the server's signature is wrong: it does not hold "
			       "the key of the identity it shows");
	if (r != 0)
		return err_set(e, r, "the server's signature could not be checked");
	if ((r = check_dates(b, now, e)) != 0)
		return r;
	if (b->minimum > HS_VERSION || b->version < HS_VERSION)
		return err_set(
			e, PQC_EREFUSED,
			"the server speaks versions %u to %u of the protocol, this program %d",
			b->minimum, b->version, HS_VERSION);
	if (!b->kem_pk || h->server_suite != h->suite)
		return err_set(e, PQC_EREFUSED, "the server uses %s, this identity %s",
			       h->server_suite->name, h->suite->name);
	return 0;
}

/* client_pk | sigC | request */
static int put_plain(const struct hs_client *h, const struct msg *request,
		     const uint8_t th3[SHA512_LEN], struct buf *plain)
{
	const struct public_identity *me = identity_public(h->id);
	const struct suite *s = h->suite;
	uint8_t text[HS_AUTH_LEN];
	struct span r_text;
	int r;

	buf_put(plain, me->sig_pk, s->sig_pk_len);
	if (!buf_extend(plain, s->sig_len))
		return buf_error(plain);
	if ((r = msg_encode(request, plain)) != 0)
		return r;
	r_text.p = plain->p + s->sig_pk_len + s->sig_len;
	r_text.n = plain->len - s->sig_pk_len - s->sig_len;
	if ((r = hs_auth(th3, h->bundle.server_id, me->id, &r_text, text)) != 0)
		return r;
	return sign_make(identity_sign_key(h->id), HS_AUTH_CONTEXT,
			 &(struct span){text, HS_AUTH_LEN}, plain->p + s->sig_pk_len);
}

static int seal_plain(const struct hs_keys *k, const uint8_t th3[SHA512_LEN],
		      const struct buf *plain, struct buf *out)
{
	const struct span aad = {th3, SHA512_LEN}, in = {plain->p, plain->len};
	uint8_t *sealed = buf_extend(out, plain->len + AEAD_TAG);
	struct aead *a;
	int r;

	if (!sealed)
		return buf_error(out);
	if (!(a = aead_new()))
		return PQC_ENOMEM;
	r = aead_seal(a, k->c_hs.key, k->c_hs.iv, &aad, &in, sealed, sealed + plain->len);
	aead_free(a);
	return r;
}

/* M3 behind what is in out already. */
static int put_m3(struct hs_client *h, const struct msg *request, struct buf *out)
{
	const struct suite *s = h->suite;
	const struct span m1 = {h->m1.p, h->m1.len};
	const struct span m2[HS_M2_PIECES] = {{h->m2.p, h->m2.len}, {NULL, 0}, {NULL, 0}};
	struct {
		uint8_t ss[KEM_SS_MAX];
		struct hs_keys keys;
	} secret;
	struct buf plain = BUF_INIT(HS_M3_MAX - 2 - s->hs_ct_len - AEAD_TAG);
	uint8_t ct[KEM_CT_MAX], th3[SHA512_LEN];
	size_t start = out->len;
	struct span m3;
	int r;

	if ((r = kem_hs_encap(s, h->bundle.kem_pk, ct, secret.ss)) != 0 ||
	    (r = hs_th3(s, &m1, m2, ct, th3)) != 0 ||
	    (r = hs_keys_derive(s, secret.ss, th3, &secret.keys)) != 0 ||
	    (r = put_plain(h, request, th3, &plain)) != 0)
		goto out;
	buf_put_u8(out, WIRE_HANDSHAKE);
	buf_put_u8(out, s->id);
	buf_put(out, ct, s->hs_ct_len);
	if ((r = seal_plain(&secret.keys, th3, &plain, out)) != 0)
		goto out;
	m3 = (struct span){out->p + start, out->len - start};
	r = hs_session(&(struct hs_session_in){&secret.keys, th3, m3, false}, h->th4, &h->session);
out:
	if (r != 0)
		buf_truncate(out, start);
	secret_wipe(&secret, sizeof(secret));
	buf_free(&plain);
	return r;
}

int hs_client_request(struct hs_client *h, const struct msg *request, uint64_t now, struct buf *out,
		      struct err *e)
{
	int r;

	if (h->state != SEND_M3 || request->type != MSG_REQUEST)
		return err_set(e, PQC_EPROTO, "no request can be made now");
	h->state = OVER;
	if ((r = check_bundle(h, now, e)) != 0)
		return r;
	r = put_m3(h, request, out);
	if (r == PQC_EINTEGRITY)
		return err_set(e, PQC_EREFUSED, "the server's key is malformed");
	if (r != 0)
		return err_set(e, r, "the request could not be made");
	h->state = WANT_M4;
	return 0;
}

int hs_client_reply(struct hs_client *h, const uint8_t *m4, size_t n, struct msg *reply,
		    struct session **session, struct err *e)
{
	int r;

	*reply = (struct msg){0};
	if (h->state != WANT_M4)
		return err_set(e, PQC_EPROTO, "an answer that was not asked for");
	h->state = OVER;
	buf_put(&h->m4, m4, n);
	if (buf_error(&h->m4) == PQC_ENOMEM)
		return err_set(e, PQC_ENOMEM, "no memory for the server's answer");
	r = session_open_m4(h->session, h->th4, h->m4.p, h->m4.len, reply);
	if (r == PQC_EPROTO)
		return err_set(e, r, "the server's answer is malformed");
	if (r == PQC_EINTEGRITY)
		return err_set(e, PQC_EREFUSED,
			       "the server's answer does not open: it is not from "
			       "the server this client spoke to");
	if (r != 0)
		return err_set(e, r, "the server's answer could not be opened");
	if (reply->type != MSG_REPLY) {
		*reply = (struct msg){0};
		return err_set(e, PQC_EPROTO, "the server's answer is not a reply");
	}
	*session = h->session;
	h->session = NULL; /* transferred */
	return 0;
}

const struct suite *hs_client_server_suite(const struct hs_client *h)
{
	return h->server_suite;
}

const uint8_t *hs_client_server_pk(const struct hs_client *h)
{
	return h->parts.server_pk.p;
}
