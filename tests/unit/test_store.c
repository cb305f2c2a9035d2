/* The store as a whole: layout, lock, names, listing, deleting, sweeping, and what damage does. */
#include "store_fixture.h"

#include <pthread.h>

static char *dir;
static struct store *s;
static struct thing a, b;
static struct err e;

static int setup(void **state)
{
	(void)state;
	dir = scratch_new();
	s = store_at(dir);
	thing_new(&a, SUITE_KYBER768, "dir/a", alice, 1);
	thing_new(&b, SUITE_KYBER768, "dir/b", bob, 2);
	memset(&e, 0, sizeof(e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(s);
	scratch_free(dir);
	return 0;
}

/* Where the entry of a name lies. */
static const char *entry_of(const char *name)
{
	char hex[65], path[128];
	uint8_t key[SHA512_LEN];

	assert_int_equal(sha512(&(struct span){name, strlen(name)}, 1, key), 0);
	hex_encode(key, 32, hex);
	snprintf(path, sizeof(path), "names/%.2s/%s", hex, hex);
	return in(dir, path);
}

static const char *file_of(const struct thing *t, const char *name)
{
	char hex[65], path[256];

	hex_encode(t->h.file_id, 32, hex);
	snprintf(path, sizeof(path), "objects/%.2s/%s%s%s", hex, hex, *name ? "/" : "", name);
	return in(dir, path);
}

/* ---- opening ---- */

static void test_open(void **state)
{
	static const char *const made[] = {"objects", "names", "trash", "usage", "lock"};
	struct store *other;
	struct stat st;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(lstat(in(dir, made[i]), &st), 0);
		assert_int_equal(st.st_mode & 0777, i < 4 ? 0700 : 0600);
	}
	/* what one puts, another that has it open too finds at once */
	other = store_at(dir);
	thing_put(s, &a);
	name_is(other, &a);
	store_close(other);
	store_close(s);
	s = store_at(dir);
	name_is(s, &a);
	/* deep, and all of it missing */
	assert_int_equal(store_open(&other, in(dir, "x/y/z"), &e), 0);
	store_close(other);
	assert_int_equal(stat(in(dir, "x"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	store_close(NULL);
}

static void test_open_bad(void **state)
{
	static const char *const made[] = {"objects", "names", "trash", "usage"};
	struct store *other;
	char *outside = scratch_new();

	(void)state;
	write_file(in(dir, "plain"), "x", 1);
	assert_int_not_equal(store_open(&other, in(dir, "plain"), &e), 0);
	assert_int_not_equal(store_open(&other, in(dir, "plain/sub"), &e), 0);
	for (size_t i = 0; i < 4; i++) {
		char sub[16], path[64];

		snprintf(sub, sizeof(sub), "s%zu", i);
		assert_int_equal(mkdir(in(dir, sub), 0700), 0);
		snprintf(path, sizeof(path), "%s/%s", sub, made[i]);
		assert_int_equal(symlink(outside, in(dir, path)), 0);
		assert_int_not_equal(store_open(&other, in(dir, sub), &e), 0);
		assert_non_null(strstr(e.msg, made[i]));
	}
	assert_int_equal(mkdir(in(dir, "l"), 0700), 0);
	assert_int_equal(symlink("/dev/null", in(dir, "l/lock")), 0);
	assert_int_not_equal(store_open(&other, in(dir, "l"), &e), 0);
	scratch_free(outside);
}

static void test_space(void **state)
{
	uint64_t free_bytes, total;

	(void)state;
	assert_int_equal(store_space(s, &free_bytes, &total), 0);
	assert_true(free_bytes <= total && total > 0);
}

/* ---- reading and deleting ---- */

static void test_read_replaced(void **state)
{
	struct object *o;
	struct thing next;

	(void)state;
	thing_new(&next, SUITE_KYBER1024, a.name, alice, 3);
	thing_put(s, &a);
	thing_put(s, &b);
	assert_int_equal(object_open(s, a.name, &o, &e), 0);
	thing_put(s, &next);
	name_is(s, &next);
	name_is(s, &b);
	assert_int_equal(count_files(in(dir, "objects"), NULL), 12); /* a's bytes have no name */
	object_is(o, &a); /* still whole for who has it open */
	assert_int_equal(store_delete(s, a.name, alice, &e), 0);
	object_is(o, &a);
	object_free(o);
	object_free(NULL);
	assert_int_equal(count_files(in(dir, "objects"), NULL), 6);
}

static void test_delete(void **state)
{
	(void)state;
	thing_put(s, &a);
	assert_int_equal(store_delete(s, a.name, bob, &e), PQC_ENOTFOUND);
	assert_string_equal(e.msg, "no such object");
	assert_int_equal(store_delete(s, "nothing", bob, &e), PQC_ENOTFOUND);
	assert_string_equal(e.msg, "no such object");
	name_is(s, &a);
	assert_int_equal(store_delete(s, a.name, alice, &e), 0);
	name_is_free(s, a.name);
	assert_int_equal(store_delete(s, a.name, alice, &e), PQC_ENOTFOUND);
	assert_int_equal(count_files(in(dir, "objects"), NULL), 0);
	assert_int_equal(count_files(in(dir, "names"), NULL), 0);
	assert_int_not_equal(count_files(in(dir, "trash"), NULL), 0);
	store_empty_trash(s);
	assert_int_equal(count_files(in(dir, "trash"), NULL), 0);
	thing_put(s, &a); /* even the same file again */
	name_is(s, &a);
}

/* The trash holds a file_id that is in use again. */
static void test_delete_trash_taken(void **state)
{
	char hex[65], path[128];

	(void)state;
	hex_encode(a.h.file_id, 32, hex);
	snprintf(path, sizeof(path), "trash/%s", hex);
	assert_int_equal(mkdir(in(dir, path), 0700), 0);
	snprintf(path, sizeof(path), "trash/%s/body", hex);
	write_file(in(dir, path), "x", 1);
	thing_put(s, &a);
	assert_int_equal(store_delete(s, a.name, alice, &e), 0);
	store_empty_trash(s);
	assert_int_equal(count_files(in(dir, "trash"), NULL), 0);
}

/* ---- damage ---- */

static void expect_damage(const char *what)
{
	struct object *o;

	assert_int_equal(object_open(s, a.name, &o, &e), PQC_EINTEGRITY);
	if (strstr(e.msg, what) == NULL)
		fail_msg("'%s' does not tell of %s", e.msg, what);
}

/* Every truncation of an entry, and every byte of it changed, is seen or harmless. */
static void test_damaged_entry(void **state)
{
	uint8_t good[1024], bad[1024];
	struct object *o;
	size_t n;
	int fd, rc;

	(void)state;
	thing_put(s, &a);
	assert_true((fd = open(entry_of(a.name), O_RDONLY)) >= 0);
	n = (size_t)read(fd, good, sizeof(good));
	close(fd);
	assert_in_range(n, 100, 1000);
	for (size_t len = 0; len + 1 < n; len++) { /* the newline at the end is not missed */
		write_file(entry_of(a.name), good, len);
		expect_damage("names/");
	}
	for (size_t i = 0; i < n; i++) {
		memcpy(bad, good, n);
		bad[i] ^= 0x80;
		write_file(entry_of(a.name), bad, n);
		expect_damage("names/");
		bad[i] = good[i] ^ 1;
		write_file(entry_of(a.name), bad, n);
		rc = object_open(s, a.name, &o, &e); /* another id, size or time is plausible */
		assert_true(rc == 0 || rc == PQC_EINTEGRITY || rc == PQC_ENOTFOUND);
		if (rc == 0)
			object_free(o);
	}
	/* one too many */
	memcpy(bad, good, n);
	memcpy(bad + n - 2, ",\"more\":1}", 10);
	write_file(entry_of(a.name), bad, n + 8);
	expect_damage("names/");
	write_file(entry_of(a.name), good, n);
	name_is(s, &a);
}

static int count_each(void *arg, const struct object_info *info)
{
	(void)info;
	++*(unsigned *)arg;
	return 0;
}

/* A damaged entry is told, and nothing is done on the strength of it. */
static void test_damaged_entry_stops(void **state)
{
	struct thing next;
	struct upload *u;
	unsigned removed, n = 0;
	char cursor[65] = "";
	bool more;

	(void)state;
	thing_put(s, &a);
	thing_put(s, &b);
	write_file(entry_of(a.name), "{}", 2);
	thing_new(&next, SUITE_KYBER768, a.name, alice, 3);
	assert_int_equal(thing_begin(s, &next, false, &u, &e), PQC_EINTEGRITY);
	assert_int_equal(store_delete(s, a.name, alice, &e), PQC_EINTEGRITY);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_EINTEGRITY);
	assert_int_equal(store_list(s, cursor, count_each, &n, &more, &e), PQC_EINTEGRITY);
	assert_int_equal(store_sweep(s, LATER, &removed, &e), PQC_EINTEGRITY);
	assert_non_null(strstr(e.msg, "names/"));
	assert_int_equal(removed, 0);
	assert_int_equal(count_files(in(dir, "objects"), NULL), 12);
	name_is(s, &b);
	/* the entry of one name filed under another */
	uint8_t text[1024];
	int fd = open(entry_of(b.name), O_RDONLY);
	size_t len = (size_t)read(fd, text, sizeof(text));

	close(fd);
	write_file(entry_of(a.name), text, len);
	expect_damage("another name");
}

static void test_damaged_object(void **state)
{
	static const char *const files[] = {"head", "manifest", "receipt", "body"};
	char kept[4096];
	struct stat st;

	(void)state;
	thing_put(s, &a);
	for (size_t i = 0; i < 4; i++) {
		strcpy(kept, in(dir, "kept"));
		assert_int_equal(rename(file_of(&a, files[i]), kept), 0);
		expect_damage(files[i]);
		assert_int_equal(symlink(kept, file_of(&a, files[i])), 0);
		struct object *o;

		assert_int_not_equal(object_open(s, a.name, &o, &e), 0);
		assert_int_equal(unlink(file_of(&a, files[i])), 0);
		assert_int_equal(rename(kept, file_of(&a, files[i])), 0);
	}
	name_is(s, &a);
	assert_int_equal(stat(file_of(&a, "body"), &st), 0);
	assert_int_equal(truncate(file_of(&a, "body"), st.st_size - 1), 0);
	expect_damage("body");
	assert_int_equal(truncate(file_of(&a, "body"), st.st_size + 1), 0);
	expect_damage("body");
	assert_int_equal(truncate(file_of(&a, "body"), st.st_size), 0);
	assert_int_equal(truncate(file_of(&a, "manifest"), STORE_MANIFEST_MAX + 1), 0);
	expect_damage("manifest");
}

/* Nothing is known of a complete object whose info is damaged: it stays. */
static void test_sweep_keeps_damaged(void **state)
{
	unsigned removed;

	(void)state;
	thing_put(s, &a);
	write_file(file_of(&a, "info"), "{", 1);
	assert_int_equal(store_sweep(s, LATER, &removed, &e), PQC_EINTEGRITY);
	assert_int_equal(removed, 0);
	name_is(s, &a);
	assert_int_equal(unlink(file_of(&a, "info")), 0);
	assert_int_not_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(removed, 0);
	name_is(s, &a);
}

/* ---- sweeping ---- */

static void test_sweep_age(void **state)
{
	const time_t now = time(NULL);
	const struct timespec old[2] = {{.tv_sec = now - 1000}, {.tv_sec = now - 1000}};
	static const char *const files[] = {"info", "head", "body", "leaves", ""};
	struct upload *u;
	unsigned removed;

	(void)state;
	thing_put(s, &b);
	assert_int_equal(thing_begin(s, &a, false, &u, &e), 0);
	upload_free(u);
	assert_int_equal(store_sweep(s, (uint64_t)now - 500, &removed, &e), 0);
	assert_int_equal(removed, 0); /* young */
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(utimensat(AT_FDCWD, file_of(&a, files[i]), old, 0), 0);
	assert_int_equal(thing_resume(s, &a, &u, &e), 0);
	assert_int_equal(store_sweep(s, (uint64_t)now - 500, &removed, &e), 0);
	assert_int_equal(removed, 0); /* taken up again */
	upload_free(u);
	assert_int_equal(utimensat(AT_FDCWD, file_of(&a, "leaves"), old, 0), 0);
	write_file(file_of(&a, ".pqc-tmp-1"), "x", 1);
	assert_int_equal(store_sweep(s, (uint64_t)now - 500, &removed, &e), 0);
	assert_int_equal(removed, 0); /* the directory is young again */
	assert_int_equal(utimensat(AT_FDCWD, file_of(&a, ""), old, 0), 0);
	assert_int_equal(store_sweep(s, (uint64_t)now - 500, &removed, &e), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_ENOTFOUND);
	name_is(s, &b);
}

static void test_sweep_litter(void **state)
{
	unsigned removed, tmp;
	char *outside = scratch_new();

	(void)state;
	thing_put(s, &a);
	write_file(in(outside, "precious"), "x", 1);
	/* temporary files of a crash; links that somebody planted; names that no server gives */
	write_file(file_of(&a, ".pqc-tmp-1"), "x", 1);
	char tmp_name[4096];

	strcpy(tmp_name, entry_of(a.name));
	strcpy(strrchr(tmp_name, '/'), "/.pqc-tmp-2");
	write_file(tmp_name, "x", 1);
	assert_int_equal(symlink(outside, in(dir, "trash/link")), 0);
	assert_int_equal(mkdir(in(dir, "objects/zz"), 0700), 0);
	assert_int_equal(symlink(outside, in(dir, "objects/FF")), 0);
	write_file(in(dir, "objects/note"), "x", 1);
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(removed, 3);
	count_files(dir, &tmp);
	assert_int_equal(tmp, 0);
	assert_int_equal(access(in(outside, "precious"), F_OK), 0);
	assert_int_equal(access(in(dir, "objects/note"), F_OK), 0);
	name_is(s, &a);
	/* a name whose object is gone */
	scratch_empty(file_of(&a, ""));
	name_is_free(s, a.name);
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(count_files(in(dir, "names"), NULL), 0);
	/* a link in place of a shard, or of an object, is told and not followed */
	thing_put(s, &a);
	char moved[4096];

	snprintf(moved, sizeof(moved), "%s/object", outside);
	assert_int_equal(rename(file_of(&a, ""), moved), 0);
	assert_int_equal(symlink(moved, file_of(&a, "")), 0);
	assert_int_not_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(count_files(moved, NULL), 6);
	scratch_free(outside);
}

/* ---- listing ---- */

#define MANY 300

struct listing {
	unsigned seen[MANY];
	unsigned n, page, left;
};

static int take_entry(void *arg, const struct object_info *info)
{
	struct listing *l = arg;
	unsigned i;

	if (l->left == 0)
		return 1;
	assert_int_equal(sscanf(info->name, "many/%u", &i), 1);
	assert_true(i < MANY);
	assert_int_equal(info->size, thing_size());
	l->seen[i]++;
	l->n++;
	l->left--;
	return 0;
}

static unsigned list_all(struct listing *l)
{
	char cursor[65] = "";
	unsigned pages = 0;
	bool more;

	do {
		l->left = l->page;
		assert_int_equal(store_list(s, cursor, take_entry, l, &more, &e), 0);
		pages++;
	} while (more);
	return pages;
}

/* Entries for n names, all of one object: the listing asks only whether there is one. */
static void many_names(unsigned n)
{
	char name[32], shard[4096], *text, file_id[65], owner[65];
	int len;

	hex_encode(a.h.file_id, 32, file_id);
	hex_encode(alice, 32, owner);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "many/%u", i);
		strcpy(shard, entry_of(name));
		*strrchr(shard, '/') = '\0';
		mkdir(shard, 0700);
		len = asprintf(&text,
			       "{\"name\":\"%s\",\"file_id\":\"%s\",\"owner\":\"%s\","
			       "\"previous\":null,\"size\":%llu,\"time\":5}",
			       name, file_id, owner, (unsigned long long)thing_size());
		assert_true(len > 0);
		write_file(entry_of(name), text, (size_t)len);
		free(text);
	}
}

static void test_list(void **state)
{
	char cursor[65] = "";
	bool more = true;
	unsigned n = 0;

	(void)state;
	assert_int_equal(store_list(s, cursor, count_each, &n, &more, &e), 0);
	assert_int_equal(n, 0);
	assert_false(more);
	thing_put(s, &a);
	assert_int_equal(unlink(entry_of(a.name)), 0);
	many_names(MANY);
	for (unsigned page = 1; page <= MANY + 1; page = page * 3 + 1) {
		struct listing l = {.page = page};

		assert_int_equal(list_all(&l), (MANY + page - 1) / page);
		assert_int_equal(l.n, MANY);
		for (unsigned i = 0; i < MANY; i++)
			assert_int_equal(l.seen[i], 1);
	}
	/* names of nothing are not listed */
	scratch_empty(file_of(&a, ""));
	struct listing none = {.page = 10};

	assert_int_equal(list_all(&none), 1);
	assert_int_equal(none.n, 0);
}

static void test_bad_cursor(void **state)
{
	char cursor[3][65] = {"0", "", ""};
	bool more;
	unsigned n = 0;

	(void)state;
	memset(cursor[1], 'A', 64);
	memset(cursor[2], 'f', 65); /* no end */
	memcpy(cursor[1], "../../..", 8);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(store_list(s, cursor[i], count_each, &n, &more, &e), PQC_EPROTO);
}

/* ---- names ---- */

static void test_longest_name(void **state)
{
	char name[NAME_MAX_LEN + 1];
	struct object *o;

	(void)state;
	for (size_t i = 0; i < NAME_MAX_LEN; i++)
		name[i] = i % 200 == 199 ? '/' : i % 2 == 0 ? '"' : 'x';
	name[NAME_MAX_LEN] = '\0';
	a.name = name;
	thing_put(s, &a);
	name_is(s, &a);
	a.name = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80/\"quoted\" {json}";
	thing_new(&a, SUITE_KYBER768, a.name, alice, 9);
	thing_put(s, &a);
	name_is(s, &a);
	assert_int_equal(object_open(s, "", &o, &e), PQC_ENOTFOUND);
	assert_int_equal(object_open(s, "../../../etc/passwd", &o, &e), PQC_ENOTFOUND);
}

/* ---- threads ---- */

struct worker {
	pthread_t thread;
	const uint8_t *owner;
	char name[32];
	unsigned number, done;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct err why = {0};
	struct thing t;
	struct object *o;
	unsigned removed;

	for (unsigned i = 0; i < 20; i++) {
		thing_new(&t, SUITE_KYBER768, w->name, w->owner, (uint8_t)(w->number * 20 + i));
		thing_put(s, &t);
		if (object_open(s, "shared", &o, &why) == 0)
			object_free(o);
		if (w->number == 0 && store_sweep(s, 0, &removed, &why) != 0)
			fail_msg("%s", why.msg);
		if (i % 5 == 4 && store_delete(s, w->name, w->owner, &why) != 0 &&
		    why.code != PQC_ENOTFOUND)
			fail_msg("%s", why.msg);
		w->done++;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct worker w[4] = {{.owner = alice}, {.owner = bob}, {.owner = alice}, {.owner = alice}};
	unsigned removed;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		w[i].number = i;
		/* two of them, of one owner, at one name */
		snprintf(w[i].name, sizeof(w[i].name), i < 2 ? "own/%u" : "shared", i);
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].done, 20);
	}
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(count_files(in(dir, "objects"), NULL),
			 6 * count_files(in(dir, "names"), NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_open),		T(test_open_bad),
		T(test_space),		T(test_read_replaced),
		T(test_delete),		T(test_delete_trash_taken),
		T(test_damaged_entry),	T(test_damaged_entry_stops),
		T(test_damaged_object), T(test_sweep_keeps_damaged),
		T(test_sweep_age),	T(test_sweep_litter),
		T(test_list),		T(test_bad_cursor),
		T(test_longest_name),	T(test_threads),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
