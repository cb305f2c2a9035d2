#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"
#include "crypto/pem.h"

/* Two identities of each suite and their plain texts, made once. */
struct fixture {
	struct identity *id[3];
	struct buf text[3];
	char dir[64];
};
static struct fixture fx;

static int setup(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		buf_init(&fx.text[s], KEYFILE_MAX);
		if (identity_generate(suite_by_id(s), &fx.id[s]) != 0 ||
		    identity_encode(fx.id[s], NULL, &fx.text[s], NULL) != 0)
			return -1;
	}
	strcpy(fx.dir, "/tmp/pqc-identity-XXXXXX");
	return mkdtemp(fx.dir) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		identity_free(fx.id[s]);
		buf_free(&fx.text[s]);
	}
	return rmdir(fx.dir); /* each test removes its files */
}

static const char *in_dir(const char *name, char path[128])
{
	(void)snprintf(path, 128, "%s/%s", fx.dir, name);
	return path;
}

static void assert_same(const struct identity *a, const struct identity *b)
{
	assert_memory_equal(identity_public(a), identity_public(b), sizeof(struct public_identity));
}

/* Decoding fails with code and says something; nothing is given out. */
static void assert_bad(const void *text, size_t n, const char *pass, int code)
{
	struct identity *id = NULL;
	struct err e = {0};

	assert_int_equal(identity_decode(text, n, pass, &id, &e), code);
	assert_null(id);
	assert_int_equal(e.code, code);
	assert_true(strlen(e.msg) > 10);
}

/* ------------------------------------------------------------ plain text */

static void test_roundtrip(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		struct identity *id = NULL;
		struct buf again = BUF_INIT(KEYFILE_MAX);
		struct buf spaced = BUF_INIT(KEYFILE_MAX);

		assert_false(identity_is_encrypted(fx.text[s].p, fx.text[s].len));
		assert_int_equal(identity_decode(fx.text[s].p, fx.text[s].len, NULL, &id, NULL), 0);
		assert_same(fx.id[s], id);
		assert_int_equal(identity_encode(id, NULL, &again, NULL), 0);
		assert_int_equal(again.len, fx.text[s].len);
		assert_memory_equal(again.p, fx.text[s].p, again.len);
		identity_free(id);
		/* whitespace around is no matter */
		buf_printf(&spaced, "\n \t\r\n%s\n\n  ", buf_cstr(&fx.text[s]));
		assert_int_equal(identity_decode(spaced.p, spaced.len, NULL, &id, NULL), 0);
		identity_free(id);
		buf_free(&spaced);
		buf_free(&again);
	}
}

/* The blocks of the plain text. */
struct blocks {
	const char *p[4];
	size_t len[4], n;
};

static struct blocks blocks_of(struct buf *text)
{
	static const char end[] = "-----END PRIVATE KEY-----\n";
	const char *p = buf_cstr(text);
	struct blocks b = {.n = 0};

	for (const char *q; (q = strstr(p, end)) != NULL; p = q + strlen(end)) {
		assert_true(b.n < 4);
		b.p[b.n] = p;
		b.len[b.n++] = (size_t)(q - p) + strlen(end);
	}
	return b;
}

/* Each block holds a seed or a short private key and nothing more. */
static void test_seed_only(void **state)
{
	static const size_t sizes[3][4] = {{0}, {54, 48, 86, 48}, {54, 86, 185}};

	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		struct pem in = {(const char *)fx.text[s].p,
				 (const char *)fx.text[s].p + fx.text[s].len};
		size_t i;

		for (i = 0; !pem_at_end(&in); i++) {
			struct buf der = BUF_INIT(256);

			assert_int_equal(pem_read(&in, "PRIVATE KEY", &der), 0);
			assert_int_equal(der.len, sizes[s][i]);
			assert_int_equal(der.p[0], 0x30);
			if (der.len < 128)
				assert_int_equal(der.p[1], der.len - 2);
			else
				assert_int_equal(der.p[2], der.len - 3);
			buf_free(&der);
		}
		assert_int_equal(i, s == SUITE_KYBER768 ? 4 : 3);
	}
}

