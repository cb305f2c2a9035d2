/* One view of several processes, and what there is to do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top.h"

#define FULL_SOON (30 * 86400.0) /* a disk that lasts longer is not worth a line */

static const char unreachable_advice[] = "look whether the process runs and what its log says last";
static const char drain_advice[] = "wait: it ends when its transfers are done";
static const char default_advice[] = "look at the log";

const char *top_status_name(enum top_status s)
{
	static const char *const names[] = {"healthy", "degraded", "unhealthy", "unreachable"};

	return names[s];
}

/* ---- what there is to do ---- */

/* Processes of one directory see the same disk and the same clock: what one of them told is told. */
static bool is_told(const struct top_snapshot *s, enum top_status status, const char *check,
		    const char *text)
{
	for (size_t i = 0; i < s->problems; i++) {
		const struct top_problem *p = &s->problem[i];

		if (p->status == status &&
		    (check[0] != '\0' ? strcmp(p->check, check) == 0 : strcmp(p->text, text) == 0))
			return true;
	}
	return false;
}

/* check: "" where it is none. advice may be NULL. */
static void add_problem(struct top_snapshot *s, enum top_status status, const char *check,
			const char *text, const char *advice)
{
	struct top_problem *p = &s->problem[s->problems];

	if (s->problems == TOP_PROBLEMS_MAX || is_told(s, status, check, text))
		return;
	p->status = status;
	p->advice = advice;
	snprintf(p->check, sizeof(p->check), "%s", check);
	top_clean(text, strlen(text), false, p->text, sizeof(p->text)); /* cut between characters */
	s->problems++;
}

static const char *advice_for(const char *check)
{
	for (const struct catalog_check *c = catalog_checks; c->name != NULL; c++)
		if (strcmp(c->name, check) == 0)
			return c->advice;
	return default_advice;
}

static void find_problems(struct top_snapshot *s, const struct top_process *p)
{
	char text[TOP_TEXT + ERR_MSG_MAX + 2];
	bool told = false; /* the reason is one of the checks' messages */

	if (p->error[0] != '\0') {
		snprintf(text, sizeof(text), "%s: %s", p->from, p->error);
		add_problem(s, TOP_UNREACHABLE, "", text, unreachable_advice);
		return;
	}
	for (size_t i = 0; i < p->checks; i++) {
		const struct top_check *c = &p->check[i];

		if (c->status == TOP_HEALTHY)
			continue;
		add_problem(s, c->status, c->name, c->message[0] != '\0' ? c->message : c->name,
			    advice_for(c->name));
		told |= strcmp(c->message, p->reason) == 0;
	}
	if (p->status == TOP_HEALTHY || told || (p->reason[0] == '\0' && p->checks > 0))
		return;
	add_problem(s, p->status, "", p->reason[0] != '\0' ? p->reason : "no reason given",
		    strstr(p->reason, "draining") != NULL ? drain_advice : default_advice);
}

static int by_gravity(const void *a, const void *b)
{
	return (int)((const struct top_problem *)b)->status -
	       (int)((const struct top_problem *)a)->status;
}

/* ---- numbers ---- */

static void add(uint64_t *sum, uint64_t n)
{
	if (n == TOP_UNKNOWN)
		return;
	*sum = *sum == TOP_UNKNOWN ? 0 : *sum;
	*sum = n < TOP_UNKNOWN - 1 - *sum ? *sum + n : TOP_UNKNOWN - 1;
}

static void add_f64(double *sum, double x)
{
	if (!isnan(x))
		*sum = isnan(*sum) ? x : *sum + x;
}

static void add_figures(struct top_figures *sum, const struct top_figures *f)
{
	add_f64(&sum->received, f->received);
	add_f64(&sum->sent, f->sent);
	add_f64(&sum->handshakes, f->handshakes);
	add_f64(&sum->done, f->done);
	add_f64(&sum->failed, f->failed);
	add_f64(&sum->interrupted, f->interrupted);
	for (size_t i = 0; i < TOP_STEPS; i++) {
		sum->p50[i] = top_max(sum->p50[i], f->p50[i]);
		sum->p95[i] = top_max(sum->p95[i], f->p95[i]);
	}
	for (size_t i = 0; i < TOP_RESOURCES; i++)
		sum->busy[i] = top_max(sum->busy[i], f->busy[i]);
}

static double moved(const struct top_figures *f)
{
	return top_max(f->received, 0) + top_max(f->sent, 0);
}

