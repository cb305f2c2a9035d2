/* What a page shows, and more of it, as one JSON object. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/out.h"
#include "cli/top.h"

/* null for what is not known */
static json_t *number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

static json_t *count(uint64_t n)
{
	return n == TOP_UNKNOWN ? json_null()
				: json_integer(n <= INT64_MAX ? (json_int_t)n : INT64_MAX);
}

static json_t *text(const char *s)
{
	return s != NULL && s[0] != '\0' ? json_string(s) : json_null();
}

/* The array of what `make` makes of each; a member that cannot be made makes it NULL. */
static json_t *rows(size_t n, json_t *(*make)(const struct top_snapshot *s, size_t i),
		    const struct top_snapshot *s)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n && a != NULL; i++)
		if (json_array_append_new(a, make(s, i)) != 0) {
			json_decref(a);
			return NULL;
		}
	return a;
}

static json_t *problem(const struct top_snapshot *s, size_t i)
{
	const struct top_problem *p = &s->problem[i];

	return json_pack("{s:s, s:o, s:s, s:o}", "status", top_status_name(p->status), "check",
			 text(p->check), "text", p->text, "advice", text(p->advice));
}

static json_t *seconds(const struct top_figures *f)
{
	json_t *o = json_object();

	for (size_t i = 0; i < TOP_STEPS && o != NULL; i++)
		if (json_object_set_new(o, top_step_names[i],
					json_pack("{s:o, s:o}", "p50", number(f->p50[i]), "p95",
						  number(f->p95[i]))) != 0) {
			json_decref(o);
			return NULL;
		}
	return o;
}

static json_t *busy(const struct top_figures *f)
{
	json_t *o = json_object();

	for (size_t i = TOP_NETWORK; i < TOP_RESOURCES && o != NULL; i++)
		if (json_object_set_new(o, top_resource_names[i], number(f->busy[i])) != 0) {
			json_decref(o);
			return NULL;
		}
	return o;
}

static json_t *figures(const struct top_figures *f)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "received_bytes_per_second",
			 number(f->received), "sent_bytes_per_second", number(f->sent),
			 "handshakes_per_second", number(f->handshakes), "done_per_second",
			 number(f->done), "failed_per_second", number(f->failed),
			 "interrupted_per_second", number(f->interrupted), "seconds", seconds(f),
			 "busy_ratio", busy(f));
}

static json_t *process(const struct top_snapshot *s, size_t i)
{
	const struct top_process *p = &s->process[i];

	return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "from",
			 p->from, "pid", p->pid > 0 ? count(p->pid) : json_null(), "status",
			 top_status_name(p->status), "reason", text(p->reason), "error",
			 text(p->error), "version", text(p->version), "server_id",
			 text(p->server_id), "uptime_seconds", number(p->uptime),
			 "active_transfers", count(p->active_count), "queue_length",
			 count(p->waiting), "open_connections", count(p->connections), "figures",
			 p->has_figures ? figures(&p->figures) : json_null());
}

static json_t *transfer(const struct top_snapshot *s, size_t i)
{
	const struct top_transfer *t = s->active[i];

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pid",
			 count(t->pid), "trace_id", text(t->trace), "client_id", text(t->client),
			 "direction", text(t->direction), "state", text(t->state), "file_size",
			 count(t->size), "bytes_transferred", count(t->done), "resumed_bytes",
			 count(t->resumed), "duration_seconds", number(t->seconds),
			 "bytes_per_second", number(t->rate), "name", text(t->name));
}

static json_t *waiting(const struct top_snapshot *s, size_t i)
{
	const struct top_waiting *w = s->queue[i];

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pid", count(w->pid), "trace_id",
			 text(w->trace), "client_id", text(w->client), "direction",
			 text(w->direction), "position", count(w->place), "waited_seconds",
			 number(w->waited), "estimate_seconds", number(w->estimate));
}

static json_t *storage(const struct top_snapshot *s)
{
	return json_pack("{s:o, s:o, s:o}", "free_bytes", count(s->free_bytes), "total_bytes",
			 count(s->total_bytes), "seconds_until_full", number(s->seconds_left));
}

static json_t *whole(const struct top_snapshot *s)
{
	char time[32];

	return json_pack(
		"{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o}",
		"event", "top", "time", fmt_time(s->time, time), "status",
		top_status_name(s->status), "problems", rows(s->problems, problem, s),
		"uptime_seconds", number(s->uptime), "slots", count(s->slots), "active_transfers",
		count(s->busy), "queue_length", count(s->waiting), "oldest_wait_seconds",
		number(s->oldest_wait), "open_connections", count(s->connections), "figures",
		s->tell_figures > 0 ? figures(&s->figures) : json_null(), "bottleneck",
		top_resource_names[s->bottleneck], "storage", storage(s), "processes",
		rows(s->processes, process, s), "active", rows(s->actives, transfer, s));
}

int top_print_json(const struct top_snapshot *s, struct err *e)
{
	json_t *o = whole(s);
	char *line = NULL;

	if (o != NULL && json_object_set_new(o, "queue", rows(s->queued, waiting, s)) == 0)
		line = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
	json_decref(o);
	if (line == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	out_text(line);
	out_text("\n");
	free(line);
	return out_finish(e);
}
