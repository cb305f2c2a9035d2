/*
 * The client: one request a call, blocking, with reconnection and resume
 * inside. No printing, no exit; progress and notices go through callbacks.
 */
#ifndef PQC_CLIENT_CLIENT_H
#define PQC_CLIENT_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "crypto/identity.h"
#include "net/url.h"
#include "pqc.h"

struct tls_ctx;
struct trace_ctx;
struct tracer;

struct progress {
	uint64_t done, total; /* plaintext bytes; total PQX_SIZE_UNKNOWN while unknown */
	uint64_t resumed;     /* of done, bytes that an earlier attempt had moved */
	bool committing;      /* everything is there; waiting for the receipt */
};

/* What is known of a call, also of one that failed. */
struct call_info {
	char trace_id[33];    /* hex; from the beginning. Servers log it. */
	double queue_seconds; /* spent in the server's queue; at the end */
};

struct client_opts {
	const struct identity *identity;
	const char *known_servers; /* path */
	const char *state_dir;	   /* path; journals live here */
	const uint8_t
		*expect_id; /* ID_LEN: the server must have this identity, pinned or not; or NULL */
	bool accept_new;    /* pin a server that is not pinned yet */
	struct tls_ctx *tls; /* for wss:// and pqcs:// */
	unsigned threads;    /* sealing or opening workers, >= 1 */
	unsigned connect_ms, idle_ms;
	uint64_t retry_ms;	   /* give up after this long without progress; 0: one attempt */
	const atomic_bool *cancel; /* set by a signal handler: end with PQC_EINTERRUPTED; or NULL */
	/* Not 0: end with PQC_EINTERRUPTED, as *cancel does. Or NULL. */
	int (*progress)(void *arg, const struct progress *p);
	void (*notice)(void *arg, const char *event,
		       const char *text); /* "reconnect", "resume", ...; or NULL */
	/*
	 * The request waits in the server's queue. Called when the server tells a place and often
	 * from then on, at least several times a second. position: 1 is next, 0 not told.
	 * estimate_ms: how much longer it may take, UINT64_MAX not told. Not 0: as of progress. Or
	 * NULL.
	 */
	int (*queued)(void *arg, uint32_t position, uint64_t estimate_ms);
	void *arg;
	struct call_info *info;		/* filled in by each call; or NULL */
	const struct trace_ctx *parent; /* the span that the call is part of; or NULL */
	struct tracer *tracer;		/* where a transfer's spans go; NULL: nowhere */
};

/* What came of a transfer. */
struct transfer_result {
	uint8_t server_id[ID_LEN], sender_id[ID_LEN], file_id[32];
	uint64_t size; /* plaintext bytes */
	uint64_t parts,
		parts_moved; /* parts_moved: sent or fetched in this call, repeats counted */
	uint64_t resumed_bytes;
	unsigned reconnects;
	double seconds_received; /* until every part was there */
	double seconds;		 /* until receipt, or the file under its name */
	struct buf receipt;	 /* put: PEM receipt bundle */
};
void transfer_result_free(struct transfer_result *r);

/*
 * A regular file given by its path, and memory with resume_memory, can be taken up by a later
 * call; memory, and all else, which is a stream, is sent again from its beginning. A negative code
 * from a callback ends the call, and is what the call returns.
 */
struct put_opts {
	const struct pqc_source *from;
	bool resume_memory; /* keep a journal of memory, too */
	uint32_t part_size;
};
int client_put(const struct client_opts *o, const struct url *u, const struct put_opts *p,
	       struct transfer_result *r, struct err *e) MUST_CHECK;

/*
 * A path can be taken up by a later call. A descriptor and a callback are written to in order,
 * memory as the parts come; what of these was not finished is worth nothing. Memory that is too
 * small: PQC_ETOOBIG, and the result's size says how much it takes.
 */
struct get_opts {
	const struct pqc_sink *to;
	const uint8_t *from; /* ID_LEN: only if this identity sent it; or NULL */
};
int client_get(const struct client_opts *o, const struct url *u, const struct get_opts *g,
	       struct transfer_result *r, struct err *e) MUST_CHECK;

struct entry {
	const char *name; /* borrowed during the call */
	uint64_t size, time;
	const uint8_t *owner; /* ID_LEN */
};
/* Names that begin with u->name, in the server's order. */
int client_list(const struct client_opts *o, const struct url *u,
		int (*each)(void *arg, const struct entry *en), void *arg,
		struct err *e) MUST_CHECK;
int client_delete(const struct client_opts *o, const struct url *u, struct err *e) MUST_CHECK;
/* Append the PEM receipt bundle, verified, of an object that this identity put. */
int client_receipt(const struct client_opts *o, const struct url *u, struct buf *pem,
		   struct err *e) MUST_CHECK;

struct ping_result {
	uint8_t server_id[ID_LEN];
	const struct suite *suite;
	bool pinned;	    /* known and equal */
	char tls_group[64]; /* empty: plain */
	double seconds;	    /* connect to verified bundle */
};
/* Connect and check the server's signed bundle; needs no right on the server. */
int client_ping(const struct client_opts *o, const struct url *u, struct ping_result *r,
		struct err *e) MUST_CHECK;

#endif
