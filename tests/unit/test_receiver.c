/* The receiving side of a put: each rule about frames, and what is acknowledged when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/receiver.h"

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define PART	  65536u
#define HANDLE	  7
#define WINDOW	  4
#define NO	  UINT64_MAX
#define FINAL_LEN 1072u /* cob_sealed_len(1000) */

struct fixture {
	struct pqx_header h;
	struct receiver *r;
	uint64_t sequence;
};

/* A receiver of a file of n parts, the last of 1000 bytes; n = 0: a stream. */
static void begin(struct fixture *f, uint64_t n, const struct partset *held)
{
	const struct partset none = PARTSET_INIT;
	struct receiver_opts o = {&f->h, HANDLE, WINDOW, held ? held : &none};

	f->h = (struct pqx_header){.suite = suite_by_id(SUITE_KYBER768), .part_size = PART};
	f->h.plain_size = n ? (n - 1) * pqx_part_capacity(PART) + 1000 : PQX_SIZE_UNKNOWN;
	f->sequence = 0;
	assert_int_equal(receiver_new(&f->r, &o), 0);
}

static void end(struct fixture *f)
{
	receiver_free(f->r);
}

static struct frame frame_of(const struct fixture *f, uint64_t part, bool final)
{
	return (struct frame){.flags = final ? FRAME_FINAL : 0,
			      .handle = HANDLE,
			      .length = final ? FINAL_LEN : PART,
			      .part = part,
			      .sequence = f->sequence};
}

static int offer(struct fixture *f, const struct frame *fr, bool *known)
{
	struct err e = {0};
	int r = receiver_accept(f->r, fr, known, &e);

	if (r == 0)
		f->sequence++;
	else
		assert_true(r == PQC_EPROTO && e.code == r && e.msg[0] != '\0');
	return r;
}

static void accept_part(struct fixture *f, uint64_t part, bool final)
{
	struct frame fr = frame_of(f, part, final);
	bool known;

	assert_int_equal(offer(f, &fr, &known), 0);
	assert_false(known);
}

static void assert_refused(struct fixture *f, uint64_t part, bool final)
{
	struct frame fr = frame_of(f, part, final);
	bool known;

	assert_int_equal(offer(f, &fr, &known), PQC_EPROTO);
}

static void receive(struct fixture *f, uint64_t part, bool final)
{
	accept_part(f, part, final);
	assert_int_equal(receiver_received(f->r, part), 0);
}

/* The next ACK tells of parts a and b (UINT64_MAX: no such part) and of durable. */
static void assert_ack(struct fixture *f, uint64_t a, uint64_t b, uint64_t durable)
{
	struct partset s = PARTSET_INIT;
	struct msg ack;

	assert_true(receiver_ack(f->r, &ack));
	assert_int_equal(ack.type, MSG_ACK);
	assert_true(msg_has(&ack, TAG_RANGES) && msg_has(&ack, TAG_DURABLE));
	assert_int_equal(partset_decode(ack.ranges.p, ack.ranges.n, &s), 0);
	assert_int_equal(partset_count(&s), (a != NO) + (b != NO));
	assert_true(a == NO || partset_has(&s, a));
	assert_true(b == NO || partset_has(&s, b));
	assert_int_equal(ack.durable, durable);
	assert_false(receiver_ack(f->r, &ack)); /* nothing new */
	partset_free(&s);
}

static void test_life(void **state)
{
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, 3, NULL);
	assert_int_equal(receiver_parts(f.r), 3);
	receive(&f, 1, false);
	assert_ack(&f, 1, NO, 0);
	receive(&f, 0, false);
	receive(&f, 2, true);
	assert_int_equal(receiver_durable(f.r, 1), 0);
	assert_ack(&f, 0, 2, 0);
	assert_false(receiver_complete(f.r));
	assert_int_equal(receiver_durable(f.r, 0), 0);
	assert_ack(&f, NO, NO, 2);
	assert_int_equal(receiver_commit(f.r, 3, &e), 0);
	assert_false(receiver_complete(f.r));
	assert_int_equal(receiver_durable(f.r, 2), 0);
	assert_true(receiver_complete(f.r));
	assert_int_equal(partset_count(receiver_held(f.r)), 3);
	assert_ack(&f, NO, NO, 3);
	end(&f);
}

