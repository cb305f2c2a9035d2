/* The handshake, both suites: that it works, and everything that must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hs_fixture.h"
#include "protocol/hs_bundle.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct parties all[2];

#define FOR_EACH_SUITE(p) for (struct parties *p = all; p < all + 2; p++)

/* A handshake up to M3, with the bundle of the group. */
static void up_to_m3(struct hs *h, const struct parties *p)
{
	hs_begin(h, p->server, p->bundle, p->client);
	assert_int_equal(step_m2(h), 0);
	assert_int_equal(step_m3(h), 0);
}

static void up_to_m2(struct hs *h, const struct parties *p)
{
	hs_begin(h, p->server, p->bundle, p->client);
	assert_int_equal(step_m2(h), 0);
}

static void assert_refused(struct hs *h)
{
	assert_int_equal(step_server(h), PQC_EREFUSED);
	assert_int_equal(h->request.has, 0);
	assert_int_equal(step_m4(h), PQC_EPROTO);
	assert_int_equal(h->m4.len, 0);
}

/* ---- it works ---- */

static void talk(struct hs *h)
{
	const struct msg m = {.type = MSG_FETCH, .has = msg_bit(TAG_RANGES)};
	struct buf wire = BUF_INIT(MSG_MAX);
	struct msg got;

	assert_int_equal(session_seal(h->cs, &m, &wire), 0);
	assert_int_equal(session_open(h->ss, wire.p, wire.len, &got), 0);
	assert_int_equal(got.type, MSG_FETCH);
	buf_reset(&wire);
	assert_int_equal(session_seal(h->ss, &m, &wire), 0);
	assert_int_equal(session_open(h->cs, wire.p, wire.len, &got), 0);
	buf_free(&wire);
}

static void test_works(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		const struct public_identity *client = identity_public(p->client);
		const struct public_identity *server = identity_public(p->server);
		struct hs h;

		up_to_m3(&h, p);
		assert_memory_equal(h.server_id, server->id, ID_LEN);
		assert_ptr_equal(hs_client_server_suite(h.c), server->suite);
		assert_memory_equal(hs_client_server_pk(h.c), server->sig_pk,
				    server->suite->sig_pk_len);
		assert_int_equal(step_server(&h), 0);
		assert_memory_equal(h.client_id, client->id, ID_LEN);
		assert_memory_equal(hs_server_client_pk(h.s), client->sig_pk,
				    client->suite->sig_pk_len);
		assert_int_equal(h.request.op, OP_GET);
		assert_int_equal(h.request.name.n, 6);
		assert_memory_equal(h.request.name.p, "a/name", 6);
		assert_int_equal(step_m4(&h), 0);
		assert_int_equal(step_client(&h), 0);
		assert_true(h.reply.size == 99);
		talk(&h);
		hs_end(&h);
	}
}

/* A client made from the document alone, and the server's answer read likewise. */
static void test_is_as_documented(void **state)
{
	const struct msg m = ask();
	struct buf request = BUF_INIT(1024);

	(void)state;
	assert_int_equal(msg_encode(&m, &request), 0);
	FOR_EACH_SUITE(p)
	{
		const struct forge f = {
			.client = p->client, .server = p->server, .request = &request};
		uint8_t s_ctl[44], th4[SHA512_LEN], out[64];
		struct aead *a = aead_new();
		struct hs h;
		struct span in;
		struct msg got;

		up_to_m2(&h, p);
		forge_m3(&h, &f, s_ctl, th4);
		assert_int_equal(step_server(&h), 0);
		assert_int_equal(step_m4(&h), 0);
		assert_int_equal(h.m4.p[0], 0x10);
		in = (struct span){h.m4.p + 1, h.m4.len - 17};
		assert_true(in.n <= sizeof(out));
		assert_int_equal(aead_open(a, s_ctl, s_ctl + 32, &(struct span){th4, SHA512_LEN},
					   &in, h.m4.p + h.m4.len - 16, out),
				 0);
		assert_int_equal(msg_decode(out, in.n, &got), 0);
		assert_int_equal(got.type, MSG_REPLY);
		aead_free(a);
		hs_end(&h);
	}
	buf_free(&request);
}

/* The hello of a client that knows nothing of all this, from the first version's examples. */
static void test_plain_hello(void **state)
{
	static const char hello[] =
		"{\"action\":\"transfer_file\",\"filename\":\"test_file.dat\",\"size\":1048576}";

	(void)state;
	FOR_EACH_SUITE(p)
	{
		struct hs h;
		const char *text;

		hs_begin(&h, p->server, p->bundle, p->client);
		assert_int_equal(hs_server_hello(h.s, hello, strlen(hello), &h.m2, &h.e), 0);
		assert_non_null(text = buf_cstr(&h.m2));
		assert_non_null(strstr(text, "\"status\":\"ready\""));
		assert_non_null(strstr(text, "\"session_key\":{"));
		assert_true(h.m2.len <= HS_JSON_MAX);
		/* and with such a hello the handshake can be done: M1 as sent is hashed */
		buf_reset(&h.m1);
		buf_put_str(&h.m1, hello);
		const struct msg m = ask();
		struct buf request = BUF_INIT(1024);
		const struct forge f = {
			.client = p->client, .server = p->server, .request = &request};

		assert_int_equal(msg_encode(&m, &request), 0);
		forge_m3(&h, &f, NULL, NULL);
		assert_int_equal(step_server(&h), 0);
		buf_free(&request);
		hs_end(&h);
	}
}

