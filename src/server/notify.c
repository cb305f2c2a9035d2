/* Events of transfers that did not end well, written to the spool by a disk worker. */
#include <stdlib.h>
#include <string.h>

#include "server/internal.h"

struct notice {
	struct job job;
	struct server *s;
	char trace_id[2 * TRACE_ID_LEN + 1];
	struct buf json;
};

static void notice_run(struct job *j)
{
	struct notice *n = (struct notice *)j;
	struct err e = {0};

	if (hooks_post(n->s->hooks, "transfer.failed", buf_cstr(&n->json), &e) != 0)
		log_event(n->s->log, LOG_ERROR, "event.lost",
			  (struct log_field[]){
				  log_str("trace_id", n->trace_id), log_str("reason", e.msg), {0}});
}

static void notice_done(struct job *j)
{
	struct notice *n = (struct notice *)j;

	n->s->notices--;
	buf_free(&n->json);
	free(n);
}

void server_post_failed(struct conn *c, enum transfer_result result, int code)
{
	struct transfer_event ev = {.t = &c->t,
				    .client_id = c->client_id,
				    .result = transfer_result_name(result),
				    .code = code};
	struct notice *n;

	if (c->srv->hooks == NULL || (n = calloc(1, sizeof(*n))) == NULL)
		return;
	n->s = c->srv;
	n->s->notices++;
	memcpy(n->trace_id, c->t.trace_id, sizeof(n->trace_id));
	buf_init(&n->json, HOOKS_EVENT_MAX);
	transfer_event_json(&ev, &n->json);
	n->job = (struct job){.run = notice_run, .done = notice_done};
	pool_submit(c->srv->disk, &n->job);
}
