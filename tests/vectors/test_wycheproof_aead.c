#include "vectors.h"

#include <zlib.h>

#include "crypto/aead.h"

static int setup(void **state)
{
	return (*state = aead_new()) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	aead_free(*state);
	return 0;
}

/* A cipher context for the checks, which take none. */
static struct aead *cipher;

/* One vector of AES-256-GCM; sealed text in ct | tag. */
static const char *check_aead(const struct vector *v, struct span aad, struct span msg,
			      struct span ct)
{
	const struct span key = field(v, "key"), iv = field(v, "iv"), tag = field(v, "tag");
	uint8_t *out, got[AEAD_TAG];
	int r;

	if (key.n != KEY_LEN || iv.n != AEAD_IV || tag.n != AEAD_TAG)
		return out_of_range;
	out = arena_get(v->arena, msg.n);
	r = aead_open(cipher, key.p, iv.p, &aad, &ct, tag.p, out);
	if (!result_is(v, "valid"))
		return r == PQC_EINTEGRITY ? NULL : "accepted";
	if (r != 0 || !same(out, msg))
		return "not opened";
	r = aead_seal(cipher, key.p, iv.p, &aad, &msg, out, got);
	return r == 0 && same(out, ct) && same(got, tag) ? NULL : "sealed otherwise";
}

static const char *check_gcm(const struct vector *v)
{
	return check_aead(v, field(v, "aad"), field(v, "msg"), field(v, "ct"));
}

static const char *check_gmac(const struct vector *v)
{
	const struct span none = {NULL, 0};

	return check_aead(v, field(v, "msg"), none, none);
}

static void test_gcm(void **state)
{
	cipher = *state;
	run_wycheproof("wycheproof/aes_gcm_test.json", check_gcm);
}

static void test_gmac(void **state)
{
	cipher = *state;
	run_wycheproof("wycheproof/aes_gmac_test.json", check_gmac);
}

/* The ciphertexts of the file are compressed, being long and regular. */
static struct span inflated(const struct vector *v, struct span in)
{
	const size_t max = 8 << 20;
	uint8_t *in_copy = arena_get(v->arena, in.n), *out = arena_get(v->arena, max);
	z_stream z = {0};

	memcpy(in_copy, in.p, in.n);
	z.next_in = in_copy;
	z.avail_in = (uInt)in.n;
	z.next_out = out;
	z.avail_out = (uInt)max;
	assert_int_equal(inflateInit(&z), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(inflateEnd(&z), Z_OK);
	return (struct span){out, z.total_out};
}

static const char *check_cobblestone(const struct vector *v)
{
	const struct span key = field(v, "key"), ctx = field(v, "ctx");
	const struct span ct = inflated(v, field(v, "ct")), want = field(v, "msgSha512");
	uint8_t digest[SHA512_LEN], *out, *again;
	struct span msg;
	size_t n = 0;
	int r;

	if (key.n != KEY_LEN)
		return out_of_range;
	out = arena_get(v->arena, ct.n);
	r = cob_open(cipher, key.p, &ctx, &ct, out);
	if (!result_is(v, "valid")) {
		for (size_t i = 0; i < ct.n; i++)
			n += out[i] != 0;
		if (n > 0)
			return "plain text of a refused message was given out";
		return r == PQC_EINTEGRITY ? NULL : "accepted";
	}
	if (r != 0 || cob_opened_len(ct.n, &n) != 0)
		return "not opened";
	if (n != (size_t)json_integer_value(json_object_get(v->test, "msgLength")))
		return "another length";
	msg = (struct span){out, n};
	if (sha512(&msg, 1, digest) != 0 || !same(digest, want))
		return "opened to another message";
	again = arena_get(v->arena, ct.n);
	if (cob_sealed_len(n) != ct.n || cob_seal(cipher, key.p, ct.p, &ctx, &msg, again) != 0)
		return "not sealed again";
	return same(again, ct) ? NULL : "sealed otherwise";
}

static void test_cobblestone(void **state)
{
	cipher = *state;
	run_wycheproof("wycheproof/c2sp_chunked_encryption_aes_256_gcm_test.json",
		       check_cobblestone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gcm),
		cmocka_unit_test(test_gmac),
		cmocka_unit_test(test_cobblestone),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
