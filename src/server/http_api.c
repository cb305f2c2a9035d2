/*
 * Plain HTTP. On every port: /health and /ready. Where operators are (a monitor listener; or the clients' port
 * when there is none of TCP): /metrics and /performance-metrics. On monitor listeners alone: /transfers, which
 * tells who is sending.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "pqc.h"
#include "server/internal.h"

#define BODY_MAX (32u << 20) /* of /transfers, should everybody wait */

static int health(struct conn *c, const char **type, struct buf *b)
{
	struct server *s = c->srv;
	const struct public_identity *me = identity_public(s->id);
	const char *reason = NULL;
	enum health_status worst;
	struct health h;
	char id[2 * ID_LEN + 1], now[32];

	*type = "application/json";
	watchman_health(s, &h);
	worst = health_worst(&h, &reason);
	hex_encode(me->id, ID_LEN, id);
	fmt_time(clock_unix(), now);
	buf_printf(b, "{\"status\":\"%s\",\"reason\":", health_name(worst));
	if (reason != NULL)
		json_put_string(b, reason, strlen(reason));
	else
		buf_put_str(b, "null");
	buf_printf(b,
		   ",\"timestamp\":\"%s\",\"component\":\"pqc-secure-transfer\",\"version\":\"%s\","
		   "\"pqc_algorithm\":\"%s\",\"server_id\":\"%s\",\"pid\":%ld,"
		   "\"uptime_seconds\":%llu,\"active_transfers\":%u,\"queue_length\":%u,"
		   "\"open_connections\":%u,",
		   now, pqc_version(), me->suite->name, id, (long)getpid(),
		   (unsigned long long)(clock_unix() - s->started), queue_active(s->queue),
		   queue_waiting(s->queue), s->conn_count);
	buf_printf(b, "\"storage_free_bytes\":%llu,\"storage_total_bytes\":%llu,\"checks\":",
		   (unsigned long long)metric_get(&s->metrics, M_SPACE_FREE),
		   (unsigned long long)metric_get(&s->metrics, M_SPACE_TOTAL));
	health_json(&h, clock_ms(), b);
	buf_put_str(b, "}\n");
	return worst == UNHEALTHY ? 503 : 200;
}

static int ready(struct conn *c, const char **type, struct buf *b)
{
	const char *reason = NULL;
	struct health h;
	bool yes;

	*type = "application/json";
	watchman_health(c->srv, &h);
	yes = health_worst(&h, &reason) != UNHEALTHY && !c->srv->draining;
	buf_printf(b, "{\"status\":\"%s\",\"reason\":", yes ? "ready" : "not ready");
	if (!yes && reason != NULL)
		json_put_string(b, reason, strlen(reason));
	else
		buf_put_str(b, "null");
	buf_put_str(b, "}\n");
	return yes ? 200 : 503;
}

static int metrics(struct conn *c, const char **type, struct buf *b)
{
	enum metrics_format f = metrics_negotiate(c->accept, type);

	watchman_gauges(c->srv);
	return metrics_render(&c->srv->metrics, f, b) == 0 ? 200 : 500;
}

static int performance(struct conn *c, const char **type, struct buf *b)
{
	struct server *s = c->srv;
	enum metrics_format f = windows_negotiate(c->accept, type);

	return windows_render(s->windows, &s->metrics, clock_ms(), f, b) == 0 ? 200 : 500;
}

/* ---- /transfers ---- */

static void put_number(struct buf *b, const char *key, uint64_t n)
{
	buf_printf(b, "\"%s\":", key);
	if (n == UINT64_MAX)
		buf_put_str(b, "null,");
	else
		buf_printf(b, "%llu,", (unsigned long long)n);
}

static void put_who(struct buf *b, const struct conn *c)
{
	char id[2 * ID_LEN + 1];

	hex_encode(c->client_id, ID_LEN, id);
	buf_printf(b, "{\"trace_id\":\"%s\",\"direction\":\"%s\",\"client_id\":\"%s\",",
		   c->t.trace_id, c->t.put ? "put" : "get", id);
	if (log_names(c->srv->log) && c->t.name != NULL) {
		buf_put_str(b, "\"name\":");
		json_put_string(b, c->t.name, strlen(c->t.name));
		buf_put_u8(b, ',');
	}
}

