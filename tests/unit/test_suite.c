#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/suite.h"

static void test_by_id(void **state)
{
	(void)state;
	assert_int_equal(suite_by_id(1)->id, SUITE_KYBER768);
	assert_int_equal(suite_by_id(2)->id, SUITE_KYBER1024);
	assert_null(suite_by_id(0));
	assert_null(suite_by_id(3));
	assert_null(suite_by_id(257));
}

static void test_by_name(void **state)
{
	const struct suite *s = NULL;

	(void)state;
	assert_int_equal(suite_by_name("Kyber768", &s, NULL), 0);
	assert_ptr_equal(s, suite_by_id(1));
	assert_int_equal(suite_by_name("ml-kem-1024", &s, NULL), 0);
	assert_ptr_equal(s, suite_by_id(2));
	assert_int_equal(suite_by_name("KYBER1024", &s, NULL), 0);
	assert_int_equal(suite_by_name("ML-KEM-768", &s, NULL), 0);
	assert_ptr_equal(s, suite_by_id(1));
}

/* Kyber512 is too weak and its refusal names what is accepted. */
static void test_refused(void **state)
{
	static const char *const names[] = {"Kyber512", "ML-KEM-512", "", "Kyber768 ", "kyber"};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct suite *s = NULL;
		struct err e = {0};

		assert_int_equal(suite_by_name(names[i], &s, &e), PQC_ECONFIG);
		assert_null(s);
		assert_int_equal(e.code, PQC_ECONFIG);
		assert_non_null(strstr(e.msg, "Kyber768"));
		assert_non_null(strstr(e.msg, "ML-KEM-1024"));
	}
}

static void test_maxima(void **state)
{
	(void)state;
	for (unsigned id = 1; id <= 2; id++) {
		const struct suite *s = suite_by_id(id);

		assert_true(s->hs_pk_len <= KEM_PK_MAX && s->rcpt_pk_len <= KEM_PK_MAX);
		assert_true(s->hs_ct_len <= KEM_CT_MAX && s->rcpt_ct_len <= KEM_CT_MAX);
		assert_true(s->hs_ss_len <= KEM_SS_MAX && s->rcpt_ss_len <= KEM_SS_MAX);
		assert_true(s->sig_pk_len <= SIG_PK_MAX && s->sig_len <= SIG_MAX);
		assert_true(s->hash_len <= HASH_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_id),
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_maxima),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
