/*
 * Every allocation OpenSSL makes during an operation fails in turn, alone or
 * with all that follow. An ML-KEM decapsulation must never then succeed with a
 * wrong secret, nor a good signature be called a wrong one. A program of its
 * own, since the allocator is replaced before OpenSSL is first used.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "crypto/identity.h"
#include "crypto/pkey.h"

static struct {
	size_t seen;	/* allocations since plan() */
	size_t fail_at; /* 0: none */
	bool and_after;
	size_t failed; /* reset by the test */
} heap;

static bool fails_now(void)
{
	heap.seen++;
	if (heap.fail_at == 0 || heap.seen < heap.fail_at ||
	    (heap.seen > heap.fail_at && !heap.and_after))
		return false;
	heap.failed++;
	return true;
}

static void *heap_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails_now() ? NULL : malloc(n);
}

static void *heap_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails_now() ? NULL : realloc(p, n);
}

static void heap_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

/* Before the constructor that tells OpenSSL to read no configuration: it must not have been used. */
__attribute__((constructor(101))) static void replace_allocator(void)
{
	if (CRYPTO_set_mem_functions(heap_malloc, heap_realloc, heap_free) != 1)
		abort();
}

static void plan(size_t fail_at, bool and_after)
{
	heap.seen = 0;
	heap.fail_at = fail_at;
	heap.and_after = and_after;
}

/* One operation with keys and inputs made beforehand; returns its result, *right: was it right? */
struct scene {
	const struct suite *s;
	struct identity *id;
	struct kem_key *hs;
	uint8_t hs_pk[KEM_PK_MAX], ct[KEM_CT_MAX], ss[KEM_SS_MAX], sig[SIG_MAX];
};
typedef int (*operation)(struct scene *sc, bool *right);

static const struct span message = {"message", 7};

static int hs_decap(struct scene *sc, bool *right)
{
	uint8_t ss[KEM_SS_MAX];
	int r = kem_hs_decap(sc->hs, sc->ct, ss);

	*right = r == 0 && memcmp(ss, sc->ss, sc->s->hs_ss_len) == 0;
	return r;
}

static int rcpt_decap(struct scene *sc, bool *right)
{
	uint8_t ss[KEM_SS_MAX];
	int r = kem_rcpt_decap(identity_kem_key(sc->id), sc->ct, ss);

	*right = r == 0 && memcmp(ss, sc->ss, sc->s->rcpt_ss_len) == 0;
	return r;
}

/* What was encapsulated is checked by an undisturbed decapsulation. */
static int hs_encap(struct scene *sc, bool *right)
{
	int r = kem_hs_encap(sc->s, sc->hs_pk, sc->ct, sc->ss);

	plan(0, false);
	*right = r == 0 && hs_decap(sc, right) == 0 && *right;
	return r;
}

static int rcpt_encap(struct scene *sc, bool *right)
{
	int r = kem_rcpt_encap(sc->s, identity_public(sc->id)->kem_pk, sc->ct, sc->ss);

	plan(0, false);
	*right = r == 0 && rcpt_decap(sc, right) == 0 && *right;
	return r;
}

static int hs_generate(struct scene *sc, bool *right)
{
	struct kem_key *k = NULL;
	int r = kem_hs_generate(sc->s, &k, sc->hs_pk);

	plan(0, false);
	if (r == 0) {
		kem_free(sc->hs);
		sc->hs = k;
	}
	*right = r == 0 && hs_encap(sc, right) == 0 && *right;
	return r;
}

static int rcpt_generate(struct scene *sc, bool *right)
{
	uint8_t pk[KEM_PK_MAX], ss[KEM_SS_MAX];
	struct kem_key *k = NULL;
	int r = kem_rcpt_generate(sc->s, &k);

	plan(0, false);
	*right = r == 0 && kem_rcpt_public(k, pk) == 0 &&
		 kem_rcpt_encap(sc->s, pk, sc->ct, sc->ss) == 0 &&
		 kem_rcpt_decap(k, sc->ct, ss) == 0 && memcmp(ss, sc->ss, sc->s->rcpt_ss_len) == 0;
	kem_free(k);
	return r;
}

static int verify(struct scene *sc, bool *right)
{
	int r = sign_verify(sc->s, identity_public(sc->id)->sig_pk, "ctx", &message, sc->sig);

	*right = r == 0;
	return r;
}

static int sign(struct scene *sc, bool *right)
{
	int r = sign_make(identity_sign_key(sc->id), "ctx", &message, sc->sig);

	plan(0, false);
	*right = r == 0 && verify(sc, right) == 0;
	return r;
}

