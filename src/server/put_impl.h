/* Put: what its files share. */
#ifndef PQC_SERVER_PUT_IMPL_H
#define PQC_SERVER_PUT_IMPL_H

#include "container/manifest.h"
#include "protocol/receiver.h"
#include "server/internal.h"

#define SLOTS	  6
#define WINDOW	  512
#define BATCH_MAX 1024 /* parts in one flush */

struct slot {
	struct job job;
	struct put *put;
	uint8_t *p; /* part_size + tag, SLOT_ALIGN-aligned */
	struct frame f;
	uint8_t head[FRAME_LEN], mask[4], leaf[HASH_MAX];
	bool busy, known;
	uint64_t began, verified, written; /* clock_ns */
	enum metric refused;		   /* why, of pqc_parts_refused_total; 0: it was not */
	int rc;
	struct err e;
};

struct batch {
	uint64_t part[BATCH_MAX];
	uint8_t leaf[BATCH_MAX * HASH_MAX];
	size_t count;
	uint64_t bytes, since; /* since: clock_ms of the oldest part */
};

struct put {
	struct server *srv;
	struct put *prev, *next;
	struct conn *c; /* NULL: the connection is gone */
	struct transfer
		about; /* as it was when it began, for what outlives the connection; name is ours */
	struct upload *up;
	struct session *session; /* c's while there is a c, then ours */
	struct receiver *rx;
	uint8_t owner[ID_LEN];
	char name[NAME_MAX_LEN + 1];
	struct slot slot[SLOTS], *filling;
	unsigned busy; /* slots with a worker */
	struct batch *fill, *flushing;
	struct job flush_job, commit_job, abandon_job, lease_job;
	bool flush_running, commit_running, lease_running, commit_asked, failed;
	bool hopeless, abandoned; /* a stream that will never fit: its bytes are given back */
	int flush_rc, commit_rc, lease_rc;
	uint64_t flush_began, flush_ended; /* clock_ns */
	uint64_t quota;			   /* of its owner, bytes */
	struct err flush_err, commit_err;
	struct timer timer, lease;
	struct buf manifest, receipt;
	uint64_t began, bytes_in;
	struct pqx_manifest signed_by_client; /* decoded, once commit_asked */
};

/* A put request on its way to the disk and back. */
struct opening {
	struct task t;
	bool resume;
	bool after_old;	    /* a put of this process has the upload still */
	struct timer again; /* to ask for the lease once more */
	uint64_t patience;  /* clock_ms: until then */
	uint64_t quota;	    /* of the owner, bytes */
	uint8_t owner[ID_LEN];
	char name[NAME_MAX_LEN + 1];
	struct pqx_header header;
	struct buf keyblock;
	struct pqx_keys keys;
	struct upload *up;
	struct partset held;
};

/* put.c: make a put of an opened upload (taken over from o) and let it serve c, which was told already. */
int put_new(struct opening *o, struct conn *c) MUST_CHECK;
/* End a put's connection from outside; the put settles, and then lets the upload go. */
void put_detach(struct conn *c);
/* A newer connection wants the upload: tell the one there is, and detach it. p->c is not NULL. */
void put_supersede(struct put *p);

size_t put_hash_len(const struct put *p);
bool put_is_stream(const struct put *p);
/* It failed: no more parts, tell the client. */
void put_fail(struct put *p, int code, const char *text);
/* Something changed: flush, acknowledge, commit, as far as it is time. */
void put_advance(struct put *p);
/* After put_advance, on the loop's own turn (never inside an op hook): p or its connection may go. */
void put_settle(struct put *p);

/* put_part.c */
int slots_init(struct put *p) MUST_CHECK;
void slots_free(struct put *p);
int put_take(struct conn *c, const struct ws_event *ev, uint8_t **into, struct err *e) MUST_CHECK;
int put_take_end(struct conn *c, struct err *e) MUST_CHECK;
int put_too_large(struct put *p, uint64_t size, struct err *e) MUST_CHECK;

/* put_commit.c */
int put_control(struct conn *c, const struct msg *m, struct err *e) MUST_CHECK;
void put_commit(struct put *p);

/* put_open.c */
void opening_free(struct opening *o);

#endif
