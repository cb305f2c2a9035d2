/* What the server's files share. */
#ifndef PQC_SERVER_INTERNAL_H
#define PQC_SERVER_INTERNAL_H

#include "base/pool.h"
#include "net/http.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/ws.h"
#include "protocol/handshake.h"
#include "server/access.h"
#include "server/server.h"
#include "store/store.h"
#include "telemetry/metrics.h"

#define PING_MS	     20000
#define IDLE_MS	     60000
#define HANDSHAKE_MS 10000
#define LIST_PAGE    65536
#define OUT_MAX	     262144 /* control bytes waiting to be written */

struct conn;
struct put;

struct listener {
	struct watch w; /* first: on_accept finds its listener by it */
	struct server *server;
	char address[64];
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
	struct listener listen[SERVER_LISTEN_MAX];
	size_t listening;
	struct watch signals;
	struct conn *conns;
	unsigned conn_count, transfers;
	struct put *puts;
	struct metrics metrics;
	bool draining, forced;
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
	enum phase phase;
	struct buf in;	/* HTTP head */
	struct buf out; /* waiting to be written */
	struct ws *ws;
	struct hs_server *hs;
	struct session *session;
	uint8_t client_id[ID_LEN];
	const struct op *op;
	void *state;	   /* the op's */
	struct task *task; /* a disk task under way for this connection */
	uint64_t heard;	   /* clock_ms of the last byte read */
	uint64_t opened;
	unsigned want_write;	 /* LOOP_* a blocked write waits for */
	struct ws_event pending; /* WS_EV_DATA the op had no room for yet, else WS_EV_NONE */
	bool mid_frame; /* the op is in the middle of writing a frame: nothing may come between */
	bool close_after_out;
	bool eof; /* the peer sends nothing more */
	bool lingering; /* all is written; waiting for the peer's end so that it can read our last words */
	bool transfer; /* counted in srv->transfers */
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

/* server.c: remove, on a disk worker, the bytes of what was replaced or deleted. */
void server_empty_trash(struct server *s);

/* conn.c */
void conn_accept(struct server *s, int fd, const char *peer);
void conn_close(struct conn *c);
/* Send a control message; the connection may be gone after conn_flush, not here. */
int conn_send(struct conn *c, const struct msg *m);
/* M4. */
int conn_reply(struct conn *c, const struct msg *m);
/* Write and read as far as possible; call after anything changed. May free c. */
void conn_kick(struct conn *c);
/* Tell the client, then close. Before M4 it is the reply, after it an ERROR message. */
void conn_fail(struct conn *c, int code, const char *text);
/* Close when everything was written. */
void conn_finish(struct conn *c);

/* http_api.c: answer a plain request. */
void http_api(struct server *s, const struct http_request *r, struct buf *out);

/* request.c: an authenticated request. */
void request_start(struct conn *c, const struct msg *m);
/* May client_id do this? Logs and counts a refusal. */
bool request_allowed(struct conn *c, unsigned right, const char *name);
/* Unwrap the DEK of an object this server holds the KEK of. */
int request_dek(const struct server *s, const struct pqx_header *h, struct span keyblock,
		struct pqx_keys *k);
/* Counts a transfer against the limit; false: tell the client to come back. */
bool transfer_enter(struct conn *c);
void transfer_leave(struct conn *c);

/* put.c, get.c */
void put_start(struct conn *c, const struct msg *m);
void get_start(struct conn *c, struct object *o);

#endif
