/* What the store's tests share: a directory of their own, and objects that can be told apart. */
#ifndef PQC_TESTS_STORE_FIXTURE_H
#define PQC_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "container/tree.h"
#include "store/store.h"

#define PART  65536u
#define PARTS 3
#define LATER 4102444800u /* a time after all that the tests write */

static const uint8_t alice[ID_LEN] = {0xA1}, bob[ID_LEN] = {0xB0};

/* ---- a directory ---- */

/* In memory where there is such a place: these tests make and remove very many files. */
static inline char *scratch_new(void)
{
	const char *base = getenv("TMPDIR");
	char *dir;

	if (base == NULL)
		base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	assert_true(asprintf(&dir, "%s/pqc-store-XXXXXX", base) > 0);
	assert_non_null(mkdtemp(dir));
	return dir;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type,
				     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void scratch_empty(const char *dir)
{
	nftw(dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void scratch_free(char *dir)
{
	scratch_empty(dir);
	free(dir);
}

/* dir/name in static storage, two at a time. */
static inline const char *in(const char *dir, const char *name)
{
	static char path[2][4096];
	static unsigned turn;

	turn ^= 1;
	assert_true(snprintf(path[turn], sizeof(path[0]), "%s/%s", dir, name) < 4096);
	return path[turn];
}

static inline void write_file(const char *path, const void *p, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static unsigned tree_files, tree_tmp;

static inline int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	tree_files += type == FTW_F;
	tree_tmp += strncmp(path + ftw->base, ".pqc-tmp-", 9) == 0;
	return 0;
}

/* Files below dir, and how many of them are temporary. */
static inline unsigned count_files(const char *dir, unsigned *tmp)
{
	tree_files = tree_tmp = 0;
	assert_int_equal(nftw(dir, count_one, 16, FTW_PHYS), 0);
	if (tmp != NULL)
		*tmp = tree_tmp;
	return tree_files;
}

static inline unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* ---- objects ---- */

/* One object to be: what it holds follows from seed. */
struct thing {
	const char *name;
	const uint8_t *owner;
	uint8_t seed;
	struct pqx_header h;
	char manifest[32], receipt[32];
};

static inline uint64_t thing_size(void)
{
	return (PARTS - 1) * (uint64_t)pqx_part_capacity(PART) + 1000;
}

static inline void thing_new(struct thing *t, unsigned suite, const char *name,
			     const uint8_t *owner, uint8_t seed)
{
	struct pqx_keys k;

	memset(t, 0, sizeof(*t));
	t->name = name;
	t->owner = owner;
	t->seed = seed;
	t->h = (struct pqx_header){
		.suite = suite_by_id(suite), .part_size = PART, .plain_size = thing_size()};
	memcpy(t->h.sender_id, owner, ID_LEN);
	assert_int_equal(pqx_header_new(&t->h, &k), 0);
	snprintf(t->manifest, sizeof(t->manifest), "manifest %u", seed);
	snprintf(t->receipt, sizeof(t->receipt), "receipt %u", seed);
}

static inline size_t part_len(uint64_t i)
{
	return i < PARTS - 1 ? PART : cob_sealed_len(1000);
}

static inline void part_fill(const struct thing *t, uint64_t i, uint8_t *p)
{
	memset(p, t->seed ^ (uint8_t)(17 * i + 1), part_len(i));
	p[0] = (uint8_t)i;
}

static inline void leaf_fill(const struct thing *t, uint64_t i, uint8_t *leaf)
{
	memset(leaf, t->seed + (uint8_t)i, HASH_MAX);
}

static inline int thing_begin(struct store *s, const struct thing *t, bool direct,
			      struct upload **u, struct err *e)
{
	const struct upload_new o = {.name = t->name,
				     .owner = t->owner,
				     .header = &t->h,
				     .keyblock = "a key block",
				     .keyblock_len = 11,
				     .now = 1000,
				     .quota = UINT64_MAX,
				     .direct = direct};

	return upload_begin(s, &o, u, e);
}

/* Write and record one part. */
static inline int thing_part(struct upload *u, const struct thing *t, uint64_t i, struct err *e)
{
	uint8_t *p = aligned_alloc(4096, PART), leaf[HASH_MAX];
	int rc;

	assert_non_null(p);
	part_fill(t, i, p);
	leaf_fill(t, i, leaf);
	rc = upload_write(u, i, p, part_len(i), e);
	if (rc == 0)
		rc = upload_record(u, &i, leaf, 1, e);
	free(p);
	return rc;
}

static inline int thing_commit(struct upload *u, const struct thing *t, struct err *e)
{
	const struct span manifest = {t->manifest, strlen(t->manifest)};
	const struct span receipt = {t->receipt, strlen(t->receipt)};

	return upload_commit(u, &manifest, &receipt, thing_size(), 2000 + t->seed, e);
}

static inline int thing_resume(struct store *s, const struct thing *t, struct upload **u,
			       struct err *e)
{
	return upload_resume(s, t->owner, t->name, t->h.raw, u, e);
}

/* Begin, all parts, commit. */
static inline void thing_put(struct store *s, const struct thing *t)
{
	struct upload *u;
	struct err e = {0};

	if (thing_begin(s, t, false, &u, &e) != 0)
		fail_msg("%s", e.msg);
	for (uint64_t i = 0; i < PARTS; i++)
		assert_int_equal(thing_part(u, t, i, &e), 0);
	if (thing_commit(u, t, &e) != 0)
		fail_msg("%s", e.msg);
	assert_true(upload_committed(u));
	upload_free(u);
}

static inline bool span_is(struct span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* The open object is t, whole. */
static inline void object_is(const struct object *o, const struct thing *t)
{
	static uint8_t want[PART], got[PART];

	assert_string_equal(object_info(o)->name, t->name);
	assert_memory_equal(object_info(o)->owner, t->owner, ID_LEN);
	assert_memory_equal(object_info(o)->file_id, t->h.file_id, 32);
	assert_int_equal(object_info(o)->size, thing_size());
	assert_int_equal(object_info(o)->time, 2000 + t->seed);
	assert_memory_equal(object_header(o)->raw, t->h.raw, PQX_HEADER_LEN);
	assert_true(span_is(object_keyblock(o), "a key block"));
	assert_true(span_is(object_manifest(o), t->manifest));
	assert_true(span_is(object_receipt(o), t->receipt));
	assert_int_equal(object_body_len(o), pqx_body_len(PART, thing_size()));
	for (uint64_t i = 0; i < PARTS; i++) {
		part_fill(t, i, want);
		assert_int_equal(pread(object_body_fd(o), got, part_len(i), (off_t)(i * PART)),
				 part_len(i));
		assert_memory_equal(got, want, part_len(i));
	}
}

/* What does the name mean? Index into things, or -1 for nothing; anything else fails the test. */
static inline int name_means(struct store *s, const char *name, const struct thing *const *things,
			     int n)
{
	struct object *o;
	struct err e = {0};
	int rc = object_open(s, name, &o, &e), found = -1;

	if (rc == PQC_ENOTFOUND)
		return -1;
	if (rc != 0)
		fail_msg("%s: %s", name, e.msg);
	for (int i = 0; i < n; i++)
		if (memcmp(object_info(o)->file_id, things[i]->h.file_id, 32) == 0)
			found = i;
	if (found < 0)
		fail_msg("%s means a stranger", name);
	object_is(o, things[found]);
	object_free(o);
	return found;
}

static inline void name_is(struct store *s, const struct thing *t)
{
	assert_int_equal(name_means(s, t->name, &t, 1), 0);
}

static inline void name_is_free(struct store *s, const char *name)
{
	assert_int_equal(name_means(s, name, NULL, 0), -1);
}

static inline int set_bit(void *arg, uint64_t first, uint64_t count)
{
	unsigned *bits = arg;

	for (uint64_t i = first; i < first + count; i++)
		*bits |= 1u << i;
	return 0;
}

/* The parts held, as bits. */
static inline unsigned held_bits(struct upload *u)
{
	unsigned bits = 0;

	assert_int_equal(upload_held(u, set_bit, &bits), 0);
	return bits;
}

static inline struct store *store_at(const char *dir)
{
	struct store *s = NULL;
	struct err e = {0};

	if (store_open(&s, dir, &e) != 0)
		fail_msg("%s", e.msg);
	return s;
}

#endif
