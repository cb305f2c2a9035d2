/* Control messages: every type round trip, and every rule of the field tables broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/msg.h"
#include "protocol/partset.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t zeros[65536];
static uint8_t ranges[32], entries[128];
static size_t entries_len;

/* A value that is allowed for every field. */
static struct msg full(void)
{
	return (struct msg){
		.op = OP_GET,
		.status = ST_ERROR,
		.code = CODE_QUOTA,
		.retry_after = 5,
		.position = 6,
		.handle = 7,
		.window = 8,
		.size = 9,
		.durable = 10,
		.name = {"a/b", 3},
		.file_id = {zeros, 32},
		.header = {zeros, 128},
		.dek = {zeros, 32},
		.keyblock = {zeros, 100},
		.traceparent = {zeros, 55},
		.ranges = {ranges, 32},
		.text = {"why", 3},
		.manifest = {zeros, 200},
		.receipt = {zeros, 300},
		.entries = {entries, entries_len},
		.cursor = {"xyz", 3},
	};
}

#define B(name) msg_bit(TAG_##name)
#define ANSWER                                                                            \
	(B(HANDLE) | B(WINDOW) | B(HEADER) | B(DEK) | B(KEYBLOCK) | B(RANGES) | B(SIZE) | \
	 B(MANIFEST) | B(RECEIPT) | B(ENTRIES) | B(CURSOR))

/* docs/protocol.md's tables once more, written down on their own. */
static const struct {
	uint8_t type, op, status;
	uint32_t need, may;
} kinds[] = {
	{MSG_REQUEST, OP_PUT, 0, B(OP) | B(NAME) | B(SIZE) | B(FILE_ID) | B(HEADER),
	 B(DEK) | B(KEYBLOCK) | B(TRACEPARENT)},
	{MSG_REQUEST, OP_GET, 0, B(OP) | B(NAME), B(FILE_ID) | B(TRACEPARENT)},
	{MSG_REQUEST, OP_LIST, 0, B(OP) | B(NAME), B(CURSOR) | B(TRACEPARENT)},
	{MSG_REQUEST, OP_STAT, 0, B(OP) | B(NAME), B(FILE_ID) | B(TRACEPARENT)},
	{MSG_REQUEST, OP_DELETE, 0, B(OP) | B(NAME), B(FILE_ID) | B(TRACEPARENT)},
	{MSG_REQUEST, OP_RECEIPT, 0, B(OP) | B(NAME), B(FILE_ID) | B(TRACEPARENT)},
	{MSG_REPLY, 0, ST_ACCEPTED, B(STATUS), ANSWER},
	{MSG_REPLY, 0, ST_QUEUED, B(STATUS) | B(POSITION), B(TEXT) | B(RETRY_AFTER)},
	{MSG_REPLY, 0, ST_ERROR, B(STATUS) | B(CODE) | B(TEXT), B(RETRY_AFTER)},
	{MSG_ACK, 0, 0, B(RANGES) | B(DURABLE), 0},
	{MSG_COMMIT, 0, 0, B(MANIFEST), 0},
	{MSG_RECEIPT, 0, 0, B(MANIFEST) | B(RECEIPT), 0},
	{MSG_FETCH, 0, 0, B(RANGES), 0},
	{MSG_NEXT, 0, 0, B(CURSOR), 0},
	{MSG_ENTRIES, 0, 0, B(ENTRIES), B(CURSOR)},
	{MSG_ERROR, 0, 0, B(CODE) | B(TEXT), B(RETRY_AFTER)},
};

static struct msg of_kind(size_t k, uint32_t has)
{
	struct msg m = full();

	m.type = kinds[k].type;
	m.has = has;
	if (kinds[k].op)
		m.op = kinds[k].op;
	m.status = kinds[k].status;
	return m;
}

static void put_u(struct buf *b, uint8_t tag, uint64_t v, unsigned size)
{
	buf_put_u8(b, tag);
	buf_put_u32(b, size);
	for (unsigned i = size; i-- > 0;)
		buf_put_u8(b, (uint8_t)(v >> (8 * i)));
}

