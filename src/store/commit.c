/* The end of an upload: commit, or giving up. The order of writes is told in upload.c. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/upload_impl.h"

int upload_still_there(const struct upload *u, struct err *e)
{
	struct stat ours, now;
	int fd, rc;

	if ((rc = object_dir(u->s, u->h.file_id, &fd, e)) == 0) {
		if (fstat(fd, &now) != 0 || fstat(u->dir, &ours) != 0)
			rc = err_sys(e, errno, "upload");
		else if (now.st_ino != ours.st_ino || now.st_dev != ours.st_dev)
			rc = PQC_ENOTFOUND;
		close(fd);
	}
	return rc == PQC_ENOTFOUND ? err_set(e, rc, "the upload was removed meanwhile") : rc;
}

int upload_finish(struct upload *u, struct err *e)
{
	struct record now;
	int rc;

	buf_reset(&u->manifest);
	buf_reset(&u->receipt);
	if ((rc = object_read_info(u->dir, &u->r, e)) != 0 ||
	    (rc = dir_read(u->dir, "manifest", &u->manifest, e)) != 0 ||
	    (rc = dir_read(u->dir, "receipt", &u->receipt, e)) != 0)
		return rc;
	rc = names_read(u->s, u->r.info.name, &now, e);
	if (rc == 0 && now.replaced && memcmp(now.previous, u->h.file_id, FILE_ID_LEN) == 0) {
		if ((rc = names_finish(u->s, &now, e)) != 0)
			return rc;
		return err_set(e, PQC_ENOTFOUND, "the object was replaced by a newer one");
	}
	if (rc != 0 && rc != PQC_ENOTFOUND)
		return rc;
	if ((rc = names_check_owner(u->s, u->r.info.name, u->r.info.owner, e)) != 0 ||
	    (rc = names_enter(u->s, &u->r, e)) != 0)
		return rc;
	u->committed = true; /* before the holder goes, which would look like somebody's claim */
	lease_remove(u->dir);
	return 0;
}

/* Cut what was reserved past the end. A stream has nothing there: its length must be what was signed. */
static int cut_body(struct upload *u, uint64_t size, struct err *e)
{
	struct stat st;
	uint64_t n, len;

	if (pqx_part_count(u->h.part_size, size, &n) != 0)
		return err_set(e, PQC_ETOOBIG, "more parts than there can be");
	len = pqx_body_len(u->h.part_size, size);
	if (fstat(u->body, &st) != 0)
		return err_sys(e, errno, "body");
	if ((uint64_t)st.st_size < len ||
	    (u->h.plain_size == PQX_SIZE_UNKNOWN && (uint64_t)st.st_size != len))
		return err_set(e, PQC_EINTEGRITY, "the body has %llu bytes, its manifest says %llu",
			       (unsigned long long)st.st_size, (unsigned long long)len);
	if ((uint64_t)st.st_size > len && ftruncate(u->body, (off_t)len) != 0)
		return err_sys(e, errno, "cutting the body");
	return fdatasync(u->body) == 0 ? 0 : upload_lost(u, errno, "body", e);
}

struct closing {
	const struct span *manifest, *receipt;
	uint64_t size, now;
};

/* All that nobody looks at before the receipt stands: written by who has the lease, so not locked. */
static int write_closing(struct upload *u, const struct closing *c, struct err *e)
{
	uint64_t len = pqx_body_len(u->h.part_size, c->size);
	int rc;

	if ((rc = upload_still_there(u, e)) != 0 || (rc = lease_check(u, e)) != 0)
		return rc;
	if (len != u->reserved &&
	    (rc = usage_set(u->s, u->r.info.owner, u->h.file_id, len, e)) != 0)
		return rc;
	u->reserved = len;
	u->r.info.size = c->size;
	u->r.info.time = c->now;
	if ((rc = dir_write(u->dir, "manifest", c->manifest, e)) != 0)
		return rc;
	return upload_write_info(u, e);
}

/* Locked. The receipt makes the object complete. */
static int write_receipt(const struct upload *u, const struct closing *c, struct err *e)
{
	int rc;

	if ((rc = lease_check(u, e)) != 0 ||
	    (rc = names_check_owner(u->s, u->r.info.name, u->r.info.owner, e)) != 0)
		return rc;
	return file_replace(u->dir, "receipt", c->receipt->p, c->receipt->n, 0600, e);
}

static int commit_locked(struct upload *u, const struct closing *c, struct err *e)
{
	int rc;

	if ((rc = upload_still_there(u, e)) != 0)
		return rc;
	rc = dir_has(u->dir, "receipt", e);
	if (rc == PQC_ENOTFOUND)
		rc = write_receipt(u, c, e);
	return rc == 0 ? upload_finish(u, e) : rc;
}

int upload_commit(struct upload *u, const struct span *manifest, const struct span *receipt,
		  uint64_t size, uint64_t now, struct err *e)
{
	const struct closing closing = {manifest, receipt, size, now};
	int rc;

	if (u->committed)
		return 0;
	if (manifest->n > STORE_MANIFEST_MAX || receipt->n > STORE_MANIFEST_MAX)
		return err_set(e, PQC_ETOOBIG, "manifest or receipt is too large");
	if ((rc = upload_usable(u, e)) != 0 || (rc = cut_body(u, size, e)) != 0)
		return rc;
	/* With a receipt, an earlier call came so far: what that one wrote counts. */
	rc = dir_has(u->dir, "receipt", e);
	if (rc == PQC_ENOTFOUND)
		rc = write_closing(u, &closing, e);
	if (rc != 0 || (rc = store_lock(u->s, e)) != 0)
		return rc;
	rc = commit_locked(u, &closing, e);
	store_unlock(u->s);
	return rc;
}

static int abandon_locked(struct upload *u, struct err *e)
{
	int rc = dir_has(u->dir, "receipt", e);

	if (rc == 0)
		return err_set(e, PQC_EUSAGE, "the upload is complete: delete it by its name");
	if (rc != PQC_ENOTFOUND || (rc = upload_still_there(u, e)) != 0 ||
	    (rc = lease_check(u, e)) != 0)
		return rc;
	return object_drop(u->s, u->r.info.owner, u->h.file_id, e);
}

int upload_abandon(struct upload *u, struct err *e)
{
	int rc;

	if ((rc = store_lock(u->s, e)) != 0)
		return rc;
	rc = abandon_locked(u, e);
	store_unlock(u->s);
	return rc;
}
