/*
 * Uploads. The order of what becomes durable, so that a crash at any point leaves
 * a state that is understood:
 *
 *   begin   body, leaves, head; then info: a directory without info is no upload.
 *   record  body, then the slots in leaves: a valid slot means a durable part.
 *   commit  body at its length, manifest, info with size and time; then receipt:
 *           the object is complete; then the name's entry: the object is there;
 *           then the object it replaces is dropped (names.c).
 *
 * An object with a receipt whose name means something else was either replaced
 * (the name's entry tells it as `previous`) or its commit stopped before the
 * name: resuming enters it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/upload_impl.h"

static struct upload *upload_alloc(struct store *s)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->s = s;
	u->dir = u->body = u->leaves = u->direct = -1;
	buf_init(&u->head, HEAD_MAX);
	buf_init(&u->manifest, STORE_MANIFEST_MAX);
	buf_init(&u->receipt, STORE_MANIFEST_MAX);
	return u;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void upload_free(struct upload *u)
{
	if (u == NULL)
		return;
	close_if_open(u->dir);
	close_if_open(u->body);
	close_if_open(u->leaves);
	close_if_open(u->direct);
	buf_free(&u->head);
	buf_free(&u->manifest);
	buf_free(&u->receipt);
	free(u);
}

/* ---- beginning ---- */

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

/* Take the blocks of the body now, so that a disk that is too full says so before the transfer. */
static int reserve(const struct upload *u, struct err *e)
{
	uint64_t need;
	int rc;

	if (u->h.plain_size == PQX_SIZE_UNKNOWN)
		return 0;
	need = pqx_body_len(u->h.part_size, u->h.plain_size);
	if (need > INT64_MAX)
		return no_space(u, need, e);
	do
		rc = fallocate(u->body, 0, 0, (off_t)need);
	while (rc != 0 && errno == EINTR);
	if (rc == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
		return no_space(u, need, e);
	return err_sys(e, errno, "reserving space");
}

int upload_write_info(const struct upload *u, struct err *e)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	int rc = record_encode(&u->r, &b);

	if (rc != 0)
		err_set(e, rc, "no memory for an object's info");
	else
		rc = file_replace(u->dir, "info", b.p, b.len, 0600, e);
	buf_free(&b);
	return rc;
}

static int fill_dir(struct upload *u, struct err *e)
{
	const int create = O_RDWR | O_CREAT | O_EXCL;
	int rc;

	if ((rc = dir_file(u->dir, "body", create, &u->body, e)) != 0 ||
	    (rc = reserve(u, e)) != 0 ||
	    (rc = dir_file(u->dir, "leaves", create, &u->leaves, e)) != 0 ||
	    (rc = dir_write(u->dir, "head", &(struct span){u->head.p, u->head.len}, e)) != 0)
		return rc;
	return upload_write_info(u, e);
}

static int make_dir(struct upload *u, struct err *e)
{
	char hex[HEX_ID];
	int shard, rc;

	hex_encode(u->h.file_id, FILE_ID_LEN, hex);
	if ((rc = dir_shard(u->s->objects, u->h.file_id, true, &shard, e)) != 0)
		return rc;
	if (mkdirat(shard, hex, 0700) != 0) {
		rc = errno == EEXIST ? err_set(e, PQC_EEXIST, "the file id is taken")
				     : err_sys(e, errno, "mkdir of object %s", hex);
		goto out;
	}
	if ((rc = dir_open(shard, hex, &u->dir, e)) == 0 && (rc = fill_dir(u, e)) == 0)
		rc = file_fsync_dir(shard, e);
	if (rc != 0) {
		/* What cannot be removed now has no info, or nobody knows of it: the sweep gets it. */
		if (dir_remove(shard, hex, NULL) != 0)
			goto out;
	}
out:
	close(shard);
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
	pthread_mutex_lock(&s->lock);
	rc = names_check_owner(s, o->name, o->owner, e);
	pthread_mutex_unlock(&s->lock);
	if (rc != 0 || (rc = make_dir(u, e)) != 0)
		goto out;
	if (o->direct)
		upload_use_direct(u);
	*out = u;
	u = NULL; /* transferred */
out:
	upload_free(u);
	return rc;
}

/* ---- resuming ---- */

static int open_parts(struct upload *u, struct err *e)
{
	int rc;

	if ((rc = dir_file(u->dir, "body", O_RDWR, &u->body, e)) != 0 ||
	    (rc = dir_file(u->dir, "leaves", O_RDWR, &u->leaves, e)) != 0)
		return rc;
	/* Touched: the sweep leaves it alone. */
	return futimens(u->leaves, NULL) == 0 ? 0 : err_sys(e, errno, "leaves");
}

struct claim {
	const uint8_t *owner, *raw;
	const char *name;
};

/* Locked, so that the sweep does not remove it halfway. PQC_ENOTFOUND: there is no such upload. */
static int take_up(struct upload *u, const struct claim *c, struct err *e)
{
	struct pqx_header h;
	int rc;

	if ((rc = pqx_header_decode(c->raw, &h)) != 0)
		return PQC_ENOTFOUND;
	if ((rc = object_dir(u->s, h.file_id, &u->dir, e)) != 0 ||
	    (rc = object_read_info(u->dir, &u->r, e)) != 0)
		return rc;
	if (memcmp(u->r.info.owner, c->owner, ID_LEN) != 0 || strcmp(u->r.info.name, c->name) != 0)
		return PQC_ENOTFOUND;
	if ((rc = object_read_head(u->dir, h.file_id, &u->head, &u->h, e)) != 0)
		return rc;
	if (memcmp(u->h.raw, c->raw, PQX_HEADER_LEN) != 0)
		return PQC_ENOTFOUND;
	if ((rc = open_parts(u, e)) != 0)
		return rc;
	rc = dir_has(u->dir, "receipt", e);
	if (rc == 0)
		return upload_finish(u, e);
	return rc == PQC_ENOTFOUND ? 0 : rc;
}

int upload_resume(struct store *s, const uint8_t owner[ID_LEN], const char *name,
		  const uint8_t header_raw[PQX_HEADER_LEN], struct upload **out, struct err *e)
{
	const struct claim claim = {owner, header_raw, name};
	struct upload *u = upload_alloc(s);
	int rc;

	if (u == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for an upload");
	pthread_mutex_lock(&s->lock);
	rc = take_up(u, &claim, e);
	pthread_mutex_unlock(&s->lock);
	if (rc == 0) {
		*out = u;
		return 0;
	}
	upload_free(u);
	return rc == PQC_ENOTFOUND ? err_set(e, rc, "no such upload") : rc;
}

void upload_use_direct(struct upload *u)
{
	const int flags = O_WRONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC;

	if (u->direct < 0)
		u->direct = openat(u->dir, "body", flags); /* -1: all writes are buffered */
}

bool upload_committed(const struct upload *u)
{
	return u->committed;
}

const struct pqx_header *upload_header(const struct upload *u)
{
	return &u->h;
}

struct span upload_keyblock(const struct upload *u)
{
	return (struct span){u->head.p + PQX_HEADER_LEN, u->head.len - PQX_HEADER_LEN};
}

struct span upload_manifest(const struct upload *u)
{
	return (struct span){u->manifest.p, u->manifest.len};
}

struct span upload_receipt(const struct upload *u)
{
	return (struct span){u->receipt.p, u->receipt.len};
}
