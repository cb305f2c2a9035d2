/* libpqc, server: what it can be given, and what is refused before anything listens. */
#include "lib_server.h"

/* A server of place/a with these settings, ended by NULL; must fail. */
static int with(const char *passphrase, const char *const *settings)
{
	struct pqc_server_options o = PQC_INIT(o);
	struct pqc_server *s = (struct pqc_server *)&o;
	int rc;

	o.settings = settings;
	while (settings[o.setting_count] != NULL)
		o.setting_count++;
	o.passphrase = passphrase;
	rc = pqc_server_new(&o, &s, &e);
	if (rc == PQC_OK)
		fail_msg("%s was taken", settings[0]);
	assert_null(s);
	return rc;
}

static int with_one(const char *setting)
{
	char dir[300];
	const char *settings[] = {setting, dir, "listen=127.0.0.1:0", NULL};

	snprintf(dir, sizeof(dir), "data-dir=%s", at("a"));
	return with(NULL, settings);
}

static void bad_settings_are_refused_by_name(void **state)
{
	static const struct {
		const char *setting, *message;
		int code;
	} bad[] = {
		{"", "no option ''", PQC_EUSAGE},
		{"nonsense=1", "'nonsense'", PQC_EUSAGE},
		{"help=yes", "'help'", PQC_EUSAGE},
		{"--max-size=1", "'--max-size'", PQC_EUSAGE},
		{"max-size", "max-size: expected max-size=VALUE", PQC_EUSAGE},
		{"max-size=", "max-size", PQC_EUSAGE},
		{"max-size=0", "max-size: expected a size", PQC_EUSAGE},
		{"max-size=1Q", "found '1Q'", PQC_EUSAGE},
		{"max-transfers=-1", "max-transfers", PQC_EUSAGE},
		{"drain-timeout=soon", "drain-timeout: expected a time", PQC_EUSAGE},
		{"no-metrics=perhaps", "no-metrics: expected yes or no", PQC_EUSAGE},
		{"log-level=loud", "log-level: expected one of", PQC_EUSAGE},
		{"suite=RSA", "suite", PQC_ECONFIG},
		{"tls-cert=/nonexistent", "tls-key", PQC_ECONFIG},
		{"event-command=true", "event command 'true'", PQC_ECONFIG},
		{"config=/etc/pqc.conf", "config is for the program pqc", PQC_EUSAGE},
		{"pid-file=x", "pid-file is for the program pqc", PQC_EUSAGE},
		{"print-config=yes", "print-config is for the program pqc", PQC_EUSAGE},
		{"print-config", "print-config is for the program pqc", PQC_EUSAGE},
		{"log-format=text", "log-format is for the program pqc", PQC_EUSAGE},
		{"passphrase-file=x", "struct pqc_server_options", PQC_EUSAGE},
	};
	const int fds = open_descriptors();

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		fails(bad[i].code, bad[i].message, with_one(bad[i].setting));
	assert_int_equal(open_descriptors(), fds);
	only_one_thread();
}

static void bad_places_are_refused(void **state)
{
	const char *none[] = {"listen=127.0.0.1:0", NULL};
	char dir[300], file[300], taken[300];
	const char *in_file[] = {file, "listen=127.0.0.1:0", NULL};
	const char *nine[] = {dir,	    "listen=a:1", "listen=a:1", "listen=a:1",
			      "listen=a:1", "listen=a:1", "listen=a:1", "listen=a:1",
			      "listen=a:1", "listen=a:1", NULL};
	const char *nowhere[] = {dir, "listen=999.0.0.1:0", NULL};
	const char *twice[] = {dir, taken, NULL};
	const int fds = open_descriptors();
	struct host h;

	(void)state;
	snprintf(dir, sizeof(dir), "data-dir=%s", at("a"));
	snprintf(file, sizeof(file), "data-dir=%s", at("file"));
	write_file(at("file"), "", 0);
	fails(PQC_EUSAGE, "data-dir", with(NULL, none));
	assert_int_not_equal(with(NULL, in_file), PQC_OK);
	fails(PQC_EUSAGE, "at most 8 addresses, found 9", with(NULL, nine));
	assert_false(is_there(at("a"))); /* nothing was made so far */
	assert_int_not_equal(with(NULL, nowhere), PQC_OK);
	host_start(&h, "b", NULL);
	snprintf(taken, sizeof(taken), "listen=%s", h.address);
	assert_int_not_equal(with(NULL, twice), PQC_OK);
	assert_non_null(strstr(e.message, h.address));
	host_stop(&h);
	assert_int_equal(open_descriptors(), fds);
	only_one_thread();
}

