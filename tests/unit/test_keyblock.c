/* docs/container.md, "Key block": every kind of stanza, every rule, every edit. */
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

static void file_new(struct file *f, uint64_t flags)
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

static void file_free(struct file *f)
{
	keyblock_free(f->kb);
	buf_free(&f->b);
}

static void encode(struct file *f)
{
	buf_reset(&f->b);
	assert_int_equal(keyblock_encode(f->kb, &f->h, &f->k, &f->b), 0);
}

static int decode_raw(const struct file *f, const uint8_t *p, size_t n)
{
	struct keyblock *kb = NULL;
	size_t used;
	int r = keyblock_decode(&f->h, p, n, &kb, &used);

	keyblock_free(kb);
	return r;
}

/* A file with the bytes as they are now: what a key holder gets from it. */
static int open_raw(const struct file *f, const uint8_t key[KEY_LEN])
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

static int open_identity(const struct file *f, const struct identity *id)
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

static void add_alice(struct file *f, unsigned suite)
{
	assert_int_equal(keyblock_add_recipient(f->kb, &f->h, &f->k, identity_public(alice[suite])),
			 0);
}

static void recipients(void **state)
{
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	add_alice(&f, 1);
	add_alice(&f, 2); /* the stanza's type need not match the file's suite */
	assert_int_equal(keyblock_add_recipient(f.kb, &f.h, &f.k, identity_public(bob[1])), 0);
	encode(&f);
	assert_int_equal(keyblock_generation(f.kb), 1);
	assert_int_equal(open_identity(&f, alice[1]), 0);
	assert_int_equal(open_identity(&f, alice[2]), 0);
	assert_int_equal(open_identity(&f, bob[1]), 0);
	assert_int_equal(open_identity(&f, bob[2]), PQC_ENOKEY);
	assert_int_equal(keyblock_stanza(f.kb, 0)->type, STANZA_XWING);
	assert_int_equal(keyblock_stanza(f.kb, 0)->len, 32 + 1120 + 80);
	assert_int_equal(keyblock_stanza(f.kb, 1)->type, STANZA_MLKEM1024_P384);
	assert_int_equal(keyblock_stanza(f.kb, 1)->len, 32 + 1665 + 80);
	file_free(&f);
}

static void again_is_replaced(void **state)
{
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	add_alice(&f, 1);
	add_alice(&f, 1);
	assert_int_equal(keyblock_count(f.kb), 1);
	encode(&f);
	assert_int_equal(open_identity(&f, alice[1]), 0);
	file_free(&f);
}

static void removal(void **state)
{
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	add_alice(&f, 1);
	add_alice(&f, 2);
	assert_int_equal(keyblock_remove_recipient(f.kb, identity_public(bob[1])->id),
			 PQC_ENOTFOUND);
	assert_int_equal(keyblock_remove_recipient(f.kb, identity_public(alice[1])->id), 0);
	encode(&f);
	assert_int_equal(open_identity(&f, alice[1]), PQC_ENOKEY);
	assert_int_equal(open_identity(&f, alice[2]), 0);
	assert_int_equal(keyblock_remove_type(f.kb, STANZA_RAW), PQC_ENOTFOUND);
	assert_int_equal(keyblock_remove_type(f.kb, STANZA_MLKEM1024_P384), 0);
	buf_reset(&f.b);
	assert_int_equal(keyblock_encode(f.kb, &f.h, &f.k, &f.b), PQC_EUSAGE); /* nobody left */
	file_free(&f);
}

static void raw_keys(void **state)
{
	static const uint8_t second[KEY_LEN] = {5}, wrong[KEY_LEN] = {6};
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, second), 0);
	encode(&f);
	assert_int_equal(open_raw(&f, raw_key), 0);
	assert_int_equal(open_raw(&f, second), 0);
	assert_int_equal(open_raw(&f, wrong), PQC_ENOKEY);
	assert_int_equal(open_identity(&f, alice[1]), PQC_ENOKEY);
	file_free(&f);
}

