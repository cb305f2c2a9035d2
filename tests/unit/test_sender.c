/* The sending side of a put: its rules, and thousands of random steps against the receiver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/receiver.h"
#include "protocol/sender.h"

#define PART 65536u

static const struct partset none = PARTSET_INIT;

/* An ACK of `count` parts from `first`. */
static int ack(struct sender *s, uint64_t first, uint64_t count, uint64_t durable)
{
	uint8_t wire[16];
	struct msg m = {.type = MSG_ACK,
			.ranges = {wire, count ? 16 : 0},
			.durable = durable,
			.has = msg_bit(TAG_RANGES) | msg_bit(TAG_DURABLE)};

	be64_put(wire, first);
	be64_put(wire + 8, count);
	return sender_acked(s, &m);
}

static void assert_next(struct sender *s, uint64_t part, uint64_t sequence)
{
	uint64_t p = 0, q = 0, peeked = 0;

	assert_int_equal(sender_peek(s, &peeked), 0);
	assert_int_equal(peeked, part);
	assert_int_equal(sender_next(s, &p, &q), 0);
	assert_int_equal(p, part);
	assert_int_equal(q, sequence);
}

static void assert_none(struct sender *s, int why)
{
	uint64_t p, q;

	assert_int_equal(sender_peek(s, &p), why);
	assert_int_equal(sender_next(s, &p, &q), why);
}

static void test_life(void **state)
{
	struct sender *s;

	(void)state;
	assert_int_equal(sender_new(&s, 5), 0);
	assert_none(s, PQC_EAGAIN); /* not connected */
	assert_int_equal(sender_connected(s, &none, 2), 0);
	assert_next(s, 0, 0);
	assert_next(s, 1, 1);
	assert_none(s, PQC_EAGAIN);
	assert_int_equal(ack(s, 1, 1, 0), 0);
	assert_none(s, PQC_EAGAIN); /* 0 is the lowest */
	assert_int_equal(ack(s, 0, 1, 1), 0);
	assert_int_equal(sender_durable(s), 1);
	assert_int_equal(sender_received(s), 2);
	assert_next(s, 2, 2);
	assert_next(s, 3, 3);
	assert_int_equal(ack(s, 2, 2, 4), 0);
	assert_false(sender_all_sent(s));
	assert_next(s, 4, 4);
	assert_true(sender_all_sent(s));
	assert_none(s, PQC_ENOTFOUND);
	assert_int_equal(ack(s, 4, 1, 5), 0);
	assert_int_equal(sender_durable(s), 5);
	sender_free(s);
}

static void test_wrong_acks(void **state)
{
	const uint8_t bad[32] = {0};
	struct msg m = {.type = MSG_ACK, .ranges = {bad, 32}};
	struct sender *s;

	(void)state;
	assert_int_equal(sender_new(&s, 10), 0);
	assert_int_equal(sender_connected(s, &none, 4), 0);
	assert_int_equal(ack(s, 0, 1, 0), PQC_EPROTO); /* never sent */
	for (uint64_t i = 0; i < 4; i++)
		assert_next(s, i, i);
	assert_int_equal(ack(s, 0, 5, 0), PQC_EPROTO);	 /* one of them never sent */
	assert_int_equal(ack(s, 100, 1, 0), PQC_EPROTO); /* no such part */
	assert_int_equal(ack(s, UINT64_MAX - 1, 1, 0), PQC_EPROTO);
	assert_int_equal(ack(s, 0, 2, 3), PQC_EPROTO); /* durable, not received */
	assert_int_equal(ack(s, 0, 0, UINT64_MAX), PQC_EPROTO);
	assert_int_equal(sender_acked(s, &m), PQC_EPROTO); /* not canonical */
	m = (struct msg){.type = MSG_COMMIT};
	assert_int_equal(sender_acked(s, &m), PQC_EPROTO);
	/* nothing of all that was believed */
	assert_int_equal(sender_received(s), 0);
	assert_int_equal(sender_durable(s), 0);
	assert_int_equal(ack(s, 0, 2, 2), 0);
	assert_int_equal(ack(s, 0, 0, 1), PQC_EPROTO); /* backwards */
	assert_int_equal(ack(s, 0, 0, 2), 0);
	assert_int_equal(ack(s, 1, 1, 2), 0); /* said again: harmless */
	sender_free(s);
}

