/*
 * Opening and closing. The orders of writes that make the store crash-safe are told where they
 * happen: upload.c, names.c, rlog.c; what a crash leaves behind is removed in sweep.c.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "store/store_impl.h"

static int open_subdir(const struct store *s, const char *name, int *fd, struct err *e)
{
	int rc = dir_make(s->root, name, e);

	return rc == 0 ? dir_open(s->root, name, fd, e) : rc;
}

static int take_lock(struct store *s, struct err *e)
{
	int rc = dir_file(s->root, "lock", O_RDWR | O_CREAT, &s->lock_fd, e);

	if (rc != 0)
		return rc;
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_sys(e, errno, "lock");
	return err_set(e, PQC_ECONFIG,
		       "another server uses this directory: stop it, or give this "
		       "one a directory of its own");
}

static int open_layout(struct store *s, const char *dir, struct err *e)
{
	int rc;

	if ((rc = file_mkdirs(dir, 0700, e)) != 0)
		return rc;
	if ((s->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "%s", dir);
	if ((rc = take_lock(s, e)) != 0 || (rc = open_subdir(s, "objects", &s->objects, e)) != 0 ||
	    (rc = open_subdir(s, "names", &s->names, e)) != 0 ||
	    (rc = open_subdir(s, "trash", &s->trash, e)) != 0)
		err_prefix(e, "%s", dir);
	return rc;
}

int store_open(struct store **out, const char *dir, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_set(e, PQC_ENOMEM, "no memory to open the store");
	s->root = s->objects = s->names = s->trash = s->lock_fd = -1;
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
	const int fds[] = {s->objects, s->names, s->trash, s->lock_fd, s->root};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	rlog_end(&s->log);
	pthread_mutex_destroy(&s->lock);
	free(s);
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
