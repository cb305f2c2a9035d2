/* Plain HTTP: GET /health, /ready, /metrics. */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "pqc.h"
#include "server/internal.h"

struct health {
	const char *status; /* healthy, degraded, unhealthy */
	const char *reason; /* or NULL */
	uint64_t free_bytes, total_bytes;
};

static struct health examine(const struct server *s)
{
	struct health h = {"healthy", NULL, 0, 0};

	if (store_space(s->store, &h.free_bytes, &h.total_bytes) != 0)
		return (struct health){"unhealthy", "the store cannot be read", 0, 0};
	if (hs_bundle_not_after(s->bundle) + HS_BUNDLE_GRACE < clock_unix()) {
		h.status = "unhealthy";
		h.reason = "the KEM bundle is stale";
	} else if (h.free_bytes <= s->o.min_free) {
		h.status = "degraded";
		h.reason = "no room for new uploads";
	} else if (s->draining) {
		h.status = "degraded";
		h.reason = "draining";
	}
	return h;
}

static int health(struct server *s, struct buf *b)
{
	const struct public_identity *me = identity_public(s->id);
	struct health h = examine(s);
	char id[2 * ID_LEN + 1];

	hex_encode(me->id, ID_LEN, id);
	buf_printf(b,
		   "{\"status\":\"%s\",\"pqc_algorithm\":\"%s\",\"version\":\"%s\",\"server_id\":"
		   "\"%s\","
		   "\"uptime_seconds\":%llu,\"active_transfers\":%u,\"open_connections\":%u,"
		   "\"storage_free_bytes\":%llu,\"storage_total_bytes\":%llu,\"reason\":",
		   h.status, me->suite->name, pqc_version(), id,
		   (unsigned long long)(clock_unix() - s->started), s->transfers, s->conn_count,
		   (unsigned long long)h.free_bytes, (unsigned long long)h.total_bytes);
	if (h.reason != NULL)
		json_put_string(b, h.reason, strlen(h.reason));
	else
		buf_put_str(b, "null");
	buf_put_str(b, "}\n");
	return strcmp(h.status, "unhealthy") == 0 ? 503 : 200;
}

static int ready(struct server *s, struct buf *b)
{
	bool yes = !s->draining && strcmp(examine(s).status, "unhealthy") != 0;

	buf_printf(b, "{\"status\":\"%s\"}\n", yes ? "ready" : "not ready");
	return yes ? 200 : 503;
}

static int metrics(struct server *s, struct buf *b)
{
	uint64_t free_bytes, total;

	if (store_space(s->store, &free_bytes, &total) == 0) {
		metric_set(&s->metrics, M_SPACE_FREE, free_bytes);
		metric_set(&s->metrics, M_SPACE_TOTAL, total);
	}
	return metrics_render(&s->metrics, METRICS_TEXT, b) == 0 ? 200 : 500;
}

static const struct {
	const char *path, *type;
	int (*make)(struct server *s, struct buf *b);
} routes[] = {
	{"/health", "application/json", health},
	{"/ready", "application/json", ready},
	{"/metrics", "text/plain; version=0.0.4; charset=utf-8", metrics},
};

void http_api(struct server *s, const struct http_request *r, struct buf *out)
{
	static const char missing[] = "not here; there are /health, /ready and /metrics\n";
	struct buf body = BUF_INIT(METRICS_TEXT_MAX);
	const char *type = "text/plain; charset=utf-8";
	int status = 404;

	if (!r->get && !r->head) {
		http_response(out, 405, type, "", 0, false, false, "Allow: GET, HEAD\r\n");
		return;
	}
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(routes[i].path, r->path) == 0) {
			type = routes[i].type;
			status = routes[i].make(s, &body);
		}
	}
	if (status == 404)
		buf_put_str(&body, missing);
	http_response(out, status, type, body.p, body.len, false, r->head, NULL);
	buf_free(&body);
}
