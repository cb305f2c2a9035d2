/*
 * The server's frame: its life, the bundle of the minute, the sweep. What it is told while it
 * runs is in control.c, connections live in conn.c.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/internal.h"

#define SWEEP_MS 3600000u

/* ---- the bundle of the minute ---- */

static void rotate(struct timer *t)
{
	struct server *s = (struct server *)((char *)t - offsetof(struct server, rotate));
	struct hs_bundle *b = NULL;
	uint64_t ms = HS_BUNDLE_SECONDS * 1000;

	if (hs_bundle_new(s->id, clock_unix(), &b) == 0) {
		hs_bundle_unref(s->bundle);
		s->bundle = b;
		s->key_ok = true;
		metric_add(&s->metrics, M_KEY_ROTATIONS, 1);
	} else {
		log_event(s->log, LOG_ERROR, "bundle.failed",
			  (struct log_field[]){log_str("reason", "cannot make a KEM key"), {0}});
		ms = 1000;
		s->key_ok = false;
	}
	loop_timer_set(s->loop, t, ms);
}

/* ---- sweeping what was abandoned ---- */

static struct server *sweep_owner(struct job *j)
{
	return (struct server *)((char *)j - offsetof(struct server, sweeping.job));
}

static void sweep_run(struct job *j)
{
	struct server *s = sweep_owner(j);
	struct sweep *w = &s->sweeping;

	w->rc = store_sweep(s->store, clock_unix() - s->o.upload_ttl_ms / 1000, &w->removed, &w->e);
}

static void sweep_done(struct job *j)
{
	struct server *s = sweep_owner(j);
	const struct sweep *w = &s->sweeping;

	if (w->rc != 0)
		log_event(s->log, LOG_ERROR, "sweep.failed",
			  (struct log_field[]){log_str("reason", w->e.msg), {0}});
	else if (w->removed > 0)
		log_event(s->log, LOG_INFO, "sweep.done",
			  (struct log_field[]){log_u64("removed", w->removed), {0}});
	loop_timer_set(s->loop, &s->sweep, SWEEP_MS);
}

static void sweep(struct timer *t)
{
	struct server *s = (struct server *)((char *)t - offsetof(struct server, sweep));

	s->sweeping = (struct sweep){.job = {.run = sweep_run, .done = sweep_done}};
	pool_submit(s->disk, &s->sweeping.job);
}

/* ---- the trash: large files take long to remove, and nobody has to wait for it ---- */

static void trash_run(struct job *j)
{
	store_empty_trash(((struct server *)((char *)j - offsetof(struct server, trash)))->store);
}

static void trash_done(struct job *j)
{
	struct server *s = (struct server *)((char *)j - offsetof(struct server, trash));

	s->trash_running = false;
	if (s->trash_again)
		server_empty_trash(s);
}

void server_empty_trash(struct server *s)
{
	s->trash_again = s->trash_running;
	if (s->trash_running)
		return;
	s->trash_running = true;
	s->trash = (struct job){.run = trash_run, .done = trash_done};
	pool_submit(s->disk, &s->trash);
}

/* ---- life ---- */

static void notify(void *arg)
{
	loop_wake(arg);
}

static void on_wake(void *arg)
{
	struct server *s = arg;

	pool_reap(s->cpu);
	pool_reap(s->disk);
	server_obey(s);
}

static int make_workers(struct server *s)
{
	struct pool_opts cpu = {.threads = s->o.threads, .notify = notify, .arg = s->loop};
	struct pool_opts disk = {.threads = DISK_THREADS, .notify = notify, .arg = s->loop};
	size_t n = s->o.threads > 0 ? s->o.threads : 1;

	if ((s->aead = calloc(n, sizeof(struct aead *))) == NULL)
		return PQC_ENOMEM;
	for (s->aead_count = 0; s->aead_count < n; s->aead_count++)
		if ((s->aead[s->aead_count] = aead_new()) == NULL)
			return PQC_ENOMEM;
	loop_on_wake(s->loop, on_wake, s);
	return pool_new(&s->cpu, &cpu) != 0 ? PQC_ENOMEM : pool_new(&s->disk, &disk);
}

