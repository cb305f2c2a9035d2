/* What the server's files share. */
#ifndef PQC_SERVER_INTERNAL_H
#define PQC_SERVER_INTERNAL_H

#include <stdatomic.h>

#include "base/pool.h"
#include "net/http.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/ws.h"
#include "protocol/handshake.h"
#include "server/access.h"
#include "server/hooks.h"
#include "server/queue.h"
#include "server/server.h"
#include "server/transfer.h"
#include "store/store.h"
#include "telemetry/health.h"
#include "telemetry/metrics.h"
#include "telemetry/trace.h"
#include "telemetry/windows.h"

#define PING_MS	     20000
#define IDLE_MS	     60000
#define HANDSHAKE_MS 10000
#define LIST_PAGE    65536
#define DISK_THREADS 4
#define OUT_MAX	     262144 /* control bytes waiting to be written */
#define MONITORS     2	    /* listeners for operators: TCP and Unix */
#define MONITOR_MAX  64	    /* their connections, beside max_connections */

struct conn;
struct parts;
struct put;
struct watchman;

struct listener {
	struct watch w; /* first: on_accept finds its listener by it */
	struct server *server;
	char address[64];
	bool monitor; /* for operators: plain HTTP, and everything there is to see */
};

struct server {
	struct server_opts o;
	const struct identity *id;
	const struct kek *kek;
	struct logger *log;
	struct loop *loop;
	struct pool *cpu;  /* verify, hash, write parts */
	struct pool *disk; /* everything that may wait for the disk */
	struct store *store;
	struct access *access;
	struct tls_ctx *tls;
	struct hs_bundle *bundle;
	struct timer rotate, sweep, drain;
	struct sweep {
		struct job job;
		unsigned removed;
		int rc;
		struct err e;
	} sweeping;
	struct job trash;
	bool trash_running, trash_again;
	struct listener listen[SERVER_LISTEN_MAX + MONITORS];
	size_t listening;
	int run_dir;	    /* where the operators' socket is, or -1 */
	char run_name[128]; /* its name there; empty: none */
	atomic_uint stops;  /* what it was told, and the loop has not seen yet: */
	atomic_bool reload;
	struct conn *conns;
	unsigned conn_count, monitor_count;
	unsigned notices; /* events on their way to the spool */
	struct queue *queue;
	struct timer tell; /* those who wait, of their places */
	struct put *puts;
	struct metrics metrics;
	struct windows *windows;
	struct tracer *tracer;
	struct hooks *hooks;
	struct watchman *watchman; /* monitor.c */
	struct parts *parts;	   /* buffers that uploads share */
	bool draining, forced, key_ok;
	uint64_t drain_until; /* clock_ms */
	uint64_t started;     /* unix seconds */
	struct aead **aead;   /* one per cpu worker, at least one */
	size_t aead_count;
};

/*
 * What a connection does once its request is accepted: put, get, or a plain
 * answer. Every hook runs on the loop's thread.
 */
struct op {
	/* A control message. PQC_E* ends the connection with an ERROR. */
	int (*control)(struct conn *c, const struct msg *m, struct err *e);
	/* WS_EV_DATA: a buffer for the part, or NULL in *into with 0 returned: not now (ask again at the next conn_kick). */
	int (*data)(struct conn *c, const struct ws_event *ev, uint8_t **into, struct err *e);
	int (*data_end)(struct conn *c, struct err *e);
	/* Nothing waits to be written: write more. 1: a whole frame went out; 0: there is nothing; PQC_EAGAIN with *want. */
	int (*write)(struct conn *c, unsigned *want, struct err *e);
	/* The connection is going away: let go of it. */
	void (*detach)(struct conn *c);
};

enum phase {
	PHASE_TLS,
	PHASE_HTTP,
	PHASE_HELLO,
	PHASE_REQUEST,
	PHASE_BUSY,
	PHASE_OPEN,
	PHASE_CLOSING
};

struct conn {
	struct server *srv;
	struct conn *prev, *next;
	struct watch w;
	struct timer timer;
	struct stream *st;
	char peer[64];
	const char *accept; /* header of the plain request that is being answered */
	enum phase phase;
	struct buf in;	/* HTTP head */
	struct buf out; /* waiting to be written */
	struct ws *ws;
	struct hs_server *hs;
	struct session *session;
	uint8_t client_id[ID_LEN];
	const struct op *op;
	void *state;	      /* the op's */
	struct task *task;    /* a disk task under way for this connection */
	uint64_t heard;	      /* clock_ms of the last byte read */
	uint64_t accepted;    /* clock_ns */
	uint64_t exchange_ns; /* our work for the handshake */
	uint64_t mark;	      /* clock_ns: up to here its waiting was counted */
	size_t got;	      /* bytes read in this turn */
	bool behind;	      /* it waits for us, not for the peer */
	bool waited;	      /* in the queue */
	struct transfer t;
	struct ws_event pending; /* WS_EV_DATA the op had no room for yet, else WS_EV_NONE */
	bool mid_frame; /* the op is in the middle of writing a frame: nothing may come between */
	bool close_after_out;
	bool monitor; /* came to a monitor listener */
	bool replied; /* the request was answered for good: not only with a place in the queue */
	bool eof;     /* the peer sends nothing more */
	bool lingering; /* all is written; waiting for the peer's end so that it can read our last words */
	struct queue_entry place; /* in srv->queue */
	struct task *waits;	  /* for its turn */
};

