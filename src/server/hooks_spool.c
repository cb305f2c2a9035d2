/* Events as files: the name says when, which and for whom, the time of change when to try next. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "crypto/secmem.h"
#include "server/hooks_impl.h"

#define EVENTS_MODE  0700
#define EVENT_MODE   0600
#define FAR_MS	     (UINT64_C(2) * 3600 * 1000) /* nothing is put off for as long as that */
#define LEFT_OVER_MS (UINT64_C(600) * 1000)	 /* a temporary file older than that has no owner */

uint64_t hooks_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int open_dir(const char *path, int *fd, struct err *e)
{
	int r = file_mkdirs(path, EVENTS_MODE, e);

	if (r != 0)
		return r;
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd >= 0 ? 0 : err_sys(e, errno, "%s", path);
}

int spool_open(struct spool *s, const char *data_dir, struct err *e)
{
	char path[PATH_MAX];
	int r;

	s->dir = s->failed = -1;
	if (snprintf(path, sizeof(path), "%s/events/failed", data_dir) >= (int)sizeof(path))
		return err_sys(e, ENAMETOOLONG, "%s", data_dir);
	if ((r = open_dir(path, &s->failed, e)) != 0)
		return r;
	*strrchr(path, '/') = '\0';
	if ((r = open_dir(path, &s->dir, e)) != 0)
		spool_close(s);
	return r;
}

void spool_close(struct spool *s)
{
	if (s->dir >= 0)
		close(s->dir);
	if (s->failed >= 0)
		close(s->failed);
	s->dir = s->failed = -1;
}

int event_id(char id[EVENT_ID_LEN + 1])
{
	uint8_t random[10];
	char hex[2 * sizeof(random) + 1];
	int r = random_bytes(random, sizeof(random));

	if (r != 0)
		return r;
	hex_encode(random, sizeof(random), hex);
	snprintf(id, EVENT_ID_LEN + 1, "evt_%012" PRIx64 "%s",
		 hooks_now() & UINT64_C(0xffffffffffff), hex);
	return 0;
}

int spool_put(struct spool *s, const char *id, const char *kind, const struct buf *body,
	      struct err *e)
{
	char name[EVENT_NAME_MAX];

	snprintf(name, sizeof(name), "%s.%s.json", id, kind);
	return file_replace(s->dir, name, body->p, body->len, EVENT_MODE, e);
}

/* ---- looking for what is due ---- */

static bool name_matches(const char *name, const char *kind)
{
	char end[EVENT_NAME_MAX];

	if (strlen(name) < EVENT_ID_LEN || strncmp(name, "evt_", 4) != 0 ||
	    strspn(name + 4, "0123456789abcdef") != EVENT_ID_LEN - 4)
		return false;
	snprintf(end, sizeof(end), ".%s.json", kind);
	return strcmp(name + EVENT_ID_LEN, end) == 0;
}

static uint64_t mtime_of(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000 + (uint64_t)st->st_mtim.tv_nsec / 1000000;
}

/* A time in the far future is not ours, or the clock has been set back since. */
static bool is_due(uint64_t at, uint64_t now)
{
	return at <= now || at > now + FAR_MS;
}

/* Keep the oldest; names begin with the time, so that they sort by it. */
static void note_due(struct spool_list *l, const char *name)
{
	size_t i = l->n;

	if (l->n == DUE_MAX && strcmp(name, l->due[DUE_MAX - 1]) > 0)
		return;
	if (l->n < DUE_MAX)
		l->n++;
	else
		i--;
	for (; i > 0 && strcmp(name, l->due[i - 1]) < 0; i--)
		memcpy(l->due[i], l->due[i - 1], EVENT_NAME_MAX);
	snprintf(l->due[i], EVENT_NAME_MAX, "%.*s", EVENT_NAME_MAX - 1, name);
}

