#include "server/transfer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "server/internal.h"

const char *transfer_result_name(enum transfer_result r)
{
	static const char *const names[] = {"done", "failed", "interrupted", "refused"};

	return names[r];
}

enum transfer_result transfer_verdict(int code)
{
	switch (code) {
	case PQC_ETEMP:
	case PQC_ECLOSED:
	case PQC_ETIMEOUT:
		return R_INTERRUPTED;
	case PQC_EREFUSED:
	case PQC_ENOTFOUND:
	case PQC_EEXIST:
	case PQC_ENAME:
	case PQC_EQUOTA:
	case PQC_ETOOBIG:
	case PQC_EPROTO:
	case PQC_EINTEGRITY:
		return R_REFUSED;
	default:
		return R_FAILED;
	}
}

void busy_add(struct busy *b, uint64_t from, uint64_t to)
{
	if (b->parts++ == 0 || from < b->first)
		b->first = from;
	if (to > b->last)
		b->last = to;
	b->ns += to - from;
}

const char *transfer_state_name(enum transfer_state s)
{
	static const char *const names[] = {"none",	"queued", "opening",
					    "transfer", "commit", "over"};

	return names[s];
}

/* ---- the way of a request ---- */

void transfer_requested(struct conn *c, const struct msg *m)
{
	struct transfer *t = &c->t;
	struct trace_ctx remote;
	bool known = msg_has(m, TAG_TRACEPARENT) &&
		     trace_parse(m->traceparent.p, m->traceparent.n, &remote) == 0;

	t->requested = clock_ns();
	/* Without randomness the request has no trace, and is served all the same. */
	if (trace_begin(&t->trace, known ? &remote : NULL) == 0)
		trace_id_hex(&t->trace, t->trace_id);
	histo_observe(&c->srv->metrics, H_HANDSHAKE, (double)(t->requested - c->accepted) / 1e9,
		      t->trace.trace_id);
	histo_observe(&c->srv->metrics, H_KEY_EXCHANGE, (double)c->exchange_ns / 1e9,
		      t->trace.trace_id);
}

void transfer_begin(struct conn *c, bool put, const struct msg *m, uint64_t size)
{
	struct transfer *t = &c->t;

	t->state = T_QUEUED;
	t->put = put;
	t->size = size;
	t->name = strndup((const char *)m->name.p, m->name.n); /* NULL: the lines lack it */
	if (msg_has(m, TAG_FILE_ID))
		memcpy(t->file_id, m->file_id.p, sizeof(t->file_id));
}

void transfer_admitted(struct conn *c)
{
	struct transfer *t = &c->t;

	t->state = T_OPENING;
	t->admitted = clock_ns();
	metric_add(&c->srv->metrics, M_ACTIVE, 1);
	histo_observe(&c->srv->metrics, H_QUEUE_WAIT, (double)(t->admitted - t->requested) / 1e9,
		      t->trace.trace_id);
}

void transfer_opened(struct conn *c, uint64_t resumed)
{
	struct transfer *t = &c->t;

	t->state = T_DATA;
	t->opened = clock_ns();
	t->resumed = resumed;
	c->mark = t->opened;
	histo_observe(&c->srv->metrics, H_TRANSFER_START, (double)(t->opened - c->accepted) / 1e9,
		      t->trace.trace_id);
}

void transfer_committing(struct conn *c)
{
	c->t.state = T_COMMIT;
	c->t.committing = clock_ns();
}

/* ---- its end: spans ---- */

struct telling {
	struct conn *c;
	uint64_t now_ns, now_unix;
	const char *error;
};

static uint64_t unix_of(const struct telling *w, uint64_t ns)
{
	return w->now_unix - (w->now_ns - ns);
}

static struct trace_span step(const struct telling *w, const char *name, uint64_t from, uint64_t to)
{
	struct trace_span s = {.name = name,
			       .kind = SPAN_INTERNAL,
			       .start_ns = unix_of(w, from),
			       .end_ns = unix_of(w, to)};

	return s;
}

