#include "protocol/sender.h"

#include <stdlib.h>

#include "container/header.h"

struct sender {
	uint64_t parts; /* 0: not known yet */
	uint64_t sequence;
	uint64_t durable;
	uint32_t window;
	struct partset sent; /* on this connection, or held; holds received */
	struct partset received;
};

int sender_new(struct sender **out, uint64_t n)
{
	struct sender *s = calloc(1, sizeof(*s));

	if (!s)
		return PQC_ENOMEM;
	s->parts = n;
	*out = s;
	return 0;
}

void sender_free(struct sender *s)
{
	if (!s)
		return;
	partset_free(&s->sent);
	partset_free(&s->received);
	free(s);
}

static uint64_t parts_at_most(const struct sender *s)
{
	return s->parts ? s->parts : PQX_PARTS_MAX;
}

int sender_connected(struct sender *s, const struct partset *held, uint32_t window)
{
	const struct partrange *last = held->n > 0 ? &held->r[held->n - 1] : NULL;
	int r;

	if (window == 0 || !partset_covers(held, 0, s->durable))
		return PQC_EPROTO;
	if (last && last->first + last->count > parts_at_most(s))
		return PQC_EPROTO;
	if ((r = partset_copy(&s->received, held)) != 0 || (r = partset_copy(&s->sent, held)) != 0)
		return r;
	s->durable = partset_next_missing(held, 0);
	s->sequence = 0;
	s->window = window;
	return 0;
}

int sender_peek(const struct sender *s, uint64_t *part)
{
	uint64_t next = partset_next_missing(&s->sent, 0);

	if (next >= parts_at_most(s))
		return PQC_ENOTFOUND;
	/* The server counts from its own lowest part, which is never below the one we know of. */
	if (next >= partset_next_missing(&s->received, 0) + s->window)
		return PQC_EAGAIN;
	*part = next;
	return 0;
}

int sender_next(struct sender *s, uint64_t *part, uint64_t *sequence)
{
	uint64_t next;
	int r;

	if ((r = sender_peek(s, &next)) != 0 || (r = partset_add(&s->sent, next, 1)) != 0)
		return r;
	*part = next;
	*sequence = s->sequence++;
	return 0;
}

void sender_set_parts(struct sender *s, uint64_t n)
{
	s->parts = n;
}

/* May the ACK say this? Nothing is changed until all of it was checked. */
static int check_ack(const struct sender *s, const struct partset *ranges)
{
	for (size_t i = 0; i < ranges->n; i++)
		if (!partset_covers(&s->sent, ranges->r[i].first, ranges->r[i].count))
			return PQC_EPROTO;
	return 0;
}

int sender_acked(struct sender *s, const struct msg *ack)
{
	struct partset ranges = PARTSET_INIT, received = PARTSET_INIT;
	int r;

	if (ack->type != MSG_ACK || ack->durable < s->durable)
		return PQC_EPROTO;
	if ((r = partset_decode(ack->ranges.p, ack->ranges.n, &ranges)) != 0 ||
	    (r = check_ack(s, &ranges)) != 0 || (r = partset_copy(&received, &s->received)) != 0)
		goto out;
	for (size_t i = 0; i < ranges.n && r == 0; i++)
		r = partset_add(&received, ranges.r[i].first, ranges.r[i].count);
	if (r == 0 && !partset_covers(&received, 0, ack->durable))
		r = PQC_EPROTO; /* durable, but never received */
	if (r != 0)
		goto out;
	partset_free(&s->received);
	s->received = received;
	received = (struct partset)PARTSET_INIT; /* transferred */
	s->durable = ack->durable;
out:
	partset_free(&ranges);
	partset_free(&received);
	return r;
}

uint64_t sender_durable(const struct sender *s)
{
	return s->durable;
}

uint64_t sender_received(const struct sender *s)
{
	return partset_count(&s->received);
}

bool sender_all_sent(const struct sender *s)
{
	return s->parts > 0 && partset_covers(&s->sent, 0, s->parts);
}
