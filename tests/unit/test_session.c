/* Sealed control messages and frame tags: what a network can do to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/secmem.h"
#include "protocol/session_keys.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct pair {
	struct session_keys keys;
	struct session *client, *server;
};

static void pair_new(struct pair *p)
{
	assert_int_equal(random_bytes(&p->keys, sizeof(p->keys)), 0);
	assert_int_equal(session_new(&p->client, &p->keys, false), 0);
	assert_int_equal(session_new(&p->server, &p->keys, true), 0);
}

static void pair_free(struct pair *p)
{
	session_free(p->client);
	session_free(p->server);
}

/* A message that says n. */
static struct msg say(uint32_t n)
{
	return (struct msg){.type = MSG_ERROR,
			    .code = CODE_TEMPORARY,
			    .retry_after = n,
			    .text = {"later", 5},
			    .has = msg_bit(TAG_CODE) | msg_bit(TAG_TEXT) |
				   msg_bit(TAG_RETRY_AFTER)};
}

static void seal(struct session *s, uint32_t n, struct buf *wire)
{
	struct msg m = say(n);

	buf_init(wire, MSG_MAX);
	assert_int_equal(session_seal(s, &m, wire), 0);
}

/* Open a copy, so that the wire can be used again. */
static int open_copy(struct session *s, const uint8_t *p, size_t n, uint32_t *said)
{
	uint8_t *copy = malloc(n ? n : 1);
	struct msg m;
	int r;

	memcpy(copy, p, n);
	r = session_open(s, copy, n, &m);
	if (r == 0)
		*said = m.retry_after;
	else
		assert_int_equal(m.has, 0);
	free(copy);
	return r;
}

static void test_both_directions(void **state)
{
	struct pair p;

	(void)state;
	pair_new(&p);
	for (uint32_t i = 0; i < 50; i++) {
		struct buf a, b;
		uint32_t said = 0;

		seal(p.client, i, &a);
		seal(p.server, 1000 + i, &b);
		assert_int_equal(a.p[0], WIRE_CONTROL);
		assert_int_equal(open_copy(p.server, a.p, a.len, &said), 0);
		assert_int_equal(said, i);
		assert_int_equal(open_copy(p.client, b.p, b.len, &said), 0);
		assert_int_equal(said, 1000 + i);
		buf_free(&a);
		buf_free(&b);
	}
	pair_free(&p);
}

/* The form on the wire, from docs/protocol.md alone: key, number, aad. */
static void test_wire_form(void **state)
{
	struct pair p;
	struct aead *a = aead_new();
	uint8_t aad = 0x10, iv[AEAD_IV], out[64];

	(void)state;
	pair_new(&p);
	for (uint32_t number = 0; number < 3; number++) {
		struct buf wire;
		struct span in;
		struct msg m;

		seal(p.client, 77, &wire);
		memcpy(iv, p.keys.c_ctl.iv, AEAD_IV);
		iv[11] ^= (uint8_t)number;
		in = (struct span){wire.p + 1, wire.len - 17};
		assert_true(in.n <= sizeof(out));
		assert_int_equal(aead_open(a, p.keys.c_ctl.key, iv, &(struct span){&aad, 1}, &in,
					   wire.p + wire.len - 16, out),
				 0);
		assert_int_equal(msg_decode(out, in.n, &m), 0);
		assert_int_equal(m.retry_after, 77);
		buf_free(&wire);
	}
	aead_free(a);
	pair_free(&p);
}

enum order { REPLAY, REORDER, DROP, REFLECT };

/* What a network can do with whole messages; then nothing opens any more. */
static void meddle(enum order what)
{
	struct pair p;
	struct buf wire[3];
	uint32_t said;

	pair_new(&p);
	for (uint32_t i = 0; i < 3; i++)
		seal(p.client, i, &wire[i]);
	switch (what) {
	case REPLAY:
		assert_int_equal(open_copy(p.server, wire[0].p, wire[0].len, &said), 0);
		assert_int_equal(open_copy(p.server, wire[0].p, wire[0].len, &said), PQC_EPROTO);
		break;
	case REORDER:
		assert_int_equal(open_copy(p.server, wire[1].p, wire[1].len, &said), PQC_EPROTO);
		break;
	case DROP:
		assert_int_equal(open_copy(p.server, wire[0].p, wire[0].len, &said), 0);
		assert_int_equal(open_copy(p.server, wire[2].p, wire[2].len, &said), PQC_EPROTO);
		break;
	case REFLECT:
		assert_int_equal(open_copy(p.client, wire[0].p, wire[0].len, &said), PQC_EPROTO);
		break;
	}
	/* The one that would have been right comes too late. */
	for (size_t i = 0; i < 3; i++)
		if (what != REFLECT)
			assert_int_equal(open_copy(p.server, wire[i].p, wire[i].len, &said),
					 PQC_EPROTO);
	for (size_t i = 0; i < 3; i++)
		buf_free(&wire[i]);
	pair_free(&p);
}

