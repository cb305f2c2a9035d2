/*
 * The ledger: how much room each owner's objects and uploads take, reserved before it is taken.
 *
 *   usage/<owner>/<file_id>   an empty file whose length is the bytes of that object's body
 *   usage/<owner>/lock        held while a quota is looked at and something is entered under it
 *
 * A length costs no block and is told by stat(2); the file system that cannot have it cannot have
 * the body either. An entry is durable before its upload is one, and goes after the object has
 * gone: a crash leaves at worst an entry of nothing, which the sweep removes. Objects
 * older than the ledger get theirs from the sweep.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/upload_impl.h"

#define GROW_STEP (UINT64_C(64) << 20)

static int owner_dir(struct store *s, const uint8_t *owner, bool create, int *fd, struct err *e)
{
	char hex[HEX_ID];

	hex_encode(owner, ID_LEN, hex);
	return dir_sub(s->usage, hex, create, fd, e);
}

int usage_lock(struct store *s, const uint8_t *owner, int *fd, struct err *e)
{
	int dir, rc;

	*fd = -1;
	if ((rc = owner_dir(s, owner, true, &dir, e)) != 0)
		return rc;
	rc = dir_file(dir, "lock", O_RDWR | O_CREAT, fd, e);
	close(dir);
	if (rc == 0 && (rc = dir_lock(*fd, true, e)) != 0) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

void usage_unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Length of the entry, as the file server has it now. PQC_ENOTFOUND also for what is no file. */
static int entry_len(int dir, const char *hex, uint64_t *bytes, struct err *e)
{
	const int flags = AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC;
	struct statx st;

	if (statx(dir, hex, flags, STATX_TYPE | STATX_SIZE, &st) != 0)
		return err_sys(e, errno, "usage of %s", hex);
	if (!S_ISREG(st.stx_mode))
		return err_set(e, PQC_ENOTFOUND, "usage of %s: no regular file", hex);
	*bytes = st.stx_size;
	return 0;
}

struct sum {
	char but[HEX_ID];
	uint64_t bytes, objects;
	struct err *e;
};

static uint64_t sum_of(uint64_t a, uint64_t b)
{
	return a + b >= a ? a + b : UINT64_MAX;
}

