/*
 * The index of names. Entries are replaced atomically, so each is whole; what
 * is kept in order here is their relation to the objects:
 *
 *   - a name means the object its entry tells, if that exists; else nothing.
 *   - `previous` of an entry is dropped once the entry is durable. A crash in
 *     between leaves it in objects/, with a receipt but without a name; so it is
 *     dropped before the entry, and with it that knowledge, goes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/store_impl.h"

static int name_key(const char *name, uint8_t key[32], struct err *e)
{
	uint8_t full[SHA512_LEN];
	int rc = sha512(&(struct span){name, strlen(name)}, 1, full);

	if (rc != 0)
		return err_set(e, rc, "hashing a name failed");
	memcpy(key, full, 32);
	return 0;
}

/* Is r filed where its name belongs? */
static int check_place(const struct record *r, const uint8_t key[32], struct err *e)
{
	uint8_t own[32];
	int rc = name_key(r->info.name, own, e);

	if (rc == 0 && memcmp(own, key, 32) != 0)
		rc = err_set(e, PQC_EINTEGRITY, "damaged: this is the entry of another name");
	return rc;
}

int names_read_key(struct store *s, const uint8_t key[32], struct record *r, struct err *e)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	char hex[HEX_ID];
	int shard, rc;

	hex_encode(key, 32, hex);
	if ((rc = dir_shard(s->names, key, false, &shard, e)) != 0)
		goto out;
	rc = dir_read(shard, hex, &b, e);
	close(shard);
	if (rc == 0 && (rc = record_decode(&b, r, e)) == 0)
		rc = check_place(r, key, e);
out:
	if (rc != 0)
		err_prefix(e, "names/%.2s/%s", hex, hex);
	buf_free(&b);
	return rc;
}

int names_read(struct store *s, const char *name, struct record *r, struct err *e)
{
	uint8_t key[32];
	int rc = name_key(name, key, e);

	if (rc == 0 && (rc = names_read_key(s, key, r, e)) == PQC_ENOTFOUND)
		err_set(e, rc, "no such object");
	return rc;
}

int names_check_owner(struct store *s, const char *name, const uint8_t owner[ID_LEN], struct err *e)
{
	struct record r;
	int rc = names_read(s, name, &r, e);

	if (rc == 0 && memcmp(r.info.owner, owner, ID_LEN) != 0 &&
	    (rc = object_exists(s, r.info.file_id, e)) == 0)
		return err_set(e, PQC_EREFUSED, "the name belongs to another owner");
	return rc == PQC_ENOTFOUND ? 0 : rc;
}

int names_finish(struct store *s, const struct record *r, struct err *e)
{
	/* What a name meant before was of the same owner. */
	return r->replaced ? object_drop(s, r->info.owner, r->previous, e) : 0;
}

static int names_write(struct store *s, const struct record *r, struct err *e)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	uint8_t key[32];
	char hex[HEX_ID];
	int shard, rc;

	if ((rc = name_key(r->info.name, key, e)) != 0)
		return rc;
	hex_encode(key, 32, hex);
	if ((rc = record_encode(r, &b)) != 0)
		err_set(e, rc, "no memory for the entry of a name");
	else if ((rc = dir_shard(s->names, key, true, &shard, e)) == 0) {
		rc = file_replace(shard, hex, b.p, b.len, 0600, e);
		close(shard);
	}
	buf_free(&b);
	return rc;
}

int names_enter(struct store *s, struct record *r, struct err *e)
{
	struct record old;
	int rc = names_read(s, r->info.name, &old, e);

	r->replaced = false;
	if (rc == 0) {
		if ((rc = names_finish(s, &old, e)) != 0)
			return rc;
		if (memcmp(old.info.file_id, r->info.file_id, FILE_ID_LEN) == 0)
			return 0; /* entered before */
		rc = object_exists(s, old.info.file_id, e);
	}
	if (rc == 0) {
		r->replaced = true;
		memcpy(r->previous, old.info.file_id, FILE_ID_LEN);
	} else if (rc != PQC_ENOTFOUND) {
		return rc;
	}
	if ((rc = names_write(s, r, e)) != 0)
		return rc;
	rc = names_finish(s, r, NULL);
	(void)rc; /* the name has its new meaning: an old object that stays is for the sweep */
	return 0;
}

