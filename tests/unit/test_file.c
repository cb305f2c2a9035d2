/* file.h: limits, errors of the system, atomic replacement, walking without links. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

/* Each test has an empty directory of its own, given as a descriptor. */
struct dir {
	char path[64];
	int fd;
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	if (!d)
		return -1;
	strcpy(d->path, "/tmp/pqc-test-file-XXXXXX");
	if (!mkdtemp(d->path) || (d->fd = open(d->path, O_RDONLY | O_DIRECTORY)) < 0)
		return -1;
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dir *d = *state;

	close(d->fd);
	nftw(d->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(d);
	return 0;
}

/* How many entries the directory has: no temporary file may stay behind. */
static int entries(const struct dir *d)
{
	DIR *list = opendir(d->path);
	int n = -2; /* "." and ".." */

	assert_non_null(list);
	while (readdir(list))
		n++;
	closedir(list);
	return n;
}

static void put(const struct dir *d, const char *name, const char *text)
{
	struct err e;

	if (file_replace(d->fd, name, text, strlen(text), 0600, &e) != 0)
		fail_msg("%s", e.msg);
}

static void expect(const struct dir *d, const char *name, const char *text)
{
	struct buf b = BUF_INIT(1 << 20);
	struct err e;

	if (file_slurp(d->fd, name, &b, &e) != 0)
		fail_msg("%s", e.msg);
	assert_string_equal(buf_cstr(&b), text);
	buf_free(&b);
}

static mode_t mode_of(const struct dir *d, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode;
}

static void ranges_are_read_and_written_exactly(void **state)
{
	struct dir *d = *state;
	int fd = openat(d->fd, "f", O_RDWR | O_CREAT, 0600);
	char text[11] = {0};
	struct err e;

	assert_true(fd >= 0);
	assert_int_equal(file_pwrite(fd, "world", 5, 5, &e), 0);
	assert_int_equal(file_pwrite(fd, "hello", 5, 0, &e), 0);
	assert_int_equal(file_pread(fd, text, 10, 0, &e), 0);
	assert_string_equal(text, "helloworld");
	assert_int_equal(file_pread(fd, text, 0, 10, &e), 0);
	assert_int_equal(file_pread(fd, text, 1, 10, &e), PQC_EINTEGRITY);
	assert_int_equal(file_pread(fd, text, 11, 0, &e), PQC_EINTEGRITY);
	assert_non_null(strstr(e.msg, "ends at 10, 1 bytes too early"));
	assert_int_equal(file_pread(fd, text, 1, 1ull << 40, &e), PQC_EINTEGRITY);
	assert_int_equal(file_pread(fd, text, 1, UINT64_MAX, &e), PQC_EIO);
	assert_int_equal(file_pwrite(fd, text, 2, INT64_MAX - 1, &e), PQC_EIO);
	close(fd);
}

static void bad_descriptors_are_errors(void **state)
{
	struct dir *d = *state;
	struct err e;
	char c = 0;
	size_t got;

	assert_int_equal(file_pread(-1, &c, 1, 0, &e), PQC_EIO);
	assert_int_equal(file_pwrite(-1, &c, 1, 0, &e), PQC_EIO);
	assert_int_equal(file_read(-1, &c, 1, &got, &e), PQC_EIO);
	assert_int_equal(file_write(-1, &c, 1, &e), PQC_EIO);
	assert_int_equal(file_read(d->fd, &c, 1, &got, &e), PQC_EIO); /* a directory */
	assert_int_equal(file_fsync_dir(-1, &e), PQC_EIO);
	assert_int_equal(file_read(-1, &c, 1, &got, NULL), PQC_EIO);
}

static void a_full_disk_is_a_quota_error(void **state)
{
	int fd = open("/dev/full", O_RDWR);
	struct err e;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(file_write(fd, "x", 1, &e), PQC_EQUOTA);
	assert_int_equal(file_pwrite(fd, "x", 1, 0, &e), PQC_EQUOTA);
	assert_non_null(strstr(e.msg, "No space left"));
	close(fd);
}

static void a_pipe_is_read_to_its_end(void **state)
{
	char text[16] = {0};
	struct err e;
	size_t got;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(file_write(p[1], "abc", 3, &e), 0);
	assert_int_equal(file_write(p[1], "defg", 4, &e), 0);
	assert_int_equal(file_read(p[0], text, 5, &got, &e), 0);
	assert_int_equal(got, 5);
	close(p[1]);
	assert_int_equal(file_read(p[0], text + 5, 10, &got, &e), 0);
	assert_int_equal(got, 2);
	assert_string_equal(text, "abcdefg");
	assert_int_equal(file_read(p[0], text, 1, &got, &e), 0);
	assert_int_equal(got, 0);
	close(p[0]);
}

static void slurp_keeps_to_the_maximum(void **state)
{
	struct dir *d = *state;
	struct buf b;
	struct err e;

	put(d, "f", "12345");
	for (size_t max = 0; max < 8; max++) {
		buf_init(&b, max);
		assert_int_equal(file_slurp(d->fd, "f", &b, &e), max < 5 ? PQC_ETOOBIG : 0);
		assert_int_equal(b.len, max < 5 ? 0 : 5);
		buf_free(&b);
	}
	put(d, "empty", "");
	buf_init(&b, 0);
	assert_int_equal(file_slurp(d->fd, "empty", &b, &e), 0);
	buf_free(&b);
	/* of a file without an end the maximum is what saves us */
	buf_init(&b, 100000);
	assert_int_equal(file_slurp(AT_FDCWD, "/dev/zero", &b, &e), PQC_ETOOBIG);
	buf_free(&b);
}

static void slurp_appends_or_leaves_the_buffer(void **state)
{
	struct dir *d = *state;
	struct buf b = BUF_INIT(10);
	struct err e;

	put(d, "f", "12345");
	buf_put_str(&b, "abc");
	assert_int_equal(file_slurp(d->fd, "f", &b, &e), 0);
	assert_string_equal(buf_cstr(&b), "abc12345");
	assert_int_equal(file_slurp(d->fd, "f", &b, &e), PQC_ETOOBIG);
	assert_string_equal(buf_cstr(&b), "abc12345");
	assert_memory_equal(b.p + 8, "\0\0", 2);
	assert_int_equal(file_slurp(d->fd, "none", &b, &e), PQC_ENOTFOUND);
	assert_non_null(strstr(e.msg, "none"));
	assert_int_equal(file_slurp(d->fd, ".", &b, &e), PQC_EIO);
	assert_string_equal(buf_cstr(&b), "abc12345");
	buf_put_str(&b, "too much");
	assert_int_equal(file_slurp(d->fd, "f", &b, &e), PQC_ETOOBIG);
	buf_free(&b);
}

static void slurp_reads_more_than_a_step(void **state)
{
	struct dir *d = *state;
	const size_t sizes[] = {16383, 16384, 16385, 100000};
	struct buf b = BUF_INIT(100000), back = BUF_INIT(100000);
	struct err e;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		buf_reset(&b);
		buf_reset(&back);
		for (size_t j = 0; j < sizes[i]; j++)
			buf_put_u8(&b, (uint8_t)(j * 7 >> 3));
		assert_int_equal(file_replace(d->fd, "f", b.p, b.len, 0600, &e), 0);
		assert_int_equal(file_slurp(d->fd, "f", &back, &e), 0);
		assert_int_equal(back.len, sizes[i]);
		assert_memory_equal(b.p, back.p, sizes[i]);
	}
	buf_free(&b);
	buf_free(&back);
}

