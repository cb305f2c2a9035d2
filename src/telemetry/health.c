#include "telemetry/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "telemetry/metrics_internal.h"

#define S(seconds)	((uint64_t)(seconds)*1000)
#define PROBE_LATE	S(60)
#define PROBE_LOST	S(180)
#define QUEUE_SLOW	S(60)
#define QUEUE_STUCK	S(300)
#define JUMP_REMEMBERED S(600)
#define JUMP_S		10
#define OFFSET_S	10
#define OFFSET_BAD_S	300
#define SPACE_LAST	(UINT64_C(16) << 20)
#define FULL_SOON_S	3600
#define YEAR_2026	UINT64_C(1767225600)

const char *health_name(enum health_status s)
{
	static const char *const names[] = {"healthy", "degraded", "unhealthy"};

	return names[s];
}

static void set(struct health_check *c, enum health_status s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void set(struct health_check *c, enum health_status s, const char *fmt, ...)
{
	va_list ap;

	c->status = s;
	va_start(ap, fmt);
	vsnprintf(c->message, sizeof(c->message), fmt, ap);
	va_end(ap);
}

static uint64_t since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static uint64_t magnitude(int64_t v)
{
	return v < 0 ? -(uint64_t)v : (uint64_t)v;
}

static void storage(const struct health_input *in, struct health_check *c)
{
	uint64_t age = since(in->now_ms, in->probe_at_ms);

	c->at_ms = in->probe_at_ms;
	c->took_us = in->probe_us;
	if (!in->probe_ok)
		set(c, UNHEALTHY, "cannot write to the store: %.110s",
		    in->probe_error[0] != '\0' ? in->probe_error : "the probe failed");
	else if (age > PROBE_LATE)
		set(c, age > PROBE_LOST ? UNHEALTHY : DEGRADED,
		    "the store has not answered for %" PRIu64 " s", age / 1000);
	else
		set(c, HEALTHY, "the store takes what is written and gives it back");
}

static void space(const struct health_input *in, struct health_check *c)
{
	uint64_t left = since(in->free_bytes, in->min_free);
	char size[16], when[16];

	fmt_size(in->free_bytes, size);
	if (in->free_bytes < SPACE_LAST && in->free_bytes * 100 < in->total_bytes)
		set(c, UNHEALTHY, "the disk is full: %s free", size);
	else if (in->free_bytes <= in->min_free)
		set(c, DEGRADED, "no room for new uploads: %s free", size);
	else if (in->fill_bytes_per_s > 0 && left / in->fill_bytes_per_s < FULL_SOON_S)
		set(c, DEGRADED, "no room for new uploads in about %s at the present rate: %s free",
		    fmt_duration((double)left / (double)in->fill_bytes_per_s, when), size);
	else
		set(c, HEALTHY, "%s free", size);
}

static void key(const struct health_input *in, struct health_check *c)
{
	if (in->key_ok)
		set(c, HEALTHY, "the identity key signs");
	else
		set(c, UNHEALTHY, "the identity key cannot sign");
}

static void bundle(const struct health_input *in, struct health_check *c)
{
	uint64_t ended = since(in->now_unix, in->bundle_not_after);

	if (ended > in->bundle_grace)
		set(c, UNHEALTHY, "the KEM bundle is stale: it ended %" PRIu64 " s ago", ended);
	else if (ended > in->bundle_grace / 2)
		set(c, DEGRADED, "the KEM bundle should have been replaced %" PRIu64 " s ago",
		    ended);
	else
		set(c, HEALTHY, "the KEM bundle is fresh");
}

static void clocks(const struct health_input *in, struct health_check *c)
{
	uint64_t offset = magnitude(in->store_clock_offset_s), jump = magnitude(in->clock_jump_s);
	char text[32];

	if (in->now_unix < YEAR_2026)
		set(c, UNHEALTHY, "the clock is not set: it says %s", fmt_time(in->now_unix, text));
	else if (offset > OFFSET_S)
		set(c, offset > OFFSET_BAD_S ? UNHEALTHY : DEGRADED,
		    "the store's clock is %" PRIu64 " s %s ours", offset,
		    in->store_clock_offset_s > 0 ? "ahead of" : "behind");
	else if (jump > JUMP_S && since(in->now_ms, in->clock_jump_at_ms) < JUMP_REMEMBERED)
		set(c, DEGRADED, "the clock was set %s by %" PRIu64 " s, %" PRIu64 " s ago",
		    in->clock_jump_s > 0 ? "forward" : "back", jump,
		    since(in->now_ms, in->clock_jump_at_ms) / 1000);
	else
		set(c, HEALTHY, "the clock runs evenly");
}

static void queue(const struct health_input *in, struct health_check *c)
{
	uint64_t still = since(in->now_ms, in->moved_at_ms);

	if (in->waiting == 0)
		set(c, HEALTHY, "nobody waits");
	else if (still < QUEUE_SLOW)
		set(c, HEALTHY, "%u wait, and it goes on", in->waiting);
	else
		set(c, still < QUEUE_STUCK ? DEGRADED : UNHEALTHY,
		    "%u wait, and no transfer has moved a byte for %" PRIu64 " s", in->waiting,
		    still / 1000);
}

static const struct {
	const char *name;
	void (*judge)(const struct health_input *in, struct health_check *c);
} checks[HEALTH_MAX] = {
	[HEALTH_STORAGE] = {"storage", storage},
	[HEALTH_SPACE] = {"space", space},
	[HEALTH_KEY] = {"key", key},
	[HEALTH_BUNDLE] = {"bundle", bundle},
	[HEALTH_CLOCK] = {"clock", clocks},
	[HEALTH_QUEUE] = {"queue", queue},
};

void health_evaluate(const struct health_input *in, struct health *out)
{
	*out = (struct health){.n = HEALTH_MAX, .draining = in->draining};
	for (size_t i = 0; i < HEALTH_MAX; i++) {
		out->check[i].name = checks[i].name;
		out->check[i].at_ms = in->now_ms;
		checks[i].judge(in, &out->check[i]);
	}
}

enum health_status health_worst(const struct health *h, const char **reason)
{
	enum health_status worst = HEALTHY;

	*reason = NULL;
	for (size_t i = 0; i < h->n; i++) {
		if (h->check[i].status > worst) {
			worst = h->check[i].status;
			*reason = h->check[i].message;
		}
	}
	if (worst == HEALTHY && h->draining) {
		worst = DEGRADED;
		*reason = "draining";
	}
	return worst;
}

void health_json(const struct health *h, uint64_t now_ms, struct buf *out)
{
	buf_put_str(out, "[");
	for (size_t i = 0; i < h->n; i++) {
		const struct health_check *c = &h->check[i];

		buf_printf(out,
			   "%s{\"name\":\"%s\",\"status\":\"%s\",\"message\":", i > 0 ? "," : "",
			   c->name, health_name(c->status));
		json_put_string(out, c->message, strlen(c->message));
		buf_put_str(out, ",\"observed_seconds_ago\":");
		metrics_put_number(out, (double)since(now_ms, c->at_ms) / 1e3);
		buf_put_str(out, ",\"response_time_ms\":");
		metrics_put_number(out, (double)c->took_us / 1e3);
		buf_put_str(out, "}");
	}
	buf_put_str(out, "]");
}

void health_metrics(const struct health *h, struct metrics *m)
{
	for (size_t i = 0; i < h->n; i++)
		metric_set(m, (enum metric)(M_HEALTH_STORAGE + (int)i), h->check[i].status);
}
