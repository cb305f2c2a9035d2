/* The JSON of the handshake: what may be in M1 and M2, and everything that may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/handshake.h"
#include "protocol/hs_json.h"

#define COUNT(a)	     (sizeof(a) / sizeof((a)[0]))
#define NONCE		     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define A		     "\"action\":\"transfer_file\""
#define M2_OF(key, nonce)    "{\"status\":\"ready\",\"session_key\":" key ",\"nonce\":\"" nonce "\"}"
#define KEY(bundle, sig, pk) "{\"bundle\":" bundle ",\"sig\":" sig ",\"server_pk\":" pk "}"

/* From memory of exactly this length, so that a read past the end is seen. */
static int m1(const void *text, size_t n)
{
	struct err e = {0};
	void *copy = malloc(n ? n : 1);
	int r;

	memcpy(copy, text, n);
	r = hs_m1_decode(copy, n, suite_by_id(SUITE_KYBER768), &e);
	if (r != 0)
		assert_true(e.code == r && e.msg[0] != '\0');
	free(copy);
	return r;
}

static int m2(const void *text, size_t n)
{
	struct hs_m2 m = HS_M2_INIT;
	struct err e = {0};
	void *copy = malloc(n ? n : 1);
	int r;

	memcpy(copy, text, n);
	r = hs_m2_decode(copy, n, &m, &e);
	if (r != 0)
		assert_true(e.code == r && e.msg[0] != '\0');
	hs_m2_free(&m);
	free(copy);
	return r;
}