static void replace_sets_the_exact_mode(void **state)
{
	static const mode_t modes[] = {0600, 0644, 0666, 0400, 0000};
	struct dir *d = *state;
	mode_t mask = umask(0777);
	struct err e;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(file_replace(d->fd, "f", "x", 1, modes[i], &e), 0);
		assert_int_equal(mode_of(d, "f"), S_IFREG | modes[i]);
	}
	umask(mask);
	assert_int_equal(file_replace(d->fd, "f", "x", 1, 0666, &e), 0);
	assert_int_equal(mode_of(d, "f"), S_IFREG | 0666);
	assert_int_equal(entries(d), 1);
}

static void who_has_the_old_file_open_keeps_it(void **state)
{
	struct dir *d = *state;
	char text[4] = {0};
	struct err e;
	int fd;

	put(d, "f", "old");
	assert_true((fd = openat(d->fd, "f", O_RDONLY)) >= 0);
	put(d, "f", "newer");
	assert_int_equal(file_pread(fd, text, 3, 0, &e), 0);
	assert_string_equal(text, "old");
	close(fd);
	expect(d, "f", "newer");
	put(d, "f", "");
	expect(d, "f", "");
	assert_int_equal(entries(d), 1);
}

static void replace_takes_the_place_of_a_link(void **state)
{
	struct dir *d = *state;

	put(d, "target", "safe");
	assert_int_equal(symlinkat("target", d->fd, "link"), 0);
	put(d, "link", "new");
	expect(d, "target", "safe");
	expect(d, "link", "new");
	assert_true(S_ISREG(mode_of(d, "link")));
}

