/*
 * The opening of a put: the request is checked, the disk does its part, and the
 * client is told what is held. A put of the same file that is still
 * there, in this process or in another one, is ended first.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/secmem.h"
#include "server/put_impl.h"

#define AGAIN_MS    50
#define PATIENCE_MS 10000 /* then the client is told to come back */

void opening_free(struct opening *o)
{
	upload_free(o->up);
	partset_free(&o->held);
	buf_free(&o->keyblock);
	secret_wipe(o, sizeof(*o));
	free(o);
}

static int add_range(void *arg, uint64_t first, uint64_t count)
{
	return partset_add(arg, first, count);
}

static bool past_the_cache(const struct opening *o)
{
	uint64_t size = o->header.plain_size;

	return size != PQX_SIZE_UNKNOWN && size >= o->t.srv->o.direct_from;
}

/* The upload is ours: what is there of it? */
static int look_at(struct opening *o)
{
	int r;

	if (upload_committed(o->up))
		return 0;
	if (past_the_cache(o))
		upload_use_direct(o->up);
	r = request_dek(o->t.srv, &o->header, upload_keyblock(o->up), &o->keys);
	return r == 0 ? upload_held(o->up, add_range, &o->held) : r;
}

/* PQC_EAGAIN: another connection, maybe to another process, has it still; take_over asks again. */
static int open_again(struct opening *o, struct err *e)
{
	int r = upload_resume(o->t.srv->store, o->owner, o->name, o->header.raw, &o->up, e);

	return r == 0 ? look_at(o) : r;
}

static int take_over(struct opening *o, struct err *e)
{
	int r = upload_take(o->up, e);

	return r == 0 ? look_at(o) : r;
}

static int open_new(struct opening *o, struct err *e)
{
	const struct server *s = o->t.srv;
	struct upload_new n = {.name = o->name, .owner = o->owner, .header = &o->header};
	struct keyblock *kb = NULL;
	struct buf enc = BUF_INIT(PQX_KEYBLOCK_MAX);
	size_t used;
	int r;

	r = keyblock_decode(&o->header, o->keyblock.p, o->keyblock.len, &kb, &used);
	if (r == 0 && used != o->keyblock.len)
		r = PQC_EPROTO;
	if (r == 0)
		r = keyblock_verify(kb, &o->header, &o->keys);
	if (r == 0)
		r = keyblock_add_kek(kb, &o->header, &o->keys, s->kek);
	if (r == 0)
		r = keyblock_encode(kb, &o->header, &o->keys, &enc);
	if (r != 0) {
		r = err_set(e, r == PQC_ENOMEM ? r : PQC_EPROTO, "the key block is not acceptable");
		goto out;
	}
	n.keyblock = enc.p;
	n.keyblock_len = enc.len;
	n.now = clock_unix();
	n.quota = o->quota;
	n.direct = past_the_cache(o);
	r = upload_begin(o->t.srv->store, &n, &o->up, e);
	if (r == PQC_EEXIST)
		r = open_again(o,
			       e); /* asked before, and the answer was lost; or somebody else's */
out:
	keyblock_free(kb);
	buf_free(&enc);
	return r;
}

static void opening_run(struct task *t)
{
	struct opening *o = (struct opening *)t;

	if (o->after_old)
		t->rc = PQC_EAGAIN;
	else if (o->up != NULL)
		t->rc = take_over(o, &t->e);
	else
		t->rc = o->resume ? open_again(o, &t->e) : open_new(o, &t->e);
}

static int reply_accepted(struct opening *o, struct conn *c)
{
	struct msg m = {.type = MSG_REPLY, .status = ST_ACCEPTED, .window = WINDOW};
	struct buf ranges = BUF_INIT(PARTSET_MAX * 16);
	int r;

	m.has = 1u << TAG_STATUS;
	if (upload_committed(o->up)) {
		m.has |= 1u << TAG_MANIFEST | 1u << TAG_RECEIPT;
		m.manifest = upload_manifest(o->up);
		m.receipt = upload_receipt(o->up);
	} else {
		partset_encode(&o->held, &ranges);
		m.has |= 1u << TAG_HANDLE | 1u << TAG_WINDOW | 1u << TAG_RANGES | 1u << TAG_DEK;
		m.ranges = (struct span){ranges.p, ranges.len};
		m.dek = (struct span){o->keys.dek, KEY_LEN};
	}
	r = buf_error(&ranges) != 0 ? buf_error(&ranges) : conn_reply(c, &m);
	buf_free(&ranges);
	return r;
}