static void test_whole_messages(void **state)
{
	(void)state;
	meddle(REPLAY);
	meddle(REORDER);
	meddle(DROP);
	meddle(REFLECT);
}

/* A fresh receiving session for each attempt, as one failure ends it. */
static int fresh_open(const struct pair *p, const uint8_t *wire, size_t n)
{
	struct session *s;
	uint32_t said;
	int r;

	assert_int_equal(session_new(&s, &p->keys, true), 0);
	r = open_copy(s, wire, n, &said);
	session_free(s);
	return r;
}

static void test_damage(void **state)
{
	struct pair p;
	struct buf wire;

	(void)state;
	pair_new(&p);
	seal(p.client, 5, &wire);
	assert_int_equal(fresh_open(&p, wire.p, wire.len), 0);
	for (size_t bit = 0; bit < 8 * wire.len; bit++) {
		wire.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(fresh_open(&p, wire.p, wire.len), PQC_EPROTO);
		wire.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < wire.len; n++)
		assert_int_equal(fresh_open(&p, wire.p, n), PQC_EPROTO);
	buf_put_u8(&wire, 0);
	assert_int_equal(fresh_open(&p, wire.p, wire.len), PQC_EPROTO);
	buf_free(&wire);
	pair_free(&p);
}

/* A message well sealed, but not a message: the peer's fault all the same. */
static void test_sealed_nonsense(void **state)
{
	static uint8_t wire[MSG_MAX + 1];
	struct pair p;
	struct aead *a = aead_new();
	uint8_t aad = WIRE_CONTROL;

	(void)state;
	pair_new(&p);
	for (size_t n = 0; n < 40; n++) {
		struct span in = {wire + 1, n};

		memset(wire, 0xff, sizeof(wire));
		wire[0] = WIRE_CONTROL;
		assert_int_equal(aead_seal(a, p.keys.c_ctl.key, p.keys.c_ctl.iv,
					   &(struct span){&aad, 1}, &in, wire + 1, wire + 1 + n),
				 0);
		assert_int_equal(fresh_open(&p, wire, n + 17), PQC_EPROTO);
	}
	assert_int_equal(fresh_open(&p, wire, sizeof(wire)), PQC_EPROTO);
	aead_free(a);
	pair_free(&p);
}