/* One bundle serves all; only the nonce differs, and the bundle outlives its owner's reference. */
static void test_bundle_is_shared(void **state)
{
	struct parties *p = &all[0];
	struct hs_bundle *b;
	struct buf one, two;
	struct hs h[2];

	(void)state;
	assert_int_equal(hs_bundle_new(p->server, NOW, &b), 0);
	assert_true(hs_bundle_not_after(b) == NOW + 60);
	for (int i = 0; i < 2; i++) {
		hs_begin(&h[i], p->server, b, p->client);
		assert_int_equal(step_m2(&h[i]), 0);
	}
	hs_bundle_unref(b);
	m2_member(&h[0].m2, "bundle", &one);
	m2_member(&h[1].m2, "bundle", &two);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.p, two.p, one.len);
	buf_free(&one);
	buf_free(&two);
	m2_member(&h[0].m2, "nonce", &one);
	m2_member(&h[1].m2, "nonce", &two);
	assert_int_equal(one.len, 32);
	assert_memory_not_equal(one.p, two.p, 32);
	buf_free(&one);
	buf_free(&two);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(step_m3(&h[i]), 0);
		if (i == 1)
			assert_int_equal(b->refs, 1);
		assert_int_equal(step_server(&h[i]), 0);
	}
	/* by now the private key is gone: a connection that goes on does not hold it */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(step_m4(&h[i]), 0);
		hs_end(&h[i]);
	}
	hs_bundle_unref(NULL);
}

/* The same parties, bundle, request and time give other keys each time. */
static void test_keys_are_fresh(void **state)
{
	enum { TIMES = 8 };
	uint8_t seen[TIMES][16];
	struct parties *p = &all[0];
	uint8_t head[FRAME_LEN], leaf[32] = {0};
	struct aead *a = aead_new();

	(void)state;
	frame_encode(&(struct frame){0}, head);
	for (int i = 0; i < TIMES; i++) {
		struct hs h;

		up_to_m3(&h, p);
		assert_int_equal(step_server(&h), 0);
		assert_int_equal(step_m4(&h), 0);
		assert_int_equal(step_client(&h), 0);
		/* a function of c_frame alone, the same on both sides */
		assert_int_equal(session_frame_tag(h.cs, a, head, leaf, 32, seen[i]), 0);
		assert_int_equal(session_frame_check(h.ss, a, head, leaf, 32, seen[i]), 0);
		for (int k = 0; k < i; k++)
			assert_memory_not_equal(seen[k], seen[i], 16);
		hs_end(&h);
	}
	aead_free(a);
}

/* ---- damage on the way ---- */

/* M1 changed on its way to the server: whatever the server makes of it, nothing comes of it. */
static void test_m1_damage(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		size_t len = 1;

		for (size_t at = 0; at < len; at++) {
			struct buf sent = BUF_INIT(HS_JSON_MAX);
			struct hs h;
			int r;

			hs_begin(&h, p->server, p->bundle, p->client);
			len = h.m1.len;
			buf_put(&sent, h.m1.p, h.m1.len);
			sent.p[at] ^= (uint8_t)(1 << at % 7);
			r = hs_server_hello(h.s, sent.p, sent.len, &h.m2, &h.e);
			if (r == 0) {
				assert_int_equal(step_m3(&h), 0);
				assert_refused(&h);
			} else {
				assert_true(r == PQC_EPROTO || r == PQC_EREFUSED);
				assert_true(step_m3(&h) != 0);
			}
			buf_free(&sent);
			hs_end(&h);
		}
	}
}

static void test_m2_damage(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		size_t len = 1, step = p == all ? 3 : 11, tail = 60;
		uint8_t id[ID_LEN];

		for (size_t at = 0; at < len; at += at + tail < len ? step : 1) {
			struct hs h;
			int r;

			up_to_m2(&h, p);
			len = h.m2.len;
			h.m2.p[at] ^= (uint8_t)(1 << at % 7);
			r = step_m3(&h);
			if (r == 0)
				assert_refused(&h); /* the nonce: only the transcript tells */
			else
				assert_true((r == PQC_EPROTO || r == PQC_EREFUSED) &&
					    h.e.code == r);
			/* a client that failed does not go on */
			if (r != 0)
				assert_int_equal(hs_client_ready(h.c, h.m2.p, h.m2.len, id, &h.e),
						 PQC_EPROTO);
			hs_end(&h);
		}
	}
}

static void test_m3_damage(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		size_t len = 1, edge = 40, step = p == all ? 13 : 41;

		for (size_t at = 0; at < len; at += at >= edge && at + edge < len ? step : 1) {
			struct hs h;

			up_to_m3(&h, p);
			len = h.m3.len;
			h.m3.p[at] ^= (uint8_t)(1 << at % 8);
			assert_refused(&h);
			hs_end(&h);
		}
	}
}

