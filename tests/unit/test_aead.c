#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "crypto/aead.h"

static const uint8_t key[KEY_LEN] = {1, 2, 3};
static const uint8_t iv[AEAD_IV] = {9, 8, 7};

static int setup(void **state)
{
	return (*state = aead_new()) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	aead_free(*state);
	return 0;
}

static void assert_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i], 0);
}

static void test_roundtrip(void **state)
{
	const struct span aad = {"head", 4}, text = {"some plain text", 15};
	uint8_t ct[15], pt[15], tag[AEAD_TAG];

	assert_int_equal(aead_seal(*state, key, iv, &aad, &text, ct, tag), 0);
	assert_memory_not_equal(ct, text.p, 15);
	assert_int_equal(aead_open(*state, key, iv, &aad, &(struct span){ct, 15}, tag, pt), 0);
	assert_memory_equal(pt, text.p, 15);
	/* in place, both ways */
	memcpy(pt, text.p, 15);
	assert_int_equal(aead_seal(*state, key, iv, &aad, &(struct span){pt, 15}, pt, tag), 0);
	assert_memory_equal(pt, ct, 15);
	assert_int_equal(aead_open(*state, key, iv, &aad, &(struct span){pt, 15}, tag, pt), 0);
	assert_memory_equal(pt, text.p, 15);
}

/* One bit anywhere in key, iv, aad, ciphertext or tag: refused, and the output zeroed. */
static void test_bit_flips(void **state)
{
	struct {
		uint8_t key[KEY_LEN], iv[AEAD_IV], aad[5], ct[20], tag[AEAD_TAG];
	} m = {.aad = "head"};
	const struct span aad = {m.aad, sizeof m.aad}, ct = {m.ct, sizeof m.ct};
	uint8_t *bytes = (uint8_t *)&m, pt[20];

	memcpy(m.key, key, sizeof key);
	memcpy(m.iv, iv, sizeof iv);
	assert_int_equal(aead_seal(*state, m.key, m.iv, &aad, &ct, m.ct, m.tag), 0);
	for (size_t bit = 0; bit < 8 * sizeof m; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(pt, 0xa5, sizeof pt);
		assert_int_equal(aead_open(*state, m.key, m.iv, &aad, &ct, m.tag, pt),
				 PQC_EINTEGRITY);
		assert_zero(pt, sizeof pt);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(aead_open(*state, m.key, m.iv, &aad, &ct, m.tag, pt), 0);
}

static void test_empty(void **state)
{
	const struct span aad = {"only this", 9};
	uint8_t tag[AEAD_TAG], other[AEAD_TAG];

	assert_int_equal(aead_seal(*state, key, iv, &aad, NULL, NULL, tag), 0);
	assert_int_equal(aead_open(*state, key, iv, &aad, NULL, tag, NULL), 0);
	assert_int_equal(aead_open(*state, key, iv, NULL, NULL, tag, NULL), PQC_EINTEGRITY);
	assert_int_equal(aead_seal(*state, key, iv, NULL, NULL, NULL, other), 0);
	assert_memory_not_equal(tag, other, AEAD_TAG);
}

static void test_nonce(void **state)
{
	uint8_t base[AEAD_IV], out[AEAD_IV];

	(void)state;
	memset(base, 0xff, sizeof base);
	aead_nonce(base, 0, out);
	assert_memory_equal(out, base, AEAD_IV);
	aead_nonce(base, 0x0102030405060708, out);
	assert_memory_equal(out, "\xff\xff\xff\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7", AEAD_IV);
	aead_nonce(base, UINT64_MAX, base); /* in place */
	assert_memory_equal(base, "\xff\xff\xff\xff\0\0\0\0\0\0\0\0", AEAD_IV);
}

/* ------------------------------------------------------- Cobblestone-256 */

static const uint8_t salt[COB_SALT] = {5};
static const struct span ctx = {"context", 7};

static const size_t lengths[] = {0, 1, 16383, 16384, 16385, 32767, 32768, 32769, 49152, 100000};
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + i / 251);
}

/* Every ciphertext length either belongs to one message length, or is refused. */
static void test_cob_lengths(void **state)
{
	size_t next = 0, n;

	(void)state;
	for (size_t sealed = 0; sealed < 4 * (COB_CHUNK + AEAD_TAG); sealed++) {
		if (sealed == cob_sealed_len(next)) {
			n = SIZE_MAX;
			assert_int_equal(cob_opened_len(sealed, &n), 0);
			assert_int_equal(n, next++);
		} else {
			assert_int_equal(cob_opened_len(sealed, &n), PQC_EINTEGRITY);
		}
	}
	assert_int_equal(cob_sealed_len(0), 72);
	assert_int_equal(cob_sealed_len(1047496), 1 << 20); /* a part of the container */
}

static void test_cob_roundtrip(void **state)
{
	for (size_t i = 0; i < LENGTHS; i++) {
		size_t n = lengths[i], sealed = cob_sealed_len(n);
		uint8_t *in = malloc(n + 1), *ct = malloc(sealed), *out = malloc(n + 1);

		assert_true(in != NULL && ct != NULL && out != NULL);
		fill(in, n);
		assert_int_equal(cob_seal(*state, key, salt, &ctx, &(struct span){in, n}, ct), 0);
		assert_memory_equal(ct, salt, COB_SALT);
		assert_int_equal(cob_open(*state, key, &ctx, &(struct span){ct, sealed}, out), 0);
		assert_memory_equal(in, out, n);
		free(in);
		free(ct);
		free(out);
	}
}