static void put_active(struct buf *b, const struct conn *c)
{
	const struct transfer *t = &c->t;
	double seconds = (double)(clock_ns() - t->requested) / 1e9,
	       moving = t->opened != 0 ? (double)(clock_ns() - t->opened) / 1e9 : 0;

	put_who(b, c);
	buf_printf(b, "\"state\":\"%s\",", transfer_state_name(t->state));
	put_number(b, "file_size", t->size);
	put_number(b, "bytes_transferred", t->bytes);
	put_number(b, "resumed_bytes", t->resumed);
	buf_put_str(b, "\"duration_seconds\":");
	put_fixed(b, seconds, 3);
	buf_put_str(b, ",\"throughput_mbps\":");
	put_fixed(b, moving > 0 ? (double)t->bytes / 1e6 / moving : 0, 3);
	buf_put_u8(b, '}');
}

static void put_waiting(struct buf *b, const struct conn *c)
{
	uint64_t ms = queue_estimate_ms(c->srv->queue, c->place.place);

	put_who(b, c);
	buf_printf(b, "\"position\":%u,\"waited_seconds\":", c->place.place);
	put_fixed(b, (double)(clock_ms() - c->place.since_ms) / 1000, 3);
	buf_put_str(b, ",\"estimate_seconds\":");
	if (ms == UINT64_MAX)
		buf_put_str(b, "null");
	else
		put_fixed(b, (double)ms / 1000, 3);
	buf_put_u8(b, '}');
}

static int transfers(struct conn *mine, const char **type, struct buf *b)
{
	struct server *s = mine->srv;
	const struct queue_entry *e = NULL;
	char id[2 * ID_LEN + 1];
	bool first = true;

	*type = "application/json";
	hex_encode(identity_public(s->id)->id, ID_LEN, id);
	buf_printf(b, "{\"server_id\":\"%s\",\"pid\":%ld,\"uptime_seconds\":%llu,\"slots\":%u,", id,
		   (long)getpid(), (unsigned long long)(clock_unix() - s->started),
		   queue_slots(s->queue));
	buf_put_str(b, "\"active\":[");
	for (const struct conn *c = s->conns; c != NULL; c = c->next) {
		if (c->t.state < T_OPENING || c->t.state > T_COMMIT)
			continue;
		buf_put_str(b, first ? "" : ",");
		put_active(b, c);
		first = false;
	}
	buf_put_str(b, "],\"queue\":[");
	while ((e = queue_walk(s->queue, e)) != NULL) {
		buf_put_str(b, e->prev != NULL ? "," : "");
		put_waiting(b, admit_conn(e));
	}
	buf_put_str(b, "]}\n");
	return 200;
}

/* ---- which is where ---- */

enum place { ANYWHERE, OPERATORS, MONITOR };

static const struct {
	const char *path;
	enum place place;
	int (*make)(struct conn *c, const char **type, struct buf *b);
} routes[] = {
	{"/health", ANYWHERE, health},	    {"/ready", ANYWHERE, ready},
	{"/metrics", OPERATORS, metrics},   {"/performance-metrics", OPERATORS, performance},
	{"/transfers", MONITOR, transfers},
};

static bool served_here(const struct conn *c, enum place p)
{
	return c->monitor || p == ANYWHERE || (p == OPERATORS && c->srv->o.monitor == NULL);
}

void http_api(struct conn *c, const struct http_request *r)
{
	struct buf body = BUF_INIT(BODY_MAX);
	const char *type = "text/plain; charset=utf-8";
	int status = 404;

	if (!r->get && !r->head) {
		http_response(&c->out, 405, type, "", 0, false, false, "Allow: GET, HEAD\r\n");
		return;
	}
	c->accept = r->accept;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (served_here(c, routes[i].place) && strcmp(routes[i].path, r->path) == 0)
			status = routes[i].make(c, &type, &body);
	c->accept = NULL;
	if (status == 404)
		for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
			if (served_here(c, routes[i].place))
				buf_printf(&body, "%s%s", i == 0 ? "not here; there are " : ", ",
					   routes[i].path);
	if (status == 404)
		buf_put_u8(&body, '\n');
	if (buf_error(&body) != 0) {
		buf_reset(&body);
		status = 500;
	}
	c->out.max = OUT_MAX + BODY_MAX; /* this answer is the last there is to say */
	http_response(&c->out, status, type, body.p, body.len, false, r->head, NULL);
	buf_free(&body);
}