static void test_m3_lengths(void **state)
{
	static const size_t lengths[] = {0, 1, 2, 3, 1121, 1122, 1138, 1500, 3122, 6494, 6495};

	(void)state;
	FOR_EACH_SUITE(p)
	{
		for (size_t i = 0; i < COUNT(lengths) + 3; i++) {
			struct hs h;

			up_to_m3(&h, p);
			if (i < COUNT(lengths))
				buf_truncate(&h.m3, lengths[i]);
			else if (i == COUNT(lengths))
				buf_truncate(&h.m3, h.m3.len - 1);
			else if (i == COUNT(lengths) + 1)
				buf_put_u8(&h.m3, 0);
			else
				buf_extend(&h.m3, HS_M3_MAX - h.m3.len);
			assert_refused(&h);
			hs_end(&h);
		}
	}
}

static void test_m4_damage(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		size_t len = 1;

		for (size_t at = 0; at < len + 3; at++) {
			struct hs h;

			up_to_m3(&h, p);
			assert_int_equal(step_server(&h), 0);
			assert_int_equal(step_m4(&h), 0);
			len = h.m4.len;
			if (at < len)
				h.m4.p[at] ^= (uint8_t)(1 << at % 8);
			else if (at == len)
				buf_truncate(&h.m4, len - 1);
			else if (at == len + 1)
				buf_put_u8(&h.m4, 0);
			else
				buf_truncate(&h.m4, 0);
			assert_int_equal(step_client(&h), PQC_EREFUSED);
			assert_null(h.cs);
			assert_int_equal(step_client(&h), PQC_EPROTO); /* no second try */
			hs_end(&h);
		}
	}
}

/* ---- messages in the wrong place ---- */

static void copy(struct buf *to, const struct buf *from)
{
	buf_reset(to);
	buf_put(to, from->p, from->len);
	assert_int_equal(buf_error(to), 0);
}

static void test_replay(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		struct hs first, again;

		/* M3 in a connection of its own: the nonce of M2 differs */
		up_to_m3(&first, p);
		up_to_m3(&again, p);
		copy(&again.m3, &first.m3);
		assert_refused(&again);
		hs_end(&again);
		/* the whole of the client's side, M1 included */
		hs_begin(&again, p->server, p->bundle, p->client);
		copy(&again.m1, &first.m1);
		assert_int_equal(step_m2(&again), 0);
		copy(&again.m3, &first.m3);
		assert_refused(&again);
		hs_end(&again);
		/* M2 given to another client: its M3 is for the first one's M1 */
		hs_begin(&again, p->server, p->bundle, p->client);
		copy(&again.m2, &first.m2);
		assert_int_equal(step_m3(&again), 0);
		copy(&first.m3, &again.m3);
		assert_refused(&first);
		hs_end(&again);
		hs_end(&first);
	}
}

static void test_m4_replay(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		struct hs first, again;

		up_to_m3(&first, p);
		assert_int_equal(step_server(&first), 0);
		assert_int_equal(step_m4(&first), 0);
		up_to_m3(&again, p);
		copy(&again.m4, &first.m4);
		assert_int_equal(step_client(&again), PQC_EREFUSED);
		hs_end(&again);
		hs_end(&first);
	}
}

static void test_reflection(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		struct hs h;
		struct buf out = BUF_INIT(MSG_MAX);

		hs_begin(&h, p->server, p->bundle, p->client);
		copy(&h.m2, &h.m1);
		assert_int_equal(step_m3(&h), PQC_EPROTO);
		hs_end(&h);
		up_to_m3(&h, p);
		copy(&h.m4, &h.m3);
		assert_int_equal(step_client(&h), PQC_EREFUSED);
		hs_end(&h);
		/* the server's own messages */
		up_to_m2(&h, p);
		copy(&h.m3, &h.m2);
		assert_refused(&h);
		hs_end(&h);
		hs_begin(&h, p->server, p->bundle, p->client);
		copy(&h.m1, &h.m2);
		assert_int_equal(step_m2(&h), PQC_EPROTO);
		hs_end(&h);
		/* what the client says later is no M4, nor is the server's first message after it */
		up_to_m3(&h, p);
		assert_int_equal(step_server(&h), 0);
		assert_int_equal(step_m4(&h), 0);
		const struct msg m = answer();
		assert_int_equal(session_seal(h.ss, &m, &out), 0);
		copy(&h.m4, &out);
		assert_int_equal(step_client(&h), PQC_EREFUSED);
		buf_free(&out);
		hs_end(&h);
	}
}

