/* A server in the program that uses the library. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sigpipe.h"
#include "lib/lib.h"
#include "server/serve_options.h"
#include "server/server.h"
#include "server/service.h"

struct pqc_server {
	struct opts *opts;
	struct logger *log; /* NULL: nobody wants to know */
	struct service *service;
	struct pqc_public *public;
	const char *passphrase; /* the caller's, while pqc_server_new runs */
	atomic_bool ran;
};

static const struct lib_options server_options = {"struct pqc_server_options",
						  LIB_UP_TO(struct pqc_server_options, arg),
						  sizeof(struct pqc_server_options)};
static const struct opt *const tables[] = {serve_options, NULL};

/* ---- settings ---- */

/* What only makes sense for a program, and why. */
static const struct {
	const char *name, *why;
} refused[] = {
	{"config", "the library reads no configuration file"},
	{"passphrase-file", "the passphrase is a member of struct pqc_server_options"},
	{"log-format", "the log function gets JSON"},
	{"pid-file", "the process is not the library's"},
	{"print-config", "the library prints nothing"},
};

static int check_refused(const char *setting, struct err *e)
{
	size_t n = strcspn(setting, "=");

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (strlen(refused[i].name) == n && memcmp(refused[i].name, setting, n) == 0)
			return err_set(e, PQC_EUSAGE, "%s is for the program pqc alone: %s",
				       refused[i].name, refused[i].why);
	return 0;
}

static int take_settings(struct pqc_server *s, const struct pqc_server_options *o, struct err *e)
{
	int rc;

	if ((s->opts = opts_new(tables)) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if (o->setting_count > 0 && (rc = lib_need(o->settings, "settings", e)) != 0)
		return rc;
	for (size_t i = 0; i < o->setting_count; i++)
		if ((rc = lib_need(o->settings[i], "a setting", e)) != 0 ||
		    (rc = check_refused(o->settings[i], e)) != 0 ||
		    (rc = opts_set(s->opts, o->settings[i], e)) != 0)
			return rc;
	if (opt_text(s->opts, "data-dir") == NULL)
		return err_set(e, PQC_EUSAGE,
			       "there is no data-dir among the settings, and the library has no "
			       "default for it");
	return opts_defaults(s->opts, e);
}

/* ---- making one ---- */

static int passphrase(void *arg, const char *path, bool made, const char **out, struct err *e)
{
	const struct pqc_server *s = arg;

	*out = s->passphrase;
	if (made || s->passphrase != NULL)
		return 0;
	return err_set(e, PQC_EPASSPHRASE,
		       "%s is protected by a passphrase: give it in struct pqc_server_options",
		       path);
}

static int start(struct pqc_server *s, const struct pqc_server_options *given, struct err *e)
{
	const struct service_opts o = {.opts = s->opts,
				       .data_dir = opt_text(s->opts, "data-dir"),
				       .log = s->log,
				       .to_reload = "call pqc_server_reload",
				       .passphrase = passphrase,
				       .arg = s};
	int rc;

	s->passphrase = given->passphrase;
	if ((rc = service_new(&s->service, &o, e)) == 0 &&
	    (rc = service_start(s->service, e)) == 0 &&
	    (rc = lib_public_of(service_identity(s->service), "pqc server", &s->public, e)) == 0)
		rc = service_announce(s->service, e);
	s->passphrase = NULL;
	return rc;
}

int pqc_server_new(const struct pqc_server_options *o, struct pqc_server **out, struct pqc_error *e)
{
	struct pqc_server_options own;
	struct pqc_server *s = NULL;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(out, "out", &err)) != 0)
		goto out;
	*out = NULL;
	if ((rc = lib_need(o, "o", &err)) != 0 ||
	    (rc = lib_take(&server_options, o, &own, &err)) != 0)
		goto out;
	if ((s = calloc(1, sizeof(*s))) == NULL ||
	    (own.log != NULL && log_new_to(&s->log, own.log, own.arg) != 0)) {
		rc = err_set(&err, PQC_ENOMEM, "out of memory");
		goto out;
	}
	if ((rc = take_settings(s, &own, &err)) != 0 || (rc = start(s, &own, &err)) != 0)
		goto out;
	*out = s;
	s = NULL; /* transferred */
out:
	pqc_server_free(s);
	return lib_done(rc, &err, e);
}

const char *pqc_server_address(const struct pqc_server *s, size_t i)
{
	return server_address(service_server(s->service), i);
}

const struct pqc_public *pqc_server_public(const struct pqc_server *s)
{
	return s->public;
}

/* ---- running it ---- */

int pqc_server_run(struct pqc_server *s, struct pqc_error *e)
{
	struct sigpipe sig;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(s, "s", &err)) != 0)
		goto out;
	if (atomic_exchange(&s->ran, true)) {
		rc = err_set(&err, PQC_EUSAGE, "a server runs once only: make another");
		goto out;
	}
	sigpipe_hold(&sig);
	rc = server_run(service_server(s->service), &err);
	sigpipe_release(&sig);
out:
	return lib_done(rc, &err, e);
}

void pqc_server_stop(struct pqc_server *s)
{
	if (s != NULL)
		server_stop(service_server(s->service));
}

void pqc_server_reload(struct pqc_server *s)
{
	if (s != NULL)
		server_reload(service_server(s->service));
}

void pqc_server_free(struct pqc_server *s)
{
	struct sigpipe sig;

	if (s == NULL)
		return;
	sigpipe_hold(&sig);
	service_free(s->service);
	sigpipe_release(&sig);
	pqc_public_free(s->public);
	log_free(s->log);
	opts_free(s->opts);
	free(s);
}