static void arguments_are_looked_at(void **state)
{
	struct pqc_server_options o = PQC_INIT(o);
	const char *hole[] = {"listen=127.0.0.1:0", NULL};
	struct pqc_server *s;

	(void)state;
	fails(PQC_EUSAGE, "o is NULL", pqc_server_new(NULL, &s, &e));
	fails(PQC_EUSAGE, "out is NULL", pqc_server_new(&o, NULL, &e));
	fails(PQC_EUSAGE, "data-dir", pqc_server_new(&o, &s, &e));
	o.setting_count = 2;
	fails(PQC_EUSAGE, "settings is NULL", pqc_server_new(&o, &s, &e));
	o.settings = hole;
	fails(PQC_EUSAGE, "a setting is NULL", pqc_server_new(&o, &s, &e));
	o.struct_size = 8;
	fails(PQC_EUSAGE, "struct pqc_server_options", pqc_server_new(&o, &s, &e));
	assert_null(s);
	assert_int_equal(pqc_server_new(NULL, NULL, NULL), PQC_EUSAGE);
	fails(PQC_EUSAGE, "s is NULL", pqc_server_run(NULL, &e));
	pqc_server_stop(NULL);
	pqc_server_reload(NULL);
	pqc_server_free(NULL);
	fails(PQC_EUSAGE, "path is NULL", pqc_access_allow(NULL, NULL, NULL, NULL, &e));
	fails(PQC_EUSAGE, "who is NULL", pqc_access_allow("x", NULL, NULL, NULL, &e));
	fails(PQC_EUSAGE, "path is NULL", pqc_access_deny(NULL, NULL, &e));
	fails(PQC_EUSAGE, "id is NULL", pqc_access_deny("x", NULL, &e));
}

static void several_addresses_and_settings(void **state)
{
	char ports[300], text[300];
	const char *const settings[] = {"listen=127.0.0.1:0",
					"max-transfers=1",
					"metrics-listen=127.0.0.1:0",
					ports,
					"listen=[::1]:0",
					NULL};
	struct host h;
	uint8_t *told;
	size_t n;

	(void)state;
	snprintf(ports, sizeof(ports), "port-file=%s", at("ports"));
	host_new(&h, "a", settings);
	assert_memory_equal(pqc_server_address(h.s, 0), "127.0.0.1:", 10);
	assert_memory_equal(pqc_server_address(h.s, 1), "[::1]:", 6);
	assert_null(pqc_server_address(h.s, 2));
	assert_null(pqc_server_address(h.s, SIZE_MAX));
	assert_int_equal(lines_count(&h.log, "server.listening"), 2);
	n = (size_t)snprintf(text, sizeof(text), "%s\n%s\nmonitor %s\n", pqc_server_address(h.s, 0),
			     pqc_server_address(h.s, 1),
			     text_of(lines_await(&h.log, "server.monitor", 1), "address"));
	told = read_file(at("ports"), &n);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(told, text, n);
	free(told);
	host_free(&h);
}

