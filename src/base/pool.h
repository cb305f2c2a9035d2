/*
 * Worker threads. A job runs on a worker; when it has run, the pool calls
 * `notify` (from the worker) so that the owner's loop can collect finished
 * jobs with pool_reap and finish them on its own thread. With 0 threads
 * pool_submit runs the job at once, on the caller.
 */
#ifndef PQC_BASE_POOL_H
#define PQC_BASE_POOL_H

#include "base/err.h"

struct pool;

/* Embed in your own struct; the pool never allocates per job. */
struct job {
	void (*run)(struct job *);  /* on a worker; `worker` is 0..threads-1 (0 when inline) */
	void (*done)(struct job *); /* on the thread that calls pool_reap */
	unsigned worker;
	struct job *next; /* the pool's */
};

struct pool_opts {
	unsigned threads;	   /* 0..64 */
	void (*notify)(void *arg); /* called after a job has run; may be NULL with 0 threads */
	void *arg;
};

/*
 * PQC_EUSAGE for too many threads, PQC_ETEMP when the system gives no more.
 * The workers block all signals.
 */
int pool_new(struct pool **out, const struct pool_opts *o) MUST_CHECK;
/*
 * Run what was submitted (notify may still be called) and join the threads. From then on
 * pool_submit runs a job at once; what has run can still be reaped. NULL is fine.
 */
void pool_stop(struct pool *p);
/*
 * Runs what was submitted (notify may still be called), joins the threads, drops
 * unreaped jobs. NULL is fine.
 */
void pool_free(struct pool *p);
unsigned pool_threads(const struct pool *p);
/* From any thread, run() and done() too. */
void pool_submit(struct pool *p, struct job *j);
/*
 * Call done() of every job that had run when called, in the order they finished.
 * Returns how many. done() may free its job or submit it again. NULL has none.
 */
unsigned pool_reap(struct pool *p);

/*
 * How many threads suit work of this machine: the processors there are and `beside` more, 1 to max.
 * Threads that wait for the disk want one more, threads beside a busy connection one less
 * (docs/performance.md).
 */
unsigned default_threads(int beside, unsigned max);

#endif