static void a_failed_replace_leaves_the_old_and_no_litter(void **state)
{
	struct dir *d = *state;
	struct rlimit old, small = {100, 100};
	char text[200];
	struct err e;

	put(d, "f", "old");
	memset(text, 'x', sizeof(text));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int replaced = file_replace(d->fd, "f", text, sizeof(text), 0600, &e);
	int created = file_create(d->fd, "g", text, sizeof(text), 0600, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(replaced, PQC_EQUOTA);
	assert_int_equal(created, PQC_EQUOTA);
	expect(d, "f", "old");
	assert_int_equal(entries(d), 1);
}

static void replace_says_why_not(void **state)
{
	struct dir *d = *state;
	struct err e;

	assert_int_equal(mkdirat(d->fd, "dir", 0700), 0);
	assert_int_equal(file_replace(d->fd, "dir", "x", 1, 0600, &e), PQC_EIO);
	assert_int_equal(file_replace(d->fd, "none/f", "x", 1, 0600, &e), PQC_ENOTFOUND);
	assert_non_null(strstr(e.msg, "none/f"));
	assert_int_equal(file_replace(d->fd, "none/f", "x", 1, 0600, NULL), PQC_ENOTFOUND);
	assert_int_not_equal(file_replace(d->fd, "", "x", 1, 0600, &e), 0);
	assert_int_not_equal(file_replace(d->fd, "dir/", "x", 1, 0600, &e), 0);
	assert_int_equal(entries(d), 1);
}

static void replace_works_in_directories_below(void **state)
{
	struct dir *d = *state;
	char path[128];

	assert_int_equal(mkdirat(d->fd, "dir", 0700), 0);
	put(d, "dir/f", "below");
	expect(d, "dir/f", "below");
	snprintf(path, sizeof(path), "%s/dir/g", d->path);
	put(d, path, "absolute");
	expect(d, "dir/g", "absolute");
	assert_int_equal(entries(d), 1);
}

static void create_refuses_what_is_there(void **state)
{
	struct dir *d = *state;
	struct err e;

	assert_int_equal(file_create(d->fd, "f", "one", 3, 0640, &e), 0);
	assert_int_equal(mode_of(d, "f"), S_IFREG | 0640);
	assert_int_equal(file_create(d->fd, "f", "two", 3, 0640, &e), PQC_EEXIST);
	expect(d, "f", "one");
	assert_int_equal(symlinkat("nowhere", d->fd, "dangling"), 0);
	assert_int_equal(file_create(d->fd, "dangling", "x", 1, 0600, &e), PQC_EEXIST);
	assert_int_equal(mkdirat(d->fd, "dir", 0700), 0);
	assert_int_equal(file_create(d->fd, "dir", "x", 1, 0600, &e), PQC_EEXIST);
	assert_int_equal(entries(d), 3);
}

static void mkdirs_makes_what_is_missing(void **state)
{
	struct dir *d = *state;
	char path[128];
	struct err e;

	snprintf(path, sizeof(path), "%s/a//b/../c/", d->path);
	assert_int_equal(file_mkdirs(path, 0700, &e), 0);
	assert_int_equal(file_mkdirs(path, 0700, &e), 0);
	assert_int_equal(mode_of(d, "a/b"), S_IFDIR | 0700);
	assert_int_equal(mode_of(d, "a/c"), S_IFDIR | 0700);
	assert_int_equal(symlinkat("a", d->fd, "link"), 0);
	snprintf(path, sizeof(path), "%s/link/d", d->path);
	assert_int_equal(file_mkdirs(path, 0700, &e), 0);
	assert_int_equal(mode_of(d, "a/d"), S_IFDIR | 0700);
	assert_int_equal(file_mkdirs("/", 0700, &e), 0);
	assert_int_equal(file_mkdirs(".", 0700, &e), 0);
}

static void mkdirs_says_why_not(void **state)
{
	struct dir *d = *state;
	char path[512];
	struct err e;

	put(d, "f", "a file");
	snprintf(path, sizeof(path), "%s/f/d", d->path);
	assert_int_equal(file_mkdirs(path, 0700, &e), PQC_EEXIST);
	assert_int_equal(symlinkat("nowhere", d->fd, "dangling"), 0);
	snprintf(path, sizeof(path), "%s/dangling", d->path);
	assert_int_equal(file_mkdirs(path, 0700, &e), PQC_ENOTFOUND);
	snprintf(path, sizeof(path), "%s/%0300d", d->path, 0);
	assert_int_equal(file_mkdirs(path, 0700, &e), PQC_EIO);
	assert_int_equal(entries(d), 2);
}

static void open_parent_walks_and_creates(void **state)
{
	struct dir *d = *state;
	const char *name = "a/b/file", *base;
	struct err e;
	int fd = -1;

	assert_int_equal(file_open_parent(d->fd, name, false, &fd, &base, &e), PQC_ENOTFOUND);
	assert_int_equal(fd, -1);
	assert_int_equal(entries(d), 0);
	assert_int_equal(file_open_parent(d->fd, name, true, &fd, &base, &e), 0);
	assert_ptr_equal(base, name + 4);
	assert_int_equal(file_create(fd, base, "x", 1, 0600, &e), 0);
	assert_int_equal(file_fsync_dir(fd, &e), 0);
	close(fd);
	expect(d, "a/b/file", "x");
	assert_int_equal(file_open_parent(d->fd, name, false, &fd, &base, &e), 0);
	close(fd);

	/* a name without '/' is in root itself, by a descriptor of its own */
	assert_int_equal(file_open_parent(d->fd, "top", true, &fd, &base, &e), 0);
	assert_string_equal(base, "top");
	assert_int_not_equal(fd, d->fd);
	assert_int_equal(faccessat(fd, "a/b/file", F_OK, 0), 0);
	close(fd);
}

static void open_parent_follows_no_link(void **state)
{
	static const char *const targets[] = {"inside", ".", "..", "/tmp", "/proc/self/cwd"};
	struct dir *d = *state;
	const char *base = NULL;
	struct err e;
	int fd = -1;

	assert_int_equal(mkdirat(d->fd, "inside", 0700), 0);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		assert_int_equal(symlinkat(targets[i], d->fd, "link"), 0);
		for (int create = 0; create < 2; create++) {
			assert_int_equal(file_open_parent(d->fd, "link/f", create, &fd, &base, &e),
					 PQC_EREFUSED);
			assert_int_equal(
				file_open_parent(d->fd, "link/n/f", create, &fd, &base, &e),
				PQC_EREFUSED);
		}
		assert_int_equal(unlinkat(d->fd, "link", 0), 0);
	}
	assert_int_equal(symlinkat("..", d->fd, "inside/up"), 0);
	assert_int_equal(file_open_parent(d->fd, "inside/up/f", true, &fd, &base, &e),
			 PQC_EREFUSED);
	assert_int_equal(fd, -1);
	assert_null(base);
	assert_int_equal(entries(d), 1);
}