static void test_out_of_turn(void **state)
{
	struct parties *p = &all[0];
	struct msg m = ask();
	uint8_t id[ID_LEN];
	struct hs h;

	(void)state;
	/* the server */
	hs_begin(&h, p->server, p->bundle, p->client);
	assert_int_equal(step_m4(&h), PQC_EPROTO);
	assert_int_equal(step_server(&h), PQC_EREFUSED); /* M3 first */
	hs_end(&h);
	up_to_m2(&h, p);
	buf_reset(&h.m2);
	assert_int_equal(step_m2(&h), PQC_EPROTO); /* a second hello */
	assert_non_null(strstr(buf_cstr(&h.m2), "\"code\":\"protocol\""));
	hs_end(&h);
	up_to_m3(&h, p);
	h.m3.p[9] ^= 1;
	assert_refused(&h);
	h.m3.p[9] ^= 1;
	assert_refused(&h); /* no second try with the right one */
	hs_end(&h);
	up_to_m3(&h, p);
	assert_int_equal(step_server(&h), 0);
	assert_int_equal(hs_server_reply(h.s, &m, &h.m4, &h.ss), PQC_EPROTO); /* not a reply */
	assert_int_equal(step_m4(&h), 0);
	struct session *none = NULL;
	assert_int_equal(hs_server_reply(h.s, &(struct msg){.type = MSG_REPLY}, &h.m4, &none),
			 PQC_EPROTO);
	assert_null(none);
	assert_int_equal(step_client(&h), 0);
	hs_end(&h);
	/* the client */
	hs_begin(&h, p->server, p->bundle, p->client);
	assert_int_equal(hs_client_hello(h.c, &h.m1), PQC_EPROTO);
	assert_int_equal(hs_client_request(h.c, &m, NOW, &h.m3, &h.e), PQC_EPROTO);
	assert_int_equal(step_client(&h), PQC_EPROTO);
	assert_int_equal(step_m2(&h), 0);
	assert_int_equal(hs_client_ready(h.c, h.m2.p, h.m2.len, id, &h.e), 0);
	m.type = MSG_FETCH;
	assert_int_equal(hs_client_request(h.c, &m, NOW, &h.m3, &h.e), PQC_EPROTO);
	hs_end(&h);
}

/* ---- servers that are not who they say ---- */

/* The client's answer to an M2 of this bundle; *where: 1 if ready, 2 if request failed. */
static int offer_m2(const struct parties *p, const struct buf *m2, uint64_t now, int *where)
{
	const struct msg m = ask();
	uint8_t id[ID_LEN];
	struct hs h;
	int r;

	hs_begin(&h, p->server, p->bundle, p->client);
	*where = 1;
	r = hs_client_ready(h.c, m2->p, m2->len, id, &h.e);
	if (r == 0) {
		*where = 2;
		r = hs_client_request(h.c, &m, now, &h.m3, &h.e);
	}
	if (r != 0) {
		assert_int_equal(h.e.code, r);
		assert_true(h.e.msg[0] != '\0');
		assert_int_equal(h.m3.len, 0);
	}
	hs_end(&h);
	return r;
}

/* A good bundle of p's server. */
static void good_bundle(const struct parties *p, struct buf *bundle)
{
	struct hs h;

	up_to_m2(&h, p);
	m2_member(&h.m2, "bundle", bundle);
	hs_end(&h);
}

static void assert_m2(const struct parties *p, const struct buf *bundle, uint64_t now, int expected)
{
	struct buf m2 = BUF_INIT(HS_JSON_MAX);
	int where, r;

	forge_m2(bundle, p->server, "pqx1 bundle", p->server, &m2);
	r = offer_m2(p, &m2, now, &where);
	if (r != expected || where != (expected == PQC_EPROTO ? 1 : 2))
		fail_msg("got %d in step %d, expected %d", r, where, expected);
	buf_free(&m2);
}

static void test_another_server(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		struct buf bundle, m2 = BUF_INIT(HS_JSON_MAX);
		int where;

		good_bundle(p, &bundle);
		forge_m2(&bundle, p->server, "pqx1 bundle", p->server, &m2);
		assert_int_equal(offer_m2(p, &m2, NOW, &where), 0);
		/* the right id and key, signed by another */
		forge_m2(&bundle, p->eve, "pqx1 bundle", p->server, &m2);
		assert_int_equal(offer_m2(p, &m2, NOW, &where), PQC_EREFUSED);
		assert_int_equal(where, 2);
		/* the right id, another's key and good signature */
		forge_m2(&bundle, p->eve, "pqx1 bundle", p->eve, &m2);
		assert_int_equal(offer_m2(p, &m2, NOW, &where), PQC_EPROTO);
		assert_int_equal(where, 1);
		/* another's id, the right key and signature */
		memcpy(bundle.p + 4, identity_public(p->eve)->id, ID_LEN);
		forge_m2(&bundle, p->server, "pqx1 bundle", p->server, &m2);
		assert_int_equal(offer_m2(p, &m2, NOW, &where), PQC_EPROTO);
		assert_int_equal(where, 1);
		/* eve as eve: well-formed, and the caller sees whom it talks to */
		forge_m2(&bundle, p->eve, "pqx1 bundle", p->eve, &m2);
		struct hs h;

		hs_begin(&h, p->server, p->bundle, p->client);
		assert_int_equal(hs_client_ready(h.c, m2.p, m2.len, h.server_id, &h.e), 0);
		assert_memory_equal(h.server_id, identity_public(p->eve)->id, ID_LEN);
		hs_end(&h);
		buf_free(&bundle);
		buf_free(&m2);
	}
}

