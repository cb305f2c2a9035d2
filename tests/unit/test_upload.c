/* Uploads: parts and leaves, resuming, space, who may what. */
#include "sysfault.h"

#include "store_fixture.h"

static char *dir;
static struct store *s;
static struct thing a;
static struct err e;

static int setup(void **state)
{
	(void)state;
	dir = scratch_new();
	s = store_at(dir);
	thing_new(&a, SUITE_KYBER768, "some/name", alice, 7);
	memset(&e, 0, sizeof(e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sysfault_set(SYSFAULT_OFF, 0, 0);
	store_close(s);
	scratch_free(dir);
	return 0;
}

static struct upload *begin(const struct thing *t)
{
	struct upload *u = NULL;

	if (thing_begin(s, t, false, &u, &e) != 0)
		fail_msg("%s", e.msg);
	return u;
}

static struct upload *resume(const struct thing *t)
{
	struct upload *u = NULL;

	if (thing_resume(s, t, &u, &e) != 0)
		fail_msg("%s", e.msg);
	return u;
}

/* The path of a file of a's object. */
static const char *file_of(const struct thing *t, const char *name)
{
	char hex[65], path[256];

	hex_encode(t->h.file_id, 32, hex);
	snprintf(path, sizeof(path), "objects/%.2s/%s%s%s", hex, hex, *name ? "/" : "", name);
	return in(dir, path);
}

static void test_begin(void **state)
{
	struct upload *u = begin(&a), *again;
	struct stat st;

	(void)state;
	assert_false(upload_committed(u));
	assert_memory_equal(upload_header(u)->raw, a.h.raw, PQX_HEADER_LEN);
	assert_true(span_is(upload_keyblock(u), "a key block"));
	assert_int_equal(held_bits(u), 0);
	assert_int_equal(stat(file_of(&a, "body"), &st), 0);
	assert_int_equal(st.st_size, pqx_body_len(PART, thing_size())); /* reserved */
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(file_of(&a, ""), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(thing_begin(s, &a, false, &again, &e), PQC_EEXIST);
	name_is_free(s, a.name);
	upload_free(u);
	upload_free(NULL);
}

static void test_bad_begin(void **state)
{
	static uint8_t big[PQX_BODY_OFFSET];
	struct upload_new o = {.name = "../up",
			       .owner = alice,
			       .header = &a.h,
			       .keyblock = big,
			       .quota = UINT64_MAX};
	struct upload *u;

	(void)state;
	assert_int_equal(upload_begin(s, &o, &u, &e), PQC_ENAME);
	o.name = "fine";
	o.keyblock_len = PQX_KEYBLOCK_MAX + 1;
	assert_int_equal(upload_begin(s, &o, &u, &e), PQC_ETOOBIG);
	assert_int_equal(count_files(in(dir, "objects"), NULL), 0);
	o.keyblock_len = PQX_KEYBLOCK_MAX;
	assert_int_equal(upload_begin(s, &o, &u, &e), 0);
	upload_free(u);
}

/* Nobody has an exabyte. */
static void test_no_space(void **state)
{
	struct pqx_keys k;
	struct thing big = a;
	struct upload *u;

	(void)state;
	big.h.part_size = PQX_PART_MAX;
	big.h.plain_size = UINT64_C(1) << 56;
	assert_int_equal(pqx_header_new(&big.h, &k), 0);
	assert_int_equal(thing_begin(s, &big, false, &u, &e), PQC_EQUOTA);
	assert_non_null(strstr(e.msg, "64.0"));
	assert_non_null(strstr(e.msg, "needed"));
	assert_non_null(strstr(e.msg, "free"));
	assert_int_equal(count_files(in(dir, "objects"), NULL), 0); /* nothing left behind */
}

/*
 * Where space cannot be reserved the upload goes on without. Which call it is that fails with
 * EOPNOTSUPP is found by trying: at one of them, and only there, begin succeeds.
 */
static void test_no_fallocate(void **state)
{
	unsigned worked = 0, n = 0;
	char shard[16];
	bool reached;

	(void)state;
	for (unsigned i = 0; i < 256; i++) { /* so that every begin makes the same calls */
		snprintf(shard, sizeof(shard), "objects/%02x", i);
		assert_int_equal(mkdir(in(dir, shard), 0700), 0);
	}
	do {
		struct upload *u = NULL;

		thing_new(&a, SUITE_KYBER768, "some/name", alice, 7);
		sysfault_set(SYSFAULT_FAIL, ++n, EOPNOTSUPP);
		int rc = thing_begin(s, &a, false, &u, &e);

		reached = sysfault.count >= n;
		sysfault_set(SYSFAULT_OFF, 0, 0);
		if (rc == 0 && reached) {
			worked++;
			for (uint64_t i = 0; i < PARTS; i++)
				assert_int_equal(thing_part(u, &a, i, &e), 0);
			assert_int_equal(held_bits(u), 7);
			assert_int_equal(upload_abandon(u, &e), 0);
		}
		upload_free(u);
	} while (reached);
	assert_int_equal(worked, 1);
}

static void test_parts_in_any_order(void **state)
{
	struct upload *u = begin(&a);
	uint8_t leaf[HASH_MAX], want[HASH_MAX], root[HASH_MAX];
	struct tree tree;

	(void)state;
	assert_int_equal(upload_root(u, 1, root), PQC_ENOTFOUND);
	assert_int_equal(thing_part(u, &a, 2, &e), 0);
	assert_int_equal(held_bits(u), 4);
	assert_int_equal(upload_leaf(u, 0, leaf), PQC_ENOTFOUND);
	assert_int_equal(upload_leaf(u, 3, leaf), PQC_ENOTFOUND);
	assert_int_equal(upload_leaf(u, UINT64_MAX, leaf), PQC_ENOTFOUND);
	assert_int_equal(thing_part(u, &a, 0, &e), 0);
	assert_int_equal(held_bits(u), 5);
	assert_int_equal(upload_root(u, 3, root), PQC_ENOTFOUND);
	upload_free(u);
	u = resume(&a);
	assert_int_equal(held_bits(u), 5);
	assert_int_equal(thing_part(u, &a, 1, &e), 0);
	assert_int_equal(held_bits(u), 7);
	tree_init(&tree, a.h.suite);
	for (uint64_t i = 0; i < PARTS; i++) {
		leaf_fill(&a, i, want);
		assert_int_equal(upload_leaf(u, i, leaf), 0);
		assert_memory_equal(leaf, want, a.h.suite->hash_len);
		assert_int_equal(tree_add(&tree, want), 0);
	}
	assert_int_equal(tree_root(&tree, want), 0);
	assert_int_equal(upload_root(u, 3, root), 0);
	assert_memory_equal(root, want, a.h.suite->hash_len);
	assert_int_equal(upload_root(u, 4, root), PQC_ENOTFOUND);
	assert_int_equal(upload_root(u, PQX_PARTS_MAX + 1, root), PQC_ENOTFOUND);
	upload_free(u);
}

struct ranges {
	uint64_t first[8], count[8];
	unsigned n, stop_at;
};

static int take_range(void *arg, uint64_t first, uint64_t count)
{
	struct ranges *r = arg;

	assert_true(r->n < 8);
	r->first[r->n] = first;
	r->count[r->n++] = count;
	return r->n == r->stop_at ? 42 : 0;
}

static void record(struct upload *u, uint64_t i)
{
	uint8_t leaf[HASH_MAX];

	leaf_fill(&a, i, leaf);
	assert_int_equal(upload_record(u, &i, leaf, 1, &e), 0);
}

/* Over the edges of what is read at once. */
static void test_ranges(void **state)
{
	static const uint64_t parts[] = {0, 1, 5, 255, 256, 511, 513, 70000};
	struct ranges r = {.stop_at = 0};
	struct pqx_keys k;
	struct upload *u;

	(void)state;
	a.h.plain_size = PQX_SIZE_UNKNOWN;
	assert_int_equal(pqx_header_new(&a.h, &k), 0);
	u = begin(&a);
	for (size_t i = sizeof(parts) / sizeof(parts[0]); i-- > 0;)
		record(u, parts[i]);
	assert_int_equal(upload_held(u, take_range, &r), 0);
	assert_int_equal(r.n, 6);
	const uint64_t first[] = {0, 5, 255, 511, 513, 70000}, count[] = {2, 1, 2, 1, 1, 1};

	assert_memory_equal(r.first, first, sizeof(first));
	assert_memory_equal(r.count, count, sizeof(count));
	r = (struct ranges){.stop_at = 2};
	assert_int_equal(upload_held(u, take_range, &r), 42);
	assert_int_equal(r.n, 2);
	upload_free(u);
}

static void test_bounds(void **state)
{
	static uint8_t p[PART + 1];
	struct upload *u = begin(&a);
	struct pqx_keys k;

	(void)state;
	assert_int_equal(upload_write(u, 3, p, 1, &e), PQC_EUSAGE);
	assert_int_equal(upload_write(u, 0, p, PART + 1, &e), PQC_EUSAGE);
	assert_int_equal(upload_write(u, 0, p, 0, &e), PQC_EUSAGE);
	assert_int_equal(upload_write(u, 2, p, part_len(2) + 1, &e), PQC_EUSAGE);
	assert_int_equal(upload_write(u, UINT64_MAX, p, 1, &e), PQC_EUSAGE);
	assert_int_equal(upload_write(u, UINT64_MAX / PART, p, PART, &e), PQC_EUSAGE);
	assert_int_equal(upload_write(u, 2, p, part_len(2), &e), 0);
	upload_free(u);
	a.h.plain_size = PQX_SIZE_UNKNOWN;
	assert_int_equal(pqx_header_new(&a.h, &k), 0);
	u = begin(&a);
	assert_int_equal(upload_write(u, PQX_PARTS_MAX, p, 1, &e), PQC_EUSAGE);
	assert_int_equal(upload_write(u, 9, p, PART, &e), 0);
	upload_free(u);
}

/* Bit by bit and byte by byte: a slot that is not whole is not held. */
static void test_damaged_slots(void **state)
{
	const size_t slot = 32 + 8;
	struct upload *u = begin(&a);
	uint8_t all[3 * 40], bad[sizeof(all)], leaf[HASH_MAX];
	int fd;

	(void)state;
	for (uint64_t i = 0; i < PARTS; i++)
		record(u, i);
	assert_int_equal(held_bits(u), 7);
	assert_true((fd = open(file_of(&a, "leaves"), O_RDWR)) >= 0);
	assert_int_equal(pread(fd, all, sizeof(all), 0), 3 * slot);
	for (size_t bit = 0; bit < 8 * slot; bit++) {
		memcpy(bad, all, sizeof(all));
		bad[slot + bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(pwrite(fd, bad, sizeof(bad), 0), sizeof(bad));
		assert_int_equal(held_bits(u), 5);
		assert_int_equal(upload_leaf(u, 1, leaf), PQC_ENOTFOUND);
	}
	/* one at another's place */
	memcpy(bad, all, sizeof(all));
	memcpy(bad + slot, all, slot);
	assert_int_equal(pwrite(fd, bad, sizeof(bad), 0), sizeof(bad));
	assert_int_equal(held_bits(u), 5);
	assert_int_equal(pwrite(fd, all, sizeof(all), 0), sizeof(all));
	for (size_t len = 0; len < sizeof(all); len++) {
		assert_int_equal(ftruncate(fd, (off_t)len), 0);
		assert_int_equal(held_bits(u), (1u << len / slot) - 1);
		assert_int_equal(upload_leaf(u, len / slot, leaf), PQC_ENOTFOUND);
		assert_int_equal(pwrite(fd, all, sizeof(all), 0), sizeof(all));
	}
	close(fd);
	upload_free(u);
}

static void test_resume_refused(void **state)
{
	struct upload *u = begin(&a);
	struct thing t;
	uint8_t raw[PQX_HEADER_LEN];

	(void)state;
	upload_free(u);
	assert_int_equal(upload_resume(s, bob, a.name, a.h.raw, &u, &e), PQC_ENOTFOUND);
	assert_string_equal(e.msg, "no such upload");
	assert_int_equal(upload_resume(s, alice, "some/nam", a.h.raw, &u, &e), PQC_ENOTFOUND);
	assert_string_equal(e.msg, "no such upload");
	for (size_t i = 0; i < PQX_HEADER_LEN; i++) {
		memcpy(raw, a.h.raw, sizeof(raw));
		raw[i] ^= 1;
		assert_int_equal(upload_resume(s, alice, a.name, raw, &u, &e), PQC_ENOTFOUND);
		assert_string_equal(e.msg, "no such upload");
	}
	thing_new(&t, SUITE_KYBER768, a.name, alice, 1);
	assert_int_equal(thing_resume(s, &t, &u, &e), PQC_ENOTFOUND);
	u = resume(&a);
	upload_free(u);
}

/* A directory that lacks a file is no upload. */
static void test_resume_partial(void **state)
{
	static const char *const files[] = {"info", "head", "body", "leaves"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct upload *u;

		thing_new(&a, SUITE_KYBER768, "some/name", alice, 7);
		upload_free(begin(&a));
		assert_int_equal(unlink(file_of(&a, files[i])), 0);
		assert_int_equal(thing_resume(s, &a, &u, &e), PQC_ENOTFOUND);
	}
}

static void test_resume_damaged(void **state)
{
	struct upload *u;

	(void)state;
	upload_free(begin(&a));
	write_file(file_of(&a, "head"), "short", 5);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_EINTEGRITY);
	write_file(file_of(&a, "info"), "{\"name\":", 8);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_EINTEGRITY);
	assert_non_null(strstr(e.msg, "info"));
}

static void test_commit(void **state)
{
	struct upload *u = begin(&a), *late, *newest;
	struct stat st;

	(void)state;
	for (uint64_t i = 0; i < PARTS; i++)
		assert_int_equal(thing_part(u, &a, i, &e), 0);
	/* two more connections ask for it: the newest gets it, and another hears of it later */
	assert_int_equal(thing_resume(s, &a, &late, &e), PQC_EAGAIN);
	assert_int_equal(thing_commit(u, &a, &e), PQC_ETEMP);
	assert_int_equal(thing_resume(s, &a, &newest, &e), PQC_EAGAIN);
	upload_free(u);
	assert_int_equal(upload_take(newest, &e), 0);
	assert_int_equal(upload_take(late, &e), PQC_ETEMP);
	u = newest;
	assert_int_equal(thing_commit(u, &a, &e), 0);
	assert_int_equal(thing_commit(u, &a, &e), 0);
	name_is(s, &a);
	assert_int_equal(stat(file_of(&a, "body"), &st), 0);
	assert_int_equal(st.st_size, pqx_body_len(PART, thing_size()));
	assert_int_equal(access(file_of(&a, "holder"), F_OK), -1);
	/* What is complete is not written any more. */
	assert_int_equal(thing_part(u, &a, 0, &e), PQC_EUSAGE);
	assert_int_equal(upload_abandon(u, &e), PQC_EUSAGE);
	assert_int_equal(upload_abandon(late, &e), PQC_EUSAGE);
	/* The first commit counts. */
	struct thing other = a;

	strcpy(other.manifest, "another manifest");
	strcpy(other.receipt, "another receipt");
	assert_int_equal(thing_commit(late, &other, &e), PQC_ETEMP);
	assert_int_equal(upload_take(late, &e), 0); /* though u is still open */
	assert_true(upload_committed(late));
	assert_int_equal(thing_commit(late, &other, &e), 0);
	assert_true(span_is(upload_manifest(late), a.manifest));
	assert_true(span_is(upload_receipt(late), a.receipt));
	upload_free(u);
	upload_free(late);
	u = resume(&a);
	assert_true(upload_committed(u));
	assert_true(span_is(upload_manifest(u), a.manifest));
	assert_true(span_is(upload_receipt(u), a.receipt));
	upload_free(u);
	name_is(s, &a);
}

static void test_commit_incomplete(void **state)
{
	struct pqx_keys k;
	struct upload *u;
	struct thing big = a;

	(void)state;
	a.h.plain_size = PQX_SIZE_UNKNOWN;
	assert_int_equal(pqx_header_new(&a.h, &k), 0);
	u = begin(&a);
	assert_int_equal(thing_part(u, &a, 0, &e), 0);
	assert_int_equal(thing_commit(u, &a, &e), PQC_EINTEGRITY);
	name_is_free(s, a.name);
	assert_int_equal(thing_part(u, &a, 2, &e), 0);
	assert_int_equal(thing_part(u, &a, 1, &e), 0);
	memset(big.manifest, 'x', sizeof(big.manifest));
	const struct span long_one = {e.msg, STORE_MANIFEST_MAX + 1}, fine = {"x", 1};

	assert_int_equal(upload_commit(u, &long_one, &fine, 1, 1, &e), PQC_ETOOBIG);
	assert_int_equal(upload_commit(u, &fine, &long_one, 1, 1, &e), PQC_ETOOBIG);
	assert_int_equal(upload_commit(u, &fine, &fine, UINT64_MAX, 1, &e), PQC_ETOOBIG);
	assert_int_equal(thing_commit(u, &a, &e), 0);
	name_is(s, &a);
	upload_free(u);
}

/* A stream of which more came than its manifest tells is not what was signed. */
static void test_commit_longer(void **state)
{
	static uint8_t p[PART];
	struct pqx_keys k;
	struct upload *u;

	(void)state;
	a.h.plain_size = PQX_SIZE_UNKNOWN;
	assert_int_equal(pqx_header_new(&a.h, &k), 0);
	u = begin(&a);
	for (uint64_t i = 0; i < PARTS; i++)
		assert_int_equal(thing_part(u, &a, i, &e), 0);
	assert_int_equal(upload_write(u, 3, p, 1, &e), 0);
	assert_int_equal(thing_commit(u, &a, &e), PQC_EINTEGRITY);
	assert_false(upload_committed(u));
	upload_free(u);
	name_is_free(s, a.name);
}

/* What was reserved past the end is cut. */
static void test_commit_cuts(void **state)
{
	struct upload *u = begin(&a);
	struct stat st;

	(void)state;
	for (uint64_t i = 0; i < PARTS; i++)
		assert_int_equal(thing_part(u, &a, i, &e), 0);
	assert_int_equal(stat(file_of(&a, "body"), &st), 0);
	assert_int_equal(truncate(file_of(&a, "body"), st.st_size + 100000), 0);
	assert_int_equal(thing_commit(u, &a, &e), 0);
	upload_free(u);
	name_is(s, &a);
}

static void test_other_owner(void **state)
{
	struct thing theirs, before;
	struct upload *u, *mine;

	(void)state;
	thing_new(&theirs, SUITE_KYBER768, a.name, bob, 9);
	thing_new(&before, SUITE_KYBER768, a.name, bob, 10);
	/* Both begin while the name is free; who commits first has it. */
	mine = begin(&a);
	u = begin(&theirs);
	for (uint64_t i = 0; i < PARTS; i++) {
		assert_int_equal(thing_part(u, &theirs, i, &e), 0);
		assert_int_equal(thing_part(mine, &a, i, &e), 0);
	}
	assert_int_equal(thing_commit(u, &theirs, &e), 0);
	upload_free(u);
	assert_int_equal(thing_commit(mine, &a, &e), PQC_EREFUSED);
	assert_false(upload_committed(mine));
	assert_int_equal(access(file_of(&a, "receipt"), F_OK), -1);
	name_is(s, &theirs);
	assert_int_equal(thing_begin(s, &before, false, &u, &e), 0); /* its owner may */
	upload_free(u);
	thing_new(&before, SUITE_KYBER768, a.name, alice, 11);
	assert_int_equal(thing_begin(s, &before, false, &u, &e), PQC_EREFUSED);
	/* Once it is deleted the name is free. */
	assert_int_equal(store_delete(s, a.name, bob, &e), 0);
	assert_int_equal(thing_commit(mine, &a, &e), 0);
	name_is(s, &a);
	upload_free(mine);
}

static void test_abandon(void **state)
{
	struct upload *u = begin(&a), *again;

	(void)state;
	assert_int_equal(thing_part(u, &a, 0, &e), 0);
	/* Not when a newer connection claims it; that one may. */
	assert_int_equal(thing_resume(s, &a, &again, &e), PQC_EAGAIN);
	assert_int_equal(upload_abandon(u, &e), PQC_ETEMP);
	assert_int_equal(upload_abandon(again, &e), PQC_ETEMP);
	upload_free(u);
	assert_int_equal(upload_take(again, &e), 0);
	assert_int_equal(thing_part(again, &a, 1, &e), 0);
	assert_int_equal(upload_abandon(again, &e), 0);
	assert_int_equal(count_files(in(dir, "objects"), NULL), 0);
	store_empty_trash(s);
	assert_int_equal(count_files(in(dir, "trash"), NULL), 0);
	assert_int_equal(upload_abandon(again, &e), PQC_ENOTFOUND);
	/* Whoever still has it open learns of it, also when the file id is taken again. */
	assert_int_equal(thing_part(again, &a, 2, &e), PQC_ETEMP);
	assert_int_equal(thing_commit(again, &a, &e), PQC_ENOTFOUND);
	u = begin(&a);
	assert_int_equal(thing_commit(again, &a, &e), PQC_ENOTFOUND);
	name_is_free(s, a.name);
	upload_free(again);
	assert_int_equal(held_bits(u), 0);
	/* Nor is one committed whose directory waits in the trash. */
	for (uint64_t i = 0; i < PARTS; i++)
		assert_int_equal(thing_part(u, &a, i, &e), 0);
	assert_int_equal(rename(file_of(&a, ""), in(dir, "trash/waiting")), 0);
	assert_int_equal(thing_commit(u, &a, &e), PQC_ENOTFOUND);
	assert_int_equal(count_files(in(dir, "names"), NULL), 0);
	upload_free(u);
}

/* After a failed sync a later success proves nothing: nothing more is promised until resumed. */
static void test_sync_failed(void **state)
{
	uint8_t leaf[HASH_MAX];
	uint64_t part = 1;

	(void)state;
	for (unsigned at = 2; at <= 4; at += 2) { /* body; leaves */
		thing_new(&a, SUITE_KYBER768, "some/name", alice, 7);
		struct upload *u = begin(&a);

		assert_int_equal(thing_part(u, &a, 0, &e), 0);
		leaf_fill(&a, 1, leaf);
		sysfault_set(SYSFAULT_FAIL, at, EIO);
		assert_int_equal(upload_record(u, &part, leaf, 1, &e), PQC_EIO);
		sysfault_set(SYSFAULT_OFF, 0, 0);
		assert_int_equal(upload_record(u, &part, leaf, 1, &e), PQC_EIO);
		assert_non_null(strstr(e.msg, "resume"));
		assert_int_equal(thing_part(u, &a, 2, &e), PQC_EIO);
		assert_int_equal(thing_commit(u, &a, &e), PQC_EIO);
		upload_free(u);
		u = resume(&a);
		assert_int_equal(held_bits(u) & 1, 1);
		assert_int_equal(thing_part(u, &a, 1, &e), 0);
		assert_int_equal(thing_part(u, &a, 2, &e), 0);
		assert_int_equal(thing_commit(u, &a, &e), 0);
		name_is(s, &a);
		upload_free(u);
	}
}

static void test_direct(void **state)
{
	char *disk = strdup("/tmp/pqc-store-XXXXXX"); /* a real file system, where there is one */
	struct upload *u;
	struct store *d;
	uint8_t *p = aligned_alloc(4096, 2 * PART);

	(void)state;
	assert_non_null(p);
	assert_non_null(mkdtemp(disk));
	d = store_at(disk);
	assert_int_equal(thing_begin(d, &a, true, &u, &e), 0);
	for (uint64_t i = 0; i < PARTS; i++)
		assert_int_equal(thing_part(u, &a, i, &e), 0);
	part_fill(&a, 1, p + 1);
	assert_int_equal(upload_write(u, 1, p + 1, PART, &e), 0); /* not aligned: buffered */
	upload_free(u);
	assert_int_equal(thing_resume(d, &a, &u, &e), 0);
	upload_use_direct(u);
	upload_use_direct(u);
	assert_int_equal(thing_part(u, &a, 0, &e), 0);
	assert_int_equal(thing_commit(u, &a, &e), 0);
	upload_free(u);
	name_is(d, &a);
	store_close(d);
	scratch_free(disk);
	free(p);
}

/* The health check tells of whatever fails, and leaves nothing but a file the sweep knows. */
static void test_probe(void **state)
{
	int64_t offset = 99;
	unsigned removed, n = 0, fds = count_fds();
	bool reached;

	(void)state;
	do {
		memset(&e, 0, sizeof(e));
		n++;
		sysfault_set(SYSFAULT_FAIL, n, n % 2 ? ENOSPC : EIO);
		int rc = store_probe(s, &offset, &e);

		reached = sysfault.count >= n;
		sysfault_set(SYSFAULT_OFF, 0, 0);
		assert_int_equal(rc, !reached ? 0 : n % 2 ? PQC_EQUOTA : PQC_EIO);
		assert_int_equal(e.code, rc);
		assert_int_equal(offset, reached ? 99 : 0);
		assert_int_equal(count_fds(), fds);
	} while (reached);
	assert_in_range(n, 4, 10);
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(count_files(dir, NULL), 2); /* lock, sweep */
}

/* A symbolic link anywhere in an object's way leads nowhere. */
static void test_links(void **state)
{
	static const char *const files[] = {"info", "head", "body", "leaves", ""};
	char *outside = scratch_new(), path[4096];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct upload *u = NULL;

		thing_new(&a, SUITE_KYBER768, "some/name", alice, 7);
		upload_free(begin(&a));
		snprintf(path, sizeof(path), "%s/%zu", outside, i);
		assert_int_equal(rename(file_of(&a, files[i]), path), 0);
		assert_int_equal(symlink(path, file_of(&a, files[i])), 0);
		assert_int_not_equal(thing_resume(s, &a, &u, &e), 0);
		assert_true(e.code != 0 && e.msg[0] != '\0');
	}
	/* The shard itself; nothing is made behind the link. */
	struct upload *u;
	char shard[4096];

	thing_new(&a, SUITE_KYBER768, "some/name", alice, 7);
	strcpy(shard, file_of(&a, ""));
	*strrchr(shard, '/') = '\0';
	snprintf(path, sizeof(path), "%s/shard", outside);
	assert_int_equal(mkdir(path, 0700), 0);
	scratch_empty(shard);
	assert_int_equal(symlink(path, shard), 0);
	assert_int_not_equal(thing_begin(s, &a, false, &u, &e), 0);
	assert_int_equal(count_files(path, NULL), 0);
	scratch_free(outside);
}

/* A fifo neither blocks nor is believed. */
static void test_fifo(void **state)
{
	struct upload *u;

	(void)state;
	upload_free(begin(&a));
	assert_int_equal(unlink(file_of(&a, "info")), 0);
	assert_int_equal(mkfifo(file_of(&a, "info"), 0600), 0);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_begin),
		T(test_bad_begin),
		T(test_no_space),
		T(test_no_fallocate),
		T(test_parts_in_any_order),
		T(test_ranges),
		T(test_bounds),
		T(test_damaged_slots),
		T(test_resume_refused),
		T(test_resume_partial),
		T(test_resume_damaged),
		T(test_commit),
		T(test_commit_incomplete),
		T(test_commit_longer),
		T(test_commit_cuts),
		T(test_other_owner),
		T(test_abandon),
		T(test_sync_failed),
		T(test_direct),
		T(test_probe),
		T(test_links),
		T(test_fifo),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