int names_remove(struct store *s, const struct record *r, struct err *e)
{
	uint8_t key[32];
	char hex[HEX_ID];
	int shard, rc;

	if ((rc = names_finish(s, r, e)) != 0 || (rc = name_key(r->info.name, key, e)) != 0 ||
	    (rc = dir_shard(s->names, key, false, &shard, e)) != 0)
		return rc;
	hex_encode(key, 32, hex);
	if (unlinkat(shard, hex, 0) != 0 && errno != ENOENT)
		rc = err_sys(e, errno, "names/%.2s/%s", hex, hex);
	if (rc == 0)
		rc = file_fsync_dir(shard, e);
	close(shard);
	return rc;
}

/* ---- listing ---- */

static int meaning(struct store *s, const uint8_t key[32], struct record *r, struct err *e)
{
	int rc = names_read_key(s, key, r, e);

	return rc == 0 ? object_exists(s, r->info.file_id, e) : rc;
}

/* What the key means now; PQC_ENOTFOUND when that is nothing. */
static int look_up(struct store *s, const char *hex, struct record *r, struct err *e)
{
	uint8_t key[32];
	int rc;

	if ((rc = hex_decode(hex, key, 32)) != 0)
		return err_set(e, rc, "no key of a name: %s", hex);
	/* An entry and its object, both there: so it was. Only what seems not to be needs the lock. */
	if ((rc = meaning(s, key, r, e)) != PQC_ENOTFOUND)
		return rc;
	if ((rc = store_lock(s, e)) != 0)
		return rc;
	rc = meaning(s, key, r, e);
	store_unlock(s);
	return rc;
}

struct listing {
	struct store *s;
	char *cursor;
	int (*each)(void *arg, const struct object_info *info);
	void *arg;
	bool stopped;
	struct buf ids;
	struct record r;
};

static int list_shard(struct listing *l, unsigned number, struct err *e)
{
	const uint8_t id = (uint8_t)number;
	int shard, rc;

	if ((rc = dir_shard(l->s->names, &id, false, &shard, e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	rc = dir_ids(shard, l->cursor, &l->ids, e);
	close(shard);
	for (size_t at = 0; rc == 0 && at < l->ids.len; at += HEX_ID) {
		const char *hex = (const char *)l->ids.p + at;

		if ((rc = look_up(l->s, hex, &l->r, e)) == 0) {
			l->stopped = l->each(l->arg, &l->r.info) != 0;
			if (l->stopped)
				break;
		}
		if (rc == PQC_ENOTFOUND)
			rc = 0;
		if (rc == 0)
			memcpy(l->cursor, hex, HEX_ID);
	}
	return rc;
}

int store_list(struct store *s, char cursor[65],
	       int (*each)(void *arg, const struct object_info *info), void *arg, bool *more,
	       struct err *e)
{
	struct listing *l;
	uint8_t key[32] = {0};
	bool present[256];
	int rc;

	if (cursor[0] != '\0' &&
	    (strnlen(cursor, HEX_ID) != HEX_ID - 1 ||
	     strspn(cursor, "0123456789abcdef") != HEX_ID - 1 || hex_decode(cursor, key, 32) != 0))
		return err_set(e, PQC_EPROTO, "this cursor is none that the server gave");
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return err_set(e, PQC_ENOMEM, "no memory to list");
	*l = (struct listing){.s = s, .cursor = cursor, .each = each, .arg = arg};
	rc = dir_shards(s->names, present, e);
	for (unsigned i = key[0]; i < 256 && rc == 0 && !l->stopped; i++)
		if (present[i])
			rc = list_shard(l, i, e);
	*more = l->stopped;
	buf_free(&l->ids);
	free(l);
	return rc;
}
