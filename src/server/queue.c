#include "server/queue.h"

#include <stdlib.h>
#include <string.h>

#define CLIENTS_MIN 64
#define REMEMBERED  256 /* interrupted transfers whose tag is kept */
#define HOLD_SMOOTH 8	/* weight of what was known of how long transfers take, against a new one */

/* A client whose last tag is ahead of the virtual time; others need not be known. */
struct client_tag {
	uint8_t id[ID_LEN];
	uint64_t next; /* the earliest tag of its next request */
};

struct interrupted {
	uint8_t what[32];
	uint64_t tag, order;
	bool used;
};

struct queue {
	struct queue_opts o;
	struct queue_entry *first, *last; /* by tag, then order */
	unsigned active, waiting;
	uint64_t virtual_time, order;
	uint64_t hold_ms; /* smoothed; 0: nothing finished yet */
	struct client_tag *clients;
	size_t client_count, client_room;
	struct interrupted interrupted[REMEMBERED];
	size_t interrupted_next;
};

struct queue *queue_new(const struct queue_opts *o)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (q != NULL)
		q->o = *o;
	return q;
}

void queue_free(struct queue *q)
{
	if (q == NULL)
		return;
	free(q->clients);
	free(q);
}

void queue_limits(struct queue *q, const struct queue_opts *o)
{
	q->o = *o;
}

/* ---- tags ---- */

static void forget_the_past(struct queue *q)
{
	size_t kept = 0;

	for (size_t i = 0; i < q->client_count; i++)
		if (q->clients[i].next > q->virtual_time)
			q->clients[kept++] = q->clients[i];
	q->client_count = kept;
}

static struct client_tag *find_client(struct queue *q, const uint8_t id[ID_LEN])
{
	for (size_t i = 0; i < q->client_count; i++)
		if (memcmp(q->clients[i].id, id, ID_LEN) == 0)
			return &q->clients[i];
	return NULL;
}

static struct client_tag *add_client(struct queue *q, const uint8_t id[ID_LEN])
{
	struct client_tag *c;

	if (q->client_count == q->client_room)
		forget_the_past(q);
	if (q->client_count == q->client_room) {
		size_t room = q->client_room == 0 ? CLIENTS_MIN : 2 * q->client_room;

		if ((c = realloc(q->clients, room * sizeof(*c))) == NULL)
			return NULL;
		q->clients = c;
		q->client_room = room;
	}
	c = &q->clients[q->client_count++];
	memcpy(c->id, id, ID_LEN);
	c->next = q->virtual_time;
	return c;
}

static uint64_t new_tag(struct queue *q, const uint8_t id[ID_LEN])
{
	struct client_tag *c = find_client(q, id);
	uint64_t tag;

	/* Without memory to know the client by it is served like one that asks for the first time. */
	if (c == NULL && (c = add_client(q, id)) == NULL)
		return q->virtual_time;
	tag = c->next > q->virtual_time ? c->next : q->virtual_time;
	c->next = tag + 1;
	return tag;
}

static bool recall(struct queue *q, const uint8_t *what, struct queue_entry *e)
{
	for (size_t i = 0; what != NULL && i < REMEMBERED; i++) {
		struct interrupted *p = &q->interrupted[i];

		if (!p->used || memcmp(p->what, what, sizeof(p->what)) != 0)
			continue;
		e->tag = p->tag;
		e->order = p->order;
		p->used = false;
		return true;
	}
	return false;
}

static void remember(struct queue *q, const uint8_t *what, const struct queue_entry *e)
{
	struct interrupted *p = &q->interrupted[q->interrupted_next++ % REMEMBERED];

	memcpy(p->what, what, sizeof(p->what));
	p->tag = e->tag;
	p->order = e->order;
	p->used = true;
}

/* ---- the list ---- */

static bool before(const struct queue_entry *a, const struct queue_entry *b)
{
	return a->tag != b->tag ? a->tag < b->tag : a->order < b->order;
}

