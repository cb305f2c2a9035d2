/* docs/container.md, "Manifest": each field, each bit, each stranger. */
#include "pqx_fixture.h"

#include "base/buf.h"
#include "container/offline.h"

struct file {
	struct pqx_header h;
	struct pqx_keys k;
	struct pqx_manifest m;
	struct buf b;
};

/* by NULL: unsigned. */
static void file_new(struct file *f, unsigned suite, uint64_t plain_size, const struct identity *by)
{
	memset(f, 0, sizeof(*f));
	buf_init(&f->b, PQX_MANIFEST_MAX);
	header_make(&f->h, &f->k, suite, plain_size, by);
	f->m.plain_size = plain_size == PQX_SIZE_UNKNOWN ? 200000 : plain_size;
	assert_int_equal(pqx_part_count(PART, f->m.plain_size, &f->m.n), 0);
	f->m.time = 1700000000;
	memset(f->m.root, 0xab, HASH_MAX);
}

static void make(struct file *f, const struct identity *by)
{
	buf_reset(&f->b);
	assert_int_equal(pqx_manifest_make(&f->h, &f->k, by, &f->m, &f->b), 0);
}

static int check(const struct file *f, const struct pqx_keys *k)
{
	struct pqx_manifest m;

	return pqx_manifest_check(&f->h, k, f->b.p, f->b.len, &m);
}

static void round_trip(void **state)
{
	struct pqx_manifest m;
	struct file f;

	(void)state;
	for (unsigned suite = 1; suite <= 2; suite++) {
		for (int how = 0; how < 4; how++) {
			const struct identity *by = how & 1 ? alice[suite] : NULL;

			file_new(&f, suite, how & 2 ? 123456 : PQX_SIZE_UNKNOWN, by);
			make(&f, by);
			assert_int_equal(pqx_manifest_check(&f.h, &f.k, f.b.p, f.b.len, &m), 0);
			assert_int_equal(m.n, f.m.n);
			assert_int_equal(m.plain_size, f.m.plain_size);
			assert_int_equal(m.time, 1700000000);
			assert_int_equal(m.is_signed, by != NULL);
			assert_memory_equal(m.root, f.m.root, m.suite->hash_len);
			assert_memory_equal(m.hc, f.h.hc, SHA512_LEN);
			/* the server has no key: a signed one it can check, an unsigned one not */
			assert_int_equal(check(&f, NULL), by != NULL ? 0 : PQC_EINTEGRITY);
			if (by == NULL)
				assert_int_equal(f.b.len, 4 + 2 + 64 + 24 + m.suite->hash_len + 33);
			buf_free(&f.b);
		}
	}
}

static void make_refuses(void **state)
{
	struct file f;

	(void)state;
	file_new(&f, 1, 200000, alice[1]);
	assert_int_equal(pqx_manifest_make(&f.h, &f.k, NULL, &f.m, &f.b), PQC_EUSAGE);
	assert_int_equal(pqx_manifest_make(&f.h, &f.k, bob[1], &f.m, &f.b), PQC_EUSAGE);
	assert_int_equal(pqx_manifest_make(&f.h, &f.k, alice[2], &f.m, &f.b), PQC_EUSAGE);
	f.m.n++;
	assert_int_equal(pqx_manifest_make(&f.h, &f.k, alice[1], &f.m, &f.b), PQC_EUSAGE);
	f.m.n--;
	f.m.plain_size++;
	assert_int_equal(pqx_manifest_make(&f.h, &f.k, alice[1], &f.m, &f.b), PQC_EUSAGE);
	buf_free(&f.b);
	file_new(&f, 1, 200000, NULL);
	assert_int_equal(pqx_manifest_make(&f.h, &f.k, alice[1], &f.m, &f.b), PQC_EUSAGE);
	buf_free(&f.b);
}

static void every_bit_of_an_unsigned_one(void **state)
{
	struct file f;

	(void)state;
	file_new(&f, 1, PQX_SIZE_UNKNOWN, NULL);
	make(&f, NULL);
	for (size_t bit = 0; bit < 8 * f.b.len; bit++) {
		flip(f.b.p, bit);
		assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
		flip(f.b.p, bit);
	}
	assert_int_equal(check(&f, &f.k), 0);
	buf_free(&f.b);
}

