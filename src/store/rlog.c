/*
 * The receipt log: entry hashes, one after another, and nothing else. Several
 * processes may append to one log: the file is locked while one does, and each
 * takes up what the others appended.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/store_impl.h"

#define READ_ENTRIES 256

int rlog_init(struct rlog *l)
{
	l->fd = -1;
	return pthread_mutex_init(&l->lock, NULL) == 0 ? 0 : PQC_ENOMEM;
}

void rlog_end(struct rlog *l)
{
	if (l->fd >= 0)
		close(l->fd);
	pthread_mutex_destroy(&l->lock);
}

/* Have the log of this suite open. */
static int rlog_open(struct rlog *l, int root, const struct suite *suite, struct err *e)
{
	char name[32];
	int fd, rc;

	if (l->fd >= 0 && l->t.suite == suite)
		return 0;
	snprintf(name, sizeof(name), "receipts-%u.log", suite->id);
	if ((rc = dir_file(root, name, O_RDWR | O_CREAT, &fd, e)) != 0)
		return rc;
	if ((rc = file_fsync_dir(root, e)) != 0) {
		close(fd);
		return rc;
	}
	if (l->fd >= 0)
		close(l->fd);
	l->fd = fd;
	tree_init(&l->t, suite);
	return 0;
}

/* Add entries l->t.n to n-1 of the file to the tree. */
static int take_in(struct rlog *l, uint64_t n, struct err *e)
{
	uint8_t batch[READ_ENTRIES * HASH_MAX];
	size_t len = l->t.suite->hash_len;
	int rc;

	while (l->t.n < n) {
		uint64_t left = n - l->t.n;
		size_t count = left < READ_ENTRIES ? (size_t)left : READ_ENTRIES;

		if ((rc = file_pread(l->fd, batch, count * len, l->t.n * len, e)) != 0)
			return rc;
		for (size_t k = 0; k < count; k++)
			if ((rc = tree_add(&l->t, batch + k * len)) != 0)
				return err_set(e, rc, "hashing failed");
	}
	return 0;
}

/* The tree as the file has it. An entry that a crash left half does not count: it is written over. */
static int catch_up(struct rlog *l, struct err *e)
{
	size_t len = l->t.suite->hash_len;
	struct stat st;
	uint64_t n;

	if (fstat(l->fd, &st) != 0)
		return err_sys(e, errno, "fstat");
	n = (uint64_t)st.st_size / len;
	if (n < l->t.n)
		return err_set(e, PQC_EINTEGRITY, "it is shorter than it was: %llu entries of %llu",
			       (unsigned long long)n, (unsigned long long)l->t.n);
	return take_in(l, n, e);
}

static int write_entry(struct rlog *l, const uint8_t *entry, struct err *e)
{
	size_t len = l->t.suite->hash_len;
	uint64_t at = l->t.n * len;
	int rc = file_pwrite(l->fd, entry, len, at, e);

	if (rc == 0 && fdatasync(l->fd) != 0)
		rc = err_sys(e, errno, "fdatasync");
	/* Should cutting fail too, the entry is one that no receipt speaks of: harmless. */
	if (rc != 0 && ftruncate(l->fd, (off_t)at) != 0)
		return rc;
	return rc;
}

/* The file is locked. */
static int append(struct rlog *l, const uint8_t *core, uint64_t *index, uint8_t *root,
		  struct err *e)
{
	static const uint8_t leaf_tag = 0x00;
	uint8_t number[8], entry[HASH_MAX];
	const struct span in[] = {{&leaf_tag, 1}, {number, sizeof(number)}, {core, SHA512_LEN}};
	struct tree grown;
	int rc;

	if ((rc = catch_up(l, e)) != 0)
		return rc;
	be64_put(number, l->t.n);
	grown = l->t;
	if ((rc = tree_hash(l->t.suite, in, 3, entry)) != 0 ||
	    (rc = tree_add(&grown, entry)) != 0 || (rc = tree_root(&grown, root)) != 0)
		return err_set(e, rc, "hashing failed");
	if ((rc = write_entry(l, entry, e)) != 0)
		return rc;
	*index = l->t.n;
	l->t = grown;
	return 0;
}

int store_log_append(struct store *s, const struct suite *suite, const uint8_t core[SHA512_LEN],
		     uint64_t *index, uint8_t *root, struct err *e)
{
	struct rlog *l = &s->log;
	int rc;

	pthread_mutex_lock(&l->lock);
	if ((rc = rlog_open(l, s->root, suite, e)) != 0)
		goto out;
	if ((rc = dir_lock(l->fd, true, e)) != 0)
		goto out;
	rc = append(l, core, index, root, e);
	flock(l->fd, LOCK_UN);
out:
	pthread_mutex_unlock(&l->lock);
	if (rc != 0)
		err_prefix(e, "receipt log");
	return rc;
}