static void link_entry(struct queue *q, struct queue_entry *e)
{
	struct queue_entry *at = q->last; /* e goes behind it */

	while (at != NULL && before(e, at))
		at = at->prev;
	e->prev = at;
	e->next = at != NULL ? at->next : q->first;
	if (e->next != NULL)
		e->next->prev = e;
	else
		q->last = e;
	if (at != NULL)
		at->next = e;
	else
		q->first = e;
	e->waiting = true;
	q->waiting++;
}

static void unlink_entry(struct queue *q, struct queue_entry *e)
{
	if (e->prev != NULL)
		e->prev->next = e->next;
	else
		q->first = e->next;
	if (e->next != NULL)
		e->next->prev = e->prev;
	else
		q->last = e->prev;
	e->prev = e->next = NULL;
	e->waiting = false;
	q->waiting--;
}

static void activate(struct queue *q, struct queue_entry *e, uint64_t now_ms)
{
	if (e->tag > q->virtual_time)
		q->virtual_time = e->tag;
	e->active = true;
	e->since_ms = now_ms;
	q->active++;
}

bool queue_enter(struct queue *q, struct queue_entry *e, const uint8_t *again, uint64_t now_ms)
{
	bool at_once = q->active < q->o.slots && q->first == NULL;

	if (!at_once && q->waiting >= q->o.waiting_max)
		return false;
	if (!recall(q, again, e)) {
		e->tag = new_tag(q, e->client);
		e->order = q->order++;
	}
	e->since_ms = now_ms;
	e->place = 0;
	if (at_once)
		activate(q, e, now_ms);
	else
		link_entry(q, e);
	return true;
}

struct queue_entry *queue_next(struct queue *q, uint64_t now_ms)
{
	struct queue_entry *e = q->first;

	if (e == NULL || q->active >= q->o.slots)
		return NULL;
	unlink_entry(q, e);
	activate(q, e, now_ms);
	return e;
}

void queue_leave(struct queue *q, struct queue_entry *e, const uint8_t *again, uint64_t now_ms)
{
	uint64_t held = now_ms - e->since_ms;

	if (e->waiting) {
		struct client_tag *c = find_client(q, e->client);

		unlink_entry(q, e);
		if (c != NULL && c->next == e->tag + 1)
			c->next = e->tag; /* not served, so not charged */
	}
	if (!e->active)
		return;
	e->active = false;
	q->active--;
	if (again != NULL)
		remember(q, again, e);
	held = held == 0 ? 1 : held;
	q->hold_ms = q->hold_ms == 0 ? held
				     : (q->hold_ms * (HOLD_SMOOTH - 1) + held + HOLD_SMOOTH - 1) /
					       HOLD_SMOOTH;
}

/* ---- looking ---- */

unsigned queue_active(const struct queue *q)
{
	return q->active;
}

unsigned queue_waiting(const struct queue *q)
{
	return q->waiting;
}

unsigned queue_slots(const struct queue *q)
{
	return q->o.slots;
}

uint64_t queue_oldest_ms(const struct queue *q)
{
	uint64_t oldest = 0;

	for (const struct queue_entry *e = q->first; e != NULL; e = e->next)
		if (oldest == 0 || e->since_ms < oldest)
			oldest = e->since_ms;
	return oldest;
}

void queue_places(struct queue *q, void (*each)(void *arg, struct queue_entry *e), void *arg)
{
	uint32_t place = 0;

	for (struct queue_entry *e = q->first; e != NULL; e = e->next) {
		if (e->place == ++place)
			continue;
		e->place = place;
		each(arg, e);
	}
}

struct queue_entry *queue_walk(const struct queue *q, const struct queue_entry *after)
{
	return after == NULL ? q->first : after->next;
}

uint64_t queue_estimate_ms(const struct queue *q, uint32_t place)
{
	if (q->hold_ms == 0 || q->o.slots == 0)
		return UINT64_MAX;
	return q->hold_ms * place / q->o.slots;
}
