/* hooks.h against receivers of all kinds, damaged spools, and processes that share one or die. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/text.h"
#include "crypto/hmac.h"
#include "http_peer.h"
#include "server/hooks.h"

#define LONG   20000 /* ms: no test waits for that */
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

#define FINE "HTTP/1.1 204 No Content\r\n\r\n"

static char top[] = "/tmp/pqc-hooks-XXXXXX";
static char data[64], secret[64], log_path[64], script[64];
static struct logger *logger;
static int log_fd;

static void put_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static char *read_file(const char *path)
{
	static char text[65536];
	FILE *f = fopen(path, "r");
	size_t n = 0;

	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return text;
}

static const char *at(const char *name)
{
	static char path[4][PATH_MAX];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, PATH_MAX, "%s/events/%s", data, name);
	return p;
}

/* Entries of data/events/sub that are not directories; the name of one of them in name. */
static unsigned entries(const char *sub, char name[256])
{
	DIR *d = opendir(at(sub));
	const struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)) != NULL)
		if (e->d_type != DT_DIR) {
			n++;
			if (name)
				snprintf(name, 256, "%s", e->d_name);
		}
	if (d)
		closedir(d);
	return n;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static int group_setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(top))
		return -1;
	snprintf(secret, sizeof(secret), "%s/secret", top);
	snprintf(log_path, sizeof(log_path), "%s/log", top);
	snprintf(script, sizeof(script), "%s/script", top);
	put_file(secret, SECRET "\n", 0600);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	return nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Each test has a directory and a log of its own. */
