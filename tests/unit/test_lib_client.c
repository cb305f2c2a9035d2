/* libpqc, the client: against a real server. */
#include "lib_served.h"

#define PART 65536u
#define CAP  65416u /* bytes that a part carries */

static struct pqc_identity *alice;
static struct pqc_public *alice_pub;
static struct pqc_client *client;
static uint8_t *plain, *room;
static char known[300], state_dir[300];

enum { PLAIN = 20 * CAP + 5 };

static struct pqc_client_options client_options(void)
{
	struct pqc_client_options o = PQC_INIT(o);

	o.identity = alice;
	o.known_servers = known;
	o.state_dir = state_dir;
	return o;
}

static int setup(void **state)
{
	struct pqc_client_options o;

	if (getenv("PQC_BIN") == NULL)
		return 0;
	assert_int_equal(place_new(state), 0);
	snprintf(known, sizeof(known), "%s", at("known"));
	snprintf(state_dir, sizeof(state_dir), "%s", at("state"));
	ok(pqc_identity_generate(NULL, &alice, &e));
	ok(pqc_identity_save(alice, at("alice"), NULL, NULL, &e));
	ok(pqc_identity_public(alice, NULL, &alice_pub, &e));
	assert_int_equal(mkdir(at("data"), 0700), 0);
	allow(at("alice.pub"), "all");
	serve(NULL, NULL);
	ok(pqc_known_add(known, served.address, served.id, &e));
	o = client_options();
	ok(pqc_client_new(&o, &client, &e));
	plain = noise(PLAIN);
	room = calloc(1, PLAIN);
	return room != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	if (getenv("PQC_BIN") == NULL)
		return 0;
	free(plain);
	free(room);
	pqc_client_free(client);
	pqc_public_free(alice_pub);
	pqc_identity_free(alice);
	serve_no_more();
	return place_free(state);
}

static struct pqc_send_options small_parts(void)
{
	struct pqc_send_options o = PQC_INIT(o);

	o.part_size = PART;
	return o;
}

static int send_plain(const char *name, const struct pqc_control *c, struct pqc_transfer *t)
{
	const struct pqc_source from = from_memory(plain, PLAIN);
	const struct pqc_send_options o = small_parts();

	return pqc_send(client, url(name), &from, &o, c, t, &e);
}

static int get_back(const char *name, const struct pqc_control *c, struct pqc_transfer *t)
{
	const struct pqc_sink to = to_memory(room, PLAIN);

	memset(room, 0, PLAIN);
	return pqc_get(client, url(name), &to, NULL, c, t, &e);
}

/* ---- there and back ---- */

static void memory_there_and_back(void **state)
{
	struct pqc_transfer t;
	struct pqc_receipt_info r;
	struct pqc_buffer pem;

	(void)state;
	program();
	ok(send_plain("a/memory", NULL, &t));
	assert_int_equal(t.size, PLAIN);
	assert_int_equal(t.parts, 21);
	assert_int_equal(t.parts_moved, 21);
	assert_memory_equal(t.server_id, served.id, PQC_ID_SIZE);
	assert_memory_equal(t.sender_id, pqc_public_id(alice_pub), PQC_ID_SIZE);
	assert_int_equal(strlen(t.trace_id), 32);
	ok(pqc_receipt_verify(t.receipt.data, t.receipt.size, &r, &e));
	assert_memory_equal(r.server_id, served.id, PQC_ID_SIZE);
	assert_memory_equal(r.sender_id, t.sender_id, PQC_ID_SIZE);
	assert_memory_equal(r.file_id, t.file_id, PQC_FILE_ID_SIZE);
	assert_int_equal(r.size, PLAIN);
	ok(pqc_receipt(client, url("a/memory"), &pem, NULL, &e));
	assert_int_equal(pem.size, t.receipt.size);
	assert_memory_equal(pem.data, t.receipt.data, pem.size);
	((char *)pem.data)[pem.size / 2] ^= 1;
	fails(PQC_EINTEGRITY, "", pqc_receipt_verify(pem.data, pem.size, &r, &e));
	fails(PQC_EINTEGRITY, "", pqc_receipt_verify("", 0, NULL, &e));
	pqc_buffer_free(&pem);
	pqc_transfer_free(&t);
	assert_null(t.receipt.data);
	ok(get_back("a/memory", NULL, &t));
	assert_memory_equal(room, plain, PLAIN);
	assert_int_equal(t.size, PLAIN);
	assert_memory_equal(t.sender_id, pqc_public_id(alice_pub), PQC_ID_SIZE);
	assert_null(t.receipt.data);
	ok(get_back("a/memory", NULL, NULL));
}

