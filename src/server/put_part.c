/*
 * The parts of a put, as they come: each into a page-aligned buffer, then to a worker that unmasks,
 * hashes, checks and writes it.
 *
 * A put has one buffer of its own and more from those that all share. It receives into its own when that is
 * free: so who sends slowly never holds a buffer that somebody else could use, and when the shared ones
 * are all taken everybody still gets on with one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "container/part.h"
#include "server/put_impl.h"

#define SLOT_ALIGN 4096

/* ---- buffers ---- */

struct parts {
	uint64_t budget, used; /* bytes */
	size_t count;
	struct {
		uint8_t *p;
		size_t size;
	} spare[64]; /* not in use now, and touched already: the first touch of memory is slow */
};

struct parts *parts_new(uint64_t budget)
{
	struct parts *b = calloc(1, sizeof(*b));

	if (b != NULL)
		b->budget = budget;
	return b;
}

void parts_free(struct parts *b)
{
	if (b == NULL)
		return;
	while (b->count > 0)
		free(b->spare[--b->count].p);
	free(b);
}

static void drop_spare(struct parts *b, size_t i)
{
	free(b->spare[i].p);
	b->used -= b->spare[i].size;
	b->spare[i] = b->spare[--b->count];
}

static uint8_t *take_buffer(struct parts *b, size_t size)
{
	uint8_t *p;

	for (size_t i = b->count; i-- > 0;)
		if (b->spare[i].size == size) {
			p = b->spare[i].p;
			b->spare[i] = b->spare[--b->count];
			return p;
		}
	while (b->used + size > b->budget && b->count > 0)
		drop_spare(b, b->count - 1);
	if (b->used + size > b->budget || (p = aligned_alloc(SLOT_ALIGN, size)) == NULL)
		return NULL;
	b->used += size;
	return p;
}

static void give_back(struct parts *b, uint8_t *p, size_t size)
{
	if (b->count == sizeof(b->spare) / sizeof(b->spare[0]))
		drop_spare(b, 0);
	b->spare[b->count].p = p;
	b->spare[b->count++].size = size;
}

static size_t buffer_size(const struct put *p)
{
	return (size_t)upload_header(p->up)->part_size + SLOT_ALIGN;
}

static void release(struct put *p, struct slot *s)
{
	s->busy = false;
	if (s == p->slot || s->p == NULL)
		return;
	give_back(p->srv->parts, s->p, buffer_size(p));
	s->p = NULL;
}

int slots_init(struct put *p)
{
	for (int i = 0; i < SLOTS; i++)
		p->slot[i].put = p;
	p->slot[0].p = aligned_alloc(SLOT_ALIGN, buffer_size(p));
	return p->slot[0].p != NULL ? 0 : PQC_ENOMEM;
}

void slots_free(struct put *p)
{
	for (int i = 1; i < SLOTS; i++)
		release(p, &p->slot[i]);
	free(p->slot[0].p);
}

/* The first that is free and has, or gets, a buffer; NULL: not now. */
static struct slot *free_slot(struct put *p)
{
	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &p->slot[i];

		if (s->busy)
			continue;
		if (s->p == NULL)
			s->p = take_buffer(p->srv->parts, buffer_size(p));
		return s->p != NULL ? s : NULL;
	}
	return NULL;
}

/* ---- on a worker ---- */

static void slot_run(struct job *j)
{
	struct slot *s = (struct slot *)j;
	struct put *p = s->put;
	const struct suite *suite = upload_header(p->up)->suite;
	struct span part = {s->p, s->f.length};
	struct aead *a = p->srv->aead[j->worker];

	s->began = clock_ns();
	ws_mask(s->p, s->f.length + AEAD_TAG, s->mask, WS_DATA_HEAD);
	s->rc = pqx_leaf(suite, s->f.part, &part, s->leaf);
	if (s->rc == 0)
		s->rc = session_frame_check(p->session, a, s->head, s->leaf, suite->hash_len,
					    s->p + s->f.length);
	if (s->rc == PQC_EPROTO) {
		s->refused = M_PART_TAG;
		s->rc = err_set(&s->e, PQC_EPROTO, "part %llu: wrong frame tag",
				(unsigned long long)s->f.part);
	}
	s->verified = s->written = clock_ns();
	if (s->rc != 0 || s->known)
		return;
	s->rc = upload_write(p->up, s->f.part, s->p, s->f.length, &s->e);
	s->written = clock_ns();
	if (s->rc != 0)
		s->refused = s->rc == PQC_EQUOTA ? M_PART_NO_SPACE : M_PART_STORE;
}

/* ---- and back on the loop ---- */

