#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "server/kek_file.h"
#include "cli/out.h"
#include "cli/serve_options.h"
#include "cli/verbs.h"
#include "crypto/secmem.h"
#include "server/access.h"
#include "server/server.h"

static const struct opt *const tables[] = {serve_options, common_options, NULL};

#define SERVE_THREADS 4

struct service {
	const struct cli *c;
	char dir[PATH_MAX], access[PATH_MAX], identity_path[PATH_MAX], kek_path[PATH_MAX];
	struct server_opts o;
	const char **origins;
	struct logger *log;
	struct identity *id;
	struct kek *kek;
	bool made_identity;
};

/* ---- options ---- */

/* What a reload may change: numbers only, so that nothing of the old configuration is borrowed. */
static void take_numbers(const struct opts *p, struct server_opts *o)
{
	o->max_connections = (unsigned)opt_number(p, "max-connections");
	o->max_transfers = (unsigned)opt_number(p, "max-transfers");
	o->max_queued = (unsigned)opt_number(p, "max-queued");
	o->max_part_size = (uint32_t)opt_number(p, "max-part-size");
	o->max_size = opt_number(p, "max-size");
	o->min_free = opt_number(p, "min-free");
	o->direct_from = opt_number(p, "direct-from");
	o->upload_ttl_ms = opt_number(p, "upload-ttl");
	o->drain_ms = opt_number(p, "drain-timeout");
}

static int set_log(const struct opts *p, struct logger *log)
{
	enum log_level level;
	int rc = log_level_parse(opt_text(p, "log-level"), &level);

	if (rc != 0)
		return rc;
	log_set_level(log, level);
	log_set_names(log, opt_flag(p, "log-names"));
	return 0;
}

/* In the data directory, unless the option says where. */
static int place(const struct service *s, const char *option, const char *leaf, char path[PATH_MAX],
		 struct err *e)
{
	const char *given = opt_text(s->c->opts, option);

	if (given == NULL)
		return path_join(s->dir, leaf, path, e);
	if (strlen(given) >= PATH_MAX)
		return err_sys(e, ENAMETOOLONG, "--%s", option);
	strcpy(path, given);
	return 0;
}

static int find_places(struct service *s, struct err *e)
{
	int rc;

	if ((rc = path_option(s->c, "data-dir", "server", s->dir, e)) != 0 ||
	    (rc = place(s, "access-file", "authorized", s->access, e)) != 0 ||
	    (rc = place(s, "identity", "identity", s->identity_path, e)) != 0)
		return rc;
	return place(s, "kek-file", "kek", s->kek_path, e);
}

static int take_listen(struct service *s, struct err *e)
{
	const struct opts *p = s->c->opts;

	s->o.listen_count = opt_count(p, "listen");
	if (s->o.listen_count > SERVER_LISTEN_MAX)
		return err_set(e, PQC_EUSAGE, "--listen: expected at most %d addresses, found %zu",
			       SERVER_LISTEN_MAX, s->o.listen_count);
	for (size_t i = 0; i < s->o.listen_count; i++)
		s->o.listen[i] = opt_item(p, "listen", i);
	return 0;
}