static void test_block_order(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		struct blocks b = blocks_of(&fx.text[s]);
		struct buf t = BUF_INIT(KEYFILE_MAX);

		for (size_t i = 0; i < b.n; i++) { /* one missing */
			buf_reset(&t);
			for (size_t j = 0; j < b.n; j++)
				if (j != i)
					buf_put(&t, b.p[j], b.len[j]);
			assert_bad(t.p, t.len, NULL, PQC_EINTEGRITY);
		}
		for (size_t i = 0; i < b.n; i++) { /* one twice, any two swapped */
			for (size_t k = 0; k < b.n; k++) {
				if (k == i)
					continue;
				buf_reset(&t);
				for (size_t j = 0; j < b.n; j++) {
					size_t from = j == i ? k : (j == k ? i : j);

					buf_put(&t, b.p[from], b.len[from]);
				}
				assert_bad(t.p, t.len, NULL, PQC_EINTEGRITY);
			}
			buf_reset(&t);
			buf_put(&t, fx.text[s].p, fx.text[s].len);
			buf_put(&t, b.p[i], b.len[i]);
			assert_bad(t.p, t.len, NULL, PQC_EINTEGRITY);
		}
		buf_free(&t);
	}
}

/* Keys of one suite in a file of the other. */
static void test_mixed_suites(void **state)
{
	struct blocks one = blocks_of(&fx.text[1]), two = blocks_of(&fx.text[2]);
	struct buf t = BUF_INIT(KEYFILE_MAX);

	(void)state;
	buf_put(&t, two.p[0], two.len[0]);
	for (size_t i = 1; i < 4; i++)
		buf_put(&t, one.p[i], one.len[i]);
	assert_bad(t.p, t.len, NULL, PQC_EINTEGRITY);
	buf_free(&t);
}

static void test_garbage(void **state)
{
	static const char *const texts[] = {
		"",
		" \n",
		"x",
		"-----BEGIN PRIVATE KEY-----",
		"-----BEGIN PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
		"-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n",
	};
	struct buf t = BUF_INIT(2 * KEYFILE_MAX);

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_bad(texts[i], strlen(texts[i]), NULL, PQC_EINTEGRITY);
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		buf_reset(&t);
		buf_printf(&t, "%sx", buf_cstr(&fx.text[s]));
		assert_bad(t.p, t.len, NULL, PQC_EINTEGRITY);
		buf_reset(&t);
		buf_printf(&t, "Comment: x\n%s", buf_cstr(&fx.text[s]));
		assert_bad(t.p, t.len, NULL, PQC_EINTEGRITY);
		buf_reset(&t);
		buf_put(&t, fx.text[s].p, fx.text[s].len);
		buf_put_u8(&t, 0);
		assert_bad(t.p, t.len, NULL, PQC_EINTEGRITY);
		/* beyond the limit even if it is only whitespace */
		buf_reset(&t);
		buf_put(&t, fx.text[s].p, fx.text[s].len);
		while (t.len <= KEYFILE_MAX)
			buf_put_u8(&t, '\n');
		assert_bad(t.p, t.len, NULL, PQC_EINTEGRITY);
	}
	buf_free(&t);
}

static void test_truncations(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		size_t whole = fx.text[s].len - 1; /* the last newline may be missing */

		for (size_t n = 0; n < whole; n += n + 90 < whole ? 7 : 1)
			assert_bad(fx.text[s].p, n, NULL, PQC_EINTEGRITY);
	}
}

/* A changed character makes no key, or exactly the key that now is written there. */
static void test_edited(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		struct buf t = BUF_INIT(KEYFILE_MAX), again = BUF_INIT(KEYFILE_MAX);

		buf_put(&t, fx.text[s].p, fx.text[s].len);
		for (size_t i = 0; i < t.len; i += 5) {
			struct identity *id = NULL;
			uint8_t was = t.p[i];

			if (was == '\n')
				continue;
			t.p[i] = was == 'A' ? 'B' : 'A';
			if (identity_decode(t.p, t.len, NULL, &id, NULL) == 0) {
				buf_reset(&again);
				assert_int_equal(identity_encode(id, NULL, &again, NULL), 0);
				assert_int_equal(again.len, t.len);
				assert_memory_equal(again.p, t.p, t.len);
				identity_free(id);
			}
			t.p[i] = was;
		}
		buf_free(&again);
		buf_free(&t);
	}
}

/* ------------------------------------------------------------- encrypted */

/* The bytes inside the encrypted block, and back to text. */
static void unwrap(const struct buf *text, struct buf *body)
{
	struct pem in = {(const char *)text->p, (const char *)text->p + text->len};

	assert_int_equal(pem_read(&in, "PQC ENCRYPTED PRIVATE KEY", body), 0);
	assert_true(pem_at_end(&in));
}

