/* Whole containers cut, edited, extended and mixed: none opens. */
#include "sealed_io.h"

static uint8_t *data;
static size_t cap;

static int setup(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	cap = pqx_part_capacity(PART);
	data = noise(4 * cap);
	return people_new(state);
}

static int teardown(void **state)
{
	free(data);
	return people_free(state);
}

/*
 * The damaged container must not open, from a file or a pipe. What a pipe got
 * before that is a true beginning of the plaintext.
 */
static void refused(const struct bytes *bad)
{
	struct bytes got;

	assert_int_equal(open_simply(bad, FILES, NULL), PQC_EINTEGRITY);
	assert_int_equal(open_simply(bad, PIPES, &got), PQC_EINTEGRITY);
	assert_true(got.n <= 4 * cap);
	assert_memory_equal(got.p, data, got.n);
	free(got.p);
}

/* Of a file whose length is wrong not a byte is written. */
static void nothing_written(const struct bytes *bad)
{
	struct bytes got;

	assert_int_equal(open_simply(bad, FILES, &got), PQC_EINTEGRITY);
	assert_int_equal(got.n, 0);
	free(got.p);
}

/* Like refused, where a wrong key block may also look like one for somebody else. */
static void not_opened(const struct bytes *bad)
{
	int a = open_simply(bad, FILES, NULL), b = open_simply(bad, PIPE_IN, NULL);

	assert_true(a == PQC_EINTEGRITY || a == PQC_ENOKEY || a == PQC_EPASSPHRASE);
	assert_int_equal(a, b);
}

static struct bytes glue(const struct bytes *a, const struct bytes *b)
{
	struct bytes out = {malloc(a->n + b->n), a->n + b->n};

	assert_non_null(out.p);
	memcpy(out.p, a->p, a->n);
	memcpy(out.p + a->n, b->p, b->n);
	return out;
}

static uint8_t *part(const struct bytes *s, size_t i)
{
	return s->p + PQX_BODY_OFFSET + i * PART;
}

static void truncated(void **state)
{
	struct bytes s = seal_simply(data, 2 * cap + 100, alice[1], FILES);
	const size_t keyblock = PQX_HEADER_LEN + 4 + be32_get(s.p + PQX_HEADER_LEN);
	const size_t body = PQX_BODY_OFFSET, last = body + 2 * PART;
	const size_t manifest = last + cob_sealed_len(100);
	const size_t at[] = {0,		  8,	PQX_HEADER_LEN, keyblock, body,		body + 56,
			     body + PART, last, last + 56,	manifest, manifest + 4, s.n - 8,
			     s.n - 4,	  s.n};

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		for (int d = -1; d <= 1; d++) {
			struct bytes cut = {s.p, at[i] + (size_t)d};

			if (cut.n >= s.n) /* at[0] - 1 wraps around */
				continue;
			refused(&cut);
			nothing_written(&cut);
		}
	}
	assert_int_equal(open_simply(&s, PIPES, NULL), 0);
	free(s.p);
}

static void bits_flipped(void **state)
{
	struct bytes s = seal_simply(data, cap + 100, alice[1], FILES);
	uint32_t x = 1;

	(void)state;
	for (int i = 0; i < 400; i++) { /* anywhere */
		size_t bit = (x = x * 1664525 + 1013904223) % (8 * s.n);

		flip(s.p, bit);
		not_opened(&s);
		flip(s.p, bit);
	}
	for (size_t at = 0; at < PQX_HEADER_LEN + 200; at++) { /* each byte of the head's fields */
		flip(s.p, 8 * at + at % 8);
		not_opened(&s);
		flip(s.p, 8 * at + at % 8);
	}
	for (size_t at = s.n - 200; at < s.n;
	     at++) { /* the end of the signature, and the trailer */
		flip(s.p, 8 * at + at % 8);
		refused(&s);
		flip(s.p, 8 * at + at % 8);
	}
	assert_int_equal(open_simply(&s, FILES, NULL), 0);
	free(s.p);
}

static void extended(void **state)
{
	struct bytes s = seal_simply(data, cap + 100, NULL, FILES);
	struct bytes other = seal_simply(data, 100, NULL, FILES), bad;
	uint8_t zeros[PART] = {0};
	const size_t more[] = {1, 7, 8, 9, 4096, PART};

	(void)state;
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		bad = glue(&s, &(struct bytes){zeros, more[i]});
		refused(&bad);
		free(bad.p);
	}
	bad = glue(&s, &other); /* two containers */
	refused(&bad);
	free(bad.p);
	bad = glue(&s, &s); /* twice the same: the last manifest is a good one */
	refused(&bad);
	free(bad.p);
	bad = glue(&s, &(struct bytes){s.p + s.n - 8, 8}); /* a second trailer */
	refused(&bad);
	free(bad.p);
	free(s.p);
	free(other.p);
}

