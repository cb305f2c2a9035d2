/* What every verb that talks to a server begins and ends with. */
#ifndef PQC_CLI_CLIENT_SETUP_H
#define PQC_CLI_CLIENT_SETUP_H

#include "cli/cli.h"
#include "cli/progress.h"
#include "client/client.h"
#include "telemetry/trace.h"

struct session_ui {
	struct client_opts o;
	struct identity *identity;
	struct tls_ctx *tls;
	struct tracer *tracer;	 /* NULL without a collector */
	struct trace_ctx parent; /* of $TRACEPARENT */
	char known[PATH_MAX], state[PATH_MAX];
	uint8_t expect[ID_LEN];
	struct meter meter;
	struct call_info info; /* of the last call */
	const struct url *url; /* of the call under way */
	bool json, quiet;
	bool data_out;	 /* standard output is for data: no JSON in it */
	unsigned failed; /* of several files */
	int failed_rc;	 /* of the first */
};

/*
 * Options, identity and paths of c for requests to u, which is borrowed; signals are caught from
 * now on.
 * with_identity false: for ping, which needs none and takes what there is.
 */
int session_begin(struct session_ui *s, const struct cli *c, const struct url *u,
		  bool with_identity, struct err *e) MUST_CHECK;
void session_end(struct session_ui *s);
/*
 * One of several files failed with rc. When that concerns this file only, report it and return
 * 0: the others are worth trying. session_verdict tells at the end whether any failed.
 */
int session_carry_on(struct session_ui *s, const char *what, int rc, struct err *e) MUST_CHECK;
int session_verdict(const struct session_ui *s, struct err *e) MUST_CHECK;
/* Bytes that a transfer moved a second, the wait in the server's queue left out. */
double session_rate(const struct session_ui *s, const struct transfer_result *r);
/* After a failure: add to e what the person can do about it. Returns rc. */
int session_advise(int rc, struct err *e);

#endif