static void assert_body(const struct buf *body, size_t n, int code)
{
	struct buf t = BUF_INIT(KEYFILE_MAX);

	pem_write(&t, "PQC ENCRYPTED PRIVATE KEY", body->p, n);
	assert_bad(t.p, t.len, "passphrase", code);
	buf_free(&t);
}

static void test_encrypted(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		struct buf t = BUF_INIT(KEYFILE_MAX), body = BUF_INIT(KEYFILE_MAX);
		struct identity *id = NULL;

		assert_int_equal(identity_encode(fx.id[s], "passphrase", &t, NULL), 0);
		assert_true(identity_is_encrypted(t.p, t.len));
		assert_int_equal(identity_decode(t.p, t.len, "passphrase", &id, NULL), 0);
		assert_same(fx.id[s], id);
		identity_free(id);
		assert_bad(t.p, t.len, NULL, PQC_EPASSPHRASE);
		assert_bad(t.p, t.len, "Passphrase", PQC_EPASSPHRASE);
		assert_bad(t.p, t.len, "", PQC_EPASSPHRASE);
		buf_put_u8(&t, 'x');
		assert_bad(t.p, t.len, "passphrase", PQC_EINTEGRITY);
		t.len--;

		unwrap(&t, &body);
		assert_int_equal(body.len, 45 + 56 + fx.text[s].len + 16);
		for (size_t n = 0; n < 45 + 56 + 16; n += 29)
			assert_body(&body, n, PQC_EINTEGRITY);
		assert_body(&body, 45 + 56 + 16, PQC_EINTEGRITY); /* an empty message */
		assert_body(&body, body.len - 1, PQC_EINTEGRITY);
		body.p[body.len - 1] ^=
			1; /* the tag: the commitment has shown the passphrase right */
		assert_body(&body, body.len, PQC_EINTEGRITY);
		body.p[body.len - 1] ^= 1;
		body.p[45 + 24] ^= 1; /* the commitment: cannot be told from a wrong passphrase */
		assert_body(&body, body.len, PQC_EPASSPHRASE);
		body.p[45 + 24] ^= 1;
		body.p[20] ^= 1; /* Argon2 salt */
		assert_body(&body, body.len, PQC_EPASSPHRASE);
		buf_free(&body);
		buf_free(&t);
	}
}

/* The head decides how much work is done for a stranger's file: bounded before anything is. */
static void test_encrypted_bounds(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} bad[] = {
		{1, ARGON2_M_MIN - 1}, {1, ARGON2_M_MAX + 1},
		{1, UINT32_MAX},       {5, 0},
		{5, ARGON2_T_MAX + 1}, {9, 0},
		{9, ARGON2_P_MAX + 1},
	};
	struct buf t = BUF_INIT(KEYFILE_MAX), body = BUF_INIT(KEYFILE_MAX);

	(void)state;
	assert_int_equal(identity_encode(fx.id[1], "passphrase", &t, NULL), 0);
	unwrap(&t, &body);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint32_t was = be32_get(body.p + bad[i].at);

		be32_put(body.p + bad[i].at, bad[i].value);
		assert_body(&body, body.len, PQC_EINTEGRITY);
		be32_put(body.p + bad[i].at, was);
	}
	be32_put(body.p + 5, 2); /* fewer passes, in bounds: another key */
	assert_body(&body, body.len, PQC_EPASSPHRASE);
	be32_put(body.p + 5, 3);
	body.p[0] = 2;
	assert_body(&body, body.len, PQC_EINTEGRITY);
	buf_free(&body);
	buf_free(&t);
}

static void test_encode_refuses(void **state)
{
	struct buf t = BUF_INIT(KEYFILE_MAX), small = BUF_INIT(100);
	struct err e = {0};

	(void)state;
	assert_int_equal(identity_encode(fx.id[1], "", &t, &e), PQC_EPASSPHRASE);
	assert_int_equal(e.code, PQC_EPASSPHRASE);
	assert_int_equal(t.len, 0);
	assert_int_equal(identity_encode(fx.id[1], NULL, &small, &e), PQC_ETOOBIG);
	assert_int_equal(e.code, PQC_ETOOBIG);
	buf_free(&small);
	buf_free(&t);
}

/* ---------------------------------------------------------------- public */