/* A child of `parent`; returns its context for children of its own. */
static struct trace_ctx emit(const struct telling *w, struct trace_span *s,
			     const struct trace_ctx *parent)
{
	if (trace_begin(&s->ctx, parent) == 0)
		tracer_emit(w->c->srv->tracer, s);
	return s->ctx;
}

static void emit_step(const struct telling *w, const char *name, uint64_t from, uint64_t to)
{
	struct trace_span s = step(w, name, from, to);

	(void)emit(w, &s, &w->c->t.trace);
}

static void emit_busy(const struct telling *w, const char *name, const struct busy *b,
		      const struct trace_ctx *parent)
{
	struct trace_span s;

	if (b->parts == 0)
		return;
	s = step(w, name, b->first, b->last);
	s.attr[0] = (struct span_attr){"pqc.busy_seconds", ATTR_F64, {.f = (double)b->ns / 1e9}};
	s.attr[1] = (struct span_attr){"pqc.parts", ATTR_U64, {.u = b->parts}};
	(void)emit(w, &s, parent);
}

static void emit_transfer(const struct telling *w, uint64_t from, uint64_t to)
{
	const struct transfer *t = &w->c->t;
	struct trace_span s = step(w, "transfer", from, to);
	struct trace_ctx mine = emit(w, &s, &t->trace);

	emit_busy(w, "verify", &t->verify, &mine);
	emit_busy(w, "write", &t->write, &mine);
	emit_busy(w, "fsync", &t->fsync, &mine);
	emit_busy(w, "send", &t->send, &mine);
}

static void emit_whole(const struct telling *w, const char *result)
{
	const struct conn *c = w->c;
	const struct transfer *t = &c->t;
	struct trace_span s = step(w, t->put ? "put" : "get", c->accepted, w->now_ns);

	s.kind = SPAN_SERVER;
	s.ctx = t->trace;
	s.error = w->error;
	s.attr[0].key = "pqc.client_id";
	s.attr[0].type = ATTR_ID;
	memcpy(s.attr[0].v.id, c->client_id, ID_LEN);
	s.attr[1].key = "pqc.file_id";
	s.attr[1].type = ATTR_ID;
	memcpy(s.attr[1].v.id, t->file_id, 32);
	s.attr[2] = (struct span_attr){"pqc.bytes", ATTR_U64, {.u = t->bytes}};
	s.attr[3] = (struct span_attr){"pqc.resumed_bytes", ATTR_U64, {.u = t->resumed}};
	s.attr[4].key = "pqc.result";
	s.attr[4].type = ATTR_STR;
	memcpy(s.attr[4].v.s, result, strlen(result) + 1);
	tracer_emit(c->srv->tracer, &s);
}

static void emit_spans(const struct telling *w, const char *result)
{
	const struct transfer *t = &w->c->t;
	uint64_t end = w->now_ns, queued = t->admitted != 0 ? t->admitted : end,
		 open = t->opened != 0 ? t->opened : end,
		 moved = t->committing != 0 ? t->committing : end;

	if (w->c->srv->tracer == NULL || !t->trace.sampled)
		return;
	emit_step(w, "handshake", w->c->accepted, t->requested);
	if (w->c->waited)
		emit_step(w, "queue", t->requested, queued);
	if (t->admitted != 0)
		emit_step(w, "open", queued, open);
	if (t->opened != 0)
		emit_transfer(w, open, moved);
	if (t->committing != 0)
		emit_step(w, "commit", moved, end);
	emit_whole(w, result);
}

/* ---- its end: metrics, access line, event ---- */

static void count(const struct telling *w, enum transfer_result result)
{
	struct transfer *t = &w->c->t;
	struct metrics *m = &w->c->srv->metrics;

	metric_add(m, (enum metric)((t->put ? M_PUT_DONE : M_GET_DONE) + result), 1);
	if (t->admitted != 0)
		metric_sub(m, M_ACTIVE, 1);
	if (result != R_DONE)
		return;
	if (t->size != UINT64_MAX)
		histo_observe(m, H_TRANSFER_SIZE, (double)t->size, t->trace.trace_id);
	histo_observe(m, H_TRANSFER_DURATION, (double)(w->now_ns - t->requested) / 1e9,
		      t->trace.trace_id);
	if (t->committing != 0)
		histo_observe(m, H_COMMIT, (double)(w->now_ns - t->committing) / 1e9,
			      t->trace.trace_id);
}

