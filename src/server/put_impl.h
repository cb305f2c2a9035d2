/* Put: what its files share. */
#ifndef PQC_SERVER_PUT_IMPL_H
#define PQC_SERVER_PUT_IMPL_H

#include "container/manifest.h"
#include "protocol/receiver.h"
#include "server/internal.h"

#define SLOTS	  6
#define WINDOW	  512
#define BATCH_MAX 4096 /* parts in one flush */

struct slot {
	struct job job;
	struct put *put;
	uint8_t *p; /* part_size + tag, SLOT_ALIGN-aligned */
	struct frame f;
	uint8_t head[FRAME_LEN], mask[4], leaf[HASH_MAX];
	bool busy, known;
	int rc;
	struct err e;
};

struct batch {
	uint64_t part[BATCH_MAX];
	uint8_t leaf[BATCH_MAX * HASH_MAX];
	size_t count;
	uint64_t bytes;
};

struct put {
	struct server *srv;
	struct put *prev, *next;
	struct conn *c;		 /* NULL: the connection is gone */
	struct opening *waiting; /* a newer connection's request for the same file */
	struct upload *up;
	struct session *session; /* c's while there is a c, then ours */
	struct receiver *rx;
	uint8_t owner[ID_LEN];
	char name[NAME_MAX_LEN + 1];
	struct slot slot[SLOTS], *filling;
	unsigned busy; /* slots with a worker */
	struct batch *fill, *flushing;
	struct job flush_job, commit_job, abandon_job;
	bool flush_running, commit_running, commit_asked, failed;
	bool hopeless, abandoned; /* a stream that will never fit: its bytes are given back */
	int flush_rc, commit_rc;
	struct err flush_err, commit_err;
	struct timer timer;
	struct buf manifest, receipt;
	uint64_t began, bytes_in;
	struct pqx_manifest signed_by_client; /* decoded, once commit_asked */
};

/* A put request on its way to the disk and back. */
struct opening {
	struct task t;
	bool resume;
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
/* End a put's connection from outside; the put settles, and then takes on what waits for it. */
void put_detach(struct conn *c);

/* put_open.c */
void opening_free(struct opening *o);

#endif