static void add_process(struct top_snapshot *s, const struct top_process *p, double *most)
{
	s->answered++;
	s->tell_figures += p->has_figures;
	s->tell_transfers += p->has_transfers;
	s->uptime = top_min(s->uptime, p->uptime);
	add(&s->connections, p->connections);
	add(&s->slots, p->slots);
	add(&s->busy, p->active_count != TOP_UNKNOWN ? p->active_count : p->actives);
	add(&s->waiting, p->waiting != TOP_UNKNOWN ? p->waiting : p->queued);
	/* One directory, one disk: the same numbers, or nearly. */
	if (p->free_bytes < s->free_bytes)
		s->free_bytes = p->free_bytes;
	if (p->total_bytes < s->total_bytes)
		s->total_bytes = p->total_bytes;
	add_figures(&s->figures, &p->figures);
	for (int i = TOP_NETWORK; i < TOP_RESOURCES; i++)
		if (p->figures.is_bottleneck[i] > 0 && moved(&p->figures) > *most) {
			*most = moved(&p->figures);
			s->bottleneck = (enum top_resource)i;
		}
}

/* Rates are 0 and times unknown when nobody tells them. */
static void begin_sum(struct top_snapshot *s)
{
	struct top_process none;

	top_process_init(&none);
	s->figures = none.figures;
	s->connections = s->slots = s->busy = s->waiting = TOP_UNKNOWN;
	s->free_bytes = s->total_bytes = TOP_UNKNOWN;
	s->uptime = s->oldest_wait = s->seconds_left = NAN;
}

/* ---- tables ---- */

static int by_rate(const void *a, const void *b)
{
	const struct top_transfer *x = *(const struct top_transfer *const *)a;
	const struct top_transfer *y = *(const struct top_transfer *const *)b;

	return x->rate != y->rate ? (x->rate < y->rate ? 1 : -1) : strcmp(x->trace, y->trace);
}

static int by_wait(const void *a, const void *b)
{
	const struct top_waiting *x = *(const struct top_waiting *const *)a;
	const struct top_waiting *y = *(const struct top_waiting *const *)b;
	double v = top_max(x->waited, 0), w = top_max(y->waited, 0);

	return v != w ? (v < w ? 1 : -1) : strcmp(x->trace, y->trace);
}

static int make_tables(struct top_snapshot *s, struct err *e)
{
	size_t actives = 0, queued = 0;

	for (size_t i = 0; i < s->processes; i++) {
		actives += s->process[i].actives;
		queued += s->process[i].queued;
	}
	s->active = calloc(actives + 1, sizeof(*s->active));
	s->queue = calloc(queued + 1, sizeof(*s->queue));
	if (s->active == NULL || s->queue == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	for (size_t i = 0; i < s->processes; i++) {
		const struct top_process *p = &s->process[i];

		if (p->error[0] != '\0')
			continue;
		for (size_t k = 0; k < p->actives; k++)
			s->active[s->actives++] = &p->active[k];
		for (size_t k = 0; k < p->queued; k++) {
			s->queue[s->queued++] = &p->queue[k];
			s->oldest_wait = top_max(s->oldest_wait, p->queue[k].waited);
		}
	}
	qsort(s->active, s->actives, sizeof(const struct top_transfer *), by_rate);
	qsort(s->queue, s->queued, sizeof(const struct top_waiting *), by_wait);
	return 0;
}

int top_sum(struct top_snapshot *s, struct err *e)
{
	double most = -1;

	begin_sum(s);
	if (s->error.code != 0) {
		s->status = TOP_UNREACHABLE;
		add_problem(s, TOP_UNREACHABLE, "", s->error.msg, NULL);
	}
	for (size_t i = 0; i < s->processes; i++) {
		const struct top_process *p = &s->process[i];

		s->status = p->status > s->status ? p->status : s->status;
		find_problems(s, p);
		if (p->error[0] == '\0')
			add_process(s, p, &most);
	}
	qsort(s->problem, s->problems, sizeof(s->problem[0]), by_gravity);
	/* What arrives stays; what is deleted meanwhile makes it last longer. */
	if (s->free_bytes != TOP_UNKNOWN && s->figures.received > 0 &&
	    (double)s->free_bytes / s->figures.received < FULL_SOON)
		s->seconds_left = (double)s->free_bytes / s->figures.received;
	return make_tables(s, e);
}

int top_verdict(const struct top_snapshot *s, struct err *e)
{
	const struct top_problem *p = &s->problem[0];

	if (s->status < TOP_UNHEALTHY)
		return 0;
	return err_set(e, PQC_EFAIL, "%s: %s", top_status_name(s->status),
		       s->problems > 0 ? p->text : "no reason given");
}