static int add_entry(void *arg, int dir, const char *name)
{
	struct sum *sum = arg;
	uint64_t bytes;
	int rc;

	if (!dir_is_id(name) || strcmp(name, sum->but) == 0)
		return 0;
	if ((rc = entry_len(dir, name, &bytes, sum->e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc; /* gone meanwhile */
	sum->bytes = sum_of(sum->bytes, bytes);
	sum->objects++;
	return 0;
}

int usage_sum(struct store *s, const uint8_t *owner, const uint8_t *but, uint64_t *bytes,
	      uint64_t *objects, struct err *e)
{
	struct sum sum = {.e = e};
	int dir, rc;

	if (but != NULL)
		hex_encode(but, FILE_ID_LEN, sum.but);
	if ((rc = owner_dir(s, owner, false, &dir, e)) == 0) {
		rc = dir_each(dir, add_entry, &sum, e);
		close(dir);
	}
	if (rc != 0 && rc != PQC_ENOTFOUND)
		return rc;
	*bytes = sum.bytes;
	*objects = sum.objects;
	return 0;
}

int usage_check(uint64_t used, uint64_t need, uint64_t quota, struct err *e)
{
	char used_text[16], need_text[16], quota_text[16];

	if (sum_of(used, need) <= quota)
		return 0;
	return err_set(e, PQC_EQUOTA, "over the quota: %s used, %s needed, %s allowed",
		       fmt_size(used, used_text), fmt_size(need, need_text),
		       fmt_size(quota, quota_text));
}

int usage_get(struct store *s, const uint8_t *owner, const uint8_t *file_id, uint64_t *bytes,
	      struct err *e)
{
	char hex[HEX_ID];
	int dir, rc;

	if ((rc = owner_dir(s, owner, false, &dir, e)) != 0)
		return rc;
	hex_encode(file_id, FILE_ID_LEN, hex);
	rc = entry_len(dir, hex, bytes, e);
	close(dir);
	return rc;
}

int usage_set(struct store *s, const uint8_t *owner, const uint8_t *file_id, uint64_t bytes,
	      struct err *e)
{
	char hex[HEX_ID];
	int dir, fd, rc;

	if (bytes > INT64_MAX)
		return err_sys(e, EFBIG, "usage");
	if ((rc = owner_dir(s, owner, true, &dir, e)) != 0)
		return rc;
	hex_encode(file_id, FILE_ID_LEN, hex);
	if ((rc = dir_file(dir, hex, O_RDWR | O_CREAT, &fd, e)) == 0) {
		if (ftruncate(fd, (off_t)bytes) != 0)
			rc = err_sys(e, errno, "usage of %s", hex);
		close(fd);
	}
	close(dir);
	return rc;
}

int usage_sync(struct store *s, const uint8_t *owner, const uint8_t *file_id, struct err *e)
{
	char hex[HEX_ID];
	int dir, fd, rc;

	if ((rc = owner_dir(s, owner, false, &dir, e)) != 0)
		return rc;
	hex_encode(file_id, FILE_ID_LEN, hex);
	if ((rc = dir_file(dir, hex, O_RDWR, &fd, e)) == 0) {
		rc = fsync(fd) == 0 ? file_fsync_dir(dir, e) : err_sys(e, errno, "fsync of usage");
		close(fd);
	}
	close(dir);
	return rc;
}

void usage_remove(struct store *s, const uint8_t *owner, const uint8_t *file_id)
{
	char hex[HEX_ID];
	int dir, rc;

	if (owner_dir(s, owner, false, &dir, NULL) != 0)
		return;
	hex_encode(file_id, FILE_ID_LEN, hex);
	rc = unlinkat(dir, hex, 0);
	(void)rc;
	close(dir);
}

/* ---- what others ask ---- */

struct all {
	struct store *s;
	uint64_t bytes, objects;
	struct err *e;
};

static int add_owner(void *arg, int dir, const char *name)
{
	struct all *all = arg;
	uint8_t owner[ID_LEN];
	uint64_t bytes, objects;
	int rc;

	(void)dir;
	if (!dir_is_id(name) || hex_decode(name, owner, ID_LEN) != 0)
		return 0;
	if ((rc = usage_sum(all->s, owner, NULL, &bytes, &objects, all->e)) != 0)
		return rc;
	all->bytes = sum_of(all->bytes, bytes);
	all->objects += objects;
	return 0;
}

int store_usage(struct store *s, const uint8_t *owner, uint64_t *bytes, uint64_t *objects,
		struct err *e)
{
	struct all all = {.s = s, .e = e};
	int rc;

	if (owner != NULL)
		return usage_sum(s, owner, NULL, bytes, objects, e);
	if ((rc = dir_each(s->usage, add_owner, &all, e)) != 0)
		return rc;
	*bytes = all.bytes;
	*objects = all.objects;
	return 0;
}

/* ---- a stream ---- */

/* Under the owner's lock. In steps, so that not every record waits for it; the last may be smaller. */
static int grow_locked(struct upload *u, uint64_t upto, uint64_t quota, struct err *e)
{
	const uint8_t *owner = u->r.info.owner, *id = u->h.file_id;
	uint64_t have = 0, used, objects, step;
	int rc = usage_get(u->s, owner, id, &have, e);

	if (rc != 0 && rc != PQC_ENOTFOUND)
		return rc;
	if (rc == 0 && have >= upto) {
		u->reserved = have;
		return 0;
	}
	if ((rc = usage_sum(u->s, owner, id, &used, &objects, e)) != 0)
		return rc;
	step = sum_of(upto, GROW_STEP - 1) / GROW_STEP * GROW_STEP;
	if (step < upto || sum_of(used, step) > quota)
		step = upto;
	if ((rc = usage_check(used, step, quota, e)) != 0 ||
	    (rc = usage_set(u->s, owner, id, step, e)) != 0 ||
	    (rc = usage_sync(u->s, owner, id, e)) != 0)
		return rc;
	u->reserved = step;
	return 0;
}

int upload_grow(struct upload *u, uint64_t upto, uint64_t quota, struct err *e)
{
	int lock, rc;

	if (upto <= u->reserved)
		return 0;
	if ((rc = upload_usable(u, e)) != 0 ||
	    (rc = usage_lock(u->s, u->r.info.owner, &lock, e)) != 0)
		return rc;
	rc = grow_locked(u, upto, quota, e);
	usage_unlock(lock);
	return rc;
}
