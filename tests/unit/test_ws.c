/* RFC 6455 framing: every violation by itself, every split, random sequences, garbage. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/ws.h"

#define KIND	    0x20
#define MESSAGE_MAX 1000
#define DATA_MAX    40000
#define FIN	    0x80

static const uint8_t mask[4] = {0x9a, 0x01, 0xfe, 0x37};

static uint64_t rng_state;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

/* A frame as the peer of that role sends it; first: FIN, RSV and opcode. */
static void put_frame(struct buf *b, bool to_server, unsigned first, const void *p, size_t n)
{
	uint8_t head[WS_HEADER_MAX], *at;
	size_t len = ws_header(head, WS_TEXT, n, to_server ? mask : NULL);

	head[0] = (uint8_t)first;
	buf_put(b, head, len);
	if (n == 0)
		return;
	at = buf_extend(b, n);
	assert_non_null(at);
	memcpy(at, p, n);
	for (size_t i = 0; to_server && i < n; i++)
		at[i] ^= mask[i % 4];
}

static struct ws *fresh(bool server)
{
	struct ws_opts o = {server, KIND, MESSAGE_MAX, DATA_MAX};
	struct ws *w = NULL;

	assert_int_equal(ws_new(&w, &o), 0);
	return w;
}

/* What happened, as text: one "name op length: bytes" an event. */
static void record(struct buf *log, const char *name, unsigned op, const uint8_t *p, size_t n)
{
	buf_printf(log, "%s %u %zu:", name, op, n);
	buf_put(log, p, n);
	buf_put_str(log, "\n");
}

static const char *const names[] = {
	[WS_EV_NONE] = "none",	  [WS_EV_MESSAGE] = "message", [WS_EV_DATA] = "data",
	[WS_EV_DATA_END] = "end", [WS_EV_PING] = "ping",       [WS_EV_PONG] = "pong",
	[WS_EV_CLOSE] = "close",
};

/* Where a data message goes during a run. */
struct sink {
	uint8_t *p;
	size_t n;
	uint8_t mask[4];
};

/* Take all events there are. Returns false after an error. */
static bool drain(struct ws *w, struct sink *s, struct buf *log)
{
	struct ws_event ev;
	unsigned code = 0;
	uint8_t *p;
	size_t n;

	for (;;) {
		int r = ws_next(w, &ev, &code);

		if (r != 0) {
			buf_printf(log, "error %d %u\n", r, code);
			return false;
		}
		if (ev.type == WS_EV_NONE)
			return true;
		if (ev.type == WS_EV_DATA) {
			record(log, "head", ev.op, ev.head, WS_DATA_HEAD);
			ws_want(w, &p, &n);
			assert_int_equal(n, 0);
			s->n = ev.n;
			s->p = malloc(ev.n);
			assert_non_null(s->p);
			memcpy(s->mask, ev.mask, 4);
			ws_data_into(w, s->p);
		} else if (ev.type == WS_EV_DATA_END) {
			ws_mask(s->p, s->n, s->mask, WS_DATA_HEAD);
			record(log, names[ev.type], ev.op, s->p, s->n);
			free(s->p);
			s->p = NULL;
		} else if (ev.type == WS_EV_CLOSE) {
			buf_printf(log, "close %zu\n", ev.n);
		} else {
			record(log, names[ev.type], ev.op, ev.p, ev.n);
		}
	}
}

/* Give p[n] to the parser, at most chunk bytes at once; false when it refused. */
static bool give(struct ws *w, struct sink *s, const uint8_t *p, size_t n, size_t chunk,
		 struct buf *log)
{
	while (n > 0) {
		size_t room;
		uint8_t *to;

		ws_want(w, &to, &room);
		assert_true(room > 0);
		room = room < n ? room : n;
		room = room < chunk ? room : chunk;
		memcpy(to, p, room);
		ws_got(w, room);
		p += room;
		n -= room;
		if (!drain(w, s, log))
			return false;
	}
	return true;
}

