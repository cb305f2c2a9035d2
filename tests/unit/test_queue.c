/* Admission: who is served, in which order, and that nothing is lost on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "server/queue.h"

#define MANY 200

static void name_client(struct queue_entry *e, unsigned client)
{
	memset(e, 0, sizeof(*e));
	memcpy(e->client, &client, sizeof(client));
}

static struct queue *make(unsigned slots, unsigned waiting)
{
	struct queue *q = queue_new(&(struct queue_opts){slots, waiting});

	assert_non_null(q);
	return q;
}

static void test_slots_then_places(void **state)
{
	struct queue *q = make(2, 2);
	struct queue_entry e[5];

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		name_client(&e[i], i);
	for (unsigned i = 0; i < 4; i++)
		assert_true(queue_enter(q, &e[i], NULL, i));
	assert_true(e[0].active && e[1].active && e[2].waiting && e[3].waiting);
	assert_false(queue_enter(q, &e[4], NULL, 4));
	assert_false(e[4].active || e[4].waiting);
	assert_null(queue_next(q, 5));
	assert_int_equal(queue_active(q), 2);
	assert_int_equal(queue_waiting(q), 2);
	queue_leave(q, &e[0], NULL, 6);
	assert_ptr_equal(queue_next(q, 6), &e[2]);
	assert_null(queue_next(q, 6));
	assert_true(queue_enter(q, &e[4], NULL, 7));
	assert_true(e[4].waiting);
	for (unsigned i = 1; i < 5; i++)
		queue_leave(q, &e[i], NULL, 9);
	queue_leave(q, &e[1], NULL, 9); /* once more: nothing */
	assert_int_equal(queue_active(q) + queue_waiting(q), 0);
	queue_free(q);
}

/* A newcomer does not overtake those who wait, also when a slot has just become free. */
static void test_nobody_jumps_in(void **state)
{
	struct queue *q = make(1, 10);
	struct queue_entry a, b, c;

	(void)state;
	name_client(&a, 1);
	name_client(&b, 2);
	name_client(&c, 3);
	assert_true(queue_enter(q, &a, NULL, 0) && queue_enter(q, &b, NULL, 0));
	queue_leave(q, &a, NULL, 1);
	assert_true(queue_enter(q, &c, NULL, 1));
	assert_true(c.waiting);
	assert_ptr_equal(queue_next(q, 1), &b);
	queue_leave(q, &b, NULL, 2);
	assert_ptr_equal(queue_next(q, 2), &c);
	queue_leave(q, &c, NULL, 2);
	queue_free(q);
}

/* One client asks for a hundred at once, then another for one: it waits for a round, not for the hundred. */
static void test_fair_between_clients(void **state)
{
	struct queue *q = make(1, 1000);
	struct queue_entry many[100], one, *next;
	unsigned served = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		name_client(&many[i], 1);
		assert_true(queue_enter(q, &many[i], NULL, 0));
	}
	name_client(&one, 2);
	assert_true(queue_enter(q, &one, NULL, 0));
	queue_leave(q, &many[0], NULL, 1);
	while ((next = queue_next(q, 1)) != &one) {
		assert_non_null(next);
		queue_leave(q, next, NULL, 1);
		served++;
	}
	assert_true(served <= 1);
	queue_leave(q, &one, NULL, 1);
	while ((next = queue_next(q, 1)) != NULL)
		queue_leave(q, next, NULL, 1);
	queue_free(q);
}

/* At any moment the numbers served of clients that always want more differ by at most one. */
static void test_round_robin(void **state)
{
	enum { CLIENTS = 7, EACH = 20 };
	static struct queue_entry e[CLIENTS][EACH];
	unsigned served[CLIENTS] = {0};
	struct queue *q = make(3, CLIENTS * EACH);
	struct queue_entry *active[3] = {NULL}, *next;
	unsigned total = 0;

	(void)state;
	for (unsigned c = 0; c < CLIENTS; c++)
		for (unsigned i = 0; i < EACH; i++) {
			name_client(&e[c][i], c + 1);
			assert_true(queue_enter(q, &e[c][i], NULL, 0));
			if (e[c][i].active) {
				active[total++] = &e[c][i];
				served[c]++;
			}
		}
	for (unsigned k = 0; queue_active(q) > 0; k++) {
		unsigned least = EACH, most = 0;

		if (active[k % 3] == NULL)
			continue;
		queue_leave(q, active[k % 3], NULL, k);
		active[k % 3] = next = queue_next(q, k);
		if (next == NULL)
			continue;
		served[next->client[0] - 1]++;
		total++;
		for (unsigned c = 0; c < CLIENTS; c++) {
			least = served[c] < least ? served[c] : least;
			most = served[c] > most ? served[c] : most;
		}
		/* The first client got the three slots before the others came. */
		assert_true(total < 3 * CLIENTS || most - least <= 1 + 2);
	}
	assert_int_equal(total, CLIENTS * EACH);
	queue_free(q);
}

/* Who gives up leaves no gap, is not charged, and the others move up. */
static void test_vanished(void **state)
{
	struct queue *q = make(1, 10);
	struct queue_entry e[4], again;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		name_client(&e[i], i);
		assert_true(queue_enter(q, &e[i], NULL, 0));
	}
	queue_leave(q, &e[1], NULL, 1);
	assert_int_equal(queue_waiting(q), 2);
	name_client(&again, 1);
	assert_true(queue_enter(q, &again, NULL, 1));
	queue_leave(q, &e[0], NULL, 2);
	assert_ptr_equal(queue_next(q, 2), &e[2]);
	queue_leave(q, &e[2], NULL, 2);
	assert_ptr_equal(queue_next(q, 2), &e[3]);
	queue_leave(q, &e[3], NULL, 2);
	assert_ptr_equal(queue_next(q, 2), &again);
	queue_leave(q, &again, NULL, 2);
	queue_free(q);
}