/* A signature of the server made for something else. */
static void test_signature_context(void **state)
{
	static const char *const contexts[] = {"pqx1 client auth", "pqx1 manifest", "pqx1 receipt",
					       ""};

	(void)state;
	FOR_EACH_SUITE(p)
	{
		struct buf bundle, m2 = BUF_INIT(HS_JSON_MAX);
		int where;

		good_bundle(p, &bundle);
		for (size_t i = 0; i < COUNT(contexts); i++) {
			forge_m2(&bundle, p->server, contexts[i], p->server, &m2);
			assert_int_equal(offer_m2(p, &m2, NOW, &where), PQC_EREFUSED);
			assert_int_equal(where, 2);
		}
		buf_free(&bundle);
		buf_free(&m2);
	}
}

static void test_dates(void **state)
{
	static const struct {
		int64_t before, after; /* of the bundle, relative to NOW */
		int expected;
	} cases[] = {
		{0, 60, 0},
		{600, 660, 0}, /* its clock is 600 s ahead */
		{601, 661, PQC_EREFUSED},
		{-660, -600, 0}, /* it ended 600 s ago */
		{-661, -601, PQC_EREFUSED},
		{0, 61, PQC_EREFUSED}, /* not for 60 s */
		{0, 59, PQC_EREFUSED},
		{60, 0, PQC_EREFUSED},
		{0, 0, PQC_EREFUSED},
		{-(int64_t)NOW, 60, PQC_EREFUSED},
		{-(int64_t)NOW, INT64_MAX, PQC_EREFUSED},
	};
	struct buf bundle;

	(void)state;
	FOR_EACH_SUITE(p)
	{
		good_bundle(p, &bundle);
		for (size_t i = 0; i < COUNT(cases); i++) {
			be64_put(bundle.p + 36, NOW + (uint64_t)cases[i].before);
			be64_put(bundle.p + 44, NOW + (uint64_t)cases[i].after);
			assert_m2(p, &bundle, NOW, cases[i].expected);
		}
		be64_put(bundle.p + 36, UINT64_MAX - 60);
		be64_put(bundle.p + 44, UINT64_MAX);
		assert_m2(p, &bundle, NOW, PQC_EREFUSED);
		assert_m2(p, &bundle, 0, PQC_EREFUSED);
		assert_m2(p, &bundle, UINT64_MAX, 0);
		be64_put(bundle.p + 36, 0);
		be64_put(bundle.p + 44, 60);
		assert_m2(p, &bundle, 0, 0);
		assert_m2(p, &bundle, 660, 0);
		assert_m2(p, &bundle, 661, PQC_EREFUSED);
		assert_m2(p, &bundle, UINT64_MAX, PQC_EREFUSED);
		buf_free(&bundle);
	}
}

/* The server's side: M3 for a bundle past its grace. */
static void test_grace(void **state)
{
	static const struct {
		uint64_t now;
		int expected;
	} cases[] = {
		{NOW + 60, 0}, {NOW + 70, 0}, {NOW + 71, PQC_EREFUSED}, {UINT64_MAX, PQC_EREFUSED}};

	(void)state;
	FOR_EACH_SUITE(p)
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct hs h;

		up_to_m3(&h, p);
		assert_int_equal(hs_server_request(h.s, h.m3.p, h.m3.len, cases[i].now, h.client_id,
						   &h.request),
				 cases[i].expected);
		hs_end(&h);
	}
}

static void test_versions(void **state)
{
	static const struct {
		uint16_t version, minimum;
		int expected;
	} cases[] = {
		{1, 1, 0},
		{2, 1, 0},
		{65535, 0, 0},
		{1, 0, 0},
		{2, 2, PQC_EREFUSED},
		{0, 0, PQC_EREFUSED},
		{1, 2, PQC_EREFUSED},
		{65535, 65535, PQC_EREFUSED},
	};
	struct buf bundle;

	(void)state;
	FOR_EACH_SUITE(p)
	{
		good_bundle(p, &bundle);
		for (size_t i = 0; i < COUNT(cases); i++) {
			be16_put(bundle.p, cases[i].version);
			be16_put(bundle.p + 2, cases[i].minimum);
			assert_m2(p, &bundle, NOW, cases[i].expected);
		}
		buf_free(&bundle);
	}
}

/* A bundle of the server's signing, with this list of suites. */
static void bundle_of(const struct parties *p, uint8_t count, const struct buf *list,
		      struct buf *out)
{
	struct buf good;

	good_bundle(p, &good);
	buf_init(out, HS_JSON_MAX);
	buf_put(out, good.p, 52);
	buf_put_u8(out, count);
	buf_put(out, list->p, list->len);
	buf_free(&good);
}

static void put_key(struct buf *list, uint8_t suite, const void *pk, size_t n)
{
	buf_put_u8(list, suite);
	buf_put_block(list, pk, n);
}

static void assert_list(const struct parties *p, uint8_t count, struct buf *list, int expected)
{
	struct buf bundle;

	bundle_of(p, count, list, &bundle);
	assert_m2(p, &bundle, NOW, expected);
	buf_free(&bundle);
	buf_reset(list);
}