static void bits_of_a_signed_one(void **state)
{
	struct file f;

	(void)state;
	for (unsigned suite = 1; suite <= 2; suite++) {
		file_new(&f, suite, PQX_SIZE_UNKNOWN, alice[suite]);
		make(&f, alice[suite]);
		/* all of the fields, then every so often in key and signature */
		for (size_t bit = 0; bit < 8 * f.b.len; bit += bit < 8 * 150 ? 1 : 131) {
			flip(f.b.p, bit);
			assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
			flip(f.b.p, bit);
		}
		assert_int_equal(check(&f, &f.k), 0);
		buf_free(&f.b);
	}
}

static void lengths(void **state)
{
	struct file f;

	(void)state;
	for (int is_signed = 0; is_signed < 2; is_signed++) {
		const struct identity *by = is_signed ? alice[1] : NULL;
		size_t n;

		file_new(&f, 1, 200000, by);
		make(&f, by);
		n = f.b.len;
		for (f.b.len = 0; f.b.len < n; f.b.len++)
			assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
		buf_put_u8(&f.b, 0);
		assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
		buf_free(&f.b);
	}
}

/* Properly signed by the right person, and yet wrong. */
static void sign_fields(struct file *f, const struct identity *by, const struct suite *as,
			const uint8_t *hc)
{
	const struct public_identity *pub = identity_public(by);
	uint8_t sig[SIG_MAX];

	buf_reset(&f->b);
	buf_put(&f->b, "pqxm", 4);
	buf_put_u16(&f->b, as->id);
	buf_put(&f->b, hc, SHA512_LEN);
	buf_put_u64(&f->b, f->m.n);
	buf_put_u64(&f->b, f->m.plain_size);
	buf_put(&f->b, f->m.root, as->hash_len);
	buf_put_u64(&f->b, f->m.time);
	buf_put_u8(&f->b, 1);
	buf_put_block(&f->b, pub->sig_pk, pub->suite->sig_pk_len);
	assert_int_equal(sign_make(identity_sign_key(by), "pqx1 manifest",
				   &(struct span){f->b.p, f->b.len}, sig),
			 0);
	buf_put_block(&f->b, sig, pub->suite->sig_len);
}

static void lawless_signer(void **state)
{
	uint8_t hc[SHA512_LEN] = {0};
	struct file f;

	(void)state;
	file_new(&f, 1, 200000, alice[1]);
	sign_fields(&f, alice[1], f.h.suite, f.h.hc);
	assert_int_equal(check(&f, &f.k), 0); /* the bytes are those of the document */
	sign_fields(&f, bob[1], f.h.suite, f.h.hc);
	assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
	sign_fields(&f, alice[1], f.h.suite, hc);
	assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
	sign_fields(&f, alice[2], suite_by_id(2), f.h.hc);
	assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
	f.m.n++;
	sign_fields(&f, alice[1], f.h.suite, f.h.hc);
	assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
	f.m.n--;
	f.m.plain_size--; /* the same n, not the header's size */
	sign_fields(&f, alice[1], f.h.suite, f.h.hc);
	assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
	buf_free(&f.b);

	file_new(&f, 1, PQX_SIZE_UNKNOWN, alice[1]);
	f.m.plain_size = PQX_SIZE_UNKNOWN; /* a manifest always knows */
	sign_fields(&f, alice[1], f.h.suite, f.h.hc);
	assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
	f.m.plain_size = 0;
	f.m.n = 0;
	sign_fields(&f, alice[1], f.h.suite, f.h.hc);
	assert_int_equal(check(&f, &f.k), PQC_EINTEGRITY);
	f.m.n = 1;
	sign_fields(&f, alice[1], f.h.suite, f.h.hc);
	assert_int_equal(check(&f, &f.k), 0);
	buf_free(&f.b);
}

