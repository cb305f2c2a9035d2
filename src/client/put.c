/*
 * Put: the source, its journal, and one connection after another until there is
 * a receipt. A broken connection starts over with what the server holds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/put_impl.h"
#include "container/keyblock.h"
#include "crypto/secmem.h"

#define RING_BYTES (6u << 20)

/* ---- opening ---- */

/* A new file: header, keys, a key block for ourselves, an empty journal. */
static int start_new(struct put *p, struct err *e)
{
	const struct public_identity *me = identity_public(p->d.call.o->identity);
	struct keyblock *kb = keyblock_new();
	int r = kb == NULL ? PQC_ENOMEM : 0;

	memset(&p->h, 0, sizeof(p->h));
	p->h.suite = me->suite;
	p->h.part_size = p->part_size;
	p->h.plain_size = psource_size(p->src);
	memcpy(p->h.sender_id, me->id, ID_LEN);
	buf_reset(&p->keyblock);
	if (r == 0 && (r = pqx_header_new(&p->h, &p->k)) == 0 &&
	    (r = keyblock_add_recipient(kb, &p->h, &p->k, me)) == 0 &&
	    (r = keyblock_encode(kb, &p->h, &p->k, &p->keyblock)) == 0)
		r = journal_start(p->journal, &p->h, psource_fingerprint(p->src), e);
	else
		err_set(e, r, "cannot prepare the file's keys");
	keyblock_free(kb);
	p->fresh = r == 0;
	p->res->resumed_bytes = 0;
	return r;
}

static int ask(struct put *p, struct msg *reply, struct err *e)
{
	struct msg m = {.type = MSG_REQUEST, .op = OP_PUT};
	bool first = p->fresh;

	m.name = (struct span){p->d.call.u->name, strlen(p->d.call.u->name)};
	m.size = p->h.plain_size;
	m.file_id = (struct span){p->h.file_id, 32};
	m.header = (struct span){p->h.raw, PQX_HEADER_LEN};
	m.dek = (struct span){p->k.dek, KEY_LEN};
	m.keyblock = (struct span){p->keyblock.p, p->keyblock.len};
	m.has = 1u << TAG_OP | 1u << TAG_NAME | 1u << TAG_SIZE | 1u << TAG_FILE_ID |
		1u << TAG_HEADER | (first ? 1u << TAG_DEK | 1u << TAG_KEYBLOCK : 0);
	return link_open(&p->d.link, &p->d.call, &m, reply, e);
}

/* What the server holds must all be in our journal: we sign only leaves that we made. */
static int take_up(struct put *p, const struct msg *reply, struct err *e)
{
	struct partset held = PARTSET_INIT;
	uint8_t leaf[HASH_MAX];
	uint64_t there;
	int r;

	r = partset_decode(reply->ranges.p, reply->ranges.n, &held);
	for (size_t k = 0; r == 0 && k < held.n; k++)
		for (uint64_t i = 0; r == 0 && i < held.r[k].count; i++)
			r = journal_leaf(p->journal, held.r[k].first + i, leaf);
	if (r == 0 && !p->fresh)
		r = pqx_keys_derive(&p->h, reply->dek.p, &p->k);
	if (r == 0)
		r = sender_connected(p->sender, &held, reply->window);
	if (r == 0 && p->res->reconnects == 0 && partset_count(&held) > 0) {
		there = partset_count(&held) * p->capacity; /* the last part may carry less */
		p->res->resumed_bytes = there < p->res->size ? there : p->res->size;
		if (p->d.call.o->notice != NULL)
			p->d.call.o->notice(p->d.call.o->arg, "resume",
					    "the server holds a part of this file already");
	}
	if (r == 0) {
		p->fresh = false;
		psource_release(p->src, sender_durable(p->sender));
	} else {
		r = err_set(e, PQC_EINTEGRITY,
			    "what the server holds of this file is not what was sent");
	}
	partset_free(&held);
	return r;
}