/* Run in two pieces, split at a place. */
static void run(bool server, const struct buf *in, size_t split, size_t chunk, struct buf *log)
{
	struct ws *w = fresh(server);
	struct sink s = {0};

	if (drain(w, &s, log) && give(w, &s, in->p, split, chunk, log))
		give(w, &s, in->p + split, in->len - split, chunk, log);
	free(s.p);
	ws_free(w);
}

static void same_log(const struct buf *got, const struct buf *want)
{
	assert_int_equal(got->error, 0);
	assert_int_equal(want->error, 0);
	assert_int_equal(got->len, want->len);
	assert_memory_equal(got->p, want->p, want->len);
}

/* in gives want, whole, split anywhere, and byte by byte. */
static void check(bool server, struct buf *in, struct buf *want)
{
	struct buf log = BUF_INIT(1 << 22);

	assert_int_equal(in->error, 0);
	for (size_t split = 0; split <= in->len; split++) {
		buf_reset(&log);
		run(server, in, split, SIZE_MAX, &log);
		same_log(&log, want);
	}
	buf_reset(&log);
	run(server, in, 0, 1, &log);
	same_log(&log, want);
	buf_free(&log);
	buf_free(in);
	buf_free(want);
}

static void check_text(bool server, struct buf *in, const char *want)
{
	struct buf b = BUF_INIT(1 << 20);

	buf_put_str(&b, want);
	check(server, in, &b);
}

/* The bytes are refused with that close code, however they arrive. */
static void refused(bool server, struct buf *in, unsigned code)
{
	char want[32];

	snprintf(want, sizeof(want), "error %d %u\n", PQC_EPROTO, code);
	check_text(server, in, want);
}

static void headers_are_minimal(void **state)
{
	static const uint64_t lengths[] = {0, 1, 125, 126, 65535, 65536, (uint64_t)1 << 40};
	static const size_t sizes[] = {2, 2, 2, 4, 4, 10, 10};
	uint8_t h[WS_HEADER_MAX];

	(void)state;
	for (size_t i = 0; i < 7; i++) {
		assert_int_equal(ws_header(h, WS_BINARY, lengths[i], NULL), sizes[i]);
		assert_int_equal(h[0], FIN | WS_BINARY);
		assert_int_equal(h[1] & 0x80, 0);
		assert_int_equal(ws_header(h, WS_PING, lengths[i], mask), sizes[i] + 4);
		assert_int_equal(h[1] & 0x80, 0x80);
		assert_memory_equal(h + sizes[i], mask, 4);
	}
	/* RFC 6455 section 5.7 */
	assert_int_equal(ws_header(h, WS_BINARY, 256, NULL), 4);
	assert_memory_equal(h, "\x82\x7e\x01\x00", 4);
	assert_int_equal(ws_header(h, WS_BINARY, 65536, NULL), 10);
	assert_memory_equal(h, "\x82\x7f\0\0\0\0\0\1\0\0", 10);
}

static void masking_is_right_at_any_offset_and_alignment(void **state)
{
	uint8_t got[512], want[512];

	(void)state;
	for (size_t align = 0; align < 67; align++)
		for (size_t off = 0; off < 5; off++)
			for (size_t n = 0; n < 300; n = n < 140 ? n + 1 : n + 37) {
				for (size_t i = 0; i < sizeof(got); i++)
					got[i] = want[i] = (uint8_t)(i * 7 + align);
				for (size_t i = 0; i < n; i++)
					want[align + i] ^= mask[(off + i) % 4];
				ws_mask(got + align, n, mask, off);
				assert_memory_equal(got, want, sizeof(got));
			}
}