/* Each field of a frame header that may not be so, and that the right one goes on working. */
static void test_wrong_frames(void **state)
{
	static const struct {
		const char *what;
		struct frame f;
	} cases[] = {
		{"handle", {0, HANDLE + 1, PART, 0, 0}},
		{"sequence ahead", {0, HANDLE, PART, 0, 1}},
		{"sequence far", {0, HANDLE, PART, 0, UINT64_MAX}},
		{"short part", {0, HANDLE, PART - 1, 0, 0}},
		{"long part", {0, HANDLE, PART + 1, 0, 0}},
		{"empty part", {0, HANDLE, 0, 0, 0}},
		{"huge part", {0, HANDLE, UINT32_MAX, 0, 0}},
		{"final flag on a part that is not", {FRAME_FINAL, HANDLE, PART, 0, 0}},
		{"final flag and final length too", {FRAME_FINAL, HANDLE, FINAL_LEN, 0, 0}},
		{"final part unmarked", {0, HANDLE, FINAL_LEN, 2, 0}},
		{"final part unmarked and full", {0, HANDLE, PART, 2, 0}},
		{"final part too long", {FRAME_FINAL, HANDLE, FINAL_LEN + 1, 2, 0}},
		{"final part too short", {FRAME_FINAL, HANDLE, FINAL_LEN - 1, 2, 0}},
		{"final part full", {FRAME_FINAL, HANDLE, PART, 2, 0}},
		{"no such part", {0, HANDLE, PART, 3, 0}},
		{"no such part, final", {FRAME_FINAL, HANDLE, FINAL_LEN, 3, 0}},
		{"part 2^32", {0, HANDLE, PART, UINT64_C(1) << 32, 0}},
		{"part 2^64-1", {0, HANDLE, PART, UINT64_MAX, 0}},
	};
	struct fixture f;
	bool known;

	(void)state;
	begin(&f, 3, NULL);
	for (size_t i = 0; i < COUNT(cases); i++)
		if (offer(&f, &cases[i].f, &known) != PQC_EPROTO)
			fail_msg("accepted: %s", cases[i].what);
	receive(&f, 0, false); /* none of them spent the sequence number */
	end(&f);
}

static void test_sequence(void **state)
{
	struct fixture f;
	struct frame fr;
	bool known;

	(void)state;
	begin(&f, 10, NULL);
	for (uint64_t i = 0; i < 3; i++) {
		fr = frame_of(&f, i, false);
		assert_int_equal(offer(&f, &fr, &known), 0);
		assert_int_equal(offer(&f, &fr, &known), PQC_EPROTO); /* the same frame again */
		fr.sequence += 2;
		assert_int_equal(offer(&f, &fr, &known), PQC_EPROTO); /* one is missing */
	}
	end(&f);
}

static void test_window(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 100, NULL);
	assert_refused(&f, WINDOW, false);
	accept_part(&f, WINDOW - 1, false);
	accept_part(&f, 0, false);
	assert_refused(&f, WINDOW, false); /* on its way is not held yet */
	assert_int_equal(receiver_received(f.r, 0), 0);
	accept_part(&f, WINDOW, false);
	assert_refused(&f, WINDOW + 1, false);
	assert_int_equal(receiver_received(f.r, WINDOW), 0);
	assert_refused(&f, WINDOW + 1, false); /* the lowest missing is still 1 */
	end(&f);
}

static void test_known(void **state)
{
	struct partset held = PARTSET_INIT;
	struct fixture f;
	struct frame fr;
	bool known = false;
	struct msg ack;

	(void)state;
	assert_int_equal(partset_add(&held, 0, 2), 0);
	assert_int_equal(partset_add(&held, 3, 1), 0);
	begin(&f, 6, &held);
	assert_int_equal(partset_count(receiver_held(f.r)), 3);
	assert_false(receiver_ack(f.r, &ack)); /* the client was told in the reply */
	fr = frame_of(&f, 3, false);
	assert_int_equal(offer(&f, &fr, &known), 0);
	assert_true(known);
	assert_int_equal(receiver_received(f.r, 3), PQC_EFAIL);
	fr = frame_of(&f, 0, false); /* below the window */
	known = false;
	assert_int_equal(offer(&f, &fr, &known), 0);
	assert_true(known);
	accept_part(&f, 2, false);
	fr = frame_of(&f, 2, false); /* on its way */
	known = false;
	assert_int_equal(offer(&f, &fr, &known), 0);
	assert_true(known);
	assert_int_equal(receiver_received(f.r, 2), 0);
	assert_int_equal(receiver_durable(f.r, 2), 0);
	assert_ack(&f, 2, NO, 4);
	partset_free(&held);
	end(&f);
}

/* The caller's own mistakes. */
static void test_misuse(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 5, NULL);
	assert_int_equal(receiver_received(f.r, 0), PQC_EFAIL);
	assert_int_equal(receiver_durable(f.r, 0), PQC_EFAIL);
	accept_part(&f, 0, false);
	assert_int_equal(receiver_durable(f.r, 0), PQC_EFAIL);
	assert_int_equal(receiver_received(f.r, 0), 0);
	assert_int_equal(receiver_received(f.r, 0), PQC_EFAIL);
	assert_int_equal(receiver_durable(f.r, 0), 0);
	assert_int_equal(receiver_durable(f.r, 0), 0);
	end(&f);
}

