/*
 * Changing who can open a container, in place.
 *
 * The key block is overwritten where it lies, and half of one would lose the
 * file. So the new head is made durable in a side file first (one rename:
 * from there on the change is decided), then written over the old one, made
 * durable there, and the side file removed. Whoever finds a side file does the
 * last two steps again; they can be done any number of times.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "client/seal_to.h"
#include "crypto/secmem.h"

/* A container under change: open, locked, with the directory it is in. */
struct target {
	int dir, fd;
	const char *base; /* its name in dir; points into the caller's path */
	char side[NAME_MAX + 1];
	uint8_t head[PQX_BODY_OFFSET];
};

static void target_free(struct target *t)
{
	if (t == NULL)
		return;
	if (t->fd >= 0)
		close(t->fd); /* and with it the lock */
	if (t->dir >= 0)
		close(t->dir);
	free(t);
}

static int target_names(struct target *t, int dirfd, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";
	int n;

	t->base = slash != NULL ? slash + 1 : path;
	if (slash != NULL) {
		n = snprintf(dir, sizeof(dir), "%.*s/", (int)(slash - path), path);
		if (n < 0 || (size_t)n >= sizeof(dir))
			return err_sys(e, ENAMETOOLONG, "%s", path);
	}
	n = snprintf(t->side, sizeof(t->side), "%s%s", t->base, REWRAP_SUFFIX);
	if (n < 0 || (size_t)n >= sizeof(t->side))
		return err_sys(e, ENAMETOOLONG, "%s%s", path, REWRAP_SUFFIX);
	if ((t->dir = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "%s", dir);
	return 0;
}

/* Open and lock the container, read its head. */
static int target_open(struct target *t, struct err *e)
{
	struct stat st;

	if ((t->fd = openat(t->dir, t->base, O_RDWR | O_CLOEXEC | O_NOCTTY)) < 0)
		return err_sys(e, errno, "%s", t->base);
	if (fstat(t->fd, &st) != 0)
		return err_sys(e, errno, "%s", t->base);
	if (!S_ISREG(st.st_mode))
		return err_set(e, PQC_EUSAGE, "%s is not a regular file", t->base);
	if (flock(t->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return err_set(e, PQC_ETEMP, "%s: another process is changing its keys", t->base);
	return file_pread(t->fd, t->head, PQX_BODY_OFFSET, 0, e);
}

static int target_new(int dirfd, const char *path, struct target **out, struct err *e)
{
	struct target *t = malloc(sizeof(*t));
	int r;

	if (t == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the key block");
	t->dir = t->fd = -1;
	if ((r = target_names(t, dirfd, path, e)) == 0)
		*out = t;
	else
		target_free(t);
	return r;
}

/*
 * The last two steps: over the old key block, then the side file is not needed
 * any more. The header is never written, so what is half done can be recognised.
 */
static int commit(const struct target *t, const uint8_t head[PQX_BODY_OFFSET], struct err *e)
{
	int r;

	r = file_pwrite(t->fd, head + PQX_HEADER_LEN, PQX_KEYBLOCK_MAX, PQX_HEADER_LEN, e);
	if (r != 0)
		return r;
	if (fsync(t->fd) != 0)
		return err_sys(e, errno, "%s: fsync", t->base);
	if (unlinkat(t->dir, t->side, 0) != 0)
		return err_sys(e, errno, "%s", t->side);
	return file_fsync_dir(t->dir, e);
}

/* Is the side file's head a whole one, and of this container? Its mac is the opener's to check. */
static int side_check(const struct target *t, const struct buf *side, struct err *e)
{
	struct keyblock *kb = NULL;
	struct pqx_header h;
	int r;

	if (memcmp(side->p, t->head, PQX_HEADER_LEN) != 0)
		return err_set(e, PQC_EREFUSED,
			       "%s is left over from another container than %s: remove it", t->side,
			       t->base);
	if ((r = pqx_head_decode(side->p, &h, &kb)) != 0)
		return err_set(e, r, "%s is damaged", t->side);
	keyblock_free(kb);
	return 0;
}

static bool side_exists(const struct target *t)
{
	return faccessat(t->dir, t->side, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* 1 when an interrupted change was finished. The target is open. */
static int repair(struct target *t, struct err *e)
{
	struct buf side = BUF_INIT(PQX_BODY_OFFSET);
	int r;

	if (!side_exists(t))
		return 0;
	if ((r = file_slurp(t->dir, t->side, &side, e)) == 0 && side.len != PQX_BODY_OFFSET)
		r = err_set(e, PQC_EINTEGRITY, "%s is damaged", t->side);
	if (r == 0)
		r = side_check(t, &side, e);
	if (r == 0)
		r = commit(t, side.p, e);
	if (r == 0) {
		memcpy(t->head, side.p, PQX_BODY_OFFSET);
		r = 1;
	}
	buf_free(&side);
	return r;
}

int rewrap_repair(int dirfd, const char *path, struct err *e)
{
	struct target *t = NULL;
	int r;

	if ((r = target_new(dirfd, path, &t, e)) != 0)
		return r;
	/* Only what must be repaired is opened for writing: most files are not even looked at. */
	if (side_exists(t) && (r = target_open(t, e)) == 0)
		r = repair(t, e);
	target_free(t);
	return r;
}

static int remove_all(struct keyblock *kb)
{
	int r = 0;

	while (r == 0 && keyblock_count(kb) > 0)
		r = keyblock_remove_type(kb, keyblock_stanza(kb, 0)->type);
	return r;
}

static int edit(const struct rewrap_opts *o, const struct pqx_header *h, const struct pqx_keys *k,
		struct keyblock *kb, struct err *e)
{
	size_t i;
	int r;

	if (o->remove_all && (r = remove_all(kb)) != 0)
		return err_set(e, r, "the key block could not be changed");
	for (i = 0; i < o->nremove; i++) {
		if ((r = keyblock_remove_recipient(kb, o->remove[i])) != 0)
			return err_set(e, r, "who is to be removed is no recipient");
	}
	return seal_to_apply(&o->add, h, k, kb, e);
}

/* Make t->head the new head. */
static int new_head(const struct rewrap_opts *o, struct target *t, uint32_t *generation,
		    struct err *e)
{
	struct pqx_keys *k = secret_alloc(sizeof(*k));
	struct keyblock *kb = NULL;
	struct pqx_header h;
	int r;

	if (k == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the keys");
	if ((r = pqx_head_decode(t->head, &h, &kb)) != 0) {
		err_set(e, r, "this is not a valid container, or not for this key");
		goto out;
	}
	if ((r = open_keys_unlock(&o->keys, kb, &h, k, e)) != 0)
		goto out;
	if ((r = edit(o, &h, k, kb, e)) != 0)
		goto out;
	if ((r = pqx_head_encode(&h, k, kb, t->head)) != 0) {
		err_set(e, r,
			r == PQC_EUSAGE ? "nobody could open this any more"
					: "the key block could not be made");
		goto out;
	}
	*generation = keyblock_generation(kb);
out:
	keyblock_free(kb);
	secret_free(k, sizeof(*k));
	return r;
}

int rewrap_file(const struct rewrap_opts *o, uint32_t *generation, struct err *e)
{
	struct target *t = NULL;
	uint32_t g = 0;
	int r;

	if ((r = target_new(o->dirfd, o->path, &t, e)) != 0)
		return r;
	if ((r = target_open(t, e)) != 0)
		goto out;
	if ((r = repair(t, e)) < 0)
		goto out;
	if ((r = new_head(o, t, &g, e)) != 0)
		goto out;
	if ((r = file_replace(t->dir, t->side, t->head, PQX_BODY_OFFSET, 0600, e)) != 0)
		goto out;
	if ((r = commit(t, t->head, e)) == 0 && generation != NULL)
		*generation = g;
out:
	target_free(t);
	return r;
}
