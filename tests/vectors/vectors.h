/*
 * Running the test vectors of others: files beside the checkout, found through
 * PQC_VECTORS, never copied into the project. Every vector is either exercised
 * or counted as out of the API's range; a file of which none ran fails.
 */
#ifndef PQC_TESTS_VECTORS_H
#define PQC_TESTS_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include <jansson.h>

#include "crypto/kdf.h"

/* What a vector came to: NULL is good, this is "not for this API", all else says what is wrong. */
static const char out_of_range[] = "out of range";

/* Bytes of the vector at hand; freed after it. */
struct arena {
	void *p[32];
	size_t n;
};

static inline void *arena_get(struct arena *a, size_t n)
{
	void *p = calloc(1, n + 1);

	assert_non_null(p);
	assert_true(a->n < sizeof a->p / sizeof a->p[0]);
	a->p[a->n++] = p;
	return p;
}

static inline void arena_clear(struct arena *a)
{
	while (a->n > 0)
		free(a->p[--a->n]);
}

struct vector {
	const json_t *group, *test;
	struct arena *arena;
};
typedef const char *(*vector_check)(const struct vector *v);

static inline struct span hex_span(const struct vector *v, const char *hex)
{
	size_t n = strlen(hex) / 2;
	uint8_t *p = arena_get(v->arena, n);

	if (hex_decode(hex, p, n) != 0)
		fail_msg("not hex: %.40s", hex);
	return (struct span){p, n};
}

/* A hex field of the test; absent: NULL and 0. */
static inline struct span field(const struct vector *v, const char *name)
{
	const char *hex = json_string_value(json_object_get(v->test, name));

	return hex != NULL ? hex_span(v, hex) : (struct span){NULL, 0};
}

static inline struct span group_field(const struct vector *v, const char *name)
{
	const char *hex = json_string_value(json_object_get(v->group, name));

	return hex != NULL ? hex_span(v, hex) : (struct span){NULL, 0};
}

static inline bool result_is(const struct vector *v, const char *result)
{
	return strcmp(json_string_value(json_object_get(v->test, "result")), result) == 0;
}

static inline long long group_number(const struct vector *v, const char *name)
{
	return (long long)json_integer_value(json_object_get(v->group, name));
}

static inline bool same(const void *p, struct span want)
{
	return want.n == 0 || memcmp(p, want.p, want.n) == 0;
}

/* The path of a vector file; skips the test when it is not there. */
static inline void vector_path(const char *name, char path[512])
{
	const char *dir = getenv("PQC_VECTORS");

	(void)snprintf(path, 512, "%s/%s", dir != NULL ? dir : "../shared/vectors", name);
	if (access(path, R_OK) == 0)
		return;
	print_message("SKIPPED: no test vectors at %s (set PQC_VECTORS)\n", path);
	skip();
}

static inline json_t *load_vectors(const char *name)
{
	char path[512];
	json_error_t e;
	json_t *root;

	vector_path(name, path);
	root = json_load_file(path, 0, &e);
	if (root == NULL)
		fail_msg("%s:%d: %s", path, e.line, e.text);
	return root;
}

struct tally {
	size_t ran, other;
};

static inline void tally_add(struct tally *t, const char *name, long long id, const char *verdict)
{
	if (verdict == out_of_range)
		t->other++;
	else if (verdict != NULL)
		fail_msg("%s, vector %lld: %s", name, id, verdict);
	else
		t->ran++;
}

static inline void tally_end(const struct tally *t, const char *name)
{
	print_message("%s: %zu vectors ran, %zu are out of the API's range\n", name, t->ran,
		      t->other);
	assert_true(t->ran > 0);
}

/* Check every test of every group of a Wycheproof file. */
static inline void run_wycheproof(const char *name, vector_check check)
{
	json_t *root = load_vectors(name);
	struct arena arena = {.n = 0};
	struct tally t = {0, 0};
	json_t *group, *test;
	size_t i, j, said;

	json_array_foreach(json_object_get(root, "testGroups"), i, group)
	{
		json_array_foreach(json_object_get(group, "tests"), j, test)
		{
			const struct vector v = {group, test, &arena};

			tally_add(&t, name, json_integer_value(json_object_get(test, "tcId")),
				  check(&v));
			arena_clear(&arena);
		}
	}
	tally_end(&t, name);
	said = (size_t)json_integer_value(json_object_get(root, "numberOfTests"));
	assert_int_equal(t.ran + t.other, said);
	json_decref(root);
}

#endif
