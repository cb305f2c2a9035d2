/* Who may do what: roles, {id} and {name} in patterns, quotas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	dir = strdup("/tmp/pqc-roles-XXXXXX");
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

static void put(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
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

static struct access *load(const char *text)
{
	struct access *a = NULL;

	put(text);
	if (access_load(path, &a, &e) != 0)
		fail_msg("%s", e.msg);
	return a;
}

/* ---- roles ---- */

static void test_role(void **state)
{
	struct access *a;

	(void)state;
	/* used before it is defined, defined in pieces, mixed with rights of one's own */
	a = load(ALICE " @sender hospital-1 quota=5G\n"
		       "role sender put,list up/**\n"
		       "# in between\n" BOB "\t@sender\n" BOB " @reader  Bob  B. \n"
		       "role reader get pub/*\r\n"
		       "  role sender list pub/**\n" ALICE " delete up/x\n"
		       "role nobody all **\n");
	assert_int_equal(access_count(a), 4);
	assert_true(access_allows(a, alice, RIGHT_PUT | RIGHT_LIST, "up/a/b"));
	assert_true(access_allows(a, alice, RIGHT_LIST, "pub/a/b"));
	assert_false(access_allows(a, alice, RIGHT_GET, "pub/a"));
	assert_false(access_allows(a, alice, RIGHT_PUT, "pub/a"));
	assert_true(access_allows(a, alice, RIGHT_PUT | RIGHT_DELETE, "up/x"));
	assert_false(access_allows(a, alice, RIGHT_DELETE, "up/y"));
	assert_true(access_allows(a, bob, RIGHT_PUT, "up/a"));
	assert_true(access_allows(a, bob, RIGHT_GET | RIGHT_LIST, "pub/a"));
	assert_false(access_allows(a, bob, RIGHT_GET, "pub/a/b"));
	assert_false(access_allows(a, bob, RIGHT_DELETE, "up/x"));
	assert_false(access_allows(a, carol, RIGHT_PUT, "up/a"));
	assert_false(access_knows(a, carol));
	assert_true(access_knows(a, bob));
	assert_string_equal(access_name(a, alice), "hospital-1");
	assert_string_equal(access_name(a, bob), "Bob  B.");
	access_free(a);
	/* roles alone let nobody in */
	a = load("role r all **\n");
	assert_int_equal(access_count(a), 0);
	assert_false(access_knows(a, alice));
	access_free(a);
}

/* A role whose name begins as another's does is not the other. */
static void test_roles_are_apart(void **state)
{
	struct access *a = load("role ab get b/**\nrole a get a/**\nrole abc get c/**\n" ALICE
				" @ab\n" BOB " @a\n");

	(void)state;
	assert_true(access_allows(a, alice, RIGHT_GET, "b/x"));
	assert_false(access_allows(a, alice, RIGHT_GET, "a/x"));
	assert_false(access_allows(a, alice, RIGHT_GET, "c/x"));
	assert_true(access_allows(a, bob, RIGHT_GET, "a/x"));
	assert_false(access_allows(a, bob, RIGHT_GET, "b/x"));
	access_free(a);
}

/* ---- {id} and {name} ---- */

static void test_places(void **state)
{
	struct access *a = load("role sender put,list round-*/{name}/**\n"
				"role sender get round-*/model\n"
				"role own all by-id/{id}/**\n"
				"role part get x-{name}-y-{name}.bin\n" ALICE
				" @sender hospital-1\n" BOB " @sender hospital-10 quota=1G\n" ALICE
				" @own\n" BOB " @part\n" ALICE " get {name}\n");
	char own[256];

	(void)state;
	assert_true(access_allows(a, alice, RIGHT_PUT, "round-7/hospital-1/w/x"));
	assert_false(access_allows(a, alice, RIGHT_PUT, "round-7/hospital-10/w"));
	assert_false(access_allows(a, alice, RIGHT_PUT, "round-7/hospital-/w"));
	assert_false(access_allows(a, alice, RIGHT_PUT, "round-7/{name}/w"));
	assert_true(access_allows(a, bob, RIGHT_PUT, "round-7/hospital-10/w"));
	assert_false(access_allows(a, bob, RIGHT_PUT, "round-7/hospital-1/w"));
	assert_true(access_allows(a, alice, RIGHT_GET, "round-7/model"));
	assert_true(access_allows(a, alice, RIGHT_ALL, "by-id/" ALICE "/x"));
	assert_false(access_allows(a, bob, RIGHT_GET, "by-id/" ALICE "/x"));
	assert_false(access_allows(a, alice, RIGHT_GET, "by-id/{id}/x"));
	snprintf(own, sizeof(own), "x-%s-y-%s.bin", "hospital-10", "hospital-10");
	assert_true(access_allows(a, bob, RIGHT_GET, own));
	assert_false(access_allows(a, bob, RIGHT_GET, "x-hospital-10-y-hospital-1.bin"));
	assert_true(access_allows(a, alice, RIGHT_GET, "hospital-1"));
	access_free(a);
	/* an id is lower case, however the file has it */
	a = load(BOB " get {id}\n");
	assert_true(
		access_allows(a, bob, RIGHT_GET,
			      "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"));
	access_free(a);
}

