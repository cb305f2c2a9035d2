/*
 * A server by its options: what `pqc serve` and the library have in common. Nothing here asks or
 * touches the process: no signal, no variable of the environment, no standard stream.
 */
#ifndef PQC_SERVER_SERVICE_H
#define PQC_SERVER_SERVICE_H

#include "base/log.h"
#include "config/opt.h"
#include "crypto/identity.h"

struct server;
struct service;

struct service_opts {
	const struct opts *opts; /* serve_options among them; borrowed, as everything here */
	const char *data_dir;
	struct logger *log;
	const char *to_reload;	 /* "send it SIGHUP": what makes it read its files again */
	const char *search_path; /* $PATH of --event-command; or NULL */
	/*
	 * The passphrase of the private key in a file: of one that is there and has one, or of one that is
	 * made now and gets none for NULL. Looked at before the next call and before service_start returns.
	 */
	int (*passphrase)(void *arg, const char *path, bool made, const char **out, struct err *e);
	/* The options as they are now, for a reload; NULL: they do not change. */
	int (*reread)(void *arg, struct opts **out, struct err *e);
	void *arg;
};

/* Check the options, and set level and names of the log. Nothing is read or made yet. */
int service_new(struct service **out, const struct service_opts *o, struct err *e) MUST_CHECK;
/* Load the keys, or make them, and listen. Once only. */
int service_start(struct service *s, struct err *e) MUST_CHECK;
/* Tell everybody where it listens: --port-file and the log. */
int service_announce(const struct service *s, struct err *e) MUST_CHECK;
/* Its server, to be run and stopped; NULL before service_start. */
struct server *service_server(const struct service *s);
const struct identity *service_identity(const struct service *s);
void service_free(struct service *s);

#endif