static void streams_there_and_back(void **state)
{
	struct tape in = {.p = plain, .n = PLAIN, .most = 9999};
	struct tape out = {.p = room, .n = PLAIN};
	const struct pqc_source from = from_tape(&in, PQC_SIZE_UNKNOWN);
	const struct pqc_sink to = to_tape(&out);
	struct pqc_transfer t;

	(void)state;
	program();
	memset(room, 0, PLAIN);
	ok(pqc_send(client, url("a/stream"), &from, NULL, NULL, &t, &e));
	assert_int_equal(t.size, PLAIN);
	pqc_transfer_free(&t);
	ok(pqc_get(client, url("a/stream"), &to, NULL, NULL, &t, &e));
	assert_int_equal(out.at, PLAIN);
	assert_memory_equal(room, plain, PLAIN);
}

static void files_there_and_back(void **state)
{
	struct pqc_source from = from_path(at("plain"));
	struct pqc_sink to = to_path(at("back"));
	struct pqc_get_options g = PQC_INIT(g);
	uint8_t *back;
	size_t n;

	(void)state;
	program();
	write_file(at("plain"), plain, PLAIN);
	ok(pqc_send(client, url("a/file"), &from, NULL, NULL, NULL, &e));
	g.from = served.id;
	fails(PQC_EREFUSED, "", pqc_get(client, url("a/file"), &to, &g, NULL, NULL, &e));
	assert_false(is_there(at("back")));
	g.from = pqc_public_id(alice_pub);
	ok(pqc_get(client, url("a/file"), &to, &g, NULL, NULL, &e));
	back = read_file(at("back"), &n);
	assert_int_equal(n, PLAIN);
	assert_memory_equal(back, plain, n);
	free(back);
	fails(PQC_EEXIST, "back", pqc_get(client, url("a/file"), &to, NULL, NULL, NULL, &e));
	to.replace = 1;
	ok(pqc_get(client, url("a/file"), &to, NULL, NULL, NULL, &e));
	assert_int_equal(unlink(at("back")), 0);
}

static void too_little_memory_says_how_much(void **state)
{
	const struct pqc_sink to = to_memory(room, 1000);
	struct pqc_transfer t;

	(void)state;
	program();
	ok(send_plain("a/big", NULL, NULL));
	fails(PQC_ETOOBIG, "1000", pqc_get(client, url("a/big"), &to, NULL, NULL, &t, &e));
	assert_int_equal(t.size, PLAIN);
	pqc_transfer_free(&t);
}

/* ---- list, delete, ping ---- */

struct seen {
	int n, stop_at, code;
	char names[100];
};

static int see(void *arg, const struct pqc_entry *en)
{
	struct seen *s = arg;

	strncat(s->names, en->name, sizeof(s->names) - strlen(s->names) - 1);
	assert_int_equal(en->size, PLAIN);
	assert_true(en->time > 1700000000);
	assert_memory_equal(en->owner, pqc_public_id(alice_pub), PQC_ID_SIZE);
	return ++s->n == s->stop_at ? s->code : 0;
}

