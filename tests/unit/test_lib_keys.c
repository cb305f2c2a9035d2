/* libpqc: identities, key-encryption keys, the KEM by itself, paths and pins. */
#include "lib_fixture.h"

static const char *const suites[] = {"Kyber768", "Kyber1024"};

/* ---- identities ---- */

static void identity_goes_through_text_and_file(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		const char *pass = i & 1 ? "correct horse" : NULL;
		struct pqc_identity *id, *again, *third;
		struct pqc_public *a, *b;
		struct pqc_buffer text;
		char path[300];

		snprintf(path, sizeof(path), "%s-%d", at("id"), i);
		ok(pqc_identity_generate(suites[i / 2], &id, &e));
		ok(pqc_identity_format(id, pass, &text, &e));
		assert_int_equal(((char *)text.data)[text.size], 0);
		assert_int_equal(strlen(text.data), text.size);
		ok(pqc_identity_parse(text.data, text.size, pass, &again, &e));
		ok(pqc_identity_save(again, path, pass, "somebody", &e));
		fails(PQC_EEXIST, path, pqc_identity_save(again, path, pass, NULL, &e));
		ok(pqc_identity_load(path, pass, &third, &e));
		ok(pqc_identity_public(third, "somebody", &a, &e));
		strcat(path, ".pub");
		ok(pqc_public_load(path, &b, &e));
		assert_memory_equal(pqc_public_id(a), pqc_public_id(b), PQC_ID_SIZE);
		assert_string_equal(pqc_public_suite(a), suites[i / 2]);
		assert_non_null(strstr(pqc_public_text(b), " somebody"));
		assert_null(strchr(pqc_public_text(b), '\n'));
		pqc_buffer_free(&text);
		assert_null(text.data);
		assert_int_equal(text.size, 0);
		pqc_public_free(a);
		pqc_public_free(b);
		pqc_identity_free(id);
		pqc_identity_free(again);
		pqc_identity_free(third);
	}
}

static void passphrases_are_needed_right_and_not_empty(void **state)
{
	struct pqc_identity *id, *other = (struct pqc_identity *)1;
	struct pqc_buffer text;

	(void)state;
	ok(pqc_identity_generate(NULL, &id, &e));
	ok(pqc_identity_format(id, "right", &text, &e));
	fails(PQC_EPASSPHRASE, "passphrase",
	      pqc_identity_parse(text.data, text.size, NULL, &other, &e));
	assert_null(other);
	fails(PQC_EPASSPHRASE, "wrong",
	      pqc_identity_parse(text.data, text.size, "wrong", &other, &e));
	((char *)text.data)[text.size / 2] ^= 1;
	assert_int_equal(pqc_identity_parse(text.data, text.size, "right", &other, &e) < 0, 1);
	assert_null(other);
	pqc_buffer_free(&text);
	fails(PQC_EPASSPHRASE, "empty", pqc_identity_format(id, "", &text, &e));
	assert_null(text.data);
	pqc_identity_free(id);
}

static void files_that_others_read_are_refused(void **state)
{
	struct pqc_identity *id;

	(void)state;
	ok(pqc_identity_generate(NULL, &id, &e));
	ok(pqc_identity_save(id, at("open"), NULL, NULL, &e));
	pqc_identity_free(id);
	assert_int_equal(chmod(at("open"), 0644), 0);
	fails(PQC_EREFUSED, "chmod", pqc_identity_load(at("open"), NULL, &id, &e));
	assert_null(id);
	fails(PQC_ENOTFOUND, "absent", pqc_identity_load(at("absent"), NULL, &id, &e));
	fails(PQC_EUSAGE, "RSA", pqc_identity_generate("RSA", &id, &e));
	fails(PQC_EINTEGRITY, "", pqc_identity_parse("nonsense", 8, NULL, &id, &e));
	fails(PQC_EINTEGRITY, "", pqc_identity_parse("", 0, NULL, &id, &e));
}

static void comments_are_bounded(void **state)
{
	struct pqc_identity *id;
	struct pqc_public *p;
	char long_one[129];

	(void)state;
	memset(long_one, 'x', 128);
	long_one[128] = '\0';
	ok(pqc_identity_generate(NULL, &id, &e));
	fails(PQC_EUSAGE, "127", pqc_identity_public(id, long_one, &p, &e));
	assert_null(p);
	fails(PQC_EUSAGE, "printable", pqc_identity_public(id, "a\nb", &p, &e));
	ok(pqc_identity_public(id, "", &p, &e));
	pqc_public_free(p);
	pqc_identity_free(id);
}