static void test_good_m1(void **state)
{
	static const char *const good[] = {
		"{" A "}",
		"{" A ",\"filename\":\"test_file.dat\",\"size\":1048576}",
		" { " A " , \"v\" : 1 } \n",
		"{" A ",\"v\":1,\"suites\":[1],\"nonce\":\"" NONCE "\"}",
		"{" A ",\"suites\":[2,1]}",
		"{" A ",\"suites\":[1,77,-5,9000000000]}",
		"{" A
		",\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}",
		"{" A ",\"filename\":\"a]}{[\\\"\\\\\"}",
		"{\"action\":\"transfer\\u005ffile\"}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		if (m1(good[i], strlen(good[i])) != 0)
			fail_msg("refused: %s", good[i]);
}

static void test_bad_m1(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"x",
		"{",
		"}",
		"null",
		"true",
		"1",
		"\"transfer_file\"",
		"[]",
		"[{" A "}]",
		"{}",
		"{\"action\":\"transfer\"}",
		"{\"action\":\"transfer_file \"}",
		"{\"action\":1}",
		"{\"action\":null}",
		"{\"action\":[\"transfer_file\"]}",
		"{\"Action\":\"transfer_file\"}",
		/* the same key twice */
		"{" A "," A "}",
		"{" A ",\"v\":1,\"v\":1}",
		"{" A ",\"v\":1,\"\\u0076\":1}",
		"{" A ",\"suites\":[1],\"suites\":[2]}",
		/* unknown keys */
		"{" A ",\"extra\":1}",
		"{" A ",\"\":1}",
		"{" A ",\"V\":1}",
		"{" A ",\"v \":1}",
		/* types */
		"{" A ",\"v\":\"1\"}",
		"{" A ",\"v\":1.0}",
		"{" A ",\"v\":1e0}",
		"{" A ",\"v\":true}",
		"{" A ",\"v\":null}",
		"{" A ",\"v\":[1]}",
		"{" A ",\"v\":{}}",
		"{" A ",\"suites\":1}",
		"{" A ",\"suites\":\"1\"}",
		"{" A ",\"suites\":{\"1\":1}}",
		"{" A ",\"suites\":[1,\"2\"]}",
		"{" A ",\"suites\":[1.0]}",
		"{" A ",\"suites\":[[1]]}",
		"{" A ",\"suites\":[1,null]}",
		"{" A ",\"suites\":null}",
		"{" A ",\"nonce\":1}",
		"{" A ",\"filename\":1}",
		"{" A ",\"filename\":null}",
		"{" A ",\"size\":\"5\"}",
		"{" A ",\"size\":1.5}",
		"{" A ",\"traceparent\":5}",
		/* versions and numbers */
		"{" A ",\"v\":0}",
		"{" A ",\"v\":2}",
		"{" A ",\"v\":-1}",
		"{" A ",\"v\":18446744073709551617}",
		"{" A ",\"v\":4294967297}",
		"{" A ",\"size\":99999999999999999999999}",
		"{" A ",\"size\":1e999}",
		"{" A ",\"v\":01}",
		"{" A ",\"v\":+1}",
		"{" A ",\"v\":0x1}",
		"{" A ",\"v\":NaN}",
		/* nonces */
		"{" A ",\"nonce\":\"\"}",
		"{" A ",\"nonce\":\"AAAA\"}",
		"{" A ",\"nonce\":\"" NONCE "AAAA\"}",
		"{" A ",\"nonce\":\"AAAA" NONCE "\"}",
		"{" A ",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
		"{" A ",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\"}",
		"{" A ",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-=\"}",
		"{" A ",\"nonce\":\" AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}",
		"{" A ",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\\nA=\"}",
		/* not JSON, though some would take it */
		"{" A "}x",
		"{" A "}{}",
		"{" A "},",
		"{" A ",}",
		"{'action':'transfer_file'}",
		"{" A "} // why",
		"{" A "/**/}",
		"{action:\"transfer_file\"}",
		"{" A ",\"suites\":[1,]}",
		"\xef\xbb\xbf{" A "}",
		/* not UTF-8, and escapes that are none */
		"{" A ",\"filename\":\"\xff\"}",
		"{" A ",\"filename\":\"\xc0\xaf\"}",
		"{" A ",\"filename\":\"\xed\xa0\x80\"}",
		"{" A ",\"filename\":\"\xf4\x90\x80\x80\"}",
		"{" A ",\"filename\":\"\\ud800\"}",
		"{" A ",\"filename\":\"\\u0000\"}",
		"{" A ",\"filename\":\"\\x41\"}",
		"{" A ",\"filename\":\"a\nb\"}",
		/* too deep */
		"{" A ",\"suites\":[[[[1]]]]}",
		"[[[[[]]]]]",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (m1(bad[i], strlen(bad[i])) != PQC_EPROTO)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(m1("{" A "}\0", sizeof("{" A "}\0") - 1),
			 PQC_EPROTO); /* a NUL behind it */
	assert_int_equal(m1("{" A ",\"v\0\":1}", sizeof("{" A ",\"v\0\":1}") - 1), PQC_EPROTO);
}

static void test_suites(void **state)
{
	static const char *const others[] = {
		"[]", "[2]", "[0]", "[257]", "[-1]", "[4294967297]", "[18446744073709551]"};
	char text[100];

	(void)state;
	for (size_t i = 0; i < COUNT(others); i++) {
		snprintf(text, sizeof(text), "{" A ",\"suites\":%s}", others[i]);
		assert_int_equal(m1(text, strlen(text)), PQC_EREFUSED);
	}
}

/* 16384 bytes are allowed, one more is not, whatever it is. */
static void test_size(void **state)
{
	char *text = malloc(HS_JSON_MAX + 1);

	(void)state;
	memset(text, ' ', HS_JSON_MAX + 1);
	memcpy(text, "{" A "}", strlen("{" A "}"));
	assert_int_equal(m1(text, HS_JSON_MAX), 0);
	assert_int_equal(m1(text, HS_JSON_MAX + 1), PQC_EPROTO);
	memset(text, '[', HS_JSON_MAX + 1);
	assert_int_equal(m1(text, HS_JSON_MAX), PQC_EPROTO);
	memset(text, '"', HS_JSON_MAX + 1);
	assert_int_equal(m1(text, HS_JSON_MAX), PQC_EPROTO);
	memset(text, '\\', HS_JSON_MAX + 1);
	assert_int_equal(m1(text, HS_JSON_MAX), PQC_EPROTO);
	for (size_t i = 0; i < HS_JSON_MAX; i += 4)
		memcpy(text + i, "{\"\":", 4);
	assert_int_equal(m1(text, HS_JSON_MAX), PQC_EPROTO);
	free(text);
}

/* Four deep is looked at, five deep is not. Brackets in strings do not count. */
static void test_depth(void **state)
{
	static const struct {
		const char *text;
		bool deep;
	} cases[] = {
		{"[[[[]]]]", false},
		{"[[[[[]]]]]", true},
		{"{\"a\":{\"a\":{\"a\":{\"a\":1}}}}", false},
		{"{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}", true},
		{"[\"[[[[[[\\\"[[[\"]", false},
		{"[\"\\\\\",[[[[]]]]]", true},
		{"[[[[],[],[],[]]]]", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err e = {0};
		int r = hs_m1_decode(cases[i].text, strlen(cases[i].text), suite_by_id(1), &e);

		assert_int_equal(r, PQC_EPROTO);
		assert_int_equal(strstr(e.msg, "deeper") != NULL, cases[i].deep);
	}
}

static void test_truncated(void **state)
{
	static const char text[] = "{" A ",\"v\":1,\"suites\":[1],\"nonce\":\"" NONCE "\"}";

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(m1(text, n), PQC_EPROTO);
}

static void test_m2(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"status\":\"ready\"}",
		"{\"status\":\"waiting\"}",
		"{\"status\":1,\"session_key\":{},\"nonce\":\"" NONCE "\"}",
		M2_OF("{}", NONCE),
		M2_OF("[]", NONCE),
		M2_OF("\"AAAA\"", NONCE),
		M2_OF("{\"bundle\":\"AAAA\",\"sig\":\"AAAA\"}", NONCE),
		M2_OF("{\"bundle\":\"AAAA\",\"sig\":\"AAAA\",\"server_pk\":\"AAAA\",\"x\":1}",
		      NONCE),
		M2_OF("{\"bundle\":\"AAAA\",\"bundle\":\"AAAA\",\"sig\":\"AAAA\",\"server_pk\":"
		      "\"AAAA\"}",
		      NONCE),
		M2_OF(KEY("\"AAA\"", "\"AAAA\"", "\"AAAA\""), NONCE),
		M2_OF(KEY("\"AAAA\"", "\"A A=\"", "\"AAAA\""), NONCE),
		M2_OF(KEY("\"AAAA\"", "\"AAAA\"", "\"AAB=\""), NONCE),
		M2_OF(KEY("1", "\"AAAA\"", "\"AAAA\""), NONCE),
		M2_OF(KEY("\"AAAA\"", "null", "\"AAAA\""), NONCE),
		M2_OF(KEY("\"AAAA\"", "\"AAAA\"", "[]"), NONCE),
		M2_OF(KEY("\"AAAA\"", "\"AAAA\"", "\"AAAA\""), "AAAA"),
		M2_OF(KEY("\"AAAA\"", "\"AAAA\"", "\"AAAA\""), ""),
		M2_OF(KEY("\"AAAA\"", "\"AAAA\"", "\"AAAA\""), NONCE) "x",
		"{\"status\":\"ready\",\"session_key\":" KEY("\"AAAA\"", "\"AAAA\"",
							     "\"AAAA\"") "}",
		"{\"status\":\"Ready\",\"session_key\":" KEY(
			"\"AAAA\"", "\"AAAA\"", "\"AAAA\"") ",\"nonce\":\"" NONCE "\"}",
		"{\"status\":\"ready\",\"x\":0,\"session_key\":" KEY(
			"\"AAAA\"", "\"AAAA\"", "\"AAAA\"") ",\"nonce\":\"" NONCE "\"}",
		/* errors that are not well-formed */
		"{\"status\":\"error\"}",
		"{\"status\":\"error\",\"code\":\"quota\"}",
		"{\"status\":\"error\",\"code\":4,\"error\":\"x\"}",
		"{\"status\":\"error\",\"code\":\"quota\",\"error\":\"x\",\"more\":1}",
		"{\"status\":\"error\",\"code\":\"nonsense\",\"error\":\"x\"}",
	};
	const char *good = M2_OF(KEY("\"AAAA\"", "\"AAAA\"", "\"AAAA\""), NONCE);
	struct buf big = BUF_INIT(HS_JSON_MAX);

	(void)state;
	assert_int_equal(m2(good, strlen(good)), 0);
	for (size_t i = 0; i < COUNT(bad); i++)
		if (m2(bad[i], strlen(bad[i])) != PQC_EPROTO)
			fail_msg("taken: %s", bad[i]);
	/* a bundle longer than any */
	buf_put_str(&big, "{\"status\":\"ready\",\"nonce\":\"" NONCE
			  "\",\"session_key\":{\"sig\":\"AAAA\","
			  "\"server_pk\":\"AAAA\",\"bundle\":\"");
	for (int i = 0; i < 2000; i++)
		buf_put_str(&big, "AAAA");
	buf_put_str(&big, "\"}}");
	assert_int_equal(m2(big.p, big.len), PQC_EPROTO);
	buf_free(&big);
}

/* An error of the server: its code arrives as ours, its text cannot steer the terminal. */
static void test_server_errors(void **state)
{
	static const struct {
		unsigned code;
		int err;
	} cases[] = {
		{CODE_TEMPORARY, PQC_ETEMP}, {CODE_SUITE, PQC_EREFUSED},
		{CODE_PROTOCOL, PQC_EPROTO}, {CODE_REFUSED, PQC_EREFUSED},
		{CODE_INTERNAL, PQC_EFAIL},  {CODE_QUOTA, PQC_EQUOTA},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf b = BUF_INIT(1024);
		struct hs_m2 m = HS_M2_INIT;
		struct err e = {0};

		hs_error_json(cases[i].code, "busy: \"try\" later \033[31m\xff", &b);
		assert_int_equal(hs_m2_decode(b.p, b.len, &m, &e), cases[i].err);
		assert_int_equal(e.code, cases[i].err);
		assert_non_null(strstr(e.msg, "busy: \"try\" later ?[31m"));
		hs_m2_free(&m);
		buf_free(&b);
	}
}

/* What our own client says is in the form of the document, and new each time. */
static void test_own_hello(void **state)
{
	struct buf a = BUF_INIT(HS_JSON_MAX), b = BUF_INIT(HS_JSON_MAX);
	static const char start[] =
		"{\"action\":\"transfer_file\",\"v\":1,\"suites\":[1],\"nonce\":\"";

	(void)state;
	assert_int_equal(hs_m1_encode(suite_by_id(1), &a), 0);
	assert_int_equal(hs_m1_encode(suite_by_id(1), &b), 0);
	assert_memory_equal(a.p, start, sizeof(start) - 1);
	assert_int_equal(a.len, sizeof(start) - 1 + 44 + 2);
	assert_int_equal(a.len, b.len);
	assert_memory_not_equal(a.p, b.p, a.len);
	assert_int_equal(m1(a.p, a.len), 0);
	buf_free(&a);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_m1),	  cmocka_unit_test(test_bad_m1),
		cmocka_unit_test(test_suites),	  cmocka_unit_test(test_size),
		cmocka_unit_test(test_depth),	  cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_m2),	  cmocka_unit_test(test_server_errors),
		cmocka_unit_test(test_own_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