static void list_and_delete(void **state)
{
	struct seen s = {.n = 0};
	struct pqc_control c = PQC_INIT(c);
	struct pqc_cancel *flag;

	(void)state;
	program();
	ok(send_plain("list/1", NULL, NULL));
	ok(send_plain("list/2", NULL, NULL));
	ok(pqc_list(client, url("list/"), see, &s, NULL, &e));
	assert_int_equal(s.n, 2);
	assert_non_null(strstr(s.names, "list/1"));
	assert_non_null(strstr(s.names, "list/2"));
	s = (struct seen){.stop_at = 1, .code = -77};
	fails(-77, "", pqc_list(client, url("list/"), see, &s, NULL, &e));
	s = (struct seen){.stop_at = 1, .code = 5};
	fails(5, "", pqc_list(client, url("list/"), see, &s, NULL, &e));
	ok(pqc_cancel_new(&flag, &e));
	pqc_cancel_set(flag);
	c.cancel = flag;
	fails(PQC_EINTERRUPTED, "", pqc_list(client, url("list/"), see, &s, &c, &e));
	fails(PQC_EINTERRUPTED, "", pqc_delete(client, url("list/1"), &c, &e));
	pqc_cancel_free(flag);
	ok(pqc_delete(client, url("list/1"), NULL, &e));
	assert_true(pqc_delete(client, url("list/1"), NULL, &e) < 0);
	fails(PQC_ENAME, "", pqc_delete(client, url(""), NULL, &e));
	fails(PQC_ENAME, "", pqc_delete(client, url("a//b"), NULL, &e));
	s = (struct seen){.n = 0};
	ok(pqc_list(client, url("list/"), see, &s, NULL, &e));
	assert_int_equal(s.n, 1);
}

static void ping_tells_who_is_there(void **state)
{
	struct pqc_client_options o = client_options();
	struct pqc_ping_result r;
	struct pqc_client *k;

	(void)state;
	program();
	ok(pqc_ping(client, url(""), &r, NULL, &e));
	assert_memory_equal(r.server_id, served.id, PQC_ID_SIZE);
	assert_string_equal(r.suite, "Kyber768");
	assert_true(r.pinned && r.tls_group[0] == '\0' && r.seconds > 0);
	ok(pqc_ping(client, url(""), NULL, NULL, &e));
	/* Nobody, who knows nobody: is told all the same who is there. */
	o.identity = NULL;
	o.known_servers = at("none");
	ok(pqc_client_new(&o, &k, &e));
	fails(PQC_EUNKNOWN_SERVER, "", pqc_ping(k, url(""), &r, NULL, &e));
	assert_memory_equal(r.server_id, served.id, PQC_ID_SIZE);
	assert_false(r.pinned);
	pqc_client_free(k);
	assert_false(is_there(at("none")));
	o.accept_new = 1;
	ok(pqc_client_new(&o, &k, &e));
	ok(pqc_ping(k, url(""), &r, NULL, &e));
	pqc_client_free(k);
	o.accept_new = 0;
	o.server_id = pqc_public_id(alice_pub);
	ok(pqc_client_new(&o, &k, &e));
	assert_int_equal(pqc_ping(k, url(""), &r, NULL, &e), PQC_EIDENTITY_CHANGED);
	pqc_client_free(k);
}

static void unknown_and_wrong_servers_are_refused(void **state)
{
	struct pqc_client_options o = client_options();
	struct pqc_source from = from_memory("x", 1);
	uint8_t wrong[PQC_ID_SIZE] = {1};
	struct pqc_client *k;

	(void)state;
	program();
	o.known_servers = at("others/known");
	ok(pqc_client_new(&o, &k, &e));
	fails(PQC_EUNKNOWN_SERVER, "", pqc_send(k, url("x"), &from, NULL, NULL, NULL, &e));
	ok(pqc_known_add(at("others/known"), served.address, wrong, &e));
	fails(PQC_EIDENTITY_CHANGED, "", pqc_send(k, url("x"), &from, NULL, NULL, NULL, &e));
	pqc_client_free(k);
	o.server_id = served.id; /* outweighs what is pinned */
	ok(pqc_client_new(&o, &k, &e));
	ok(pqc_send(k, url("x"), &from, NULL, NULL, NULL, &e));
	pqc_client_free(k);
	o = client_options();
	o.retry_ms = -1;
	ok(pqc_client_new(&o, &k, &e));
	assert_int_equal(pqc_delete(k, "pqc://127.0.0.1:1/x", NULL, &e), PQC_ETEMP);
	pqc_client_free(k);
}

