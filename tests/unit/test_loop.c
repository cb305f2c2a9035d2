/* The loop: readiness, deletion within a round, hang-ups, timers, wake-ups. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/loop.h"

struct end {
	struct watch w;
	struct loop *l;
	int calls;
	unsigned ready;
	struct end **kill; /* delete this one when called */
};

static void on_ready(struct watch *w, unsigned ready)
{
	struct end *x = (struct end *)(void *)w; /* w is first */

	x->calls++;
	x->ready = ready;
	if (x->kill) {
		loop_watch_del(x->l, &(*x->kill)->w);
		free(*x->kill);
		*x->kill = NULL;
	}
}

static struct loop *fresh(void)
{
	struct loop *l = NULL;

	assert_int_equal(loop_new(&l), 0);
	return l;
}

static struct end *watch(struct loop *l, int fd, unsigned events)
{
	struct end *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->l = l;
	x->w = (struct watch){fd, events, on_ready};
	assert_int_equal(loop_watch_add(l, &x->w), 0);
	return x;
}

static void unwatch(struct end *x)
{
	loop_watch_del(x->l, &x->w);
	free(x);
}

static void readiness_is_told_as_asked(void **state)
{
	struct loop *l = fresh();
	int fd[2];
	struct end *x;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	x = watch(l, fd[0], LOOP_READ);
	assert_int_equal(loop_once(l, 0), 0);
	assert_int_equal(x->calls, 0);
	assert_int_equal(loop_watch_set(l, &x->w, LOOP_READ | LOOP_WRITE), 0);
	assert_int_equal(loop_once(l, -1), 0);
	assert_int_equal(x->ready, LOOP_WRITE);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(loop_once(l, -1), 0);
	assert_int_equal(x->ready, LOOP_READ | LOOP_WRITE);
	assert_int_equal(loop_watch_set(l, &x->w, 0), 0);
	x->calls = 0;
	assert_int_equal(loop_once(l, 0), 0);
	assert_int_equal(x->calls, 0);
	assert_int_equal(loop_watch_set(l, &x->w, LOOP_READ), 0);
	assert_int_equal(loop_once(l, -1), 0);
	assert_int_equal(x->ready, LOOP_READ);
	unwatch(x);
	assert_int_equal(loop_once(l, 0), 0);
	close(fd[0]);
	close(fd[1]);
	loop_free(l);
}

static void a_hangup_is_told_once_to_a_silent_watch(void **state)
{
	struct loop *l = fresh();
	int fd[2];
	struct end *x, *y;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	x = watch(l, fd[0], 0);
	close(fd[1]);
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_once(l, 0), 0);
	assert_int_equal(x->calls, 1);
	assert_int_equal(x->ready, LOOP_READ);
	assert_int_equal(loop_watch_set(l, &x->w, LOOP_WRITE), 0);
	assert_int_equal(loop_once(l, 0), 0);
	assert_int_equal(x->calls, 2);
	assert_int_equal(x->ready, LOOP_WRITE);
	/* the reading end of a pipe alone: the writer learns of it as an error */
	assert_int_equal(pipe(fd), 0);
	y = watch(l, fd[1], LOOP_WRITE);
	close(fd[0]);
	assert_int_equal(loop_once(l, 0), 0);
	assert_int_equal(y->ready, LOOP_WRITE);
	close(x->w.fd);
	unwatch(x); /* its descriptor is closed already */
	unwatch(y);
	close(fd[1]);
	loop_free(l);
}

static void a_deleted_watch_is_not_called(void **state)
{
	struct loop *l = fresh();
	int fd[2][2];
	struct end *x[2], *left;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd[i]), 0);
		x[i] = watch(l, fd[i][0], LOOP_READ);
		assert_int_equal(write(fd[i][1], "x", 1), 1);
	}
	/* both are ready; whichever comes first frees the other, which must then not be touched */
	x[0]->kill = &x[1];
	x[1]->kill = &x[0];
	assert_int_equal(loop_once(l, -1), 0);
	assert_true(!x[0] != !x[1]);
	left = x[0] ? x[0] : x[1];
	assert_int_equal(left->calls, 1);
	unwatch(left);
	for (int i = 0; i < 2; i++) {
		close(fd[i][0]);
		close(fd[i][1]);
	}
	loop_free(l);
}

static void a_bad_descriptor_is_an_error(void **state)
{
	struct loop *l = fresh();
	struct watch w = {-1, LOOP_READ, on_ready};

	(void)state;
	assert_true(loop_watch_add(l, &w) < 0);
	assert_true(loop_watch_set(l, &w, LOOP_WRITE) < 0);
	loop_watch_del(l, &w);
	loop_free(l);
	loop_free(NULL);
}

struct clock_hand {
	struct timer t; /* first */
	struct loop *l;
	int calls, *order, place; /* order: counts calls of all; place: which call this was */
	uint64_t again;		  /* arm again with this, unless UINT64_MAX */
	struct clock_hand *kill;
	bool stop;
};

static void on_time(struct timer *t)
{
	struct clock_hand *h = (struct clock_hand *)(void *)t;

	assert_false(t->armed);
	h->calls++;
	h->place = ++*h->order;
	if (h->again != UINT64_MAX)
		loop_timer_set(h->l, t, h->again);
	if (h->kill)
		loop_timer_del(h->l, &h->kill->t);
	if (h->stop)
		loop_stop(h->l);
}