/*
 * Something for a disk worker on behalf of a connection. run() must not touch
 * the connection; done() gets c == NULL when the connection has gone.
 */
struct task {
	struct job job;
	struct server *srv;
	struct conn *c;
	void (*run)(struct task *t);
	void (*done)(struct task *t, struct conn *c);
	int rc;
	struct err e;
};
void task_start(struct conn *c, struct task *t);

/* listen.c */
int server_listen(struct server *s, struct err *e) MUST_CHECK;
/* For clients; for operators too, who may look on while the server drains. */
void server_stop_listening(struct server *s, bool monitors);

/* control.c: do what server_stop and server_reload asked for. */
void server_obey(struct server *s);
/* Close the connections that nothing is under way on, or all. */
void server_close_conns(struct server *s, bool all);
/* *out NULL: these options have no certificate. */
int server_load_tls(const struct server_opts *o, struct tls_ctx **out, struct err *e) MUST_CHECK;

/* server.c: remove, on a disk worker, the bytes of what was replaced or deleted. */
void server_empty_trash(struct server *s);

/* conn.c */
void conn_accept(struct listener *l, int fd, const char *peer);
void conn_close(struct conn *c);
/* conn_read.c: read as far as it goes: 0, or why the connection ends (PQC_ECLOSED: the peer has). */
int conn_read(struct conn *c, unsigned *want) MUST_CHECK;
bool conn_may_read(const struct conn *c);
/* Append a WebSocket frame to what is to be written. */
void conn_put_frame(struct conn *c, enum ws_opcode op, const void *p, size_t n);
void conn_put_close(struct conn *c, unsigned code);
/* Send a control message; the connection may be gone after conn_flush, not here. */
int conn_send(struct conn *c, const struct msg *m);
/* The trace id of what the connection asks for, for log lines. */
static inline struct log_field log_trace(const struct conn *c)
{
	return log_str("trace_id", c->t.trace_id[0] != '\0' ? c->t.trace_id : NULL);
}

/* A REPLY: M4 when it is the first. */
int conn_reply(struct conn *c, const struct msg *m);
/* Write and read as far as possible; call after anything changed. May free c. */
void conn_kick(struct conn *c);
/* Tell the client, then close. Before M4 it is the reply, after it an ERROR message. */
void conn_fail(struct conn *c, int code, const char *text);
/* Close when everything was written. */
void conn_finish(struct conn *c);

/* An event of a transfer that did not end well, for the webhook or command. */
void server_post_failed(struct conn *c, enum transfer_result result, int code);

/* monitor.c: what is looked at every few seconds, for /metrics and /health. */
struct watchman;
int watchman_start(struct server *s, struct err *e) MUST_CHECK;
void watchman_free(struct watchman *w); /* when the disk workers have ended */
/* Bring the gauges up to date. */
void watchman_gauges(struct server *s);
void watchman_health(struct server *s, struct health *h);

/* http_api.c: answer a plain request. */
void http_api(struct conn *c, const struct http_request *r);

/* request.c: an authenticated request. */
void request_start(struct conn *c, const struct msg *m);
/* May client_id do this? Logs and counts a refusal. */
bool request_allowed(struct conn *c, unsigned right, const char *name);
/* Unwrap the DEK of an object this server holds the KEK of. */
int request_dek(const struct server *s, const struct pqx_header *h, struct span keyblock,
		struct pqx_keys *k);

/* admit.c: who is served now, and who waits. */
/* Start t now or when it is its turn; until then the client is told its place. again: 32 bytes that name an upload under way, or NULL. */
void admit(struct conn *c, struct task *t, const uint8_t *again);
/* The slot is free, or the place in the queue; fine when it has neither. again: as for admit, of what was not finished. */
void admit_leave(struct conn *c, const uint8_t *again);
void admit_tell(struct timer *t);
const struct conn *admit_conn(const struct queue_entry *e);
/* Draining: those who wait are to connect again, which leads them elsewhere. */
void admit_send_away(struct server *s);

/* put_part.c: buffers for parts that uploads share, at most `budget` bytes of them. */
struct parts *parts_new(uint64_t budget);
void parts_free(struct parts *b); /* when no put is left */

/* put.c, get.c */
void put_start(struct conn *c, const struct msg *m);
void get_start(struct conn *c, struct object *o);

#endif
