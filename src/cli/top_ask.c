/* Who is there to be asked, and asking all of them at the same time. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"
#include "base/text.h"
#include "cli/top.h"
#include "net/fetch.h"

#define ANSWER_MAX  ((size_t)32 << 20)
#define URL_MAX	    2048
#define ASK_THREADS 16

struct ask {
	struct job job;
	const struct top_opts *o;
	struct top_process *p;
	char socket[NAME_MAX + 32]; /* "": o->url */
	uint64_t pid;		    /* by the socket's name; 0: not known */
};

/* ---- one process ---- */

/* The body of base/path into body, and its status. */
static int ask_path(const struct ask *a, const char *path, int *status, struct buf *body,
		    struct err *e)
{
	char url[URL_MAX];
	const struct fetch f = {
		.url = url,
		.unix_path = a->socket[0] != '\0' ? a->socket : NULL,
		.headers = "Accept: application/json\r\n",
		.tls = a->o->tls,
		.timeout_ms = a->o->timeout_ms,
		.answer_max = ANSWER_MAX,
		.cancel = a->o->cancel,
	};

	if (snprintf(url, sizeof(url), "%s%s", a->o->url != NULL ? a->o->url : "http://localhost",
		     path) >= (int)sizeof(url))
		return err_set(e, PQC_EUSAGE, "the address is too long");
	buf_reset(body);
	return fetch_run(&f, status, body, e);
}

static int ask_health(const struct ask *a, struct buf *body, struct err *e)
{
	int status, rc = ask_path(a, "/health", &status, body, e);

	/* A socket that refuses is the trace of a process that was killed. */
	if ((rc == PQC_ETEMP || rc == PQC_ENOTFOUND) && a->socket[0] != '\0')
		a->p->gone = true;
	if (rc != 0)
		return rc;
	if (status != 200 && status != 503)
		return err_set(e, PQC_EPROTO, "/health: expected status 200 or 503, found %d",
			       status);
	return top_read_health(body->p, body->len, a->p, e);
}

/* What only a monitor listener and the socket tell: that it is not there is no error. */
static int ask_more(const struct ask *a, const char *path,
		    int (*read)(const void *body, size_t n, struct top_process *p, struct err *e),
		    struct buf *body, struct err *e)
{
	int status, rc = ask_path(a, path, &status, body, e);

	if (rc != 0)
		return err_prefix(e, "%s", path);
	if (status == 404)
		return 0;
	if (status != 200)
		return err_set(e, PQC_EPROTO, "%s: expected status 200, found %d", path, status);
	return read(body->p, body->len, a->p, e);
}

static void ask_run(struct job *job)
{
	const struct ask *a = (const struct ask *)job;
	struct buf body = BUF_INIT(ANSWER_MAX);
	struct err e = {0};
	int rc = ask_health(a, &body, &e);

	if (a->p->pid == 0)
		a->p->pid = a->pid;
	if (rc == 0)
		rc = ask_more(a, "/performance-metrics", top_read_figures, &body, &e);
	if (rc == 0)
		rc = ask_more(a, "/transfers", top_read_transfers, &body, &e);
	if (rc != 0) {
		a->p->status = TOP_UNREACHABLE;
		snprintf(a->p->error, sizeof(a->p->error), "%s", e.msg);
	}
	buf_free(&body);
}

/* ---- all of them ---- */

struct crowd {
	struct ask *ask;
	size_t n;
	int dir; /* DIR/run, or -1 */
};

/* The process id that "HOST-123.sock" or "123.sock" names, 0: none. False: it is no socket's name. */
static bool socket_name(const char *name, uint64_t *pid)
{
	const char *end = strrchr(name, '.'), *digits;
	uint64_t n = 0;

	if (end == NULL || end == name || strcmp(end, ".sock") != 0)
		return false;
	for (digits = end; digits > name && digits[-1] >= '0' && digits[-1] <= '9'; digits--)
		;
	for (const char *p = digits; p < end && n <= INT32_MAX; p++)
		n = 10 * n + (uint64_t)(*p - '0');
	*pid = n <= INT32_MAX ? n : 0;
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct ask *x = a, *y = b;

	return x->pid != y->pid ? (x->pid < y->pid ? -1 : 1) : strcmp(x->socket, y->socket);
}