/* ---- ending a call, and going on ---- */

/* Ends the call when a few parts are there: by what it returns, or by the flag. */
static int stop_later(void *arg, const struct pqc_progress *p)
{
	struct pqc_cancel **flag = arg;

	if (p->done < 3 * CAP)
		return 0;
	if (*flag == NULL)
		return 1;
	pqc_cancel_set(*flag);
	return 0;
}

struct slow {
	struct tape tape;
	struct pqc_cancel *flag;
	int set; /* how often */
};

static int64_t give_and_cancel(void *arg, void *p, size_t n)
{
	struct slow *s = arg;

	if (s->tape.at > 5 * CAP) {
		pqc_cancel_set(s->flag);
		s->set++;
	}
	return tape_read(&s->tape, p, n);
}

static void flag_ends_a_stream(void **state)
{
	struct slow s = {.tape = {.p = plain, .n = PLAIN, .most = 5000}};
	struct pqc_source from = {.kind = PQC_IO_CALLBACK,
				  .size = PQC_SIZE_UNKNOWN,
				  .read = give_and_cancel,
				  .arg = &s};
	const struct pqc_send_options o = small_parts();
	struct pqc_control c = PQC_INIT(c);
	struct pqc_transfer t;
	struct seen seen = {.n = 0};

	(void)state;
	program();
	ok(pqc_cancel_new(&s.flag, &e));
	c.cancel = s.flag;
	fails(PQC_EINTERRUPTED, "", pqc_send(client, url("cut/s"), &from, &o, &c, &t, &e));
	pqc_transfer_free(&t);
	pqc_cancel_free(s.flag);
	assert_int_equal(s.set, 1); /* and no part is waited for */
	ok(pqc_list(client, url("cut/"), see, &seen, NULL, &e));
	assert_int_equal(seen.n, 0);
}

static void callbacks_end_a_transfer_with_their_code(void **state)
{
	struct tape in = {.p = plain, .n = PLAIN, .most = 5000, .fail_with = -99, .fail_at = CAP};
	struct tape out = {.p = room, .n = PLAIN, .fail_with = PQC_EQUOTA, .fail_at = CAP};
	const struct pqc_source from = from_tape(&in, PQC_SIZE_UNKNOWN);
	const struct pqc_sink to = to_tape(&out);

	(void)state;
	program();
	fails(-99, "", pqc_send(client, url("cut/c"), &from, NULL, NULL, NULL, &e));
	ok(send_plain("whole", NULL, NULL));
	fails(PQC_EQUOTA, "", pqc_get(client, url("whole"), &to, NULL, NULL, NULL, &e));
}

