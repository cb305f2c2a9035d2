#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/secmem.h"
#include "protocol/handshake.h"
#include "protocol/hs_bundle.h"
#include "protocol/hs_json.h"
#include "protocol/hs_keys.h"

enum state { WANT_M1, WANT_M3, WANT_REPLY, OVER };

struct hs_server {
	enum state state;
	const struct suite *suite;
	struct hs_bundle *bundle;
	struct buf m1;
	char nonce[HS_NONCE_TEXT]; /* of M2 */
	uint8_t *plain;		   /* client_pk | sigC | request; secret memory */
	size_t plain_len;
	uint8_t th4[SHA512_LEN];
	struct session *session;
};

int hs_server_new(struct hs_server **out, const struct identity *server, struct hs_bundle *b)
{
	struct hs_server *h = calloc(1, sizeof(*h));

	if (!h)
		return PQC_ENOMEM;
	h->state = WANT_M1;
	h->suite = identity_public(server)->suite;
	h->bundle = hs_bundle_ref(b);
	buf_init(&h->m1, HS_JSON_MAX);
	*out = h;
	return 0;
}

void hs_server_free(struct hs_server *h)
{
	if (!h)
		return;
	hs_bundle_unref(h->bundle);
	buf_free(&h->m1);
	secret_free(h->plain, h->plain_len);
	session_free(h->session);
	free(h);
}

static int draw_nonce(struct hs_server *h)
{
	struct buf text = BUF_INIT(HS_NONCE_TEXT);
	uint8_t nonce[HS_NONCE_LEN];
	int r;

	if ((r = random_bytes(nonce, sizeof(nonce))) != 0)
		return r;
	base64_encode(&text, nonce, sizeof(nonce));
	if ((r = buf_error(&text)) == 0)
		memcpy(h->nonce, text.p, HS_NONCE_TEXT);
	buf_free(&text);
	return r;
}

/* M2 as it was or will be sent. */
static void m2_pieces(const struct hs_server *h, struct span m2[HS_M2_PIECES])
{
	m2[0] = (struct span){h->bundle->m2_head.p, h->bundle->m2_head.len};
	m2[1] = (struct span){h->nonce, HS_NONCE_TEXT};
	m2[2] = (struct span){HS_M2_TAIL, sizeof(HS_M2_TAIL) - 1};
}

static int put_m2(const struct hs_server *h, struct buf *out)
{
	struct span m2[HS_M2_PIECES];
	size_t start = out->len;
	int r;

	m2_pieces(h, m2);
	for (size_t i = 0; i < HS_M2_PIECES; i++)
		buf_put(out, m2[i].p, m2[i].n);
	if ((r = buf_error(out)) != 0)
		buf_truncate(out, start);
	return r;
}

void hs_error_json(unsigned code, const char *text, struct buf *out)
{
	buf_printf(out, "{\"status\":\"error\",\"code\":\"%s\",\"error\":", msg_code_name(code));
	json_put_string(out, text, strlen(text));
	buf_put_str(out, "}");
}

int hs_server_hello(struct hs_server *h, const void *m1, size_t n, struct buf *out, struct err *e)
{
	struct err mine;
	int r;

	e = e ? e : &mine;
	if (h->state != WANT_M1) {
		r = err_set(e, PQC_EPROTO, "a second hello");
		goto refuse;
	}
	h->state = OVER;
	if ((r = hs_m1_decode(m1, n, h->suite, e)) != 0)
		goto refuse;
	buf_put(&h->m1, m1, n);
	if ((r = buf_error(&h->m1)) != 0 || (r = draw_nonce(h)) != 0 || (r = put_m2(h, out)) != 0)
		return err_set(e, r, "no answer to a hello could be made");
	h->state = WANT_M3;
	return 0;
refuse:
	h->state = OVER;
	hs_error_json(r == PQC_EREFUSED ? CODE_SUITE : msg_err_to_code(r), e->msg, out);
	return r;
}

