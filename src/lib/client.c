/* How to reach servers, and as whom. */
#include "lib/client.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "client/defaults.h"
#include "config/home.h"
#include "net/stream.h"

#define MS_MAX 3600000 /* of a connection, an hour */

static const struct lib_options client_options = {
	"struct pqc_client_options", LIB_UP_TO(struct pqc_client_options, trace_parent),
	sizeof(struct pqc_client_options)};

/* ---- making one ---- */

static int check(const struct pqc_client_options *o, struct err *e)
{
	if (o->threads > CLIENT_THREADS_MAX)
		return err_set(e, PQC_EUSAGE, "threads is %u, expected at most %d", o->threads,
			       CLIENT_THREADS_MAX);
	if (o->connect_ms > MS_MAX || o->idle_ms > MS_MAX)
		return err_set(e, PQC_EUSAGE, "%s is %u, expected at most %d",
			       o->connect_ms > MS_MAX ? "connect_ms" : "idle_ms",
			       o->connect_ms > MS_MAX ? o->connect_ms : o->idle_ms, MS_MAX);
	if (o->retry_ms < -1)
		return err_set(e, PQC_EUSAGE, "retry_ms is %lld, expected -1, 0 or more",
			       (long long)o->retry_ms);
	return 0;
}

/* A copy of path, or of the file of this name in home. */
static int copy_path(const char *path, const char *leaf, char **out, struct err *e)
{
	char home[PATH_MAX];
	int rc;

	if (path == NULL) {
		if ((rc = home_path(leaf, home, e)) != 0)
			return rc;
		path = home;
	}
	*out = strdup(path);
	return *out != NULL ? 0 : err_set(e, PQC_ENOMEM, "out of memory");
}

static int take_paths(struct pqc_client *k, const struct pqc_client_options *o, struct err *e)
{
	int rc;

	if ((rc = copy_path(o->known_servers, "known_servers", &k->known_servers, e)) != 0 ||
	    (rc = copy_path(o->state_dir, "state", &k->state_dir, e)) != 0 ||
	    (o->ca_file != NULL && (rc = copy_path(o->ca_file, "", &k->ca_file, e)) != 0))
		return rc;
	if ((k->identity != NULL || k->accept_new) &&
	    (rc = path_make_parent(k->known_servers, e)) != 0)
		return rc;
	/* Who only pings leaves nothing that a later call could go on from. */
	return k->identity != NULL ? file_mkdirs(k->state_dir, 0700, e) : 0;
}

static int take(struct pqc_client *k, const struct pqc_client_options *o, struct err *e)
{
	const char *parent = o->trace_parent;

	k->identity = lib_identity_ref(o->identity);
	k->accept_new = o->accept_new != 0;
	k->has_server_id = o->server_id != NULL;
	if (k->has_server_id)
		memcpy(k->server_id, o->server_id, ID_LEN);
	k->threads = o->threads;
	k->connect_ms = o->connect_ms;
	if (k->connect_ms == 0)
		k->connect_ms = (unsigned)default_ms(DEFAULT_CONNECT);
	k->idle_ms = o->idle_ms != 0 ? o->idle_ms : (unsigned)default_ms(DEFAULT_IDLE);
	k->retry_ms = o->retry_ms == 0	? default_ms(DEFAULT_RETRY)
		      : o->retry_ms > 0 ? (uint64_t)o->retry_ms
					: 0;
	k->has_parent = parent != NULL;
	if (k->has_parent && trace_parse(parent, strlen(parent), &k->parent) != 0)
		return err_set(e, PQC_EUSAGE,
			       "trace_parent is malformed, expected a W3C traceparent");
	return take_paths(k, o, e);
}

int pqc_client_new(const struct pqc_client_options *o, struct pqc_client **out, struct pqc_error *e)
{
	struct pqc_client_options own;
	struct pqc_client *k = NULL;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(out, "out", &err)) != 0)
		goto out;
	*out = NULL;
	if ((rc = lib_need(o, "o", &err)) != 0 ||
	    (rc = lib_take(&client_options, o, &own, &err)) != 0 || (rc = check(&own, &err)) != 0)
		goto out;
	if ((k = calloc(1, sizeof(*k))) == NULL) {
		rc = err_set(&err, PQC_ENOMEM, "out of memory");
		goto out;
	}
	pthread_mutex_init(&k->tls_lock, NULL);
	if ((rc = take(k, &own, &err)) != 0)
		goto out;
	*out = k;
	k = NULL;
