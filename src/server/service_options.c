/* From options to a server's, at the start and when it reloads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "config/home.h"
#include "server/serve_options.h"
#include "server/service_impl.h"

#define SERVE_THREADS 4

/* In the data directory, unless the option says where. */
static int place(const struct service *s, const char *option, const char *leaf, char path[PATH_MAX],
		 struct err *e)
{
	const char *given = opt_text(s->o.opts, option);

	if (given == NULL)
		return path_join(s->o.data_dir, leaf, path, e);
	if (strlen(given) >= PATH_MAX)
		return err_sys(e, ENAMETOOLONG, "--%s", option);
	strcpy(path, given);
	return 0;
}

static int find_places(struct service *s, struct err *e)
{
	int rc;

	if ((rc = place(s, "access-file", "authorized", s->access, e)) != 0 ||
	    (rc = place(s, "identity", "identity", s->identity_path, e)) != 0)
		return rc;
	return place(s, "kek-file", "kek", s->kek_path, e);
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

static int take_listen(struct service *s, struct err *e)
{
	const struct opts *p = s->o.opts;
	struct server_opts *o = &s->server_opts;

	o->listen_count = opt_count(p, "listen");
	if (o->listen_count > SERVER_LISTEN_MAX)
		return err_set(e, PQC_EUSAGE, "--listen: expected at most %d addresses, found %zu",
			       SERVER_LISTEN_MAX, o->listen_count);
	for (size_t i = 0; i < o->listen_count; i++)
		o->listen[i] = opt_item(p, "listen", i);
	return 0;
}

static int take_origins(struct service *s, struct err *e)
{
	const struct opts *p = s->o.opts;
	size_t n = opt_count(p, "allow-origin");

	if (n == 0)
		return 0;
	if ((s->origins = calloc(n + 1, sizeof(*s->origins))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		s->origins[i] = opt_item(p, "allow-origin", i);
	s->server_opts.origins = s->origins;
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

/* Values of options that only a new start changes are told, not taken. */
static void tell_ignored(const struct service *s, const struct opts *fresh)
{
	for (const struct opt *o = serve_options; o->name != NULL; o++) {
		const char *a = opt_text(s->o.opts, o->name), *b = opt_text(fresh, o->name);

		if ((o->flags & OPT_RELOAD) != 0 ||
		    strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0)
			continue;
		log_event(s->o.log, LOG_WARN, "reload.needs_restart",
			  (struct log_field[]){log_str("option", o->name), {0}});
	}
}

static int reload(void *arg, struct server_opts *o, struct err *e)
{
	const struct service *s = arg;
	struct opts *fresh;
	int rc;

	if ((rc = s->o.reread(s->o.arg, &fresh, e)) != 0)
		return rc;
	if ((rc = set_log(fresh, s->o.log)) == 0) {
		take_numbers(fresh, o);
		tell_ignored(s, fresh);
	}
	opts_free(fresh);
	return rc;
}

int service_take_options(struct service *s, struct err *e)
{
	const struct opts *p = s->o.opts;
	struct server_opts *o = &s->server_opts;
	int rc;

	if ((rc = find_places(s, e)) != 0)
		return rc;
	o->data_dir = s->o.data_dir;
	o->access_file = s->access;
	o->tls_cert = opt_text(p, "tls-cert");
	o->tls_key = opt_text(p, "tls-key");
	if ((o->tls_cert == NULL) != (o->tls_key == NULL))
		return err_set(e, PQC_ECONFIG, "--tls-cert and --tls-key go together");
	take_telling(p, o);
	o->hook_path = s->o.search_path;
	o->reuse_port = opt_flag(p, "reuse-port");
	o->buffer_memory = opt_number(p, "buffer-memory");
	o->threads = opt_text(p, "threads") != NULL ? (unsigned)opt_number(p, "threads")
						    : default_threads(1, SERVE_THREADS);
	take_numbers(p, o);
	if (s->o.reread != NULL) {
		o->reload = reload;
		o->reload_arg = s;
	}
	if ((rc = take_listen(s, e)) != 0 || (rc = take_origins(s, e)) != 0)
		return rc;
	return set_log(p, s->o.log);
}