static void keys_are_made_once(void **state)
{
	const char *const large[] = {"suite=ML-KEM-1024", NULL};
	uint8_t id[PQC_ID_SIZE];
	struct pqc_public *p;
	struct pqc_kek kek;
	struct host h;

	(void)state;
	host_new(&h, "a", large);
	assert_string_equal(pqc_public_suite(pqc_server_public(h.s)), "Kyber1024");
	memcpy(id, pqc_public_id(pqc_server_public(h.s)), sizeof(id));
	ok(pqc_public_load(at("a/identity.pub"), &p, &e));
	assert_memory_equal(pqc_public_id(p), id, sizeof(id));
	pqc_public_free(p);
	ok(pqc_kek_load(at("a/kek"), &kek, &e));
	assert_int_equal(lines_count(&h.log, "identity.made"), 1);
	assert_int_equal(lines_count(&h.log, "kek.made"), 1);
	host_free(&h);

	host_new(&h, "a", NULL);
	assert_memory_equal(pqc_public_id(pqc_server_public(h.s)), id, sizeof(id));
	assert_int_equal(lines_count(&h.log, "identity.made"), 0);
	host_free(&h);
}

static void a_passphrase_protects_the_identity(void **state)
{
	struct pqc_server_options o = PQC_INIT(o);
	char dir[300];
	const char *settings[] = {dir, "listen=127.0.0.1:0", NULL};
	uint8_t id[PQC_ID_SIZE];
	struct pqc_identity *own;
	struct pqc_server *s;

	(void)state;
	snprintf(dir, sizeof(dir), "data-dir=%s", at("a"));
	o.settings = settings;
	o.setting_count = 2;
	o.passphrase = "correct horse";
	ok(pqc_server_new(&o, &s, &e)); /* without a log, too */
	memcpy(id, pqc_public_id(pqc_server_public(s)), sizeof(id));
	pqc_server_free(s);
	fails(PQC_EPASSPHRASE, "protected by a passphrase", with(NULL, settings));
	fails(PQC_EPASSPHRASE, "", with("battery staple", settings));
	fails(PQC_EPASSPHRASE, "", pqc_identity_load(at("a/identity"), NULL, &own, &e));
	ok(pqc_identity_load(at("a/identity"), "correct horse", &own, &e));
	pqc_identity_free(own);
	ok(pqc_server_new(&o, &s, &e));
	assert_memory_equal(pqc_public_id(pqc_server_public(s)), id, sizeof(id));
	pqc_server_free(s);
}

static void rights_are_lines_of_a_file(void **state)
{
	struct pqc_identity *id = somebody();
	struct pqc_public *who;
	uint8_t *text;
	static const char want[] = " put,get,list ** clinic 7\n";
	size_t n;

	(void)state;
	ok(pqc_identity_public(id, "clinic 7", &who, &e));
	ok(pqc_access_allow(at("new/authorized"), who, NULL, NULL, &e));
	ok(pqc_access_allow(at("new/authorized"), who, "delete", "drafts/*", &e));
	fails(PQC_EUSAGE, "", pqc_access_allow(at("new/authorized"), who, "fly", NULL, &e));
	fails(PQC_ENAME, "", pqc_access_allow(at("new/authorized"), who, NULL, "../x", &e));
	text = read_file(at("new/authorized"), &n);
	text[n] = '\0';
	assert_memory_equal(text + 2 * PQC_ID_SIZE, want, strlen(want));
	assert_non_null(strstr((char *)text, " delete drafts/* clinic 7\n"));
	free(text);
	ok(pqc_access_deny(at("new/authorized"), pqc_public_id(who), &e));
	text = read_file(at("new/authorized"), &n);
	assert_int_equal(n, 0);
	free(text);
	pqc_public_free(who);
	pqc_identity_free(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_settings_are_refused_by_name),
		TEST(bad_places_are_refused),
		TEST(arguments_are_looked_at),
		TEST(several_addresses_and_settings),
		TEST(keys_are_made_once),
		TEST(a_passphrase_protects_the_identity),
		TEST(rights_are_lines_of_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