/* An upload that was under way when its connection broke goes before those who have not begun; once. */
static void test_interrupted_first(void **state)
{
	static const uint8_t file[32] = {42};
	struct queue *q = make(1, 100);
	struct queue_entry a, e[5], back, twice;

	(void)state;
	name_client(&a, 100);
	assert_true(queue_enter(q, &a, file, 0));
	for (unsigned i = 0; i < 5; i++) {
		name_client(&e[i], i);
		assert_true(queue_enter(q, &e[i], NULL, 0));
	}
	queue_leave(q, &a, file, 1);
	assert_ptr_equal(queue_next(q, 1), &e[0]);
	name_client(&back, 100);
	assert_true(queue_enter(q, &back, file, 2));
	name_client(&twice, 100);
	assert_true(queue_enter(q, &twice, file, 2)); /* the place was kept for one */
	queue_leave(q, &e[0], NULL, 3);
	assert_ptr_equal(queue_next(q, 3), &back);
	queue_leave(q, &back, NULL, 3);
	for (unsigned i = 1; i < 5; i++) {
		assert_ptr_equal(queue_next(q, 3), &e[i]);
		queue_leave(q, &e[i], NULL, 3);
	}
	assert_ptr_equal(queue_next(q, 3), &twice);
	queue_leave(q, &twice, NULL, 3);
	queue_free(q);
}

static void note_place(void *arg, struct queue_entry *e)
{
	unsigned *changed = arg;

	assert_true(e->place >= 1);
	(*changed)++;
}

static void test_places_and_estimate(void **state)
{
	struct queue *q = make(2, 100);
	struct queue_entry e[10];
	const struct queue_entry *at = NULL;
	unsigned changed = 0, n = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		name_client(&e[i], i);
		assert_true(queue_enter(q, &e[i], NULL, 100 * i));
	}
	queue_places(q, note_place, &changed);
	assert_int_equal(changed, 8);
	queue_places(q, note_place, &changed);
	assert_int_equal(changed, 8);
	while ((at = queue_walk(q, at)) != NULL)
		assert_int_equal(at->place, ++n);
	assert_int_equal(n, 8);
	assert_int_equal(queue_oldest_ms(q), 200);
	assert_true(queue_estimate_ms(q, 4) == UINT64_MAX);
	queue_leave(q, &e[0], NULL, 4000);
	assert_int_equal(queue_estimate_ms(q, 4), 8000); /* two at a time, 4 s each */
	assert_ptr_equal(queue_next(q, 4000), &e[2]);
	changed = 0;
	queue_places(q, note_place, &changed);
	assert_int_equal(changed, 7);
	for (unsigned i = 1; i < 10; i++)
		queue_leave(q, &e[i], NULL, 5000);
	assert_int_equal(queue_oldest_ms(q), 0);
	queue_free(q);
}

static void test_limits_change(void **state)
{
	struct queue *q = make(1, 10);
	struct queue_entry e[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		name_client(&e[i], i);
		assert_true(queue_enter(q, &e[i], NULL, 0));
	}
	queue_limits(q, &(struct queue_opts){3, 10});
	assert_ptr_equal(queue_next(q, 0), &e[1]);
	assert_ptr_equal(queue_next(q, 0), &e[2]);
	queue_limits(q, &(struct queue_opts){1, 0});
	queue_leave(q, &e[0], NULL, 0);
	assert_null(queue_next(q, 0)); /* two are still there */
	queue_leave(q, &e[1], NULL, 0);
	queue_leave(q, &e[2], NULL, 0);
	assert_ptr_equal(queue_next(q, 0), &e[3]);
	queue_leave(q, &e[3], NULL, 0);
	queue_free(q);
}

/* Random comings and goings against plain facts: never more active than slots, nobody lost, nobody waits while a slot is free. */
static void test_random(void **state)
{
	static struct queue_entry e[MANY];
	struct queue *q = make(10, MANY / 2);
	unsigned active = 0, waiting = 0;

	(void)state;
	srand(1);
	for (unsigned i = 0; i < MANY; i++)
		name_client(&e[i], i % 17);
	for (unsigned round = 0; round < 200000; round++) {
		struct queue_entry *p = &e[(unsigned)rand() % MANY], *next;

		if (p->active || p->waiting) {
			active -= p->active;
			waiting -= p->waiting;
			queue_leave(q, p, rand() % 2 ? (const uint8_t *)p->client : NULL, round);
		} else if (queue_enter(q, p, rand() % 2 ? (const uint8_t *)p->client : NULL,
				       round)) {
			active += p->active;
			waiting += p->waiting;
		} else {
			assert_int_equal(waiting, MANY / 2);
		}
		while ((next = queue_next(q, round)) != NULL) {
			assert_true(next->active && !next->waiting);
			active++;
			waiting--;
		}
		assert_int_equal(queue_active(q), active);
		assert_int_equal(queue_waiting(q), waiting);
		assert_true(active <= 10 && (waiting == 0 || active == 10));
	}
	for (unsigned i = 0; i < MANY; i++)
		queue_leave(q, &e[i], NULL, 0);
	queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots_then_places),
		cmocka_unit_test(test_nobody_jumps_in),
		cmocka_unit_test(test_fair_between_clients),
		cmocka_unit_test(test_round_robin),
		cmocka_unit_test(test_vanished),
		cmocka_unit_test(test_interrupted_first),
		cmocka_unit_test(test_places_and_estimate),
		cmocka_unit_test(test_limits_change),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