/* Braces that are no place are braces, as they always were. */
static void test_braces(void **state)
{
	struct access *a = load(ALICE " get {A-1}/*\n" ALICE " get x{/}y\n" ALICE " get {}/{1}\n");

	(void)state;
	assert_true(access_allows(a, alice, RIGHT_GET, "{A-1}/x"));
	assert_true(access_allows(a, alice, RIGHT_GET, "x{/}y"));
	assert_true(access_allows(a, alice, RIGHT_GET, "{}/{1}"));
	access_free(a);
}

/* The first name of an identity counts, also for lines before it and on other lines. */
static void test_first_name(void **state)
{
	struct access *a = load("role s put {name}/**\n" ALICE " @s\n" ALICE " get a one\n" ALICE
				" get b two\n");

	(void)state;
	assert_true(access_allows(a, alice, RIGHT_PUT, "one/x"));
	assert_false(access_allows(a, alice, RIGHT_PUT, "two/x"));
	access_free(a);
}

/* No name makes a pattern wider than the operator wrote it. */
static void test_names_that_do_not_fit(void **state)
{
	static const char *const bad[] = {
		"",  "*",   "**",   "a*",     "a/b",  "/",     "..",	       ".",    "{id}",
		"{", "a}b", "a\\b", "a/../b", "\x01", "a\x7f", "\xe2\x80\xae", "/etc",
	};
	static const char *const patterns[] = {"up/{name}/**", "{name}", "a-{name}/b", "{name}*"};
	char text[1024];
	struct access *a;

	(void)state;
	for (size_t p = 0; p < sizeof(patterns) / sizeof(patterns[0]); p++)
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			snprintf(text, sizeof(text),
				 "role s put %s\n" BOB " @s fine\n" ALICE " @s %s\n", patterns[p],
				 bad[i]);
			put(text);
			if (access_load(path, &a, &e) != PQC_ECONFIG)
				fail_msg("taken: '%s' in '%s'", bad[i], patterns[p]);
			assert_non_null(strstr(e.msg, "access:3: "));
			assert_non_null(strstr(e.msg, "{name}"));
			snprintf(text, sizeof(text), BOB " get x\n" ALICE " put %s %s\n",
				 patterns[p], bad[i]);
			put(text);
			assert_int_equal(access_load(path, &a, &e), PQC_ECONFIG);
			assert_non_null(strstr(e.msg, "access:2: "));
		}
	/* where no {name} is, any name will do */
	access_free(load("role s put up/{id}\n" ALICE " @s a/b*\n" BOB " put x {name}\n"));
}

static void test_too_long(void **state)
{
	char name[300], text[1024];
	struct access *a;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[250] = '\0';
	snprintf(text, sizeof(text), "role s put {name}/**\n" ALICE " @s %s\n", name);
	access_free(load(text));
	snprintf(text, sizeof(text), "role s put {name}-ready/**\n" ALICE " @s %s\n", name);
	put(text); /* 256 bytes */
	assert_int_equal(access_load(path, &a, &e), PQC_ECONFIG);
	assert_non_null(strstr(e.msg, "access:2: "));
	/* ids that take a whole name's length */
	char *long_text = malloc(16384);

	assert_non_null(long_text);
	strcpy(long_text, ALICE " put a");
	for (int i = 0; i < 70; i++)
		strcat(long_text, "/{id}");
	put(long_text);
	assert_int_equal(access_load(path, &a, &e), PQC_ECONFIG);
	free(long_text);
}

/* ---- quotas ---- */

static void test_quota(void **state)
{
	struct access *a = load(ALICE " put ** Alice  of A.  quota=1.5G \n" BOB " put **\n" BOB
				      " get x quota=0\n" BOB " list y quota=0K\n");
	uint8_t other[ID_LEN] = {0};

	(void)state;
	assert_true(access_quota(a, alice) == 3ull << 29);
	assert_string_equal(access_name(a, alice), "Alice  of A.");
	assert_true(access_quota(a, bob) == 0);
	assert_null(access_name(a, bob));
	assert_true(access_quota(a, carol) == ACCESS_NO_QUOTA);
	assert_true(access_quota(a, other) == ACCESS_NO_QUOTA);
	access_free(a);
}

