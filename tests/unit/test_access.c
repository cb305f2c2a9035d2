/* Who may do what: patterns, parsing, and editing of the list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/access.h"

#define ALICE "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
#define BOB   "B0b0B0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"

static char *dir, *path;
static uint8_t alice[ID_LEN], bob[ID_LEN], carol[ID_LEN];
static struct err e;

static int setup(void **state)
{
	(void)state;
	memset(alice, 0xa1, ID_LEN);
	memset(bob, 0xb0, ID_LEN);
	memset(carol, 0xca, ID_LEN);
	dir = strdup("/tmp/pqc-access-XXXXXX");
	if (mkdtemp(dir) == NULL || asprintf(&path, "%s/access", dir) < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	rmdir(dir);
	free(path);
	free(dir);
	return 0;
}

static void put_bytes(const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void put(const char *text)
{
	put_bytes(text, strlen(text));
}

static const char *get(void)
{
	static char text[65536];
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

static struct access *load(void)
{
	struct access *a = NULL;

	if (access_load(path, &a, &e) != 0)
		fail_msg("%s", e.msg);
	return a;
}

static int allow(const char *file, const uint8_t id[ID_LEN], const char *rights,
		 const char *pattern, const char *name)
{
	const struct access_grant g = {.rights = rights, .pattern = pattern, .name = name};

	return access_file_allow(file, id, &g, &e);
}

static void test_match(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool match;
	} cases[] = {
		{"**", "a", true},
		{"**", "a/b/c", true},
		{"**", "", false},
		{"a", "a", true},
		{"a", "b", false},
		{"a", "ab", false},
		{"ab", "a", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{"a/b", "a/b", true},
		{"A", "a", false},
		{"a/**", "a/b", true},
		{"a/**", "a/b/c", true},
		{"a/**", "a", false},
		{"a/**", "ab/c", false},
		{"a/**", "b/a/c", false},
		{"*", "a", true},
		{"*", "a/b", false},
		{"*/b", "a/b", true},
		{"*/b", "a/c/b", false},
		{"*/**", "a", false},
		{"*/**", "a/b/c", true},
		{"a*", "a", true},
		{"a*", "abc", true},
		{"a*", "abc/d", false},
		{"*.iso", "x.iso", true},
		{"*.iso", ".iso", true},
		{"*.iso", "x.iso.txt", false},
		{"*.iso", "x.iso.iso", true},
		{"a*b*c", "abc", true},
		{"a*b*c", "aXbbYbc", true},
		{"a*b*c", "aXbYbcd", false},
		{"*a*", "bab", true},
		{"*a*", "bbb", false},
		{"a/*/c", "a/b/c", true},
		{"a/*/c", "a//c", true}, /* no such name gets past name_check */
		{"a/*/c", "a/b/c/d", false},
		{"a/*/c", "a/b", false},
		{"?", "a", false},
		{"[a]", "a", false},
		{"t\xc3\xa4*", "t\xc3\xa4glich", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (access_match(cases[i].pattern, cases[i].name) != cases[i].match)
			fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].name);
}

/* Many stars over a long name take no exponential time. */
static void test_match_long(void **state)
{
	char name[4097];

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_false(access_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name));
	assert_true(access_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*", name));
}

static void test_rights(void **state)
{
	static const char *const bad[] = {"",	  "Put", "put,",     ",put",	"put,,get",
					  "puts", "pu",	 "put, get", "put;get", "all,none"};
	unsigned r = 99;

	(void)state;
	assert_int_equal(access_rights_parse("put", &r, &e), 0);
	assert_int_equal(r, RIGHT_PUT);
	assert_int_equal(access_rights_parse("delete,list", &r, &e), 0);
	assert_int_equal(r, RIGHT_DELETE | RIGHT_LIST);
	assert_int_equal(access_rights_parse("put,get,list,delete", &r, &e), 0);
	assert_int_equal(r, RIGHT_ALL);
	assert_int_equal(access_rights_parse("all", &r, &e), 0);
	assert_int_equal(r, RIGHT_ALL);
	assert_int_equal(access_rights_parse("get,get", &r, &e), 0);
	assert_int_equal(r, RIGHT_GET);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(access_rights_parse(bad[i], &r, &e), PQC_EUSAGE);
		assert_int_equal(r, RIGHT_GET);
		assert_non_null(strstr(e.msg, "put, get, list, delete or all"));
	}
}

