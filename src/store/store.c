/*
 * Opening and closing. The orders of writes that make the store crash-safe are told where they
 * happen: upload.c, names.c, rlog.c; what a crash leaves behind is removed in sweep.c.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/secmem.h"
#include "store/store_impl.h"

static int open_subdir(const struct store *s, const char *name, int *fd, struct err *e)
{
	int rc = dir_make(s->root, name, e);

	return rc == 0 ? dir_open(s->root, name, fd, e) : rc;
}

static int open_layout(struct store *s, const char *dir, struct err *e)
{
	int rc;

	if ((rc = file_mkdirs(dir, 0700, e)) != 0)
		return rc;
	if ((s->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "%s", dir);
	if ((rc = dir_file(s->root, "lock", O_RDWR | O_CREAT, &s->lock_fd, e)) != 0 ||
	    (rc = open_subdir(s, "objects", &s->objects, e)) != 0 ||
	    (rc = open_subdir(s, "names", &s->names, e)) != 0 ||
	    (rc = open_subdir(s, "trash", &s->trash, e)) != 0 ||
	    (rc = open_subdir(s, "usage", &s->usage, e)) != 0)
		err_prefix(e, "%s", dir);
	return rc;
}

int store_open(struct store **out, const char *dir, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_set(e, PQC_ENOMEM, "no memory to open the store");
	s->root = s->objects = s->names = s->trash = s->usage = s->lock_fd = -1;
	if (pthread_mutex_init(&s->lock, NULL) != 0) {
		free(s);
		return err_set(e, PQC_ENOMEM, "no memory to open the store");
	}
	if ((rc = rlog_init(&s->log)) != 0) {
		pthread_mutex_destroy(&s->lock);
		free(s);
		return err_set(e, rc, "no memory to open the store");
	}
	if ((rc = open_layout(s, dir, e)) != 0) {
		store_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	const int fds[] = {s->objects, s->names, s->trash, s->usage, s->lock_fd, s->root};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	rlog_end(&s->log);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int store_lock(struct store *s, struct err *e)
{
	int rc;

	/* All threads share lock_fd, which flock(2) takes for one: the mutex is between them. */
	pthread_mutex_lock(&s->lock);
	if ((rc = dir_lock(s->lock_fd, true, e)) == 0)
		return 0;
	pthread_mutex_unlock(&s->lock);
	err_prefix(e, "the data directory");
	return rc;
}

void store_unlock(struct store *s)
{
	flock(s->lock_fd, LOCK_UN);
	pthread_mutex_unlock(&s->lock);
}

int store_space(const struct store *s, uint64_t *free_bytes, uint64_t *total_bytes)
{
	struct statvfs v;

	if (fstatvfs(s->root, &v) != 0)
		return PQC_EIO;
	*free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	*total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
	return 0;
}

/* ---- the health check ---- */

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ns_of(now);
}

/* How far the file's time is outside of what passed here while it was written. */
static int write_probe(int fd, int64_t *offset_ns, struct err *e)
{
	static const char text[] = "a health check of pqc writes this and removes it\n";
	int64_t before = clock_ns(), after, at;
	struct stat st;
	int rc;

	if ((rc = file_write(fd, text, sizeof(text) - 1, e)) != 0)
		return rc;
	if (fsync(fd) != 0)
		return err_sys(e, errno, "fsync");
	after = clock_ns();
	if (fstat(fd, &st) != 0)
		return err_sys(e, errno, "fstat");
	at = ns_of(st.st_mtim);
	*offset_ns = at < before ? at - before : at > after ? at - after : 0;
	return 0;
}

int store_probe(struct store *s, int64_t *offset_seconds, struct err *e)
{
	char name[64];
	uint64_t number;
	int64_t ns = 0;
	int fd, rc;

	/* Random: process numbers repeat on other hosts. The prefix: the sweep gets what a crash leaves. */
	if ((rc = random_bytes(&number, sizeof(number))) != 0)
		return err_set(e, rc, "no randomness");
	snprintf(name, sizeof(name), FILE_TMP_PREFIX "probe-%016llx", (unsigned long long)number);
	if ((rc = dir_file(s->root, name, O_RDWR | O_CREAT | O_EXCL, &fd, e)) != 0)
		return rc;
	rc = write_probe(fd, &ns, e);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(e, errno, "close");
	if (unlinkat(s->root, name, 0) != 0 && rc == 0)
		rc = err_sys(e, errno, "unlink");
	if (rc != 0)
		return err_prefix(e, "%s", name), rc;
	*offset_seconds = ns / 1000000000;
	return 0;
}