static void test_reconnect(void **state)
{
	struct partset held = PARTSET_INIT, less = PARTSET_INIT;
	struct sender *s;

	(void)state;
	assert_int_equal(sender_new(&s, 8), 0);
	assert_int_equal(sender_connected(s, &none, 4), 0);
	for (uint64_t i = 0; i < 4; i++)
		assert_next(s, i, i);
	assert_int_equal(ack(s, 0, 3, 2), 0);
	/* part 2 was received but lost; 3 arrived unsaid */
	assert_int_equal(partset_add(&held, 0, 2), 0);
	assert_int_equal(partset_add(&held, 3, 1), 0);
	assert_int_equal(partset_add(&less, 0, 1), 0);
	assert_int_equal(sender_connected(s, &less, 4), PQC_EPROTO); /* what was durable is gone */
	assert_int_equal(sender_connected(s, &held, 0), PQC_EPROTO);
	assert_int_equal(sender_connected(s, &held, 4), 0);
	assert_int_equal(sender_received(s), 3);
	assert_next(s, 2, 0);
	assert_next(s, 4, 1);
	assert_next(s, 5, 2);
	assert_none(s, PQC_EAGAIN);
	assert_int_equal(partset_add(&held, 8, 1), 0);
	assert_int_equal(sender_connected(s, &held, 4), PQC_EPROTO); /* no such part */
	partset_free(&held);
	partset_free(&less);
	sender_free(s);
}

static void test_stream(void **state)
{
	struct sender *s;
	uint64_t q;

	(void)state;
	assert_int_equal(sender_new(&s, 0), 0);
	assert_int_equal(sender_connected(s, &none, 4096), 0);
	for (q = 0; q < 5; q++)
		assert_next(s, q, q);
	assert_false(sender_all_sent(s));
	sender_set_parts(s, 6);
	assert_false(sender_all_sent(s));
	assert_next(s, 5, q);
	assert_true(sender_all_sent(s));
	assert_none(s, PQC_ENOTFOUND);
	sender_free(s);
}

/* ---- the model: both sides, and a network that loses connections ---- */

#define PARTS_MOST 120

struct world {
	uint64_t seed, parts;
	uint32_t window;
	bool stream;
	struct pqx_header h;
	struct sender *s;
	struct receiver *r;
	struct partset disk; /* what survives on the server */
	struct frame net[PARTS_MOST];
	size_t net_n; /* frames under way, in order */
	struct buf acks[64];
	size_t acks_n;
	uint64_t writing[PARTS_MOST]; /* accepted, not yet received */
	size_t writing_n;
	uint64_t promised;	  /* the highest durable the client ever heard */
	bool durable[PARTS_MOST]; /* the client knows these are durable */
	unsigned losses, resends;
	unsigned times_sent[PARTS_MOST];
};

static uint64_t roll(struct world *w, uint64_t n)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (w->seed >> 11) % n;
}

static void drop_acks(struct world *w)
{
	for (size_t i = 0; i < w->acks_n; i++)
		buf_free(&w->acks[i]);
	w->acks_n = 0;
}

/* The connection is lost; a new one begins, and what the server had not on disk is gone. */
static void reconnect(struct world *w)
{
	struct receiver_opts o = {&w->h, 1, w->window, &w->disk};

	drop_acks(w);
	w->net_n = w->writing_n = 0;
	receiver_free(w->r);
	assert_int_equal(receiver_new(&w->r, &o), 0);
	assert_int_equal(sender_connected(w->s, &w->disk, w->window), 0);
	for (uint64_t i = 0; i < w->parts; i++)
		w->durable[i] |= partset_has(&w->disk, i);
}

static void step_send(struct world *w)
{
	struct frame f = {.handle = 1};

	if (w->net_n == PARTS_MOST || sender_next(w->s, &f.part, &f.sequence) != 0)
		return;
	assert_true(f.part < w->parts);
	assert_false(w->durable[f.part]); /* nothing known to be durable is sent again */
	w->resends += w->times_sent[f.part]++ > 0;
	f.flags = f.part == w->parts - 1 ? FRAME_FINAL : 0;
	f.length = f.flags ? (uint32_t)cob_sealed_len(1000) : PART;
	w->net[w->net_n++] = f;
	if (w->stream && f.flags)
		sender_set_parts(w->s, w->parts);
}

static void step_arrive(struct world *w)
{
	struct err e;
	bool known;

	if (w->net_n == 0)
		return;
	/* The sender's window is never wider than the receiver's: no frame is refused. */
	if (receiver_accept(w->r, &w->net[0], &known, &e) != 0)
		fail_msg("refused: %s", e.msg);
	assert_false(known);
	w->writing[w->writing_n++] = w->net[0].part;
	w->net_n--;
	memmove(w->net, w->net + 1, w->net_n * sizeof(w->net[0]));
}

