/* utf8.h and name_check: every form of name that is refused, and the neighbours that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void refused(const char *s, size_t n)
{
	struct err e = {0};

	if (name_check(s, n, &e) != PQC_ENAME)
		fail_msg("accepted: \"%.*s\" (%zu bytes)", (int)n, s, n);
	assert_int_equal(e.code, PQC_ENAME);
	assert_true(strlen(e.msg) > 0);
	assert_int_equal(name_check(s, n, NULL), PQC_ENAME);
}

static void accepted(const char *s, size_t n)
{
	struct err e = {0};

	if (name_check(s, n, &e) != 0)
		fail_msg("refused: %s", e.msg);
}

/* UTF-8 without any check, so that forbidden code points can be made. */
static size_t encode(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, cp >>= 6)
		out[i] = (char)(0x80 | (cp & 0x3F));
	out[0] = (char)((0xF00 >> n & 0xFF) | cp);
	return n;
}

static void utf8_decodes_every_code_point(void **state)
{
	(void)state;
	for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
		bool surrogate = cp >= 0xD800 && cp <= 0xDFFF;
		uint32_t got = 0xAAAAAAAA;
		char s[4];
		size_t n = encode(cp, s);

		if (utf8_next(s, n, &got) != (surrogate ? 0 : n) ||
		    got != (surrogate ? 0xAAAAAAAA : cp))
			fail_msg("U+%04X", cp);
		for (size_t cut = 0; cut < n; cut++)
			if (utf8_next(s, cut, &got) != 0)
				fail_msg("U+%04X of %zu bytes", cp, cut);
	}
}

static void utf8_refuses_what_rfc_3629_does(void **state)
{
	static const char *const bad[] = {
		"\x80",
		"\xBF",
		"\xC0\x80",
		"\xC0\xAF",
		"\xC1\xBF",
		"\xE0\x80\xAF",
		"\xE0\x9F\xBF",
		"\xF0\x80\x80\xAF",
		"\xF0\x8F\xBF\xBF",
		"\xED\xA0\x80",
		"\xED\xBF\xBF",
		"\xF4\x90\x80\x80",
		"\xF5\x80\x80\x80",
		"\xF8\x88\x80\x80\x80",
		"\xFE",
		"\xFF",
		"\xC3(",
		"\xE2\x82(",
		"\xE2(\xA1",
		"\xF0\x90\x8C(",
		"\xF0(\x8C\xBC",
		"a\xC3",
		"\xC3\xC3\xA9",
		"\xED\xA0\xBD\xED\xB8\x80",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
		refused(bad[i], strlen(bad[i]));
	}
	assert_true(utf8_valid("", 0));
	assert_true(utf8_valid("a\0b", 3));
	assert_true(utf8_valid("\xF4\x8F\xBF\xBF", 4));
}

static void good_names_pass(void **state)
{
	static const char *const good[] = {
		"a",
		"a/b/c",
		"file.tar.gz",
		".hidden",
		"...",
		"..a",
		"a..",
		"a/.../b",
		"a b",
		" a ",
		"C",
		"CC:",
		"1:x",
		":x",
		"a/C:/b",
		"-rf",
		"~",
		"*?\"<>|",
		"\xC3\xA9",
		"\xE6\x97\xA5\xE6\x9C\xAC/\xE8\xAA\x9E",
		"\xF0\x9F\x98\x80.iso",
		"\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D",
		"\xC2\xA0",
		"\xC3\xA9:x",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		accepted(good[i], strlen(good[i]));
	accepted("a/b", 1); /* the length decides, not what follows */
}

static void paths_that_lead_astray_are_refused(void **state)
{
	static const char *const bad[] = {
		"",	     ".",	    "..",      "/",    "//",   "/a",	"a/",
		"a//b",	     "./a",	    "../a",    "a/.",  "a/..", "a/./b", "a/../b",
		"a/b/../..", "/etc/passwd", "../../x", "a\\b", "\\a",  "..\\a", "\\\\server\\share",
		"C:",	     "c:",	    "C:a",     "z:/a", "A:/",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		refused(bad[i], strlen(bad[i]));
	refused(NULL, 0);
}

static void characters_that_deceive_are_refused(void **state)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{0x00, 0x1F},	  {0x7F, 0x9F},	    {0xAD, 0xAD},	{0x61C, 0x61C},
		{0x180E, 0x180E}, {0x200B, 0x200F}, {0x2028, 0x202E},	{0x2060, 0x206F},
		{0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F},
	};
	char s[6];

	(void)state;
	for (size_t i = 0; i < COUNT(ranges); i++) {
		for (uint32_t cp = ranges[i].first; cp <= ranges[i].last; cp++) {
			size_t n = encode(cp, s + 1);

			s[0] = 'a';
			s[1 + n] = 'b';
			refused(s, n + 2);     /* inside */
			refused(s, n + 1);     /* at the end */
			refused(s + 1, n + 1); /* at the start */
			assert_true(utf8_deceives(cp));
		}
		if (ranges[i].first > 0)
			assert_false(utf8_deceives(ranges[i].first - 1));
		assert_false(utf8_deceives(ranges[i].last + 1));
	}
}

static void lengths_are_counted_in_bytes(void **state)
{
	char s[4200];

	(void)state;
	memset(s, 'a', sizeof(s));
	accepted(s, 255);
	refused(s, 256);
	s[255] = '/';
	accepted(s, 255 + 1 + 255);
	refused(s, 255 + 1 + 256);
	s[0] = '/';
	s[1] = 'b';
	refused(s + 1, 254 + 1 + 256);

	/* 127 characters of two bytes, and 128 */
	for (size_t i = 0; i < 256; i += 2)
		memcpy(s + i, "\xC3\xA9", 2);
	accepted(s, 254);
	refused(s, 256);

	memset(s, 'a', sizeof(s));
	for (size_t i = 128; i < sizeof(s); i += 128)
		s[i] = '/';
	s[4096] = 'b';
	accepted(s, 4095);
	refused(s, 4097);
	s[3968] = 'c';
	accepted(s, 4096);
}

static void the_reason_is_said_and_the_name_cannot_speak(void **state)
{
	struct err e;
	char s[5000];

	(void)state;
	assert_int_equal(name_check("a/../b", 6, &e), PQC_ENAME);
	assert_non_null(strstr(e.msg, "'a/../b'"));
	assert_non_null(strstr(e.msg, "'..'"));
	assert_int_equal(name_check("\033[2Jx", 5, &e), PQC_ENAME);
	assert_null(strchr(e.msg, '\033'));
	assert_non_null(strstr(e.msg, "control"));
	memset(s, 'a', sizeof(s));
	assert_int_equal(name_check(s, sizeof(s), &e), PQC_ENAME);
	assert_non_null(strstr(e.msg, "4096"));
	assert_true(strlen(e.msg) < 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_decodes_every_code_point),
		cmocka_unit_test(utf8_refuses_what_rfc_3629_does),
		cmocka_unit_test(good_names_pass),
		cmocka_unit_test(paths_that_lead_astray_are_refused),
		cmocka_unit_test(characters_that_deceive_are_refused),
		cmocka_unit_test(lengths_are_counted_in_bytes),
		cmocka_unit_test(the_reason_is_said_and_the_name_cannot_speak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