static void put_s(struct buf *b, uint8_t tag, struct span s)
{
	buf_put_u8(b, tag);
	buf_put_block(b, s.p, s.n);
}

/* A second encoder, field by field as the document has them, which checks nothing. */
static void encode_anything(const struct msg *m, struct buf *b)
{
	buf_put_u8(b, m->type);
	if (msg_has(m, TAG_OP))
		put_u(b, 1, m->op, 1);
	if (msg_has(m, TAG_NAME))
		put_s(b, 2, m->name);
	if (msg_has(m, TAG_SIZE))
		put_u(b, 3, m->size, 8);
	if (msg_has(m, TAG_FILE_ID))
		put_s(b, 4, m->file_id);
	if (msg_has(m, TAG_HEADER))
		put_s(b, 5, m->header);
	if (msg_has(m, TAG_DEK))
		put_s(b, 6, m->dek);
	if (msg_has(m, TAG_KEYBLOCK))
		put_s(b, 7, m->keyblock);
	if (msg_has(m, TAG_TRACEPARENT))
		put_s(b, 8, m->traceparent);
	if (msg_has(m, TAG_RANGES))
		put_s(b, 9, m->ranges);
	if (msg_has(m, TAG_STATUS))
		put_u(b, 10, m->status, 1);
	if (msg_has(m, TAG_CODE))
		put_u(b, 11, m->code, 1);
	if (msg_has(m, TAG_TEXT))
		put_s(b, 12, m->text);
	if (msg_has(m, TAG_RETRY_AFTER))
		put_u(b, 13, m->retry_after, 4);
	if (msg_has(m, TAG_POSITION))
		put_u(b, 14, m->position, 4);
	if (msg_has(m, TAG_HANDLE))
		put_u(b, 15, m->handle, 4);
	if (msg_has(m, TAG_WINDOW))
		put_u(b, 16, m->window, 4);
	if (msg_has(m, TAG_DURABLE))
		put_u(b, 17, m->durable, 8);
	if (msg_has(m, TAG_MANIFEST))
		put_s(b, 18, m->manifest);
	if (msg_has(m, TAG_RECEIPT))
		put_s(b, 19, m->receipt);
	if (msg_has(m, TAG_ENTRIES))
		put_s(b, 20, m->entries);
	if (msg_has(m, TAG_CURSOR))
		put_s(b, 21, m->cursor);
}

static int decode(const struct msg *m)
{
	struct buf b = BUF_INIT(1 << 20);
	struct msg got;
	int r;

	encode_anything(m, &b);
	r = msg_decode(b.p, b.len, &got);
	if (r != 0)
		assert_int_equal(got.has, 0);
	buf_free(&b);
	return r;
}

static void assert_span_equal(struct span a, struct span b)
{
	assert_int_equal(a.n, b.n);
	if (a.n > 0)
		assert_memory_equal(a.p, b.p, a.n);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++) {
		struct msg m = of_kind(k, kinds[k].need | kinds[k].may), got;
		struct buf mine = BUF_INIT(MSG_MAX), theirs = BUF_INIT(MSG_MAX);

		buf_put_u8(&theirs, 0xaa); /* it appends */
		assert_int_equal(msg_encode(&m, &theirs), 0);
		encode_anything(&m, &mine);
		assert_int_equal(theirs.len, mine.len + 1);
		assert_memory_equal(theirs.p + 1, mine.p, mine.len);
		assert_int_equal(msg_decode(mine.p, mine.len, &got), 0);
		assert_int_equal(got.type, m.type);
		assert_int_equal(got.has, m.has);
		if (msg_has(&m, TAG_NAME))
			assert_span_equal(got.name, m.name);
		if (msg_has(&m, TAG_SIZE))
			assert_true(got.size == m.size);
		if (msg_has(&m, TAG_RANGES))
			assert_span_equal(got.ranges, m.ranges);
		if (msg_has(&m, TAG_WINDOW))
			assert_int_equal(got.window, m.window);
		if (msg_has(&m, TAG_DURABLE))
			assert_true(got.durable == m.durable);
		if (msg_has(&m, TAG_ENTRIES))
			assert_span_equal(got.entries, m.entries);
		if (msg_has(&m, TAG_CODE))
			assert_int_equal(got.code, m.code);
		buf_free(&mine);
		buf_free(&theirs);
	}
}