static void keks(void **state)
{
	struct kek other = kek;
	struct pqx_keys k;
	struct file f;

	(void)state;
	file_new(&f, 0);
	assert_int_equal(keyblock_add_kek(f.kb, &f.h, &f.k, &kek), 0);
	encode(&f);
	assert_int_equal(keyblock_open_kek(f.kb, &f.h, &kek, &k), 0);
	assert_memory_equal(&k, &f.k, sizeof(k));
	other.version++;
	assert_int_equal(keyblock_open_kek(f.kb, &f.h, &other, &k), PQC_ENOKEY);
	other = kek;
	other.id[0] ^= 1;
	assert_int_equal(keyblock_open_kek(f.kb, &f.h, &other, &k), PQC_ENOKEY);
	other = kek;
	other.key[0] ^= 1;
	assert_int_equal(keyblock_open_kek(f.kb, &f.h, &other, &k), PQC_ENOKEY);
	file_free(&f);
}

static void passphrases(void **state)
{
	struct pqx_keys k;
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_passphrase(f.kb, &f.h, &f.k, "", &cheap), PQC_EUSAGE);
	assert_int_equal(keyblock_add_passphrase(f.kb, &f.h, &f.k, "correct horse", &cheap), 0);
	encode(&f);
	assert_int_equal(keyblock_open_passphrase(f.kb, &f.h, "correct horse", &k), 0);
	assert_memory_equal(&k, &f.k, sizeof(k));
	assert_int_equal(keyblock_open_passphrase(f.kb, &f.h, "correct horsf", &k),
			 PQC_EPASSPHRASE);
	assert_int_equal(keyblock_open_passphrase(f.kb, &f.h, "", &k), PQC_EPASSPHRASE);
	assert_int_equal(keyblock_open_raw(f.kb, &f.h, raw_key, &k), PQC_ENOKEY);
	assert_int_equal(keyblock_remove_type(f.kb, STANZA_PASSPHRASE), 0);
	add_alice(&f, 1);
	assert_int_equal(keyblock_open_passphrase(f.kb, &f.h, "correct horse", &k), PQC_ENOKEY);
	file_free(&f);
}

static void forbidden_combinations(void **state)
{
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_kek(f.kb, &f.h, &f.k, &kek), PQC_EUSAGE);
	add_alice(&f, 1);
	assert_int_equal(keyblock_add_passphrase(f.kb, &f.h, &f.k, "x", &cheap), PQC_EUSAGE);
	assert_int_equal(keyblock_remove_type(f.kb, STANZA_XWING), 0);
	assert_int_equal(keyblock_add_passphrase(f.kb, &f.h, &f.k, "x", &cheap), 0);
	assert_int_equal(keyblock_add_passphrase(f.kb, &f.h, &f.k, "y", &cheap), PQC_EUSAGE);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), PQC_EUSAGE);
	assert_int_equal(keyblock_add_recipient(f.kb, &f.h, &f.k, identity_public(bob[1])),
			 PQC_EUSAGE);
	assert_int_equal(keyblock_count(f.kb), 1);
	file_free(&f);
}

static void argon_bounds_when_adding(void **state)
{
	static const struct argon2_params bad[] = {
		{8191, 1, 1},  {1048577, 1, 1}, {8192, 0, 1},
		{8192, 17, 1}, {8192, 1, 0},	{8192, 1, 17},
	};
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(keyblock_add_passphrase(f.kb, &f.h, &f.k, "x", &bad[i]),
				 PQC_EUSAGE);
	file_free(&f);
}

/* The bounds hold before the mac is checked and any memory is taken: at decoding. */
static void argon_bounds_in_a_file(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
		bool ok;
	} edits[] = {
		{0, 8191, false},	{0, 8192, true}, {0, 1048576, true}, {0, 1048577, false},
		{0, UINT32_MAX, false}, {4, 0, false},	 {4, 16, true},	     {4, 17, false},
		{8, 0, false},		{8, 16, true},	 {8, 17, false},
	};
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_passphrase(f.kb, &f.h, &f.k, "x", &cheap), 0);
	encode(&f);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		uint8_t p[4096];

		memcpy(p, f.b.p, f.b.len);
		be32_put(p + 12 + 4 + edits[i].at, edits[i].value);
		assert_int_equal(decode_raw(&f, p, f.b.len), edits[i].ok ? 0 : PQC_EINTEGRITY);
	}
	file_free(&f);
}

