/* pool.h: where jobs run, where they finish, in which order, and what is left at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/pool.h"

#define MANY 5000

struct task {
	struct job job; /* first: a job is cast back to its task */
	struct pool *pool;
	atomic_uint runs;
	unsigned dones, again;
	pthread_t ran_on, done_on;
	unsigned *order;
	unsigned place;
	bool signals_blocked;
};

static struct task *task_of(struct job *j)
{
	return (struct task *)(void *)j;
}

static void run(struct job *j)
{
	struct task *t = task_of(j);
	sigset_t set;

	t->ran_on = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	t->signals_blocked = sigismember(&set, SIGTERM) && sigismember(&set, SIGINT);
	atomic_fetch_add(&t->runs, 1);
}

static void done(struct job *j)
{
	struct task *t = task_of(j);

	t->done_on = pthread_self();
	t->dones++;
	if (t->order)
		t->place = (*t->order)++;
	if (t->again > 0) {
		t->again--;
		pool_submit(t->pool, j);
	}
}

static void ring(void *arg)
{
	eventfd_write(*(int *)arg, 1);
}

/* Reap as an owner's loop does, until n jobs are done. */
static void reap(struct pool *p, int bell, unsigned n)
{
	struct pollfd fd = {.fd = bell, .events = POLLIN};
	eventfd_t rings;

	while (n > 0) {
		unsigned got;

		assert_int_equal(poll(&fd, 1, 60000), 1);
		assert_int_equal(eventfd_read(bell, &rings), 0);
		got = pool_reap(p);
		assert_true(got <= n);
		n -= got;
	}
	assert_int_equal(pool_reap(p), 0);
}

static struct pool *new_pool(unsigned threads, int *bell)
{
	struct pool *p = NULL;

	*bell = eventfd(0, EFD_CLOEXEC);
	assert_true(*bell >= 0);
	assert_int_equal(pool_new(&p, &(struct pool_opts){threads, ring, bell}), 0);
	assert_int_equal(pool_threads(p), threads);
	return p;
}

static void every_job_runs_once_and_finishes_here(void **state)
{
	static const unsigned threads[] = {1, 2, 7, 64};
	struct task *t = calloc(MANY, sizeof(*t));

	(void)state;
	assert_non_null(t);
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		int bell;
		struct pool *p = new_pool(threads[i], &bell);

		for (unsigned j = 0; j < MANY; j++) {
			t[j] = (struct task){.job = {.run = run, .done = done}};
			pool_submit(p, &t[j].job);
		}
		reap(p, bell, MANY);
		for (unsigned j = 0; j < MANY; j++) {
			assert_int_equal(t[j].runs, 1);
			assert_int_equal(t[j].dones, 1);
			assert_true(t[j].job.worker < threads[i]);
			assert_true(t[j].signals_blocked);
			assert_true(pthread_equal(t[j].done_on, pthread_self()));
			assert_false(pthread_equal(t[j].ran_on, pthread_self()));
		}
		pool_free(p);
		close(bell);
	}
	free(t);
}

static void one_thread_keeps_the_order(void **state)
{
	struct task t[100];
	unsigned order = 0;
	int bell;
	struct pool *p = new_pool(1, &bell);

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		t[i] = (struct task){.job = {.run = run, .done = done}, .order = &order};
		pool_submit(p, &t[i].job);
	}
	reap(p, bell, 100);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(t[i].place, i);
	pool_free(p);
	close(bell);
}

static void without_threads_jobs_run_at_once_here(void **state)
{
	struct task t = {.job = {.run = run, .done = done, .worker = 99}};
	struct pool *p = NULL;

	(void)state;
	assert_int_equal(pool_new(&p, &(struct pool_opts){0}), 0);
	assert_int_equal(pool_threads(p), 0);
	assert_int_equal(pool_reap(p), 0);
	pool_submit(p, &t.job);
	assert_int_equal(t.runs, 1);
	assert_int_equal(t.dones, 0);
	assert_int_equal(t.job.worker, 0);
	assert_true(pthread_equal(t.ran_on, pthread_self()));
	assert_int_equal(pool_reap(p), 1);
	assert_int_equal(t.dones, 1);
	assert_int_equal(pool_reap(p), 0);
	pool_free(p);
}

static void done_may_submit_again(void **state)
{
	struct pool *p = NULL;
	struct task t;
	int bell;

	(void)state;
	for (unsigned threads = 1; threads <= 3; threads++) {
		p = new_pool(threads, &bell);
		t = (struct task){.job = {.run = run, .done = done}, .pool = p, .again = 500};
		pool_submit(p, &t.job);
		reap(p, bell, 501);
		assert_int_equal(t.runs, 501);
		pool_free(p);
		close(bell);
	}
	/* Inline a reap takes what was there when called, and does not turn in circles. */
	assert_int_equal(pool_new(&p, &(struct pool_opts){0}), 0);
	t = (struct task){.job = {.run = run, .done = done}, .pool = p, .again = 3};
	pool_submit(p, &t.job);
	for (unsigned i = 1; i <= 4; i++) {
		assert_int_equal(pool_reap(p), 1);
		assert_int_equal(t.dones, i);
	}
	assert_int_equal(pool_reap(p), 0);
	pool_free(p);
}

static void free_job(struct job *j)
{
	free(j);
}

static void nothing(struct job *j)
{
	(void)j;
}

static void done_may_free_the_job(void **state)
{
	int bell;
	struct pool *p = new_pool(2, &bell);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct job *j = calloc(1, sizeof(*j));

		assert_non_null(j);
		j->run = nothing;
		j->done = free_job;
		pool_submit(p, j);
	}
	reap(p, bell, 1000);
	pool_free(p);
	close(bell);
}