/* One connection from greeting to receipt. *lost: the server knows no such upload, start over. */
static int attempt(struct put *p, bool *lost, struct err *e)
{
	struct msg reply;
	bool resuming = !p->fresh;
	int r = ask(p, &reply, e);

	*lost = resuming && r == PQC_EREFUSED && p->d.link.session != NULL;
	if (r != 0)
		goto out;
	if (msg_has(&reply, TAG_RECEIPT)) {
		r = put_take_receipt(p, &reply.manifest, &reply.receipt);
		goto out;
	}
	if (!msg_has(&reply, TAG_HANDLE) || !msg_has(&reply, TAG_RANGES) ||
	    !msg_has(&reply, TAG_WINDOW) || !msg_has(&reply, TAG_DEK)) {
		r = err_set(e, PQC_EPROTO, "the server's answer lacks what a put needs");
		goto out;
	}
	if ((r = take_up(p, &reply, e)) != 0) {
		*lost = resuming;
		goto out;
	}
	p->handle = reply.handle;
	r = put_data(p);
out:
	memcpy(p->res->server_id, p->d.link.server_id, ID_LEN);
	link_close(&p->d.link);
	return r != 0 ? call_reason(&p->d.call, r, e) : 0;
}

static int attempts(struct put *p, struct err *e)
{
	bool lost, restarted = false;
	int r;

	for (;;) {
		r = attempt(p, &lost, e);
		if (r == 0)
			return 0;
		if (r == PQC_ECHANGED) {
			struct err ignored;

			(void)!journal_remove(p->journal, &ignored);
			return r;
		}
		if (lost && !restarted && !psource_is_stream(p->src)) {
			restarted = true;
			trail_leave(&p->d.call.trail, r);
			if ((r = start_new(p, e)) != 0)
				return r;
			sender_free(p->sender);
			p->sender = NULL;
			if ((r = sender_new(&p->sender, p->parts)) != 0)
				return r;
			continue;
		}
		if ((r = call_retry(&p->d.call, r, e)) != 0)
			return r;
		p->res->reconnects++;
	}
}

/* ---- life ---- */

/* Where the journal of the source lies: its path, or that it is memory, and who sends where. */
static int journal_key(const struct put *p, const struct pqc_source *from, uint8_t key[32])
{
	char real[4096];
	uint8_t h[SHA512_LEN];
	struct span in[] = {
		{"put", 4},
		{NULL, 0},
		{p->d.call.u->host_port, strlen(p->d.call.u->host_port) + 1},
		{p->d.call.u->name, strlen(p->d.call.u->name) + 1},
		{identity_public(p->d.call.o->identity)->id, ID_LEN},
	};
	int r;

	if (!psource_is_lasting(p->src))
		return random_bytes(key, 32);
	if (from->kind == PQC_IO_MEMORY)
		in[0] = (struct span){"put memory", 11};
	else if (realpath(from->path, real) == NULL)
		return PQC_EIO;
	else
		in[1] = (struct span){real, strlen(real) + 1};
	if ((r = sha512(in, sizeof(in) / sizeof(in[0]), h)) == 0)
		memcpy(key, h, 32);
	return r;
}

static int prepare(struct put *p, const struct put_opts *po, struct err *e)
{
	const struct public_identity *me = identity_public(p->d.call.o->identity);
	uint64_t size;
	uint8_t key[32];
	int r;

	if ((r = psource_open(&p->src, po, p->capacity, &p->d.call, e)) != 0)
		return r;
	size = psource_size(p->src);
	if (size != PQX_SIZE_UNKNOWN && (r = pqx_part_count(p->part_size, size, &p->parts)) != 0)
		return err_set(e, r, "%s is too large for parts of %u bytes", psource_name(p->src),
			       p->part_size);
	p->res->size = size == PQX_SIZE_UNKNOWN ? 0 : size;
	memcpy(p->res->sender_id, me->id, ID_LEN);
	if ((r = journal_key(p, po->from, key)) != 0)
		return err_set(e, r, "cannot find the way to %s", psource_name(p->src));
	if ((r = journal_open(p->d.call.o->state_dir, JOURNAL_PUT, key, &p->journal, e)) != 0)
		return r;
	/* Without a part in it nothing is lost, and the server need not be asked what it holds. */
	if (journal_header(p->journal) == NULL || journal_slots(p->journal) == 0 ||
	    journal_header(p->journal)->part_size != p->part_size ||
	    memcmp(journal_fingerprint(p->journal), psource_fingerprint(p->src), 32) != 0)
		return start_new(p, e);
	p->h = *journal_header(p->journal);
	return 0;
}

