#include "client/trail.h"

#include <string.h>
#include <time.h>

const struct trail_kind trail_put = {"pqc send", {"seal", "send"}};
const struct trail_kind trail_get = {"pqc get", {"receive", "open"}};

static const char *const phase_names[PHASES] = {
	[PHASE_BACKOFF] = "backoff", [PHASE_CONNECT] = "connect",   [PHASE_HANDSHAKE] = "handshake",
	[PHASE_QUEUE] = "queue",     [PHASE_TRANSFER] = "transfer", [PHASE_COMMIT] = "commit",
};

uint64_t trail_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void trail_init(struct trail *t)
{
	*t = (struct trail){.phase = PHASES};
}

static struct leg *last_leg(struct trail *t)
{
	return &t->leg[(t->count - 1) % TRAIL_LEGS];
}

void trail_enter_at(struct trail *t, enum phase phase, uint64_t at)
{
	if (t->count == 0)
		t->began = t->at = at;
	if (t->phase == PHASES) {
		t->count++;
		*last_leg(t) = (struct leg){.start = t->at};
	} else {
		last_leg(t)->end[t->phase] = at;
		t->at = at;
	}
	t->phase = phase;
}

void trail_enter(struct trail *t, enum phase phase)
{
	trail_enter_at(t, phase, trail_clock());
}

void trail_leave(struct trail *t, int rc)
{
	if (t->phase == PHASES)
		return;
	t->at = trail_clock();
	last_leg(t)->end[t->phase] = t->at;
	last_leg(t)->error = rc != 0 ? err_name(rc) : NULL;
	t->phase = PHASES;
}

void trail_work(struct trail *t, int which, uint64_t first, uint64_t last)
{
	struct work *w = &last_leg(t)->work[which];

	if (w->parts++ == 0 || first < w->first)
		w->first = first;
	if (last > w->last)
		w->last = last;
	w->busy += last - first;
}

/* ---- the end ---- */

struct emission {
	const struct trail_end *end;
	struct tracer *tracer;
	uint64_t offset; /* from trail_clock to trace_now, one for the whole trace */
};

/* s took place from..to: off it goes. */
static void emit(const struct emission *m, struct trace_span *s, uint64_t from, uint64_t to)
{
	s->start_ns = from + m->offset;
	s->end_ns = to + m->offset;
	tracer_emit(m->tracer, s);
}

static void emit_work(const struct emission *m, const struct trace_ctx *parent, const char *name,
		      const struct work *w)
{
	struct trace_span s = {.name = name, .kind = SPAN_INTERNAL};

	if (w->parts == 0 || trace_begin(&s.ctx, parent) != 0)
		return;
	s.attr[0] = (struct span_attr){"pqc.busy_seconds", ATTR_F64, {.f = (double)w->busy / 1e9}};
	s.attr[1] = (struct span_attr){"pqc.parts", ATTR_U64, {.u = w->parts}};
	emit(m, &s, w->first, w->last);
}

static void emit_leg(const struct emission *m, const struct leg *leg)
{
	uint64_t from = leg->start;
	enum phase last = PHASE_BACKOFF;

	for (enum phase p = 0; p < PHASES; p++)
		if (leg->end[p] != 0)
			last = p;
	for (enum phase p = 0; p <= last; p++) {
		struct trace_span s = {.name = phase_names[p], .kind = SPAN_INTERNAL};

		if (leg->end[p] == 0 || trace_begin(&s.ctx, m->end->root) != 0)
			continue;
		s.error = p == last ? leg->error : NULL;
		emit(m, &s, from, leg->end[p]);
		from = leg->end[p];
		for (int i = 0; p == PHASE_TRANSFER && i < 2; i++)
			emit_work(m, &s.ctx, m->end->kind->work[i], &leg->work[i]);
	}
}

static void add_id(struct trace_span *s, size_t *n, const char *key, const uint8_t id[32])
{
	static const uint8_t none[32];

	if (memcmp(id, none, sizeof(none)) == 0)
		return;
	s->attr[*n] = (struct span_attr){.key = key, .type = ATTR_ID};
	memcpy(s->attr[(*n)++].v.id, id, sizeof(none));
}

static void emit_root(const struct emission *m, const struct trail *t)
{
	const struct transfer_result *r = m->end->result;
	int rc = m->end->rc;
	struct trace_span s = {
		.name = m->end->kind->name, .ctx = *m->end->root, .kind = SPAN_CLIENT};
	size_t n = 0;

	s.error = rc != 0 ? err_name(rc) : NULL;
	add_id(&s, &n, "pqc.file_id", r->file_id);
	add_id(&s, &n, "pqc.server_id", r->server_id);
	s.attr[n++] = (struct span_attr){"pqc.bytes", ATTR_U64, {.u = r->size}};
	s.attr[n++] = (struct span_attr){"pqc.reconnects", ATTR_U64, {.u = r->reconnects}};
	s.attr[n] = (struct span_attr){.key = "pqc.result", .type = ATTR_STR};
	strcpy(s.attr[n].v.s, rc == 0 ? "done" : rc == PQC_EINTERRUPTED ? "interrupted" : "failed");
	emit(m, &s, t->began, t->at);
}

void trail_emit(const struct trail *t, const struct trail_end *end, struct tracer *tracer)
{
	struct emission m = {end, tracer, trace_now() - trail_clock()};
	uint64_t first = t->count > TRAIL_LEGS ? t->count - TRAIL_LEGS : 0;

	if (tracer == NULL || !end->root->sampled || t->count == 0)
		return;
	for (uint64_t i = first; i < t->count; i++)
		emit_leg(&m, &t->leg[i % TRAIL_LEGS]);
	emit_root(&m, t);
}