/* Each set of fields that differs from an allowed one by a field. */
static void test_missing_and_superfluous(void **state)
{
	struct buf b = BUF_INIT(MSG_MAX);

	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++) {
		struct msg m = of_kind(k, kinds[k].need);

		assert_int_equal(decode(&m), 0);
		for (unsigned tag = 1; tag <= TAG_MAX; tag++) {
			uint32_t bit = 1u << tag;
			int expected = kinds[k].may & bit ? 0 : PQC_EPROTO;

			m = of_kind(k, kinds[k].need ^ bit);
			assert_int_equal(decode(&m), expected);
			assert_int_equal(msg_encode(&m, &b), expected);
			if (expected != 0)
				assert_int_equal(b.len, 0);
			buf_reset(&b);
		}
	}
	buf_free(&b);
}

static void test_unknown_types(void **state)
{
	struct msg m = {.type = 0};

	(void)state;
	assert_int_equal(msg_decode(NULL, 0, &m), PQC_EPROTO);
	for (unsigned type = 0; type < 256; type++) {
		m = (struct msg){.type = (uint8_t)type};
		assert_int_equal(decode(&m), PQC_EPROTO); /* none is without fields */
		m = of_kind(9, kinds[9].need);
		m.type = (uint8_t)type;
		assert_int_equal(decode(&m), type == MSG_ACK ? 0 : PQC_EPROTO);
	}
}

/* Every prefix of a message, and every message with something behind it. */
static void test_truncated_and_extended(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++) {
		struct msg m = of_kind(k, kinds[k].need), got;
		struct buf b = BUF_INIT(MSG_MAX);

		encode_anything(&m, &b);
		for (size_t n = 0; n < b.len; n++) {
			/* A copy of its own, so that a read past the end is seen. */
			uint8_t *p = malloc(n ? n : 1);

			memcpy(p, b.p, n);
			assert_int_equal(msg_decode(p, n, &got), PQC_EPROTO);
			free(p);
		}
		for (unsigned extra = 0; extra < 256; extra++) {
			buf_put_u8(&b, (uint8_t)extra);
			assert_int_equal(msg_decode(b.p, b.len, &got), PQC_EPROTO);
			buf_truncate(&b, b.len - 1);
		}
		buf_free(&b);
	}
}

static void test_order_and_unknown_tags(void **state)
{
	static const struct {
		const char *what;
		uint8_t tags[3]; /* each with a value that code and text allow */
		int expected;
	} cases[] = {
		{"as it should be", {TAG_CODE, TAG_TEXT}, 0},
		{"out of order", {TAG_TEXT, TAG_CODE}, PQC_EPROTO},
		{"code twice", {TAG_CODE, TAG_CODE, TAG_TEXT}, PQC_EPROTO},
		{"text twice", {TAG_CODE, TAG_TEXT, TAG_TEXT}, PQC_EPROTO},
		{"tag 22", {TAG_CODE, TAG_TEXT, TAG_MAX + 1}, PQC_EPROTO},
		{"tag 44", {TAG_CODE, TAG_TEXT, 32 + TAG_TEXT}, PQC_EPROTO},
		{"tag 255", {TAG_CODE, TAG_TEXT, 255}, PQC_EPROTO},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf b = BUF_INIT(64);
		struct msg m;

		buf_put_u8(&b, MSG_ERROR);
		for (size_t k = 0; k < 3 && cases[i].tags[k]; k++)
			put_u(&b, cases[i].tags[k], CODE_QUOTA, 1);
		if (msg_decode(b.p, b.len, &m) != cases[i].expected)
			fail_msg("wrong about: %s", cases[i].what);
		buf_reset(&b);
		buf_put_u8(&b, MSG_ERROR); /* tag 0 before the right ones */
		put_u(&b, 0, CODE_QUOTA, 1);
		put_u(&b, TAG_CODE, CODE_QUOTA, 1);
		put_u(&b, TAG_TEXT, CODE_QUOTA, 1);
		assert_int_equal(msg_decode(b.p, b.len, &m), PQC_EPROTO);
		buf_free(&b);
	}
}

