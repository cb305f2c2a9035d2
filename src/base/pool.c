#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define POOL_MAX_THREADS 64

struct queue {
	struct job *first, **end;
};

struct worker {
	struct pool *pool;
	pthread_t thread;
	unsigned number;
};

struct pool {
	void (*notify)(void *arg);
	void *arg;
	unsigned threads;
	pthread_mutex_t lock; /* of all below but the workers */
	pthread_cond_t wake;  /* waiting is not empty, or stopping */
	struct queue waiting, ran;
	bool stopping;
	struct worker workers[]; /* fixed once pool_new has returned */
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->end = &q->first;
}

static void queue_push(struct queue *q, struct job *j)
{
	j->next = NULL;
	*q->end = j;
	q->end = &j->next;
}

static struct job *queue_pop(struct queue *q)
{
	struct job *j = q->first;

	if (j && (q->first = j->next) == NULL)
		queue_init(q);
	return j;
}

static void run_job(struct pool *p, struct job *j, unsigned worker)
{
	j->worker = worker;
	j->run(j);
	pthread_mutex_lock(&p->lock);
	queue_push(&p->ran, j); /* from here on j may be reaped and gone */
	pthread_mutex_unlock(&p->lock);
	if (p->notify)
		p->notify(p->arg);
}

/* The next job; NULL when the pool is stopping and none is left. */
static struct job *next_job(struct pool *p)
{
	struct job *j;

	pthread_mutex_lock(&p->lock);
	while ((j = queue_pop(&p->waiting)) == NULL && !p->stopping)
		pthread_cond_wait(&p->wake, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return j;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct job *j;

	while ((j = next_job(w->pool)) != NULL)
		run_job(w->pool, j, w->number);
	return NULL;
}

/* Start the workers with all signals blocked: signals are for the owner's loop. */
static int start(struct pool *p, unsigned threads)
{
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (; p->threads < threads; p->threads++) {
		struct worker *w = &p->workers[p->threads];

		w->pool = p;
		w->number = p->threads;
		if (pthread_create(&w->thread, NULL, work, w) != 0) {
			rc = PQC_ETEMP;
			break;
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int pool_new(struct pool **out, const struct pool_opts *o)
{
	struct pool *p;
	int rc;

	if (o->threads > POOL_MAX_THREADS)
		return PQC_EUSAGE;
	if ((p = calloc(1, sizeof(*p) + o->threads * sizeof(p->workers[0]))) == NULL)
		return PQC_ENOMEM;
	p->notify = o->notify;
	p->arg = o->arg;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	queue_init(&p->waiting);
	queue_init(&p->ran);
	if ((rc = start(p, o->threads)) != 0)
		goto out;
	*out = p;
	p = NULL; /* transferred */
out:
	pool_free(p);
	return rc;
}

void pool_stop(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->workers[i].thread, NULL);
	p->threads = 0;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pool_stop(p);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

unsigned pool_threads(const struct pool *p)
{
	return p->threads;
}

void pool_submit(struct pool *p, struct job *j)
{
	if (p->threads == 0) {
		run_job(p, j, 0);
		return;
	}
	pthread_mutex_lock(&p->lock);
	queue_push(&p->waiting, j);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

unsigned pool_reap(struct pool *p)
{
	struct job *j, *next;
	unsigned n = 0;

	if (!p)
		return 0;
	/* Take them all at once: done() may submit, and with 0 threads that adds to the list. */
	pthread_mutex_lock(&p->lock);
	j = p->ran.first;
	queue_init(&p->ran);
	pthread_mutex_unlock(&p->lock);
	for (; j; j = next, n++) {
		next = j->next; /* done() may free or submit the job again */
		j->done(j);
	}
	return n;
}

unsigned default_threads(int beside, unsigned max)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN) + beside;

	return n < 1 ? 1 : n > (long)max ? max : (unsigned)n;
}