static void test_suite_lists(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		const struct suite *s = suite_of(p->server), *other = suite_by_id(3u - s->id);
		uint8_t pk[KEM_PK_MAX], other_pk[KEM_PK_MAX];
		struct buf l = BUF_INIT(HS_JSON_MAX);
		struct kem_key *k;

		assert_int_equal(kem_hs_generate(s, &k, pk), 0);
		kem_free(k);
		assert_int_equal(kem_hs_generate(other, &k, other_pk), 0);
		kem_free(k);
		put_key(&l, s->id, pk, s->hs_pk_len);
		assert_list(p, 1, &l, 0);
		/* both suites: the client takes its own */
		put_key(&l, 1, s->id == 1 ? pk : other_pk, suite_by_id(1)->hs_pk_len);
		put_key(&l, 2, s->id == 2 ? pk : other_pk, suite_by_id(2)->hs_pk_len);
		assert_list(p, 2, &l, 0);
		/* only the other one; an unknown one */
		put_key(&l, other->id, other_pk, other->hs_pk_len);
		assert_list(p, 1, &l, PQC_EREFUSED);
		put_key(&l, 99, pk, 10);
		assert_list(p, 1, &l, PQC_EREFUSED);
		/* not well-formed */
		assert_list(p, 0, &l, PQC_EPROTO);
		put_key(&l, s->id, pk, s->hs_pk_len);
		assert_list(p, 0, &l, PQC_EPROTO);
		put_key(&l, s->id, pk, s->hs_pk_len);
		assert_list(p, 2, &l, PQC_EPROTO);
		put_key(&l, s->id, pk, s->hs_pk_len);
		put_key(&l, s->id, pk, s->hs_pk_len);
		assert_list(p, 2, &l, PQC_EPROTO);
		put_key(&l, 2, pk, 1);
		put_key(&l, 1, pk, 1);
		assert_list(p, 2, &l, PQC_EPROTO);
		put_key(&l, 0, pk, 1);
		assert_list(p, 1, &l, PQC_EPROTO);
		put_key(&l, s->id, pk, s->hs_pk_len);
		buf_put_u8(&l, 0);
		assert_list(p, 1, &l, PQC_EPROTO);
		put_key(&l, s->id, pk, s->hs_pk_len); /* three are too many */
		put_key(&l, 50, pk, 10);
		put_key(&l, 51, pk, 10);
		assert_list(p, 3, &l, PQC_EPROTO);
		for (size_t n = 0; n <= KEM_PK_MAX + 1; n += n < 3 || n > 1200 ? 1 : 97) {
			if (n == s->hs_pk_len)
				continue;
			buf_put_u8(&l, s->id);
			buf_put_u32(&l, (uint32_t)n);
			buf_extend(&l, n);
			assert_list(p, 1, &l, PQC_EPROTO);
		}
		buf_free(&l);
	}
}

static void test_truncated_bundle(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		struct buf bundle;

		good_bundle(p, &bundle);
		while (bundle.len > 0) {
			buf_truncate(&bundle, bundle.len > 80 ? bundle.len - 79 : bundle.len - 1);
			assert_m2(p, &bundle, NOW, PQC_EPROTO);
		}
		buf_free(&bundle);
	}
}

/* KEM public keys that are none: not on the curve, coefficients too large. */
static void test_bad_share(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		const struct suite *s = suite_of(p->server);
		struct buf bundle;

		good_bundle(p, &bundle);
		memset(bundle.p + BUNDLE_PK, 0xff, s->hs_pk_len);
		assert_m2(p, &bundle, NOW, PQC_EREFUSED);
		if (s->id == 2) {
			memset(bundle.p + BUNDLE_PK, 0, s->hs_pk_len);
			assert_m2(p, &bundle, NOW, PQC_EREFUSED);
		}
		buf_free(&bundle);
	}
}

/* ---- clients that are not who they say ---- */

static void encode_request(const struct msg *m, struct buf *out)
{
	buf_init(out, MSG_MAX);
	assert_int_equal(msg_encode(m, out), 0);
}

static void assert_forgery(const struct parties *p, const struct forge *f, int expected)
{
	struct hs h;

	up_to_m2(&h, p);
	forge_m3(&h, f, NULL, NULL);
	if (expected == 0)
		assert_int_equal(step_server(&h), 0);
	else
		assert_refused(&h);
	hs_end(&h);
}

static void test_misbinding(void **state)
{
	struct msg m = ask();
	struct buf request, other;

	(void)state;
	encode_request(&m, &request);
	m.name = (struct span){"another", 7};
	encode_request(&m, &other);
	FOR_EACH_SUITE(p)
	{
		const uint8_t *mallory_id = identity_public(p->mallory)->id;
		const uint8_t nobody[ID_LEN] = {0};
		const struct {
			const char *what;
			struct forge f;
		} cases[] = {
			{"the client's signature under mallory's key",
			 {.client = p->mallory, .signer = p->client}},
			{"the same, for the client's id",
			 {.client = p->mallory,
			  .signer = p->client,
			  .signed_id = identity_public(p->client)->id}},
			{"mallory's signature under the client's key",
			 {.client = p->client, .signer = p->mallory}},
			{"the client's, made for mallory's id",
			 {.client = p->client, .signed_id = mallory_id}},
			{"made for nobody's id", {.client = p->client, .signed_id = nobody}},
			{"made for another server", {.client = p->client, .server = p->eve}},
			{"made in another handshake", {.client = p->client, .wrong_th3 = true}},
			{"made for another request",
			 {.client = p->client, .signed_request = &other}},
			{"made as a manifest", {.client = p->client, .context = "pqx1 manifest"}},
			{"made as a bundle", {.client = p->client, .context = "pqx1 bundle"}},
		};

		for (size_t i = 0; i < COUNT(cases); i++) {
			struct forge f = cases[i].f;

			f.request = &request;
			f.server = f.server ? f.server : p->server;
			assert_forgery(p, &f, PQC_EREFUSED);
		}
		/* mallory as mallory is let in, as mallory */
		struct forge f = {.client = p->mallory, .server = p->server, .request = &request};
		struct hs h;

		up_to_m2(&h, p);
		forge_m3(&h, &f, NULL, NULL);
		assert_int_equal(step_server(&h), 0);
		assert_memory_equal(h.client_id, mallory_id, ID_LEN);
		hs_end(&h);
	}
	buf_free(&request);
	buf_free(&other);
}