/* A field's value of n bytes, in a message where only that field could be wrong. */
static int decode_len(uint8_t tag, const void *p, size_t n)
{
	static const uint8_t kind_of[TAG_MAX + 1] = {
		[TAG_OP] = 1,	       [TAG_NAME] = 1,	      [TAG_SIZE] = 0,
		[TAG_FILE_ID] = 1,     [TAG_HEADER] = 0,      [TAG_DEK] = 0,
		[TAG_KEYBLOCK] = 0,    [TAG_TRACEPARENT] = 1, [TAG_RANGES] = 9,
		[TAG_STATUS] = 8,      [TAG_CODE] = 8,	      [TAG_TEXT] = 8,
		[TAG_RETRY_AFTER] = 8, [TAG_POSITION] = 7,    [TAG_HANDLE] = 6,
		[TAG_WINDOW] = 6,      [TAG_DURABLE] = 9,     [TAG_MANIFEST] = 6,
		[TAG_RECEIPT] = 6,     [TAG_ENTRIES] = 6,     [TAG_CURSOR] = 6,
	};
	size_t k = kind_of[tag];
	struct msg m = of_kind(k, kinds[k].need & ~msg_bit(tag)), tail, got;
	struct buf b = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	int r;

	/* the fields below the tag, the field, the fields above it */
	tail = m;
	m.has &= msg_bit(tag) - 1;
	tail.has &= ~(msg_bit(tag) - 1);
	encode_anything(&m, &b);
	buf_put_u8(&b, tag);
	buf_put_block(&b, p, n);
	encode_anything(&tail, &out);
	buf_put(&b, out.p + 1, out.len - 1);
	r = msg_decode(b.p, b.len, &got);
	buf_free(&b);
	buf_free(&out);
	return r;
}

static void test_lengths(void **state)
{
	static const struct {
		uint8_t tag;
		size_t min, max;
	} cases[] = {
		{TAG_OP, 1, 1},		  {TAG_NAME, 0, 4096},	     {TAG_SIZE, 8, 8},
		{TAG_FILE_ID, 32, 32},	  {TAG_HEADER, 128, 128},    {TAG_DEK, 32, 32},
		{TAG_KEYBLOCK, 1, 65408}, {TAG_TRACEPARENT, 55, 55}, {TAG_STATUS, 1, 1},
		{TAG_CODE, 1, 1},	  {TAG_TEXT, 0, 512},	     {TAG_RETRY_AFTER, 4, 4},
		{TAG_POSITION, 4, 4},	  {TAG_HANDLE, 4, 4},	     {TAG_WINDOW, 4, 4},
		{TAG_DURABLE, 8, 8},	  {TAG_MANIFEST, 1, 8192},   {TAG_RECEIPT, 1, 8192},
		{TAG_CURSOR, 1, 4096},
	};
	static uint8_t value[65536];

	(void)state;
	memset(value, 1, sizeof(value));
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t tag = cases[i].tag;
		bool fixed = cases[i].min == cases[i].max;

		memset(value, tag == TAG_SIZE || tag == TAG_DURABLE || tag == TAG_WINDOW ? 0 : 1,
		       8);
		if (tag == TAG_WINDOW)
			value[3] = 1;
		if (tag == TAG_STATUS || tag == TAG_OP)
			value[0] = 2; /* ST_ERROR, OP_GET */
		assert_int_equal(decode_len(tag, value, cases[i].max), 0);
		assert_int_equal(decode_len(tag, value, cases[i].max + 1), PQC_EPROTO);
		assert_int_equal(decode_len(tag, value, cases[i].min), 0);
		if (cases[i].min > 0)
			assert_int_equal(decode_len(tag, value, cases[i].min - 1), PQC_EPROTO);
		for (size_t n = 0; fixed && n < 130; n++)
			if (n != cases[i].min)
				assert_int_equal(decode_len(tag, value, n), PQC_EPROTO);
	}
}