static void thirty_two_and_no_more(void **state)
{
	uint8_t key[KEY_LEN] = {0};
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	for (key[0] = 0; key[0] < 32; key[0]++)
		assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, key), 0);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, key), PQC_ETOOBIG);
	encode(&f);
	key[0] = 31;
	assert_int_equal(open_raw(&f, key), 0);
	file_free(&f);
}

/* 32 of the largest stanzas fit before offset 65536. */
static void largest_block_fits(void **state)
{
	struct public_identity to = *identity_public(alice[2]);
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	for (int i = 0; i < STANZA_COUNT_MAX; i++) {
		to.id[0] = (uint8_t)i;
		assert_int_equal(keyblock_add_recipient(f.kb, &f.h, &f.k, &to), 0);
	}
	encode(&f);
	assert_int_equal(decode_raw(&f, f.b.p, f.b.len), 0);
	file_free(&f);
}

static void count_field(void **state)
{
	const unsigned wrong[] = {0, 1, 3, 33, 255};
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	encode(&f);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		f.b.p[8] = (uint8_t)wrong[i];
		assert_int_equal(decode_raw(&f, f.b.p, f.b.len), PQC_EINTEGRITY);
	}
	file_free(&f);
}

/* 33 stanzas, properly encoded and with the right mac; and none. */
static void lawless_counts(void **state)
{
	struct buf b = BUF_INIT(PQX_KEYBLOCK_MAX);
	uint8_t mac[32];
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	for (unsigned count = 0; count <= 33; count++) {
		buf_reset(&b);
		buf_put_u32(&b, 4 + 4 + count * 116 + 32);
		buf_put_u32(&b, 1);
		buf_put_u32(&b, count << 24);
		for (unsigned i = 0; i < count; i++) {
			buf_put_u16(&b, STANZA_RAW);
			buf_put_u16(&b, 112);
			buf_put(&b, keyblock_stanza(f.kb, 0)->body, 112);
		}
		struct span in[] = {{f.h.hc, 64}, {b.p, b.len}};
		assert_int_equal(hmac512_256(f.k.keyblock, in, 2, mac), 0);
		buf_put(&b, mac, 32);
		assert_int_equal(decode_raw(&f, b.p, b.len),
				 count == 0 || count == 33 ? PQC_EINTEGRITY : 0);
		buf_reset(&f.b);
		buf_put(&f.b, b.p, b.len);
		if (count >= 1 && count <= 32)
			assert_int_equal(open_raw(&f, raw_key), 0);
	}
	buf_free(&b);
	file_free(&f);
}

static void bad_types_and_lengths(void **state)
{
	const unsigned types[] = {0, 6, 7, 256, 65535, STANZA_XWING, STANZA_KEK};
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	encode(&f);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		be16_put(f.b.p + 12, (uint16_t)types[i]);
		assert_int_equal(decode_raw(&f, f.b.p, f.b.len), PQC_EINTEGRITY);
	}
	be16_put(f.b.p + 12, STANZA_RAW);
	for (unsigned len = 0; len <= 200; len++) {
		be16_put(f.b.p + 14, (uint16_t)len);
		assert_int_equal(decode_raw(&f, f.b.p, f.b.len), len == 112 ? 0 : PQC_EINTEGRITY);
	}
	be16_put(f.b.p + 14, 65535);
	assert_int_equal(decode_raw(&f, f.b.p, f.b.len), PQC_EINTEGRITY);
	file_free(&f);
}