/* The examples of RFC 6455 section 5.7. */
static void the_examples_of_the_rfc(void **state)
{
	static const uint8_t masked[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d,
					 0x7f, 0x9f, 0x4d, 0x51, 0x58};
	static const uint8_t pieces[] = {0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f};
	static const uint8_t ping[] = {0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f};
	struct buf in = BUF_INIT(1000);

	(void)state;
	buf_put(&in, masked, sizeof(masked));
	check_text(true, &in, "message 1 5:Hello\n");
	buf_put(&in, pieces, sizeof(pieces));
	check_text(false, &in, "message 1 5:Hello\n");
	buf_put(&in, ping, sizeof(ping));
	check_text(false, &in, "ping 9 5:Hello\n");
}

static void messages_in_pieces_with_control_frames_between(void **state)
{
	(void)state;
	for (int role = 0; role < 2; role++) {
		bool srv = role;
		struct buf in = BUF_INIT(1 << 20);

		put_frame(&in, srv, FIN | WS_TEXT, "", 0);
		put_frame(&in, srv, FIN | WS_BINARY, "", 0);
		put_frame(&in, srv, FIN | WS_BINARY, "\x10xyz", 4);
		/* a multi-byte character across frames, control frames in between */
		put_frame(&in, srv, WS_TEXT, "gr\xc3", 3);
		put_frame(&in, srv, FIN | WS_PING, "are you there", 13);
		put_frame(&in, srv, WS_CONT, "", 0);
		put_frame(&in, srv, FIN | WS_PONG, "", 0);
		put_frame(&in, srv, FIN | WS_CONT, "\xbc\xc3\x9f", 3);
		put_frame(&in, srv, WS_BINARY, "", 0);
		put_frame(&in, srv, FIN | WS_CONT, "a", 1);
		/* what follows a close frame is ignored */
		put_frame(&in, srv, FIN | WS_CLOSE,
			  "\x03\xe8"
			  "bye",
			  5);
		buf_put(&in, "\xff\xff\xff\xff", 4);
		check_text(
			srv, &in,
			"message 1 0:\nmessage 2 0:\nmessage 2 4:\x10xyz\nping 9 13:are you there\n"
			"pong 10 0:\nmessage 1 6:gr\xc3\xbc\xc3\x9f\nmessage 2 1:a\nclose 1000\n");
	}
}

static void data_goes_to_its_owner(void **state)
{
	uint8_t payload[WS_DATA_HEAD + 300];

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 31 + KIND);
	for (int role = 0; role < 2; role++) {
		struct buf in = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);

		for (size_t n = WS_DATA_HEAD + 1; n <= sizeof(payload); n += 133) {
			put_frame(&in, role, FIN | WS_BINARY, payload, n);
			record(&want, "head", WS_BINARY, payload, WS_DATA_HEAD);
			record(&want, "end", WS_BINARY, payload + WS_DATA_HEAD, n - WS_DATA_HEAD);
			put_frame(&in, role, FIN | WS_PING, "p", 1);
			record(&want, "ping", WS_PING, (const uint8_t *)"p", 1);
		}
		check(role, &in, &want);
	}
}