static void test_values(void **state)
{
	const uint8_t max64[8] = {0, 0, 0, 1, 0, 0, 0, 0}, over64[8] = {0, 0, 0, 1, 0, 0, 0, 1};
	uint8_t v[4] = {0};

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		v[0] = (uint8_t)i;
		/* put needs more fields than get, which the others of the table here have */
		assert_int_equal(decode_len(TAG_OP, v, 1), i >= 2 && i <= 6 ? 0 : PQC_EPROTO);
		assert_int_equal(decode_len(TAG_STATUS, v, 1), i == 2 ? 0 : PQC_EPROTO);
		assert_int_equal(decode_len(TAG_CODE, v, 1), i >= 1 && i <= 9 ? 0 : PQC_EPROTO);
	}
	be32_put(v, 0);
	assert_int_equal(decode_len(TAG_WINDOW, v, 4), PQC_EPROTO);
	be32_put(v, MSG_WINDOW_MAX);
	assert_int_equal(decode_len(TAG_WINDOW, v, 4), 0);
	be32_put(v, MSG_WINDOW_MAX + 1);
	assert_int_equal(decode_len(TAG_WINDOW, v, 4), PQC_EPROTO);
	assert_int_equal(decode_len(TAG_DURABLE, max64, 8), 0);
	assert_int_equal(decode_len(TAG_DURABLE, over64, 8), PQC_EPROTO);
	assert_int_equal(decode_len(TAG_TEXT, "\xc3\xa9", 2), 0);
	assert_int_equal(decode_len(TAG_TEXT, "\xc3", 1), PQC_EPROTO);
	assert_int_equal(decode_len(TAG_TEXT, "\xed\xa0\x80", 3), PQC_EPROTO);
	assert_int_equal(decode_len(TAG_TEXT, "a\0b", 3), PQC_EPROTO);
	assert_int_equal(decode_len(TAG_NAME, "a\0b", 3), PQC_EPROTO);
	assert_int_equal(decode_len(TAG_NAME, "\xff", 1), PQC_EPROTO);
	assert_int_equal(decode_len(TAG_NAME, "../a", 4), 0); /* for the server to refuse by name */
}

/* A length field that says more than there is, or everything. */
static void test_lying_lengths(void **state)
{
	static const uint32_t lies[] = {5, 6, 255, 65536, 0x7fffffff, 0x80000000, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct buf b = BUF_INIT(64);
		struct msg m;

		buf_put_u8(&b, MSG_COMMIT);
		buf_put_u8(&b, TAG_MANIFEST);
		buf_put_u32(&b, lies[i]);
		buf_put(&b, zeros, 4);
		assert_int_equal(msg_decode(b.p, b.len, &m), PQC_EPROTO);
		buf_free(&b);
	}
}

static void test_ranges(void **state)
{
	uint8_t bad[32];

	(void)state;
	assert_int_equal(decode_len(TAG_RANGES, ranges, 0), 0);
	assert_int_equal(decode_len(TAG_RANGES, ranges, 32), 0);
	assert_int_equal(decode_len(TAG_RANGES, ranges, 16), 0);
	assert_int_equal(decode_len(TAG_RANGES, ranges, 31), PQC_EPROTO);
	memcpy(bad, ranges + 16, 16);
	memcpy(bad + 16, ranges, 16);
	assert_int_equal(decode_len(TAG_RANGES, bad, 32), PQC_EPROTO);
}

