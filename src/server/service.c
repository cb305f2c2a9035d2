#include "server/service.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "crypto/secmem.h"
#include "server/access.h"
#include "server/service_impl.h"

/* ---- telling ---- */

/* Who watches for this file reads all of it or nothing. */
static int write_ports(const struct service *s, struct err *e)
{
	const char *path = opt_text(s->o.opts, "port-file");
	const char *monitor = server_monitor_address(s->server);
	struct buf b = BUF_INIT(4096);
	int rc;

	if (path == NULL)
		return 0;
	for (size_t i = 0; i < s->server_opts.listen_count; i++)
		buf_printf(&b, "%s\n", server_address(s->server, i));
	if (monitor != NULL)
		buf_printf(&b, "monitor %s\n", monitor);
	rc = buf_error(&b) != 0 ? err_set(e, buf_error(&b), "out of memory")
				: file_replace(AT_FDCWD, path, b.p, b.len, 0644, e);
	buf_free(&b);
	return rc;
}

/* What to run when there is no line in the access file: without one the server serves nobody. */
static void tell_empty(const struct service *s)
{
	char hint[2 * PATH_MAX];

	if (opt_text(s->o.opts, "access-file") != NULL)
		snprintf(hint, sizeof(hint), "pqc trust allow --access-file %s FILE.pub",
			 s->access);
	else
		snprintf(hint, sizeof(hint), "pqc trust allow --data-dir %s FILE.pub",
			 s->o.data_dir);
	log_event(s->o.log, LOG_WARN, "access.empty",
		  (struct log_field[]){log_str("reason", "nobody may use this server yet"),
				       log_str("run", hint),
				       log_str("then", s->o.to_reload),
				       {0}});
}

static void tell_identity(const struct service *s)
{
	char hint[PATH_MAX + 64];

	snprintf(hint, sizeof(hint), "pqc trust add HOST:PORT %s.pub", s->identity_path);
	log_event(s->o.log, LOG_INFO, "identity.made",
		  (struct log_field[]){log_str("file", s->identity_path),
				       log_id("id", identity_public(s->id)->id),
				       log_str("clients_run", hint),
				       {0}});
}

static void tell_addresses(const struct service *s, size_t access_rules)
{
	const struct public_identity *p = identity_public(s->id);
	const char *monitor = server_monitor_address(s->server);

	for (size_t i = 0; i < s->server_opts.listen_count; i++)
		log_event(s->o.log, LOG_INFO, "server.listening",
			  (struct log_field[]){log_str("address", server_address(s->server, i)),
					       log_id("server_id", p->id),
					       log_str("suite", p->suite->name),
					       log_str("data_dir", s->o.data_dir),
					       log_u64("access_rules", access_rules),
					       log_bool("tls", s->server_opts.tls_cert != NULL),
					       {0}});
	if (monitor != NULL)
		log_event(s->o.log, LOG_INFO, "server.monitor",
			  (struct log_field[]){log_str("address", monitor), {0}});
}

int service_announce(const struct service *s, struct err *e)
{
	struct access *a;
	size_t rules;
	int rc;

	if ((rc = write_ports(s, e)) != 0 || (rc = access_load(s->access, &a, e)) != 0)
		return rc;
	rules = access_count(a);
	access_free(a);
	if (s->made_identity)
		tell_identity(s);
	tell_addresses(s, rules);
	if (rules == 0)
		tell_empty(s);
	return 0;
}

/* ---- life ---- */

int service_new(struct service **out, const struct service_opts *o, struct err *e)
{
	struct service *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	s->o = *o;
	if ((rc = service_take_options(s, e)) != 0)
		service_free(s);
	else
		*out = s;
	return rc;
}

int service_start(struct service *s, struct err *e)
{
	int rc = service_load_keys(s, e);

	return rc != 0 ? rc : server_new(&s->server, &s->server_opts, s->id, s->kek, s->o.log, e);
}

struct server *service_server(const struct service *s)
{
	return s->server;
}

const struct identity *service_identity(const struct service *s)
{
	return s->id;
}

void service_free(struct service *s)
{
	if (s == NULL)
		return;
	server_free(s->server);
	secret_free(s->kek, sizeof(*s->kek));
	identity_free(s->id);
	free(s->origins);
	free(s);
}