/* A part we hold already came again: it must be the same. */
static int check_known(struct put *p, struct slot *s)
{
	const struct batch *b[2] = {p->fill, p->flushing};
	size_t hl = put_hash_len(p);
	const uint8_t *held = NULL;
	uint8_t leaf[HASH_MAX];

	metric_add(&p->srv->metrics, M_PARTS_KNOWN, 1);
	for (int k = 0; k < 2; k++)
		for (size_t i = 0; b[k] != NULL && i < b[k]->count; i++)
			if (b[k]->part[i] == s->f.part)
				held = b[k]->leaf + i * hl;
	if (held == NULL && upload_leaf(p->up, s->f.part, leaf) == 0)
		held = leaf;
	if (held != NULL && memcmp(held, s->leaf, hl) == 0)
		return 0;
	s->refused = M_PART_MISMATCH;
	return err_set(&s->e, PQC_EPROTO, "part %llu is held already and was other bytes",
		       (unsigned long long)s->f.part);
}

static void observe(struct put *p, const struct slot *s)
{
	struct metrics *m = &p->srv->metrics;
	uint64_t verify = s->verified - s->began, write = s->written - s->verified;

	metric_time(m, M_ACT_VERIFY, verify);
	histo_observe(m, H_PART_VERIFY, (double)verify / 1e9, NULL);
	if (s->written > s->verified) {
		metric_time(m, M_ACT_WRITE, write);
		histo_observe(m, H_PART_WRITE, (double)write / 1e9, NULL);
	}
	if (p->c == NULL)
		return;
	busy_add(&p->c->t.verify, s->began, s->verified);
	if (s->written > s->verified)
		busy_add(&p->c->t.write, s->verified, s->written);
}

static int take_part(struct put *p, const struct slot *s)
{
	struct metrics *m = &p->srv->metrics;
	struct batch *b = p->fill;
	size_t hl = put_hash_len(p);

	if (b->count == 0)
		b->since = clock_ms();
	b->part[b->count] = s->f.part;
	memcpy(b->leaf + b->count * hl, s->leaf, hl);
	b->count++;
	b->bytes += s->f.length;
	p->bytes_in += s->f.length;
	if (p->c != NULL)
		p->c->t.bytes += s->f.length;
	metric_add(m, M_PARTS_IN, 1);
	metric_add(m, M_BYTES_IN, s->f.length);
	return receiver_received(p->rx, s->f.part);
}

static void slot_done(struct job *j)
{
	struct slot *s = (struct slot *)j;
	struct put *p = s->put;

	p->busy--;
	observe(p, s);
	if (s->rc == 0)
		s->rc = s->known ? check_known(p, s) : take_part(p, s);
	if (s->refused != 0)
		metric_add(&p->srv->metrics, s->refused, 1);
	release(p, s);
	if (s->rc != 0 && !p->failed)
		put_fail(p, s->rc, s->e.msg[0] != '\0' ? s->e.msg : err_meaning(s->rc));
	put_advance(p);
	put_settle(p);
}

/* ---- receiving ---- */

int put_too_large(struct put *p, uint64_t size, struct err *e)
{
	p->hopeless = put_is_stream(p);
	metric_add(&p->srv->metrics, M_QUOTA_SIZE, 1);
	return err_set(e, PQC_EQUOTA, "%llu bytes are more than this server takes (%llu)",
		       (unsigned long long)size, (unsigned long long)p->srv->o.max_size);
}

/* What a stream comes to at least with this part: only COMMIT tells its size. */
static uint64_t size_with(const struct put *p, uint64_t part)
{
	return part == 0 ? 0 : part * pqx_part_capacity(upload_header(p->up)->part_size) + 1;
}

static int refuse(struct put *p, enum metric reason, int rc)
{
	metric_add(&p->srv->metrics, reason, 1);
	return rc;
}

int put_take(struct conn *c, const struct ws_event *ev, uint8_t **into, struct err *e)
{
	struct put *p = c->state;
	struct slot *s;
	struct frame f;
	int r;

	if (frame_decode(ev->head, &f) != 0 || ev->n != (size_t)f.length + AEAD_TAG)
		return refuse(p, M_PART_MALFORMED,
			      err_set(e, PQC_EPROTO, "malformed frame header"));
	for (int i = 0; i < SLOTS; i++)
		if (p->slot[i].busy && p->slot[i].f.part == f.part)
			return 0; /* twice in a row: the first has to be recorded before it is compared */
	if (p->fill->count + p->busy >= BATCH_MAX || (s = free_slot(p)) == NULL)
		return 0;
	if ((r = receiver_accept(p->rx, &f, &s->known, e)) != 0)
		r = refuse(p, M_PART_MALFORMED, r);
	else if (size_with(p, f.part) > p->srv->o.max_size)
		r = refuse(p, M_PART_TOO_LARGE, put_too_large(p, size_with(p, f.part), e));
	if (r != 0) {
		release(p, s);
		return r;
	}
	s->busy = true;
	s->f = f;
	s->e.msg[0] = '\0';
	s->refused = 0;
	memcpy(s->head, ev->head, FRAME_LEN);
	memcpy(s->mask, ev->mask, sizeof(s->mask));
	p->filling = s;
	*into = s->p;
	return 0;
}

int put_take_end(struct conn *c, struct err *e)
{
	struct put *p = c->state;
	struct slot *s = p->filling;

	(void)e;
	p->filling = NULL;
	p->busy++;
	s->job = (struct job){.run = slot_run, .done = slot_done};
	pool_submit(p->srv->cpu, &s->job);
	return 0;
}
