/* buf.h: maxima, sticky errors, wiping; readers at and past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/buf.h"

/* So that asking for far too much fails as malloc does, also under AddressSanitizer. */
const char *__asan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void integers_are_big_endian(void **state)
{
	static const uint8_t want[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xF8,
				       0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF};
	struct buf b = BUF_INIT(64);
	struct rd r;

	(void)state;
	buf_put_u8(&b, 0x01);
	buf_put_u16(&b, 0x0203);
	buf_put_u32(&b, 0x04050607);
	buf_put_u64(&b, 0xF8F9FAFBFCFDFEFF);
	assert_int_equal(buf_error(&b), 0);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.p, want, sizeof(want));

	r = rd_init(b.p, b.len);
	assert_int_equal(rd_u8(&r), 0x01);
	assert_int_equal(rd_u16(&r), 0x0203);
	assert_int_equal(rd_u32(&r), 0x04050607);
	assert_true(rd_u64(&r) == 0xF8F9FAFBFCFDFEFF);
	assert_int_equal(rd_finish(&r), 0);
	buf_free(&b);
}

static void plain_stores_and_loads_round_trip(void **state)
{
	static const uint64_t values[] = {
		0, 1, 0x7F, 0x80, 0xFFFF, 0x80000000, 0xFFFFFFFF, 0x8000000000000000, UINT64_MAX};
	uint8_t p[8];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		be16_put(p, (uint16_t)values[i]);
		assert_int_equal(be16_get(p), (uint16_t)values[i]);
		be32_put(p, (uint32_t)values[i]);
		assert_int_equal(be32_get(p), (uint32_t)values[i]);
		be64_put(p, values[i]);
		assert_true(be64_get(p) == values[i]);
	}
}

static void the_maximum_is_exact(void **state)
{
	struct buf b;

	(void)state;
	for (size_t max = 0; max < 600; max++) {
		buf_init(&b, max);
		for (size_t i = 0; i < max; i++)
			buf_put_u8(&b, (uint8_t)i);
		assert_int_equal(buf_error(&b), 0);
		assert_int_equal(b.len, max);
		buf_put_u8(&b, 1);
		assert_int_equal(buf_error(&b), PQC_ETOOBIG);
		assert_int_equal(b.len, max);
		for (size_t i = 0; i < max; i++)
			assert_int_equal(b.p[i], (uint8_t)i);
		buf_free(&b);
	}
}

static void an_error_sticks_until_reset(void **state)
{
	struct buf b = BUF_INIT(4);

	(void)state;
	buf_put(&b, "12345", 5);
	assert_int_equal(buf_error(&b), PQC_ETOOBIG);
	buf_put_u8(&b, 1); /* would fit */
	buf_put_str(&b, "a");
	buf_printf(&b, "%d", 1);
	assert_null(buf_extend(&b, 1));
	assert_null(buf_cstr(&b));
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_error(&b), PQC_ETOOBIG);

	buf_reset(&b);
	buf_put_str(&b, "1234");
	assert_int_equal(buf_error(&b), 0);
	assert_string_equal(buf_cstr(&b), "1234");
	buf_put_u8(&b, 0);
	assert_int_equal(buf_error(&b), PQC_ETOOBIG);
	buf_free(&b);
	assert_int_equal(buf_error(&b), 0);
	assert_int_equal(b.max, 4);
	assert_null(b.p);
}

static void impossible_sizes_fail_without_wrapping(void **state)
{
	struct buf b = BUF_INIT(SIZE_MAX);

	(void)state;
	buf_put_str(&b, "abc");
	assert_null(buf_extend(&b, SIZE_MAX));
	assert_int_equal(buf_error(&b), PQC_ETOOBIG);
	buf_reset(&b);
	assert_null(buf_extend(&b, SIZE_MAX)); /* the NUL would wrap */
	assert_int_equal(buf_error(&b), PQC_ENOMEM);
	buf_reset(&b);
	assert_null(buf_extend(&b, SIZE_MAX / 2));
	assert_int_equal(buf_error(&b), PQC_ENOMEM);
	buf_put_u8(&b, 1);
	assert_int_equal(buf_error(&b), PQC_ENOMEM);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void a_failed_allocation_keeps_the_content(void **state)
{
	struct buf b = BUF_INIT(SIZE_MAX);

	(void)state;
	buf_put_str(&b, "kept");
	assert_null(buf_extend(&b, SIZE_MAX / 2));
	assert_int_equal(buf_error(&b), PQC_ENOMEM);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.p, "kept", 4);
	buf_free(&b);
}

static void extend_gives_zeros_also_where_bytes_were(void **state)
{
	struct buf b = BUF_INIT(100);
	uint8_t *p;

	(void)state;
	assert_non_null(p = buf_extend(&b, 100));
	memset(p, 0xAA, 100);
	b.len = 0; /* an owner that forgot without wiping */
	assert_non_null(p = buf_extend(&b, 100));
	for (int i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	assert_non_null(buf_extend(&b, 0));
	assert_int_equal(b.len, 100);
	buf_free(&b);
}

static void forgotten_bytes_are_wiped(void **state)
{
	struct buf b = BUF_INIT(64);

	(void)state;
	buf_put_str(&b, "headSECRETtail");
	buf_truncate(&b, 10);
	assert_memory_equal(b.p, "headSECRET\0\0\0\0", 14);
	buf_truncate(&b, 11); /* no way to grow */
	assert_int_equal(b.len, 10);
	buf_consume(&b, 4);
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.p, "SECRET\0\0\0\0", 10);
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_memory_equal(b.p, "\0\0\0\0\0\0", 6);
	buf_free(&b);
}