/* Two blocks glued into one of two stanzas, so that a rule of company is broken. */
static void companions_in_a_file(void **state)
{
	struct buf b = BUF_INIT(PQX_KEYBLOCK_MAX);
	struct file pass, raw, plain;

	(void)state;
	file_new(&pass, PQX_FLAG_E2E);
	file_new(&raw, PQX_FLAG_E2E);
	file_new(&plain, 0);
	assert_int_equal(keyblock_add_passphrase(pass.kb, &pass.h, &pass.k, "x", &cheap), 0);
	assert_int_equal(keyblock_add_raw(raw.kb, &raw.h, &raw.k, raw_key), 0);
	assert_int_equal(keyblock_add_kek(plain.kb, &plain.h, &plain.k, &kek), 0);
	encode(&pass);
	encode(&raw);
	encode(&plain);
	for (int first = 0; first < 2; first++) {
		const struct file *x = first == 0 ? &pass : &raw, *y = first == 0 ? &raw : &pass;

		buf_reset(&b);
		buf_put(&b, x->b.p, x->b.len - 32);
		buf_put(&b, y->b.p + 12, y->b.len - 12);
		be32_put(b.p, (uint32_t)b.len - 4);
		b.p[8] = 2;
		assert_int_equal(decode_raw(&pass, b.p, b.len), PQC_EINTEGRITY);
	}
	assert_int_equal(decode_raw(&plain, plain.b.p, plain.b.len), 0);
	assert_int_equal(decode_raw(&raw, plain.b.p, plain.b.len), PQC_EINTEGRITY); /* e2e */
	buf_free(&b);
	file_free(&pass);
	file_free(&raw);
	file_free(&plain);
}

static void length_field(void **state)
{
	struct file f;
	uint32_t len;
	uint8_t *room;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	encode(&f);
	len = be32_get(f.b.p);
	assert_int_equal(len, f.b.len - 4);
	room = calloc(1, 2 * PQX_BODY_OFFSET);
	assert_non_null(room);
	memcpy(room, f.b.p, f.b.len);
	for (uint32_t n = 0; n < 2 * len; n++) {
		be32_put(room, n);
		assert_int_equal(decode_raw(&f, room, 2 * PQX_BODY_OFFSET),
				 n == len ? 0 : PQC_EINTEGRITY);
	}
	be32_put(room, PQX_KEYBLOCK_MAX - 3);
	assert_int_equal(decode_raw(&f, room, 2 * PQX_BODY_OFFSET), PQC_EINTEGRITY);
	be32_put(room, UINT32_MAX);
	assert_int_equal(decode_raw(&f, room, 2 * PQX_BODY_OFFSET), PQC_EINTEGRITY);
	for (size_t n = 0; n < f.b.len; n++)
		assert_int_equal(decode_raw(&f, f.b.p, n), PQC_EINTEGRITY);
	free(room);
	file_free(&f);
}

/* Every single bit of a block, for every kind of key. */
static void every_bit_counts(void **state)
{
	struct file f;

	(void)state;
	file_new(&f, 0);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	assert_int_equal(keyblock_add_kek(f.kb, &f.h, &f.k, &kek), 0);
	encode(&f);
	for (size_t bit = 0; bit < 8 * f.b.len; bit++) {
		int r;

		flip(f.b.p, bit);
		r = open_raw(&f, raw_key);
		assert_true(r == PQC_EINTEGRITY || r == PQC_ENOKEY);
		flip(f.b.p, bit);
	}
	assert_int_equal(open_raw(&f, raw_key), 0);
	file_free(&f);
}

static void recipient_bits_count(void **state)
{
	struct file f;

	(void)state;
	for (unsigned suite = 1; suite <= 2; suite++) {
		file_new(&f, PQX_FLAG_E2E);
		add_alice(&f, suite);
		encode(&f);
		for (size_t bit = 0; bit < 8 * f.b.len; bit += 61) {
			int r;

			flip(f.b.p, bit);
			r = open_identity(&f, alice[suite]);
			assert_true(r == PQC_EINTEGRITY || r == PQC_ENOKEY);
			flip(f.b.p, bit);
		}
		assert_int_equal(open_identity(&f, alice[suite]), 0);
		file_free(&f);
	}
}

