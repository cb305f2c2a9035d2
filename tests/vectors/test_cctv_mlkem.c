/* ML-KEM vectors of the Community Cryptography Test Vectors. */
#include "vectors.h"

#include <zlib.h>

#include "crypto/pkey.h"

#define LINE_MAX_ (2 * 4096 + 16)

/* Public keys of which one coefficient is not below the modulus: one per line, all refused. */
static void check_modulus(const struct pkey_alg *a, const char *name)
{
	struct tally t = {0, 0};
	char path[512], *line;
	uint8_t *pk;
	gzFile f;

	vector_path(name, path); /* may skip the test, and not come back */
	line = malloc(LINE_MAX_);
	pk = malloc(a->pk_len);
	assert_true(line != NULL && pk != NULL);
	f = gzopen(path, "rb");
	assert_non_null(f);
	while (gzgets(f, line, LINE_MAX_) != NULL) {
		EVP_PKEY *k = NULL;

		line[strcspn(line, "\n")] = '\0';
		assert_int_equal(hex_decode(line, pk, a->pk_len), 0);
		tally_add(&t, name, (long long)t.ran + 1,
			  pkey_from_public(a, pk, &k) == PQC_EINTEGRITY ? NULL : "accepted");
	}
	assert_true(gzeof(f));
	(void)gzclose(f);
	free(line);
	free(pk);
	tally_end(&t, name);
}

static void test_modulus(void **state)
{
	(void)state;
	check_modulus(&pkey_mlkem768, "cctv/ML-KEM-768-modulus.txt.gz");
	check_modulus(&pkey_mlkem1024, "cctv/ML-KEM-1024-modulus.txt.gz");
}

/* "name = hex" on the next line of f. */
static struct span named(FILE *f, struct arena *a, const char *name)
{
	const struct vector v = {.arena = a};
	char *line = arena_get(a, LINE_MAX_);

	assert_non_null(fgets(line, LINE_MAX_, f));
	line[strcspn(line, "\n")] = '\0';
	assert_int_equal(strncmp(line, name, strlen(name)), 0);
	assert_int_equal(strncmp(line + strlen(name), " = ", 3), 0);
	return hex_span(&v, line + strlen(name) + 3);
}

/*
 * A ciphertext that differs from the re-encrypted one after a zero byte, which
 * strcmp() takes for the same: to be rejected implicitly. dk is in the expanded
 * form, which our key files do not know.
 */
static void check_strcmp(const struct pkey_alg *a, const char *name)
{
	struct arena arena = {.n = 0};
	struct span dk, c, want;
	char path[512];
	uint8_t ss[32];
	EVP_PKEY *k;
	FILE *f;

	vector_path(name, path);
	f = fopen(path, "r");
	assert_non_null(f);
	dk = named(f, &arena, "dk");
	c = named(f, &arena, "c");
	want = named(f, &arena, "K");
	(void)fclose(f);
	assert_int_equal(c.n, a->ct_len);
	k = EVP_PKEY_new_raw_private_key_ex(NULL, a->type, NULL, dk.p, dk.n);
	assert_non_null(k);
	assert_int_equal(pkey_decap(a, k, c.p, ss), 0);
	assert_true(want.n == 32 && same(ss, want));
	EVP_PKEY_free(k);
	arena_clear(&arena);
}

static void test_strcmp(void **state)
{
	(void)state;
	check_strcmp(&pkey_mlkem768, "cctv/ML-KEM-768-strcmp.txt");
	check_strcmp(&pkey_mlkem1024, "cctv/ML-KEM-1024-strcmp.txt");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modulus),
		cmocka_unit_test(test_strcmp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