/* The connection brings half of it and then nothing, so the call cannot be done too soon. */
static void stopped_transfers_go_on(void **state)
{
	char source[300], copy[300];
	struct pqc_source from = from_memory(plain, PLAIN), file = from_path(source);
	struct pqc_sink to = to_path(copy);
	struct pqc_send_options o = small_parts();
	struct pqc_control c = PQC_INIT(c);
	struct pqc_cancel *none = NULL, *flag;
	struct pqc_transfer t;
	struct proxy x;
	char there[200];
	uint8_t *back;
	size_t n;

	(void)state;
	program();
	proxy_new(&x);
	ok(pqc_known_add(known, x.address, served.id, &e));
	ok(pqc_cancel_new(&flag, &e));
	snprintf(source, sizeof(source), "%s", at("long"));
	snprintf(copy, sizeof(copy), "%s", at("long-back"));
	write_file(source, plain, PLAIN);
	c.progress = stop_later;
	o.resume_memory = 1;
	for (int i = 0; i < 4; i++) {
		const struct pqc_source *s = i & 1 ? &file : &from;

		snprintf(there, sizeof(there), "pqc://%s/resume/%d", x.address, i);
		c.arg = i & 2 ? &flag : &none;
		c.cancel = i & 2 ? flag : NULL;
		x.up = 12 * PART;
		fails(PQC_EINTERRUPTED, "", pqc_send(client, there, s, &o, &c, &t, &e));
		assert_int_equal(t.receipt.size, 0);
		pqc_transfer_free(&t);
		pqc_cancel_free(flag);
		ok(pqc_cancel_new(&flag, &e));
		x.up = SIZE_MAX;
		ok(pqc_send(client, there, s, &o, NULL, &t, &e));
		assert_true(t.resumed_bytes >= 3 * CAP);
		assert_true(t.parts_moved < t.parts);
		pqc_transfer_free(&t);

		x.down = 12 * PART;
		c.arg = i & 2 ? &flag : &none;
		c.cancel = i & 2 ? flag : NULL;
		fails(PQC_EINTERRUPTED, "", pqc_get(client, there, &to, NULL, &c, NULL, &e));
		assert_false(is_there(copy));
		pqc_cancel_free(flag);
		ok(pqc_cancel_new(&flag, &e));
		x.down = SIZE_MAX;
		ok(pqc_get(client, there, &to, NULL, NULL, &t, &e));
		back = read_file(copy, &n);
		assert_int_equal(n, PLAIN);
		assert_memory_equal(back, plain, PLAIN);
		free(back);
		assert_int_equal(unlink(copy), 0);
	}
	pqc_cancel_free(flag);
	proxy_free(&x);
}

static void progress_ends_with_everything(void **state)
{
	struct pqc_control c = PQC_INIT(c);
	struct watch w = {.calls = 0};

	(void)state;
	program();
	c.progress = watch_progress;
	c.arg = &w;
	ok(send_plain("progress", &c, NULL));
	assert_int_equal(w.last.done, PLAIN);
	assert_int_equal(w.last.total, PLAIN);
	w = (struct watch){.calls = 0};
	ok(get_back("progress", &c, NULL));
	assert_int_equal(w.last.done, PLAIN);
	assert_int_equal(w.last.total, PLAIN);
}

static int stop_when_done(void *arg, const struct pqc_progress *p)
{
	(void)arg;
	return p->done == p->total;
}

/* All is there but the name. What is told to be there already is no more than that. */
static void stop_at_the_last_byte_leaves_no_file(void **state)
{
	const struct pqc_sink to = to_path(at("late"));
	struct pqc_control c = PQC_INIT(c);
	struct pqc_transfer t;
	uint8_t *back;
	size_t n;

	(void)state;
	program();
	ok(send_plain("late", NULL, NULL));
	c.progress = stop_when_done;
	fails(PQC_EINTERRUPTED, "", pqc_get(client, url("late"), &to, NULL, &c, &t, &e));
	assert_false(is_there(to.path));
	ok(pqc_get(client, url("late"), &to, NULL, NULL, &t, &e));
	assert_int_equal(t.resumed_bytes, PLAIN);
	assert_int_equal(t.parts_moved, 0);
	back = read_file(to.path, &n);
	assert_int_equal(n, PLAIN);
	assert_memory_equal(back, plain, PLAIN);
	free(back);
}