static int setup(void **state)
{
	static unsigned number;

	(void)state;
	snprintf(data, sizeof(data), "%s/data%u", top, number++);
	log_fd = open(log_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	return log_fd >= 0 ? log_new(&logger, log_fd, true) : -1;
}

static int teardown(void **state)
{
	(void)state;
	log_free(logger);
	close(log_fd);
	return 0;
}

static struct hooks_opts options(const char *url, const char *command)
{
	return (struct hooks_opts){.data_dir = data,
				   .url = url,
				   .secret_file = secret,
				   .command = command,
				   .ttl_ms = 3600000,
				   .timeout_ms = LONG,
				   .log = logger};
}

static struct hooks *start_with(const struct hooks_opts *o)
{
	struct hooks *h = NULL;
	struct err e;

	if (hooks_new(&h, o, &e) != 0)
		fail_msg("%s", e.msg);
	assert_non_null(h);
	return h;
}

static struct hooks *start(const char *url, const char *command)
{
	struct hooks_opts o = options(url, command);

	return start_with(&o);
}

static void post(struct hooks *h, unsigned number)
{
	char object[64];
	struct err e;

	snprintf(object, sizeof(object), "{\"number\":%u}", number);
	if (hooks_post(h, "transfer.received", object, &e) != 0)
		fail_msg("%s", e.msg);
}

/* Until the sums are reached; then they must be exact. */
static void assert_counts(struct hooks *h, uint64_t delivered, uint64_t retried, uint64_t given_up)
{
	uint64_t until = clock_ms() + LONG;
	struct hooks_counts c;

	do
		hooks_counts(h, &c);
	while ((c.delivered < delivered || c.retried < retried || c.given_up < given_up) &&
	       clock_ms() < until && poll(NULL, 0, 2) == 0);
	assert_int_equal(c.delivered, delivered);
	assert_int_equal(c.retried, retried);
	assert_int_equal(c.given_up, given_up);
}

/* ---- signatures ---- */

static void hmac_is_the_standards(void **state)
{
	/* RFC 4231 section 4.3 */
	static const char want[] =
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
	static const struct span text[] = {{"what do ya want ", 16}, {"for nothing?", 12}};
	uint8_t tag[HMAC_SHA256_LEN];
	char hex[2 * sizeof(tag) + 1];

	(void)state;
	assert_int_equal(hmac_sha256("Jefe", 4, text, 2, tag), 0);
	hex_encode(tag, sizeof(tag), hex);
	assert_string_equal(hex, want);
}

/* The value of a header line of the last request. */
static const char *header(const struct peer *p, const char *name, char out[128])
{
	char find[64];
	const char *s;

	snprintf(find, sizeof(find), "\r\n%s: ", name);
	s = strstr(p->request, find);
	assert_non_null(s);
	s += strlen(find);
	snprintf(out, 128, "%.*s", (int)strcspn(s, "\r"), s);
	return out;
}

static const char *body_of(const struct peer *p)
{
	return strstr(p->request, "\r\n\r\n") + 4;
}

/* The last request's signature, made anew. */
static void assert_signed(const struct peer *p)
{
	char id[128], stamp[128], signature[128], head[300];
	struct buf key = BUF_INIT(64), want = BUF_INIT(128);
	uint8_t tag[HMAC_SHA256_LEN];

	assert_int_equal(base64_decode(&key, &SECRET[6], strlen(SECRET) - 6), 0);
	snprintf(head, sizeof(head), "%s.%s.", header(p, "webhook-id", id),
		 header(p, "webhook-timestamp", stamp));
	assert_int_equal(hmac_sha256(key.p, key.len,
				     (const struct span[]){{head, strlen(head)},
							   {body_of(p), strlen(body_of(p))}},
				     2, tag),
			 0);
	buf_put_str(&want, "v1,");
	base64_encode(&want, tag, sizeof(tag));
	assert_string_equal(header(p, "webhook-signature", signature), buf_cstr(&want));
	assert_in_range(strtoull(stamp, NULL, 10), clock_unix() - 60, clock_unix());
	buf_free(&key);
	buf_free(&want);
}

/* ---- webhooks ---- */

static void an_event_is_delivered_once(void **state)
{
	struct peer p = {.serve = peer_answer, .reply = FINE};
	struct hooks *h;
	struct hooks_counts c;
	char id[128];
	json_t *body;

	(void)state;
	peer_start(&p);
	h = start(p.url, NULL);
	post(h, 7);
	assert_counts(h, 1, 0, 0);
	assert_int_equal(p.requests, 1);
	assert_signed(&p);
	assert_int_equal(strncmp(header(&p, "webhook-id", id), "evt_", 4), 0);
	body = json_loads(body_of(&p), JSON_REJECT_DUPLICATES, NULL);
	assert_string_equal(json_string_value(json_object_get(body, "type")), "transfer.received");
	assert_int_equal(json_string_length(json_object_get(body, "timestamp")), 20);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(body, "data"), "number")), 7);
	json_decref(body);
	assert_int_equal(entries("", NULL), 0);
	hooks_counts(h, &c);
	assert_int_equal(c.pending, 0);
	hooks_free(h);
	assert_non_null(strstr(read_file(log_path), "\"event\":\"event.delivered\""));
	assert_non_null(strstr(read_file(log_path), id));
	peer_stop(&p);
}

static char first_id[128];

static void refuse_first(struct peer *p, int fd)
{
	if (!peer_listen(p, fd))
		return;
	if (p->served == 0)
		header(p, "webhook-id", first_id);
	peer_say(fd, p->served == 0 ? p->reply : FINE, strlen(p->served == 0 ? p->reply : FINE));
}

static void refusals_are_tried_again(void **state)
{
	static const char *const refusals[] = {
		"HTTP/1.1 500 x\r\n\r\n",
		"HTTP/1.1 503 x\r\nRetry-After: 1\r\n\r\n",
		"HTTP/1.1 302 x\r\nLocation: /\r\n\r\n",
		"",
		"what?",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct peer p = {.serve = refuse_first, .reply = refusals[i]};
		struct hooks *h;
		uint64_t begin = clock_ms();
		char id[128];

		peer_start(&p);
		h = start(p.url, NULL);
		post(h, 1);
		assert_counts(h, 1, 1, 0);
		assert_in_range(clock_ms() - begin, 800, LONG);
		assert_int_equal(p.requests, 2);
		assert_string_equal(header(&p, "webhook-id", id), first_id);
		assert_signed(&p);
		hooks_free(h);
		peer_stop(&p);
	}
	assert_non_null(strstr(read_file(log_path), "the receiver answered 500"));
}