/* The put under way of this very file: the header names its sender, so nobody else's is found. */
static struct put *find_put(struct server *s, const struct pqx_header *h)
{
	struct put *p = s->puts;

	while (p != NULL && memcmp(upload_header(p->up)->raw, h->raw, PQX_HEADER_LEN) != 0)
		p = p->next;
	return p;
}

/* ---- waiting until an older connection has let the upload go ---- */

static void opening_detach(struct conn *c)
{
	struct opening *o = c->state;

	loop_timer_del(c->srv->loop, &o->again);
	opening_free(o);
}

static const struct op opening_op = {.detach = opening_detach};

static void ask_later(struct opening *o, struct conn *c)
{
	c->op = &opening_op;
	c->state = o;
	loop_timer_set(c->srv->loop, &o->again, AGAIN_MS);
}

static void ask_again(struct timer *timer)
{
	struct opening *o = (struct opening *)((char *)timer - offsetof(struct opening, again));
	struct conn *c = o->t.c;

	o->after_old = find_put(c->srv, &o->header) != NULL;
	c->op = NULL;
	c->state = NULL;
	task_start(c, &o->t);
}

static void log_opened(const struct conn *c, const struct opening *o)
{
	log_event(c->srv->log, LOG_INFO, o->resume ? "put.resumed" : "put.begun",
		  (struct log_field[]){log_trace(c),
				       log_name("name", o->name),
				       log_id("client_id", o->owner),
				       log_str("peer", c->peer),
				       log_id("file_id", o->header.file_id),
				       log_u64("held_parts", partset_count(&o->held)),
				       {0}});
}

static void log_not_opened(const struct conn *c, const struct opening *o)
{
	log_event(c->srv->log, LOG_WARN, "put.not_opened",
		  (struct log_field[]){log_trace(c),
				       log_name("name", o->name),
				       log_id("client_id", o->owner),
				       log_str("code", err_name(o->t.rc)),
				       log_str("reason", o->t.e.msg),
				       {0}});
}

/* The answer, and the put. 0 with *committed: there is nothing to do any more. */
static int begin_put(struct opening *o, struct conn *c, bool *committed)
{
	int r;

	*committed = upload_committed(o->up);
	if ((r = reply_accepted(o, c)) != 0)
		return r;
	transfer_opened(c, partset_count(&o->held) * o->header.part_size);
	if (*committed)
		return 0;
	if ((r = put_new(o, c)) != 0)
		return r;
	if (o->resume)
		metric_add(&c->srv->metrics, M_RESUMES, 1);
	log_opened(c, o);
	return 0;
}

static void refuse_put(struct opening *o, struct conn *c)
{
	struct task *t = &o->t;

	log_not_opened(c, o);
	if (t->rc == PQC_ENOTFOUND || t->rc == PQC_EREFUSED)
		t->rc = err_set(&t->e, PQC_EREFUSED, "not found or not allowed");
	if (t->rc == PQC_EQUOTA)
		metric_add(&c->srv->metrics, o->quota != UINT64_MAX ? M_QUOTA_CLIENT : M_QUOTA_DISK,
			   1);
	conn_fail(c, t->rc, t->e.msg[0] != '\0' ? t->e.msg : err_meaning(t->rc));
}

static void opening_done(struct task *t, struct conn *c)
{
	struct opening *o = (struct opening *)t;
	bool committed = false;

	if (o->patience == 0)
		o->patience = clock_ms() + PATIENCE_MS;
	if (c != NULL && t->rc == PQC_EAGAIN && clock_ms() < o->patience) {
		ask_later(o, c);
		return;
	}
	if (c != NULL && t->rc == PQC_EAGAIN)
		t->rc = err_set(&t->e, PQC_ETEMP, "another connection still holds this upload");
	if (c != NULL && t->rc == 0)
		t->rc = begin_put(o, c, &committed);
	if (c != NULL && t->rc != 0) {
		refuse_put(o, c);
	} else if (c != NULL && committed) {
		transfer_end(c, R_DONE, 0);
		conn_finish(c);
	}
	opening_free(o);
}