static void test_bad_lines(void **state)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
		{ALICE " put ** quota=", "found ''"},
		{ALICE " put ** quota=x", "found 'x'"},
		{ALICE " put ** quota=-1", "'-1'"},
		{ALICE " put ** quota=5GB", "'5GB'"},
		{ALICE " put ** quota=99999999T", "'99999999T'"},
		{ALICE " put ** quota=1 G", "quota=SIZE"},
		{ALICE " put ** quota=1G Alice", "quota=SIZE"},
		{ALICE " put ** quota=1G quota=1G", "quota=SIZE"},
		{ALICE " put ** Alice Quota=1G", "quota=SIZE"},
		{ALICE " @known quota=1G Alice", "quota=SIZE"},
		{BOB " put ** quota=2G", "line 2"},
		{BOB " @known Bob quota=999M", "found 999M"},
		{ALICE " @unknown", "@unknown"},
		{ALICE " @Known", "@Known"},
		{ALICE " @", "role's name"},
		{ALICE " @a/b", "role's name"},
		{ALICE " @known\xff", "role's name"},
		{ALICE " @known \xff", "UTF-8"},
		{ALICE " @known,known", "role's name"},
		{"role", "found nothing"},
		{"role r", "found nothing"},
		{"role r put", "found only 'put'"},
		{"role r puts **", "'puts'"},
		{"role r put ** more", "found 'more'"},
		{"role r put ** quota=1G", "found 'quota=1G'"},
		{"role r put a/**/b", "last component"},
		{"role @r put **", "role's name"},
		{"role r/s put **", "role's name"},
		{"role r @known", "found only '@known'"},
		{"Role r put **", "'Role'"},
		{"roles r put **", "'roles'"},
		{"role r put {nmae}/**", "'{nmae}'"},
		{ALICE " put {ids} Alice", "'{ids}'"},
		{"role 12345678901234567890123456789012345678901234567890123456789012345 put x",
		 "1 to 64"},
		{ALICE " put {name}", "{name}"},
	};
	char text[512], where[512];
	struct access *a;

	(void)state;
	snprintf(where, sizeof(where), "%s:3: ", path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "role known put x\n" BOB " get ** quota=1G\n%s\n",
			 bad[i].line);
		put(text);
		if (access_load(path, &a, &e) != PQC_ECONFIG)
			fail_msg("taken: %s", bad[i].line);
		if (strncmp(e.msg, where, strlen(where)) != 0 || !strstr(e.msg, bad[i].says))
			fail_msg("%s: %s", bad[i].line, e.msg);
		assert_int_equal(access_load(path, &a, NULL), PQC_ECONFIG);
		assert_int_equal(access_file_role(path, "r", "put", "x", &e), PQC_ECONFIG);
		assert_string_equal(get(), text);
	}
}

/* ---- many ---- */

/* Ten thousand through one role, each with a directory, in no order. */
static void test_many(void **state)
{
	enum { MANY = 10000 };
	FILE *f = fopen(path, "w");
	struct access *a = NULL;
	char name[64];

	(void)state;
	assert_non_null(f);
	fprintf(f, "role s put,list round-*/{name}/**\nrole s get round-*/model\n");
	for (unsigned i = 0; i < MANY; i++)
		fprintf(f, "%064x @s n%u quota=%u\n", (i * 7919) % MANY, i, i);
	fclose(f);
	assert_int_equal(access_load(path, &a, &e), 0);
	assert_int_equal(access_count(a), MANY);
	for (unsigned i = 0; i < MANY; i++) {
		unsigned number = (i * 7919) % MANY;
		uint8_t id[ID_LEN] = {[30] = (uint8_t)(number >> 8), [31] = (uint8_t)number};

		snprintf(name, sizeof(name), "round-3/n%u/x", i);
		assert_true(access_allows(a, id, RIGHT_PUT, name));
		snprintf(name, sizeof(name), "round-3/n%u/x", i + 1);
		assert_false(access_allows(a, id, RIGHT_PUT, name));
		assert_true(access_allows(a, id, RIGHT_GET, "round-3/model"));
		assert_true(access_quota(a, id) == i);
	}
	access_free(a);
}

/* ---- editing ---- */

static int allow(const uint8_t id[ID_LEN], struct access_grant g)
{
	return access_file_allow(path, id, &g, &e);
}