static unsigned sockets(void)
{
	char path[300], name[64];
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;
	ssize_t k;

	assert_non_null(d);
	for (const struct dirent *en; (en = readdir(d)) != NULL;) {
		snprintf(path, sizeof(path), "/proc/self/fd/%s", en->d_name);
		k = readlink(path, name, sizeof(name));
		n += k > 7 && memcmp(name, "socket:", 7) == 0;
	}
	closedir(d);
	return n;
}

struct until {
	struct pqc_cancel *flag;
	unsigned sockets;
};

static void *cancel_when_it_connects(void *arg)
{
	const struct until *u = arg;

	while (sockets() < u->sockets)
		usleep(1000);
	pqc_cancel_set(u->flag);
	return NULL;
}

/* A listener whose queue is full answers no SYN: without the flag this waits an hour. */
static void flag_ends_a_wait_for_a_connection(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct pqc_client_options o = client_options();
	struct pqc_control c = PQC_INIT(c);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), queue[4];
	socklen_t n = sizeof(a);
	struct pqc_client *k;
	struct until until;
	pthread_t thread;
	char there[64];

	(void)state;
	program();
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
	for (int i = 0; i < 4; i++) {
		queue[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(queue[i] >= 0);
		(void)connect(queue[i], (struct sockaddr *)&a, sizeof(a));
	}
	snprintf(there, sizeof(there), "pqc://127.0.0.1:%u/", ntohs(a.sin_port));
	o.connect_ms = 3600000;
	ok(pqc_client_new(&o, &k, &e));
	ok(pqc_cancel_new(&until.flag, &e));
	until.sockets = sockets() + 1;
	c.cancel = until.flag;
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_it_connects, &until), 0);
	fails(PQC_EINTERRUPTED, "interrupted", pqc_ping(k, there, NULL, &c, &e));
	pthread_join(thread, NULL);
	pqc_cancel_free(until.flag);
	pqc_client_free(k);
	for (int i = 0; i < 4; i++)
		close(queue[i]);
	close(listener);
}