static int make_workers(struct put *p)
{
	struct pool_opts po = {
		.threads = p->d.call.o->threads, .notify = drive_notify, .arg = p->d.loop};

	p->worker_count = p->d.call.o->threads > 0 ? p->d.call.o->threads : 1;
	if ((p->workers = calloc(p->worker_count, sizeof(*p->workers))) == NULL)
		return PQC_ENOMEM;
	for (size_t i = 0; i < p->worker_count; i++) {
		p->workers[i].aead = aead_new();
		p->workers[i].plain = malloc(p->capacity);
		if (p->workers[i].aead == NULL || p->workers[i].plain == NULL)
			return PQC_ENOMEM;
	}
	p->ring_len = RING_BYTES / p->part_size;
	p->ring_len = p->ring_len < 2 ? 2 : p->ring_len > RING_MAX ? RING_MAX : p->ring_len;
	for (size_t i = 0; i < p->ring_len; i++) {
		p->ring[i].put = p;
		p->ring[i].wire = malloc(WS_HEADER_MAX + FRAME_LEN + p->part_size + AEAD_TAG);
		if (p->ring[i].wire == NULL)
			return PQC_ENOMEM;
	}
	return pool_new(&p->pool, &po);
}

static void put_free(struct put *p)
{
	pool_free(p->pool);
	for (size_t i = 0; p->workers != NULL && i < p->worker_count; i++) {
		aead_free(p->workers[i].aead);
		if (p->workers[i].plain != NULL)
			secret_wipe(p->workers[i].plain, p->capacity);
		free(p->workers[i].plain);
	}
	free(p->workers);
	for (size_t i = 0; i < p->ring_len; i++)
		free(p->ring[i].wire);
	drive_free(&p->d);
	sender_free(p->sender);
	journal_free(p->journal);
	psource_free(p->src);
	buf_free(&p->keyblock);
	secret_wipe(p, sizeof(*p));
	free(p);
}

/* It is stored: whoever calls it off now is too late. */
static void tell_end(struct put *p)
{
	const struct progress g = {.done = p->res->size,
				   .total = p->res->size,
				   .resumed = p->res->resumed_bytes,
				   .committing = true};
	struct err ignored;

	(void)!call_progress(&p->d.call, &g, &ignored);
}

int client_put(const struct client_opts *o, const struct url *u, const struct put_opts *po,
	       struct transfer_result *res, struct err *e)
{
	struct put *p = calloc(1, sizeof(*p));
	uint64_t began = clock_ms();
	int r;

	memset(res, 0, sizeof(*res));
	buf_init(&res->receipt, 65536);
	if (p == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	p->res = res;
	p->began = began;
	p->part_size = po->part_size;
	p->capacity = pqx_part_capacity(po->part_size);
	buf_init(&p->keyblock, PQX_KEYBLOCK_MAX);
	if ((r = drive_init(&p->d, &put_drive_ops, o, u, e)) != 0 || (r = prepare(p, po, e)) != 0)
		goto out;
	if ((r = make_workers(p)) != 0 || (r = sender_new(&p->sender, p->parts)) != 0) {
		err_set(e, r, "out of memory");
		goto out;
	}
	if ((r = attempts(p, e)) != 0)
		goto out;
	memcpy(res->file_id, p->h.file_id, sizeof(res->file_id));
	res->parts = p->parts;
	res->seconds = (double)(clock_ms() - began) / 1000;
	if (res->seconds_received == 0)
		res->seconds_received = res->seconds;
	if ((r = journal_remove(p->journal, e)) == 0)
		tell_end(p);
out:
	call_end_transfer(&p->d.call, &trail_put, res, r, e);
	if (r != 0 && p->journal != NULL && !psource_is_lasting(p->src)) {
		struct err ignored;

		(void)!journal_remove(p->journal, &ignored); /* it cannot be taken up again */
	}
	put_free(p);
	return r;
}

void transfer_result_free(struct transfer_result *r)
{
	buf_free(&r->receipt);
}
