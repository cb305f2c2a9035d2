#include "net/loop.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOP_BATCH 64

/*
 * Timers lie in sorted rings, one for each power of two of their duration. A
 * program uses a few durations, each many times: within its ring a new
 * timer then belongs at the end, where the search for its place starts.
 */
#define LOOP_RINGS 32

struct loop {
	int epfd;
	bool stopped;
	struct watch wake;
	void (*on_wake)(void *arg);
	void *on_wake_arg;
	struct epoll_event batch[LOOP_BATCH]; /* of the round that runs; data.ptr NULL: deleted */
	int batch_len;
	struct timer ring[LOOP_RINGS]; /* heads */
	struct timer due;	       /* head: expired, to be called in this round */
};

static void ring_init(struct timer *head)
{
	head->prev = head->next = head;
}

/* Into its place by time; equal times keep the order in which they came. */
static void ring_insert(struct timer *head, struct timer *t)
{
	struct timer *after = head->prev;

	while (after != head && after->at > t->at)
		after = after->prev;
	t->prev = after;
	t->next = after->next;
	t->prev->next = t;
	t->next->prev = t;
}

static void ring_remove(struct timer *t)
{
	t->prev->next = t->next;
	t->next->prev = t->prev;
	t->prev = t->next = NULL;
}

/* The wake-up descriptor became readable. */
static void woken(struct watch *w, unsigned ready)
{
	struct loop *l = (struct loop *)(void *)((char *)w - offsetof(struct loop, wake));
	uint64_t count;

	(void)ready;
	if (read(w->fd, &count, sizeof(count)) == sizeof(count) && l->on_wake)
		l->on_wake(l->on_wake_arg);
}

int loop_new(struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return PQC_ENOMEM;
	for (size_t i = 0; i < LOOP_RINGS; i++)
		ring_init(&l->ring[i]);
	ring_init(&l->due);
	l->wake = (struct watch){.fd = -1, .events = LOOP_READ, .cb = woken};
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		r = err_sys(NULL, errno, "epoll");
		goto out;
	}
	l->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->wake.fd < 0) {
		r = err_sys(NULL, errno, "eventfd");
		goto out;
	}
	if ((r = loop_watch_add(l, &l->wake)) != 0)
		goto out;
	*out = l;
	l = NULL; /* transferred */
out:
	loop_free(l);
	return r;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->wake.fd >= 0)
		close(l->wake.fd);
	if (l->epfd >= 0)
		close(l->epfd);
	free(l);
}

static int control(struct loop *l, int op, struct watch *w, unsigned events)
{
	struct epoll_event ev = {.data.ptr = w};

	if (events & LOOP_READ)
		ev.events |= EPOLLIN;
	if (events & LOOP_WRITE)
		ev.events |= EPOLLOUT;
	if (events == 0)
		ev.events = EPOLLONESHOT; /* epoll reports hang-ups unasked: once will do */
	if (epoll_ctl(l->epfd, op, w->fd, &ev) != 0)
		return err_sys(NULL, errno, "epoll");
	w->events = events;
	return 0;
}

int loop_watch_add(struct loop *l, struct watch *w)
{
	return control(l, EPOLL_CTL_ADD, w, w->events);
}

int loop_watch_set(struct loop *l, struct watch *w, unsigned events)
{
	return events == w->events ? 0 : control(l, EPOLL_CTL_MOD, w, events);
}

void loop_watch_del(struct loop *l, struct watch *w)
{
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	for (int i = 0; i < l->batch_len; i++)
		if (l->batch[i].data.ptr == w)
			l->batch[i].data.ptr = NULL;
}

static size_t ring_of(uint64_t ms)
{
	size_t log2 = 63 - (size_t)__builtin_clzll(ms | 1);

	return log2 < LOOP_RINGS ? log2 : LOOP_RINGS - 1;
}

void loop_timer_set(struct loop *l, struct timer *t, uint64_t ms)
{
	uint64_t now = clock_ms();

	loop_timer_del(l, t);
	t->at = ms < UINT64_MAX - now ? now + ms : UINT64_MAX;
	t->armed = true;
	ring_insert(&l->ring[ring_of(ms)], t);
}

void loop_timer_del(struct loop *l, struct timer *t)
{
	(void)l;
	if (t->armed)
		ring_remove(t);
	t->armed = false;
}

void loop_on_wake(struct loop *l, void (*cb)(void *arg), void *arg)
{
	l->on_wake = cb;
	l->on_wake_arg = arg;
}

void loop_wake(struct loop *l)
{
	int saved = errno; /* a signal handler must not change it */
	uint64_t one = 1;
	ssize_t written = write(l->wake.fd, &one, sizeof(one));

	(void)written; /* it fails when the count is full: then a wake-up is under way anyway */
	errno = saved;
}

/* Milliseconds until the first timer, at most ms (-1: no limit). */
static int wait_time(const struct loop *l, int ms)
{
	uint64_t first = UINT64_MAX, now;

	if (l->due.next != &l->due)
		return 0;
	for (size_t i = 0; i < LOOP_RINGS; i++)
		if (l->ring[i].next != &l->ring[i] && l->ring[i].next->at < first)
			first = l->ring[i].next->at;
	if (first == UINT64_MAX)
		return ms;
	now = clock_ms();
	if (first <= now)
		return 0;
	if (ms >= 0 && first - now >= (uint64_t)ms)
		return ms;
	return first - now < INT_MAX ? (int)(first - now) : INT_MAX;
}

static void run_watches(struct loop *l)
{
	for (int i = 0; i < l->batch_len; i++) {
		struct watch *w = l->batch[i].data.ptr;
		uint32_t got = l->batch[i].events;
		unsigned ready = 0;

		if (!w)
			continue;
		if (got & EPOLLIN)
			ready |= LOOP_READ;
		if (got & EPOLLOUT)
			ready |= LOOP_WRITE;
		ready &=
			w->events; /* an earlier callback of this round may have changed its mind */
		if (got & (EPOLLERR | EPOLLHUP))
			ready |= w->events ? w->events : LOOP_READ;
		if (ready != 0)
			w->cb(w, ready);
	}
	l->batch_len = 0;
}

/* What is due is set aside first, so that a callback which arms a timer with 0 cannot hold the round. */
static void run_timers(struct loop *l)
{
	uint64_t now = clock_ms();

	for (size_t i = 0; i < LOOP_RINGS; i++) {
		struct timer *head = &l->ring[i], *t;

		while ((t = head->next) != head && t->at <= now) {
			ring_remove(t);
			ring_insert(&l->due, t);
		}
	}
	while (l->due.next != &l->due) {
		struct timer *t = l->due.next;

		loop_timer_del(l, t);
		t->cb(t);
	}
}

int loop_once(struct loop *l, int ms)
{
	int n = epoll_wait(l->epfd, l->batch, LOOP_BATCH, wait_time(l, ms));

	if (n < 0 && errno != EINTR)
		return err_sys(NULL, errno, "epoll");
	l->batch_len = n > 0 ? n : 0;
	run_watches(l);
	run_timers(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int r = 0;

	while (!l->stopped && r == 0)
		r = loop_once(l, -1);
	l->stopped = false;
	return r;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
}