static void test_cob_wrong_inputs(void **state)
{
	uint8_t in[100] = {1}, ct[256], again[256], out[100], other_key[KEY_LEN],
		other_salt[COB_SALT];
	const struct span text = {in, sizeof in}, other_ctx = {"contexu", 7}, no_ctx = {NULL, 0};
	const struct span sealed = {ct, cob_sealed_len(sizeof in)};

	memcpy(other_key, key, sizeof key);
	other_key[31] ^= 1;
	assert_int_equal(cob_seal(*state, key, salt, &ctx, &text, ct), 0);
	assert_int_equal(cob_open(*state, other_key, &ctx, &sealed, out), PQC_EINTEGRITY);
	assert_int_equal(cob_open(*state, key, &other_ctx, &sealed, out), PQC_EINTEGRITY);
	assert_int_equal(cob_open(*state, key, &no_ctx, &sealed, out), PQC_EINTEGRITY);
	assert_int_equal(cob_open(*state, key, NULL, &sealed, out), PQC_EINTEGRITY);
	assert_int_equal(cob_open(*state, key, &ctx, &sealed, out), 0);
	/* The salt decides every byte that follows it. */
	memcpy(other_salt, salt, sizeof salt);
	other_salt[0] ^= 1;
	assert_int_equal(cob_seal(*state, key, other_salt, &ctx, &text, again), 0);
	assert_memory_not_equal(ct + COB_SALT, again + COB_SALT, COB_COMMIT);
	assert_memory_not_equal(ct + COB_HEAD, again + COB_HEAD, 100);
	/* No context and an empty one are the same. */
	assert_int_equal(cob_seal(*state, key, salt, NULL, &text, ct), 0);
	assert_int_equal(cob_open(*state, key, &no_ctx, &sealed, out), 0);
}

/* Where a flip or a cut is tried: the head, each chunk's edges, and now and then between. */
static bool worth_trying(size_t i, size_t n)
{
	size_t in_chunk = i < COB_HEAD ? 0 : (i - COB_HEAD) % (COB_CHUNK + AEAD_TAG);

	return i < COB_HEAD || in_chunk < 2 || in_chunk > COB_CHUNK - 2 || i % 997 == 0 ||
	       i + 18 > n;
}

struct message {
	uint8_t *ct, *out;
	size_t plain, sealed;
};

static void make_message(struct aead *a, size_t plain, struct message *m)
{
	uint8_t *in = malloc(plain + 1);

	*m = (struct message){malloc(cob_sealed_len(plain) + 1), malloc(plain + COB_CHUNK), plain,
			      cob_sealed_len(plain)};
	assert_true(in != NULL && m->ct != NULL && m->out != NULL);
	fill(in, plain);
	assert_int_equal(cob_seal(a, key, salt, &ctx, &(struct span){in, plain}, m->ct), 0);
	free(in);
}

/* Refused, and nothing of the plain text is left in the output. */
static void assert_refused(struct aead *a, const struct message *m, size_t sealed)
{
	size_t n = 0;

	memset(m->out, 0, m->plain + COB_CHUNK);
	assert_int_equal(cob_open(a, key, &ctx, &(struct span){m->ct, sealed}, m->out),
			 PQC_EINTEGRITY);
	for (size_t i = 0; i < m->plain + COB_CHUNK; i++)
		n += m->out[i] != 0;
	assert_int_equal(n, 0);
}

static void test_cob_bit_flips(void **state)
{
	struct message m;

	make_message(*state, 2 * COB_CHUNK + 100, &m);
	for (size_t i = 0; i < m.sealed; i++) {
		if (!worth_trying(i, m.sealed))
			continue;
		m.ct[i] ^= (uint8_t)(1 << i % 8);
		assert_refused(*state, &m, m.sealed);
		m.ct[i] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(cob_open(*state, key, &ctx, &(struct span){m.ct, m.sealed}, m.out), 0);
	free(m.ct);
	free(m.out);
}

static void test_cob_truncations(void **state)
{
	struct message m;

	make_message(*state, 2 * COB_CHUNK, &m); /* ends with an empty chunk */
	for (size_t n = 0; n < m.sealed; n++)
		if (worth_trying(n, m.sealed))
			assert_refused(*state, &m, n);
	m.ct[m.sealed] = 0;
	assert_refused(*state, &m, m.sealed + 1);
	free(m.ct);
	free(m.out);
}

static void test_cob_swapped_chunks(void **state)
{
	const size_t chunk = COB_CHUNK + AEAD_TAG;
	uint8_t *spare = malloc(chunk);
	struct message m;

	assert_non_null(spare);
	make_message(*state, 2 * COB_CHUNK + 1, &m);
	memcpy(spare, m.ct + COB_HEAD, chunk);
	memcpy(m.ct + COB_HEAD, m.ct + COB_HEAD + chunk, chunk);
	memcpy(m.ct + COB_HEAD + chunk, spare, chunk);
	assert_refused(*state, &m, m.sealed);
	free(spare);
	free(m.ct);
	free(m.out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip),
		cmocka_unit_test(test_bit_flips),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_nonce),
		cmocka_unit_test(test_cob_lengths),
		cmocka_unit_test(test_cob_roundtrip),
		cmocka_unit_test(test_cob_wrong_inputs),
		cmocka_unit_test(test_cob_bit_flips),
		cmocka_unit_test(test_cob_truncations),
		cmocka_unit_test(test_cob_swapped_chunks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
