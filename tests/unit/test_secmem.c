#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/secmem.h"

static void test_alloc(void **state)
{
	static const size_t sizes[] = {1, 31, 4095, 4096, 4097, 100000};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		uint8_t *p = secret_alloc(sizes[i]);

		assert_non_null(p);
		for (size_t j = 0; j < sizes[i]; j++)
			assert_int_equal(p[j], 0);
		memset(p, 0xa5, sizes[i]);
		secret_free(p, sizes[i]);
	}
	assert_null(secret_alloc(0));
	assert_null(secret_alloc(SIZE_MAX));
	assert_null(secret_alloc(SIZE_MAX - 4096));
	secret_free(NULL, 10);
}

/* The flags of the mapping that holds p, from the kernel's own account. */
static void vm_flags(const void *p, char *out, size_t n)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool inside = false;

	assert_non_null(f);
	out[0] = '\0';
	while (fgets(line, sizeof line, f) != NULL) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			(void)snprintf(out, n, "%s", line);
	}
	(void)fclose(f);
}

static void test_not_dumped(void **state)
{
	uint8_t *p = secret_alloc(64);
	char flags[512];

	(void)state;
	assert_non_null(p);
	p[0] = 1;
	vm_flags(p, flags, sizeof flags);
	if (flags[0] == '\0') {
		print_message("this kernel shows no VmFlags: not tested\n");
		secret_free(p, 64);
		skip();
	}
	assert_non_null(strstr(flags, " dd")); /* MADV_DONTDUMP */
	assert_non_null(strstr(flags, " wf")); /* MADV_WIPEONFORK */
	secret_free(p, 64);
}

static void test_fork_wipes(void **state)
{
	uint8_t *p = secret_alloc(64);
	pid_t pid;
	int status;

	(void)state;
	assert_non_null(p);
	memset(p, 0xa5, 64);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(p[0] == 0 && p[63] == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(p[0], 0xa5);
	secret_free(p, 64);
}

static void test_wipe_equal(void **state)
{
	uint8_t a[8] = {1, 2, 3, 4, 5, 6, 7, 8}, b[8];

	(void)state;
	memcpy(b, a, sizeof a);
	assert_true(secret_equal(a, b, sizeof a));
	for (size_t bit = 0; bit < 64; bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(secret_equal(a, b, sizeof a));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(secret_equal(NULL, NULL, 0));
	secret_wipe(a, 4);
	assert_memory_equal(a, ((uint8_t[8]){0, 0, 0, 0, 5, 6, 7, 8}), 8);
	secret_wipe(NULL, 0);
}

static void test_random(void **state)
{
	uint8_t a[300] = {0}, b[300] = {0};
	size_t zeros = 0;

	(void)state;
	assert_int_equal(random_bytes(a, sizeof a), 0);
	assert_int_equal(random_bytes(b, sizeof b), 0);
	assert_memory_not_equal(a, b, sizeof a);
	for (size_t i = 0; i < sizeof a; i++)
		zeros += a[i] == 0;
	assert_true(zeros < 30); /* about one is expected */
	assert_int_equal(random_bytes(NULL, 0), 0);
}

/* In a child, for it cannot be undone. */
static void test_harden(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit core = {1, 1};
		bool ok = crypto_harden() == 0 && prctl(PR_GET_DUMPABLE) == 0 &&
			  getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;

		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),	   cmocka_unit_test(test_not_dumped),
		cmocka_unit_test(test_fork_wipes), cmocka_unit_test(test_wipe_equal),
		cmocka_unit_test(test_random),	   cmocka_unit_test(test_harden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