/* Traces and events, for whoever wants to know. */
static int start_telling(struct server *s, struct err *e)
{
	const struct server_opts *o = &s->o;
	struct hooks_opts h = {.data_dir = o->data_dir,
			       .url = o->hook_url,
			       .command = o->hook_command,
			       .search_path = o->hook_path,
			       .secret_file = o->hook_secret,
			       .ca_file = o->hook_ca,
			       .ttl_ms = o->hook_ttl_ms,
			       .timeout_ms = 30000,
			       .log = s->log};
	char instance[32];
	struct tracer_opts t = {.endpoint = o->otlp_endpoint,
				.ca_file = o->otlp_ca,
				.service_name = "pqc-server",
				.instance = instance};
	int r = 0;

	snprintf(instance, sizeof(instance), "%ld", (long)getpid());
	if (o->otlp_endpoint != NULL)
		r = tracer_new(&s->tracer, &t, e);
	if (r == 0 && (o->hook_url != NULL || o->hook_command != NULL))
		r = hooks_new(&s->hooks, &h, e);
	return r;
}

int server_new(struct server **out, const struct server_opts *o, const struct identity *id,
	       const struct kek *kek, struct logger *log, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	s->o = *o;
	s->id = id;
	s->kek = kek;
	s->log = log;
	s->run_dir = -1;
	s->started = clock_unix();
	metric_set(&s->metrics, M_START, s->started);
	s->metrics.off = o->metrics_off;
	s->parts = parts_new(o->buffer_memory);
	s->queue = queue_new(&(struct queue_opts){o->max_transfers, o->max_queued});
	if (s->queue == NULL || s->parts == NULL) {
		r = err_set(e, PQC_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = store_open(&s->store, o->data_dir, e)) != 0 ||
	    (r = access_load(o->access_file, &s->access, e)) != 0 ||
	    (r = server_load_tls(o, &s->tls, e)) != 0)
		goto out;
	if ((r = loop_new(&s->loop)) != 0 || (r = make_workers(s)) != 0) {
		err_set(e, r, "cannot set up the event loop");
		goto out;
	}
	s->rotate.cb = rotate;
	rotate(&s->rotate);
	s->sweep.cb = sweep;
	s->tell.cb = admit_tell;
	loop_timer_set(s->loop, &s->sweep, 0);
	if (s->bundle == NULL)
		r = err_set(e, PQC_ECRYPTO, "cannot make a KEM key");
	else if ((r = start_telling(s, e)) == 0 && (r = watchman_start(s, e)) == 0)
		r = server_listen(s, e);
out:
	if (r != 0)
		server_free(s);
	else
		*out = s;
	return r;
}

int server_run(struct server *s, struct err *e)
{
	int r = loop_run(s->loop);

	if (r != 0)
		return err_set(e, r, "the event loop failed");
	log_event(s->log, LOG_INFO, "server.stopped",
		  (struct log_field[]){log_str("drained", s->forced ? "no" : "yes"), {0}});
	return s->forced ? err_set(e, PQC_ETEMP,
				   "the drain timeout ended transfers; they can be resumed")
			 : 0;
}

void server_free(struct server *s)
{
	if (s == NULL)
		return;
	server_stop_listening(s, true);
	server_close_conns(s, true);
	/* Puts whose connections are gone still record what arrived, events are written: let them. */
	for (int i = 0; (s->puts != NULL || s->notices > 0) && i < 100; i++)
		if (loop_once(s->loop, 100) != 0)
			break;
	/* What is under way when time is over still has to let go of what it holds. */
	pool_stop(s->cpu);
	pool_stop(s->disk);
	while (pool_reap(s->cpu) + pool_reap(s->disk) > 0)
		;
	pool_free(s->cpu);
	pool_free(s->disk);
	hooks_free(s->hooks);
	tracer_free(s->tracer, 1000);
	windows_free(s->windows);
	watchman_free(s->watchman);
	parts_free(s->parts);
	for (size_t i = 0; i < s->aead_count; i++)
		aead_free(s->aead[i]);
	free(s->aead);
	hs_bundle_unref(s->bundle);
	tls_ctx_unref(s->tls);
	access_free(s->access);
	store_close(s->store);
	queue_free(s->queue);
	loop_free(s->loop);
	free(s);
}
