/* text.h: hex, base64, JSON strings, and the numbers people read and write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void hex_round_trips(void **state)
{
	uint8_t bytes[256], back[256];
	char text[513];

	(void)state;
	for (int i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	hex_encode(bytes, 256, text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102", 6);
	assert_memory_equal(text + 506, "fdfeff", 6);
	assert_int_equal(hex_decode(text, back, 256), 0);
	assert_memory_equal(bytes, back, 256);
	hex_encode(NULL, 0, text);
	assert_string_equal(text, "");
	assert_int_equal(hex_decode("aBCdEF", back, 3), 0);
	assert_memory_equal(back, "\xAB\xCD\xEF", 3);
	assert_int_equal(hex_decode("", back, 0), 0);
}

static void bad_hex_leaves_the_output_alone(void **state)
{
	static const char *const bad[] = {"",	  "0",	  "00",	     "000",   "00000", "0000 ",
					  "00g0", "00G0", "0x00",    " 0000", "00/0",  "00:0",
					  "00@0", "00`0", "000\xB0", "-000",  "00\n0"};
	uint8_t out[2];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		memset(out, 0xAA, sizeof(out));
		assert_int_equal(hex_decode(bad[i], out, 2), PQC_EFAIL);
		assert_memory_equal(out, "\xAA\xAA", 2);
	}
}

static void base64_meets_the_vectors_of_the_rfc(void **state)
{
	/* RFC 4648 section 10 */
	static const char *const cases[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xFB\xFF\xBF", "+/+/"},
	};
	struct buf b = BUF_INIT(64);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_reset(&b);
		base64_encode(&b, cases[i][0], strlen(cases[i][0]));
		assert_string_equal(buf_cstr(&b), cases[i][1]);
		buf_reset(&b);
		assert_int_equal(base64_decode(&b, cases[i][1], strlen(cases[i][1])), 0);
		assert_string_equal(buf_cstr(&b), cases[i][0]);
	}
	buf_free(&b);
}

static void base64_round_trips_every_length(void **state)
{
	struct buf text = BUF_INIT(1024), back = BUF_INIT(512);
	uint8_t bytes[300];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 167 + 13);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		buf_reset(&text);
		buf_reset(&back);
		base64_encode(&text, bytes, n);
		assert_int_equal(text.len, (n + 2) / 3 * 4);
		assert_int_equal(base64_decode(&back, (const char *)text.p, text.len), 0);
		assert_int_equal(back.len, n);
		if (n > 0)
			assert_memory_equal(back.p, bytes, n);
	}
	buf_free(&text);
	buf_free(&back);
}

static void base64_is_strict(void **state)
{
	static const char *const bad[] = {
		"Z",	  "Zg",	  "Zg=",      "=",	  "==",		  "====",     "Z===",
		"Zm9vZg", "Zh==", "Zv==",     "Zm9=",	  "Zm8=Zm8=",	  "Zg==Zg==", "Zg=A",
		"Z=g=",	  "=Zg=", "Zm9v\n",   "Zm9\n",	  "Zm 9v",	  " Zm9vZm",  "Zm9-",
		"Zm9_",	  "Zm9.", "Zm9\x80",  "Zm9@",	  "Zm9[",	  "Zm9`",     "Zm9{",
		"Zm9:",	  "Zm9*", "Zm9vZh==", "Zm9vZm9=", "Zg==\n\n\n\n",
	};
	struct buf b = BUF_INIT(64);

	(void)state;
	buf_put_str(&b, "before");
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(base64_decode(&b, bad[i], strlen(bad[i])), PQC_EFAIL);
		assert_string_equal(buf_cstr(&b), "before");
		assert_int_equal(buf_error(&b), 0);
	}
	assert_int_equal(base64_decode(&b, "Zm\0v", 4), PQC_EFAIL);
	buf_free(&b);
}

static void base64_keeps_to_the_maximum(void **state)
{
	struct buf b = BUF_INIT(3);

	(void)state;
	base64_encode(&b, "a", 1);
	assert_int_equal(buf_error(&b), PQC_ETOOBIG);
	buf_reset(&b);
	assert_int_equal(base64_decode(&b, "Zm9v", 4), 0);
	assert_int_equal(base64_decode(&b, "Zg==", 4), PQC_ETOOBIG);
	assert_int_equal(b.len, 3);
	buf_reset(&b);
	base64_encode(&b, "a", SIZE_MAX);
	assert_int_equal(buf_error(&b), PQC_ETOOBIG);
	buf_free(&b);
}

