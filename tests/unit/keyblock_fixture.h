/* A key block to play with, for its tests. */
#ifndef PQC_TESTS_KEYBLOCK_FIXTURE_H
#define PQC_TESTS_KEYBLOCK_FIXTURE_H

#include "pqx_fixture.h"

#include "container/keyblock.h"
#include "container/offline.h"

static const struct argon2_params cheap = {8192, 1, 1};
static const uint8_t raw_key[KEY_LEN] = {1, 2, 3};
static const struct kek kek = {.id = "server kek 0001", .version = 7, .key = {9}};

struct file {
	struct pqx_header h;
	struct pqx_keys k;
	struct keyblock *kb;
	struct buf b; /* encoded */
};

static inline void file_new(struct file *f, uint64_t flags)
{
	memset(f, 0, sizeof(*f));
	buf_init(&f->b, PQX_KEYBLOCK_MAX);
	f->h.suite = suite_by_id(SUITE_KYBER768);
	f->h.part_size = PART;
	f->h.flags = flags;
	assert_int_equal(pqx_header_new(&f->h, &f->k), 0);
	f->kb = keyblock_new();
	assert_non_null(f->kb);
}

static inline void file_free(struct file *f)
{
	keyblock_free(f->kb);
	buf_free(&f->b);
}

static inline void encode(struct file *f)
{
	buf_reset(&f->b);
	assert_int_equal(keyblock_encode(f->kb, &f->h, &f->k, &f->b), 0);
}

static inline int decode_raw(const struct file *f, const uint8_t *p, size_t n)
{
	struct keyblock *kb = NULL;
	size_t used;
	int r = keyblock_decode(&f->h, p, n, &kb, &used);

	keyblock_free(kb);
	return r;
}

/* A file with the bytes as they are now: what a key holder gets from it. */
static inline int open_raw(const struct file *f, const uint8_t key[KEY_LEN])
{
	struct keyblock *kb = NULL;
	struct pqx_keys k;
	size_t used;
	int r = keyblock_decode(&f->h, f->b.p, f->b.len, &kb, &used);

	if (r == 0)
		r = keyblock_open_raw(kb, &f->h, key, &k);
	if (r == 0)
		assert_memory_equal(&k, &f->k, sizeof(k));
	keyblock_free(kb);
	return r;
}

static inline int open_identity(const struct file *f, const struct identity *id)
{
	struct keyblock *kb = NULL;
	struct pqx_keys k;
	size_t used;
	int r = keyblock_decode(&f->h, f->b.p, f->b.len, &kb, &used);

	if (r == 0)
		r = keyblock_open_identity(kb, &f->h, id, &k);
	if (r == 0)
		assert_memory_equal(&k, &f->k, sizeof(k));
	keyblock_free(kb);
	return r;
}

static inline void add_alice(struct file *f, unsigned suite)
{
	assert_int_equal(keyblock_add_recipient(f->kb, &f->h, &f->k, identity_public(alice[suite])),
			 0);
}

#endif