static void test_held_out_of_range(void **state)
{
	struct partset held = PARTSET_INIT;
	struct pqx_header h = {
		.suite = suite_by_id(SUITE_KYBER768), .part_size = PART, .plain_size = 5};
	struct receiver_opts o = {&h, HANDLE, WINDOW, &held};
	struct receiver *r = NULL;

	(void)state;
	assert_int_equal(partset_add(&held, 1, 1), 0);
	assert_int_equal(receiver_new(&r, &o), PQC_EINTEGRITY);
	assert_null(r);
	h.plain_size = PQX_SIZE_UNKNOWN;
	assert_int_equal(partset_add(&held, PQX_PARTS_MAX, 1), 0);
	assert_int_equal(receiver_new(&r, &o), PQC_EINTEGRITY);
	partset_free(&held);
}

static void test_commit(void **state)
{
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, 3, NULL);
	assert_int_equal(receiver_commit(f.r, 3, &e), PQC_EPROTO);
	receive(&f, 0, false);
	receive(&f, 2, true);
	assert_int_equal(receiver_commit(f.r, 3, &e), PQC_EPROTO);
	assert_int_equal(receiver_commit(f.r, 1, &e), PQC_EPROTO);
	accept_part(&f, 1, false);
	assert_int_equal(receiver_commit(f.r, 2, &e), PQC_EPROTO);
	assert_int_equal(receiver_commit(f.r, 4, &e), PQC_EPROTO);
	assert_int_equal(receiver_commit(f.r, 0, &e), PQC_EPROTO);
	assert_int_equal(receiver_commit(f.r, 3, &e), 0);
	assert_int_equal(receiver_commit(f.r, 3, &e), PQC_EPROTO); /* a second one */
	assert_refused(&f, 1, false);				   /* a part after it */
	assert_int_equal(receiver_received(f.r, 1), 0);		   /* which was on its way */
	end(&f);
}

static void test_stream(void **state)
{
	struct fixture f;
	struct err e;
	struct frame fr;
	bool known;

	(void)state;
	begin(&f, 0, NULL);
	assert_int_equal(receiver_parts(f.r), 0);
	receive(&f, 0, false);
	receive(&f, 2, false);
	assert_refused(&f, 1, true); /* 2 is there already */
	/* lengths that no sealed final part has */
	fr = frame_of(&f, 3, true);
	for (uint32_t n = 0; n <= 72; n++) { /* 72: an empty one, allowed only as part 0 */
		fr.length = n;
		assert_int_equal(offer(&f, &fr, &known), PQC_EPROTO);
	}
	fr.length = PART + 1;
	assert_int_equal(offer(&f, &fr, &known), PQC_EPROTO);
	assert_int_equal(receiver_parts(f.r), 0);
	receive(&f, 3, true);
	assert_int_equal(receiver_parts(f.r), 4);
	assert_refused(&f, 4, false);
	assert_refused(&f, 4, true);
	assert_refused(&f, 3, false);
	assert_int_equal(receiver_commit(f.r, 4, &e), PQC_EPROTO);
	receive(&f, 1, false);
	assert_int_equal(receiver_commit(f.r, 4, &e), 0);
	end(&f);
}

static void test_stream_lengths(void **state)
{
	struct fixture f;
	struct frame fr;
	bool known;

	(void)state;
	begin(&f, 0, NULL); /* an empty stream */
	fr = frame_of(&f, 0, true);
	fr.length = (uint32_t)cob_sealed_len(0);
	assert_int_equal(offer(&f, &fr, &known), 0);
	assert_int_equal(receiver_parts(f.r), 1);
	end(&f);
	begin(&f, 0, NULL); /* a full last part */
	accept_part(&f, 0, false);
	fr = frame_of(&f, 1, true);
	fr.length = PART;
	assert_int_equal(offer(&f, &fr, &known), 0);
	assert_int_equal(receiver_parts(f.r), 2);
	end(&f);
	begin(&f, 0, NULL); /* the last part again, of another length */
	accept_part(&f, 0, true);
	fr = frame_of(&f, 0, true);
	fr.length++;
	assert_int_equal(offer(&f, &fr, &known), PQC_EPROTO);
	end(&f);
}

/* A stream whose final part came on an earlier connection: only COMMIT says how many there are. */
static void test_stream_resumed(void **state)
{
	struct partset held = PARTSET_INIT;
	struct fixture f;
	struct err e;

	(void)state;
	assert_int_equal(partset_add(&held, 0, 5), 0);
	begin(&f, 0, &held);
	assert_false(receiver_complete(f.r));
	assert_int_equal(receiver_commit(f.r, 4, &e), PQC_EPROTO);
	assert_int_equal(receiver_commit(f.r, 6, &e), PQC_EPROTO);
	assert_int_equal(receiver_commit(f.r, 5, &e), 0);
	assert_int_equal(receiver_parts(f.r), 5);
	assert_true(receiver_complete(f.r));
	partset_free(&held);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_wrong_frames),
		cmocka_unit_test(test_sequence),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_held_out_of_range),
		cmocka_unit_test(test_commit),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_stream_lengths),
		cmocka_unit_test(test_stream_resumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
