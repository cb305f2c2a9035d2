/* libpqc, arguments: what is missing, contradictory, older or newer is refused by name. */
#include <stdbool.h>

#include "lib_fixture.h"

/* ---- versions and errors ---- */

static void names_codes_and_meanings_agree(void **state)
{
	const char *names[] = {"usage", "not-found", "integrity", "unknown-server", "interrupted"};
	const int codes[] = {PQC_EUSAGE, PQC_ENOTFOUND, PQC_EINTEGRITY, PQC_EUNKNOWN_SERVER,
			     PQC_EINTERRUPTED};
	const int exits[] = {2, 3, 6, 4, 130};

	(void)state;
	assert_string_equal(pqc_version(), PQC_VERSION);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(pqc_error_code(names[i]), codes[i]);
		assert_string_equal(pqc_error_name(codes[i]), names[i]);
		assert_int_equal(pqc_error_exit_code(names[i]), exits[i]);
		assert_true(strlen(pqc_error_meaning(names[i])) > 5);
	}
	for (int code = PQC_EFAIL; code >= PQC_EINTERRUPTED; code--)
		assert_int_equal(pqc_error_code(pqc_error_name(code)), code);
	assert_int_equal(pqc_error_code("nonsense"), 1);
	assert_int_equal(pqc_error_code(NULL), 1);
	assert_null(pqc_error_meaning("nonsense"));
	assert_null(pqc_error_meaning(NULL));
	assert_int_equal(pqc_error_exit_code("nonsense"), -1);
	assert_int_equal(pqc_error_exit_code(NULL), -1);
	assert_string_equal(pqc_error_name(-1000), "failed");
	assert_string_equal(pqc_error_name(17), "failed");
}

static void error_is_optional(void **state)
{
	struct pqc_public *p;

	(void)state;
	assert_int_equal(pqc_public_load("/nonexistent", &p, NULL), PQC_ENOTFOUND);
	assert_null(p);
	assert_int_equal(pqc_seal(NULL, NULL, NULL, NULL, NULL, NULL), PQC_EUSAGE);
	assert_int_equal(pqc_send(NULL, NULL, NULL, NULL, NULL, NULL, NULL), PQC_EUSAGE);
}

/* ---- struct_size ---- */

static uint8_t key[PQC_KEY_SIZE] = "thirty-two bytes of a raw key...";

/* A struct as a program of another version has it. */
union room {
	struct pqc_seal_options o;
	uint8_t bytes[8192];
};

static int seal_with(const struct pqc_seal_options *o)
{
	uint8_t out[80000];
	struct pqc_source from = from_memory("x", 1);
	struct pqc_sink to = to_memory(out, sizeof(out));

	return pqc_seal(&from, &to, o, NULL, NULL, &e);
}

static void struct_size_is_looked_at(void **state)
{
	union room r = {.bytes = {0}};
	const size_t known = sizeof(r.o);

	(void)state;
	r.o.raw_key = key;
	fails(PQC_EUSAGE, "PQC_INIT", seal_with(&r.o));
	r.o.struct_size = 8;
	fails(PQC_EUSAGE, "struct_size is 8", seal_with(&r.o));
	r.o.struct_size = known - 8;
	fails(PQC_EUSAGE, "struct pqc_seal_options", seal_with(&r.o));
	r.o.struct_size = known;
	ok(seal_with(&r.o));
	r.o.struct_size = known + 64; /* a newer program that uses nothing new */
	ok(seal_with(&r.o));
	r.bytes[known + 63] = 1;
	fails(PQC_EUSAGE, "newer than the library", seal_with(&r.o));
	r.bytes[known + 63] = 0;
	r.bytes[known + 64] = 1; /* not of the struct */
	ok(seal_with(&r.o));
	r.o.struct_size = SIZE_MAX; /* never set: nothing far away is read */
	fails(PQC_EUSAGE, "struct_size", seal_with(&r.o));
}