/* The id of another on a stanza of mine is not mine any more, and the other cannot open it. */
static void stanza_readdressed(void **state)
{
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	add_alice(&f, 1);
	encode(&f);
	memcpy(f.b.p + 16, identity_public(bob[1])->id, ID_LEN);
	assert_int_equal(open_identity(&f, alice[1]), PQC_ENOKEY);
	assert_int_equal(open_identity(&f, bob[1]), PQC_ENOKEY);
	file_free(&f);
}

/* The first stanza that carries the id does not open; the second does. */
static void tries_the_next(void **state)
{
	struct public_identity impostor = *identity_public(bob[1]);
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_recipient(f.kb, &f.h, &f.k, &impostor), 0);
	memcpy((uint8_t *)(uintptr_t)keyblock_stanza(f.kb, 0)->body, identity_public(alice[1])->id,
	       ID_LEN);
	encode(&f);
	assert_int_equal(open_identity(&f, alice[1]), PQC_ENOKEY);
	impostor = *identity_public(alice[1]);
	impostor.id[0] ^= 1;
	assert_int_equal(keyblock_add_recipient(f.kb, &f.h, &f.k, &impostor), 0);
	((uint8_t *)(uintptr_t)keyblock_stanza(f.kb, 1)->body)[0] ^= 1;
	encode(&f);
	assert_int_equal(keyblock_count(f.kb), 2);
	assert_int_equal(open_identity(&f, alice[1]), 0);
	file_free(&f);
}

/* A stanza from another file with the same recipient does not help. */
static void stanza_of_another_file(void **state)
{
	struct file f, g;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	file_new(&g, PQX_FLAG_E2E);
	add_alice(&f, 1);
	add_alice(&g, 1);
	encode(&f);
	encode(&g);
	assert_int_equal(f.b.len, g.b.len);
	memcpy(f.b.p + 12, g.b.p + 12, f.b.len - 12 - 32);
	assert_int_equal(open_identity(&f, alice[1]), PQC_ENOKEY);
	memcpy(f.b.p, g.b.p, f.b.len); /* the whole block of another file */
	assert_int_equal(open_identity(&f, alice[1]), PQC_ENOKEY);
	file_free(&f);
	file_free(&g);
}

static void generation(void **state)
{
	struct keyblock *kb;
	struct file f;
	size_t used;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_generation(f.kb), 0);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	for (uint32_t g = 1; g <= 3; g++) {
		encode(&f);
		assert_int_equal(be32_get(f.b.p + 4), g);
		assert_int_equal(keyblock_generation(f.kb), g);
	}
	be32_put(f.b.p + 4, 0);
	assert_int_equal(decode_raw(&f, f.b.p, f.b.len), PQC_EINTEGRITY);
	be32_put(f.b.p + 4, UINT32_MAX);
	assert_int_equal(keyblock_decode(&f.h, f.b.p, f.b.len, &kb, &used), 0);
	assert_int_equal(keyblock_encode(kb, &f.h, &f.k, &f.b), PQC_ETOOBIG);
	keyblock_free(kb);
	file_free(&f);
}

static void failed_encoding_changes_nothing(void **state)
{
	struct buf small = BUF_INIT(10);
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_verify(f.kb, &f.h, &f.k), PQC_EINTEGRITY); /* no bytes yet */
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	assert_int_equal(keyblock_encode(f.kb, &f.h, &f.k, &small), PQC_ETOOBIG);
	assert_int_equal(keyblock_generation(f.kb), 0);
	encode(&f);
	assert_int_equal(keyblock_verify(f.kb, &f.h, &f.k), 0);
	buf_free(&small);
	file_free(&f);
}

