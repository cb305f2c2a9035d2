/* libpqc, server: in a program with clients, beside other servers, told to end, and told nonsense. */
#include "lib_server.h"

#include <signal.h>
#include <sys/resource.h>

#define PIECE	  ((size_t)1 << 20)
#define SLOW_PART 65536

/* ---- transfers ---- */

struct user {
	pthread_t thread;
	const struct pqc_client *k;
	const struct host *h;
	unsigned number;
	int rc;
	struct pqc_error e;
};

/* Put and get objects of its own. */
static void *use(void *arg)
{
	struct user *u = arg;
	uint8_t *bytes = noise(PIECE + u->number);
	char name[32];

	for (unsigned i = 0; i < 3 && u->rc == 0; i++) {
		snprintf(name, sizeof(name), "of/%u/%u", u->number, i);
		u->rc = send_bytes(u->k, url_of(u->h, name), bytes, PIECE + u->number, &u->e);
		if (u->rc == 0)
			u->rc = get_bytes(u->k, url_of(u->h, name), bytes, PIECE + u->number,
					  &u->e);
	}
	free(bytes);
	return NULL;
}

/* Several at a time, of several hosts. */
static void use_all(const struct pqc_client *k, const struct host *const *hosts, size_t n)
{
	struct user u[6] = {{.rc = 0}};

	for (unsigned i = 0; i < COUNT(u); i++) {
		u[i] = (struct user){.k = k, .h = hosts[i % n], .number = i};
		assert_int_equal(pthread_create(&u[i].thread, NULL, use, &u[i]), 0);
	}
	for (unsigned i = 0; i < COUNT(u); i++) {
		pthread_join(u[i].thread, NULL);
		if (u[i].rc != 0)
			fail_msg("%s", u[i].e.message);
	}
}

static void clients_of_the_same_process_are_served(void **state)
{
	struct pqc_identity *id = somebody();
	struct pqc_client *k = client_of(id);
	struct host h;
	const struct host *hosts[] = {&h};
	struct pqc_public *who;
	json_t *o;

	(void)state;
	host_start(&h, "a", NULL);
	o = lines_await(&h.log, "access.empty", 1);
	assert_string_equal(text_of(o, "then"), "call pqc_server_reload");
	fails(PQC_EREFUSED, "not allowed", send_bytes(k, url_of(&h, "x"), "x", 1, &e));

	allow("a", id, NULL);
	fails(PQC_EREFUSED, "not allowed", send_bytes(k, url_of(&h, "x"), "x", 1, &e));
	pqc_server_reload(h.s);
	o = lines_await(&h.log, "reload.done", 1);
	assert_int_equal(json_integer_value(json_object_get(o, "authorised_identities")), 1);
	use_all(k, hosts, 1);
	assert_int_equal(lines_count(&h.log, "put.done"), 18);
	for (unsigned i = 1; i <= 36; i++) {
		o = lines_await(&h.log, "transfer", i);
		assert_string_equal(text_of(o, "result"), "done");
		assert_null(json_object_get(o, "name")); /* nobody asked for names */
	}

	ok(pqc_identity_public(id, NULL, &who, &e));
	ok(pqc_access_deny(at("a/authorized"), pqc_public_id(who), &e));
	fails(PQC_ENOTFOUND, "no line",
	      pqc_access_deny(at("a/authorized"), pqc_public_id(who), &e));
	pqc_public_free(who);
	pqc_server_reload(h.s);
	(void)lines_await(&h.log, "reload.done", 2);
	fails(PQC_EREFUSED, "not allowed", send_bytes(k, url_of(&h, "x"), "x", 1, &e));

	/* A file that is wrong changes nothing. */
	write_file(at("a/authorized"), "nonsense\n", 9);
	pqc_server_reload(h.s);
	o = lines_await(&h.log, "reload.failed", 1);
	assert_non_null(strstr(text_of(o, "reason"), "authorized:1"));
	host_stop(&h);
	pqc_client_free(k);
	pqc_identity_free(id);
}

