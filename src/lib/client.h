/* The inside of a struct pqc_client. */
#ifndef PQC_LIB_CLIENT_H
#define PQC_LIB_CLIENT_H

#include <pthread.h>

#include "base/sigpipe.h"
#include "client/client.h"
#include "lib/control.h"
#include "telemetry/trace.h"

/* Everything is set by pqc_client_new and only read afterwards, but for tls. */
struct pqc_client {
	struct pqc_identity *identity; /* NULL: only for ping */
	char *known_servers, *state_dir, *ca_file;
	uint8_t server_id[ID_LEN];
	bool has_server_id, accept_new, has_parent;
	unsigned threads; /* 0: as many as is good for what is done */
	unsigned connect_ms, idle_ms;
	uint64_t retry_ms;
	struct trace_ctx parent;
	pthread_mutex_t tls_lock;
	struct tls_ctx *tls; /* made when it is needed first: it reads many files */
};

/* One call of a client. */
struct client_call {
	struct client_opts o; /* for the functions of client/client.h */
	struct url url;
	struct control control;
	struct call_info info;
	struct sigpipe held;
};
/*
 * Get ready to ask the server of url; c may be NULL. PQC_EUSAGE. From success to client_call_end, which
 * is then due, this thread sees no SIGPIPE.
 */
int client_call_begin(struct client_call *call, const struct pqc_client *k, const char *url,
		      const struct pqc_control *c, struct err *e) MUST_CHECK;
void client_call_end(struct client_call *call);
/* PQC_EUSAGE without an identity. */
int client_call_as_somebody(const struct client_call *call, struct err *e) MUST_CHECK;
/* And PQC_ENAME: the URL must name an object. */
int client_call_named(const struct client_call *call, struct err *e) MUST_CHECK;

#endif
