/*
 * An epoll loop: descriptors, one-shot timers, wake-ups from other threads
 * and signals. One thread runs a loop; only loop_wake may be called from others.
 */
#ifndef PQC_NET_LOOP_H
#define PQC_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;

#define LOOP_READ  1u
#define LOOP_WRITE 2u

/* Embedded in the owner's struct; the loop keeps a pointer until watch_del. */
struct watch {
	int fd;
	unsigned events; /* LOOP_READ | LOOP_WRITE asked for; 0 keeps it registered but silent */
	/* ready: what is ready. An error or hang-up is reported as everything asked for, or LOOP_READ. */
	void (*cb)(struct watch *w, unsigned ready);
};
struct timer {
	uint64_t at; /* clock_ms() when due; the loop's */
	void (*cb)(struct timer *t);
	struct timer *prev, *next; /* the loop's */
	bool armed;
};

int loop_new(struct loop **out) MUST_CHECK;
void loop_free(struct loop *l);
int loop_watch_add(struct loop *l, struct watch *w) MUST_CHECK;
/* Change w->events. */
int loop_watch_set(struct loop *l, struct watch *w, unsigned events) MUST_CHECK;
/* Safe inside any callback of the same round: a deleted watch is not called again. */
void loop_watch_del(struct loop *l, struct watch *w);
/* Fire once in ms milliseconds; re-arming moves it. */
void loop_timer_set(struct loop *l, struct timer *t, uint64_t ms);
void loop_timer_del(struct loop *l, struct timer *t);
/* Thread- and signal-safe: make the loop call on_wake once, soon. */
void loop_on_wake(struct loop *l, void (*cb)(void *arg), void *arg);
void loop_wake(struct loop *l);
/* Run until loop_stop. */
int loop_run(struct loop *l) MUST_CHECK;
/* One round: wait at most ms (-1: for ever), dispatch. For callers with a loop of their own. */
int loop_once(struct loop *l, int ms) MUST_CHECK;
void loop_stop(struct loop *l);

#endif