/* Everything about the request that needs no disk. 0, or an error in e. */
static int check_request(struct conn *c, const struct msg *m, struct opening *o, struct err *e)
{
	const struct server_opts *opt = &c->srv->o;
	const uint8_t *hdr = m->header.p;

	if (!msg_has(m, TAG_NAME) || !msg_has(m, TAG_HEADER) ||
	    pqx_header_decode(hdr, &o->header) != 0)
		return err_set(e, PQC_EPROTO, "put needs a name and a valid header");
	if (m->size != o->header.plain_size || memcmp(m->file_id.p, o->header.file_id, 32) != 0)
		return err_set(e, PQC_EPROTO, "size or file_id are not the header's");
	if (memcmp(o->header.sender_id, c->client_id, ID_LEN) != 0 || o->header.flags != 0 ||
	    o->header.suite != identity_public(c->srv->id)->suite)
		return err_set(e, PQC_EPROTO,
			       "the header is not the client's, or not of this server's suite");
	if (o->header.part_size > opt->max_part_size)
		return err_set(e, PQC_EQUOTA, "part size %u is larger than this server takes (%u)",
			       o->header.part_size, opt->max_part_size);
	if (o->header.plain_size != PQX_SIZE_UNKNOWN && o->header.plain_size > opt->max_size)
		return err_set(e, PQC_EQUOTA, "%llu bytes are more than this server takes (%llu)",
			       (unsigned long long)o->header.plain_size,
			       (unsigned long long)opt->max_size);
	o->resume = !msg_has(m, TAG_DEK);
	if (o->resume)
		return 0;
	if (!msg_has(m, TAG_KEYBLOCK) || pqx_keys_derive(&o->header, m->dek.p, &o->keys) != 0)
		return err_set(e, PQC_EPROTO, "the key does not belong to the header");
	buf_put(&o->keyblock, m->keyblock.p, m->keyblock.n);
	return buf_error(&o->keyblock);
}

static int check_space(struct server *s, const struct opening *o, struct err *e)
{
	uint64_t free_bytes, total, need = 0;

	if (o->resume || store_space(s->store, &free_bytes, &total) != 0)
		return 0;
	if (o->header.plain_size != PQX_SIZE_UNKNOWN)
		need = pqx_body_len(o->header.part_size, o->header.plain_size);
	if (need + s->o.min_free < need || need + s->o.min_free > free_bytes)
		return err_set(e, PQC_EQUOTA,
			       "the server's disk has no room: %llu bytes needed, %llu free of "
			       "which %llu are kept",
			       (unsigned long long)need, (unsigned long long)free_bytes,
			       (unsigned long long)s->o.min_free);
	return 0;
}

void put_start(struct conn *c, const struct msg *m)
{
	struct opening *o = calloc(1, sizeof(*o));
	struct err e = {0};
	struct put *old;
	int r = PQC_ENOMEM;

	transfer_begin(c, true, m, m->size);
	if (o == NULL)
		goto fail;
	o->again.cb = ask_again;
	o->quota = access_quota(c->srv->access, c->client_id);
	buf_init(&o->keyblock, PQX_KEYBLOCK_MAX);
	memcpy(o->owner, c->client_id, ID_LEN);
	if ((r = check_request(c, m, o, &e)) == PQC_EQUOTA)
		metric_add(&c->srv->metrics, M_QUOTA_SIZE, 1);
	if (r == 0 && (r = check_space(c->srv, o, &e)) == PQC_EQUOTA)
		metric_add(&c->srv->metrics, M_QUOTA_DISK, 1);
	if (r != 0)
		goto fail;
	memcpy(o->name, m->name.p, m->name.n);
	o->t.run = opening_run;
	o->t.done = opening_done;
	old = find_put(c->srv, &o->header);
	o->after_old = old != NULL;
	if (old != NULL && old->c != NULL)
		put_supersede(old);
	admit(c, &o->t, o->header.file_id);
	return;
fail:
	if (o != NULL)
		opening_free(o);
	conn_fail(c, r, e.msg[0] != '\0' ? e.msg : err_meaning(r));
}
