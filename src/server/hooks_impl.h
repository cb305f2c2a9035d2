/* What the files of hooks.h share: the spool, two ways to deliver, and a courier for each. */
#ifndef PQC_SERVER_HOOKS_IMPL_H
#define PQC_SERVER_HOOKS_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/pool.h"
#include "net/stream.h"
#include "server/hooks.h"

#define EVENT_ID_LEN   (4 + 12 + 20) /* "evt_", milliseconds since 1970, randomness: in hex */
#define EVENT_NAME_MAX 64	     /* ID.KIND.json */
#define EVENT_TYPE_MAX 40

/* Wall clock, milliseconds. Backwards and forwards: what depends on it waits longer or shorter. */
uint64_t hooks_now(void);

/* ---- hooks_spool.c: a directory of files ---- */

struct spool {
	int dir, failed; /* descriptors */
};
int spool_open(struct spool *s, const char *data_dir, struct err *e) MUST_CHECK;
void spool_close(struct spool *s);

/* A fresh id. */
int event_id(char id[EVENT_ID_LEN + 1]) MUST_CHECK;
int spool_put(struct spool *s, const char *id, const char *kind, const struct buf *body,
	      struct err *e) MUST_CHECK;

#define DUE_MAX 256
struct spool_list {
	char due[DUE_MAX][EVENT_NAME_MAX]; /* the oldest first */
	size_t n;
	uint64_t next;	  /* hooks_now() when the next one is due; UINT64_MAX: none waits */
	uint64_t pending; /* all there are */
};
/* Look for events of the kind; PQC_EIO. */
int spool_list(struct spool *s, const char *kind, struct spool_list *l, struct err *e) MUST_CHECK;

struct event {
	char name[EVENT_NAME_MAX];
	char id[EVENT_ID_LEN + 1];
	char type[EVENT_TYPE_MAX];
	uint64_t created; /* hooks_now() */
	int fd;		  /* locked: nobody else has it */
	struct buf body;
};
/*
 * Lock and read an event. PQC_EAGAIN: it is gone, another process has it, or it is not due
 * any more. PQC_EINTEGRITY: it is none, and still has to be released, as is done for 0.
 */
int spool_take(struct spool *s, const char *name, struct event *ev) MUST_CHECK;
void spool_release(struct event *ev);
/* Of an event that was taken. */
void spool_delivered(struct spool *s, const struct event *ev);
void spool_give_up(struct spool *s, const struct event *ev);
void spool_postpone(const struct event *ev, uint64_t until);
/* An event's descriptor of its own, without the lock, to read from its beginning. -1: errno. */
int spool_reopen(struct spool *s, const struct event *ev);

/* ---- ways to deliver ---- */

enum outcome {
	DELIVERED,
	FAILED,	     /* try again */
	REFUSED,     /* never again */
	INTERRUPTED, /* as if not tried */
};
struct attempt {
	enum outcome outcome;
	bool down;	      /* it would fare no better with another event now */
	unsigned retry_after; /* seconds, asked for by the receiver */
	char why[200];	      /* unless DELIVERED */
};

struct webhook {
	char *url;
	struct tls_ctx *tls;
	uint8_t *key; /* secret memory */
	size_t key_len;
	unsigned timeout_ms;
	const atomic_bool *cancel;
};
int webhook_init(struct webhook *w, const struct hooks_opts *o, const atomic_bool *cancel,
		 struct err *e) MUST_CHECK;
void webhook_free(struct webhook *w);
void webhook_deliver(const struct webhook *w, const struct event *ev, struct attempt *a);

struct command {
	char *path;
	char *search; /* "PATH=..." */
	unsigned timeout_ms;
	const atomic_bool *cancel;
};
int command_init(struct command *c, const struct hooks_opts *o, const atomic_bool *cancel,
		 struct err *e) MUST_CHECK;
void command_free(struct command *c);
/* in: becomes the program's standard input. */
void command_deliver(const struct command *c, const struct event *ev, int in, struct attempt *a);

/* ---- hooks_courier.c ---- */

/* Delivers the events of one kind, on a thread of its own. */
struct courier {
	struct job job;
	struct hooks *h;
	const char *kind;    /* NULL: there is no such receiver */
	uint64_t not_before; /* clock_ms(); the receiver is down until then */
	unsigned failures;   /* of the receiver, in a row */
	bool posted, ended;  /* under the lock */
	_Atomic uint64_t pending;
	struct spool_list list; /* of the round under way */
};

enum { WEBHOOK, COMMAND, COURIERS };

struct hooks {
	struct spool spool;
	struct webhook webhook;
	struct command command;
	uint64_t ttl_ms;
	struct logger *log;
	struct pool *pool;
	struct courier courier[COURIERS];
	pthread_mutex_t lock; /* of posted, ended, stopping */
	pthread_cond_t wake;
	bool stopping;
	atomic_bool cancel;
	_Atomic uint64_t delivered, retried, given_up;
};

/* A courier's job: until the hooks are stopping. */
void courier_run(struct job *j);

#endif