static int take_origins(struct service *s, struct err *e)
{
	const struct opts *p = s->c->opts;
	size_t n = opt_count(p, "allow-origin");

	if (n == 0)
		return 0;
	if ((s->origins = calloc(n + 1, sizeof(*s->origins))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		s->origins[i] = opt_item(p, "allow-origin", i);
	s->o.origins = s->origins;
	return 0;
}

/* Who is told what the server does. */
static void take_telling(const struct opts *p, struct server_opts *o)
{
	o->monitor = opt_text(p, "metrics-listen");
	o->metrics_off = opt_flag(p, "no-metrics");
	o->otlp_endpoint = opt_text(p, "otlp-endpoint");
	o->otlp_ca = opt_text(p, "otlp-ca");
	o->hook_url = opt_text(p, "webhook-url");
	o->hook_secret = opt_text(p, "webhook-secret-file");
	o->hook_ca = opt_text(p, "webhook-ca");
	o->hook_command = opt_text(p, "event-command");
	o->hook_ttl_ms = opt_number(p, "event-ttl");
}

static int take_options(struct service *s, struct err *e)
{
	const struct opts *p = s->c->opts;
	int rc;

	s->o.data_dir = s->dir;
	s->o.access_file = s->access;
	s->o.tls_cert = opt_text(p, "tls-cert");
	s->o.tls_key = opt_text(p, "tls-key");
	if ((s->o.tls_cert == NULL) != (s->o.tls_key == NULL))
		return err_set(e, PQC_ECONFIG, "--tls-cert and --tls-key go together");
	take_telling(p, &s->o);
	s->o.reuse_port = opt_flag(p, "reuse-port");
	s->o.buffer_memory = opt_number(p, "buffer-memory");
	s->o.threads = threads_option(s->c, 1, SERVE_THREADS);
	take_numbers(p, &s->o);
	if ((rc = take_listen(s, e)) != 0)
		return rc;
	return take_origins(s, e);
}

/* ---- reload ---- */

/* Values of options that only a new start changes are told, not taken. */
static void tell_ignored(const struct service *s, const struct opts *fresh)
{
	const struct opts *now = s->c->opts;

	for (const struct opt *o = serve_options; o->name != NULL; o++) {
		const char *a = opt_text(now, o->name), *b = opt_text(fresh, o->name);

		if ((o->flags & OPT_RELOAD) != 0 ||
		    strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0)
			continue;
		log_event(s->log, LOG_WARN, "reload.needs_restart",
			  (struct log_field[]){log_str("option", o->name), {0}});
	}
}

/* The command line and the environment are as they were; the file may have changed. */
static int reload(void *arg, struct server_opts *o, struct err *e)
{
	struct service *s = arg;
	const char *path = opt_text(s->c->opts, "config");
	struct opts *fresh;
	int rc;

	if (path == NULL)
		return 0;
	if ((rc = opts_reread(s->c->opts, path, &fresh, e)) != 0)
		return rc;
	if ((rc = set_log(fresh, s->log)) == 0) {
		take_numbers(fresh, o);
		tell_ignored(s, fresh);
	}
	opts_free(fresh);
	return rc;
}

/* ---- keys ---- */

static int make_identity(struct service *s, struct err *e)
{
	const char *file = opt_text(s->c->opts, "passphrase-file");
	char *pass = NULL;
	int rc = file != NULL ? passphrase_file(file, &pass, e) : 0;

	if (rc == 0 && (rc = path_make_parent(s->identity_path, e)) == 0 &&
	    (rc = identity_generate(suite_option(s->c), &s->id)) != 0)
		err_set(e, rc, "cannot make a key");
	if (rc == 0)
		rc = identity_save(s->id, s->identity_path, pass, "pqc server", e);
	passphrase_free(pass);
	s->made_identity = rc == 0;
	return rc;
}

/* When the file was written, unix seconds; 0: not known. */
static uint64_t written(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_mtime : 0;
}

static int find_keys(struct service *s, struct err *e)
{
	bool made;
	int rc;

	rc = load_identity(s->c, s->identity_path, "passphrase-file", &s->id, e);
	if (rc == PQC_ENOTFOUND)
		rc = make_identity(s, e);
	if (rc != 0)
		return rc;
	if ((s->kek = secret_alloc(sizeof(*s->kek))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if ((rc = kek_load_or_make(s->kek_path, s->kek, &made, e)) == 0 && made)
		log_event(s->log, LOG_INFO, "kek.made",
			  (struct log_field[]){log_str("file", s->kek_path), {0}});
	s->o.identity_created = written(s->identity_path);
	s->o.kek_created = written(s->kek_path);
	return rc;
}

/* Several processes may start in one new directory at the same time: one of them makes the keys. */
static int load_keys(struct service *s, struct err *e)
{
	char path[PATH_MAX];
	int fd, rc;

	if ((rc = file_mkdirs(s->dir, 0700, e)) != 0 ||
	    (rc = path_join(s->dir, "keys.lock", path, e)) != 0)
		return rc;
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return err_sys(e, errno, "%s", path);
	do
		rc = flock(fd, LOCK_EX);
	while (rc != 0 && errno == EINTR);
	rc = rc != 0 ? err_sys(e, errno, "%s", path) : find_keys(s, e);
	close(fd);
	return rc;
}

/* ---- serving ---- */

/* Who watches for this file reads all of it or nothing. */
static int write_ports(const struct service *s, const struct server *srv, struct err *e)
{
	const char *path = opt_text(s->c->opts, "port-file");
	struct buf b = BUF_INIT(4096);
	int rc;

	if (path == NULL)
		return 0;
	for (size_t i = 0; i < s->o.listen_count; i++)
		buf_printf(&b, "%s\n", server_address(srv, i));
	if (server_monitor_address(srv) != NULL)
		buf_printf(&b, "monitor %s\n", server_monitor_address(srv));
	rc = buf_error(&b) != 0 ? err_set(e, buf_error(&b), "out of memory")
				: file_replace(AT_FDCWD, path, b.p, b.len, 0644, e);
	buf_free(&b);
	return rc;
}

static int write_pid(const struct service *s, struct err *e)
{
	const char *path = opt_text(s->c->opts, "pid-file");
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	return path == NULL ? 0 : file_replace(AT_FDCWD, path, text, (size_t)n, 0644, e);
}

/* How many there are, and what to run when there are none: without one the server serves nobody. */
static int tell_access(const struct service *s, struct err *e)
{
	char hint[2 * PATH_MAX];
	struct access *a;
	size_t n;
	int rc;

	if ((rc = access_load(s->access, &a, e)) != 0)
		return rc;
	n = access_count(a);
	access_free(a);
	if (n > 0)
		return 0;
	if (opt_text(s->c->opts, "access-file") != NULL)
		snprintf(hint, sizeof(hint), "pqc trust allow --access-file %s FILE.pub",
			 s->access);
	else
		snprintf(hint, sizeof(hint), "pqc trust allow --data-dir %s FILE.pub", s->dir);
	log_event(s->log, LOG_WARN, "access.empty",
		  (struct log_field[]){log_str("reason", "nobody may use this server yet"),
				       log_str("run", hint),
				       log_str("then", "send it SIGHUP"),
				       {0}});
	return 0;
}

static int tell_start(const struct service *s, const struct server *srv, struct err *e)
{
	const struct public_identity *p = identity_public(s->id);
	struct access *a;
	char hint[PATH_MAX + 64];
	int rc;

	if ((rc = access_load(s->access, &a, e)) != 0)
		return rc;
	if (s->made_identity) {
		snprintf(hint, sizeof(hint), "pqc trust add HOST:PORT %s.pub", s->identity_path);
		log_event(s->log, LOG_INFO, "identity.made",
			  (struct log_field[]){log_str("file", s->identity_path),
					       log_id("id", p->id),
					       log_str("clients_run", hint),
					       {0}});
	}
	for (size_t i = 0; i < s->o.listen_count; i++)
		log_event(s->log, LOG_INFO, "server.listening",
			  (struct log_field[]){log_str("address", server_address(srv, i)),
					       log_id("server_id", p->id),
					       log_str("suite", p->suite->name),
					       log_str("data_dir", s->dir),
					       log_u64("access_rules", access_count(a)),
					       log_bool("tls", s->o.tls_cert != NULL),
					       {0}});
	if (server_monitor_address(srv) != NULL)
		log_event(
			s->log, LOG_INFO, "server.monitor",
			(struct log_field[]){log_str("address", server_monitor_address(srv)), {0}});
	access_free(a);
	return tell_access(s, e);
}

static int serve(struct service *s, struct err *e)
{
	const char *pid_file = opt_text(s->c->opts, "pid-file");
	struct server *srv = NULL;
	int rc;

	if ((rc = server_new(&srv, &s->o, s->id, s->kek, s->log, e)) != 0)
		return rc;
	if ((rc = write_pid(s, e)) == 0 && (rc = write_ports(s, srv, e)) == 0 &&
	    (rc = tell_start(s, srv, e)) == 0)
		rc = server_run(srv, e);
	server_free(srv);
	if (pid_file != NULL)
		(void)unlink(pid_file);
	return rc;
}

static int print_config(const struct service *s, struct err *e)
{
	struct buf b = BUF_INIT(1 << 20);

	buf_printf(&b, "# data-dir is %s\n", s->dir);
	opts_dump(s->c->opts, &b);
	if (buf_cstr(&b) != NULL)
		out("%s", (const char *)b.p);
	buf_free(&b);
	return out_finish(e);
}

static int start_log(struct service *s, struct err *e)
{
	const char *given = opt_text(s->c->opts, "log-format");
	enum log_format format = log_format_for(STDERR_FILENO, getenv("JOURNAL_STREAM"));
	int rc;

	if (given != NULL && (rc = log_format_parse(given, &format)) != 0)
		return rc;
	if (log_new(&s->log, STDERR_FILENO, format) != 0)
		return err_set(e, PQC_ENOMEM, "out of memory");
	return set_log(s->c->opts, s->log);
}

static int run(struct cli *c, struct err *e)
{
	struct service *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	s->c = c;
	s->o.reload = reload;
	s->o.reload_arg = s;
	if ((rc = find_places(s, e)) != 0 || (rc = take_options(s, e)) != 0)
		goto out;
	if (opt_flag(c->opts, "print-config")) {
		rc = print_config(s, e);
		goto out;
	}
	if ((rc = start_log(s, e)) == 0 && (rc = load_keys(s, e)) == 0)
		rc = serve(s, e);
out:
	secret_free(s->kek, sizeof(*s->kek));
	identity_free(s->id);
	log_free(s->log);
	free(s->origins);
	free(s);
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
