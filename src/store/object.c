/* Objects: their directories, reading and deleting. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/store_impl.h"

int object_dir(struct store *s, const uint8_t *file_id, int *fd, struct err *e)
{
	char hex[HEX_ID];
	int shard, rc;

	if ((rc = dir_shard(s->objects, file_id, false, &shard, e)) != 0)
		return rc;
	hex_encode(file_id, FILE_ID_LEN, hex);
	rc = dir_open(shard, hex, fd, e);
	close(shard);
	return rc;
}

int object_exists(struct store *s, const uint8_t *file_id, struct err *e)
{
	char hex[HEX_ID];
	int shard, rc;

	if ((rc = dir_shard(s->objects, file_id, false, &shard, e)) != 0)
		return rc;
	hex_encode(file_id, FILE_ID_LEN, hex);
	rc = dir_has(shard, hex, e);
	close(shard);
	return rc;
}

int object_drop(struct store *s, const uint8_t *owner, const uint8_t *file_id, struct err *e)
{
	char hex[HEX_ID];
	int shard, rc;

	if ((rc = dir_shard(s->objects, file_id, false, &shard, e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	hex_encode(file_id, FILE_ID_LEN, hex);
	rc = renameat(shard, hex, s->trash, hex);
	/* A file_id in the trash from before a crash, and now in use again, is in the way. */
	if (rc != 0 && (errno == ENOTEMPTY || errno == EEXIST)) {
		if ((rc = dir_remove(s->trash, hex, e)) != 0)
			goto out;
		rc = renameat(shard, hex, s->trash, hex);
	}
	if (rc != 0 && errno != ENOENT)
		rc = err_sys(e, errno, "removing object %s", hex);
	else
		rc = file_fsync_dir(shard, e);
	if (rc == 0 && owner != NULL)
		usage_remove(s, owner, file_id);
out:
	close(shard);
	return rc;
}

static int empty_one(void *arg, int dir, const char *name)
{
	unsigned *removed = arg;

	if (dir_remove(dir, name, NULL) == 0)
		(*removed)++;
	return 0;
}

void trash_empty(struct store *s, unsigned *removed)
{
	int rc = dir_each(s->trash, empty_one, removed, NULL);

	(void)rc;
}

int object_read_head(int dir, const uint8_t *file_id, struct buf *b, struct pqx_header *h,
		     struct err *e)
{
	int rc;

	buf_init(b, HEAD_MAX);
	if ((rc = dir_read(dir, "head", b, e)) != 0)
		return rc;
	if (b->len < PQX_HEADER_LEN || (rc = pqx_header_decode(b->p, h)) != 0 ||
	    memcmp(h->file_id, file_id, FILE_ID_LEN) != 0)
		return err_set(e, PQC_EINTEGRITY, "head: damaged");
	return 0;
}

int object_read_info(int dir, struct record *r, struct err *e)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	int rc = dir_read(dir, "info", &b, e);

	if (rc == 0 && (rc = record_decode(&b, r, e)) != 0)
		err_prefix(e, "info");
	buf_free(&b);
	return rc;
}

/* ---- reading ---- */

struct object {
	struct record r;
	struct pqx_header h;
	struct buf head, manifest, receipt;
	int body;
	uint64_t body_len;
};

static int open_body(struct object *o, int dir, struct err *e)
{
	struct stat st;
	uint64_t n;
	int rc;

	if ((rc = dir_file(dir, "body", O_RDONLY, &o->body, e)) != 0)
		return rc;
	if (fstat(o->body, &st) != 0)
		return err_sys(e, errno, "body");
	o->body_len = (uint64_t)st.st_size;
	if (pqx_part_count(o->h.part_size, o->r.info.size, &n) != 0 ||
	    o->body_len != pqx_body_len(o->h.part_size, o->r.info.size))
		return err_set(e, PQC_EINTEGRITY, "body: %llu bytes are not what %llu take",
			       (unsigned long long)o->body_len, (unsigned long long)o->r.info.size);
	return 0;
}

