/* Get: what its files share. */
#ifndef PQC_CLIENT_GET_IMPL_H
#define PQC_CLIENT_GET_IMPL_H

#include "base/pool.h"
#include "client/drive.h"
#include "client/journal.h"
#include "container/manifest.h"
#include "container/tree.h"
#include "protocol/partset.h"

#define SLOT_MAX  6
#define BATCH_MAX 1024

struct get;

struct slot {
	struct job job;
	struct get *g;
	uint8_t *p;
	struct frame f;
	uint8_t leaf[HASH_MAX];
	uint64_t came_from, opened_from, opened_to; /* trail_clock */
	bool busy;
	int rc;
	struct err e;
};

struct batch {
	uint64_t part[BATCH_MAX];
	uint8_t leaf[BATCH_MAX * HASH_MAX];
	size_t count;
	uint64_t bytes;
};

struct get {
	struct drive d;
	const struct get_opts *go;
	struct transfer_result *res;
	/* the file */
	bool known; /* h, k, mf are set */
	struct pqx_header h;
	struct pqx_keys k;
	struct pqx_manifest mf;
	size_t capacity;
	struct partset have;	 /* written and, for a file, noted in the journal */
	struct tree tree;	 /* of a stream: the leaves so far */
	struct journal *journal; /* of a file; else NULL */
	uint8_t *leaves;	 /* of memory: each part's, once it is there; else NULL */
	/* the destination */
	bool stream;	       /* written in order */
	int dirfd, fd, direct; /* direct: fd's file, for file_pwrite_direct */
	char *path;	       /* own copy */
	const char *base;      /* within path */
	char tmp[300];
	struct pool *pool, *disk;
	struct worker {
		struct aead *aead;
		uint8_t *plain;
	} * workers;
	size_t worker_count;
	bool stream_broken; /* the one worker's, when the destination is a stream */
	/* one connection */
	struct slot slot[SLOT_MAX], *filling;
	size_t slots;
	struct ws_event pending;
	struct partset asked; /* of the FETCH under way */
	size_t range;
	uint64_t next, sequence; /* the frame that must come next */
	struct batch fill, flushing;
	struct job flush_job;
	bool flush_running;
	size_t busy;
	uint64_t began, shown;
	int flush_rc;
	struct err flush_err;
};

/* get_data.c: fetch what is missing over an open connection; what arrived before it broke is kept. */
int get_data(struct get *g) MUST_CHECK;
extern const struct drive_ops get_drive_ops;
/* Tell the caller how far it is, at the latest now: 0, or PQC_EINTERRUPTED when it wants no more. */
int get_report(struct get *g, bool now) MUST_CHECK;

/* get_file.c: the destination: a temporary file and its journal, memory, or a stream. */
int get_open_destination(struct get *g, struct err *e) MUST_CHECK;
/*
 * The object is known: room for it, or a clear word now rather than after an hour; and what an earlier
 * run wrote into the temporary file, as far as the journal vouches for it.
 */
int get_make_room(struct get *g, struct err *e) MUST_CHECK;
/* Write part i's n bytes. On a worker. */
int get_write(struct get *g, const uint8_t *p, size_t n, uint64_t i, struct err *e) MUST_CHECK;
/* Everything is written: compare the root, then let the file have its name. */
int get_publish(struct get *g, struct err *e) MUST_CHECK;
/* After a failure r: nothing that could not be used again is left behind. */
void get_clean_up(struct get *g, int r);

#endif