static void bad_headers_are_refused(void **state)
{
	static const uint8_t bad_ops[] = {3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
	static const uint8_t long_ping[126];

	(void)state;
	for (int role = 0; role < 2; role++) {
		bool srv = role;
		struct buf in = BUF_INIT(1 << 20);

		for (unsigned rsv = 0x10; rsv <= 0x70; rsv += 0x10) {
			put_frame(&in, srv, FIN | rsv | WS_TEXT, "hi", 2);
			refused(srv, &in, 1002);
		}
		for (size_t i = 0; i < sizeof(bad_ops); i++) {
			put_frame(&in, srv, FIN | bad_ops[i], "hi", 2);
			refused(srv, &in, 1002);
		}
		/* masked where it must not be, and the reverse */
		put_frame(&in, !srv, FIN | WS_TEXT, "hi", 2);
		refused(srv, &in, 1002);
		/* a control frame in pieces; one of 126 bytes */
		put_frame(&in, srv, WS_PING, "hi", 2);
		refused(srv, &in, 1002);
		put_frame(&in, srv, WS_CLOSE, "\x03\xe8", 2);
		refused(srv, &in, 1002);
		put_frame(&in, srv, FIN | WS_PING, long_ping, sizeof(long_ping));
		refused(srv, &in, 1002);
	}
}

static void lengths_not_minimal_or_too_large_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{"\x82\x7e\x00\x00", 4},
		{"\x82\x7e\x00\x7d", 4},
		{"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x05", 10},
		{"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 10},
		{"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 10},
		{"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf in = BUF_INIT(1000);

		buf_put(&in, bad[i].bytes, bad[i].n);
		refused(false, &in, 1002);
		buf_put(&in, bad[i].bytes, bad[i].n);
		in.p[1] |= 0x80;
		buf_put(&in, mask, 4);
		refused(true, &in, 1002);
	}
}

static void bad_sequences_are_refused(void **state)
{
	uint8_t data[WS_DATA_HEAD + 1] = {KIND};

	(void)state;
	for (int role = 0; role < 2; role++) {
		bool srv = role;
		struct buf in = BUF_INIT(1 << 20);

		put_frame(&in, srv, FIN | WS_CONT, "hi", 2); /* continues nothing */
		refused(srv, &in, 1002);
		put_frame(&in, srv, WS_CONT, "", 0);
		refused(srv, &in, 1002);
		put_frame(&in, srv, WS_TEXT, "", 0); /* a message within a message */
		put_frame(&in, srv, FIN | WS_TEXT, "hi", 2);
		refused(srv, &in, 1002);
		put_frame(&in, srv, WS_BINARY, "x", 1); /* data within a message */
		put_frame(&in, srv, FIN | WS_BINARY, data, sizeof(data));
		refused(srv, &in, 1002);
		put_frame(&in, srv, WS_BINARY, data, sizeof(data)); /* fragmented data */
		refused(srv, &in, 1002);
		put_frame(&in, srv, WS_BINARY, "", 0); /* the same, hidden behind an empty frame */
		put_frame(&in, srv, FIN | WS_CONT, data, sizeof(data));
		refused(srv, &in, 1002);
		put_frame(&in, srv, FIN | WS_BINARY, data, WS_DATA_HEAD); /* a head, but no part */
		refused(srv, &in, 1002);
		put_frame(&in, srv, FIN | WS_BINARY, data, 1);
		refused(srv, &in, 1002);
	}
}

static void limits_are_exact(void **state)
{
	static uint8_t big[WS_DATA_HEAD + DATA_MAX + 1];

	(void)state;
	memset(big, 'a', sizeof(big));
	for (int role = 0; role < 2; role++) {
		bool srv = role;
		struct buf in = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);

		put_frame(&in, srv, FIN | WS_TEXT, big, MESSAGE_MAX);
		record(&want, "message", WS_TEXT, big, MESSAGE_MAX);
		put_frame(&in, srv, WS_BINARY, big, MESSAGE_MAX);
		put_frame(&in, srv, FIN | WS_CONT, "", 0);
		record(&want, "message", WS_BINARY, big, MESSAGE_MAX);
		check(srv, &in, &want);
		/* refused when the header is there, without the payload */
		put_frame(&in, srv, FIN | WS_TEXT, big, MESSAGE_MAX + 1);
		buf_truncate(&in, in.len - MESSAGE_MAX - 1);
		refused(srv, &in, 1009);
		/* a binary frame needs its first byte to be judged */
		put_frame(&in, srv, FIN | WS_BINARY, big, MESSAGE_MAX + 1);
		buf_truncate(&in, in.len - MESSAGE_MAX);
		refused(srv, &in, 1009);
		put_frame(&in, srv, WS_TEXT, big, MESSAGE_MAX);
		put_frame(&in, srv, FIN | WS_CONT, big, 1);
		refused(srv, &in, 1009);
		big[0] = KIND;
		put_frame(&in, srv, FIN | WS_BINARY, big, WS_DATA_HEAD + DATA_MAX + 1);
		buf_truncate(&in, in.len - WS_DATA_HEAD - DATA_MAX);
		refused(srv, &in, 1009);
		big[0] = 'a';
	}
}

/* The largest data message, in bites as large as the parser takes. */
static void the_largest_data_message_fits(void **state)
{
	static uint8_t big[WS_DATA_HEAD + DATA_MAX] = {KIND};

	(void)state;
	for (size_t i = 1; i < sizeof(big); i++)
		big[i] = (uint8_t)(i ^ i >> 8);
	for (int role = 0; role < 2; role++) {
		struct buf in = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20),
			   log = BUF_INIT(1 << 20);

		for (int i = 0; i < 3; i++) {
			put_frame(&in, role, FIN | WS_BINARY, big, sizeof(big));
			record(&want, "head", WS_BINARY, big, WS_DATA_HEAD);
			record(&want, "end", WS_BINARY, big + WS_DATA_HEAD, DATA_MAX);
		}
		run(role, &in, 0, SIZE_MAX, &log);
		same_log(&log, &want);
		buf_free(&in);
		buf_free(&want);
		buf_free(&log);
	}
}

