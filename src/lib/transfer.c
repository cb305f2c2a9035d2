/* Sending and getting. */
#include <string.h>

#include "client/defaults.h"
#include "client/io.h"
#include "lib/client.h"

static const struct lib_options send_options = {"struct pqc_send_options",
						LIB_UP_TO(struct pqc_send_options, resume_memory),
						sizeof(struct pqc_send_options)};
static const struct lib_options get_options = {"struct pqc_get_options",
					       LIB_UP_TO(struct pqc_get_options, from),
					       sizeof(struct pqc_get_options)};

void pqc_transfer_free(struct pqc_transfer *t)
{
	if (t != NULL)
		pqc_buffer_free(&t->receipt);
}

/* Also of a transfer that failed. r keeps nothing of what t takes. */
static int tell(const struct call_info *info, struct transfer_result *r, struct pqc_transfer *t,
		struct err *e)
{
	if (t == NULL)
		return 0;
	memcpy(t->server_id, r->server_id, sizeof(t->server_id));
	memcpy(t->sender_id, r->sender_id, sizeof(t->sender_id));
	memcpy(t->file_id, r->file_id, sizeof(t->file_id));
	t->size = r->size;
	t->parts = r->parts;
	t->parts_moved = r->parts_moved;
	t->resumed_bytes = r->resumed_bytes;
	t->reconnects = r->reconnects;
	t->seconds = r->seconds;
	t->queue_seconds = info->queue_seconds;
	memcpy(t->trace_id, info->trace_id, sizeof(t->trace_id));
	return r->receipt.len > 0 ? lib_give(&r->receipt, &t->receipt, e) : 0;
}

static int finish(struct client_call *call, int rc, struct transfer_result *r,
		  struct pqc_transfer *t, struct err *e)
{
	struct err ignored;
	int told = tell(&call->info, r, t, rc == 0 ? e : &ignored);

	transfer_result_free(r);
	if (rc == 0)
		control_end(&call->control);
	return rc != 0 ? rc : told;
}

static int send_it(struct client_call *call, const struct pqc_source *from,
		   const struct pqc_send_options *o, struct pqc_transfer *t, struct err *e)
{
	struct put_opts p = {.from = from, .resume_memory = o->resume_memory != 0};
	struct transfer_result r = {0};
	int rc;

	p.part_size = o->part_size != 0 ? o->part_size : default_size(DEFAULT_SEND_PART);
	if ((rc = client_call_named(call, e)) != 0 || (rc = from_check(from, e)) != 0 ||
	    (rc = lib_check_part_size(p.part_size, e)) != 0)
		return rc;
	if (call->o.threads == 0)
		call->o.threads = default_send_threads();
	rc = client_put(&call->o, &call->url, &p, &r, e);
	return finish(call, rc, &r, t, e);
}

int pqc_send(const struct pqc_client *k, const char *url, const struct pqc_source *from,
	     const struct pqc_send_options *o, const struct pqc_control *c, struct pqc_transfer *t,
	     struct pqc_error *e)
{
	struct pqc_send_options own;
	struct client_call call;
	struct err err = {0};
	int rc;

	if (t != NULL)
		memset(t, 0, sizeof(*t));
	if ((rc = lib_take(&send_options, o, &own, &err)) == 0 &&
	    (rc = client_call_begin(&call, k, url, c, &err)) == 0) {
		rc = send_it(&call, from, &own, t, &err);
		client_call_end(&call);
	}
	return lib_done(rc, &err, e);
}

static int get_it(struct client_call *call, const struct pqc_sink *to,
		  const struct pqc_get_options *o, struct pqc_transfer *t, struct err *e)
{
	const struct get_opts g = {.to = to, .from = o->from};
	struct transfer_result r = {0};
	int rc;

	if ((rc = client_call_named(call, e)) != 0 || (rc = to_check(to, e)) != 0)
		return rc;
	if (call->o.threads == 0)
		call->o.threads = default_get_threads();
	rc = client_get(&call->o, &call->url, &g, &r, e);
	return finish(call, rc, &r, t, e);
}

int pqc_get(const struct pqc_client *k, const char *url, const struct pqc_sink *to,
	    const struct pqc_get_options *o, const struct pqc_control *c, struct pqc_transfer *t,
	    struct pqc_error *e)
{
	struct pqc_get_options own;
	struct client_call call;
	struct err err = {0};
	int rc;

	if (t != NULL)
		memset(t, 0, sizeof(*t));
	if ((rc = lib_take(&get_options, o, &own, &err)) == 0 &&
	    (rc = client_call_begin(&call, k, url, c, &err)) == 0) {
		rc = get_it(&call, to, &own, t, &err);
		client_call_end(&call);
	}
	return lib_done(rc, &err, e);
}