/* One event the receiver does not like does not hold up those behind it. */
static void one_bad_event_does_not_block(void **state)
{
	struct peer p = {.serve = refuse_first, .reply = "HTTP/1.1 500 x\r\n\r\n"};
	struct hooks *h;
	uint64_t begin = clock_ms();

	(void)state;
	peer_start(&p);
	h = start(p.url, NULL);
	post(h, 1);
	assert_true(peer_await(&p, 1, LONG));
	post(h, 2);
	assert_counts(h, 1, 1, 0);
	assert_in_range(clock_ms() - begin, 0, 800);
	assert_non_null(strstr(p.request, "\"number\":2"));
	hooks_free(h);
	peer_stop(&p);
}

static void gone_is_final(void **state)
{
	struct peer p = {.serve = peer_answer, .reply = "HTTP/1.1 410 Gone\r\n\r\n"};
	struct hooks *h;
	char name[256];

	(void)state;
	peer_start(&p);
	h = start(p.url, NULL);
	post(h, 1);
	assert_counts(h, 0, 0, 1);
	hooks_free(h);
	assert_int_equal(entries("", NULL), 0);
	assert_int_equal(entries("failed", name), 1);
	assert_non_null(strstr(name, ".webhook.json"));
	assert_non_null(strstr(read_file(log_path), "\"given_up\":true"));
	peer_stop(&p);
}

static void old_events_are_given_up(void **state)
{
	struct peer p = {.serve = peer_answer, .reply = "HTTP/1.1 500 x\r\n\r\n"};
	struct hooks_opts o;
	struct hooks *h;

	(void)state;
	peer_start(&p);
	o = options(p.url, NULL);
	o.ttl_ms = 500; /* before the second attempt would be due */
	h = start_with(&o);
	post(h, 1);
	/* once at once, and for the last time when its time is up */
	assert_counts(h, 0, 1, 1);
	assert_int_equal(p.requests, 2);
	assert_int_equal(entries("failed", NULL), 1);
	hooks_free(h);
	peer_stop(&p);
}

static void hang(struct peer *p, int fd)
{
	if (peer_listen(p, fd))
		peer_hang(p, fd);
}

static void trickle(struct peer *p, int fd)
{
	if (!peer_listen(p, fd) || !peer_say(fd, "HTTP/1.1 200 OK\r\nA: ", 20))
		return;
	while (peer_rest(p, fd, 5) && peer_say(fd, "x", 1))
		;
}

static void slow_receivers_do_not_hold_us(void **state)
{
	static void (*const slow[])(struct peer *, int) = {hang, trickle};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct peer p = {.serve = slow[i]};
		struct hooks_opts o;
		struct hooks *h;

		peer_start(&p);
		o = options(p.url, NULL);
		o.timeout_ms = 150;
		h = start_with(&o);
		post(h, 1);
		assert_counts(h, 0, 1, 0);
		hooks_free(h);
		assert_int_equal(entries("", NULL), 1 + i);
		peer_stop(&p);
	}
}