static void limits_may_change_between_frames(void **state)
{
	struct ws *w = fresh(false);
	struct buf in = BUF_INIT(1 << 20), log = BUF_INIT(1 << 20);
	struct sink s = {0};
	char text[2 * MESSAGE_MAX];

	(void)state;
	memset(text, 't', sizeof(text));
	ws_limits(w, 2 * MESSAGE_MAX, 1);
	put_frame(&in, false, FIN | WS_TEXT, text, sizeof(text));
	put_frame(&in, false, WS_TEXT, text, 900);
	assert_true(give(w, &s, in.p, in.len, SIZE_MAX, &log));
	ws_limits(w, 10, 0); /* lower than what is held already */
	buf_reset(&in);
	put_frame(&in, false, FIN | WS_CONT, "", 0);
	assert_false(give(w, &s, in.p, in.len, SIZE_MAX, &log));
	ws_free(w);
	buf_free(&in);
	buf_free(&log);
}

static void text_that_is_not_utf8_is_refused(void **state)
{
	static const char *const bad[] = {"\xff", "a\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
					  "\xc3"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf in = BUF_INIT(1000);
		char close[64] = "\x03\xe8";
		size_t n = strlen(bad[i]);

		put_frame(&in, true, FIN | WS_TEXT, bad[i], n);
		refused(true, &in, 1007);
		put_frame(&in, true, WS_TEXT, bad[i], n);
		put_frame(&in, true, FIN | WS_CONT, " ", 1);
		refused(true, &in, 1007);
		memcpy(close + 2, bad[i], n);
		put_frame(&in, true, FIN | WS_CLOSE, close, 2 + n);
		refused(true, &in, 1007);
	}
}

static void close_codes_are_judged(void **state)
{
	static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
					1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
	static const unsigned bad[] = {0,    1,	   999,	 1004, 1005, 1006, 1015,
				       1016, 1100, 2000, 2999, 5000, 5001, 65535};
	struct buf in = BUF_INIT(1000);
	uint8_t body[2];
	char want[32];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		be16_put(body, (uint16_t)good[i]);
		put_frame(&in, true, FIN | WS_CLOSE, body, 2);
		snprintf(want, sizeof(want), "close %u\n", good[i]);
		check_text(true, &in, want);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		be16_put(body, (uint16_t)bad[i]);
		put_frame(&in, false, FIN | WS_CLOSE, body, 2);
		refused(false, &in, 1002);
	}
	put_frame(&in, true, FIN | WS_CLOSE, "", 0);
	check_text(true, &in, "close 1005\n");
	put_frame(&in, true, FIN | WS_CLOSE, "\x03", 1);
	refused(true, &in, 1002);
	/* one byte of a code; what follows the frame is not the other */
	put_frame(&in, false, FIN | WS_CLOSE, "\x03", 1);
	buf_put(&in, "\xe8", 1);
	refused(false, &in, 1002);
}