static void servers_live_side_by_side(void **state)
{
	static const char *const names[] = {"log-names=yes", "log-level=debug", NULL};
	struct pqc_identity *id = somebody();
	struct pqc_client *k = client_of(id);
	struct host a, b, again; /* again: of the same directory as a */
	const struct host *hosts[] = {&a, &b, &again};

	(void)state;
	assert_int_equal(mkdir(at("a"), 0700), 0);
	allow("a", id, "all");
	allow("b", id, "all"); /* makes the directory */
	host_start(&a, "a", NULL);
	host_start(&b, "b", names);
	host_start(&again, "a", NULL);
	assert_int_equal(entries(at("a/run")), 2);
	assert_int_equal(entries(at("b/run")), 1);
	assert_memory_equal(pqc_public_id(pqc_server_public(a.s)),
			    pqc_public_id(pqc_server_public(again.s)), PQC_ID_SIZE);
	assert_memory_not_equal(pqc_public_id(pqc_server_public(a.s)),
				pqc_public_id(pqc_server_public(b.s)), PQC_ID_SIZE);
	use_all(k, hosts, 3);
	ok(send_bytes(k, url_of(&a, "shared"), "text", 4, &e));
	ok(get_bytes(k, url_of(&again, "shared"), "text", 4, &e));
	fails(PQC_EREFUSED, "", get_bytes(k, url_of(&b, "shared"), "text", 4, &e));
	assert_non_null(json_object_get(lines_await(&b.log, "put.done", 1), "name"));
	assert_true(lines_count(&b.log, "put.acknowledged") > 0);
	assert_int_equal(lines_count(&a.log, "put.acknowledged"), 0);

	host_stop(&a);
	assert_int_equal(entries(at("a/run")), 1);
	ok(get_bytes(k, url_of(&again, "shared"), "text", 4, &e));
	host_stop(&again);
	host_stop(&b);
	assert_int_equal(entries(at("a/run")), 0);
	assert_int_equal(entries(at("b/run")), 0);
	pqc_client_free(k);
	pqc_identity_free(id);
}

/* ---- the end ---- */

/* A transfer that stands still after its first bytes, until it is let go. */
struct slow {
	pthread_t thread;
	pthread_barrier_t moves, go;
	bool stood;
	const struct pqc_client *k;
	char url[256];
	int rc;
	struct pqc_error e;
};

static int stand_still(void *arg, const struct pqc_progress *p)
{
	struct slow *s = arg;

	if (!s->stood && p->done > 0 && p->done < p->total) {
		s->stood = true;
		pthread_barrier_wait(&s->moves);
		pthread_barrier_wait(&s->go);
	}
	return 0;
}

static void *slow_main(void *arg)
{
	struct slow *s = arg;
	struct pqc_source from = from_path(at("large"));
	struct pqc_control c = PQC_INIT(c);
	struct pqc_send_options o = PQC_INIT(o);
	struct pqc_transfer t = {.size = 0};

	o.part_size = SLOW_PART;
	c.progress = stand_still;
	c.arg = s;
	s->rc = pqc_send(s->k, s->url, &from, &o, &c, &t, &s->e);
	pqc_transfer_free(&t);
	return NULL;
}

/* On return some of it has arrived. */
static void slow_start(struct slow *s, const struct pqc_client *k, const struct host *h)
{
	uint8_t *bytes = noise(64 * PIECE);

	write_file(at("large"), bytes, 64 * PIECE);
	free(bytes);
	*s = (struct slow){.k = k};
	snprintf(s->url, sizeof(s->url), "%s", url_of(h, "large"));
	pthread_barrier_init(&s->moves, NULL, 2);
	pthread_barrier_init(&s->go, NULL, 2);
	assert_int_equal(pthread_create(&s->thread, NULL, slow_main, s), 0);
	pthread_barrier_wait(&s->moves);
}

static int slow_end(struct slow *s)
{
	pthread_barrier_wait(&s->go);
	pthread_join(s->thread, NULL);
	pthread_barrier_destroy(&s->moves);
	pthread_barrier_destroy(&s->go);
	return s->rc;
}

static void the_end_waits_for_transfers(void **state)
{
	struct pqc_identity *id = somebody();
	struct pqc_client *k = client_of(id);
	struct slow s;
	struct host h;

	(void)state;
	allow("a", id, NULL);
	host_start(&h, "a", NULL);
	slow_start(&s, k, &h);
	pqc_server_stop(h.s);
	(void)lines_await(&h.log, "server.draining", 1);
	fails(PQC_ETEMP, "", send_bytes(k, url_of(&h, "x"), "x", 1, &e));
	if (slow_end(&s) != PQC_OK)
		fail_msg("%s", s.e.message);
	assert_int_equal(host_join(&h), PQC_OK);
	assert_string_equal(text_of(lines_await(&h.log, "server.stopped", 1), "drained"), "yes");
	host_free(&h);
	pqc_client_free(k);
	pqc_identity_free(id);
}

static void a_second_stop_does_not_wait(void **state)
{
	struct pqc_identity *id = somebody();
	struct pqc_client *k = client_of(id);
	char listen[80];
	const char *const again[] = {listen, NULL};
	struct pqc_send_options o = PQC_INIT(o);
	struct pqc_transfer t = {.size = 0};
	struct pqc_source from;
	struct slow s;
	struct host h;

	(void)state;
	allow("a", id, NULL);
	host_start(&h, "a", NULL);
	slow_start(&s, k, &h);
	pqc_server_stop(h.s);
	pqc_server_stop(h.s);
	assert_int_equal(host_join(&h), PQC_ETEMP);
	assert_non_null(strstr(h.e.message, "can be resumed"));
	host_free(&h);
	assert_int_not_equal(slow_end(&s), PQC_OK);

	/* At the same place, what had arrived need not be sent again. */
	snprintf(listen, sizeof(listen), "listen=%s", h.address);
	host_start(&h, "a", again);
	from = from_path(at("large"));
	o.part_size = SLOW_PART;
	ok(pqc_send(k, s.url, &from, &o, NULL, &t, &e));
	assert_true(t.resumed_bytes > 0);
	pqc_transfer_free(&t);
	host_stop(&h);
	pqc_client_free(k);
	pqc_identity_free(id);
}