/* The socket is named through the descriptor: sun_path is too short for many a directory. */
static int find_sockets(struct crowd *c, DIR *d, struct err *e)
{
	const struct dirent *entry;

	while ((entry = readdir(d)) != NULL) {
		uint64_t pid;
		struct ask *a;

		if (!socket_name(entry->d_name, &pid))
			continue;
		if (c->n == TOP_PROCESSES_MAX)
			return err_set(e, PQC_ETOOBIG, "more than %d sockets", TOP_PROCESSES_MAX);
		a = &c->ask[c->n++];
		a->pid = pid;
		snprintf(a->socket, sizeof(a->socket), "/proc/self/fd/%d/%s", c->dir,
			 entry->d_name);
	}
	qsort(c->ask, c->n, sizeof(*c->ask), by_name);
	return 0;
}

static int find_local(struct crowd *c, const struct top_opts *o, struct err *e)
{
	char path[PATH_MAX + 8];
	DIR *d;
	int rc;

	snprintf(path, sizeof(path), "%s/run", o->dir);
	if ((d = opendir(path)) == NULL) {
		if (errno == ENOENT)
			return 0;
		rc = err_sys(e, errno, "%s", path);
		return rc == PQC_EREFUSED ? err_set(e, rc, "%s; ask as the server's user", e->msg)
					  : rc;
	}
	if ((c->dir = fcntl(dirfd(d), F_DUPFD_CLOEXEC, 0)) < 0)
		rc = err_sys(e, errno, "%s", path);
	else if ((rc = find_sockets(c, d, e)) != 0)
		err_prefix(e, "%s", path);
	closedir(d);
	return rc;
}

static int find(struct crowd *c, const struct top_opts *o, struct err *e)
{
	c->dir = -1;
	c->n = 0;
	if ((c->ask = calloc(TOP_PROCESSES_MAX, sizeof(*c->ask))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if (o->url == NULL)
		return find_local(c, o, e);
	c->n = 1;
	return 0;
}

static void nobody_waits(void *arg)
{
	(void)arg;
}

/* Without threads one after the other does too. */
static void ask_all(struct crowd *c)
{
	struct pool_opts o = {.threads = c->n > 1 ? (unsigned)c->n : 0, .notify = nobody_waits};
	struct pool *pool = NULL;

	if (o.threads > ASK_THREADS)
		o.threads = ASK_THREADS;
	if (pool_new(&pool, &o) != 0)
		pool = NULL;
	for (size_t i = 0; i < c->n; i++) {
		c->ask[i].job.run = ask_run;
		if (pool != NULL)
			pool_submit(pool, &c->ask[i].job);
		else
			ask_run(&c->ask[i].job);
	}
	pool_free(pool); /* waits for them */
}

/* "process 123" or "process HOST-123", by the socket's name; the URL. */
static void name_process(const struct ask *a)
{
	const char *slash = strrchr(a->socket, '/'), *name = slash != NULL ? slash + 1 : a->o->url;
	size_t n = strlen(name) - (slash != NULL ? strlen(".sock") : 0);
	char clean[TOP_TEXT - 16];

	top_clean(name, n, false, clean, sizeof(clean));
	snprintf(a->p->from, sizeof(a->p->from), "%s%s", slash != NULL ? "process " : "", clean);
}

static void free_process(struct top_process *p)
{
	free(p->active);
	free(p->queue);
}

/* Dead processes out of the list. */
static void drop_gone(struct top_snapshot *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->processes; i++) {
		if (s->process[i].gone)
			free_process(&s->process[i]);
		else
			s->process[kept++] = s->process[i];
	}
	s->processes = kept;
}

static int ask_crowd(struct crowd *c, const struct top_opts *o, struct top_snapshot *s,
		     struct err *e)
{
	if ((s->process = calloc(c->n + 1, sizeof(*s->process))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	for (; s->processes < c->n; s->processes++) {
		struct ask *a = &c->ask[s->processes];

		a->o = o;
		a->p = &s->process[s->processes];
		top_process_init(a->p);
		name_process(a);
	}
	ask_all(c);
	drop_gone(s);
	if (s->processes == 0)
		err_set(&s->error, PQC_EFAIL, "no server runs on %s: pqc serve --data-dir %s",
			o->dir, o->dir);
	return 0;
}

int top_take(const struct top_opts *o, struct top_snapshot **out, struct err *e)
{
	struct top_snapshot *s = calloc(1, sizeof(*s));
	struct crowd c;
	int rc = 0;

	if (s == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	s->time = clock_unix();
	if (find(&c, o, &s->error) == 0)
		rc = ask_crowd(&c, o, s, e);
	if (rc == 0)
		rc = top_sum(s, e);
	if (c.dir >= 0)
		close(c.dir);
	free(c.ask);
	if (rc != 0)
		top_free(s);
	else
		*out = s;
	return rc;
}

void top_free(struct top_snapshot *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->processes; i++)
		free_process(&s->process[i]);
	free(s->process);
	free(s->active);
	free(s->queue);
	free(s);
}
