/* Put: what its files share. */
#ifndef PQC_CLIENT_PUT_IMPL_H
#define PQC_CLIENT_PUT_IMPL_H

#include "base/pool.h"
#include "client/drive.h"
#include "client/journal.h"
#include "client/source.h"
#include "protocol/sender.h"

#define RING_MAX 8

struct put;

struct slot {
	struct job job;
	struct put *put;
	uint8_t *wire;	 /* WS_HEADER_MAX | frame header | part | tag */
	size_t off, end; /* what is left to write */
	uint64_t part, sequence;
	uint64_t sealed_from, sealed_to, sent_from; /* trail_clock */
	bool ready, final;
	size_t plain_len;
	int rc;
	struct err e;
};

struct put {
	struct drive d;
	struct transfer_result *res;
	struct psource *src;
	struct journal *journal;
	struct pqx_header h;
	struct pqx_keys k;
	struct buf keyblock;
	uint32_t part_size;
	size_t capacity; /* plaintext bytes of a part */
	bool fresh;	 /* the server has not been told of this file yet */
	uint64_t parts;	 /* 0: not known yet */
	struct sender *sender;
	struct pool *pool;
	struct worker {
		struct aead *aead;
		uint8_t *plain;
	} * workers;
	size_t worker_count;
	/* one connection */
	struct slot ring[RING_MAX];
	size_t ring_len;
	uint64_t head, tail; /* sequence numbers: next to write, next to fill */
	uint64_t handed;     /* of a stream: parts handed to workers */
	size_t sealing;	     /* jobs under way */
	uint64_t began, shown;
	uint32_t handle;
	bool committed, mid_frame;
};

/* put_data.c: the data phase of an open connection, until the receipt is there or it broke. */
int put_data(struct put *p) MUST_CHECK;
extern const struct drive_ops put_drive_ops;
/* The receipt, from RECEIPT or from the reply to a resume: it must be this server's, for what we signed. */
int put_take_receipt(struct put *p, const struct span *manifest,
		     const struct span *receipt) MUST_CHECK;

#endif