static void gush(struct peer *p, int fd)
{
	if (!peer_listen(p, fd) ||
	    !peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", 48))
		return;
	while (peer_say(fd, "more and more and more", 22))
		;
}

static void the_answers_body_is_not_waited_for(void **state)
{
	struct peer p = {.serve = gush};
	struct hooks *h;

	(void)state;
	peer_start(&p);
	h = start(p.url, NULL);
	post(h, 1);
	assert_counts(h, 1, 0, 0);
	hooks_free(h);
	peer_stop(&p);
}

static void the_end_does_not_wait_for_a_receiver(void **state)
{
	struct peer p = {.serve = hang};
	struct hooks *h;
	uint64_t begin;

	(void)state;
	peer_start(&p);
	h = start(p.url, NULL);
	post(h, 1);
	assert_true(peer_await(&p, 1, LONG));
	begin = clock_ms();
	hooks_free(h);
	assert_in_range(clock_ms() - begin, 1900, 5000); /* the grace, and a little */
	assert_int_equal(entries("", NULL), 1);
	peer_stop(&p);
}

/* With nobody there, events wait; whoever comes next delivers them, also one that only looks. */
static void events_survive_a_restart(void **state)
{
	struct peer p = {.serve = peer_answer, .reply = FINE};
	struct hooks *h;
	struct hooks_counts c;
	char url[128];

	(void)state;
	peer_start(&p);
	snprintf(url, sizeof(url), "%s", p.url);
	peer_stop(&p);
	h = start(url, NULL);
	for (unsigned i = 0; i < 300; i++)
		post(h, i);
	hooks_counts(h, &c);
	/* only the first was tried, and when some time had passed perhaps a few: the receiver is down */
	assert_int_equal(c.delivered, 0);
	assert_in_range(c.retried, 1, 20);
	assert_in_range(c.pending, 295, 305); /* the directory was looked at in between */
	hooks_free(h);
	assert_int_equal(entries("", NULL), 300);

	p = (struct peer){.serve = peer_answer, .reply = FINE};
	peer_start(&p);
	h = start(p.url, NULL);
	assert_counts(h, 300, 0, 0);
	hooks_free(h);
	assert_int_equal(p.requests, 300);
	assert_int_equal(entries("", NULL), 0);
	peer_stop(&p);
}

/* ---- damage ---- */

#define NAME(n) "evt_0123456789ab0000000000000000000" #n ".webhook.json"

static void damaged_files_are_set_aside(void **state)
{
	struct peer p = {.serve = peer_answer, .reply = FINE};
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct hooks *h;
	char big[80000];

	(void)state;
	peer_start(&p);
	h = start(p.url, NULL);
	hooks_free(h); /* the directories are there */
	put_file(at(NAME(1)), "", 0600);
	put_file(at(NAME(2)), "{\"type\":\"transfer.received\",\"timestamp\":\"x\",\"da", 0600);
	put_file(at(NAME(3)), "{\"type\":7,\"timestamp\":\"x\",\"data\":{}}", 0600);
	memset(big, ' ', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	memcpy(big, "{\"type\":\"a\",\"timestamp\":\"x\",\"data\":{}}", 38);
	put_file(at(NAME(4)), big, 0600);
	/* these are none of ours */
	put_file(at("evt_1.webhook.json"), "x", 0600);
	put_file(at("notes"), "x", 0600);
	assert_int_equal(symlink("/etc/passwd", at(NAME(5))), 0);
	assert_int_equal(mkfifo(at(NAME(6)), 0600), 0);
	assert_int_equal(mkdir(at(NAME(7)), 0700), 0);
	put_file(at(".pqc-tmp-0000000000000001"), "x", 0600);
	put_file(at(".pqc-tmp-0000000000000002"), "x", 0600);
	assert_int_equal(utimensat(AT_FDCWD, at(".pqc-tmp-0000000000000001"), old, 0), 0);
	h = start(p.url, NULL);
	assert_counts(h, 0, 0, 4);
	post(h, 1);
	assert_counts(h, 1, 0, 4);
	hooks_free(h);
	assert_int_equal(p.requests, 1);
	assert_int_equal(entries("failed", NULL), 4);
	assert_int_equal(entries("", NULL), 5);
	assert_int_equal(access(at(".pqc-tmp-0000000000000001"), F_OK), -1);
	assert_int_equal(access(at(".pqc-tmp-0000000000000002"), F_OK), 0);
	peer_stop(&p);
}

static void a_full_disk_reaches_the_caller(void **state)
{
	struct peer p = {.serve = peer_answer, .reply = FINE};
	struct rlimit before, none;
	struct hooks *h;
	struct err e;
	int r;

	(void)state;
	peer_start(&p);
	h = start(p.url, NULL);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	none = before;
	none.rlim_cur = 10;
	setrlimit(RLIMIT_FSIZE, &none);
	r = hooks_post(h, "transfer.failed", "{}", &e);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(r, PQC_EQUOTA);
	assert_int_equal(e.code, PQC_EQUOTA);
	assert_int_equal(entries("", NULL), 0);
	post(h, 1);
	assert_counts(h, 1, 0, 0);
	hooks_free(h);
	peer_stop(&p);
}

static void what_is_no_event_is_refused(void **state)
{
	static const char *const types[] = {
		"",    "A",   "a b",
		"a\"", "x\n", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"};
	static const char *const objects[] = {
		"", "{", "[]", "1", "{}x", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}"};
	struct hooks *h = start("http://127.0.0.1:1/", NULL);
	struct buf big = BUF_INIT(100000);
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(hooks_post(h, types[i], "{}", &e), PQC_EFAIL);
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		assert_int_equal(hooks_post(h, "a.b", objects[i], &e), PQC_EFAIL);
	buf_put_str(&big, "{\"a\":\"");
	memset(buf_extend(&big, HOOKS_EVENT_MAX), 'x', HOOKS_EVENT_MAX);
	buf_put_str(&big, "\"}");
	assert_int_equal(hooks_post(h, "a.b", buf_cstr(&big), &e), PQC_ETOOBIG);
	assert_int_equal(entries("", NULL), 0);
	buf_free(&big);
	hooks_free(h);
}

/* ---- several processes ---- */

#define SHARED 120

static json_t *seen;

static void note_id(struct peer *p, int fd)
{
	char id[128];

	if (!peer_listen(p, fd))
		return;
	json_object_set_new(seen, header(p, "webhook-id", id), json_true());
	peer_say(fd, FINE, strlen(FINE));
}

static void two_share_a_spool(void **state)
{
	struct peer p = {.serve = note_id};
	struct hooks *a, *b;
	struct hooks_counts ca, cb;
	uint64_t until = clock_ms() + LONG;

	(void)state;
	seen = json_object();
	peer_start(&p);
	/* locks of open files hold between two of one process as between two processes */
	a = start(p.url, NULL);
	b = start(p.url, NULL);
	for (unsigned i = 0; i < SHARED; i++)
		post(i % 2 ? a : b, i);
	do {
		hooks_counts(a, &ca);
		hooks_counts(b, &cb);
	} while (ca.delivered + cb.delivered < SHARED && clock_ms() < until &&
		 poll(NULL, 0, 2) == 0);
	hooks_free(a);
	hooks_free(b);
	assert_int_equal(ca.delivered + cb.delivered, SHARED);
	assert_int_equal(p.requests, SHARED);
	assert_int_equal(json_object_size(seen), SHARED);
	assert_int_equal(entries("", NULL), 0);
	json_decref(seen);
	peer_stop(&p);
}

static pid_t victim;
static atomic_bool killed;

static void kill_first(struct peer *p, int fd)
{
	if (!peer_listen(p, fd))
		return;
	if (p->served == 0) {
		header(p, "webhook-id", first_id);
		kill(victim, SIGKILL);
		waitpid(victim, NULL, 0);
		atomic_store(&killed, true);
	}
	peer_say(fd, FINE, strlen(FINE));
}

static void a_killed_process_delivers_again(void **state)
{
	struct peer p = {.serve = kill_first};
	int go[2];
	char id[128], url[128];
	struct hooks *h;

	(void)state;
	/* before there is a thread */
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	victim = fork();
	if (victim == 0) {
		struct hooks_opts o;

		if (read(go[0], url, sizeof(url)) != sizeof(url))
			_exit(1);
		o = options(url, NULL);
		if (hooks_new(&h, &o, NULL) != 0 || hooks_post(h, "a.b", "{}", NULL) != 0)
			_exit(1);
		for (;;)
			pause();
	}
	peer_start(&p);
	snprintf(url, sizeof(url), "%s", p.url);
	assert_int_equal(write(go[1], url, sizeof(url)), sizeof(url));
	assert_true(peer_await(&p, 1, LONG));
	for (uint64_t until = clock_ms() + LONG; !atomic_load(&killed); poll(NULL, 0, 1))
		assert_true(clock_ms() < until);
	h = start(p.url, NULL);
	assert_counts(h, 1, 0, 0);
	assert_int_equal(p.requests, 2);
	assert_string_equal(header(&p, "webhook-id", id), first_id);
	hooks_free(h);
	close(go[0]);
	close(go[1]);
	peer_stop(&p);
}

/* ---- commands ---- */

static const char *out_path(void)
{
	static char path[80];

	snprintf(path, sizeof(path), "%s/out", top);
	return path;
}

static void put_script(const char *text)
{
	char whole[2048];

	unlink(out_path());
	snprintf(whole, sizeof(whole), "#!/bin/sh\nout=%s\n%s\n", out_path(), text);
	put_file(script, whole, 0700);
}

static void a_command_gets_the_event_and_nothing_else(void **state)
{
	char want[64];
	struct hooks *h;
	const char *out;
	int open_fd = open("/dev/null", O_RDONLY); /* without close-on-exec */

	(void)state;
	put_script("{ cat; echo; tr '\\0' '\\n' </proc/$$/environ; ls /proc/$$/fd;\n"
		   "grep Sig /proc/self/status; } >$out.tmp\n"
		   "mv $out.tmp $out");
	setenv("SECRET_OF_OURS", "x", 1);
	h = start(NULL, script);
	post(h, 5);
	assert_counts(h, 1, 0, 0);
	hooks_free(h);
	close(open_fd);
	out = read_file(out_path());
	assert_non_null(strstr(out, "\"type\":\"transfer.received\""));
	assert_non_null(strstr(out, "\"number\":5}}\n"));
	assert_non_null(strstr(out, "\nPQC_EVENT=transfer.received\n"));
	assert_non_null(strstr(out, "\nPQC_EVENT_ID=evt_"));
	assert_non_null(strstr(out, "\nPATH="));
	assert_null(strstr(out, "SECRET_OF_OURS"));
	assert_null(strstr(out, "HOME="));
	/* the shell has its own from 10 on */
	assert_in_range(open_fd, 3, 9);
	for (int fd = 3; fd < 10; fd++) {
		snprintf(want, sizeof(want), "\n%d\n", fd);
		assert_null(strstr(out, want));
	}
	assert_non_null(strstr(out, "SigBlk:\t0000000000000000\n"));
	/* glibc keeps two of its own, 32 and 33 */
	assert_int_equal(strtoull(strstr(out, "SigIgn:\t") + 8, NULL, 16) & 0x7fffffff, 0);
	assert_int_equal(entries("", NULL), 0);
}

static void a_command_needs_a_program_that_waits_for_its_children(void **state)
{
	static const struct sigaction ways[] = {{.sa_handler = SIG_IGN},
						{.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT}};
	struct hooks_opts o = options(NULL, script);
	struct sigaction before, after;
	struct hooks *h = NULL;
	struct err e;

	(void)state;
	put_script("exit 0");
	for (size_t i = 0; i < 2; i++) {
		sigaction(SIGCHLD, &ways[i], &before);
		assert_int_equal(hooks_new(&h, &o, &e), PQC_ECONFIG);
		assert_non_null(strstr(e.msg, "SIGCHLD"));
		assert_null(h);
		sigaction(SIGCHLD, &before, &after);
		assert_ptr_equal(after.sa_handler, ways[i].sa_handler);
		assert_int_equal(after.sa_flags & SA_NOCLDWAIT, ways[i].sa_flags);
	}
}

static void a_command_finds_its_programs_where_it_was_told(void **state)
{
	struct hooks_opts o = options(NULL, script);
	struct hooks *h;

	(void)state;
	put_script("/bin/echo $PATH >$out.tmp; /bin/mv $out.tmp $out");
	o.search_path = "/somewhere:/else";
	h = start_with(&o);
	post(h, 5);
	assert_counts(h, 1, 0, 0);
	hooks_free(h);
	assert_string_equal(read_file(out_path()), "/somewhere:/else\n");
}

static void a_failing_command_is_run_again(void **state)
{
	struct hooks *h;
	const char *log;

	(void)state;
	put_script("if [ -e $out ]; then exit 0; fi; : >$out; echo 'no \"luck\"' >&2; exit 3");
	h = start(NULL, script);
	post(h, 1);
	assert_counts(h, 1, 1, 0);
	hooks_free(h);
	log = read_file(log_path);
	assert_non_null(strstr(log, "the command ended with status 3: no \\\"luck\\\""));
}

static void a_command_that_hangs_is_killed_with_its_children(void **state)
{
	struct hooks_opts o = options(NULL, script);
	struct hooks *h;
	pid_t child;

	(void)state;
	put_script(
		"trap '' TERM INT\nsleep 1000 & echo $! >$out.tmp; mv $out.tmp $out; wait; wait");
	o.timeout_ms = 600;
	h = start_with(&o);
	post(h, 1);
	assert_counts(h, 0, 1, 0);
	hooks_free(h);
	assert_non_null(strstr(read_file(log_path), "more than 600 ms"));
	child = (pid_t)atoi(read_file(out_path()));
	assert_true(child > 1);
	/* it is a zombie of init's at most */
	for (int i = 0; i < 1000 && kill(child, 0) == 0; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/stat", child);
		if (strstr(read_file(path), ") Z"))
			break;
		assert_true(i < 999);
		poll(NULL, 0, 5);
	}
}

static void a_command_may_talk_and_need_not_read(void **state)
{
	struct hooks *h;

	(void)state;
	/* more than a pipe holds, on both */
	put_script("exec <&-; head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2");
	h = start(NULL, script);
	post(h, 1);
	assert_counts(h, 1, 0, 0);
	hooks_free(h);
}

static void the_end_does_not_wait_for_a_command(void **state)
{
	struct hooks *h;
	uint64_t begin;

	(void)state;
	put_script(": >$out; exec sleep 1000");
	h = start(NULL, script);
	post(h, 1);
	begin = clock_ms();
	while (access(out_path(), F_OK) != 0 && clock_ms() - begin < LONG)
		poll(NULL, 0, 2);
	begin = clock_ms();
	hooks_free(h);
	assert_in_range(clock_ms() - begin, 1900, 5000);
	assert_int_equal(entries("", NULL), 1);
}

static void both_are_told(void **state)
{
	struct peer p = {.serve = refuse_first, .reply = "HTTP/1.1 500 x\r\n\r\n"};
	struct hooks *h;
	char id[128], line[256];

	(void)state;
	put_script("echo $PQC_EVENT_ID >>$out");
	peer_start(&p);
	h = start(p.url, script);
	post(h, 1);
	assert_counts(h, 2, 1, 0); /* the command once, the webhook at its second attempt */
	hooks_free(h);
	snprintf(line, sizeof(line), "%s\n", header(&p, "webhook-id", id));
	assert_string_equal(read_file(out_path()), line);
	peer_stop(&p);
}

/* ---- options ---- */

static void secrets_are_guarded(void **state)
{
	static const char *const bads[] = {"",
					   "whsec_",
					   "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
					   "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==",
					   SECRET "\n" SECRET "\n",
					   " " SECRET,
					   SECRET " ",
					   SECRET "\r\n",
					   "whsec_!!!!",
					   "whsec_"
					   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
					   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
					   "AAAA"};
	struct hooks_opts o = options("http://127.0.0.1:1/", NULL);
	char path[80];
	struct hooks *h = NULL;
	struct err e;

	(void)state;
	snprintf(path, sizeof(path), "%s/other", top);
	o.secret_file = path;
	assert_int_equal(hooks_new(&h, &o, &e), PQC_ENOTFOUND);
	put_file(path, SECRET "\n", 0640);
	assert_int_equal(hooks_new(&h, &o, &e), PQC_EREFUSED);
	assert_non_null(strstr(e.msg, "chmod 600"));
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		put_file(path, bads[i], 0600);
		if (hooks_new(&h, &o, &e) != PQC_ECONFIG)
			fail_msg("taken: %s", bads[i]);
		assert_null(h);
		assert_null(strstr(e.msg, "MfKQ"));
	}
	put_file(path, SECRET, 0400); /* without the line's end */
	assert_int_equal(hooks_new(&h, &o, &e), 0);
	hooks_free(h);
	unlink(path);
}

static void wrong_options_are_said_at_once(void **state)
{
	struct hooks_opts none = options(NULL, NULL), o;
	struct hooks *h = NULL;
	struct hooks_counts c;
	char file[80];
	struct err e;

	(void)state;
	assert_int_equal(hooks_new(&h, &none, &e), 0);
	assert_null(h);
	assert_int_equal(hooks_post(NULL, "a.b", "{}", &e), 0);
	hooks_counts(NULL, &c);
	assert_int_equal(c.pending, 0);
	hooks_free(NULL);

	o = options("ftp://h/", NULL);
	assert_int_equal(hooks_new(&h, &o, &e), PQC_ECONFIG);
	o = options("http://h/", NULL);
	o.secret_file = NULL;
	assert_int_equal(hooks_new(&h, &o, &e), PQC_ECONFIG);
	o = options("https://h/", NULL);
	o.ca_file = "/does/not/exist";
	assert_int_equal(hooks_new(&h, &o, &e), PQC_ECONFIG);
	o = options(NULL, "sh");
	assert_int_equal(hooks_new(&h, &o, &e), PQC_ECONFIG);
	o = options(NULL, "/does/not/exist");
	assert_int_equal(hooks_new(&h, &o, &e), PQC_ECONFIG);
	o = options(NULL, "/tmp");
	assert_int_equal(hooks_new(&h, &o, &e), PQC_ECONFIG);
	snprintf(file, sizeof(file), "%s/plain", top);
	put_file(file, "x", 0600);
	o = options(NULL, file);
	assert_int_equal(hooks_new(&h, &o, &e), PQC_ECONFIG);
	o = options(NULL, "/bin/true");
	o.data_dir = file;
	assert_true(hooks_new(&h, &o, &e) != 0);
	assert_null(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_killed_process_delivers_again), /* first: it forks, and sanitizers want no threads then */
		TEST(hmac_is_the_standards),
		TEST(an_event_is_delivered_once),
		TEST(refusals_are_tried_again),
		TEST(one_bad_event_does_not_block),
		TEST(gone_is_final),
		TEST(old_events_are_given_up),
		TEST(slow_receivers_do_not_hold_us),
		TEST(the_answers_body_is_not_waited_for),
		TEST(the_end_does_not_wait_for_a_receiver),
		TEST(events_survive_a_restart),
		TEST(damaged_files_are_set_aside),
		TEST(a_full_disk_reaches_the_caller),
		TEST(what_is_no_event_is_refused),
		TEST(two_share_a_spool),
		TEST(a_command_gets_the_event_and_nothing_else),
		TEST(a_command_needs_a_program_that_waits_for_its_children),
		TEST(a_command_finds_its_programs_where_it_was_told),
		TEST(a_failing_command_is_run_again),
		TEST(a_command_that_hangs_is_killed_with_its_children),
		TEST(a_command_may_talk_and_need_not_read),
		TEST(the_end_does_not_wait_for_a_command),
		TEST(both_are_told),
		TEST(secrets_are_guarded),
		TEST(wrong_options_are_said_at_once),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
