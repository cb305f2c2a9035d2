/*
 * The beginning of an upload. What excludes others or is counted comes first and under the store's
 * lock: the ledger's entry, the directory, the lease. What takes time comes after it. The order
 * in which it becomes durable is told in upload.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/upload_impl.h"

static int no_space(const struct upload *u, uint64_t need, struct err *e)
{
	uint64_t free_bytes = 0, total;
	char need_text[16], free_text[16];

	if (store_space(u->s, &free_bytes, &total) != 0)
		return err_set(e, PQC_EQUOTA, "no space left: %s needed",
			       fmt_size(need, need_text));
	return err_set(e, PQC_EQUOTA, "no space left: %s needed, %s free",
		       fmt_size(need, need_text), fmt_size(free_bytes, free_text));
}

static uint64_t bytes_needed(const struct pqx_header *h)
{
	return h->plain_size == PQX_SIZE_UNKNOWN ? 0 : pqx_body_len(h->part_size, h->plain_size);
}

/* Take the blocks of the body now, so that a disk that is too full says so before the transfer. */
static int reserve(const struct upload *u, struct err *e)
{
	uint64_t need;
	int rc;

	if ((need = bytes_needed(&u->h)) == 0)
		return 0;
	do
		rc = fallocate(u->body, 0, 0, (off_t)need);
	while (rc != 0 && errno == EINTR);
	if (rc == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
		return no_space(u, need, e);
	return err_sys(e, errno, "reserving space");
}

/* Locked. The directory with the files that the lease is on, taken before anybody can see it. */
static int make_dir(struct upload *u, bool *made, struct err *e)
{
	const int create = O_RDWR | O_CREAT | O_EXCL;
	char hex[HEX_ID];
	int shard, rc;

	hex_encode(u->h.file_id, FILE_ID_LEN, hex);
	if ((rc = dir_shard(u->s->objects, u->h.file_id, true, &shard, e)) != 0)
		return rc;
	*made = mkdirat(shard, hex, 0700) == 0;
	rc = *made ? dir_open(shard, hex, &u->dir, e)
		   : err_sys(e, errno, "mkdir of object %s", hex);
	close(shard);
	if (rc != 0 || (rc = dir_file(u->dir, "body", create, &u->body, e)) != 0 ||
	    (rc = dir_file(u->dir, "leaves", create, &u->leaves, e)) != 0 ||
	    (rc = lease_claim(u, e)) != 0)
		return rc;
	return lease_take(u, e);
}

/*
 * Locked. A directory without info is no upload. Either one is being made of it, under the lease,
 * in this process or another; or that is what a process left which died while it made one, and
 * what its client, who asks again, must not find in his way.
 */
static int clear_remains(const struct upload *u, struct err *e)
{
	int dir, rc;

	if ((rc = object_dir(u->s, u->h.file_id, &dir, e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	rc = dir_has(dir, "info", e);
	if (rc == 0)
		rc = err_set(e, PQC_EEXIST, "the file id is taken");
	else if (rc == PQC_ENOTFOUND && (rc = lease_look(dir, e)) == 0)
		rc = object_drop(u->s, u->r.info.owner, u->h.file_id, e);
	close(dir);
	return rc;
}

/* Locked. May it begin? */
static int check_begin(const struct upload *u, uint64_t used, uint64_t quota, struct err *e)
{
	int rc;

	if ((rc = names_check_owner(u->s, u->r.info.name, u->r.info.owner, e)) != 0)
		return rc;
	if ((rc = clear_remains(u, e)) != 0)
		return rc;
	return usage_check(used, bytes_needed(&u->h), quota, e);
}

/* Locked. The ledger first, then what it speaks of. */
static int enter(struct upload *u, bool *made, struct err *e)
{
	const uint8_t *owner = u->r.info.owner;
	uint64_t need = bytes_needed(&u->h);
	int rc = usage_set(u->s, owner, u->h.file_id, need, e);

	if (rc == 0)
		rc = make_dir(u, made, e);
	else if (rc == PQC_EQUOTA)
		rc = no_space(u, need, e);
	if (rc != 0 && !*made)
		usage_remove(u->s, owner, u->h.file_id);
	u->reserved = need;
	return rc;
}

/* Under the owner's lock, when there is a quota. */
static int begin_within(struct upload *u, uint64_t quota, bool *made, struct err *e)
{
	uint64_t used = 0, objects;
	int rc;

	if (quota != UINT64_MAX &&
	    (rc = usage_sum(u->s, u->r.info.owner, u->h.file_id, &used, &objects, e)) != 0)
		return rc;
	if ((rc = store_lock(u->s, e)) != 0)
		return rc;
	if ((rc = check_begin(u, used, quota, e)) == 0)
		rc = enter(u, made, e);
	store_unlock(u->s);
	return rc;
}

/* With info it is an upload: the ledger's entry is durable before. */
static int fill(struct upload *u, struct err *e)
{
	int shard, rc;

	if ((rc = reserve(u, e)) != 0 ||
	    (rc = usage_sync(u->s, u->r.info.owner, u->h.file_id, e)) != 0 ||
	    (rc = dir_write(u->dir, "head", &(struct span){u->head.p, u->head.len}, e)) != 0 ||
	    (rc = upload_write_info(u, e)) != 0 ||
	    (rc = dir_shard(u->s->objects, u->h.file_id, false, &shard, e)) != 0)
		return rc;
	rc = file_fsync_dir(shard, e);
	close(shard);
	return rc;
}

/* After a failure. What cannot be removed now has no info, or nobody knows of it: the sweep gets it. */
static void undo(struct upload *u)
{
	char hex[HEX_ID];
	int rc;

	if (store_lock(u->s, NULL) != 0)
		return;
	rc = object_drop(u->s, u->r.info.owner, u->h.file_id, NULL);
	store_unlock(u->s);
	/* A full disk may be the reason: its room is free at once. */
	hex_encode(u->h.file_id, FILE_ID_LEN, hex);
	if (rc == 0)
		rc = dir_remove(u->s->trash, hex, NULL);
	(void)rc;
}

static int begin(struct upload *u, uint64_t quota, struct err *e)
{
	bool made = false;
	int lock = -1, rc;

	if (quota != UINT64_MAX && (rc = usage_lock(u->s, u->r.info.owner, &lock, e)) != 0)
		return rc;
	rc = begin_within(u, quota, &made, e);
	usage_unlock(lock);
	if (rc == 0)
		rc = fill(u, e);
	if (rc != 0 && made)
		undo(u);
	return rc;
}

int upload_begin(struct store *s, const struct upload_new *o, struct upload **out, struct err *e)
{
	struct upload *u;
	int rc;

	if ((rc = name_check(o->name, strlen(o->name), e)) != 0)
		return rc;
	if ((u = upload_alloc(s)) == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for an upload");
	strcpy(u->r.info.name, o->name); /* name_check bounds it */
	memcpy(u->r.info.owner, o->owner, ID_LEN);
	memcpy(u->r.info.file_id, o->header->file_id, FILE_ID_LEN);
	u->r.info.time = o->now;
	u->h = *o->header;
	buf_put(&u->head, o->header->raw, PQX_HEADER_LEN);
	buf_put(&u->head, o->keyblock, o->keyblock_len);
	if ((rc = buf_error(&u->head)) != 0) {
		err_set(e, rc, "the key block is too large");
		goto out;
	}
	if ((rc = begin(u, o->quota, e)) != 0)
		goto out;
	if (o->direct)
		upload_use_direct(u);
	*out = u;
	u = NULL; /* transferred */
out:
	upload_free(u);
	return rc;
}