static struct pqc_server *told_by_signal;

static void stop_it(int sig)
{
	(void)sig;
	pqc_server_stop(told_by_signal);
}

static void a_signal_handler_may_stop_it(void **state)
{
	struct sigaction sa = {.sa_handler = stop_it}, before;
	struct host h;

	(void)state;
	host_start(&h, "a", NULL);
	told_by_signal = h.s;
	sigaction(SIGUSR1, &sa, &before);
	pthread_kill(h.thread, SIGUSR1);
	assert_int_equal(host_join(&h), PQC_OK);
	sigaction(SIGUSR1, &before, NULL);
	fails(PQC_EUSAGE, "once", pqc_server_run(h.s, &e));
	host_free(&h);
}

static void nothing_is_left_behind(void **state)
{
	const int fds = open_descriptors();
	struct host h;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		host_new(&h, "a", NULL);
		if (i % 3 == 1)
			pqc_server_stop(h.s); /* before it runs */
		if (i % 3 != 0) {
			host_run(&h);
			pqc_server_stop(h.s);
			pqc_server_reload(h.s);
			assert_int_not_equal(host_join(&h), PQC_EUSAGE);
		}
		host_free(&h);
		assert_int_equal(open_descriptors(), fds);
		only_one_thread();
		assert_int_equal(entries(at("a/run")), 0);
	}
}

/* ---- what is the program's ---- */

struct process {
	sigset_t mask;
	void (*handler[32])(int);
	struct rlimit limit[RLIM_NLIMITS];
	char cwd[256];
	mode_t mask_of_files;
};

static struct process look(void)
{
	struct process p;
	struct sigaction sa;

	memset(&p, 0, sizeof(p));
	pthread_sigmask(SIG_SETMASK, NULL, &p.mask);
	for (int sig = 1; sig < 32; sig++)
		if (sigaction(sig, NULL, &sa) == 0)
			p.handler[sig] = sa.sa_handler;
	for (int i = 0; i < (int)RLIM_NLIMITS; i++)
		getrlimit((__rlimit_resource_t)i, &p.limit[i]);
	assert_non_null(getcwd(p.cwd, sizeof(p.cwd)));
	umask(p.mask_of_files = umask(0));
	return p;
}

/* A reader that goes away in the middle. */
static int take_little(void *arg, const void *p, size_t n)
{
	(void)arg;
	(void)p;
	(void)n;
	return PQC_EINTERRUPTED;
}

static void the_process_stays_as_it_was(void **state)
{
	static const char *const variables[] = {"PQC_LISTEN", "PQC_MAX_SIZE", "PQC_DATA_DIR",
						"PQC_CONFIG"};
	struct pqc_identity *id = somebody();
	struct pqc_client *k = client_of(id);
	struct pqc_sink to = {.kind = PQC_IO_CALLBACK, .write = take_little};
	uint8_t *bytes = noise(32 * PIECE);
	struct pqc_transfer t = {.size = 0};
	struct process before, after;
	struct host h;
	int ends[2];

	(void)state;
	for (size_t i = 0; i < COUNT(variables); i++)
		setenv(variables[i], "nonsense", 1);
	before = look();
	allow("a", id, NULL);
	host_new(&h, "a", NULL);
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	/* A write of its threads raises no SIGPIPE, which would end this process. */
	h.log.broken = ends[1];
	host_run(&h);
	after = look();
	assert_memory_equal(&before, &after, sizeof(before));
	ok(send_bytes(k, url_of(&h, "x"), bytes, 32 * PIECE, &e));
	fails(PQC_EINTERRUPTED, "", pqc_get(k, url_of(&h, "x"), &to, NULL, NULL, &t, &e));
	(void)lines_await(&h.log, "get.interrupted", 1);
	host_stop(&h);
	close(ends[1]);
	after = look();
	assert_memory_equal(&before, &after, sizeof(before));
	for (size_t i = 0; i < COUNT(variables); i++)
		unsetenv(variables[i]);
	free(bytes);
	pqc_client_free(k);
	pqc_identity_free(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_left_behind),	   TEST(clients_of_the_same_process_are_served),
		TEST(servers_live_side_by_side),   TEST(the_end_waits_for_transfers),
		TEST(a_second_stop_does_not_wait), TEST(a_signal_handler_may_stop_it),
		TEST(the_process_stays_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