/* The wrap of type 5, computed from the document alone. */
static void wrap_formula(void **state)
{
	uint8_t prk[PRK_LEN], okm[76], h1[64], h2[64], out[32], tag[16];
	struct aead *a = aead_new();
	const uint8_t *body;
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	body = keyblock_stanza(f.kb, 0)->body;
	assert_int_equal(sha512(NULL, 0, h1), 0);
	assert_int_equal(sha512(&(struct span){body, 32}, 1, h2), 0);
	assert_int_equal(hkdf_extract("pqx1 wrap", 9, raw_key, 32, prk), 0);
	struct span info[] = {{"pqx1 wrap\0\0\5", 12}, {h1, 64}, {h2, 64}};
	assert_int_equal(hkdf_expand(prk, 64, info, 3, okm, 76), 0);
	assert_memory_equal(body + 32, okm + 44, 32);
	assert_int_equal(aead_seal(a, okm, okm + 32, &(struct span){f.h.hc, 64},
				   &(struct span){f.k.dek, 32}, out, tag),
			 0);
	assert_memory_equal(body + 64, out, 32);
	assert_memory_equal(body + 96, tag, 16);
	aead_free(a);
	file_free(&f);
}

/* Who has the DEK can make the mac right, but not a wrap without its commitment. */
static void wrap_commitment(void **state)
{
	uint8_t mac[32];
	struct file f;

	(void)state;
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	encode(&f);
	for (size_t at = 16 + 32; at < 16 + 112; at++) { /* wc, encrypted DEK, tag */
		f.b.p[at] ^= 0x10;
		struct span in[] = {{f.h.hc, 64}, {f.b.p, f.b.len - 32}};

		assert_int_equal(hmac512_256(f.k.keyblock, in, 2, mac), 0);
		memcpy(f.b.p + f.b.len - 32, mac, 32);
		assert_int_equal(open_raw(&f, raw_key), PQC_ENOKEY);
		f.b.p[at] ^= 0x10;
	}
	file_free(&f);
}

static void padding(void **state)
{
	uint8_t *head = malloc(PQX_BODY_OFFSET);
	struct keyblock *kb = NULL;
	struct pqx_header h;
	struct file f;
	size_t end;

	(void)state;
	assert_non_null(head);
	file_new(&f, PQX_FLAG_E2E);
	assert_int_equal(keyblock_add_raw(f.kb, &f.h, &f.k, raw_key), 0);
	assert_int_equal(pqx_head_encode(&f.h, &f.k, f.kb, head), 0);
	assert_int_equal(pqx_head_decode(head, &h, &kb), 0);
	keyblock_free(kb);
	kb = NULL;
	end = PQX_HEADER_LEN + 4 + be32_get(head + PQX_HEADER_LEN);
	for (size_t i = end; i < PQX_BODY_OFFSET; i += i == end ? 4097 : 4096) {
		head[i] = 1;
		assert_int_equal(pqx_head_decode(head, &h, &kb), PQC_EINTEGRITY);
		assert_null(kb);
		head[i] = 0;
	}
	head[PQX_BODY_OFFSET - 1] = 0x80;
	assert_int_equal(pqx_head_decode(head, &h, &kb), PQC_EINTEGRITY);
	free(head);
	file_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recipients),
		cmocka_unit_test(again_is_replaced),
		cmocka_unit_test(removal),
		cmocka_unit_test(raw_keys),
		cmocka_unit_test(keks),
		cmocka_unit_test(passphrases),
		cmocka_unit_test(forbidden_combinations),
		cmocka_unit_test(argon_bounds_when_adding),
		cmocka_unit_test(argon_bounds_in_a_file),
		cmocka_unit_test(thirty_two_and_no_more),
		cmocka_unit_test(largest_block_fits),
		cmocka_unit_test(count_field),
		cmocka_unit_test(lawless_counts),
		cmocka_unit_test(bad_types_and_lengths),
		cmocka_unit_test(companions_in_a_file),
		cmocka_unit_test(length_field),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(recipient_bits_count),
		cmocka_unit_test(stanza_readdressed),
		cmocka_unit_test(tries_the_next),
		cmocka_unit_test(stanza_of_another_file),
		cmocka_unit_test(generation),
		cmocka_unit_test(failed_encoding_changes_nothing),
		cmocka_unit_test(wrap_formula),
		cmocka_unit_test(wrap_commitment),
		cmocka_unit_test(padding),
	};

	return cmocka_run_group_tests(tests, people_new, people_free);
}