static void every_struct_has_its_size_checked(void **state)
{
	struct pqc_source from = from_memory("x", 1);
	struct pqc_open_options open_o = {.raw_key = key};
	struct pqc_seal_options seal_o = PQC_INIT(seal_o);
	struct pqc_control c = {.arg = NULL};
	struct pqc_client_options client_o = {.threads = 1};
	struct pqc_rewrap_options rewrap_o = {.remove_all = 1};
	struct pqc_send_options send_o = {.part_size = 0};
	struct pqc_get_options get_o = {.from = NULL};
	struct pqc_client *k;
	uint8_t out[8];
	struct pqc_sink to = to_memory(out, sizeof(out));

	(void)state;
	seal_o.raw_key = key;
	fails(PQC_EUSAGE, "struct pqc_open_options", pqc_open(&from, &to, &open_o, NULL, NULL, &e));
	fails(PQC_EUSAGE, "struct pqc_control", pqc_seal(&from, &to, &seal_o, &c, NULL, &e));
	fails(PQC_EUSAGE, "struct pqc_client_options", pqc_client_new(&client_o, &k, &e));
	assert_null(k);
	fails(PQC_EUSAGE, "struct pqc_rewrap_options", pqc_rewrap("x", &rewrap_o, &e));
	fails(PQC_EUSAGE, "struct pqc_send_options",
	      pqc_send(NULL, "u", &from, &send_o, NULL, NULL, &e));
	fails(PQC_EUSAGE, "struct pqc_get_options",
	      pqc_get(NULL, "u", &to, &get_o, NULL, NULL, &e));
}

/* ---- NULL where something must be ---- */

static void nothing_is_freed_well(void **state)
{
	struct pqc_transfer t = {.size = 1};

	(void)state;
	pqc_buffer_free(NULL);
	pqc_cancel_free(NULL);
	pqc_cancel_set(NULL);
	pqc_identity_free(NULL);
	pqc_public_free(NULL);
	pqc_client_free(NULL);
	pqc_transfer_free(NULL);
	pqc_transfer_free(&t);
	pqc_transfer_free(&t);
}