static void json_escapes_what_must_not_stand(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *out;
	} cases[] = {
		{"", 0, "\"\""},
		{"plain / text", 12, "\"plain / text\""},
		{"\"\\", 2, "\"\\\"\\\\\""},
		{"\n\r\t", 3, "\"\\n\\r\\t\""},
		{"\0\x01\x1F\x7F", 4, "\"\\u0000\\u0001\\u001f\\u007f\""},
		{"\xC3\xA9\xF0\x9F\x98\x80", 6, "\"\xC3\xA9\xF0\x9F\x98\x80\""},
		{"\xC2\x9B", 2, "\"\\u009b\""},
		{"\xE2\x80\xAE", 3, "\"\\u202e\""},
		{"\xE2\x80\xA8", 3, "\"\\u2028\""},
		{"\xF3\xA0\x81\x81", 4, "\"\\udb40\\udc41\""},
		{"a\xFF"
		 "b",
		 3, "\"a\\ufffdb\""},
		{"\xC3", 1, "\"\\ufffd\""},
		{"\xC0\xAF", 2, "\"\\ufffd\\ufffd\""},
		{"\xED\xA0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\""},
	};
	struct buf b = BUF_INIT(128);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_reset(&b);
		json_put_string(&b, cases[i].in, cases[i].n);
		assert_string_equal(buf_cstr(&b), cases[i].out);
	}
	buf_free(&b);
	buf_init(&b, 6);
	json_put_string(&b, "12345", 5);
	assert_int_equal(buf_error(&b), PQC_ETOOBIG);
	buf_free(&b);
}

static void sizes_are_read_strictly(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{"0", 0},
		{"1", 1},
		{"1048576", 1048576},
		{"64K", 65536},
		{"64k", 65536},
		{"1M", 1 << 20},
		{"2G", 2ull << 30},
		{"1.5G", 3ull << 29},
		{"3T", 3ull << 40},
		{"0.5K", 512},
		{"0.001K", 1},
		{"1.25m", 1310720},
		{"18446744073709551615", UINT64_MAX},
		{"16777215T", 16777215ull << 40},
		{"0.999999T", 1099510528264ull},
	};
	static const char *const bad[] = {
		"",
		"K",
		"-1",
		"+1",
		" 1",
		"1 ",
		"1.5",
		"1.K",
		".5G",
		"1..5G",
		"1.5",
		"1KK",
		"1KiB",
		"1B",
		"1X",
		"0x10",
		"1e3",
		"1,5G",
		"1.5.5G",
		"18446744073709551616",
		"16777216T",
		"1.0000001G",
		"99999999999999999999",
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(parse_size(good[i].text, UINT64_MAX, &v), 0);
		assert_true(v == good[i].value);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		v = 77;
		assert_int_equal(parse_size(bad[i], UINT64_MAX, &v), PQC_EUSAGE);
		assert_true(v == 77);
	}
	assert_int_equal(parse_size("1K", 1024, &v), 0);
	assert_int_equal(parse_size("1K", 1023, &v), PQC_EUSAGE);
}

static void numbers_are_read_strictly(void **state)
{
	static const char *const bad[] = {
		"", "a", "1a", "-1", "+1", " 1", "1 ", "0x1", "1.0", "1\n", "18446744073709551616"};
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(parse_u64(bad[i], 0, UINT64_MAX, &v), PQC_EUSAGE);
	assert_int_equal(parse_u64("4", 5, 7, &v), PQC_EUSAGE);
	assert_int_equal(parse_u64("8", 5, 7, &v), PQC_EUSAGE);
	assert_true(v == 77);
	assert_int_equal(parse_u64("5", 5, 7, &v), 0);
	assert_int_equal(parse_u64("007", 5, 7, &v), 0);
	assert_true(v == 7);
	assert_int_equal(parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
}

static void durations_are_read_strictly(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {
		{"0", 0},	   {"30s", 30000},
		{"5m", 300000},	   {"2h", 7200000},
		{"7d", 604800000}, {"250ms", 250},
		{"10", 10000},	   {"18446744073709551615ms", UINT64_MAX},
	};
	static const char *const bad[] = {"",	 "s",	 "1.5s",  "-1s", "1S",
					  "1 s", "1sec", "1m30s", "1w",	 "18446744073709551615s"};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(parse_duration(good[i].text, &v), 0);
		assert_true(v == good[i].ms);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		v = 77;
		assert_int_equal(parse_duration(bad[i], &v), PQC_EUSAGE);
		assert_true(v == 77);
	}
}

static void sizes_read_well(void **state)
{
	char out[16];

	(void)state;
	assert_string_equal(fmt_size(0, out), "0 B");
	assert_string_equal(fmt_size(1023, out), "1023 B");
	assert_string_equal(fmt_size(1024, out), "1.00 KiB");
	assert_string_equal(fmt_size(1536, out), "1.50 KiB");
	assert_string_equal(fmt_size((1 << 20) - 1, out), "1.00 MiB");
	assert_string_equal(fmt_size(1ull << 30, out), "1.00 GiB");
	assert_string_equal(fmt_size(20ull << 30, out), "20.00 GiB");
	assert_string_equal(fmt_size(UINT64_MAX, out), "16.00 EiB");
}