static int open_files(struct object *o, int dir, struct err *e)
{
	int rc;

	if ((rc = object_read_head(dir, o->r.info.file_id, &o->head, &o->h, e)) != 0 ||
	    (rc = dir_read(dir, "manifest", &o->manifest, e)) != 0 ||
	    (rc = dir_read(dir, "receipt", &o->receipt, e)) != 0)
		return rc;
	return open_body(o, dir, e);
}

static int open_named(struct store *s, const char *name, struct object *o, struct err *e)
{
	char hex[HEX_ID];
	int dir, rc;

	if ((rc = names_read(s, name, &o->r, e)) != 0)
		return rc;
	if ((rc = object_dir(s, o->r.info.file_id, &dir, e)) != 0)
		return rc == PQC_ENOTFOUND ? err_set(e, rc, "no such object") : rc;
	if ((rc = open_files(o, dir, e)) != 0) {
		hex_encode(o->r.info.file_id, FILE_ID_LEN, hex);
		err_prefix(e, "object %s", hex);
		if (rc == PQC_ENOTFOUND) /* one of its files: that is damage */
			rc = err_set(e, PQC_EINTEGRITY, "%s", e ? e->msg : "");
	}
	close(dir);
	return rc;
}

static int open_once(struct store *s, const char *name, struct object **out, struct err *e)
{
	struct object *o = calloc(1, sizeof(*o));
	int rc;

	if (o == NULL)
		return err_set(e, PQC_ENOMEM, "no memory to open an object");
	o->body = -1;
	buf_init(&o->manifest, STORE_MANIFEST_MAX);
	buf_init(&o->receipt, STORE_MANIFEST_MAX);
	if ((rc = open_named(s, name, o, e)) != 0) {
		object_free(o);
		return rc;
	}
	*out = o;
	return 0;
}

int object_open(struct store *s, const char *name, struct object **out, struct err *e)
{
	int rc;

	/* What opens whole is whole. What does not may have been dropped between name and files. */
	if ((rc = open_once(s, name, out, NULL)) == 0)
		return 0;
	if ((rc = store_lock(s, e)) != 0)
		return rc;
	rc = open_once(s, name, out, e);
	store_unlock(s);
	return rc;
}

void object_free(struct object *o)
{
	if (o == NULL)
		return;
	if (o->body >= 0)
		close(o->body);
	buf_free(&o->head);
	buf_free(&o->manifest);
	buf_free(&o->receipt);
	free(o);
}

const struct object_info *object_info(const struct object *o)
{
	return &o->r.info;
}

const struct pqx_header *object_header(const struct object *o)
{
	return &o->h;
}

struct span object_keyblock(const struct object *o)
{
	return (struct span){o->head.p + PQX_HEADER_LEN, o->head.len - PQX_HEADER_LEN};
}

struct span object_manifest(const struct object *o)
{
	return (struct span){o->manifest.p, o->manifest.len};
}

struct span object_receipt(const struct object *o)
{
	return (struct span){o->receipt.p, o->receipt.len};
}

int object_body_fd(const struct object *o)
{
	return o->body;
}

uint64_t object_body_len(const struct object *o)
{
	return o->body_len;
}

/* ---- deleting ---- */

static int delete_named(struct store *s, const char *name, const uint8_t owner[ID_LEN],
			struct err *e)
{
	struct record r;
	int rc;

	if ((rc = names_read(s, name, &r, e)) != 0)
		return rc;
	rc = object_exists(s, r.info.file_id, e);
	if (rc == PQC_ENOTFOUND || (rc == 0 && memcmp(r.info.owner, owner, ID_LEN) != 0))
		return err_set(e, PQC_ENOTFOUND, "no such object");
	if (rc != 0 || (rc = object_drop(s, r.info.owner, r.info.file_id, e)) != 0)
		return rc;
	rc = names_remove(s, &r, NULL);
	(void)rc; /* the object is gone, and a name of nothing counts as absent: no failure */
	return 0;
}

int store_delete(struct store *s, const char *name, const uint8_t owner[ID_LEN], struct err *e)
{
	int rc;

	if ((rc = store_lock(s, e)) != 0)
		return rc;
	rc = delete_named(s, name, owner, e);
	store_unlock(s);
	return rc;
}

void store_empty_trash(struct store *s)
{
	unsigned removed = 0;

	trash_empty(s, &removed);
}