static void log_access_line(const struct telling *w, enum transfer_result result, int code)
{
	const struct conn *c = w->c;
	const struct transfer *t = &c->t;
	double seconds = (double)(w->now_ns - t->requested) / 1e9,
	       queued = (double)((t->admitted != 0 ? t->admitted : w->now_ns) - t->requested) / 1e9,
	       moving = t->opened != 0 ? (double)(w->now_ns - t->opened) / 1e9 : 0;
	char start[32];

	fmt_time(unix_of(w, t->requested) / 1000000000, start);
	log_event(c->srv->log, result == R_FAILED || result == R_REFUSED ? LOG_WARN : LOG_INFO,
		  "transfer",
		  (struct log_field[]){
			  log_trace(c),
			  log_id("transfer_id", t->file_id),
			  log_str("direction", t->put ? "put" : "get"),
			  log_id("client_id", c->client_id),
			  log_str("peer", c->peer),
			  t->size != UINT64_MAX ? log_u64("file_size", t->size)
						: log_str("file_size", NULL),
			  log_u64("bytes_transferred", t->bytes),
			  log_u64("resumed_bytes", t->resumed),
			  log_str("start_time", start),
			  log_f64("duration_seconds", seconds),
			  log_f64("queue_seconds", queued),
			  log_f64("throughput_mbps",
				  moving > 0 ? (double)t->bytes / 1e6 / moving : 0),
			  log_str("pqc_algorithm", identity_public(c->srv->id)->suite->name),
			  log_str("result", transfer_result_name(result)),
			  log_str("code", code != 0 ? err_name(code) : NULL),
			  log_name("name", t->name != NULL ? t->name : ""),
			  {0}});
}

static void put_hex(struct buf *out, const char *key, const uint8_t *id)
{
	char hex[65];

	hex_encode(id, 32, hex);
	buf_printf(out, ",\"%s\":\"%s\"", key, hex);
}

static void put_text(struct buf *out, const char *key, const char *text, size_t n)
{
	buf_printf(out, ",\"%s\":", key);
	json_put_string(out, text, n);
}

void transfer_event_json(const struct transfer_event *ev, struct buf *out)
{
	const struct transfer *t = ev->t;
	const char *name = t->name != NULL ? t->name : "";

	buf_printf(out, "{\"result\":\"%s\",\"direction\":\"%s\",\"trace_id\":\"%s\"", ev->result,
		   t->put ? "put" : "get", t->trace_id);
	put_text(out, "name", name, strlen(name));
	put_hex(out, "file_id", t->file_id);
	put_hex(out, "client_id", ev->client_id);
	if (t->size != UINT64_MAX)
		buf_printf(out, ",\"size\":%llu", (unsigned long long)t->size);
	if (ev->code != 0)
		buf_printf(out, ",\"code\":\"%s\"", err_name(ev->code));
	if (ev->receipt.n > 0)
		put_text(out, "receipt", (const char *)ev->receipt.p, ev->receipt.n);
	buf_put_u8(out, '}');
}

void transfer_end(struct conn *c, enum transfer_result result, int code)
{
	struct transfer *t = &c->t;
	struct telling w = {.c = c, .now_ns = clock_ns(), .now_unix = trace_now()};

	if (t->state == T_NONE || t->state == T_OVER)
		return;
	w.error = result == R_DONE ? NULL
		  : code != 0	   ? err_name(code)
				   : transfer_result_name(result);
	count(&w, result);
	log_access_line(&w, result, code);
	emit_spans(&w, transfer_result_name(result));
	if (result == R_FAILED || result == R_REFUSED)
		server_post_failed(c, result, code);
	t->state = T_OVER;
	admit_leave(c, result == R_INTERRUPTED && t->put ? t->file_id : NULL);
}

void transfer_free(struct transfer *t)
{
	free(t->name);
	t->name = NULL;
}
