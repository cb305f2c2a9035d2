/* conf.h: every rule of the file form, and the place an error names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "config/conf.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* "key=value@where;" of everything read. A key "stop" ends the reading. */
static int collect(void *arg, const char *key, const char *value, const char *where, struct err *e)
{
	buf_printf(arg, "%s=%s@%s;", key, value, where);
	if (strcmp(key, "stop") == 0)
		return err_set(e, PQC_EUSAGE, "%s: stopped", where);
	return 0;
}

static int parse(const char *text, char *seen, size_t n, struct err *e)
{
	struct buf b = BUF_INIT(65536);
	char *copy = strdup(text);
	int rc;

	assert_non_null(copy);
	rc = conf_parse("f", copy, collect, &b, e);
	assert_non_null(buf_cstr(&b));
	assert_true(b.len < n);
	memcpy(seen, b.p, b.len + 1);
	buf_free(&b);
	free(copy);
	return rc;
}

static void well_formed_lines_are_read(void **state)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"\n\n", ""},
		{"# only a comment", ""},
		{"   \t# one that is indented\r\n", ""},
		{"a = b", "a=b@f:1;"},
		{"a=b\n", "a=b@f:1;"},
		{" a\t=\tb c \r\n", "a=b c@f:1;"},
		{"\n# x\na = b\nc = d", "a=b@f:3;c=d@f:4;"},
		{"a = b=c", "a=b=c@f:1;"},
		{"a = b#c", "a=b#c@f:1;"},
		{"a = \"\"", "a=@f:1;"},
		{"a = \" x # y \"", "a= x # y @f:1;"},
		{"a = \"q\\\"b\\\\s\"", "a=q\"b\\s@f:1;"},
		{"a = C:\\dir", "a=C:\\dir@f:1;"},
		{"a = \xC3\xA4", "a=\xC3\xA4@f:1;"},
	};
	struct err e;
	char seen[256];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(parse(cases[i][0], seen, sizeof(seen), &e), 0);
		assert_string_equal(seen, cases[i][1]);
	}
}

static void malformed_lines_name_their_place(void **state)
{
	static const char *const cases[][2] = {
		{"a", "f:1: expected 'key = value'"},
		{"\n\na b c", "f:3: expected 'key = value'"},
		{"= b", "f:1: expected a key"},
		{"a =", "f:1: expected a value"},
		{"a =   \n", "f:1: expected a value"},
		{"a = # none", "f:1: a comment has a line of its own"},
		{"a = b # c", "f:1: a comment has a line of its own"},
		{"a = b\t#c", "f:1: a comment has a line of its own"},
		{"a = b\na = c", "f:2: 'a' is given already in line 1"},
		{"a = \"b", "f:1: the closing '\"' is missing"},
		{"a = \"b\\\"", "f:1: the closing '\"' is missing"},
		{"a = \"b\\", "f:1: in quotes"},
		{"a = \"b\\n\"", "f:1: in quotes"},
		{"a = \"b\" c", "f:1: expected nothing behind"},
		{"a = \"b\"\"c\"", "f:1: expected nothing behind"},
		{"a = b\"c\"", "f:1: a value with '\"'"},
		{"a = \xFF", "f:1: this is not UTF-8"},
		{"# \xC3\n", "f:1: this is not UTF-8"},
		{"ok = 1\nstop = 2\nlater = 3", "f:2: stopped"},
	};
	struct err e;
	char seen[256];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int rc = parse(cases[i][0], seen, sizeof(seen), &e);

		assert_int_equal(rc, strstr(cases[i][1], "stopped") ? PQC_EUSAGE : PQC_ECONFIG);
		assert_int_equal(e.code, rc);
		assert_memory_equal(e.msg, cases[i][1], strlen(cases[i][1]));
		assert_null(strstr(seen, "later"));
	}
}

static void too_many_keys_are_refused(void **state)
{
	struct buf b = BUF_INIT(65536);
	char seen[8192];
	struct err e;

	(void)state;
	for (int i = 0; i < 256; i++)
		buf_printf(&b, "k%d = v\n", i);
	assert_int_equal(parse(buf_cstr(&b), seen, sizeof(seen), &e), 0);
	buf_put_str(&b, "one-more = v\n");
	assert_int_equal(parse(buf_cstr(&b), seen, sizeof(seen), &e), PQC_ECONFIG);
	assert_non_null(strstr(e.msg, "f:257: more than 256"));
	buf_free(&b);
}

static void long_paths_are_no_harm(void **state)
{
	char path[6000], text[] = "a = b\nbad";
	struct buf b = BUF_INIT(65536);
	struct err e;

	(void)state;
	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(conf_parse(path, text, collect, &b, &e), PQC_ECONFIG);
	buf_free(&b);
}

/* A file of its own in a directory of its own. */
static int read_bytes(const char *bytes, size_t n, struct err *e)
{
	char dir[] = "/tmp/pqc-config-XXXXXX", path[64];
	struct buf b = BUF_INIT(65536);
	int fd, rc;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/conf", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
	rc = conf_read(path, collect, &b, e);
	unlink(path);
	rmdir(dir);
	buf_free(&b);
	return rc;
}

static void files_are_read_with_limits(void **state)
{
	char *big = malloc(CONF_MAX + 1);
	struct err e;

	(void)state;
	assert_non_null(big);
	assert_int_equal(read_bytes("a = b\n", 6, &e), 0);
	assert_int_equal(read_bytes("a = b\0\n", 7, &e), PQC_ECONFIG);
	assert_non_null(strstr(e.msg, "zero byte"));
	memset(big, '\n', CONF_MAX + 1);
	assert_int_equal(read_bytes(big, CONF_MAX, &e), 0);
	assert_int_equal(read_bytes(big, CONF_MAX + 1, &e), PQC_ETOOBIG);
	assert_int_equal(conf_read("/nonexistent/conf", collect, NULL, &e), PQC_ENOTFOUND);
	assert_int_equal(conf_read("/nonexistent/conf", collect, NULL, NULL), PQC_ENOTFOUND);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_formed_lines_are_read),
		cmocka_unit_test(malformed_lines_name_their_place),
		cmocka_unit_test(too_many_keys_are_refused),
		cmocka_unit_test(long_paths_are_no_harm),
		cmocka_unit_test(files_are_read_with_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