static void test_allow(void **state)
{
	(void)state;
	assert_int_equal(access_file_role(path, "s", "put,list", "in/{name}/**", &e), 0);
	assert_int_equal(
		allow(alice, (struct access_grant){.role = "s", .name = "a 1", .quota = "5G"}), 0);
	assert_int_equal(access_file_role(path, "s", "get", "out/*", &e), 0);
	assert_int_equal(allow(alice, (struct access_grant){.rights = "delete", .pattern = "x"}),
			 0);
	assert_string_equal(get(), "role s put,list in/{name}/**\n" ALICE " @s a 1 quota=5G\n"
				   "role s get out/*\n" ALICE " delete x\n");
	assert_int_equal(access_file_deny(path, alice, &e), 0);
	assert_string_equal(get(), "role s put,list in/{name}/**\nrole s get out/*\n");
}

/* What would be wrong, by itself or beside the other lines, is not written. */
static void test_bad_allow(void **state)
{
	static const char before[] =
		"role s put {name}\nrole t put x\n" ALICE " put x quota=1G\n" BOB " @t b/c\n";
	static const struct access_grant usage[] = {
		{.role = "unknown", .name = "a"},
		{.role = "s"}, /* no name */
		{.role = "s", .name = "a/b"},
		{.role = "s", .name = "*"},
		{.role = "", .name = "a"},
		{.role = "s x", .name = "a"},
		{.role = "s\n" BOB " all **", .name = "a"},
		{.role = "t", .name = "a quota=1G"},
		{.role = "t", .name = "quota=1G"},
		{.role = "t", .name = "QUOTA=1G b"},
		{.role = "t", .name = "a\n" BOB " all **"},
		{.role = "t", .quota = "2G"}, /* another than before */
		{.role = "t", .quota = "x"},
		{.role = "t", .quota = "1G\n" BOB " all **"},
		{.role = "t", .quota = "1G x"},
		{.rights = "put", .pattern = "{name}"},
	};

	(void)state;
	put(before);
	for (size_t i = 0; i < sizeof(usage) / sizeof(usage[0]); i++)
		if (allow(alice, usage[i]) != PQC_EUSAGE)
			fail_msg("%zu: %s", i, e.msg);
	assert_int_equal(allow(alice, (struct access_grant){.rights = "put", .pattern = "{x}"}),
			 PQC_ENAME);
	assert_int_equal(access_file_role(path, "r", "puts", "x", &e), PQC_EUSAGE);
	assert_int_equal(access_file_role(path, "r", "put", "../x", &e), PQC_ENAME);
	assert_int_equal(access_file_role(path, "r", "put", "x y", &e), PQC_EUSAGE);
	assert_int_equal(access_file_role(path, "r\n", "put", "x", &e), PQC_EUSAGE);
	/* bob, who has this role, has no name that fits */
	assert_int_equal(access_file_role(path, "t", "put", "{name}", &e), PQC_EUSAGE);
	assert_non_null(strstr(e.msg, "access:4: "));
	assert_string_equal(get(), before);
	assert_int_equal(allow(alice, (struct access_grant){.role = "t", .quota = "1024m"}), 0);
}

static void test_lines(void **state)
{
	struct access *a = load("# x\nrole s put x\n\n" BOB " @s Bob quota=1k\n" ALICE " all **\n");
	const struct access_line *l;

	(void)state;
	l = access_line(a, 0);
	assert_true(l->is_role && l->number == 2 && l->bits == RIGHT_PUT);
	assert_string_equal(l->role, "s");
	assert_string_equal(l->rights, "put");
	assert_string_equal(l->pattern, "x");
	l = access_line(a, 1);
	assert_true(!l->is_role && l->number == 4 && l->quota_bytes == 1024);
	assert_memory_equal(l->id, bob, ID_LEN);
	assert_string_equal(l->role, "s");
	assert_string_equal(l->name, "Bob");
	assert_string_equal(l->quota, "1k");
	assert_null(l->rights);
	l = access_line(a, 2);
	assert_null(l->role);
	assert_null(l->name);
	assert_null(l->quota);
	assert_string_equal(l->rights, "all");
	assert_null(access_line(a, 3));
	access_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_role),	  T(test_roles_are_apart), T(test_places),
		T(test_braces),	  T(test_first_name),	   T(test_names_that_do_not_fit),
		T(test_too_long), T(test_quota),	   T(test_bad_lines),
		T(test_many),	  T(test_allow),	   T(test_bad_allow),
		T(test_lines),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