static void public_line_is_verified(void **state)
{
	struct pqc_identity *id;
	struct pqc_public *p, *again;
	char *line;
	size_t n;

	(void)state;
	ok(pqc_identity_generate(NULL, &id, &e));
	ok(pqc_identity_public(id, "c", &p, &e));
	n = strlen(pqc_public_text(p));
	line = malloc(n + 2);
	assert_non_null(line);
	memcpy(line, pqc_public_text(p), n);
	line[n] = '\n';
	ok(pqc_public_parse(line, n + 1, &again, &e));
	assert_string_equal(pqc_public_text(again), pqc_public_text(p));
	pqc_public_free(again);
	line[60] = line[60] == 'A' ? 'B' : 'A';
	fails(PQC_EINTEGRITY, "", pqc_public_parse(line, n, &again, &e));
	assert_null(again);
	fails(PQC_EINTEGRITY, "", pqc_public_parse(line, 0, &again, &e));
	write_file(at("bad.pub"), line, n);
	fails(PQC_EINTEGRITY, "bad.pub", pqc_public_load(at("bad.pub"), &again, &e));
	fails(PQC_ENOTFOUND, "absent", pqc_public_load(at("absent"), &again, &e));
	free(line);
	pqc_public_free(p);
	pqc_identity_free(id);
}

/* ---- key-encryption keys ---- */

static void kek_comes_from_its_file(void **state)
{
	static const char text[] = "# mine\n\npqc-kek-v1 000102030405060708090a0b0c0d0e0f 7 "
				   "00000000000000000000000000000000000000000000000000000000000000"
				   "ff\n";
	struct pqc_kek k;

	(void)state;
	write_file(at("kek"), text, sizeof(text) - 1);
	ok(pqc_kek_load(at("kek"), &k, &e));
	assert_int_equal(k.version, 7);
	assert_int_equal(k.id[15], 15);
	assert_int_equal(k.key[31], 255);
	assert_int_equal(chmod(at("kek"), 0640), 0);
	fails(PQC_EREFUSED, "chmod", pqc_kek_load(at("kek"), &k, &e));
	write_file(at("bad"), text, sizeof(text) - 5);
	fails(PQC_ECONFIG, "bad:3", pqc_kek_load(at("bad"), &k, &e));
	assert_null(strstr(e.message, "ff"));
	fails(PQC_ENOTFOUND, "absent", pqc_kek_load(at("absent"), &k, &e));
	assert_false(is_there(at("absent")));
}

/* ---- the KEM ---- */

static void kem_secrets_agree(void **state)
{
	const size_t pk_len[] = {1216, 1665}, ct_len[] = {1120, 1665};

	(void)state;
	for (int i = 0; i < 2; i++) {
		uint8_t a[PQC_KEY_SIZE], b[PQC_KEY_SIZE], c[PQC_KEY_SIZE];
		struct pqc_buffer pk, sk, ct, ct2;

		ok(pqc_kem_generate(suites[i], &pk, &sk, &e));
		assert_int_equal(pk.size, pk_len[i]);
		ok(pqc_kem_encapsulate(suites[i], pk.data, pk.size, &ct, a, &e));
		assert_int_equal(ct.size, ct_len[i]);
		ok(pqc_kem_decapsulate(suites[i], sk.data, sk.size, ct.data, ct.size, b, &e));
		assert_memory_equal(a, b, PQC_KEY_SIZE);
		ok(pqc_kem_encapsulate(suites[i], pk.data, pk.size, &ct2, c, &e));
		assert_memory_not_equal(a, c, PQC_KEY_SIZE);
		/* Another's ciphertext, and an edited one: a secret all the same, and another one. */
		((uint8_t *)ct.data)[ct.size - 1] ^= 1;
		ok(pqc_kem_decapsulate(suites[i], sk.data, sk.size, ct.data, ct.size, c, &e));
		assert_memory_not_equal(a, c, PQC_KEY_SIZE);
		pqc_buffer_free(&pk);
		pqc_buffer_free(&sk);
		pqc_buffer_free(&ct);
		pqc_buffer_free(&ct2);
	}
}

