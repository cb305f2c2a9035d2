/* What a container shows without a key. */
#include "sealed_io.h"

static uint8_t *data;
static size_t cap;

static int setup(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	cap = pqx_part_capacity(PART);
	data = noise(4 * cap);
	return people_new(state);
}

static int teardown(void **state)
{
	free(data);
	return people_free(state);
}

static int inspect(const struct bytes *b, struct inspect_result *r)
{
	int fd = memory_file(b->p, b->n), rc;
	struct err e = {0};

	rc = inspect_file(fd, r, &e);
	assert_int_equal(e.code, rc);
	close(fd);
	return rc;
}

static void inspection(void **state)
{
	const struct public_identity *to[] = {identity_public(bob[1]), identity_public(bob[2])};
	static const struct kek kek = {.id = "0123456789abcde", .version = 5};
	struct seal_call s = {
		.o = {.part_size = PART,
		      .whom = {.recipients = to, .nrecipients = 2, .raw_key = the_key, .kek = &kek},
		      .sign = alice[1],
		      .time = 77}};
	const struct bytes in = {data, cap + 9};
	struct inspect_result r;
	struct bytes sealed;

	(void)state;
	assert_int_equal(pass(seal_op, &s, PIPE_IN, &in, &sealed), 0);
	assert_int_equal(inspect(&sealed, &r), 0);
	assert_memory_equal(r.header.raw, sealed.p, PQX_HEADER_LEN);
	assert_int_equal(r.generation, 1);
	assert_int_equal(r.nstanzas, 4);
	assert_int_equal(r.stanza[0].type, STANZA_XWING);
	assert_memory_equal(r.stanza[0].id, to[0]->id, ID_LEN);
	assert_int_equal(r.stanza[1].type, STANZA_MLKEM1024_P384);
	assert_memory_equal(r.stanza[1].id, to[1]->id, ID_LEN);
	assert_int_equal(r.stanza[2].type, STANZA_KEK);
	assert_int_equal(r.stanza[2].kek_version, 5);
	assert_memory_equal(r.stanza[2].kek_id, kek.id, KEK_ID_LEN);
	assert_int_equal(r.stanza[3].type, STANZA_RAW);
	assert_int_equal(r.file_size, sealed.n);
	assert_int_equal(r.body_size, PART + cob_sealed_len(9));
	assert_int_equal(r.status, MANIFEST_SIGNED);
	assert_int_equal(r.manifest.n, 2);
	assert_int_equal(r.manifest.plain_size, cap + 9);
	assert_int_equal(r.manifest.time, 77);
	sealed.p[sealed.n - 9] ^= 1; /* the signature */
	assert_int_equal(inspect(&sealed, &r), 0);
	assert_int_equal(r.status, MANIFEST_BAD);
	sealed.p[sealed.n - 9] ^= 1;
	sealed.n -= 1;
	assert_int_equal(inspect(&sealed, &r), 0);
	assert_int_equal(r.status, MANIFEST_BAD);
	sealed.n = PQX_BODY_OFFSET;
	assert_int_equal(inspect(&sealed, &r), 0);
	assert_int_equal(r.status, MANIFEST_BAD);
	sealed.n--;
	assert_int_equal(inspect(&sealed, &r), PQC_EINTEGRITY);
	free(sealed.p);
}

static void inspection_of_others(void **state)
{
	static const struct argon2_params cheap = {8192, 2, 3};
	struct seal_call s = {.o = {.whom = {.passphrase = "x", .argon = &cheap}}};
	const struct bytes in = {data, 9};
	struct inspect_result r;
	struct bytes sealed;
	struct pump pump;
	struct err e = {0};
	int fd;

	(void)state;
	assert_int_equal(pass(seal_op, &s, FILES, &in, &sealed), 0);
	assert_int_equal(inspect(&sealed, &r), 0);
	assert_int_equal(r.status, MANIFEST_UNSIGNED);
	assert_int_equal(r.stanza[0].type, STANZA_PASSPHRASE);
	assert_int_equal(r.stanza[0].argon.m_kib, 8192);
	assert_int_equal(r.stanza[0].argon.t, 2);
	assert_int_equal(r.stanza[0].argon.p, 3);
	assert_int_equal(inspect(&(struct bytes){data, cap}, &r), PQC_EINTEGRITY);
	fd = pump_in(&pump, &sealed);
	assert_int_equal(inspect_file(fd, &r, &e), 0);
	assert_int_equal(r.status, MANIFEST_UNSEEN);
	close(fd);
	pthread_join(pump.thread, NULL);
	free(sealed.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inspection),
		cmocka_unit_test(inspection_of_others),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