static void scene_open(struct scene *sc, unsigned suite, bool handshake)
{
	plan(0, false);
	memset(sc, 0, sizeof *sc);
	sc->s = suite_by_id(suite);
	assert_int_equal(identity_generate(sc->s, &sc->id), 0);
	assert_int_equal(kem_hs_generate(sc->s, &sc->hs, sc->hs_pk), 0);
	assert_int_equal(sign_make(identity_sign_key(sc->id), "ctx", &message, sc->sig), 0);
	if (handshake)
		assert_int_equal(kem_hs_encap(sc->s, sc->hs_pk, sc->ct, sc->ss), 0);
	else
		assert_int_equal(
			kem_rcpt_encap(sc->s, identity_public(sc->id)->kem_pk, sc->ct, sc->ss), 0);
}

static void scene_close(struct scene *sc)
{
	plan(0, false);
	identity_free(sc->id);
	kem_free(sc->hs);
}

struct job {
	operation op;
	struct scene *sc;
	bool right;
	int r;
};

static void *job_main(void *arg)
{
	struct job *j = arg;

	j->r = j->op(j->sc, &j->right);
	return NULL;
}

/* How allocations fail. */
struct manner {
	bool and_after; /* all that follow, too */
	bool fresh;	/* in a thread of its own, where OpenSSL has no error queue yet */
};

static void run(struct job *j, const struct manner *m, size_t n)
{
	pthread_t t;

	plan(n, m->and_after);
	if (m->fresh) {
		assert_int_equal(pthread_create(&t, NULL, job_main, j), 0);
		assert_int_equal(pthread_join(t, NULL), 0);
	} else {
		job_main(j);
	}
	plan(0, false);
}

/* Fail allocation n for every n, until the operation makes fewer than n. */
static void torture(operation op, unsigned suite, bool handshake, const struct manner *m)
{
	struct scene sc;
	struct job j = {.op = op, .sc = &sc};
	size_t reported = 0;

	scene_open(&sc, suite, handshake);
	run(&j, m, 0);
	assert_int_equal(j.r, 0);
	assert_true(j.right);
	for (size_t n = 1;; n++) {
		heap.failed = 0;
		run(&j, m, n);
		if (!(j.r == 0 && j.right) && j.r != PQC_ECRYPTO)
			fail_msg("allocation %zu%s failed%s: result %d, %s", n,
				 m->and_after ? " and all after" : "",
				 m->fresh ? " in a new thread" : "", j.r,
				 j.right ? "right" : "wrong");
		if (heap.failed == 0)
			break;
		reported += j.r != 0;
	}
	if (reported == 0)
		fail_msg("no failure was ever reported: was the allocator replaced?");
	scene_close(&sc);
}

static void torture_all(operation op, bool handshake)
{
	static const struct manner manners[] = {
		{false, false}, {true, false}, {false, true}, {true, true}};

	for (unsigned suite = SUITE_KYBER768; suite <= SUITE_KYBER1024; suite++)
		for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++)
			torture(op, suite, handshake, &manners[i]);
}

static void test_hs_decap(void **state)
{
	(void)state;
	torture_all(hs_decap, true);
}

static void test_rcpt_decap(void **state)
{
	(void)state;
	torture_all(rcpt_decap, false);
}

static void test_hs_encap(void **state)
{
	(void)state;
	torture_all(hs_encap, true);
}

static void test_rcpt_encap(void **state)
{
	(void)state;
	torture_all(rcpt_encap, false);
}

static void test_generate(void **state)
{
	(void)state;
	torture_all(hs_generate, true);
	torture_all(rcpt_generate, false);
}

static void test_verify(void **state)
{
	(void)state;
	torture_all(verify, false);
}

static void test_sign(void **state)
{
	(void)state;
	torture_all(sign, false);
}

/* The reason for fault.h: plain EVP succeeds with a wrong secret. Says so when that gets mended. */
static void test_pitfall(void **state)
{
	uint8_t seed[64] = {1}, ct[1088], ss[32], got[32];
	EVP_PKEY *k = NULL;
	size_t wrong = 0;

	(void)state;
	plan(0, false);
	assert_int_equal(pkey_from_secret(&pkey_mlkem768, seed, &k), 0);
	assert_int_equal(pkey_encap(&pkey_mlkem768, k, NULL, ct, ss), 0);
	for (size_t n = 1; n < 50; n++) {
		EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);
		size_t len = sizeof got;

		assert_non_null(c);
		assert_int_equal(EVP_PKEY_decapsulate_init(c, NULL), 1);
		plan(n, false);
		if (EVP_PKEY_decapsulate(c, got, &len, ct, sizeof ct) == 1 &&
		    memcmp(got, ss, sizeof ss) != 0)
			wrong++;
		plan(0, false);
		EVP_PKEY_CTX_free(c);
	}
	print_message("plain EVP_PKEY_decapsulate: %zu silent wrong secrets\n", wrong);
	EVP_PKEY_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hs_decap), cmocka_unit_test(test_rcpt_decap),
		cmocka_unit_test(test_hs_encap), cmocka_unit_test(test_rcpt_encap),
		cmocka_unit_test(test_generate), cmocka_unit_test(test_verify),
		cmocka_unit_test(test_sign),	 cmocka_unit_test(test_pitfall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
