/* The end of a put: the client's manifest against what was received, the receipt, the name. */
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "server/put_impl.h"

static int make_receipt(struct put *p, struct err *e)
{
	struct server *s = p->srv;
	const struct public_identity *me = identity_public(s->id);
	struct span m = {p->manifest.p, p->manifest.len};
	struct pqx_receipt r = {.suite = me->suite, .time = clock_unix()};
	uint8_t core[SHA512_LEN];
	int rc;

	memcpy(r.hc, upload_header(p->up)->hc, sizeof(r.hc));
	memcpy(r.server_id, me->id, ID_LEN);
	memcpy(r.client_id, p->owner, ID_LEN);
	if ((rc = sha512(&m, 1, r.manifest_hash)) != 0 ||
	    (rc = pqx_receipt_core_hash(&r, core)) != 0)
		return rc;
	if ((rc = store_log_append(s->store, me->suite, core, &r.log_index, r.log_root, e)) != 0)
		return rc;
	return pqx_receipt_make(s->id, &r, &p->receipt);
}

/* The events of what is durable now. An event that is lost is no reason to take a file back. */
static void post_events(struct put *p)
{
	struct buf pem = BUF_INIT(65536), received = BUF_INIT(HOOKS_EVENT_MAX),
		   receipt = BUF_INIT(HOOKS_EVENT_MAX);
	struct span m = upload_manifest(p->up), r = upload_receipt(p->up);
	struct transfer_event ev = {.t = &p->about, .client_id = p->owner, .result = "done"};
	struct err e = {0};

	if (p->srv->hooks == NULL)
		return;
	transfer_event_json(&ev, &received);
	if (pqx_receipt_bundle_encode(upload_header(p->up)->raw, &m, &r, &pem) == 0)
		ev.receipt = (struct span){pem.p, pem.len};
	transfer_event_json(&ev, &receipt);
	if (hooks_post(p->srv->hooks, "transfer.received", buf_cstr(&received), &e) != 0 ||
	    hooks_post(p->srv->hooks, "transfer.receipt", buf_cstr(&receipt), &e) != 0)
		log_event(p->srv->log, LOG_ERROR, "event.lost",
			  (struct log_field[]){log_str("trace_id", p->about.trace_id),
					       log_str("reason", e.msg),
					       {0}});
	buf_free(&pem);
	buf_free(&received);
	buf_free(&receipt);
}

static void commit_run(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, commit_job));
	const struct pqx_header *h = upload_header(p->up);
	const struct pqx_manifest *m = &p->signed_by_client;
	struct span manifest = {p->manifest.p, p->manifest.len}, receipt;
	struct err *e = &p->commit_err;
	uint8_t root[HASH_MAX];
	int r;

	if ((r = upload_root(p->up, m->n, root)) == 0 &&
	    memcmp(root, m->root, h->suite->hash_len) != 0)
		r = err_set(e, PQC_EINTEGRITY,
			    "the manifest's root is not that of what was received");
	if (r == 0 && (r = make_receipt(p, e)) == 0) {
		receipt = (struct span){p->receipt.p, p->receipt.len};
		r = upload_commit(p->up, &manifest, &receipt, m->plain_size, clock_unix(), e);
	}
	if (r == 0)
		post_events(p);
	p->commit_rc = r;
}

static void send_receipt(struct put *p)
{
	struct msg m = {.type = MSG_RECEIPT, .has = 1u << TAG_MANIFEST | 1u << TAG_RECEIPT};

	/* What is on the disk counts: a commit that was cut short may have left its own. */
	m.manifest = upload_manifest(p->up);
	m.receipt = upload_receipt(p->up);
	if (conn_send(p->c, &m) != 0)
		conn_fail(p->c, PQC_EFAIL, "cannot send the receipt");
	else
		conn_finish(p->c);
}

static void commit_done(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, commit_job));
	struct server *s = p->srv;

	p->commit_running = false;
	if (p->commit_rc != 0) {
		put_fail(p, p->commit_rc,
			 p->commit_err.msg[0] ? p->commit_err.msg : err_meaning(p->commit_rc));
	} else {
		server_empty_trash(s);
		log_event(s->log, LOG_INFO, "put.done",
			  (struct log_field[]){log_str("trace_id", p->about.trace_id),
					       log_name("name", p->name),
					       log_id("client_id", p->owner),
					       log_id("file_id", upload_header(p->up)->file_id),
					       log_u64("bytes", p->signed_by_client.plain_size),
					       log_u64("received_bytes", p->bytes_in),
					       log_u64("milliseconds", clock_ms() - p->began),
					       {0}});
		if (p->c != NULL) {
			p->c->t.size = p->signed_by_client.plain_size;
			transfer_end(p->c, R_DONE, 0);
			send_receipt(p);
		}
	}
	put_advance(p);
	put_settle(p);
}

void put_commit(struct put *p)
{
	p->commit_running = true;
	if (p->c != NULL)
		transfer_committing(p->c);
	p->commit_job = (struct job){.run = commit_run, .done = commit_done};
	pool_submit(p->srv->disk, &p->commit_job);
}

int put_control(struct conn *c, const struct msg *m, struct err *e)
{
	struct put *p = c->state;
	struct pqx_manifest *mf = &p->signed_by_client;
	int r;

	if (m->type != MSG_COMMIT || p->commit_asked)
		return err_set(e, PQC_EPROTO, "only one COMMIT is expected in a put");
	if (pqx_manifest_check(upload_header(p->up), NULL, m->manifest.p, m->manifest.n, mf) != 0)
		return err_set(e, PQC_EINTEGRITY, "the manifest is not valid for this file");
	if (mf->plain_size > p->srv->o.max_size)
		return put_too_large(p, mf->plain_size, e);
	if ((r = receiver_commit(p->rx, mf->n, e)) != 0)
		return r;
	buf_put(&p->manifest, m->manifest.p, m->manifest.n);
	if ((r = buf_error(&p->manifest)) != 0)
		return err_set(e, r, "out of memory");
	p->commit_asked = true;
	p->about.size = mf->plain_size;
	put_advance(p);
	return 0;
}