static void test_entries(void **state)
{
	struct rd r = rd_init(entries, entries_len);
	struct msg_entry e;
	uint8_t bad[128];

	(void)state;
	assert_true(msg_entry_next(&r, &e));
	assert_true(e.size == 100 && e.time == 200 && e.owner[0] == 0);
	assert_span_equal(e.name, (struct span){"one", 3});
	assert_true(msg_entry_next(&r, &e));
	assert_span_equal(e.name, (struct span){"two/x", 5});
	assert_false(msg_entry_next(&r, &e));
	assert_int_equal(rd_finish(&r), 0);

	assert_int_equal(decode_len(TAG_ENTRIES, NULL, 0), 0);
	for (size_t n = 1; n < entries_len; n++)
		assert_int_equal(decode_len(TAG_ENTRIES, entries, n), n == 52 + 3 ? 0 : PQC_EPROTO);
	/* a server cannot make a client meet a name that is not allowed */
	memcpy(bad, entries, entries_len);
	memcpy(bad + 52, "../", 3);
	assert_int_equal(decode_len(TAG_ENTRIES, bad, entries_len), PQC_EPROTO);
	memcpy(bad + 52, "a\033b", 3);
	assert_int_equal(decode_len(TAG_ENTRIES, bad, entries_len), PQC_EPROTO);
}

static void test_encode_limits(void **state)
{
	static uint8_t many[65536];
	struct msg m = of_kind(6, B(STATUS) | B(KEYBLOCK) | B(RANGES));
	struct buf b = BUF_INIT(1 << 20), small = BUF_INIT(10);

	(void)state;
	for (uint64_t i = 0; i < 4096; i++) {
		be64_put(many + 16 * i, 2 * i);
		be64_put(many + 16 * i + 8, 1);
	}
	m.ranges = (struct span){many, sizeof(many)};
	m.keyblock = (struct span){zeros, 65408};
	m.has |= B(MANIFEST);
	m.manifest.n = 8192;
	buf_put_u8(&b, 1);
	assert_int_equal(msg_encode(&m, &b), PQC_EPROTO); /* more than a control message may be */
	assert_int_equal(b.len, 1);
	m.has &= ~(uint32_t)B(MANIFEST);
	m.keyblock.n = 60000;
	assert_int_equal(msg_encode(&m, &b), 0);
	assert_int_equal(msg_encode(&m, &small), PQC_ETOOBIG);
	assert_int_equal(small.len, 0);
	m.keyblock.n = 65409;
	assert_int_equal(msg_encode(&m, &b), PQC_EPROTO);
	buf_free(&b);
	buf_free(&small);
}

static void test_codes(void **state)
{
	(void)state;
	for (unsigned code = CODE_REFUSED; code <= CODE_NAME; code++) {
		unsigned back = msg_err_to_code(msg_code_to_err(code));

		assert_int_equal(msg_code_by_name(msg_code_name(code)), code);
		assert_int_equal(back, code == CODE_SUITE ? CODE_REFUSED : code);
	}
	assert_null(msg_code_name(0));
	assert_null(msg_code_name(CODE_NAME + 1));
	assert_int_equal(msg_code_by_name("nonsense"), 0);
	assert_int_equal(msg_code_to_err(0), PQC_EPROTO);
	/* absent and forbidden are one answer */
	assert_int_equal(msg_err_to_code(PQC_ENOTFOUND), msg_err_to_code(PQC_EREFUSED));
	assert_int_equal(msg_err_to_code(PQC_ENOMEM), CODE_INTERNAL);
	assert_int_equal(msg_err_to_code(PQC_EIO), CODE_INTERNAL);
	assert_int_equal(msg_err_to_code(PQC_ETOOBIG), CODE_QUOTA);
	assert_int_equal(msg_err_to_code(PQC_ETIMEOUT), CODE_TEMPORARY);
}

static int setup(void **state)
{
	struct buf b = BUF_INIT(sizeof(entries));
	const struct msg_entry one = {100, 200, zeros, {"one", 3}},
			       two = {1, 2, zeros, {"two/x", 5}};

	(void)state;
	be64_put(ranges, 3);
	be64_put(ranges + 8, 4);
	be64_put(ranges + 16, 9);
	be64_put(ranges + 24, 1);
	msg_entry_put(&b, &one);
	msg_entry_put(&b, &two);
	entries_len = b.len;
	memcpy(entries, b.p, b.len);
	buf_free(&b);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_missing_and_superfluous),
		cmocka_unit_test(test_unknown_types),
		cmocka_unit_test(test_truncated_and_extended),
		cmocka_unit_test(test_order_and_unknown_tags),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_lying_lengths),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_encode_limits),
		cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