static void test_load(void **state)
{
	struct access *a;

	(void)state;
	put("# comment\n"
	    "\n"
	    "  # another \xff\n" /* what a comment holds is nobody's business */
	    " " ALICE "  put,get\tup/** \t Alice  of Accounting \t\r\n" BOB " get **\n" ALICE
	    " list *\n" ALICE " list * second name\n" BOB
	    " get **"); /* without a line's end, and twice */
	a = load();
	assert_int_equal(access_count(a), 5);
	assert_true(access_knows(a, alice));
	assert_true(access_knows(a, bob));
	assert_false(access_knows(a, carol));
	assert_true(access_allows(a, alice, RIGHT_PUT, "up/x/y"));
	assert_true(access_allows(a, alice, RIGHT_GET, "up/x/y"));
	assert_false(access_allows(a, alice, RIGHT_LIST, "up/x/y"));
	assert_false(access_allows(a, alice, RIGHT_DELETE, "up/x/y"));
	assert_true(access_allows(a, alice, RIGHT_LIST, "x"));
	assert_false(access_allows(a, alice, RIGHT_PUT, "x"));
	assert_true(access_allows(a, bob, RIGHT_GET, "x/y/z"));
	assert_false(access_allows(a, bob, RIGHT_PUT, "x/y/z"));
	assert_false(access_allows(a, carol, RIGHT_GET, "x"));
	/* all of several are asked for */
	assert_true(access_allows(a, alice, RIGHT_PUT | RIGHT_GET, "up/x"));
	assert_false(access_allows(a, alice, RIGHT_PUT | RIGHT_LIST, "up/x"));
	assert_false(access_allows(a, alice, 0, "up/x"));
	assert_string_equal(access_name(a, alice), "Alice  of Accounting");
	assert_null(access_name(a, bob));
	assert_null(access_name(a, carol));
	access_free(a);
	access_free(NULL);
}

/* Of lines apart rights add up. */
static void test_adding_up(void **state)
{
	struct access *a;

	(void)state;
	put(ALICE " put x/**\n" BOB " get x/**\n" ALICE " delete x/*\n");
	a = load();
	assert_true(access_allows(a, alice, RIGHT_PUT | RIGHT_DELETE, "x/y"));
	assert_false(access_allows(a, alice, RIGHT_PUT | RIGHT_DELETE, "x/y/z"));
	assert_false(access_allows(a, bob, RIGHT_PUT, "x/y"));
	access_free(a);
}

static void test_missing(void **state)
{
	struct access *a = load();

	(void)state;
	assert_int_equal(access_count(a), 0);
	assert_false(access_knows(a, alice));
	assert_false(access_allows(a, alice, RIGHT_GET, "x"));
	access_free(a);
	put("");
	a = load();
	assert_int_equal(access_count(a), 0);
	access_free(a);
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = {
		ALICE,
		ALICE " put",
		"a1 put **",
		ALICE "a1 put **",
		"g1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 put **",
		ALICE " puts **",
		ALICE " put,get, **",
		ALICE " put ***",
		ALICE " put **/x",
		ALICE " put a**",
		ALICE " put a/**b",
		ALICE " put /x",
		ALICE " put x/",
		ALICE " put x//y",
		ALICE " put ../x",
		ALICE " put x\\y",
		ALICE " put \xff",
		ALICE " put x name\xff",
		"put " ALICE " **",
	};
	char text[512], where[512];
	struct access *a;

	(void)state;
	snprintf(where, sizeof(where), "%s:3: ", path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "# one\n" BOB " get **\n%s\n" BOB " get **\n", bad[i]);
		put(text);
		if (access_load(path, &a, &e) != PQC_ECONFIG)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(e.code, PQC_ECONFIG);
		if (strncmp(e.msg, where, strlen(where)) != 0)
			fail_msg("where is it? %s", e.msg);
		/* Nor is such a file edited. */
		assert_int_equal(allow(path, carol, "get", "x", NULL), PQC_ECONFIG);
		assert_int_equal(access_file_deny(path, bob, &e), PQC_ECONFIG);
		assert_string_equal(get(), text);
	}
	put_bytes(ALICE " put x\0y\n", 64 + 9);
	assert_int_equal(access_load(path, &a, &e), PQC_ECONFIG);
	assert_int_equal(access_load(dir, &a, &e), PQC_EIO); /* a directory */
}