/* M4 has its own aad: neither can stand for the other. */
static void test_m4(void **state)
{
	struct msg m = {.type = MSG_REPLY, .has = msg_bit(TAG_STATUS)}, got;
	uint8_t th4[SHA512_LEN] = {1}, other[SHA512_LEN] = {2};
	struct buf m4 = BUF_INIT(MSG_MAX), wire = BUF_INIT(MSG_MAX), copy = BUF_INIT(MSG_MAX);
	struct pair p;

	(void)state;
	pair_new(&p);
	assert_int_equal(session_seal_m4(p.server, th4, &m, &m4), 0);
	buf_put(&copy, m4.p, m4.len);
	assert_int_equal(session_open_m4(p.client, th4, copy.p, copy.len, &got), 0);
	assert_int_equal(got.type, MSG_REPLY);
	pair_free(&p);

	for (int i = 0; i < 3; i++) {
		pair_new(&p);
		buf_reset(&wire);
		assert_int_equal(i == 2 ? session_seal(p.server, &m, &wire)
					: session_seal_m4(p.server, th4, &m, &wire),
				 0);
		if (i == 0)
			assert_int_equal(session_open_m4(p.client, other, wire.p, wire.len, &got),
					 PQC_EINTEGRITY);
		if (i == 1)
			assert_int_equal(session_open(p.client, wire.p, wire.len, &got),
					 PQC_EPROTO);
		if (i == 2)
			assert_int_equal(session_open_m4(p.client, th4, wire.p, wire.len, &got),
					 PQC_EINTEGRITY);
		pair_free(&p);
	}
	buf_free(&m4);
	buf_free(&wire);
	buf_free(&copy);
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

/*
 * The same message sealed over and over, in both directions and many sessions:
 * equal ciphertexts would show a key and number used twice.
 */
static void test_numbers_never_repeat(void **state)
{
	enum { SESSIONS = 20, EACH = 100 };
	uint8_t(*seen)[32] = calloc(2 * SESSIONS * EACH, 32);
	size_t n = 0;

	(void)state;
	assert_non_null(seen);
	for (int i = 0; i < SESSIONS; i++) {
		struct pair p;

		pair_new(&p);
		for (int k = 0; k < 2 * EACH; k++) {
			struct buf wire;

			seal(k % 2 ? p.client : p.server, 1, &wire);
			assert_true(wire.len > 33);
			memcpy(seen[n++], wire.p + 1, 32);
			buf_free(&wire);
		}
		pair_free(&p);
	}
	qsort(seen, n, 32, compare);
	for (size_t i = 1; i < n; i++)
		assert_memory_not_equal(seen[i - 1], seen[i], 32);
	free(seen);
}

/* A seal that fails sends nothing and does not put the two sides out of step. */
static void test_failed_seal(void **state)
{
	struct pair p;
	struct msg m = say(1);
	struct buf small = BUF_INIT(20), wire;
	uint32_t said = 0;

	(void)state;
	pair_new(&p);
	assert_int_equal(session_seal(p.client, &m, &small), PQC_ETOOBIG);
	assert_int_equal(small.len, 0);
	buf_free(&small);
	m.has |= msg_bit(TAG_DEK);
	buf_init(&wire, MSG_MAX);
	assert_int_equal(session_seal(p.client, &m, &wire), PQC_EPROTO);
	assert_int_equal(wire.len, 0);
	buf_free(&wire);
	seal(p.client, 9, &wire);
	assert_int_equal(open_copy(p.server, wire.p, wire.len, &said), 0);
	assert_int_equal(said, 9);
	buf_free(&wire);
	pair_free(&p);
}

static void test_frame_header(void **state)
{
	static const uint8_t expected[FRAME_LEN] = {
		0x20, 1,    0,	  0,	0x11, 0x12, 0x13, 0x14, 0,    0,    0,
		1,    0x21, 0x22, 0x23, 0x24, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36,
		0x37, 0x38, 0x41, 0x42, 0x43, 0x44, 0,	  0,	0,    0,
	};
	const struct frame f = {FRAME_FINAL, 0x11121314, 0x41424344, 0x121222324,
				0x3132333435363738};
	uint8_t head[FRAME_LEN];
	struct frame got;

	(void)state;
	memset(head, 0xee, sizeof(head));
	frame_encode(&f, head);
	assert_memory_equal(head, expected, FRAME_LEN);
	assert_int_equal(frame_decode(head, &got), 0);
	assert_true(got.flags == f.flags && got.handle == f.handle && got.length == f.length &&
		    got.part == f.part && got.sequence == f.sequence);
	for (size_t bit = 0; bit < 8 * FRAME_LEN; bit++) {
		size_t at = bit / 8;
		bool fixed = at == 0 || (at == 1 && bit % 8 > 0) || at == 2 || at == 3 || at >= 28;

		head[at] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(frame_decode(head, &got), fixed ? PQC_EPROTO : 0);
		head[at] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_frame_tag(void **state)
{
	static const size_t lengths[] = {32, 48};
	struct pair p, other;
	struct aead *a = aead_new();
	uint8_t head[FRAME_LEN], leaf[HASH_MAX + 1] = {7}, tag[AEAD_TAG], doc[AEAD_TAG];
	uint8_t iv[AEAD_IV], aad[FRAME_LEN + HASH_MAX];

	(void)state;
	pair_new(&p);
	pair_new(&other);
	frame_encode(&(struct frame){0, 1, 65536, 3, 0x0102}, head);
	for (size_t k = 0; k < COUNT(lengths); k++) {
		size_t n = lengths[k];

		assert_int_equal(session_frame_tag(p.client, a, head, leaf, n, tag), 0);
		assert_int_equal(session_frame_check(p.server, a, head, leaf, n, tag), 0);
		assert_int_equal(session_frame_check(other.server, a, head, leaf, n, tag),
				 PQC_EPROTO);
		/* from the document alone */
		memcpy(iv, p.keys.c_frame.iv, AEAD_IV);
		iv[10] ^= 0x01;
		iv[11] ^= 0x02;
		memcpy(aad, head, FRAME_LEN);
		memcpy(aad + FRAME_LEN, leaf, n);
		assert_int_equal(aead_seal(a, p.keys.c_frame.key, iv,
					   &(struct span){aad, FRAME_LEN + n}, NULL, NULL, doc),
				 0);
		assert_memory_equal(tag, doc, AEAD_TAG);
		/* every bit of header, leaf and tag */
		for (size_t bit = 0; bit < 8 * (FRAME_LEN + n + AEAD_TAG); bit++) {
			size_t at = bit / 8;
			uint8_t *byte = at < FRAME_LEN	     ? &head[at]
					: at < FRAME_LEN + n ? &leaf[at - FRAME_LEN]
							     : &tag[at - FRAME_LEN - n];

			*byte ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(session_frame_check(p.server, a, head, leaf, n, tag),
					 PQC_EPROTO);
			*byte ^= (uint8_t)(1 << bit % 8);
		}
		/* a leaf of another length */
		assert_int_equal(session_frame_check(p.server, a, head, leaf, n - 1, tag),
				 PQC_EPROTO);
	}
	assert_int_equal(session_frame_tag(p.client, a, head, leaf, HASH_MAX + 1, tag), PQC_EFAIL);
	aead_free(a);
	pair_free(&p);
	pair_free(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_directions),	     cmocka_unit_test(test_wire_form),
		cmocka_unit_test(test_whole_messages),	     cmocka_unit_test(test_damage),
		cmocka_unit_test(test_sealed_nonsense),	     cmocka_unit_test(test_m4),
		cmocka_unit_test(test_numbers_never_repeat), cmocka_unit_test(test_failed_seal),
		cmocka_unit_test(test_frame_header),	     cmocka_unit_test(test_frame_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