static void look_at(struct spool *s, const char *name, const char *kind, struct spool_list *l)
{
	bool left_over = strncmp(name, FILE_TMP_PREFIX, strlen(FILE_TMP_PREFIX)) == 0;
	uint64_t now = hooks_now(), at;
	struct stat st;

	if (!left_over && !name_matches(name, kind))
		return;
	if (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return;
	at = mtime_of(&st);
	if (left_over) {
		if (at + LEFT_OVER_MS < now)
			unlinkat(s->dir, name, 0);
		return;
	}
	l->pending++;
	if (is_due(at, now))
		note_due(l, name);
	else if (at < l->next)
		l->next = at;
}

int spool_list(struct spool *s, const char *kind, struct spool_list *l, struct err *e)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	l->n = 0;
	l->next = UINT64_MAX;
	l->pending = 0;
	if (!d) {
		if (fd >= 0)
			close(fd);
		return err_sys(e, errno, "events");
	}
	while ((entry = readdir(d)) != NULL)
		look_at(s, entry->d_name, kind, l);
	closedir(d);
	return 0;
}

/* ---- one event ---- */

/* Is name still the file that was opened and locked, and due? Another process may have been faster. */
static bool still_there(struct spool *s, const struct event *ev)
{
	struct stat mine, named;

	return fstat(ev->fd, &mine) == 0 && S_ISREG(mine.st_mode) &&
	       fstatat(s->dir, ev->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_dev == named.st_dev && mine.st_ino == named.st_ino &&
	       is_due(mtime_of(&mine), hooks_now());
}

static void read_name(struct event *ev, const char *name)
{
	char hex[13];

	snprintf(ev->name, sizeof(ev->name), "%s", name);
	snprintf(ev->id, sizeof(ev->id), "%s", name);
	snprintf(hex, sizeof(hex), "%s", name + 4);
	ev->created = strtoull(hex, NULL, 16);
}

/* Is the body what hooks_post makes? */
static int check_body(struct event *ev)
{
	json_t *root =
		json_loadb((const char *)ev->body.p, ev->body.len, JSON_REJECT_DUPLICATES, NULL);
	const char *type = json_string_value(json_object_get(root, "type"));
	bool ok = type && strlen(type) < sizeof(ev->type) && json_object_get(root, "timestamp") &&
		  json_object_get(root, "data");

	if (ok)
		snprintf(ev->type, sizeof(ev->type), "%s", type);
	json_decref(root);
	return ok ? 0 : PQC_EINTEGRITY;
}

static int read_body(struct event *ev)
{
	uint8_t *p = buf_extend(&ev->body, HOOKS_EVENT_MAX + 1);
	size_t got = 0;

	if (!p)
		return PQC_ENOMEM;
	if (file_read(ev->fd, p, HOOKS_EVENT_MAX + 1, &got, NULL) != 0)
		return PQC_EIO;
	buf_truncate(&ev->body, got);
	return got > HOOKS_EVENT_MAX ? PQC_EINTEGRITY : check_body(ev);
}

int spool_take(struct spool *s, const char *name, struct event *ev)
{
	int r = PQC_EAGAIN;

	memset(ev, 0, sizeof(*ev));
	buf_init(&ev->body, HOOKS_EVENT_MAX + 1);
	read_name(ev, name);
	ev->fd = openat(s->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (ev->fd >= 0 && flock(ev->fd, LOCK_EX | LOCK_NB) == 0 && still_there(s, ev))
		r = read_body(ev);
	if (r != 0 && r != PQC_EINTEGRITY) {
		spool_release(ev);
		r = PQC_EAGAIN;
	}
	return r;
}

void spool_release(struct event *ev)
{
	if (ev->fd >= 0)
		close(ev->fd); /* and unlock */
	ev->fd = -1;
	buf_free(&ev->body);
}

void spool_delivered(struct spool *s, const struct event *ev)
{
	/*
	 * If the power fails before this is on disk, the event is delivered again; if the disk
	 * does not take it, too, but not at once.
	 */
	if (unlinkat(s->dir, ev->name, 0) != 0)
		spool_postpone(ev, hooks_now() + FAR_MS / 2);
}

void spool_give_up(struct spool *s, const struct event *ev)
{
	if (renameat(s->dir, ev->name, s->failed, ev->name) != 0)
		spool_postpone(ev, hooks_now() + FAR_MS / 2);
}

void spool_postpone(const struct event *ev, uint64_t until)
{
	struct timespec t = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};

	/* Without it the event is due at once; the courier's own patience holds it back. */
	(void)!futimens(ev->fd, (const struct timespec[]){t, t});
}

int spool_reopen(struct spool *s, const struct event *ev)
{
	return openat(s->dir, ev->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}