static void open_parent_stays_beneath(void **state)
{
	struct dir *d = *state;
	const char *base;
	struct err e;
	int fd = -1;

	/* name_check refuses these before; here they are refused once more */
	assert_int_equal(file_open_parent(d->fd, "../f", true, &fd, &base, &e), PQC_EREFUSED);
	assert_int_equal(mkdirat(d->fd, "a", 0700), 0);
	assert_int_equal(file_open_parent(d->fd, "a/../../f", true, &fd, &base, &e), PQC_EREFUSED);
	put(d, "file", "x");
	assert_int_equal(file_open_parent(d->fd, "file/f", true, &fd, &base, &e), PQC_EEXIST);
	assert_int_equal(file_open_parent(-1, "f", true, &fd, &base, &e), PQC_EIO);
	assert_int_equal(fd, -1);
	assert_int_equal(entries(d), 2);
}

/* Descriptors that a failure forgot to close would show as a growing next one. */
static void no_descriptor_is_lost(void **state)
{
	struct dir *d = *state;
	struct buf b = BUF_INIT(2);
	const char *base;
	struct err e;
	int fd, before = dup(0);

	close(before);
	put(d, "f", "12345");
	assert_int_equal(symlinkat("f", d->fd, "link"), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_not_equal(file_slurp(d->fd, "f", &b, &e), 0);
		assert_int_not_equal(file_create(d->fd, "f", "", 0, 0600, &e), 0);
		assert_int_not_equal(file_replace(d->fd, "no/f", "", 0, 0600, &e), 0);
		assert_int_not_equal(file_mkdirs("/dev/null/x/y", 0700, &e), 0);
		assert_int_not_equal(file_open_parent(d->fd, "x/y/z/f", false, &fd, &base, &e), 0);
		assert_int_not_equal(file_open_parent(d->fd, "link/f", true, &fd, &base, &e), 0);
		assert_int_equal(file_open_parent(d->fd, "x/y/f", true, &fd, &base, &e), 0);
		close(fd);
		assert_int_equal(file_open_parent(d->fd, "x/y/f", false, &fd, &base, &e), 0);
		close(fd);
	}
	int after = dup(0);

	close(after);
	assert_int_equal(before, after);
	buf_free(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ranges_are_read_and_written_exactly),
		TEST(bad_descriptors_are_errors),
		TEST(a_full_disk_is_a_quota_error),
		TEST(a_pipe_is_read_to_its_end),
		TEST(slurp_keeps_to_the_maximum),
		TEST(slurp_appends_or_leaves_the_buffer),
		TEST(slurp_reads_more_than_a_step),
		TEST(replace_sets_the_exact_mode),
		TEST(who_has_the_old_file_open_keeps_it),
		TEST(replace_takes_the_place_of_a_link),
		TEST(a_failed_replace_leaves_the_old_and_no_litter),
		TEST(replace_says_why_not),
		TEST(replace_works_in_directories_below),
		TEST(create_refuses_what_is_there),
		TEST(mkdirs_makes_what_is_missing),
		TEST(mkdirs_says_why_not),
		TEST(open_parent_walks_and_creates),
		TEST(open_parent_follows_no_link),
		TEST(open_parent_stays_beneath),
		TEST(no_descriptor_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