static void what_follows_a_close_is_dropped(void **state)
{
	struct buf in = BUF_INIT(1 << 20), log = BUF_INIT(1000);

	(void)state;
	put_frame(&in, true, FIN | WS_CLOSE, "", 0);
	assert_non_null(buf_extend(&in, 100000));
	run(true, &in, 0, SIZE_MAX, &log);
	assert_string_equal(buf_cstr(&log), "close 1005\n");
	buf_free(&in);
	buf_free(&log);
}

/* An error stays: the same one again, whatever follows. */
static void an_error_is_final(void **state)
{
	struct ws *w = fresh(true);
	struct buf log = BUF_INIT(1000);
	struct sink s = {0};
	char want[64];

	(void)state;
	assert_false(give(w, &s, (const uint8_t *)"\xff\xff", 2, SIZE_MAX, &log));
	assert_false(drain(w, &s, &log));
	snprintf(want, sizeof(want), "error %d 1002\nerror %d 1002\n", PQC_EPROTO, PQC_EPROTO);
	assert_string_equal(buf_cstr(&log), want);
	ws_free(w);
	buf_free(&log);
	ws_free(NULL);
}

static void bytes_of_the_upgrade_are_fed(void **state)
{
	static const uint8_t nothing[16385];
	struct ws *w = fresh(true);
	struct buf in = BUF_INIT(1000), log = BUF_INIT(1000);
	struct sink s = {0};

	(void)state;
	assert_int_equal(ws_feed(w, nothing, 0), 0);
	assert_int_equal(ws_feed(w, nothing, 16385), PQC_ETOOBIG);
	put_frame(&in, true, FIN | WS_TEXT, "Hello", 5);
	put_frame(&in, true, FIN | WS_PING, "x", 1);
	assert_int_equal(ws_feed(w, in.p, 4), 0);
	assert_int_equal(ws_feed(w, in.p + 4, in.len - 4), 0);
	assert_true(drain(w, &s, &log));
	assert_string_equal(buf_cstr(&log), "message 1 5:Hello\nping 9 1:x\n");
	ws_free(w);
	buf_free(&in);
	buf_free(&log);
}

/* A frame that announces very much within a limit that allows it takes memory only as it comes. */
static void memory_is_taken_only_for_bytes_that_came(void **state)
{
	struct ws_opts o = {false, KIND, (size_t)1 << 40, (size_t)1 << 40};
	uint8_t head[WS_HEADER_MAX];
	struct ws *w = NULL;
	struct buf log = BUF_INIT(1000);
	struct sink s = {0};
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;

	(void)state;
	assert_int_equal(ws_new(&w, &o), 0);
	ws_header(head, WS_TEXT, (uint64_t)1 << 40, NULL);
	assert_true(give(w, &s, head, 10, SIZE_MAX, &log));
	assert_true(give(w, &s, (const uint8_t *)"abcdefgh", 8, SIZE_MAX, &log));
	assert_true(mallinfo2().uordblks + mallinfo2().hblkhd < before + 65536);
	ws_free(w);
	buf_free(&log);
}

/* Add one random valid message, in random frames, and what it gives. */
static void random_message(bool srv, struct buf *in, struct buf *want)
{
	static uint8_t p[WS_DATA_HEAD + 20000];
	unsigned what = (unsigned)(rng() % 4);
	enum ws_opcode op = what == 0 ? WS_TEXT : WS_BINARY;
	size_t n, done = 0;

	if (what == 3) {
		n = WS_DATA_HEAD + 1 + rng() % 20000;
		for (size_t i = 1; i < n; i++)
			p[i] = (uint8_t)rng();
		p[0] = KIND;
		put_frame(in, srv, FIN | WS_BINARY, p, n);
		record(want, "head", WS_BINARY, p, WS_DATA_HEAD);
		record(want, "end", WS_BINARY, p + WS_DATA_HEAD, n - WS_DATA_HEAD);
		return;
	}
	n = rng() % (rng() % 2 ? 20 : MESSAGE_MAX + 1);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(rng() & 0x7f);
	if (n > 0 && p[0] == KIND)
		p[0] = 'x';
	for (bool fin = false, first = true; !fin; first = false) {
		size_t piece = rng() % (n - done + 1);

		fin = rng() % 3 == 0;
		piece = fin ? n - done : piece;
		put_frame(in, srv, (fin ? FIN : 0u) | (first ? op : WS_CONT), p + done, piece);
		done += piece;
		if (!fin && rng() % 3 == 0) {
			put_frame(in, srv, FIN | WS_PING, "ping", 4);
			record(want, "ping", WS_PING, (const uint8_t *)"ping", 4);
		}
	}
	record(want, "message", op, p, n);
}

