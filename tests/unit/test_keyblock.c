/* docs/container.md, "Key block": every kind of stanza, what may be made, how it is wrapped. */
#include "keyblock_fixture.h"

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
		cmocka_unit_test(thirty_two_and_no_more),
		cmocka_unit_test(largest_block_fits),
		cmocka_unit_test(generation),
		cmocka_unit_test(failed_encoding_changes_nothing),
		cmocka_unit_test(wrap_formula),
	};

	return cmocka_run_group_tests(tests, people_new, people_free);
}
