/* Pinned server identities. */
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

#include "client/known.h"

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"

static char *dir, *path;
static uint8_t one[ID_LEN], two[ID_LEN], pinned[ID_LEN];
static struct err e;

static int setup(void **state)
{
	(void)state;
	memset(one, 0x11, ID_LEN);
	memset(two, 0x22, ID_LEN);
	memset(pinned, 0, ID_LEN);
	dir = strdup("/tmp/pqc-known-XXXXXX");
	if (mkdtemp(dir) == NULL || asprintf(&path, "%s/sub/known", dir) < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	char *sub;

	(void)state;
	unlink(path);
	assert_true(asprintf(&sub, "%s/sub", dir) > 0);
	rmdir(sub);
	rmdir(dir);
	free(sub);
	free(path);
	free(dir);
	return 0;
}

static void put(const char *text)
{
	char *sub;
	FILE *f;

	assert_true(asprintf(&sub, "%s/sub", dir) > 0);
	mkdir(sub, 0700);
	free(sub);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
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

static void test_check(void **state)
{
	(void)state;
	assert_int_equal(known_check(path, "a:1", one, pinned, &e), PQC_EUNKNOWN_SERVER);
	assert_int_equal(access(path, F_OK), -1); /* asking makes nothing */
	put("# a:1 " TWO "\n\n a:1\t" ONE " with a comment \r\n[::1]:8765 " TWO);
	assert_int_equal(known_check(path, "a:1", one, pinned, &e), 0);
	assert_int_equal(known_check(path, "A:1", one, pinned, &e), 0); /* hosts have no case */
	assert_int_equal(known_check(path, "a:12", one, pinned, &e), PQC_EUNKNOWN_SERVER);
	assert_int_equal(known_check(path, "a", one, pinned, &e), PQC_EUNKNOWN_SERVER);
	assert_int_equal(known_check(path, "[::1]:8765", two, pinned, &e), 0);
	assert_int_equal(known_check(path, "a:1", two, pinned, &e), PQC_EIDENTITY_CHANGED);
	assert_memory_equal(pinned, one, ID_LEN);
	assert_non_null(strstr(e.msg, "a:1"));
	/* Two pins for a host, for the time of a change: either will do, the first is told. */
	put("a:1 " ONE "\na:1 " TWO "\n");
	assert_int_equal(known_check(path, "a:1", two, pinned, &e), 0);
	assert_int_equal(known_check(path, "a:1", one, pinned, &e), 0);
	uint8_t three[ID_LEN] = {3};

	assert_int_equal(known_check(path, "a:1", three, pinned, &e), PQC_EIDENTITY_CHANGED);
	assert_memory_equal(pinned, one, ID_LEN);
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = {"a:1",	"a " ONE,   "a:1 " ONE "1",    "a:1 1111",
					  "a:1 zz" ONE, ONE " a:1", "a:1 comment " ONE};
	char text[512], where[512];

	(void)state;
	snprintf(where, sizeof(where), "%s:2: ", path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "a:1 %s\n%s\nb:1 %s\n", ONE, bad[i], TWO);
		put(text);
		assert_int_equal(known_check(path, "a:1", one, pinned, &e), PQC_ECONFIG);
		assert_int_equal(known_add(path, "c:1", one, &e), PQC_ECONFIG);
		if (strncmp(e.msg, where, strlen(where)) != 0)
			fail_msg("where is it? %s", e.msg);
		assert_string_equal(get(), text);
	}
}

static void test_add(void **state)
{
	struct stat st;
	char *sub;

	(void)state;
	assert_int_equal(known_add(path, "host.example:8765", one, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(asprintf(&sub, "%s/sub", dir) > 0);
	assert_int_equal(stat(sub, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	free(sub);
	assert_string_equal(get(), "host.example:8765 " ONE "\n");
	assert_int_equal(known_add(path, "host.example:8765", one, &e), 0);
	assert_string_equal(get(), "host.example:8765 " ONE "\n");
	assert_int_equal(known_add(path, "Host.Example:8765", two, &e), PQC_EEXIST);
	assert_string_equal(get(), "host.example:8765 " ONE "\n");
	put("# mine\na:1 " ONE); /* no line's end */
	assert_int_equal(known_add(path, "[::1]:2", two, &e), 0);
	assert_string_equal(get(), "# mine\na:1 " ONE "\n[::1]:2 " TWO "\n");
	assert_int_equal(known_check(path, "[::1]:2", two, pinned, &e), 0);
}

static void test_bad_host(void **state)
{
	static const char *const bad[] = {"",	     "a",    ":1",    "a:",    "a:0",
					  "a:65536", "a:x",  "a b:1", "#a:1",  "a\n:1",
					  "a\t:1",   "a:1 ", "a:-1",  "\xff:1"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (known_add(path, bad[i], one, &e) != PQC_EUSAGE)
			fail_msg("taken: '%s'", bad[i]);
		assert_int_equal(known_remove(path, bad[i], &e), PQC_EUSAGE);
	}
	assert_int_equal(access(path, F_OK), -1);
}

static void test_remove(void **state)
{
	(void)state;
	assert_int_equal(known_remove(path, "a:1", &e), PQC_ENOTFOUND);
	put("# a:1 stays\n\nA:1 " ONE "\nb:1 " TWO " b\n\ta:1\t" TWO "\na:12 " ONE);
	assert_int_equal(known_remove(path, "a:1", &e), 0);
	assert_string_equal(get(), "# a:1 stays\n\nb:1 " TWO " b\na:12 " ONE);
	assert_int_equal(known_remove(path, "a:1", &e), PQC_ENOTFOUND);
	assert_int_equal(known_add(path, "a:1", two, &e), 0);
}

static int list_one(void *arg, const char *host_port, const uint8_t *id)
{
	char *text = arg;

	sprintf(text + strlen(text), "%s=%02x ", host_port, id[0]);
	return strlen(text) > 20 ? 42 : 0;
}

static void test_list(void **state)
{
	char text[128] = "";

	(void)state;
	assert_int_equal(known_list(path, list_one, text, &e), 0);
	assert_string_equal(text, "");
	put("a:1 " ONE "\n#\nb:2 " TWO "\n");
	assert_int_equal(known_list(path, list_one, text, &e), 0);
	assert_string_equal(text, "a:1=11 b:2=22 ");
	assert_int_equal(known_list(path, list_one, text, &e), 42);
	assert_string_equal(text, "a:1=11 b:2=22 a:1=11 ");
}

static void test_together(void **state)
{
	pid_t pid[4];
	char host[32];
	int status;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		if ((pid[i] = fork()) != 0)
			continue;
		for (unsigned k = 0; k < 20; k++) {
			snprintf(host, sizeof(host), "h%u-%u:1", i, k);
			if (known_add(path, host, one, &e) != 0)
				_exit(1);
		}
		_exit(0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	for (unsigned i = 0; i < 80; i++) {
		snprintf(host, sizeof(host), "h%u-%u:1", i / 20, i % 20);
		assert_int_equal(known_check(path, host, one, pinned, &e), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_check),	T(test_bad_lines), T(test_add),	     T(test_bad_host),
		T(test_remove), T(test_list),	   T(test_together),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
