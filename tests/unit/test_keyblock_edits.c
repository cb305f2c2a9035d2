/* docs/container.md, "Key block": every rule broken, every byte edited. */
#include "keyblock_fixture.h"

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
		cmocka_unit_test(argon_bounds_in_a_file),
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
		cmocka_unit_test(wrap_commitment),
		cmocka_unit_test(padding),
	};

	return cmocka_run_group_tests(tests, people_new, people_free);
}
