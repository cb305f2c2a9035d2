#include "protocol/receiver.h"

#include <stdlib.h>

struct receiver {
	const struct pqx_header *header;
	uint32_t handle, window;
	uint64_t parts, final_len; /* 0: not known yet */
	uint64_t sequence;	   /* of the next frame */
	struct partset way;	   /* accepted or held; holds received, which holds durable */
	struct partset received, durable;
	struct partset fresh; /* received since the last ACK */
	uint64_t told;	      /* the watermark of the last ACK */
	struct buf wire;      /* ranges of the last ACK */
	bool committed;
};

/* The highest part number of a set plus one. */
static uint64_t set_end(const struct partset *s)
{
	return s->n > 0 ? s->r[s->n - 1].first + s->r[s->n - 1].count : 0;
}

/* Number of parts and length of the last, when the header says the size. */
static int learn_size(struct receiver *r)
{
	const struct pqx_header *h = r->header;

	if (h->plain_size == PQX_SIZE_UNKNOWN)
		return 0;
	if (pqx_part_count(h->part_size, h->plain_size, &r->parts) != 0)
		return PQC_EINTEGRITY;
	r->final_len =
		pqx_body_len(h->part_size, h->plain_size) - (r->parts - 1) * (uint64_t)h->part_size;
	return 0;
}

int receiver_new(struct receiver **out, const struct receiver_opts *o)
{
	struct receiver *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return PQC_ENOMEM;
	r->header = o->header;
	r->handle = o->handle;
	r->window = o->window;
	buf_init(&r->wire, PARTSET_MAX * sizeof(struct partrange));
	if ((rc = learn_size(r)) != 0)
		goto out;
	rc = PQC_EINTEGRITY;
	if (set_end(o->held) > (r->parts ? r->parts : PQX_PARTS_MAX))
		goto out;
	if ((rc = partset_copy(&r->way, o->held)) != 0 ||
	    (rc = partset_copy(&r->received, o->held)) != 0 ||
	    (rc = partset_copy(&r->durable, o->held)) != 0)
		goto out;
	r->told = partset_next_missing(&r->durable, 0);
	*out = r;
	r = NULL; /* transferred */
out:
	receiver_free(r);
	return rc;
}

void receiver_free(struct receiver *r)
{
	if (!r)
		return;
	partset_free(&r->way);
	partset_free(&r->received);
	partset_free(&r->durable);
	partset_free(&r->fresh);
	buf_free(&r->wire);
	free(r);
}

/* May this be the length of the last part of a stream (docs/container.md, "Parts")? */
static bool final_length_ok(const struct receiver *r, const struct frame *f)
{
	size_t plain;

	if (cob_opened_len(f->length, &plain) != 0 ||
	    plain > pqx_part_capacity(r->header->part_size))
		return false;
	return plain > 0 || f->part == 0;
}

static int check_final(const struct receiver *r, const struct frame *f, struct err *e)
{
	if (r->parts && f->part != r->parts - 1)
		return err_set(e, PQC_EPROTO, "part %llu is not the final one",
			       (unsigned long long)f->part);
	if (!r->parts && set_end(&r->way) > f->part + 1)
		return err_set(e, PQC_EPROTO, "part %llu cannot be the final one",
			       (unsigned long long)f->part);
	if (r->final_len ? f->length != r->final_len : !final_length_ok(r, f))
		return err_set(e, PQC_EPROTO, "the final part cannot be %u bytes long", f->length);
	return 0;
}