/* Workers finish in any order. */
static void step_written(struct world *w)
{
	size_t i;

	if (w->writing_n == 0)
		return;
	i = (size_t)roll(w, w->writing_n);
	assert_int_equal(receiver_received(w->r, w->writing[i]), 0);
	/* sometimes it gets durable at once, sometimes only with a later flush, sometimes never */
	if (roll(w, 3) == 0) {
		assert_int_equal(receiver_durable(w->r, w->writing[i]), 0);
		assert_int_equal(partset_add(&w->disk, w->writing[i], 1), 0);
	}
	w->writing[i] = w->writing[--w->writing_n];
}

/* Make durable all that was received on this connection and is not being written. */
static void step_flush(struct world *w)
{
	for (uint64_t i = 0; i < w->parts; i++)
		if (!partset_has(&w->disk, i) && receiver_durable(w->r, i) == 0)
			assert_int_equal(partset_add(&w->disk, i, 1), 0);
}

static void step_ack(struct world *w)
{
	struct buf *b = &w->acks[w->acks_n];
	struct msg m;

	if (w->acks_n == 64 || !receiver_ack(w->r, &m))
		return;
	buf_init(b, MSG_MAX);
	assert_int_equal(msg_encode(&m, b), 0);
	w->acks_n++;
}

static void step_heard(struct world *w)
{
	struct msg m;

	if (w->acks_n == 0)
		return;
	assert_int_equal(msg_decode(w->acks[0].p, w->acks[0].len, &m), 0);
	assert_int_equal(sender_acked(w->s, &m), 0);
	assert_true(sender_durable(w->s) >= w->promised);
	w->promised = sender_durable(w->s);
	assert_true(partset_covers(&w->disk, 0, w->promised)); /* no empty promise */
	for (uint64_t i = 0; i < w->promised; i++)
		w->durable[i] = true;
	buf_free(&w->acks[0]);
	w->acks_n--;
	memmove(w->acks, w->acks + 1, w->acks_n * sizeof(w->acks[0]));
}

static bool finished(const struct world *w)
{
	return sender_all_sent(w->s) && w->net_n == 0 && w->writing_n == 0 &&
	       sender_durable(w->s) == w->parts;
}

static void run(uint64_t seed, unsigned *losses, unsigned *resends)
{
	static void (*const steps[])(struct world *) = {
		step_send, step_send, step_arrive, step_written, step_flush, step_ack, step_heard};
	struct world *w = calloc(1, sizeof(*w));
	struct err e;

	assert_non_null(w);
	w->seed = seed * 0x9e3779b97f4a7c15u + 1;
	w->parts = 1 + roll(w, PARTS_MOST);
	w->window = 1 + (uint32_t)roll(w, 20);
	w->stream = roll(w, 3) == 0;
	w->h = (struct pqx_header){.suite = suite_by_id(SUITE_KYBER768), .part_size = PART};
	w->h.plain_size =
		w->stream ? PQX_SIZE_UNKNOWN : (w->parts - 1) * pqx_part_capacity(PART) + 1000;
	assert_int_equal(sender_new(&w->s, w->stream ? 0 : w->parts), 0);
	reconnect(w);
	for (unsigned n = 0; !finished(w); n++) {
		assert_true(n < 100000);
		/* Every scheme of losing connections ends, or the transfer might not. */
		if (w->losses < 30 && roll(w, 60) == 0) {
			w->losses++;
			reconnect(w);
		}
		/* a stream's client has bytes for the parts of its source only */
		steps[roll(w, sizeof(steps) / sizeof(steps[0]))](w);
	}
	assert_int_equal(receiver_commit(w->r, w->parts, &e), 0);
	assert_true(receiver_complete(w->r));
	assert_true(partset_covers(&w->disk, 0, w->parts));
	assert_int_equal(partset_count(&w->disk), w->parts);
	*losses += w->losses;
	*resends += w->resends;
	drop_acks(w);
	partset_free(&w->disk);
	receiver_free(w->r);
	sender_free(w->s);
	free(w);
}

static void test_model(void **state)
{
	unsigned losses = 0, resends = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++)
		run(seed, &losses, &resends);
	/* the runs were not all quiet ones */
	assert_true(losses > 1000);
	assert_true(resends > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),	  cmocka_unit_test(test_wrong_acks),
		cmocka_unit_test(test_reconnect), cmocka_unit_test(test_stream),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