static void assert_bad_line(const char *line, size_t n)
{
	struct public_identity p;
	struct err e = {0};

	memset(&p, 0xa5, sizeof p);
	assert_int_equal(public_identity_decode(line, n, &p, &e), PQC_EINTEGRITY);
	assert_int_equal(e.code, PQC_EINTEGRITY);
	for (size_t i = 0; i < sizeof p; i++)
		assert_int_equal(((const uint8_t *)&p)[i], 0xa5); /* untouched */
}

static void test_public(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		const struct public_identity *own = identity_public(fx.id[s]);
		struct buf line = BUF_INIT(KEYFILE_MAX);
		struct public_identity p;
		uint8_t id[ID_LEN];

		assert_int_equal(public_identity_encode(fx.id[s], NULL, &line), 0);
		assert_int_equal(line.p[line.len - 1], '\n');
		for (size_t n = line.len - 1; n <= line.len; n++) { /* the newline may be missing */
			assert_int_equal(public_identity_decode((const char *)line.p, n, &p, NULL),
					 0);
			assert_memory_equal(&p, own, sizeof p);
		}
		assert_int_equal(identity_id(own->suite, own->sig_pk, id), 0);
		assert_memory_equal(id, own->id, ID_LEN);
		buf_reset(&line);
		assert_int_equal(public_identity_encode(fx.id[s], "Zoë at the mill", &line), 0);
		assert_int_equal(public_identity_decode((const char *)line.p, line.len, &p, NULL),
				 0);
		assert_string_equal(p.comment, "Zoë at the mill");
		assert_memory_equal(p.sig_pk, own->sig_pk, sizeof p.sig_pk);
		buf_free(&line);
	}
}

/* Every byte is under the signature: suite, both keys, the signature itself. */
static void test_public_edited(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		struct buf line = BUF_INIT(KEYFILE_MAX);
		size_t word = strlen("pqc-identity-v1 ");

		assert_int_equal(public_identity_encode(fx.id[s], NULL, &line), 0);
		for (size_t n = 0; n < line.len - 1; n += n < word + 5 ? 1 : 97)
			assert_bad_line((const char *)line.p, n);
		assert_bad_line((const char *)line.p, line.len - 2);
		for (size_t i = 0; i < line.len - 1; i += i < word + 5 ? 1 : 61) {
			uint8_t was = line.p[i];

			line.p[i] = was == 'A' ? 'B' : 'A';
			assert_bad_line((const char *)line.p, line.len);
			line.p[i] = was;
		}
		buf_put_str(&line, "\n");
		assert_bad_line((const char *)line.p, line.len);
		buf_put_str(&line, "x\n");
		assert_bad_line((const char *)line.p, line.len);
		buf_free(&line);
	}
}

static void test_comments(void **state)
{
	static const char *const bad[] = {"tab\there", "line\nbreak",	    "\xff",
					  "del\x7f",   "bidi \xe2\x80\xae", "cut \xc3"};
	char full[129];
	struct buf line = BUF_INIT(KEYFILE_MAX);
	struct public_identity p;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		buf_reset(&line);
		assert_int_equal(public_identity_encode(fx.id[1], bad[i], &line), PQC_EUSAGE);
		assert_int_equal(line.len, 0);
		assert_int_equal(public_identity_encode(fx.id[1], NULL, &line), 0);
		line.len--;
		buf_printf(&line, " %s", bad[i]);
		assert_bad_line((const char *)line.p, line.len);
	}
	memset(full, 'c', sizeof full);
	full[128] = '\0';
	buf_reset(&line);
	assert_int_equal(public_identity_encode(fx.id[1], full, &line), PQC_EUSAGE);
	full[127] = '\0';
	assert_int_equal(public_identity_encode(fx.id[1], full, &line), 0);
	assert_int_equal(public_identity_decode((const char *)line.p, line.len, &p, NULL), 0);
	assert_string_equal(p.comment, full);
	line.len--;
	buf_put_str(&line, "c\n");
	assert_bad_line((const char *)line.p, line.len);
	buf_free(&line);
}

/* ----------------------------------------------------------------- files */