static void parts_moved(void **state)
{
	uint8_t *hold = malloc(PART);

	(void)state;
	assert_non_null(hold);
	for (int via = FILES; via <= PIPE_IN; via++) { /* known and unknown size */
		struct bytes s = seal_simply(data, 4 * cap, alice[1], (enum via)via);
		struct bytes t = seal_simply(data, 4 * cap, alice[1], (enum via)via), cut;

		memcpy(hold, part(&s, 0), PART); /* reordered */
		memcpy(part(&s, 0), part(&s, 1), PART);
		memcpy(part(&s, 1), hold, PART);
		refused(&s);
		memcpy(part(&s, 1), part(&s, 0), PART);
		memcpy(part(&s, 0), hold, PART);
		assert_int_equal(open_simply(&s, FILES, NULL), 0);

		memcpy(hold, part(&s, 2), PART); /* from another file, same plaintext and key */
		memcpy(part(&s, 2), part(&t, 2), PART);
		refused(&s);
		memcpy(part(&s, 2), part(&s, 1), PART); /* duplicated */
		refused(&s);
		memcpy(part(&s, 2), hold, PART);

		cut = (struct bytes){malloc(s.n), s.n - PART}; /* one taken out, first to last */
		for (size_t i = 0; i < 4; i++) {
			memcpy(cut.p, s.p, PQX_BODY_OFFSET + i * PART);
			memcpy(part(&cut, i), part(&s, i + 1),
			       s.n - PQX_BODY_OFFSET - (i + 1) * PART);
			refused(&cut);
			nothing_written(&cut);
		}
		free(cut.p);
		free(s.p);
		free(t.p);
	}
	free(hold);
}

/* A part sealed again under the right key at the right place is not the one that was signed. */
static void part_sealed_again(void **state)
{
	struct bytes s = seal_simply(data, 2 * cap, alice[1], FILES);
	struct aead *a = aead_new();
	struct keyblock *kb = NULL;
	uint8_t leaf[HASH_MAX];
	struct pqx_header h;
	struct pqx_keys k;
	struct bytes got;

	(void)state;
	assert_int_equal(pqx_head_decode(s.p, &h, &kb), 0);
	assert_int_equal(keyblock_open_raw(kb, &h, the_key, &k), 0);
	assert_int_equal(
		pqx_part_seal(a, &h, &k, 1, true, &(struct span){data, cap}, part(&s, 1), leaf), 0);
	assert_int_equal(open_simply(&s, FILES, NULL), PQC_EINTEGRITY);
	assert_int_equal(open_simply(&s, PIPES, &got), PQC_EINTEGRITY); /* but only at the end */
	assert_int_equal(got.n, 2 * cap);
	free(got.p);
	keyblock_free(kb);
	aead_free(a);
	free(s.p);
}

static void pieces_swapped(void **state)
{
	struct bytes s = seal_simply(data, cap, alice[1], FILES);
	struct bytes t = seal_simply(data, cap, alice[1], FILES), u;
	const size_t body = PQX_BODY_OFFSET, manifest = body + PART;

	(void)state;
	assert_int_equal(s.n, t.n);
	u = glue(&(struct bytes){s.p, manifest}, &(struct bytes){t.p + manifest, t.n - manifest});
	refused(&u);
	free(u.p);
	u = glue(&(struct bytes){s.p, body}, &(struct bytes){t.p + body, t.n - body});
	refused(&u);
	free(u.p);
	u = glue(&(struct bytes){s.p, PQX_HEADER_LEN},
		 &(struct bytes){t.p + PQX_HEADER_LEN, t.n - PQX_HEADER_LEN});
	not_opened(&u);
	free(u.p);
	free(s.p);
	free(t.p);
}

static void not_a_container(void **state)
{
	const struct bytes cases[] = {{data, 0}, {data, 100}, {data, 2 * cap}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(&cases[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(truncated),	     cmocka_unit_test(bits_flipped),
		cmocka_unit_test(extended),	     cmocka_unit_test(parts_moved),
		cmocka_unit_test(part_sealed_again), cmocka_unit_test(pieces_swapped),
		cmocka_unit_test(not_a_container),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
