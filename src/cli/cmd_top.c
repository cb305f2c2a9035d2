#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"
#include "cli/out.h"
#include "cli/top.h"
#include "cli/top_screen.h"
#include "cli/verbs.h"
#include "net/fetch.h"

#define PAGE_MAX ((size_t)64 << 20) /* TOP_ROWS_MAX rows of every process would not be read */

static const struct opt options[] = {
	{.name = "data-dir",
	 .letter = 'd',
	 .kind = OPT_DIR,
	 .arg = "DIR",
	 .help = "The server's data directory, when there is no URL; without it "
		 "$PQC_HOME/server"},
	{.name = "interval",
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .def = "2s",
	 .min = 200,
	 .max = 3600000,
	 .help = "How often to ask"},
	{.name = "once",
	 .kind = OPT_FLAG,
	 .help = "Ask once and print what is to be seen; without a terminal this is so anyway, but "
		 "for --json"},
	{.name = "json",
	 .kind = OPT_FLAG,
	 .help = "Print everything as a JSON object, one a line every --interval"},
	{.name = "timeout",
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .def = "5s",
	 .min = 1,
	 .max = 3600000,
	 .help = "How long an answer may take"},
	{.name = "ca",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Certificates to trust for https://; without it the system's"},
	{0},
};
static const struct opt *const tables[] = {options, common_options, NULL};

struct top {
	struct job job; /* a look at the server, on the pool's thread */
	struct top_opts o;
	struct tls_ctx *tls;
	char *url;
	uint64_t interval_ms;
	bool json, https;

	/* ---- of a live view ---- */
	struct pool *pool;
	struct screen screen;
	struct top_snapshot *shown, *next;
	atomic_bool cancel;
	sigset_t signals, before; /* before: as the program was started */
	int wake, signal_fd;
	bool on_screen, asking, end;
	uint64_t due; /* clock_ms, of the next look */
	struct err e; /* of the look */
	int rc;
};

/* ---- options ---- */

static int take_url(struct top *t, const char *url, struct err *e)
{
	size_t n = strlen(url);
	struct fetch_url u;
	int rc;

	if ((rc = fetch_url_parse(url, &u, e)) != 0)
		return rc;
	if (strchr(url, '?') != NULL)
		return err_set(e, PQC_EUSAGE,
			       "expected nothing behind host and port, found '%.200s'", url);
	if ((t->url = strdup(url)) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	while (n > 0 && t->url[n - 1] == '/')
		t->url[--n] = '\0';
	t->o.url = t->url;
	t->https = u.at.tls;
	return 0;
}

static int take_options(struct top *t, const struct cli *c, struct err *e)
{
	int rc;

	t->interval_ms = opt_number(c->opts, "interval");
	t->json = opt_flag(c->opts, "json");
	t->o.timeout_ms = (unsigned)opt_number(c->opts, "timeout");
	t->o.cancel = &t->cancel;
	if (c->argc == 0)
		return path_option(c, "data-dir", "server", t->o.dir, e);
	if ((rc = take_url(t, c->argv[0], e)) != 0)
		return rc;
	if (t->https && (rc = tls_client_ctx(opt_text(c->opts, "ca"), &t->tls, e)) != 0)
		return rc;
	t->o.tls = t->tls;
	return 0;
}

/* ---- once ---- */

static int print_page(const struct top_snapshot *s, struct err *e)
{
	const struct top_layout plain = {0};
	struct buf b = BUF_INIT(PAGE_MAX);
	int rc = top_page(s, &plain, &b, e);
	const char *text = buf_cstr(&b);

	if (rc == 0 && text != NULL) {
		out("%s", text);
		rc = out_finish(e);
	}
	buf_free(&b);
	return rc;
}

static int once(struct top *t, struct err *e)
{
	struct top_snapshot *s = NULL;
	int rc = top_take(&t->o, &s, e);

	if (rc != 0)
		return rc;
	if ((rc = t->json ? top_print_json(s, e) : print_page(s, e)) == 0)
		rc = top_verdict(s, e);
	top_free(s);
	return rc;
}

/* ---- live: one thread asks, this one has the terminal, the clock and the signals ---- */

static void look(struct job *job)
{
	struct top *t = (struct top *)job;

	t->rc = top_take(&t->o, &t->next, &t->e);
}

static void looked(struct job *job)
{
	struct top *t = (struct top *)job;

	t->asking = false;
	if (t->rc != 0)
		return;
	top_free(t->shown);
	t->shown = t->next;
	t->next = NULL;
}

static void wake(void *arg)
{
	const struct top *t = arg;
	uint64_t one = 1;
	ssize_t n = write(t->wake, &one, sizeof(one));

	(void)n; /* a counter that is full wakes too */
}

static void begin_look(struct top *t, uint64_t now)
{
	t->due = now + t->interval_ms;
	t->asking = true;
	t->job.run = look;
	t->job.done = looked;
	pool_submit(t->pool, &t->job);
}

static int draw(struct top *t, struct err *e)
{
	struct top_layout l = {.color = screen_color(), .interval_ms = t->interval_ms};
	struct buf b = BUF_INIT(PAGE_MAX);
	int rc;

	if (t->shown == NULL)
		return 0;
	screen_size(&l.cols, &l.rows);
	if ((rc = top_page(t->shown, &l, &b, e)) == 0)
		rc = screen_put(&b, e);
	buf_free(&b);
	return rc;
}

/* Stop as the shell wants it, with its screen; what follows is after it went on. */
static int suspend(struct top *t, struct err *e)
{
	int rc;

	if (!t->on_screen) {
		raise(SIGSTOP);
		return 0;
	}
	screen_leave(&t->screen);
	raise(SIGSTOP);
	if ((rc = screen_enter(&t->screen, e)) == 0)
		rc = draw(t, e);
	return rc;
}

static int on_signal(struct top *t, struct err *e)
{
	struct signalfd_siginfo si;
	int rc = 0;

	while (rc == 0 && read(t->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGTSTP)
			rc = suspend(t, e);
		else if (si.ssi_signo == SIGWINCH)
			rc = t->on_screen ? draw(t, e) : 0;
		else
			t->end = true;
	}
	return rc;
}

static int on_look(struct top *t, struct err *e)
{
	uint64_t n;

	if (read(t->wake, &n, sizeof(n)) < 0)
		return 0;
	pool_reap(t->pool);
	if (t->rc != 0) {
		*e = t->e;
		return t->rc;
	}
	if (t->asking)
		return 0;
	return t->on_screen ? draw(t, e) : top_print_json(t->shown, e);
}

static int watch(struct top *t, struct err *e)
{
	struct pollfd p[] = {
		{.fd = t->wake, .events = POLLIN},
		{.fd = t->signal_fd, .events = POLLIN},
		{.fd = t->on_screen && t->screen.keys ? STDIN_FILENO : -1, .events = POLLIN},
	};
	int rc = 0;

	while (rc == 0 && !t->end) {
		uint64_t now = clock_ms();

		if (!t->asking && now >= t->due)
			begin_look(t, now);
		if (poll(p, sizeof(p) / sizeof(p[0]), t->asking ? -1 : (int)(t->due - now)) < 0 &&
		    errno != EINTR)
			return err_sys(e, errno, "poll");
		if (p[0].revents != 0)
			rc = on_look(t, e);
		if (rc == 0 && p[1].revents != 0)
			rc = on_signal(t, e);
		if (p[2].revents != 0)
			t->end |= screen_quit(&t->screen);
	}
	return rc;
}

/* Signals are read as events, so that each finds the terminal in a known state. */
static int prepare(struct top *t, struct err *e)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
	struct pool_opts o = {.threads = 1, .notify = wake, .arg = t};
	int rc;

	sigemptyset(&t->signals);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&t->signals, signals[i]);
	sigprocmask(SIG_BLOCK, &t->signals, &t->before);
	if ((t->signal_fd = signalfd(-1, &t->signals, SFD_NONBLOCK | SFD_CLOEXEC)) < 0 ||
	    (t->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		return err_sys(e, errno, "descriptor");
	if ((rc = pool_new(&t->pool, &o)) != 0)
		return err_set(e, rc, "cannot start a thread");
	return 0;
}

static int live(struct top *t, struct err *e)
{
	int rc;

	t->on_screen = !t->json;
	if ((rc = prepare(t, e)) == 0 &&
	    (!t->on_screen || (rc = screen_enter(&t->screen, e)) == 0)) {
		rc = watch(t, e);
		if (t->on_screen)
			screen_leave(&t->screen);
	}
	/* A name that is being looked up cannot be given up: a signal ends the program then. */
	sigprocmask(SIG_SETMASK, &t->before, NULL);
	atomic_store(&t->cancel, true);
	pool_free(t->pool);
	return rc;
}

static int run(struct cli *c, struct err *e)
{
	struct top *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	t->wake = t->signal_fd = -1;
	if ((rc = take_options(t, c, e)) == 0) {
		if (opt_flag(c->opts, "once") || (!t->json && !screen_possible()))
			rc = once(t, e);
		else
			rc = live(t, e);
	}
	if (t->wake >= 0)
		close(t->wake);
	if (t->signal_fd >= 0)
		close(t->signal_fd);
	top_free(t->shown);
	top_free(t->next);
	tls_ctx_unref(t->tls);
	free(t->url);
	free(t);
	return rc;
}

const struct verb verb_top = {
	.name = "top",
	.operands = "[URL]",
	.summary = "watch a server: is it well, what is slow, who is sending",
	.text = "Shows the server of --data-dir, all its processes together, which it reaches by "
		"their sockets DIR/run/PID.sock: to be run on its machine by its user. With a URL "
		"it "
		"shows one process, http://HOST:PORT being the address of --metrics-listen.\n"
		"\n"
		"The first line says whether all is well, or what is not and what to do about it. "
		"Rates are of the last minute; where several processes run, rates are their sum, "
		"and times those of the slowest. Transfers are listed fastest first, by the first "
		"16 digits of the client's id; names are shown only when the server logs them "
		"(--log-names). q ends it.\n"
		"\n"
		"Without a terminal, and with --once, the same is printed once, and the exit code "
		"tells: 0 healthy or degraded, 1 unhealthy or not reached.",
	.examples = "pqc top\n"
		    "pqc top --data-dir /var/lib/pqc\n"
		    "pqc top http://127.0.0.1:9465\n"
		    "pqc top --once --json | jq .status\n",
	.options = tables,
	.min = 0,
	.max = 1,
	.run = run,
};