static void random_sequences_survive_random_splits(void **state)
{
	struct buf in = BUF_INIT(1 << 22), want = BUF_INIT(1 << 22), log = BUF_INIT(1 << 22);

	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		bool srv = seed % 2;
		struct ws *w = fresh(srv);
		struct sink s = {0};
		size_t at = 0;

		rng_state = seed * 0x9e3779b97f4a7c15u;
		buf_reset(&in);
		buf_reset(&want);
		buf_reset(&log);
		for (uint64_t n = rng() % 12; n-- > 0;)
			random_message(srv, &in, &want);
		while (at < in.len) {
			size_t n = 1 + rng() % (rng() % 3 ? 30 : 9000);

			n = n < in.len - at ? n : in.len - at;
			assert_true(give(w, &s, in.p + at, n, 1 + rng() % 20000, &log));
			at += n;
		}
		same_log(&log, &want);
		ws_free(w);
	}
	buf_free(&in);
	buf_free(&want);
	buf_free(&log);
}

/* Valid frames with bits flipped, and plain noise: an error or events, within what came in. */
static void garbage_never_hurts(void **state)
{
	struct buf in = BUF_INIT(1 << 22), want = BUF_INIT(1 << 22), log = BUF_INIT(1 << 22);

	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		bool srv = seed % 2;

		rng_state = seed * 0xd1342543de82ef95u;
		buf_reset(&in);
		buf_reset(&want);
		buf_reset(&log);
		for (uint64_t n = 1 + rng() % 3; n-- > 0;)
			random_message(srv, &in, &want);
		for (uint64_t n = 1 + rng() % 4; n-- > 0;)
			in.p[rng() % (rng() % 2 ? in.len : 1 + in.len / 100)] ^=
				(uint8_t)(1u << rng() % 8);
		if (seed % 5 == 0)
			for (size_t i = 0; i < in.len; i++)
				in.p[i] = (uint8_t)rng();
		run(srv, &in, rng() % (in.len + 1), 1 + rng() % 5000, &log);
		assert_true(log.len <= 64 * in.len); /* each two bytes give a line at most */
	}
	buf_free(&in);
	buf_free(&want);
	buf_free(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_minimal),
		cmocka_unit_test(masking_is_right_at_any_offset_and_alignment),
		cmocka_unit_test(the_examples_of_the_rfc),
		cmocka_unit_test(messages_in_pieces_with_control_frames_between),
		cmocka_unit_test(data_goes_to_its_owner),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(lengths_not_minimal_or_too_large_are_refused),
		cmocka_unit_test(bad_sequences_are_refused),
		cmocka_unit_test(limits_are_exact),
		cmocka_unit_test(the_largest_data_message_fits),
		cmocka_unit_test(limits_may_change_between_frames),
		cmocka_unit_test(text_that_is_not_utf8_is_refused),
		cmocka_unit_test(close_codes_are_judged),
		cmocka_unit_test(what_follows_a_close_is_dropped),
		cmocka_unit_test(an_error_is_final),
		cmocka_unit_test(bytes_of_the_upgrade_are_fed),
		cmocka_unit_test(memory_is_taken_only_for_bytes_that_came),
		cmocka_unit_test(random_sequences_survive_random_splits),
		cmocka_unit_test(garbage_never_hurts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