static void missing_arguments_are_named(void **state)
{
	struct pqc_identity *id = NULL, *other;
	struct pqc_public *pub = NULL;
	struct pqc_buffer b, b2;
	struct pqc_kek kek;
	uint8_t ss[PQC_KEY_SIZE];

	(void)state;
	ok(pqc_identity_generate(NULL, &id, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_cancel_new(NULL, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_identity_generate(NULL, NULL, &e));
	fails(PQC_EUSAGE, "path is NULL", pqc_identity_load(NULL, NULL, &other, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_identity_load("x", NULL, NULL, &e));
	fails(PQC_EUSAGE, "text is NULL", pqc_identity_parse(NULL, 3, NULL, &other, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_identity_parse("x", 1, NULL, NULL, &e));
	fails(PQC_EUSAGE, "id is NULL", pqc_identity_format(NULL, NULL, &b, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_identity_format(id, NULL, NULL, &e));
	fails(PQC_EUSAGE, "id is NULL", pqc_identity_save(NULL, "x", NULL, NULL, &e));
	fails(PQC_EUSAGE, "path is NULL", pqc_identity_save(id, NULL, NULL, NULL, &e));
	fails(PQC_EUSAGE, "id is NULL", pqc_identity_public(NULL, NULL, &pub, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_identity_public(id, NULL, NULL, &e));
	fails(PQC_EUSAGE, "path is NULL", pqc_public_load(NULL, &pub, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_public_load("x", NULL, &e));
	fails(PQC_EUSAGE, "line is NULL", pqc_public_parse(NULL, 1, &pub, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_public_parse("x", 1, NULL, &e));
	fails(PQC_EUSAGE, "path is NULL", pqc_kek_load(NULL, &kek, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_kek_load("x", NULL, &e));
	fails(PQC_EUSAGE, "public_key is NULL", pqc_kem_generate(NULL, NULL, &b, &e));
	fails(PQC_EUSAGE, "private_key is NULL", pqc_kem_generate(NULL, &b, NULL, &e));
	fails(PQC_EUSAGE, "public_key is NULL", pqc_kem_encapsulate(NULL, NULL, 0, &b, ss, &e));
	fails(PQC_EUSAGE, "ciphertext is NULL", pqc_kem_encapsulate(NULL, "x", 1, NULL, ss, &e));
	fails(PQC_EUSAGE, "shared_secret is NULL",
	      pqc_kem_encapsulate(NULL, "x", 1, &b2, NULL, &e));
	fails(PQC_EUSAGE, "private_key is NULL",
	      pqc_kem_decapsulate(NULL, NULL, 0, "x", 1, ss, &e));
	fails(PQC_EUSAGE, "path is NULL", pqc_inspect(NULL, &b, &e));
	fails(PQC_EUSAGE, "json is NULL", pqc_inspect("x", NULL, &e));
	fails(PQC_EUSAGE, "path is NULL", pqc_rewrap(NULL, NULL, &e));
	fails(PQC_EUSAGE, "o is NULL", pqc_rewrap("x", NULL, &e));
	fails(PQC_EUSAGE, "leaf is NULL", pqc_home_path(NULL, &b, &e));
	fails(PQC_EUSAGE, "path is NULL", pqc_home_path("x", NULL, &e));
	fails(PQC_EUSAGE, "server_id is NULL", pqc_known_add("x", "h", NULL, &e));
	fails(PQC_EUSAGE, "host_port is NULL", pqc_known_remove("x", NULL, &e));
	fails(PQC_EUSAGE, "pem is NULL", pqc_receipt_verify(NULL, 0, NULL, &e));
	pqc_identity_free(id);
}

/* Who frees what a failed call gave frees nothing. */
static void failures_give_nothing(void **state)
{
	static struct pqc_buffer junk = {.data = &junk, .size = 7}, b, b2;
	struct pqc_identity *id = (void *)&junk;
	struct pqc_public *pub = (void *)&junk;
	struct pqc_client *k = (void *)&junk;
	struct pqc_server *s = (void *)&junk;
	struct pqc_kek kek = {.version = 9};
	struct pqc_receipt_info info = {.size = 9};
	uint8_t ss[PQC_KEY_SIZE];

	(void)state;
	fails(PQC_EUSAGE, "RSA", pqc_identity_generate("RSA", &id, &e));
	assert_null(id);
	id = (void *)&junk;
	fails(PQC_EUSAGE, "path", pqc_identity_load(NULL, NULL, &id, &e));
	assert_null(id);
	id = (void *)&junk;
	fails(PQC_EUSAGE, "text", pqc_identity_parse(NULL, 0, NULL, &id, &e));
	assert_null(id);
	fails(PQC_EUSAGE, "id", pqc_identity_public(NULL, NULL, &pub, &e));
	assert_null(pub);
	pub = (void *)&junk;
	fails(PQC_EUSAGE, "path", pqc_public_load(NULL, &pub, &e));
	assert_null(pub);
	pub = (void *)&junk;
	fails(PQC_EUSAGE, "line", pqc_public_parse(NULL, 0, &pub, &e));
	assert_null(pub);
	fails(PQC_EUSAGE, "o is", pqc_client_new(NULL, &k, &e));
	assert_null(k);
	fails(PQC_EUSAGE, "o is", pqc_server_new(NULL, &s, &e));
	assert_null(s);
	fails(PQC_EUSAGE, "path", pqc_kek_load(NULL, &kek, &e));
	assert_int_equal(kek.version, 0);
	fails(PQC_EINTEGRITY, "", pqc_receipt_verify("x", 1, &info, &e));
	assert_int_equal(info.size, 0);
	b = junk;
	fails(PQC_EUSAGE, "id", pqc_identity_format(NULL, NULL, &b, &e));
	assert_null(b.data);
	b = junk;
	fails(PQC_EUSAGE, "path", pqc_inspect(NULL, &b, &e));
	assert_null(b.data);
	b = junk;
	fails(PQC_EUSAGE, "leaf", pqc_home_path(NULL, &b, &e));
	assert_null(b.data);
	b = junk;
	fails(PQC_EUSAGE, "public_key", pqc_kem_encapsulate(NULL, NULL, 0, &b, ss, &e));
	assert_null(b.data);
	b = b2 = junk;
	fails(PQC_EUSAGE, "RSA", pqc_kem_generate("RSA", &b, &b2, &e));
	assert_null(b.data);
	assert_null(b2.data);
}

static void client_wants_its_arguments(void **state)
{
	struct pqc_client_options o = PQC_INIT(o);
	struct pqc_client *k;
	struct pqc_buffer b;
	char known[300], dir[300];

	(void)state;
	snprintf(known, sizeof(known), "%s", at("known"));
	snprintf(dir, sizeof(dir), "%s", at("state"));
	o.known_servers = known;
	o.state_dir = dir;
	fails(PQC_EUSAGE, "o is NULL", pqc_client_new(NULL, &k, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_client_new(&o, NULL, &e));
	o.threads = 65;
	fails(PQC_EUSAGE, "threads is 65", pqc_client_new(&o, &k, &e));
	o.threads = 0;
	o.connect_ms = 3600001;
	fails(PQC_EUSAGE, "connect_ms is 3600001", pqc_client_new(&o, &k, &e));
	o.connect_ms = 0;
	o.idle_ms = UINT32_MAX;
	fails(PQC_EUSAGE, "idle_ms", pqc_client_new(&o, &k, &e));
	o.idle_ms = 0;
	o.retry_ms = -2;
	fails(PQC_EUSAGE, "retry_ms is -2", pqc_client_new(&o, &k, &e));
	o.retry_ms = -1;
	o.trace_parent = "00-zz";
	fails(PQC_EUSAGE, "trace_parent", pqc_client_new(&o, &k, &e));
	assert_null(k);
	o.trace_parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	ok(pqc_client_new(&o, &k, &e));
	fails(PQC_EUSAGE, "url is NULL", pqc_delete(k, NULL, NULL, &e));
	fails(PQC_EUSAGE, "k is NULL", pqc_delete(NULL, "pqc://127.0.0.1/x", NULL, &e));
	fails(PQC_EUSAGE, "without identity", pqc_delete(k, "pqc://127.0.0.1/x", NULL, &e));
	fails(PQC_EUSAGE, "pem is NULL", pqc_receipt(k, "pqc://127.0.0.1/x", NULL, NULL, &e));
	fails(PQC_EUSAGE, "without identity", pqc_receipt(k, "pqc://127.0.0.1/x", &b, NULL, &e));
	fails(PQC_EUSAGE, "each is NULL", pqc_list(k, "pqc://127.0.0.1/", NULL, NULL, NULL, &e));
	fails(PQC_EUSAGE, "http", pqc_ping(k, "http://127.0.0.1/", NULL, NULL, &e));
	pqc_client_free(k);
}

/* ---- sources, sinks, options that contradict each other ---- */

static int seal_from_to(const struct pqc_source *from, const struct pqc_sink *to)
{
	struct pqc_seal_options o = PQC_INIT(o);

	o.raw_key = key;
	return pqc_seal(from, to, &o, NULL, NULL, &e);
}

static void sources_and_sinks_are_checked(void **state)
{
	uint8_t out[80000];
	const struct pqc_source good = from_memory("x", 1);
	const struct pqc_sink into = to_memory(out, sizeof(out));
	struct pqc_source from[] = {
		{.kind = (enum pqc_io)0},
		{.kind = (enum pqc_io)9},
		{.kind = PQC_IO_PATH},
		{.kind = PQC_IO_FD, .fd = -1},
		{.kind = PQC_IO_MEMORY, .size = 1},
		{.kind = PQC_IO_CALLBACK, .size = 1},
	};
	struct pqc_sink to[] = {
		{.kind = (enum pqc_io)0},
		{.kind = (enum pqc_io)9},
		{.kind = PQC_IO_PATH},
		{.kind = PQC_IO_FD, .fd = -1},
		{.kind = PQC_IO_MEMORY, .size = 1},
		{.kind = PQC_IO_CALLBACK},
	};

	(void)state;
	assert_int_equal(seal_from_to(NULL, &into), PQC_EUSAGE);
	assert_int_equal(seal_from_to(&good, NULL), PQC_EUSAGE);
	for (int i = 0; i < 6; i++) {
		fails(PQC_EUSAGE, "", seal_from_to(&from[i], &into));
		assert_true(strlen(e.message) > 5);
		fails(PQC_EUSAGE, "", seal_from_to(&good, &to[i]));
		assert_true(strlen(e.message) > 5);
	}
	from[4].data = to[4].data = out;
	from[4].size = to[4].size = PQC_SIZE_UNKNOWN;
	fails(PQC_EUSAGE, "18446744073709551615 bytes", seal_from_to(&from[4], &into));
	fails(PQC_EUSAGE, "18446744073709551615 bytes", seal_from_to(&good, &to[4]));
}

static void contradictions_are_refused(void **state)
{
	struct pqc_seal_options o = PQC_INIT(o);
	struct pqc_identity *id;
	struct pqc_public *pub;
	const struct pqc_public *list[2] = {NULL, NULL};

	(void)state;
	ok(pqc_identity_generate("Kyber1024", &id, &e));
	ok(pqc_identity_public(id, NULL, &pub, &e));
	fails(PQC_EUSAGE, "for whom", seal_with(&o));
	fails(PQC_EUSAGE, "NULL", seal_with(NULL));
	o.recipient_count = 1;
	fails(PQC_EUSAGE, "recipients is NULL", seal_with(&o));
	o.recipients = list;
	fails(PQC_EUSAGE, "recipients[0] is NULL", seal_with(&o));
	list[0] = pub;
	o.recipient_count = 2;
	fails(PQC_EUSAGE, "recipients[1] is NULL", seal_with(&o));
	o.recipient_count = 33;
	fails(PQC_EUSAGE, "recipient_count is 33", seal_with(&o));
	o.recipient_count = 1;
	o.passphrase = "p";
	fails(PQC_EUSAGE, "stands alone", seal_with(&o));
	o.recipient_count = 0;
	o.passphrase = "";
	fails(PQC_EUSAGE, "empty", seal_with(&o));
	o.passphrase = NULL;
	o.raw_key = key;
	o.associated_data_size = 3;
	fails(PQC_EUSAGE, "associated_data is NULL", seal_with(&o));
	o.associated_data = "abc";
	o.raw_key = NULL;
	o.recipient_count = 1;
	fails(PQC_EUSAGE, "raw_key", seal_with(&o));
	o.associated_data_size = 0;
	o.suite = "RSA";
	fails(PQC_EUSAGE, "RSA", seal_with(&o));
	o.suite = "Kyber768";
	o.sign = id;
	fails(PQC_EUSAGE, "a key of Kyber1024", seal_with(&o));
	o.suite = NULL;
	o.part_size = 65537;
	fails(PQC_EUSAGE, "part_size is 65537", seal_with(&o));
	o.part_size = 1 << 26;
	fails(PQC_EUSAGE, "part_size", seal_with(&o));
	o.part_size = 65536;
	o.threads = 65;
	fails(PQC_EUSAGE, "threads is 65", seal_with(&o));
	o.threads = 64;
	ok(seal_with(&o));
	pqc_public_free(pub);
	pqc_identity_free(id);
}

static void opening_wants_a_key(void **state)
{
	uint8_t out[8];
	struct pqc_source from = from_memory("x", 1);
	struct pqc_sink to = to_memory(out, sizeof(out));
	struct pqc_open_options o = PQC_INIT(o);

	(void)state;
	fails(PQC_EUSAGE, "with what", pqc_open(&from, &to, &o, NULL, NULL, &e));
	o.associated_data = "x";
	o.associated_data_size = 1;
	o.passphrase = "p";
	fails(PQC_EUSAGE, "raw_key", pqc_open(&from, &to, &o, NULL, NULL, &e));
	o.raw_key = key;
	o.threads = 1000;
	fails(PQC_EUSAGE, "threads", pqc_open(&from, &to, &o, NULL, NULL, &e));
	o.threads = 0;
	fails(PQC_EINTEGRITY, "", pqc_open(&from, &to, &o, NULL, NULL, &e));
}

static void sealed_size_knows_its_bounds(void **state)
{
	(void)state;
	assert_true(pqc_sealed_size(NULL, 0, 0, 0) > 65536);
	assert_int_equal(pqc_sealed_size("nonsense", 1, 0, 0), PQC_SIZE_UNKNOWN);
	assert_int_equal(pqc_sealed_size(NULL, 1, 3, 0), PQC_SIZE_UNKNOWN);
	assert_int_equal(pqc_sealed_size(NULL, PQC_SIZE_UNKNOWN, 0, 0), PQC_SIZE_UNKNOWN);
	assert_int_equal(pqc_sealed_size(NULL, UINT64_MAX - 1, 65536, 0), PQC_SIZE_UNKNOWN);
	assert_true(pqc_sealed_size("Kyber1024", 1, 0, 1) > pqc_sealed_size(NULL, 1, 0, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_codes_and_meanings_agree),
		cmocka_unit_test(error_is_optional),
		cmocka_unit_test(struct_size_is_looked_at),
		cmocka_unit_test(every_struct_has_its_size_checked),
		cmocka_unit_test(nothing_is_freed_well),
		cmocka_unit_test(missing_arguments_are_named),
		cmocka_unit_test(failures_give_nothing),
		cmocka_unit_test_setup_teardown(client_wants_its_arguments, place_new, place_free),
		cmocka_unit_test(sources_and_sinks_are_checked),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(opening_wants_a_key),
		cmocka_unit_test(sealed_size_knows_its_bounds),
	};

	return cmocka_run_group_tests_name("lib_args", tests, NULL, NULL);
}