static void test_many(void **state)
{
	FILE *f = fopen(path, "w");
	struct access *a;
	uint8_t id[ID_LEN] = {0};
	char pattern[32];

	(void)state;
	assert_non_null(f);
	for (unsigned i = 0; i < 5000; i++)
		fprintf(f, "%064x get own/%u n%u\n", (i * 7919) % 5000, i, i);
	fclose(f);
	a = load();
	assert_int_equal(access_count(a), 5000);
	for (unsigned i = 0; i < 5000; i++) {
		unsigned number = (i * 7919) % 5000;

		id[30] = (uint8_t)(number >> 8);
		id[31] = (uint8_t)number;
		snprintf(pattern, sizeof(pattern), "own/%u", i);
		assert_true(access_allows(a, id, RIGHT_GET, pattern));
		assert_false(access_allows(a, id, RIGHT_GET, "own/5000"));
	}
	access_free(a);
}

static void test_allow(void **state)
{
	struct stat st;
	struct access *a;

	(void)state;
	assert_int_equal(allow(path, alice, "put,get", "a/**", "Alice"), 0);
	assert_string_equal(get(), ALICE " put,get a/** Alice\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	put("# kept\n\n" BOB " get x # not a comment"); /* no line's end */
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(allow(path, alice, "all", "**", NULL), 0);
	assert_string_equal(get(), "# kept\n\n" BOB " get x # not a comment\n" ALICE " all **\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	a = load();
	assert_true(access_allows(a, alice, RIGHT_ALL, "x"));
	assert_string_equal(access_name(a, bob), "# not a comment");
	access_free(a);
}

static void test_bad_allow(void **state)
{
	(void)state;
	put("# as it was\n");
	assert_int_equal(allow(path, alice, "puts", "x", NULL), PQC_EUSAGE);
	assert_int_equal(allow(path, alice, "put", "../x", NULL), PQC_ENAME);
	assert_int_equal(allow(path, alice, "put", "x y", NULL), PQC_EUSAGE);
	assert_int_equal(allow(path, alice, "put", "**/x", NULL), PQC_ENAME);
	assert_int_equal(allow(path, alice, "put", "x", "a\n" BOB " all **"), PQC_EUSAGE);
	assert_int_equal(allow(path, alice, "put", "x\n" BOB " all **", NULL), PQC_ENAME);
	assert_int_equal(allow(path, alice, "put", "x", "\xff"), PQC_EUSAGE);
	assert_string_equal(get(), "# as it was\n");
	assert_int_equal(allow("/tmp/pqc-no-such-dir/x", alice, "put", "x", NULL), PQC_ENOTFOUND);
}

static void test_deny(void **state)
{
	(void)state;
	put("# " BOB " a comment stays\n" BOB " get x\n\n\t" ALICE " get x\n  " BOB " list x");
	assert_int_equal(access_file_deny(path, bob, &e), 0);
	assert_string_equal(get(), "# " BOB " a comment stays\n\n\t" ALICE " get x\n");
	assert_int_equal(access_file_deny(path, bob, &e), PQC_ENOTFOUND);
	assert_int_equal(access_file_deny(path, alice, &e), 0);
	assert_string_equal(get(), "# " BOB " a comment stays\n\n");
	unlink(path);
	assert_int_equal(access_file_deny(path, alice, &e), PQC_ENOTFOUND);
}

/* Editors at the same time lose nothing. */
static void test_together(void **state)
{
	pid_t pid[4];
	int status;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		if ((pid[i] = fork()) != 0)
			continue;
		for (unsigned k = 0; k < 20; k++)
			if (allow(path, alice, "get", "x", NULL) != 0)
				_exit(1);
		_exit(0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	struct access *a = load();

	assert_int_equal(access_count(a), 80);
	access_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_match),	   T(test_match_long), T(test_rights),	  T(test_load),
		T(test_adding_up), T(test_missing),    T(test_bad_lines), T(test_many),
		T(test_allow),	   T(test_bad_allow),  T(test_deny),	  T(test_together),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
