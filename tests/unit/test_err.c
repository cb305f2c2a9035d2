/* err.h: the table, messages that are cut, cleaned and prefixed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"

static void every_code_has_a_name_and_an_exit_code(void **state)
{
	static const struct {
		int code, exit_code;
		const char *name;
	} all[] = {
#define X(code, name, exit_code, help) {code, exit_code, name},
		PQC_ERROR_LIST(X)
#undef X
	};
	const size_t n = sizeof(all) / sizeof(all[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_true(all[i].code < 0);
		assert_string_equal(err_name(all[i].code), all[i].name);
		assert_int_equal(err_exit_code(all[i].code), all[i].exit_code);
		assert_in_range(err_exit_code(all[i].code), 1, 130);
		assert_true(strlen(err_meaning(all[i].code)) > 0);
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(all[i].code, all[j].code);
			assert_string_not_equal(all[i].name, all[j].name);
		}
	}
}

static void unknown_codes_answer_as_failed(void **state)
{
	static const int unknown[] = {1, 77, -1000};

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_string_equal(err_name(unknown[i]), "failed");
		assert_int_equal(err_exit_code(unknown[i]), 1);
		assert_string_equal(err_meaning(unknown[i]), err_meaning(PQC_EFAIL));
	}
	assert_int_equal(err_exit_code(PQC_OK), 0);
}

static void set_fills_and_returns_the_code(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, PQC_EQUOTA, "%d of %s", 3, "four"), PQC_EQUOTA);
	assert_int_equal(e.code, PQC_EQUOTA);
	assert_string_equal(e.msg, "3 of four");
	assert_int_equal(err_set(NULL, PQC_EIO, "nobody reads %s", "this"), PQC_EIO);
}

static void long_messages_are_cut_between_characters(void **state)
{
	char text[2 * ERR_MSG_MAX];
	struct {
		struct err e;
		char guard[8];
	} s;

	(void)state;
	memset(&s, 0x5A, sizeof(s));
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	err_set(&s.e, PQC_EFAIL, "%s", text);
	assert_int_equal(strlen(s.e.msg), ERR_MSG_MAX - 1);
	assert_memory_equal(s.guard, "ZZZZZZZZ", 8);

	/* The limit falls within the two bytes of an e acute. */
	strcpy(text + ERR_MSG_MAX - 2, "\xC3\xA9");
	err_set(&s.e, PQC_EFAIL, "%s", text);
	assert_int_equal(s.e.msg[ERR_MSG_MAX - 3], 'a');
	assert_int_equal(s.e.msg[ERR_MSG_MAX - 2], '?');
	assert_int_equal(s.e.msg[ERR_MSG_MAX - 1], '\0');
}

static void what_steers_a_terminal_is_replaced(void **state)
{
	struct err e;

	(void)state;
	err_set(&e, PQC_EFAIL, "%s", "a\033[2Jb\nc\x7F");
	assert_string_equal(e.msg, "a?[2Jb?c?");
	err_set(&e, PQC_EFAIL, "%s",
		"x\xC2\x9B"
		"31my\x9Bz");
	assert_string_equal(e.msg, "x?31my?z");
	err_set(&e, PQC_EFAIL, "%s",
		"a\xE2\x80\xAE"
		"b\xEF\xBB\xBF"
		"c");
	assert_string_equal(e.msg, "a?b?c");
	err_set(&e, PQC_EFAIL, "%s", "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
	assert_string_equal(e.msg, "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
}

static void arguments_may_point_into_the_message(void **state)
{
	struct err e;

	(void)state;
	err_set(&e, PQC_EIO, "disk");
	err_set(&e, PQC_EQUOTA, "%s and again %s", e.msg, e.msg);
	assert_string_equal(e.msg, "disk and again disk");
	assert_int_equal(err_prefix(&e, "%s", e.msg), PQC_EQUOTA);
	assert_string_equal(e.msg, "disk and again disk: disk and again disk");
}

static void sys_appends_the_reason_and_maps_the_code(void **state)
{
	static const struct {
		int errnum, code;
	} cases[] = {
		{ENOSPC, PQC_EQUOTA}, {EDQUOT, PQC_EQUOTA},
		{EFBIG, PQC_EQUOTA},  {ENOENT, PQC_ENOTFOUND},
		{EEXIST, PQC_EEXIST}, {EACCES, PQC_EREFUSED},
		{ENOMEM, PQC_ENOMEM}, {ECONNREFUSED, PQC_ETEMP},
		{EPIPE, PQC_ECLOSED}, {EIO, PQC_EIO},
		{0, PQC_EIO},	      {99999, PQC_EIO},
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(err_sys(&e, cases[i].errnum, "x"), cases[i].code);
		assert_int_equal(e.code, cases[i].code);
		assert_int_equal(err_sys(NULL, cases[i].errnum, "x"), cases[i].code);
	}
	err_sys(&e, ENOSPC, "write %s", "f");
	assert_string_equal(e.msg, "write f: No space left on device");
}

static void prefix_keeps_the_code_and_the_limit(void **state)
{
	struct err e;

	(void)state;
	err_set(&e, PQC_ENOKEY, "inner");
	assert_int_equal(err_prefix(&e, "outer %d", 1), PQC_ENOKEY);
	assert_string_equal(e.msg, "outer 1: inner");
	for (int i = 0; i < 200; i++)
		err_prefix(&e, "level %d", i);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	assert_memory_equal(e.msg, "level 199: level 198: ", 22);
	assert_int_equal(err_prefix(NULL, "nobody"), PQC_EFAIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_name_and_an_exit_code),
		cmocka_unit_test(unknown_codes_answer_as_failed),
		cmocka_unit_test(set_fills_and_returns_the_code),
		cmocka_unit_test(long_messages_are_cut_between_characters),
		cmocka_unit_test(what_steers_a_terminal_is_replaced),
		cmocka_unit_test(arguments_may_point_into_the_message),
		cmocka_unit_test(sys_appends_the_reason_and_maps_the_code),
		cmocka_unit_test(prefix_keeps_the_code_and_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
