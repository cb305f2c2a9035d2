/*
 * The data phase of one connection: an event loop that reads events, lets the
 * owner (put or get) do what follows from them, writes, and waits, until
 * somebody finishes it. Workers' results come in through the same loop.
 */
#ifndef PQC_CLIENT_DRIVE_H
#define PQC_CLIENT_DRIVE_H

#include "client/link.h"
#include "net/loop.h"

struct drive;

struct drive_ops {
	/* A control message's bytes, or a data event. Pings and the peer's close are dealt with. */
	int (*event)(struct drive *d, struct ws_event *ev);
	/* Nothing is left to read for now: what is to be done next? */
	int (*step)(struct drive *d);
	/* Write as far as possible: 0, or PQC_EAGAIN with *want. */
	int (*write)(struct drive *d, unsigned *want);
	/* Collect finished jobs. */
	void (*reap)(struct drive *d);
	/* Now and then: show how far it is. Not 0 ends it. */
	int (*report)(struct drive *d);
	/* Are we, and not the peer, the ones that everything waits for? */
	bool (*waiting)(struct drive *d);
	/* Jobs that still use the connection or the owner's memory? */
	bool (*busy)(struct drive *d);
};

/* First member of the owner's struct. */
struct drive {
	const struct drive_ops *ops;
	struct call call;  /* lives as long as the owner, */
	struct loop *loop; /* and so does this; the rest belongs to one connection */
	struct err *e;	   /* why it ended */
	struct link link;
	struct watch w;
	struct timer tick;
	uint64_t moved; /* clock_ms when the transfer last went on; pings do not count */
	bool finished;
	int rc;
};

int drive_init(struct drive *d, const struct drive_ops *ops, const struct client_opts *o,
	       const struct url *u, struct err *e) MUST_CHECK;
void drive_free(struct drive *d);
/* Run an open link until it is finished and no job is busy any more; what drive_finish said. */
int drive_run(struct drive *d) MUST_CHECK;
/* The first to call it says how it ended; with rc and an empty d->e the code's meaning is the message. */
void drive_finish(struct drive *d, int rc);
/* From a job's done(): something changed. */
void drive_pump(struct drive *d);
/* For pool_opts: wake the loop. */
void drive_notify(void *loop);

#endif
