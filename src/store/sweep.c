/* Removing what nobody will come back for, and what crashes left. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/store_impl.h"

struct sweep {
	struct store *s;
	uint64_t before;
	unsigned removed;
	int rc; /* the first error; the sweep goes on */
	struct err *e;
};

static void note(struct sweep *w, int rc, const struct err *e)
{
	if (rc == 0 || w->rc != 0)
		return;
	w->rc = rc;
	if (w->e != NULL)
		*w->e = *e;
}

/* Was the entry last changed before that time? One that cannot be looked at was not. */
static bool older(int dir, const char *name, uint64_t before)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)st.st_mtime < before;
}

/* Old, or not there. */
static bool stale(int dir, const char *name, uint64_t before)
{
	return older(dir, name, before) || dir_has(dir, name, NULL) == PQC_ENOTFOUND;
}

/* Temporary files of file_replace that no rename came for. */
static int sweep_tmp(void *arg, int dir, const char *name)
{
	struct sweep *w = arg;

	if (strncmp(name, FILE_TMP_PREFIX, strlen(FILE_TMP_PREFIX)) == 0 &&
	    older(dir, name, w->before) && unlinkat(dir, name, 0) == 0)
		w->removed++;
	return 0;
}

static bool untouched(int dir, uint64_t before)
{
	return older(dir, ".", before) && stale(dir, "body", before) &&
	       stale(dir, "leaves", before) && stale(dir, "head", before);
}

enum verdict { KEEP, KEEP_WHILE_TOUCHED, DROP };

/* Locked. What is to be done with the object, as its receipt and its name's entry tell. */
static int judge(struct sweep *w, int dir, const uint8_t *id, enum verdict *verdict, struct err *e)
{
	struct record r, entry;
	int rc;

	*verdict = KEEP_WHILE_TOUCHED;
	if ((rc = dir_has(dir, "receipt", e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	/* Complete: it goes only if it is known for certain that its name means another. */
	if ((rc = object_read_info(dir, &r, e)) != 0)
		return rc;
	if ((rc = names_read(w->s, r.info.name, &entry, e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	if (memcmp(entry.info.file_id, id, FILE_ID_LEN) == 0)
		*verdict = KEEP;
	else if (entry.replaced && memcmp(entry.previous, id, FILE_ID_LEN) == 0)
		*verdict = DROP;
	return 0;
}

/* Locked. */
static int sweep_object(struct sweep *w, const char *hex, struct err *e)
{
	uint8_t id[FILE_ID_LEN];
	enum verdict verdict;
	int dir, rc;

	if (hex_decode(hex, id, FILE_ID_LEN) != 0)
		return 0;
	if ((rc = object_dir(w->s, id, &dir, e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	rc = judge(w, dir, id, &verdict, e);
	if (rc == 0 &&
	    (verdict == DROP || (verdict == KEEP_WHILE_TOUCHED && untouched(dir, w->before)))) {
		if ((rc = object_drop(w->s, id, e)) == 0)
			w->removed++;
	} else if (rc == 0) {
		rc = dir_each(dir, sweep_tmp, w, e);
	}
	close(dir);
	return rc;
}

/* Locked. */
static int sweep_name(struct sweep *w, const char *hex, struct err *e)
{
	uint8_t key[32];
	struct record r;
	int rc;

	if (hex_decode(hex, key, sizeof(key)) != 0)
		return 0;
	if ((rc = names_read_key(w->s, key, &r, e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	if ((rc = object_exists(w->s, r.info.file_id, e)) != PQC_ENOTFOUND)
		return rc;
	if ((rc = names_remove(w->s, &r, e)) == 0)
		w->removed++;
	return rc;
}

typedef int sweep_one(struct sweep *w, const char *hex, struct err *e);

/* Each id of a shard, one at a time under the lock. */
static int sweep_shard(struct sweep *w, int shard, sweep_one *one, struct err *e)
{
	struct buf ids = BUF_INIT(0);
	int rc;

	if ((rc = dir_each(shard, sweep_tmp, w, e)) == 0)
		rc = dir_ids(shard, "", &ids, e);
	for (size_t at = 0; rc == 0 && at < ids.len; at += HEX_ID) {
		pthread_mutex_lock(&w->s->lock);
		note(w, one(w, (const char *)ids.p + at, e), e);
		pthread_mutex_unlock(&w->s->lock);
	}
	buf_free(&ids);
	return rc;
}

static void sweep_all(struct sweep *w, int parent, sweep_one *one)
{
	bool present[256];
	struct err e = {0};
	int shard, rc;

	note(w, dir_shards(parent, present, &e), &e);
	for (unsigned i = 0; i < 256; i++) {
		const uint8_t id = (uint8_t)i;

		if (!present[i])
			continue;
		if ((rc = dir_shard(parent, &id, false, &shard, &e)) == 0) {
			rc = sweep_shard(w, shard, one, &e);
			close(shard);
		}
		note(w, rc == PQC_ENOTFOUND ? 0 : rc, &e);
	}
}

int store_sweep(struct store *s, uint64_t before, unsigned *removed, struct err *e)
{
	struct sweep w = {.s = s, .before = before, .e = e};
	unsigned counted = 0;

	trash_empty(s, &w.removed);
	sweep_all(&w, s->objects, sweep_object);
	sweep_all(&w, s->names, sweep_name);
	trash_empty(s, &counted);
	*removed = w.removed;
	return w.rc;
}