static int check_part(const struct receiver *r, const struct frame *f, struct err *e)
{
	uint64_t lowest = partset_next_missing(&r->received, 0);
	uint64_t parts = r->parts ? r->parts : PQX_PARTS_MAX;

	if (f->part >= parts)
		return err_set(e, PQC_EPROTO, "part %llu of %llu", (unsigned long long)f->part,
			       (unsigned long long)parts);
	if (f->part >= lowest + r->window)
		return err_set(e, PQC_EPROTO, "part %llu is outside the window of %u from %llu",
			       (unsigned long long)f->part, r->window, (unsigned long long)lowest);
	if (f->flags & FRAME_FINAL)
		return check_final(r, f, e);
	if (r->parts && f->part == r->parts - 1)
		return err_set(e, PQC_EPROTO, "the final part is not marked as such");
	if (f->length != r->header->part_size)
		return err_set(e, PQC_EPROTO, "part %llu is %u bytes long, expected %u",
			       (unsigned long long)f->part, f->length, r->header->part_size);
	return 0;
}

int receiver_accept(struct receiver *r, const struct frame *f, bool *known, struct err *e)
{
	bool on_its_way;
	int rc;

	if (r->committed)
		return err_set(e, PQC_EPROTO, "a part after COMMIT");
	if (f->handle != r->handle)
		return err_set(e, PQC_EPROTO, "handle %u, expected %u", f->handle, r->handle);
	if (f->sequence != r->sequence)
		return err_set(e, PQC_EPROTO, "frame %llu, expected %llu",
			       (unsigned long long)f->sequence, (unsigned long long)r->sequence);
	if ((rc = check_part(r, f, e)) != 0)
		return rc;
	on_its_way = partset_has(&r->way, f->part);
	if ((rc = partset_add(&r->way, f->part, 1)) != 0)
		return err_set(e, rc, "part %llu cannot be noted", (unsigned long long)f->part);
	if (f->flags & FRAME_FINAL) {
		r->parts = f->part + 1;
		r->final_len = f->length;
	}
	r->sequence++;
	*known = on_its_way;
	return 0;
}

int receiver_received(struct receiver *r, uint64_t part)
{
	int rc;

	if (!partset_has(&r->way, part) || partset_has(&r->received, part))
		return PQC_EFAIL;
	if ((rc = partset_add(&r->fresh, part, 1)) != 0)
		return rc;
	return partset_add(&r->received, part, 1);
}

int receiver_durable(struct receiver *r, uint64_t part)
{
	if (!partset_has(&r->received, part))
		return PQC_EFAIL;
	return partset_add(&r->durable, part, 1);
}

int receiver_commit(struct receiver *r, uint64_t n, struct err *e)
{
	if (r->committed)
		return err_set(e, PQC_EPROTO, "a second COMMIT");
	if (n == 0 || n > PQX_PARTS_MAX || (r->parts && n != r->parts) || set_end(&r->way) > n)
		return err_set(e, PQC_EPROTO, "COMMIT of %llu parts, which are not those sent",
			       (unsigned long long)n);
	if (!partset_covers(&r->way, 0, n))
		return err_set(e, PQC_EPROTO, "COMMIT before part %llu was sent",
			       (unsigned long long)partset_next_missing(&r->way, 0));
	r->parts = n;
	r->committed = true;
	return 0;
}

bool receiver_ack(struct receiver *r, struct msg *ack)
{
	uint64_t durable = partset_next_missing(&r->durable, 0);

	if (r->fresh.n == 0 && durable == r->told)
		return false;
	buf_reset(&r->wire);
	partset_encode(&r->fresh, &r->wire);
	if (buf_error(&r->wire) != 0)
		return false; /* no memory: they stay to be told */
	*ack = (struct msg){
		.type = MSG_ACK,
		.has = msg_bit(TAG_RANGES) | msg_bit(TAG_DURABLE),
		.ranges = {r->wire.p, r->wire.len},
		.durable = durable,
	};
	partset_clear(&r->fresh);
	r->told = durable;
	return true;
}

uint64_t receiver_parts(const struct receiver *r)
{
	return r->parts;
}

bool receiver_complete(const struct receiver *r)
{
	return r->parts > 0 && partset_covers(&r->durable, 0, r->parts);
}

const struct partset *receiver_held(const struct receiver *r)
{
	return &r->durable;
}