static void kem_refuses_what_is_no_key(void **state)
{
	struct pqc_buffer pk[2], sk[2], ct;
	uint8_t ss[PQC_KEY_SIZE];

	(void)state;
	ok(pqc_kem_generate(NULL, &pk[0], &sk[0], &e));
	ok(pqc_kem_generate("ML-KEM-1024", &pk[1], &sk[1], &e));
	fails(PQC_EINTEGRITY, "1665 bytes",
	      pqc_kem_encapsulate("Kyber1024", pk[0].data, pk[0].size, &ct, ss, &e));
	assert_null(ct.data);
	ok(pqc_kem_encapsulate("Kyber768", pk[0].data, pk[0].size, &ct, ss, &e));
	fails(PQC_EINTEGRITY, "1120 bytes",
	      pqc_kem_decapsulate(NULL, sk[0].data, sk[0].size, ct.data, ct.size - 1, ss, &e));
	fails(PQC_EINTEGRITY, "private key",
	      pqc_kem_decapsulate(NULL, sk[1].data, sk[1].size, ct.data, ct.size, ss, &e));
	fails(PQC_EINTEGRITY, "private key",
	      pqc_kem_decapsulate(NULL, sk[0].data, sk[0].size - 30, ct.data, ct.size, ss, &e));
	fails(PQC_EINTEGRITY, "private key",
	      pqc_kem_decapsulate(NULL, "", 0, ct.data, ct.size, ss, &e));
	pqc_buffer_free(&ct);
	/* 0xff.. is no point of P-384 and no ML-KEM key either. */
	memset(pk[1].data, 0xff, pk[1].size);
	fails(PQC_EINTEGRITY, "public key",
	      pqc_kem_encapsulate("Kyber1024", pk[1].data, pk[1].size, &ct, ss, &e));
	fails(PQC_EUSAGE, "RSA", pqc_kem_generate("RSA", &ct, &ct, &e));
	for (int i = 0; i < 2; i++) {
		pqc_buffer_free(&pk[i]);
		pqc_buffer_free(&sk[i]);
	}
}

/* ---- paths and pins ---- */

static void home_is_the_first_that_is_set(void **state)
{
	struct pqc_buffer b;

	(void)state;
	setenv("PQC_HOME", "/a/", 1);
	setenv("PQC_KEY_STORE_PATH", "/b", 1);
	ok(pqc_home_path("identity", &b, &e));
	assert_string_equal(b.data, "/a/identity");
	pqc_buffer_free(&b);
	ok(pqc_home_path("", &b, &e));
	assert_string_equal(b.data, "/a");
	pqc_buffer_free(&b);
	unsetenv("PQC_HOME");
	ok(pqc_home_path("x", &b, &e));
	assert_string_equal(b.data, "/b/x");
	pqc_buffer_free(&b);
	unsetenv("PQC_KEY_STORE_PATH");
	setenv("XDG_CONFIG_HOME", "/c", 1);
	ok(pqc_home_path("", &b, &e));
	assert_string_equal(b.data, "/c/pqc");
	pqc_buffer_free(&b);
	unsetenv("XDG_CONFIG_HOME");
	setenv("HOME", "/d", 1);
	ok(pqc_home_path("x", &b, &e));
	assert_string_equal(b.data, "/d/.config/pqc/x");
	pqc_buffer_free(&b);
	unsetenv("HOME"); /* the user database says */
	ok(pqc_home_path("", &b, &e));
	assert_int_equal(*(char *)b.data, '/');
	pqc_buffer_free(&b);
}

static void pins_are_kept(void **state)
{
	uint8_t one[PQC_ID_SIZE] = {1}, two[PQC_ID_SIZE] = {2};
	const char *path = at("new/known");
	char text[200];
	uint8_t *file;
	size_t n;

	(void)state;
	ok(pqc_known_add(path, "example.org", one, &e));
	ok(pqc_known_add(path, "pqc://example.org:8765", one, &e));
	fails(PQC_EEXIST, "", pqc_known_add(path, "example.org:8765", two, &e));
	fails(PQC_EUSAGE, "HOST", pqc_known_add(path, "example.org/name", two, &e));
	file = read_file(path, &n);
	snprintf(text, sizeof(text), "%.*s", (int)(n < 199 ? n : 199), (char *)file);
	assert_int_equal(strncmp(text, "example.org:8765 0100", 21), 0);
	free(file);
	ok(pqc_known_remove(path, "example.org", &e));
	fails(PQC_ENOTFOUND, "example.org", pqc_known_remove(path, "example.org", &e));
	setenv("PQC_HOME", at("home"), 1);
	ok(pqc_known_add(NULL, "[::1]:99", one, &e));
	assert_true(is_there(at("home/known_servers")));
	ok(pqc_known_remove(NULL, "[::1]:99", &e));
	unsetenv("PQC_HOME");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(identity_goes_through_text_and_file, place_new,
						place_free),
		cmocka_unit_test(passphrases_are_needed_right_and_not_empty),
		cmocka_unit_test_setup_teardown(files_that_others_read_are_refused, place_new,
						place_free),
		cmocka_unit_test(comments_are_bounded),
		cmocka_unit_test_setup_teardown(public_line_is_verified, place_new, place_free),
		cmocka_unit_test_setup_teardown(kek_comes_from_its_file, place_new, place_free),
		cmocka_unit_test(kem_secrets_agree),
		cmocka_unit_test(kem_refuses_what_is_no_key),
		cmocka_unit_test(home_is_the_first_that_is_set),
		cmocka_unit_test_setup_teardown(pins_are_kept, place_new, place_free),
	};

	return cmocka_run_group_tests_name("lib_keys", tests, NULL, NULL);
}