static void consume_keeps_the_rest_and_refuses_too_much(void **state)
{
	struct buf b = BUF_INIT(10);

	(void)state;
	buf_consume(&b, 0);
	buf_put_str(&b, "0123456789");
	buf_consume(&b, 3);
	assert_string_equal(buf_cstr(&b), "3456789");
	buf_consume(&b, 8);
	assert_int_equal(b.len, 7);
	buf_put_str(&b, "abc");
	assert_string_equal(buf_cstr(&b), "3456789abc");
	buf_consume(&b, 10);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void printf_is_all_or_nothing(void **state)
{
	struct buf b = BUF_INIT(5);

	(void)state;
	buf_printf(&b, "%s", "");
	assert_int_equal(b.len, 0);
	buf_printf(&b, "%05d", 42);
	assert_string_equal(buf_cstr(&b), "00042");
	buf_reset(&b);
	buf_printf(&b, "%06d", 42);
	assert_int_equal(buf_error(&b), PQC_ETOOBIG);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void a_c_string_of_nothing_is_empty(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void blocks_round_trip(void **state)
{
	struct buf b = BUF_INIT(32);
	const uint8_t *p;
	struct rd r;
	size_t n;

	(void)state;
	buf_put_block(&b, "abc", 3);
	buf_put_block(&b, NULL, 0);
	assert_int_equal(b.len, 11);
	r = rd_init(b.p, b.len);
	assert_non_null(p = rd_block(&r, 3, &n));
	assert_int_equal(n, 3);
	assert_memory_equal(p, "abc", 3);
	assert_non_null(rd_block(&r, 0, &n));
	assert_int_equal(n, 0);
	assert_int_equal(rd_finish(&r), 0);

	buf_put_block(&b, "x", (size_t)UINT32_MAX + 1);
	assert_int_equal(buf_error(&b), PQC_ETOOBIG);
	buf_free(&b);
}

static void blocks_past_the_limit_or_the_end_fail(void **state)
{
	static const uint8_t block[] = {0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0};
	static const uint8_t huge[] = {0xFF, 0xFF, 0xFF, 0xFF, 'a'};
	struct rd r;
	size_t n;

	(void)state;
	r = rd_init(block, sizeof(block));
	n = 99;
	assert_null(rd_block(&r, 2, &n));
	assert_int_equal(n, 0);
	assert_null(rd_block(&r, 100, &n)); /* bad is for good, though more follows */
	assert_int_equal(rd_left(&r), 0);

	for (size_t cut = 0; cut < 7; cut++) {
		r = rd_init(block, cut);
		n = 99;
		assert_null(rd_block(&r, SIZE_MAX, &n));
		assert_int_equal(n, 0);
		assert_int_equal(rd_finish(&r), PQC_EINTEGRITY);
	}
	r = rd_init(huge, sizeof(huge));
	assert_null(rd_block(&r, SIZE_MAX, &n));
	assert_int_equal(rd_finish(&r), PQC_EINTEGRITY);
}

static void a_reader_past_the_end_yields_zeros(void **state)
{
	static const uint8_t p[] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
	uint8_t out[8];
	struct rd r;

	(void)state;
	r = rd_init(p, 7);
	assert_true(rd_u64(&r) == 0);
	assert_int_equal(rd_u8(&r), 0);
	r = rd_init(p, 3);
	assert_int_equal(rd_u32(&r), 0);
	r = rd_init(p, 1);
	assert_int_equal(rd_u16(&r), 0);
	r = rd_init(p, 0);
	assert_int_equal(rd_u8(&r), 0);
	assert_null(rd_bytes(&r, 0)); /* after a failure not even nothing is to be had */
	memset(out, 0xAA, sizeof(out));
	r = rd_init(p, 7);
	rd_copy(&r, out, 8);
	assert_memory_equal(out, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(rd_finish(&r), PQC_EINTEGRITY);
	r = rd_init(p, 7);
	assert_null(rd_bytes(&r, SIZE_MAX));
}

static void finish_wants_every_byte_read(void **state)
{
	struct rd r = rd_init("ab", 2);

	(void)state;
	assert_int_equal(rd_u8(&r), 'a');
	assert_int_equal(rd_left(&r), 1);
	assert_int_equal(rd_finish(&r), PQC_EINTEGRITY);
	assert_int_equal(rd_u8(&r), 'b');
	assert_int_equal(rd_finish(&r), 0);
}

static void a_reader_of_nothing_is_whole(void **state)
{
	struct rd r = rd_init(NULL, 0);

	(void)state;
	assert_int_equal(rd_left(&r), 0);
	assert_int_equal(rd_finish(&r), 0);
	assert_non_null(rd_bytes(&r, 0));
	rd_copy(&r, NULL, 0);
	assert_int_equal(rd_finish(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_big_endian),
		cmocka_unit_test(plain_stores_and_loads_round_trip),
		cmocka_unit_test(the_maximum_is_exact),
		cmocka_unit_test(an_error_sticks_until_reset),
		cmocka_unit_test(impossible_sizes_fail_without_wrapping),
		cmocka_unit_test(a_failed_allocation_keeps_the_content),
		cmocka_unit_test(extend_gives_zeros_also_where_bytes_were),
		cmocka_unit_test(forgotten_bytes_are_wiped),
		cmocka_unit_test(consume_keeps_the_rest_and_refuses_too_much),
		cmocka_unit_test(printf_is_all_or_nothing),
		cmocka_unit_test(a_c_string_of_nothing_is_empty),
		cmocka_unit_test(blocks_round_trip),
		cmocka_unit_test(blocks_past_the_limit_or_the_end_fail),
		cmocka_unit_test(a_reader_past_the_end_yields_zeros),
		cmocka_unit_test(finish_wants_every_byte_read),
		cmocka_unit_test(a_reader_of_nothing_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
