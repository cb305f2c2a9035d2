/* Where options come from, passphrases, signals and the files of a daemon; the server is server/service.h. */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/out.h"
#include "cli/verbs.h"
#include "server/serve_options.h"
#include "server/server.h"
#include "server/service.h"

static const struct opt *const tables[] = {serve_options, common_options, NULL};

struct serve {
	const struct cli *c;
	char dir[PATH_MAX];
	char *pass;
	const char *pid_file; /* written, and to be removed */
};

/* ---- signals ---- */

/* For the handler; it runs on the one thread that does not block these signals, which is also the one that sets it. */
static struct server *_Atomic serving;

static void on_signal(int sig)
{
	struct server *s = atomic_load(&serving);

	if (s == NULL)
		return; /* it is going already */
	if (sig == SIGHUP)
		server_reload(s);
	else
		server_stop(s);
}

static void watch_signals(struct server *s)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigemptyset(&sa.sa_mask);
	atomic_store(&serving, s);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
}

/* Who started this program and ignored SIGCHLD would take away how the event command ended. */
static void keep_exit_status(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGCHLD, &sa, NULL);
}

/* ---- what the service asks for ---- */

/* A key that is made has a passphrase when there is a file that says which. */
static int passphrase(void *arg, const char *path, bool made, const char **out, struct err *e)
{
	struct serve *s = arg;
	int rc;

	if (made && opt_text(s->c->opts, "passphrase-file") == NULL)
		return 0;
	if ((rc = identity_passphrase(s->c, path, "passphrase-file", &s->pass, e)) == 0)
		*out = s->pass;
	return rc;
}

/* The command line and the environment are as they were; the file may have changed. */
static int reread(void *arg, struct opts **out, struct err *e)
{
	const struct serve *s = arg;

	return opts_reread(s->c->opts, opt_text(s->c->opts, "config"), out, e);
}

/* ---- serving ---- */

static int start_log(const struct opts *p, struct logger **out, struct err *e)
{
	const char *given = opt_text(p, "log-format");
	enum log_format format = log_format_for(STDERR_FILENO, getenv("JOURNAL_STREAM"));
	int rc;

	if (given != NULL && (rc = log_format_parse(given, &format)) != 0)
		return rc;
	if (log_new(out, STDERR_FILENO, format) != 0)
		return err_set(e, PQC_ENOMEM, "out of memory");
	return 0;
}

static int write_pid(struct serve *s, struct err *e)
{
	const char *path = opt_text(s->c->opts, "pid-file");
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (path == NULL)
		return 0;
	s->pid_file = path;
	return file_replace(AT_FDCWD, path, text, (size_t)n, 0644, e);
}

static int serve(struct serve *s, struct service *service, struct err *e)
{
	int rc = service_start(service, e);

	if (rc != 0)
		return rc;
	watch_signals(service_server(service));
	if ((rc = write_pid(s, e)) == 0 && (rc = service_announce(service, e)) == 0)
		rc = server_run(service_server(service), e);
	atomic_store(&serving, NULL);
	return rc;
}

static int print_config(const struct serve *s, struct err *e)
{
	struct buf b = BUF_INIT(1 << 20);

	buf_printf(&b, "# data-dir is %s\n", s->dir);
	opts_dump(s->c->opts, &b);
	if (buf_cstr(&b) != NULL)
		out("%s", (const char *)b.p);
	buf_free(&b);
	return out_finish(e);
}

static int run(struct cli *c, struct err *e)
{
	struct serve s = {.c = c};
	struct service_opts o = {.opts = c->opts,
				 .data_dir = s.dir,
				 .to_reload = "send it SIGHUP",
				 .search_path = getenv("PATH"),
				 .passphrase = passphrase,
				 .arg = &s};
	struct service *service = NULL;
	struct logger *log = NULL;
	int rc;

	if (opt_text(c->opts, "config") != NULL)
		o.reread = reread;
	keep_exit_status();
	if ((rc = path_option(c, "data-dir", "server", s.dir, e)) != 0 ||
	    (rc = start_log(c->opts, &log, e)) != 0)
		goto out;
	o.log = log;
	if ((rc = service_new(&service, &o, e)) == 0)
		rc = opt_flag(c->opts, "print-config") ? print_config(&s, e)
						       : serve(&s, service, e);
	service_free(service);
	if (s.pid_file != NULL)
		(void)unlink(s.pid_file);
out:
	passphrase_free(s.pass);
	log_free(log);
	return rc;
}

const struct verb verb_serve = {
	.name = "serve",
	.operands = "",
	.summary = "run a server",
	.text = "Starts with no preparation: identity and key-encryption key are made in the data "
		"directory at the first start, and the log says how clients come to know the "
		"server. Nobody may use it before 'pqc trust allow' says so.\n"
		"\n"
		"The same port answers WebSocket clients and GET /health, /ready; /metrics and "
		"/performance-metrics too unless --metrics-listen has a port for them. Several "
		"processes may serve one data directory, on one port with --reuse-port.\n"
		"\n"
		"SIGHUP reads the configuration file, the access file and the certificate again; "
		"a mistake in one of them leaves everything as it was. SIGTERM takes no new "
		"connections and ends when the transfers are done or --drain-timeout is over; "
		"what was not finished can be resumed.",
	.examples = "pqc serve\n"
		    "pqc serve --listen 127.0.0.1:8765 --data-dir /srv/pqc\n"
		    "pqc serve --config /etc/pqc/server.conf --print-config\n",
	.options = tables,
	.min = 0,
	.max = 0,
	.run = run,
};