/* The client's M3 to eve, opened by eve with the key she has, is of no use at the server. */
static void test_relay(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		struct hs_bundle *b;
		struct hs to_eve, to_server;

		assert_int_equal(hs_bundle_new(p->eve, NOW, &b), 0);
		hs_begin(&to_eve, p->eve, b, p->client);
		assert_int_equal(step_m2(&to_eve), 0);
		assert_int_equal(step_m3(&to_eve), 0);
		hs_begin(&to_server, p->server, p->bundle, p->client);
		copy(&to_server.m1, &to_eve.m1);
		assert_int_equal(step_m2(&to_server), 0);
		copy(&to_server.m3, &to_eve.m3);
		assert_refused(&to_server);
		assert_int_equal(step_server(&to_eve), 0);
		hs_end(&to_eve);
		hs_end(&to_server);
		hs_bundle_unref(b);
	}
}

static void test_bad_ciphertext(void **state)
{
	struct msg m = ask();
	struct buf request;

	(void)state;
	encode_request(&m, &request);
	FOR_EACH_SUITE(p)
	{
		struct forge f = {.client = p->client, .server = p->server, .request = &request};

		for (f.ct_extra = -(int)suite_of(p->server)->hs_ct_len; f.ct_extra <= 16;
		     f.ct_extra += f.ct_extra < -20 ? 100 : 1)
			assert_forgery(p, &f, f.ct_extra == 0 ? 0 : PQC_EREFUSED);
		f.ct_extra = 0;
		f.wrong_ct = true; /* no point of a curve, no ciphertext */
		assert_forgery(p, &f, PQC_EREFUSED);
	}
	buf_free(&request);
}

/* An authentic client whose request is none. */
static void test_bad_request(void **state)
{
	const struct msg reply = answer();
	struct buf request;

	(void)state;
	encode_request(&reply, &request);
	FOR_EACH_SUITE(p)
	{
		struct forge f = {.client = p->client, .server = p->server, .request = &request};
		struct buf empty = BUF_INIT(1), junk = BUF_INIT(8);

		assert_forgery(p, &f, PQC_EREFUSED);
		f.request = &empty;
		assert_forgery(p, &f, PQC_EREFUSED);
		buf_put_str(&junk, "\1\1junk");
		f.request = &junk;
		assert_forgery(p, &f, PQC_EREFUSED);
		buf_free(&junk);
	}
	buf_free(&request);
}

static void test_suite_downgrade(void **state)
{
	struct msg m = ask();
	struct buf request;

	(void)state;
	encode_request(&m, &request);
	FOR_EACH_SUITE(p)
	{
		struct parties *q = p == all ? all + 1 : all; /* of the other suite */
		struct hs h;
		struct forge f = {.client = p->client, .server = p->server, .request = &request};

		/* a client of the other suite: the server says no, in words */
		hs_begin(&h, p->server, p->bundle, q->client);
		assert_int_equal(step_m2(&h), PQC_EREFUSED);
		assert_non_null(strstr(buf_cstr(&h.m2), "\"code\":\"suite\""));
		assert_int_equal(step_m3(&h), PQC_EREFUSED);
		assert_non_null(strstr(h.e.msg, suite_of(p->server)->name));
		hs_end(&h);
		/* the M1 edited so that the server goes on: the client does not */
		hs_begin(&h, p->server, p->bundle, q->client);
		buf_reset(&h.m1);
		buf_put_str(&h.m1, "{\"action\":\"transfer_file\"}");
		assert_int_equal(step_m2(&h), 0);
		assert_int_equal(hs_client_ready(h.c, h.m2.p, h.m2.len, h.server_id, &h.e), 0);
		assert_int_equal(hs_client_request(h.c, &m, NOW, &h.m3, &h.e), PQC_EREFUSED);
		hs_end(&h);
		/* the suite byte of M3 */
		for (unsigned byte = 0; byte < 256; byte += byte < 4 ? 1 : 42) {
			up_to_m3(&h, p);
			if (h.m3.p[1] != byte) {
				h.m3.p[1] = (uint8_t)byte;
				assert_refused(&h);
			}
			hs_end(&h);
		}
		/* and of an M3 that was made for that byte all through */
		f.suite = suite_of(q->client)->id;
		assert_forgery(p, &f, PQC_EREFUSED);
		f.suite = 77;
		assert_forgery(p, &f, PQC_EREFUSED);
	}
	buf_free(&request);
}

