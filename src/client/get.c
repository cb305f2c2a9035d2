/*
 * Get: one connection after another until every part is there; then the file takes its name.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "client/get_impl.h"
#include "crypto/secmem.h"

#define SLOT_BYTES (5u << 20)

/* The reply describes an object: check its manifest before a byte of it is asked for. */
static int take_object(struct get *g, const struct msg *reply, struct err *e)
{
	struct pqx_header h;
	struct pqx_manifest mf;
	uint8_t id[ID_LEN];
	int r;

	if (!msg_has(reply, TAG_HEADER) || !msg_has(reply, TAG_DEK) ||
	    !msg_has(reply, TAG_MANIFEST))
		return err_set(e, PQC_EPROTO, "the server's answer lacks what a get needs");
	if (pqx_header_decode(reply->header.p, &h) != 0 ||
	    pqx_keys_derive(&h, reply->dek.p, &g->k) != 0 ||
	    pqx_manifest_check(&h, &g->k, reply->manifest.p, reply->manifest.n, &mf) != 0 ||
	    !mf.is_signed)
		return err_set(e, PQC_EINTEGRITY,
			       "the object's header or manifest is damaged or not signed");
	if ((r = identity_id(mf.suite, mf.sender_pk, id)) != 0)
		return r;
	if (msg_has(reply, TAG_SIZE) && reply->size != mf.plain_size)
		return err_set(e, PQC_EPROTO,
			       "the server tells another size than the sender signed");
	if (g->go->from != NULL && memcmp(g->go->from, id, ID_LEN) != 0)
		return err_set(e, PQC_EREFUSED,
			       "the object was sent by another identity than the one asked for");
	if (g->known && (memcmp(h.raw, g->h.raw, PQX_HEADER_LEN) != 0 || mf.n != g->mf.n ||
			 memcmp(mf.root, g->mf.root, mf.suite->hash_len) != 0)) {
		if (g->stream)
			return err_set(e, PQC_ECHANGED,
				       "the object was replaced while it was read");
		partset_clear(&g->have);
		g->known = false;
	}
	g->h = h;
	g->mf = mf;
	memcpy(g->res->sender_id, id, ID_LEN);
	memcpy(g->res->file_id, h.file_id, 32);
	g->res->size = mf.plain_size;
	g->res->parts = mf.n;
	return 0;
}

/* A part's plaintext, at any alignment within a block. */
static size_t plain_room(const struct get *g)
{
	return (g->capacity + 2 * FILE_BLOCK - 1) / FILE_BLOCK * FILE_BLOCK;
}

static int make_workers(struct get *g)
{
	struct pool_opts po = {
		.threads = g->d.call.o->threads, .notify = drive_notify, .arg = g->d.loop};
	struct pool_opts one = {.threads = 1, .notify = drive_notify, .arg = g->d.loop};

	/* One worker writes a stream in order. */
	if (g->stream || po.threads == 0)
		po.threads = 1;
	g->capacity = pqx_part_capacity(g->h.part_size);
	g->worker_count = po.threads;
	if ((g->workers = calloc(g->worker_count, sizeof(*g->workers))) == NULL)
		return PQC_ENOMEM;
	for (size_t i = 0; i < g->worker_count; i++) {
		g->workers[i].aead = aead_new();
		g->workers[i].plain = aligned_alloc(FILE_BLOCK, plain_room(g));
		if (g->workers[i].aead == NULL || g->workers[i].plain == NULL)
			return PQC_ENOMEM;
	}
	g->slots = SLOT_BYTES / g->h.part_size;
	g->slots = g->slots < 2 ? 2 : g->slots > SLOT_MAX ? SLOT_MAX : g->slots;
	for (size_t i = 0; i < g->slots; i++) {
		g->slot[i].g = g;
		if ((g->slot[i].p = malloc(g->h.part_size)) == NULL)
			return PQC_ENOMEM;
	}
	return pool_new(&g->pool, &po) != 0 ? PQC_ENOMEM : pool_new(&g->disk, &one);
}

static void drop_workers(struct get *g)
{
	pool_free(g->pool);
	pool_free(g->disk);
	g->pool = g->disk = NULL;
	for (size_t i = 0; g->workers != NULL && i < g->worker_count; i++) {
		aead_free(g->workers[i].aead);
		if (g->workers[i].plain != NULL)
			secret_wipe(g->workers[i].plain, plain_room(g));
		free(g->workers[i].plain);
	}
	free(g->workers);
	g->workers = NULL;
	for (size_t i = 0; i < g->slots; i++)
		free(g->slot[i].p);
	g->slots = 0;
}

static int first_time(struct get *g, struct err *e)
{
	int r;

	drop_workers(g);
	if ((r = make_workers(g)) != 0)
		return err_set(e, r, "out of memory");
	tree_init(&g->tree, g->h.suite);
	if ((r = get_make_room(g, e)) != 0)
		return r;
	g->known = true;
	return 0;
}

static int attempt(struct get *g, struct err *e)
{
	struct msg req = {.type = MSG_REQUEST, .op = OP_GET, .has = 1u << TAG_OP | 1u << TAG_NAME},
		   reply;
	int r;

	req.name = (struct span){g->d.call.u->name, strlen(g->d.call.u->name)};
	if ((r = link_open(&g->d.link, &g->d.call, &req, &reply, e)) == 0 &&
	    (r = take_object(g, &reply, e)) == 0 && (g->known || (r = first_time(g, e)) == 0))
		r = get_data(g);
	memcpy(g->res->server_id, g->d.link.server_id, ID_LEN);
	link_close(&g->d.link);
	return r != 0 ? call_reason(&g->d.call, r, e) : 0;
}

static void get_free(struct get *g)
{
	drop_workers(g);
	drive_free(&g->d);
	if (g->direct >= 0)
		close(g->direct);
	if (g->journal != NULL && g->fd >= 0)
		close(g->fd);
	free(g->leaves);
	journal_free(g->journal);
	if (g->dirfd >= 0)
		close(g->dirfd);
	partset_free(&g->have);
	partset_free(&g->asked);
	free(g->path);
	secret_wipe(g, sizeof(*g));
	free(g);
}

int client_get(const struct client_opts *o, const struct url *u, const struct get_opts *go,
	       struct transfer_result *res, struct err *e)
{
	struct get *g = calloc(1, sizeof(*g));
	int r;

	memset(res, 0, sizeof(*res));
	buf_init(&res->receipt, 65536);
	if (g == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	g->go = go;
	g->res = res;
	g->dirfd = g->fd = g->direct = -1;
	g->began = clock_ms();
	if ((r = drive_init(&g->d, &get_drive_ops, o, u, e)) != 0 ||
	    (r = get_open_destination(g, e)) != 0)
		goto out;
	while ((r = attempt(g, e)) != 0) {
		if ((r = call_retry(&g->d.call, r, e)) != 0)
			goto out;
		res->reconnects++;
	}
	res->seconds_received = (double)(clock_ms() - g->began) / 1000;
	if ((r = get_report(g, true)) != 0)
		goto out;
	trail_enter(&g->d.call.trail, PHASE_COMMIT);
	if ((r = get_publish(g, e)) == 0)
		res->seconds = (double)(clock_ms() - g->began) / 1000;
out:
	call_end_transfer(&g->d.call, &trail_get, res, r, e);
	get_clean_up(g, r);
	get_free(g);
	return r;
}
