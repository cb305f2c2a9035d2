#include "client/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/slots.h"

#define JOURNAL_VERSION 1
#define KEY_BYTES	32
#define PRINT_LEN	32
#define SLOTS_AT	(4 + 1 + 1 + PRINT_LEN + PQX_HEADER_LEN)

static const char magic[4] = "pqxj";

struct journal {
	int dir, fd;
	char name[2 * KEY_BYTES + 1];
	enum journal_kind kind;
	bool started; /* header and fingerprint are of this file */
	struct pqx_header h;
	uint8_t fingerprint[PRINT_LEN];
};

static struct slots slots_of(const struct journal *j)
{
	return (struct slots){j->fd, SLOTS_AT, &j->h};
}

/* Take in what the file begins with, if that is a journal of our kind. */
static void read_head(struct journal *j)
{
	uint8_t head[SLOTS_AT];

	if (file_pread(j->fd, head, sizeof(head), 0, NULL) != 0)
		return;
	if (memcmp(head, magic, 4) != 0 || head[4] != JOURNAL_VERSION || head[5] != j->kind)
		return;
	if (pqx_header_decode(head + 6 + PRINT_LEN, &j->h) != 0)
		return;
	memcpy(j->fingerprint, head + 6, PRINT_LEN);
	j->started = true;
}

/* Is the file that we have open and locked still the one of that name? */
static int check_named(const struct journal *j, bool *is, struct err *e)
{
	struct stat ours, named;

	*is = false;
	if (fstat(j->fd, &ours) != 0)
		return err_sys(e, errno, "journal %s", j->name);
	if (fstatat(j->dir, j->name, &named, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "journal %s", j->name);
	*is = ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
	return 0;
}

static int open_locked(struct journal *j, struct err *e)
{
	const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	bool named;
	int rc;

	for (;;) {
		if ((j->fd = openat(j->dir, j->name, flags, 0600)) < 0)
			return err_sys(e, errno, "journal %s", j->name);
		if (flock(j->fd, LOCK_EX | LOCK_NB) != 0)
			return errno == EWOULDBLOCK
				       ? err_set(e, PQC_ETEMP,
						 "another process is at this transfer")
				       : err_sys(e, errno, "lock of journal %s", j->name);
		if ((rc = check_named(j, &named, e)) != 0 || named)
			return rc;
		/* Its last owner finished and removed it between our open and lock. */
		close(j->fd);
	}
}

int journal_open(const char *dir, enum journal_kind kind, const uint8_t key[32],
		 struct journal **out, struct err *e)
{
	struct journal *j;
	int rc;

	if ((rc = file_mkdirs(dir, 0700, e)) != 0)
		return rc;
	if ((j = calloc(1, sizeof(*j))) == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for a journal");
	j->kind = kind;
	j->fd = -1;
	hex_encode(key, KEY_BYTES, j->name);
	if ((j->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		rc = err_sys(e, errno, "%s", dir);
	else
		rc = open_locked(j, e);
	if (rc != 0) {
		journal_free(j);
		return rc;
	}
	read_head(j);
	*out = j;
	return 0;
}

void journal_free(struct journal *j)
{
	if (j == NULL)
		return;
	if (j->fd >= 0)
		close(j->fd);
	if (j->dir >= 0)
		close(j->dir);
	free(j);
}

const struct pqx_header *journal_header(const struct journal *j)
{
	return j->started ? &j->h : NULL;
}

const uint8_t *journal_fingerprint(const struct journal *j)
{
	return j->started ? j->fingerprint : NULL;
}

int journal_start(struct journal *j, const struct pqx_header *h, const uint8_t fingerprint[32],
		  struct err *e)
{
	uint8_t head[SLOTS_AT];
	int rc;

	memcpy(head, magic, 4);
	head[4] = JOURNAL_VERSION;
	head[5] = (uint8_t)j->kind;
	memcpy(head + 6, fingerprint, PRINT_LEN);
	memcpy(head + 6 + PRINT_LEN, h->raw, PQX_HEADER_LEN);
	j->started = false;
	if (ftruncate(j->fd, 0) != 0) {
		rc = err_sys(e, errno, "truncate");
	} else if ((rc = file_pwrite(j->fd, head, sizeof(head), 0, e)) == 0 &&
		   (rc = journal_sync(j, e)) == 0) {
		rc = file_fsync_dir(j->dir, e);
	}
	if (rc != 0) {
		err_prefix(e, "journal %s", j->name);
		return rc;
	}
	j->h = *h;
	memcpy(j->fingerprint, fingerprint, PRINT_LEN);
	j->started = true;
	return 0;
}

int journal_put(struct journal *j, uint64_t i, const uint8_t *leaf, struct err *e)
{
	const struct slots slots = slots_of(j);
	int rc;

	if (!j->started || i >= PQX_PARTS_MAX)
		return err_set(e, PQC_EUSAGE, "journal: no place for part %llu",
			       (unsigned long long)i);
	if ((rc = slots_put(&slots, i, leaf, e)) != 0)
		err_prefix(e, "journal %s", j->name);
	return rc;
}

int journal_leaf(struct journal *j, uint64_t i, uint8_t *leaf)
{
	const struct slots slots = slots_of(j);

	return j->started && i < PQX_PARTS_MAX ? slots_get(&slots, i, leaf) : PQC_ENOTFOUND;
}

uint64_t journal_slots(const struct journal *j)
{
	const struct slots slots = slots_of(j);
	uint64_t n;

	return j->started && slots_count(&slots, &n) == 0 ? n : 0;
}

int journal_sync(struct journal *j, struct err *e)
{
	return fdatasync(j->fd) == 0 ? 0 : err_sys(e, errno, "fdatasync of journal %s", j->name);
}

int journal_remove(struct journal *j, struct err *e)
{
	j->started = false;
	if (unlinkat(j->dir, j->name, 0) != 0 && errno != ENOENT)
		return err_sys(e, errno, "removing journal %s", j->name);
	return file_fsync_dir(j->dir, e);
}
