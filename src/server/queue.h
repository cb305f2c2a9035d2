/*
 * Admission: at most so many transfers at a time, the others wait in a fair order.
 *
 * Order is start-time fair queueing with a transfer as the unit: a request's tag
 * is the later of the queue's virtual time and its client's last tag + 1, the lowest tag
 * goes first, equal tags in order of arrival. So a client that asks for a hundred
 * transfers at once waits behind each of its own, and somebody who asks for one
 * waits for one round, not for a hundred. A put whose connection broke while it was
 * under way keeps its tag and order: when it comes back it goes before those who have not begun.
 *
 * Pure: no socket, no clock; an entry is embedded in what waits. One thread.
 */
#ifndef PQC_SERVER_QUEUE_H
#define PQC_SERVER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/suite.h"

struct queue;

/* Embedded in the owner's struct; zero it once. The queue keeps a pointer while `waiting` or `active`. */
struct queue_entry {
	uint64_t tag, order;
	uint64_t since_ms; /* when it came, or when it was admitted */
	uint32_t place;	   /* 1: next; as of queue_places */
	bool waiting, active;
	uint8_t client[ID_LEN];
	struct queue_entry *prev, *next;
};

struct queue_opts {
	unsigned slots;	      /* transfers at a time */
	unsigned waiting_max; /* entries that may wait */
};

struct queue *queue_new(const struct queue_opts *o);
void queue_free(struct queue *q); /* of no entries; NULL is fine */
/* New limits take effect with the next call: nobody is thrown out. */
void queue_limits(struct queue *q, const struct queue_opts *o);

/*
 * A request of e->client. True: it is to be served now, or waits (e->active, e->waiting tell). False: as many
 * as may wait do. again: 32 bytes that name what it continues, remembered by queue_leave; NULL: nothing.
 */
bool queue_enter(struct queue *q, struct queue_entry *e, const uint8_t *again, uint64_t now_ms);
/*
 * The one to be served next, if there is a free slot: it is active from now on. NULL: nobody. To be called until then
 * after everything that may have freed a slot.
 */
struct queue_entry *queue_next(struct queue *q, uint64_t now_ms);
/*
 * It is over, or it does not want to wait any more; fine for an entry that is neither. again: what it was, if it may come
 * back and go on; NULL: it is done.
 */
void queue_leave(struct queue *q, struct queue_entry *e, const uint8_t *again, uint64_t now_ms);

unsigned queue_active(const struct queue *q);
unsigned queue_waiting(const struct queue *q);
unsigned queue_slots(const struct queue *q);
/* When the one that has waited longest came; 0: nobody waits. */
uint64_t queue_oldest_ms(const struct queue *q);
/* Number the places; calls each for entries whose place changed. */
void queue_places(struct queue *q, void (*each)(void *arg, struct queue_entry *e), void *arg);
/* Those that wait, in order; NULL begins and ends. */
struct queue_entry *queue_walk(const struct queue *q, const struct queue_entry *after);
/* How long the entry at this place may have to wait, from how long transfers took of late; UINT64_MAX: not known. */
uint64_t queue_estimate_ms(const struct queue *q, uint32_t place);

#endif