/* What a file put in its place would destroy is refused before a byte has come. */
static void file_takes_the_place_of_files_only(void **state)
{
	struct pqc_sink to = {.kind = PQC_IO_PATH, .replace = 1};
	struct stat st;

	(void)state;
	program();
	ok(send_plain("place", NULL, NULL));
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	to.path = at("fifo");
	fails(PQC_EUSAGE, "no regular file",
	      pqc_get(client, url("place"), &to, NULL, NULL, NULL, &e));
	assert_int_equal(stat(to.path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	to.path = place;
	assert_true(pqc_get(client, url("place"), &to, NULL, NULL, NULL, &e) < 0);
	assert_non_null(strstr(e.message, "Is a directory"));
	to.path = at("");
	fails(PQC_EUSAGE, "no name", pqc_get(client, url("place"), &to, NULL, NULL, NULL, &e));
	to.path = "";
	fails(PQC_EUSAGE, "no name", pqc_get(client, url("place"), &to, NULL, NULL, NULL, &e));
}

/* ---- many threads, many times ---- */

struct sender {
	pthread_t thread;
	int number, rc;
};

static void *send_and_get(void *arg)
{
	struct sender *s = arg;
	const struct pqc_source from = from_memory(plain, 3 * CAP + (size_t)s->number);
	uint8_t *back = calloc(1, 4 * CAP);
	const struct pqc_sink to = to_memory(back, 4 * CAP);
	char name[200];

	snprintf(name, sizeof(name), "pqc://%s/threads/%d", served.address, s->number);
	for (int i = 0; s->rc == 0 && i < 5; i++)
		if ((s->rc = pqc_send(client, name, &from, NULL, NULL, NULL, NULL)) == 0 &&
		    (s->rc = pqc_get(client, name, &to, NULL, NULL, NULL, NULL)) == 0 &&
		    memcmp(back, plain, from.size) != 0)
			s->rc = 1;
	free(back);
	return NULL;
}

static void one_client_serves_many_threads(void **state)
{
	struct sender s[6] = {{.number = 0}};

	(void)state;
	program();
	for (int i = 0; i < 6; i++) {
		s[i].number = i;
		assert_int_equal(pthread_create(&s[i].thread, NULL, send_and_get, &s[i]), 0);
	}
	for (int i = 0; i < 6; i++) {
		pthread_join(s[i].thread, NULL);
		assert_int_equal(s[i].rc, 0);
	}
}

static void client_keeps_what_it_needs(void **state)
{
	struct pqc_client_options o = client_options();
	struct pqc_identity *id;
	struct pqc_buffer text;
	uint8_t server_id[PQC_ID_SIZE];
	char path[300];
	struct pqc_client *k;

	(void)state;
	program();
	ok(pqc_identity_format(alice, NULL, &text, &e));
	ok(pqc_identity_parse(text.data, text.size, NULL, &id, &e));
	pqc_buffer_free(&text);
	snprintf(path, sizeof(path), "%s", known);
	memcpy(server_id, served.id, PQC_ID_SIZE);
	o.identity = id;
	o.known_servers = path;
	o.server_id = server_id;
	ok(pqc_client_new(&o, &k, &e));
	pqc_identity_free(id);
	memset(path, 'x', sizeof(path));
	memset(server_id, 0, sizeof(server_id));
	memset(&o, 0xff, sizeof(o));
	ok(pqc_ping(k, url(""), NULL, NULL, &e));
	ok(pqc_list(k, url("nothing/"), see, NULL, NULL, &e));
	pqc_client_free(k);
}

static void one_round(void)
{
	struct pqc_source absent = from_path(at("absent")), small = from_memory(plain, 100);
	struct pqc_control c = PQC_INIT(c);
	struct watch w = {.stop_at = 1};
	struct pqc_buffer pem;

	ok(pqc_send(client, url("round"), &small, NULL, NULL, NULL, &e));
	ok(get_back("round", NULL, NULL));
	ok(pqc_receipt(client, url("round"), &pem, NULL, &e));
	pqc_buffer_free(&pem);
	ok(pqc_ping(client, url(""), NULL, NULL, &e));
	ok(pqc_delete(client, url("round"), NULL, &e));
	assert_true(get_back("round", NULL, NULL) < 0);
	fails(PQC_ENOTFOUND, "", pqc_send(client, url("x"), &absent, NULL, NULL, NULL, &e));
	c.progress = watch_progress;
	c.arg = &w;
	fails(PQC_EINTERRUPTED, "", send_plain("round/cut", &c, NULL));
}

static void nothing_stays_behind(void **state)
{
	int before;

	(void)state;
	program();
	one_round();
	before = open_descriptors();
	for (int i = 0; i < 100; i++)
		one_round();
	assert_int_equal(open_descriptors(), before);
	only_one_thread();
	assert_int_equal(entries(state_dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_there_and_back),
		cmocka_unit_test(streams_there_and_back),
		cmocka_unit_test(files_there_and_back),
		cmocka_unit_test(too_little_memory_says_how_much),
		cmocka_unit_test(list_and_delete),
		cmocka_unit_test(ping_tells_who_is_there),
		cmocka_unit_test(unknown_and_wrong_servers_are_refused),
		cmocka_unit_test(flag_ends_a_stream),
		cmocka_unit_test(callbacks_end_a_transfer_with_their_code),
		cmocka_unit_test(stopped_transfers_go_on),
		cmocka_unit_test(progress_ends_with_everything),
		cmocka_unit_test(stop_at_the_last_byte_leaves_no_file),
		cmocka_unit_test(flag_ends_a_wait_for_a_connection),
		cmocka_unit_test(file_takes_the_place_of_files_only),
		cmocka_unit_test(one_client_serves_many_threads),
		cmocka_unit_test(client_keeps_what_it_needs),
		cmocka_unit_test(nothing_stays_behind),
	};

	return cmocka_run_group_tests_name("lib_client", tests, setup, teardown);
}