/* A job that waits until as many are at the barrier as it is for. */
struct gate {
	struct job job;
	pthread_barrier_t *barrier;
};

static void wait_at_gate(struct job *j)
{
	struct gate *g = (struct gate *)(void *)j;

	pthread_barrier_wait(g->barrier);
}

/* The only worker is held while jobs queue up behind it, so that all are pending at the free. */
static void free_runs_what_is_pending_and_drops_the_rest(void **state)
{
	enum { PENDING = 200 };
	pthread_barrier_t barrier;
	struct gate g = {.job = {.run = wait_at_gate, .done = nothing}, .barrier = &barrier};
	struct task t[PENDING];
	int bell;
	struct pool *p = new_pool(1, &bell);

	(void)state;
	assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
	pool_submit(p, &g.job);
	for (unsigned i = 0; i < PENDING; i++) {
		t[i] = (struct task){.job = {.run = run, .done = done}};
		pool_submit(p, &t[i].job);
	}
	assert_int_equal(pool_reap(p), 0);
	pthread_barrier_wait(&barrier);
	pool_free(p);
	for (unsigned i = 0; i < PENDING; i++) {
		assert_int_equal(t[i].runs, 1);
		assert_int_equal(t[i].dones, 0);
	}
	pthread_barrier_destroy(&barrier);
	close(bell);
}

static void a_stopped_pool_is_reaped_to_the_end(void **state)
{
	enum { PENDING = 200 };
	struct task t[PENDING];
	unsigned n = 0, got;
	int bell;
	struct pool *p = new_pool(2, &bell);

	(void)state;
	for (unsigned i = 0; i < PENDING; i++) {
		t[i] = (struct task){.job = {.run = run, .done = done}, .pool = p, .again = i % 3};
		pool_submit(p, &t[i].job);
	}
	pool_stop(p);
	while ((got = pool_reap(p)) > 0) /* what is submitted again runs here */
		n += got;
	for (unsigned i = 0; i < PENDING; i++) {
		assert_int_equal(t[i].runs, 1 + i % 3);
		assert_int_equal(t[i].dones, 1 + i % 3);
		n -= t[i].dones;
	}
	assert_int_equal(n, 0);
	pool_stop(p);
	pool_free(p);
	pool_stop(NULL);
	assert_int_equal(pool_reap(NULL), 0);
	close(bell);
}

static void there_is_always_a_thread(void **state)
{
	const unsigned here = default_threads(0, 1000);

	(void)state;
	assert_true(here >= 1);
	assert_int_equal(default_threads(1, 1000), here + 1);
	assert_int_equal(default_threads(100, 4), 4);
	assert_int_equal(default_threads(-1000, 4), 1);
}

/* Jobs that wait for each other end only where all workers run at the same time. */
static void workers_run_side_by_side(void **state)
{
	enum { WORKERS = 4 };
	struct gate g[WORKERS];
	pthread_barrier_t barrier;
	unsigned seen = 0;
	int bell;
	struct pool *p = new_pool(WORKERS, &bell);

	(void)state;
	assert_int_equal(pthread_barrier_init(&barrier, NULL, WORKERS), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		g[i] = (struct gate){.job = {.run = wait_at_gate, .done = nothing},
				     .barrier = &barrier};
		pool_submit(p, &g[i].job);
	}
	reap(p, bell, WORKERS);
	for (unsigned i = 0; i < WORKERS; i++)
		seen |= 1u << g[i].job.worker;
	assert_int_equal(seen, (1u << WORKERS) - 1);
	pool_free(p);
	pthread_barrier_destroy(&barrier);
	close(bell);
}

static void submit_from_a_job(struct job *j)
{
	struct task *t = task_of(j);

	pool_submit(t->pool, &t[1].job);
	run(j);
}

static void a_job_may_submit_a_job(void **state)
{
	struct task t[2];

	(void)state;
	for (unsigned threads = 0; threads <= 2; threads++) {
		int bell;
		struct pool *p = new_pool(threads, &bell);

		t[0] = (struct task){.job = {.run = submit_from_a_job, .done = done}, .pool = p};
		t[1] = (struct task){.job = {.run = run, .done = done}};
		pool_submit(p, &t[0].job);
		reap(p, bell, 2);
		assert_int_equal(t[0].dones + t[1].dones, 2);
		/* and once more, into a pool that is being freed */
		pool_submit(p, &t[0].job);
		pool_free(p);
		assert_int_equal(t[1].runs, 2);
		close(bell);
	}
}

static void bad_options_are_refused(void **state)
{
	struct pool *p = (struct pool *)(uintptr_t)1;

	(void)state;
	assert_int_equal(pool_new(&p, &(struct pool_opts){.threads = 65}), PQC_EUSAGE);
	assert_ptr_equal(p, (struct pool *)(uintptr_t)1);
	pool_free(NULL);
	for (unsigned threads = 0; threads <= 64; threads += 16) {
		assert_int_equal(pool_new(&p, &(struct pool_opts){.threads = threads}), 0);
		pool_free(p); /* idle */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_job_runs_once_and_finishes_here),
		cmocka_unit_test(one_thread_keeps_the_order),
		cmocka_unit_test(without_threads_jobs_run_at_once_here),
		cmocka_unit_test(done_may_submit_again),
		cmocka_unit_test(done_may_free_the_job),
		cmocka_unit_test(free_runs_what_is_pending_and_drops_the_rest),
		cmocka_unit_test(a_stopped_pool_is_reaped_to_the_end),
		cmocka_unit_test(there_is_always_a_thread),
		cmocka_unit_test(workers_run_side_by_side),
		cmocka_unit_test(a_job_may_submit_a_job),
		cmocka_unit_test(bad_options_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
