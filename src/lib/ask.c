/* What is asked of a server in short: list, delete, receipt, ping. */
#include <stdlib.h>
#include <string.h>

#include "container/manifest.h"
#include "lib/client.h"

#define RECEIPT_MAX ((size_t)64 << 10) /* bytes of a receipt's text */

/* ---- list ---- */

struct listing {
	int (*each)(void *arg, const struct pqc_entry *en);
	void *arg;
	const struct control *control;
};

static int tell_entry(void *arg, const struct entry *en)
{
	const struct listing *l = arg;
	const struct pqc_entry told = {
		.name = en->name, .size = en->size, .time = en->time, .owner = en->owner};

	return control_cancelled(l->control) ? PQC_EINTERRUPTED : l->each(l->arg, &told);
}

int pqc_list(const struct pqc_client *k, const char *url,
	     int (*each)(void *arg, const struct pqc_entry *en), void *arg,
	     const struct pqc_control *c, struct pqc_error *e)
{
	struct listing l = {.each = each, .arg = arg};
	struct client_call call;
	struct err err = {0};
	int rc;

	l.control = &call.control;
	if (each == NULL) {
		rc = err_set(&err, PQC_EUSAGE, "each is NULL");
	} else if ((rc = client_call_begin(&call, k, url, c, &err)) == 0) {
		if ((rc = client_call_as_somebody(&call, &err)) == 0)
			rc = client_list(&call.o, &call.url, tell_entry, &l, &err);
		client_call_end(&call);
	}
	return lib_done(rc, &err, e);
}

/* ---- delete, receipt ---- */

int pqc_delete(const struct pqc_client *k, const char *url, const struct pqc_control *c,
	       struct pqc_error *e)
{
	struct client_call call;
	struct err err = {0};
	int rc;

	if ((rc = client_call_begin(&call, k, url, c, &err)) == 0) {
		if ((rc = client_call_named(&call, &err)) == 0)
			rc = client_delete(&call.o, &call.url, &err);
		client_call_end(&call);
	}
	return lib_done(rc, &err, e);
}

int pqc_receipt(const struct pqc_client *k, const char *url, struct pqc_buffer *pem,
		const struct pqc_control *c, struct pqc_error *e)
{
	struct buf text = BUF_INIT(RECEIPT_MAX);
	struct client_call call;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(pem, "pem", &err)) != 0)
		goto out;
	*pem = (struct pqc_buffer){.data = NULL};
	if ((rc = client_call_begin(&call, k, url, c, &err)) != 0)
		goto out;
	if ((rc = client_call_named(&call, &err)) == 0 &&
	    (rc = client_receipt(&call.o, &call.url, &text, &err)) == 0)
		rc = lib_give(&text, pem, &err);
	client_call_end(&call);
out:
	buf_free(&text);
	return lib_done(rc, &err, e);
}

int pqc_receipt_verify(const void *pem, size_t size, struct pqc_receipt_info *out,
		       struct pqc_error *e)
{
	struct pqx_bundle *b = malloc(sizeof(*b));
	struct err err = {0};
	int rc;

	if (out != NULL)
		memset(out, 0, sizeof(*out));
	if (b == NULL)
		rc = err_set(&err, PQC_ENOMEM, "out of memory");
	else if ((rc = lib_need(pem, "pem", &err)) == 0)
		rc = pqx_receipt_bundle_check(pem, size, b, &err);
	if (rc == 0 && out != NULL) {
		memcpy(out->server_id, b->receipt.server_id, sizeof(out->server_id));
		memcpy(out->sender_id, b->header.sender_id, sizeof(out->sender_id));
		memcpy(out->file_id, b->header.file_id, sizeof(out->file_id));
		out->size = b->manifest.plain_size;
		out->time = b->receipt.time;
		out->log_index = b->receipt.log_index;
	}
	free(b);
	return lib_done(rc, &err, e);
}

/* ---- ping ---- */

static void tell_ping(const struct ping_result *p, struct pqc_ping_result *r)
{
	memcpy(r->server_id, p->server_id, sizeof(r->server_id));
	if (p->suite != NULL)
		strncpy(r->suite, p->suite->name, sizeof(r->suite) - 1);
	r->pinned = p->pinned;
	memcpy(r->tls_group, p->tls_group, sizeof(r->tls_group));
	r->seconds = p->seconds;
}

/* The greeting wants a key, and tells nobody whose it is: without an identity any will do. */
static int ping(struct client_call *call, struct pqc_ping_result *r, struct err *e)
{
	struct identity *any = NULL;
	struct ping_result p;
	int rc = 0;

	if (call->o.identity == NULL &&
	    (rc = identity_generate(suite_by_id(SUITE_KYBER768), &any)) != 0)
		return err_set(e, rc, "cannot make a key");
	if (any != NULL)
		call->o.identity = any;
	rc = client_ping(&call->o, &call->url, &p, e);
	if (r != NULL && (rc == 0 || rc == PQC_EUNKNOWN_SERVER))
		tell_ping(&p, r);
	identity_free(any);
	return rc;
}

int pqc_ping(const struct pqc_client *k, const char *url, struct pqc_ping_result *r,
	     const struct pqc_control *c, struct pqc_error *e)
{
	struct client_call call;
	struct err err = {0};
	int rc;

	if (r != NULL)
		memset(r, 0, sizeof(*r));
	if ((rc = client_call_begin(&call, k, url, c, &err)) == 0) {
		rc = ping(&call, r, &err);
		client_call_end(&call);
	}
	return lib_done(rc, &err, e);
}