static void timers_fire_in_order_of_time(void **state)
{
	static const uint64_t ms[] = {30, 3, 17, 0, 16, 15, 3, 1, 8, 29};
	struct loop *l = fresh();
	struct clock_hand h[10];
	int order = 0;
	uint64_t start = clock_ms();

	(void)state;
	for (int i = 0; i < 10; i++) {
		h[i] = (struct clock_hand){
			.t.cb = on_time, .l = l, .order = &order, .again = UINT64_MAX};
		h[i].stop = i == 0;
		loop_timer_set(l, &h[i].t, ms[i]);
	}
	assert_int_equal(loop_run(l), 0);
	assert_true(clock_ms() - start >= 30);
	assert_int_equal(order, 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(h[i].calls, 1);
		for (int k = 0; k < 10; k++)
			if (h[i].t.at < h[k].t.at)
				assert_true(h[i].place < h[k].place);
	}
	loop_free(l);
}

static void timers_may_be_moved_and_deleted(void **state)
{
	struct loop *l = fresh();
	int order = 0;
	struct clock_hand a = {.t.cb = on_time, .l = l, .order = &order, .again = UINT64_MAX};
	struct clock_hand b = a, c = a, end = a;

	(void)state;
	loop_timer_del(l, &a.t); /* not armed: nothing */
	loop_timer_set(l, &a.t, 0);
	loop_timer_set(l, &a.t, UINT64_MAX); /* moved to never */
	loop_timer_set(l, &b.t, 0);
	loop_timer_set(l, &c.t, 0);
	b.kill = &c; /* due in the same round, deleted before its turn */
	loop_timer_set(l, &end.t, 5);
	end.stop = true;
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 1);
	assert_int_equal(c.calls, 0);
	assert_int_equal(end.calls, 1);
	assert_true(a.t.armed);
	loop_timer_del(l, &a.t);
	assert_false(a.t.armed);
	loop_free(l);
}

/* A timer that arms itself with 0 comes once a round, so descriptors get their turn. */
static void an_eager_timer_does_not_hold_the_loop(void **state)
{
	struct loop *l = fresh();
	int order = 0;
	struct clock_hand a = {.t.cb = on_time, .l = l, .order = &order};

	(void)state;
	loop_timer_set(l, &a.t, 0);
	for (int i = 1; i <= 5; i++) {
		assert_int_equal(loop_once(l, 1000), 0);
		assert_int_equal(a.calls, i);
	}
	loop_free(l);
}

static void many_timers(void **state)
{
	enum { N = 2000 };
	struct clock_hand *h = calloc(N, sizeof(*h));
	struct loop *l = fresh();
	int order = 0, want = 0;

	(void)state;
	assert_non_null(h);
	srand(1);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < N; i++) {
			h[i].t.cb = on_time;
			h[i].l = l;
			h[i].order = &order;
			h[i].again = UINT64_MAX;
			loop_timer_set(l, &h[i].t, (uint64_t)(rand() % 20));
		}
	for (int i = 0; i < N; i += 3)
		loop_timer_del(l, &h[i].t);
	for (int i = 0; i < N; i++)
		want += i % 3 != 0;
	for (uint64_t end = clock_ms() + 5000; order < want && clock_ms() < end;)
		assert_int_equal(loop_once(l, 50), 0);
	assert_int_equal(order, want);
	for (int i = 0; i < N; i++)
		assert_int_equal(h[i].calls, i % 3 != 0);
	free(h);
	loop_free(l);
}

static void *wake_it(void *arg)
{
	for (int i = 0; i < 100; i++)
		loop_wake(arg);
	return NULL;
}

struct sleeper {
	struct loop *l;
	int calls;
};

static void on_wake(void *arg)
{
	struct sleeper *s = arg;

	s->calls++;
	loop_stop(s->l);
}

static void wakeups_come_from_other_threads_and_merge(void **state)
{
	struct sleeper s = {fresh(), 0};
	pthread_t t;

	(void)state;
	loop_on_wake(s.l, on_wake, &s);
	assert_int_equal(pthread_create(&t, NULL, wake_it, s.l), 0);
	assert_int_equal(loop_run(s.l), 0);
	pthread_join(t, NULL);
	assert_in_range(s.calls, 1, 100);
	loop_wake(s.l);
	loop_wake(s.l);
	s.calls = 0;
	assert_int_equal(loop_run(s.l), 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(loop_once(s.l, 0), 0);
	assert_int_equal(s.calls, 1);
	loop_free(s.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readiness_is_told_as_asked),
		cmocka_unit_test(a_hangup_is_told_once_to_a_silent_watch),
		cmocka_unit_test(a_deleted_watch_is_not_called),
		cmocka_unit_test(a_bad_descriptor_is_an_error),
		cmocka_unit_test(timers_fire_in_order_of_time),
		cmocka_unit_test(timers_may_be_moved_and_deleted),
		cmocka_unit_test(an_eager_timer_does_not_hold_the_loop),
		cmocka_unit_test(many_timers),
		cmocka_unit_test(wakeups_come_from_other_threads_and_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