out:
	pqc_client_free(k);
	return lib_done(rc, &err, e);
}

void pqc_client_free(struct pqc_client *k)
{
	if (k == NULL)
		return;
	pqc_identity_free(k->identity);
	tls_ctx_unref(k->tls);
	pthread_mutex_destroy(&k->tls_lock);
	free(k->known_servers);
	free(k->state_dir);
	free(k->ca_file);
	free(k);
}

/* ---- calls ---- */

static int on_progress(void *arg, const struct progress *p)
{
	struct client_call *call = arg;
	const struct pqc_progress told = {.done = p->done,
					  .total = p->total,
					  .resumed = p->resumed,
					  .committing = p->committing,
					  .estimate_ms = PQC_SIZE_UNKNOWN};

	return control_progress(&call->control, &told);
}

static int on_queued(void *arg, uint32_t position, uint64_t estimate_ms)
{
	struct client_call *call = arg;
	const struct pqc_progress told = {.total = PQC_SIZE_UNKNOWN,
					  .queued = 1,
					  .position = position,
					  .estimate_ms = estimate_ms};

	return control_progress(&call->control, &told);
}

static void on_notice(void *arg, const char *event, const char *text)
{
	struct client_call *call = arg;
	const struct pqc_control *c = &call->control.c;

	if (c->notice != NULL)
		c->notice(c->arg, event, text);
}

/* The settings of TLS are made once, by whom needs them first. */
static int tls_of(const struct pqc_client *k, struct tls_ctx **out, struct err *e)
{
	struct pqc_client *own = (struct pqc_client *)(uintptr_t)k;
	int rc = 0;

	pthread_mutex_lock(&own->tls_lock);
	if (own->tls == NULL)
		rc = tls_client_ctx(k->ca_file, &own->tls, e);
	*out = own->tls;
	pthread_mutex_unlock(&own->tls_lock);
	return rc;
}

int client_call_begin(struct client_call *call, const struct pqc_client *k, const char *url,
		      const struct pqc_control *c, struct err *e)
{
	struct tls_ctx *tls = NULL;
	int rc;

	memset(call, 0, sizeof(*call));
	if ((rc = lib_need(k, "k", e)) != 0 || (rc = lib_need(url, "url", e)) != 0 ||
	    (rc = control_begin(&call->control, c, e)) != 0 ||
	    (rc = url_parse(url, &call->url, e)) != 0 ||
	    (call->url.tls && (rc = tls_of(k, &tls, e)) != 0))
		return rc;
	call->o = (struct client_opts){
		.identity = k->identity != NULL ? k->identity->id : NULL,
		.known_servers = k->known_servers,
		.state_dir = k->state_dir,
		.expect_id = k->has_server_id ? k->server_id : NULL,
		.accept_new = k->accept_new,
		.tls = tls,
		.threads = k->threads,
		.connect_ms = k->connect_ms,
		.idle_ms = k->idle_ms,
		.retry_ms = k->retry_ms,
		.cancel = control_flag(&call->control),
		.progress = on_progress,
		.notice = on_notice,
		.queued = on_queued,
		.arg = call,
		.info = &call->info,
		.parent = k->has_parent ? &k->parent : NULL,
	};
	sigpipe_hold(&call->held);
	return 0;
}

void client_call_end(struct client_call *call)
{
	sigpipe_release(&call->held);
}

int client_call_as_somebody(const struct client_call *call, struct err *e)
{
	if (call->o.identity != NULL)
		return 0;
	return err_set(e, PQC_EUSAGE,
		       "the client was made without identity, which is enough for pqc_ping only");
}

int client_call_named(const struct client_call *call, struct err *e)
{
	int rc = client_call_as_somebody(call, e);

	return rc != 0 ? rc : name_check(call->url.name, strlen(call->url.name), e);
}