static void test_files(void **state)
{
	(void)state;
	for (unsigned s = SUITE_KYBER768; s <= SUITE_KYBER1024; s++) {
		char key[128], pub[128];
		struct identity *id = NULL;
		struct public_identity p;
		struct stat st;

		in_dir("key", key);
		in_dir("key.pub", pub);
		assert_int_equal(identity_save(fx.id[s], key, NULL, "me", NULL), 0);
		assert_int_equal(stat(key, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(stat(pub, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0644);
		assert_int_equal(identity_load(key, NULL, &id, NULL), 0);
		assert_same(fx.id[s], id);
		identity_free(id);
		assert_int_equal(public_identity_load(pub, &p, NULL), 0);
		assert_string_equal(p.comment, "me");
		assert_memory_equal(p.id, identity_public(fx.id[s])->id, ID_LEN);
		assert_int_equal(unlink(key), 0);
		assert_int_equal(unlink(pub), 0);
	}
}

/* A key or its public half that is there stays as it is, and no half pair is left behind. */
static void test_no_overwrite(void **state)
{
	char key[128], pub[128];
	struct err e = {0};
	struct stat before, after;

	(void)state;
	in_dir("key", key);
	in_dir("key.pub", pub);
	assert_int_equal(identity_save(fx.id[1], key, NULL, NULL, NULL), 0);
	assert_int_equal(stat(key, &before), 0);
	assert_int_equal(identity_save(fx.id[2], key, NULL, NULL, &e), PQC_EEXIST);
	assert_int_equal(e.code, PQC_EEXIST);
	assert_int_equal(stat(key, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(unlink(key), 0);
	assert_int_equal(identity_save(fx.id[2], key, NULL, NULL, &e), PQC_EEXIST);
	assert_int_equal(access(key, F_OK), -1);
	assert_int_equal(unlink(pub), 0);
	assert_int_equal(identity_save(fx.id[1], key, NULL, "bad\tcomment", &e), PQC_EUSAGE);
	assert_int_equal(access(key, F_OK), -1);
}

static void test_modes(void **state)
{
	static const mode_t wide[] = {0644, 0640, 0604, 0660, 0666, 0700, 0610, 0601, 04600};
	char key[128], pub[128], mode[8];
	struct identity *id = NULL;

	(void)state;
	in_dir("key", key);
	in_dir("key.pub", pub);
	assert_int_equal(identity_save(fx.id[1], key, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
		struct err e = {0};

		assert_int_equal(chmod(key, wide[i]), 0);
		assert_int_equal(identity_load(key, NULL, &id, &e), PQC_EREFUSED);
		assert_null(id);
		(void)snprintf(mode, sizeof mode, "%04o", (unsigned)wide[i]);
		assert_non_null(strstr(e.msg, mode));
		assert_non_null(strstr(e.msg, "chmod 600"));
	}
	assert_int_equal(chmod(key, 0400), 0);
	assert_int_equal(identity_load(key, NULL, &id, NULL), 0);
	identity_free(id);
	if (geteuid() == 0) {
		id = NULL;
		assert_int_equal(chown(key, 12345, (gid_t)-1), 0);
		assert_int_equal(identity_load(key, NULL, &id, NULL), PQC_EREFUSED);
	}
	assert_int_equal(unlink(key), 0);
	assert_int_equal(unlink(pub), 0);
}

/* Neither a directory nor a pipe is waited for or read; what is missing is called that. */
static void test_not_files(void **state)
{
	char path[128];
	struct identity *id = NULL;
	struct err e = {0};
	FILE *f;

	(void)state;
	in_dir("key", path);
	assert_int_equal(identity_load(path, NULL, &id, &e), PQC_ENOTFOUND);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(identity_load(path, NULL, &id, &e), PQC_EREFUSED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(identity_load(path, NULL, &id, &e), PQC_EREFUSED);
	assert_int_equal(rmdir(path), 0);
	/* endless, as far as the reader can tell */
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 100000; i++)
		(void)fputc('\n', f);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(identity_load(path, NULL, &id, &e), PQC_EINTEGRITY);
	assert_int_equal(unlink(path), 0);
	assert_null(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip),	 cmocka_unit_test(test_seed_only),
		cmocka_unit_test(test_block_order),	 cmocka_unit_test(test_mixed_suites),
		cmocka_unit_test(test_garbage),		 cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_edited),		 cmocka_unit_test(test_encrypted),
		cmocka_unit_test(test_encrypted_bounds), cmocka_unit_test(test_encode_refuses),
		cmocka_unit_test(test_public),		 cmocka_unit_test(test_public_edited),
		cmocka_unit_test(test_comments),	 cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_overwrite),	 cmocka_unit_test(test_modes),
		cmocka_unit_test(test_not_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