static void rates_read_well_whatever_was_measured(void **state)
{
	char out[24];

	(void)state;
	assert_string_equal(fmt_rate(0, out), "0.0 B/s");
	assert_string_equal(fmt_rate(999, out), "999.0 B/s");
	assert_string_equal(fmt_rate(999.96, out), "1.0 kB/s");
	assert_string_equal(fmt_rate(123.4e6, out), "123.4 MB/s");
	assert_string_equal(fmt_rate(2.5e9, out), "2.5 GB/s");
	assert_string_equal(fmt_rate(-1, out), "0.0 B/s");
	assert_string_equal(fmt_rate((double)NAN, out), "0.0 B/s");
	assert_string_equal(fmt_rate((double)INFINITY, out), "9999.0 PB/s");
}

static void durations_read_well(void **state)
{
	char out[16];

	(void)state;
	assert_string_equal(fmt_duration(0, out), "0.0s");
	assert_string_equal(fmt_duration(0.44, out), "0.4s");
	assert_string_equal(fmt_duration(59.94, out), "59.9s");
	assert_string_equal(fmt_duration(59.96, out), "1m00s");
	assert_string_equal(fmt_duration(3599.6, out), "1h00m00s");
	assert_string_equal(fmt_duration(3723, out), "1h02m03s");
	assert_string_equal(fmt_duration(3 * 86400 + 4 * 3600 + 5 * 60, out), "3d04h05m");
	assert_string_equal(fmt_duration(1e9, out), ">999d");
	assert_string_equal(fmt_duration(-1, out), "?");
	assert_string_equal(fmt_duration((double)NAN, out), "?");
	assert_string_equal(fmt_duration((double)INFINITY, out), "?");
}

static void times_are_rfc_3339(void **state)
{
	char out[32];

	(void)state;
	assert_string_equal(fmt_time(0, out), "1970-01-01T00:00:00Z");
	assert_string_equal(fmt_time(1795445334, out), "2026-11-23T14:48:54Z");
	assert_string_equal(fmt_time(951782400, out), "2000-02-29T00:00:00Z");
	assert_string_equal(fmt_time(UINT64_MAX, out), "9999-12-31T23:59:59Z");
}

/* ---- numbers for programs ---- */

static void put_numbers(struct buf *b)
{
	buf_reset(b);
	put_fixed(b, 1234.5678, 3);
	buf_put_u8(b, ' ');
	put_fixed(b, -0.5, 1);
	buf_put_u8(b, ' ');
	put_fixed(b, 7, 0);
	buf_put_u8(b, ' ');
	put_real(b, 0.25, 9);
	buf_put_u8(b, ' ');
	put_real(b, 1.5e300, 17);
	buf_put_u8(b, ' ');
	put_real(b, -1e20, 9);
	buf_put_u8(b, ' ');
	put_real(b, 42, 9);
}

#define NUMBERS "1234.568 -0.5 7 0.25 1.5000000000000001e+300 -1e+20 42"

static void numbers_have_a_point(void **state)
{
	struct buf b = BUF_INIT(4096);

	(void)state;
	put_numbers(&b);
	assert_string_equal(buf_cstr(&b), NUMBERS);
	buf_reset(&b);
	put_fixed(&b, -DBL_MAX, 3);
	assert_int_equal(b.len, 1 + 309 + 1 + 3);
	buf_free(&b);
}

/* A locale with a comma is made for this: hardly a machine has one for its tests. */
static void numbers_have_a_point_where_people_write_a_comma(void **state)
{
	char dir[] = "/tmp/pqc-locale-XXXXXX", command[200], said[16];
	struct buf b = BUF_INIT(4096);

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command), "localedef -i de_DE -f UTF-8 %s/de 2>/dev/null", dir);
	if (system(command) == 0 && setenv("LOCPATH", dir, 1) == 0 &&
	    setlocale(LC_NUMERIC, "de") != NULL) {
		snprintf(said, sizeof(said), "%.1f", 0.5);
		assert_string_equal(said, "0,5");
		put_numbers(&b);
		setlocale(LC_NUMERIC, "C");
		assert_string_equal(buf_cstr(&b), NUMBERS);
	}
	unsetenv("LOCPATH");
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	if (b.len == 0)
		skip();
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex_round_trips),
		cmocka_unit_test(bad_hex_leaves_the_output_alone),
		cmocka_unit_test(base64_meets_the_vectors_of_the_rfc),
		cmocka_unit_test(base64_round_trips_every_length),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(base64_keeps_to_the_maximum),
		cmocka_unit_test(json_escapes_what_must_not_stand),
		cmocka_unit_test(sizes_are_read_strictly),
		cmocka_unit_test(numbers_are_read_strictly),
		cmocka_unit_test(durations_are_read_strictly),
		cmocka_unit_test(sizes_read_well),
		cmocka_unit_test(rates_read_well_whatever_was_measured),
		cmocka_unit_test(durations_read_well),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(numbers_have_a_point),
		cmocka_unit_test(numbers_have_a_point_where_people_write_a_comma),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