/* auth 0 exactly when nobody is the sender. */
static void auth_fits_the_sender(void **state)
{
	struct file signed_file, unsigned_file;

	(void)state;
	file_new(&signed_file, 1, 200000, alice[1]);
	file_new(&unsigned_file, 1, 200000, NULL);

	/* a signature where the header says nobody signed */
	sign_fields(&unsigned_file, alice[1], unsigned_file.h.suite, unsigned_file.h.hc);
	assert_int_equal(check(&unsigned_file, &unsigned_file.k), PQC_EINTEGRITY);

	/* a recipient, who has the key, makes a mac where the sender signed */
	struct file forged = signed_file;
	uint8_t mac[32];

	buf_init(&forged.b, PQX_MANIFEST_MAX);
	buf_put(&forged.b, "pqxm\0\1", 6);
	buf_put(&forged.b, forged.h.hc, SHA512_LEN);
	buf_put_u64(&forged.b, forged.m.n);
	buf_put_u64(&forged.b, forged.m.plain_size);
	buf_put(&forged.b, forged.m.root, 32);
	buf_put_u64(&forged.b, forged.m.time);
	buf_put_u8(&forged.b, 0);
	struct span in[] = {{"pqx1 manifest\0", 14}, {forged.b.p, forged.b.len}};
	assert_int_equal(hmac512_256(forged.k.meta, in, 2, mac), 0);
	buf_put(&forged.b, mac, 32);
	assert_int_equal(check(&forged, &forged.k), PQC_EINTEGRITY);
	buf_free(&forged.b);
	buf_free(&signed_file.b);
	buf_free(&unsigned_file.b);
}

static void of_another_file(void **state)
{
	struct file a, b;

	(void)state;
	file_new(&a, 1, 200000, alice[1]);
	file_new(&b, 1, 200000, alice[1]);
	make(&a, alice[1]);
	assert_int_equal(pqx_manifest_check(&b.h, &b.k, a.b.p, a.b.len, &a.m), PQC_EINTEGRITY);
	buf_free(&a.b);
	file_new(&a, 1, 200000, NULL);
	make(&a, NULL);
	assert_int_equal(check(&a, &b.k), PQC_EINTEGRITY); /* the wrong key */
	buf_free(&a.b);
}

/* decode shows what is there without judging. */
static void decode_only(void **state)
{
	struct pqx_manifest m;
	struct file f;

	(void)state;
	file_new(&f, 1, 200000, NULL);
	make(&f, NULL);
	f.b.p[f.b.len - 1] ^= 1;
	assert_int_equal(pqx_manifest_decode(&f.h, f.b.p, f.b.len, &m), 0);
	assert_false(m.is_signed);
	assert_int_equal(m.n, f.m.n);
	assert_int_equal(pqx_manifest_decode(&f.h, f.b.p, f.b.len - 1, &m), PQC_EINTEGRITY);
	buf_free(&f.b);
}

static void trailer(void **state)
{
	uint8_t tail[PQX_TAIL_MAX] = {0};
	struct buf b = BUF_INIT(64);
	size_t len;

	(void)state;
	pqx_trailer_put(5, &b);
	assert_int_equal(b.len, PQX_TRAILER_LEN);
	assert_memory_equal(b.p, "\0\0\0\5PQXM", 8);
	memcpy(tail + 5, b.p, 8);
	assert_int_equal(pqx_trailer_get(tail, 13, &len), 0);
	assert_int_equal(len, 5);
	assert_int_equal(pqx_trailer_get(tail + 1, 12, &len), PQC_EINTEGRITY);
	for (size_t n = 0; n < 8; n++)
		assert_int_equal(pqx_trailer_get(tail + 5, n, &len), PQC_EINTEGRITY);
	for (size_t bit = 8 * 9; bit < 8 * 13; bit++) {
		flip(tail, bit);
		assert_int_equal(pqx_trailer_get(tail, 13, &len), PQC_EINTEGRITY);
		flip(tail, bit);
	}
	memmove(tail + PQX_MANIFEST_MAX, tail + 5, 8);
	be32_put(tail + PQX_MANIFEST_MAX, PQX_MANIFEST_MAX);
	assert_int_equal(pqx_trailer_get(tail, PQX_TAIL_MAX, &len), 0);
	be32_put(tail + PQX_MANIFEST_MAX, PQX_MANIFEST_MAX + 1);
	assert_int_equal(pqx_trailer_get(tail, PQX_TAIL_MAX, &len), PQC_EINTEGRITY);
	be32_put(tail + PQX_MANIFEST_MAX, 0);
	assert_int_equal(pqx_trailer_get(tail, PQX_TAIL_MAX, &len), PQC_EINTEGRITY);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(make_refuses),
		cmocka_unit_test(every_bit_of_an_unsigned_one),
		cmocka_unit_test(bits_of_a_signed_one),
		cmocka_unit_test(lengths),
		cmocka_unit_test(lawless_signer),
		cmocka_unit_test(auth_fits_the_sender),
		cmocka_unit_test(of_another_file),
		cmocka_unit_test(decode_only),
		cmocka_unit_test(trailer),
	};

	return cmocka_run_group_tests(tests, people_new, people_free);
}
