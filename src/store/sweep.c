/* Removing what nobody will come back for, and what crashes left. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/upload_impl.h"

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

enum fate { KEEP, KEEP_WHILE_TOUCHED, DROP };

/* What is found out about an object. */
struct verdict {
	enum fate fate;
	bool complete, known; /* it has a receipt; r is its info */
	struct record r;
};

/* Locked. What is to be done with the object, as its receipt and its name's entry tell. */
static int judge(struct sweep *w, int dir, const uint8_t *id, struct verdict *v, struct err *e)
{
	struct record entry;
	int rc;

	memset(v, 0, sizeof(*v));
	v->fate = KEEP_WHILE_TOUCHED;
	if ((rc = dir_has(dir, "receipt", e)) != 0) {
		v->known = object_read_info(dir, &v->r, NULL) == 0;
		return rc == PQC_ENOTFOUND ? 0 : rc;
	}
	v->complete = true;
	/* Complete: it goes only if it is known for certain that its name means another. */
	if ((rc = object_read_info(dir, &v->r, e)) != 0)
		return rc;
	v->known = true;
	if ((rc = names_read(w->s, v->r.info.name, &entry, e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	if (memcmp(entry.info.file_id, id, FILE_ID_LEN) == 0)
		v->fate = KEEP;
	else if (entry.replaced && memcmp(entry.previous, id, FILE_ID_LEN) == 0)
		v->fate = DROP;
	return 0;
}

/* Locked. 0: the object is to go; PQC_EAGAIN: it stays. */
static int check_end(struct sweep *w, int dir, const struct verdict *v, struct err *e)
{
	if (v->fate == DROP)
		return 0;
	if (v->fate == KEEP || !untouched(dir, w->before))
		return PQC_EAGAIN;
	return lease_look(dir, e);
}

/* Locked. An object from before there was a ledger gets its entry, and a complete one its true length. */
static int enter_usage(struct sweep *w, int dir, const struct verdict *v, struct err *e)
{
	const uint8_t *owner = v->r.info.owner, *id = v->r.info.file_id;
	struct buf head = BUF_INIT(HEAD_MAX);
	struct pqx_header h;
	uint64_t have, len = 0;
	struct stat st;
	int rc;

	if (!v->known || fstatat(dir, "body", &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0; /* no upload, or a damaged one */
	rc = usage_get(w->s, owner, id, &have, e);
	if ((rc != 0 && rc != PQC_ENOTFOUND) || (rc == 0 && !v->complete))
		return rc;
	if (!v->complete && object_read_head(dir, id, &head, &h, NULL) == 0 &&
	    h.plain_size != PQX_SIZE_UNKNOWN)
		len = pqx_body_len(h.part_size, h.plain_size);
	buf_free(&head);
	if (len < (uint64_t)st.st_size)
		len = (uint64_t)st.st_size;
	return rc == 0 && have == len ? 0 : usage_set(w->s, owner, id, len, e);
}

/* Locked. */
static int sweep_in(struct sweep *w, int dir, const uint8_t *id, struct err *e)
{
	struct verdict v;
	int rc;

	if ((rc = judge(w, dir, id, &v, e)) != 0)
		return rc;
	if ((rc = check_end(w, dir, &v, e)) == 0) {
		rc = object_drop(w->s, v.known ? v.r.info.owner : NULL, id, e);
		w->removed += rc == 0;
		return rc;
	}
	if (rc != PQC_EAGAIN || (rc = dir_each(dir, sweep_tmp, w, e)) != 0)
		return rc;
	if (v.complete)
		lease_remove(dir);
	return enter_usage(w, dir, &v, e);
}

/* Locked. */
static int sweep_object(struct sweep *w, const char *hex, struct err *e)
{
	uint8_t id[FILE_ID_LEN];
	int dir, rc;

	if (hex_decode(hex, id, FILE_ID_LEN) != 0)
		return 0;
	if ((rc = object_dir(w->s, id, &dir, e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	rc = sweep_in(w, dir, id, e);
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
		if ((rc = store_lock(w->s, e)) != 0)
			break;
		note(w, one(w, (const char *)ids.p + at, e), e);
		store_unlock(w->s);
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

/* Locked. An entry of the ledger whose object is not there any more, or never was. */
static int sweep_entry(struct sweep *w, int dir, const char *hex, struct err *e)
{
	uint8_t id[FILE_ID_LEN];
	int rc;

	if (hex_decode(hex, id, FILE_ID_LEN) != 0)
		return 0;
	if ((rc = object_exists(w->s, id, e)) != PQC_ENOTFOUND)
		return rc;
	return unlinkat(dir, hex, 0) == 0 || errno == ENOENT ? 0 : err_sys(e, errno, "usage");
}

static int sweep_owner(void *arg, int usage, const char *name)
{
	struct buf ids = BUF_INIT(0);
	struct sweep *w = arg;
	struct err e = {0};
	int dir, rc;

	if (!dir_is_id(name))
		return 0;
	if ((rc = dir_open(usage, name, &dir, &e)) != 0) {
		note(w, rc, &e);
		return 0;
	}
	rc = dir_ids(dir, "", &ids, &e);
	for (size_t at = 0; rc == 0 && at < ids.len; at += HEX_ID) {
		if ((rc = store_lock(w->s, &e)) != 0)
			break;
		note(w, sweep_entry(w, dir, (const char *)ids.p + at, &e), &e);
		store_unlock(w->s);
	}
	note(w, rc, &e);
	buf_free(&ids);
	close(dir);
	return 0;
}

static void sweep_usage(struct sweep *w)
{
	struct err e = {0};

	note(w, dir_each(w->s->usage, sweep_owner, w, &e), &e);
}

static void sweep_root(struct sweep *w)
{
	struct err e = {0};

	note(w, dir_each(w->s->root, sweep_tmp, w, &e), &e);
}

int store_sweep(struct store *s, uint64_t before, unsigned *removed, struct err *e)
{
	struct sweep w = {.s = s, .before = before, .e = e};
	unsigned counted = 0;
	int fd, rc;

	if ((rc = dir_file(s->root, "sweep", O_RDWR | O_CREAT, &fd, e)) != 0)
		return rc;
	if ((rc = dir_lock(fd, false, e)) == 0) {
		trash_empty(s, &w.removed);
		sweep_root(&w);
		sweep_all(&w, s->objects, sweep_object);
		sweep_all(&w, s->names, sweep_name);
		sweep_usage(&w);
		trash_empty(s, &counted);
		rc = w.rc;
	} else if (rc == PQC_EAGAIN) {
		rc = 0; /* another is at it */
	}
	close(fd);
	*removed = w.removed;
	return rc;
}