/* Everything up to the AEAD. h->plain, h->th4 and h->session are set when it opened. */
static int open_m3(struct hs_server *h, const uint8_t *m3, size_t n, uint8_t th3[SHA512_LEN])
{
	const struct suite *s = h->suite;
	const uint8_t *ct = m3 + 2, *sealed = ct + s->hs_ct_len;
	struct {
		uint8_t ss[KEM_SS_MAX];
		struct hs_keys keys;
	} secret;
	struct span m1 = {h->m1.p, h->m1.len}, m2[HS_M2_PIECES], in = {sealed, 0};
	struct aead *a = aead_new();
	int r = PQC_ENOMEM;

	h->plain_len = in.n = n - 2 - s->hs_ct_len - AEAD_TAG;
	h->plain = secret_alloc(h->plain_len);
	if (!a || !h->plain)
		goto out;
	m2_pieces(h, m2);
	if ((r = kem_hs_decap(h->bundle->kem, ct, secret.ss)) != 0 ||
	    (r = hs_th3(s, &m1, m2, ct, th3)) != 0 ||
	    (r = hs_keys_derive(s, secret.ss, th3, &secret.keys)) != 0 ||
	    (r = aead_open(a, secret.keys.c_hs.key, secret.keys.c_hs.iv,
			   &(struct span){th3, SHA512_LEN}, &in, sealed + in.n, h->plain)) != 0)
		goto out;
	r = hs_session(&(struct hs_session_in){&secret.keys, th3, {m3, n}, true}, h->th4,
		       &h->session);
out:
	secret_wipe(&secret, sizeof(secret));
	aead_free(a);
	return r;
}

static struct span request_of(const struct hs_server *h)
{
	size_t before = h->suite->sig_pk_len + h->suite->sig_len;

	return (struct span){h->plain + before, h->plain_len - before};
}

static int verify_client(const struct hs_server *h, const uint8_t th3[SHA512_LEN],
			 uint8_t client_id[ID_LEN])
{
	const uint8_t *pk = h->plain, *sig = pk + h->suite->sig_pk_len;
	struct span request = request_of(h);
	uint8_t text[HS_AUTH_LEN];
	int r;

	if ((r = identity_id(h->suite, pk, client_id)) != 0 ||
	    (r = hs_auth(th3, h->bundle->server_id, client_id, &request, text)) != 0)
		return r;
	return sign_verify(h->suite, pk, HS_AUTH_CONTEXT, &(struct span){text, HS_AUTH_LEN}, sig);
}

static int take_m3(struct hs_server *h, const uint8_t *m3, size_t n, uint64_t now,
		   uint8_t client_id[ID_LEN], struct msg *request)
{
	const struct suite *s = h->suite;
	size_t least = 2 + s->hs_ct_len + s->sig_pk_len + s->sig_len + AEAD_TAG;
	uint8_t th3[SHA512_LEN];
	struct span text;
	int r;

	if (h->state != WANT_M3 || n < least || n > HS_M3_MAX || m3[0] != WIRE_HANDSHAKE ||
	    m3[1] != s->id || now > h->bundle->not_after + HS_BUNDLE_GRACE)
		return PQC_EREFUSED;
	if ((r = open_m3(h, m3, n, th3)) != 0 || (r = verify_client(h, th3, client_id)) != 0)
		return r;
	text = request_of(h);
	if ((r = msg_decode(text.p, text.n, request)) == 0 && request->type != MSG_REQUEST)
		r = PQC_EPROTO;
	return r;
}

int hs_server_request(struct hs_server *h, const uint8_t *m3, size_t n, uint64_t now,
		      uint8_t client_id[ID_LEN], struct msg *request)
{
	int r = take_m3(h, m3, n, now, client_id, request);

	h->state = r == 0 ? WANT_REPLY : OVER;
	/* A transfer may last for hours: it must not keep the private KEM key alive. */
	hs_bundle_unref(h->bundle);
	h->bundle = NULL;
	if (r == 0)
		return 0;
	memset(client_id, 0, ID_LEN);
	*request = (struct msg){0};
	/* One answer to the peer, whatever was wrong; our own failures are not the peer's. */
	return r == PQC_ENOMEM || r == PQC_ECRYPTO ? r : PQC_EREFUSED;
}

int hs_server_reply(struct hs_server *h, const struct msg *reply, struct buf *out,
		    struct session **session)
{
	int r;

	if (h->state != WANT_REPLY || reply->type != MSG_REPLY)
		return PQC_EPROTO;
	if ((r = session_seal_m4(h->session, h->th4, reply, out)) != 0)
		return r;
	h->state = OVER;
	*session = h->session;
	h->session = NULL; /* transferred */
	return 0;
}

const uint8_t *hs_server_client_pk(const struct hs_server *h)
{
	return h->plain;
}