/* A server that signs with one suite and has keys of both: a client of the other does not follow. */
static void test_mixed_suites(void **state)
{
	(void)state;
	FOR_EACH_SUITE(p)
	{
		const struct parties *q = p == all ? all + 1 : all;
		struct parties mixed = *p;
		struct buf bundle, m2 = BUF_INIT(HS_JSON_MAX), l = BUF_INIT(HS_JSON_MAX);
		int where;

		for (unsigned id = 1; id <= 2; id++) {
			uint8_t pk[KEM_PK_MAX];
			struct kem_key *k;

			assert_int_equal(kem_hs_generate(suite_by_id(id), &k, pk), 0);
			kem_free(k);
			put_key(&l, (uint8_t)id, pk, suite_by_id(id)->hs_pk_len);
		}
		bundle_of(p, 2, &l, &bundle);
		forge_m2(&bundle, p->server, "pqx1 bundle", p->server, &m2);
		assert_int_equal(offer_m2(p, &m2, NOW, &where), 0);
		mixed.client = q->client;
		assert_int_equal(offer_m2(&mixed, &m2, NOW, &where), PQC_EREFUSED);
		assert_int_equal(where, 2);
		buf_free(&bundle);
		buf_free(&m2);
		buf_free(&l);
	}
}

/* An M3 of a client of the other suite: lengths and all. */
static void test_other_suites_m3(void **state)
{
	struct hs h, g;

	(void)state;
	up_to_m3(&h, &all[0]);
	up_to_m3(&g, &all[1]);
	copy(&h.m3, &g.m3);
	assert_refused(&h);
	hs_end(&h);
	hs_end(&g);
}

/* The largest request there is fits; what is larger is refused on our side already. */
static void test_large_request(void **state)
{
	static uint8_t bytes[PQX_KEYBLOCK_MAX];
	static char name[4096];
	struct msg m = {.type = MSG_REQUEST,
			.op = OP_PUT,
			.size = 1,
			.name = {name, sizeof(name)},
			.file_id = {bytes, 32},
			.header = {bytes, 128},
			.dek = {bytes, 32},
			.keyblock = {bytes, sizeof(bytes)},
			.traceparent = {bytes, 55}};
	struct hs h;

	(void)state;
	memset(name, 'x', sizeof(name));
	m.has = msg_bit(TAG_OP) | msg_bit(TAG_SIZE) | msg_bit(TAG_NAME) | msg_bit(TAG_FILE_ID) |
		msg_bit(TAG_HEADER) | msg_bit(TAG_DEK) | msg_bit(TAG_KEYBLOCK) |
		msg_bit(TAG_TRACEPARENT);
	FOR_EACH_SUITE(p)
	{
		up_to_m2(&h, p);
		assert_int_equal(hs_client_ready(h.c, h.m2.p, h.m2.len, h.server_id, &h.e), 0);
		assert_int_equal(hs_client_request(h.c, &m, NOW, &h.m3, &h.e), 0);
		assert_true(h.m3.len <= HS_M3_MAX);
		assert_int_equal(step_server(&h), 0);
		assert_int_equal(h.request.keyblock.n, PQX_KEYBLOCK_MAX);
		hs_end(&h);
	}
}

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct parties *p = &all[i];
		struct identity **ids[] = {&p->server, &p->eve, &p->client, &p->mallory};

		for (size_t k = 0; k < COUNT(ids); k++)
			if (identity_generate(suite_by_id(i + 1), ids[k]) != 0)
				return -1;
		if (hs_bundle_new(p->server, NOW, &p->bundle) != 0)
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		identity_free(all[i].server);
		identity_free(all[i].eve);
		identity_free(all[i].client);
		identity_free(all[i].mallory);
		hs_bundle_unref(all[i].bundle);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_works),
		cmocka_unit_test(test_is_as_documented),
		cmocka_unit_test(test_plain_hello),
		cmocka_unit_test(test_bundle_is_shared),
		cmocka_unit_test(test_keys_are_fresh),
		cmocka_unit_test(test_m1_damage),
		cmocka_unit_test(test_m2_damage),
		cmocka_unit_test(test_m3_damage),
		cmocka_unit_test(test_m3_lengths),
		cmocka_unit_test(test_m4_damage),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_m4_replay),
		cmocka_unit_test(test_reflection),
		cmocka_unit_test(test_out_of_turn),
		cmocka_unit_test(test_another_server),
		cmocka_unit_test(test_signature_context),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_grace),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_suite_lists),
		cmocka_unit_test(test_truncated_bundle),
		cmocka_unit_test(test_bad_share),
		cmocka_unit_test(test_misbinding),
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_bad_ciphertext),
		cmocka_unit_test(test_bad_request),
		cmocka_unit_test(test_suite_downgrade),
		cmocka_unit_test(test_mixed_suites),
		cmocka_unit_test(test_other_suites_m3),
		cmocka_unit_test(test_large_request),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
