/* fetch.h against servers that answer in every way, or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "http_peer.h"
#include "net/fetch.h"
#include "net/loop.h"

#define OK     "HTTP/1.1 200 OK\r\n"
#define PLENTY 20000 /* ms: no test waits for that */

static char dir[] = "/tmp/pqc-fetch-XXXXXX";

static int get(const char *url, struct buf *answer, int *status, struct err *e)
{
	struct fetch f = {.url = url, .timeout_ms = PLENTY, .answer_max = 1000};

	memset(e, 0, sizeof(*e));
	return fetch_run(&f, status, answer, e);
}

/* ---- addresses ---- */

static void addresses_are_parsed(void **state)
{
	static const struct {
		const char *s, *host_port, *target;
		bool tls;
	} good[] = {
		{"http://h", "h:80", "/", false},
		{"HTTPS://H", "h:443", "/", true},
		{"http://h:4318/", "h:4318", "/", false},
		{"http://h/v1/traces?a=b/c", "h:80", "/v1/traces?a=b/c", false},
		{"https://[::1]:9?x", "[::1]:9", "/?x", true},
		{"http://127.0.0.1/%20", "127.0.0.1:80", "/%20", false},
	};
	static const char *const bad[] = {
		"",
		"h",
		"http:/h",
		"ftp://h",
		"ws://h",
		"http://",
		"http:///x",
		"http://:80",
		"http://u@h/",
		"http://u:p@h/",
		"http://h/#f",
		"http://h#f",
		"http://h:0/",
		"http://h:65536/",
		"http://h:x/",
		"http://[::1/",
		"http://h/a b",
		"http://h/\r\nX: y",
		"http://h/\xc3\xa4",
		"http://h/\x7f",
		"http://-h/",
		"http://a..b/",
		"http://h\r\n/",
	};
	struct fetch_url u;
	char text[FETCH_TARGET_MAX + 32] = "http://h";

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(fetch_url_parse(good[i].s, &u, NULL), 0);
		assert_string_equal(u.at.host_port, good[i].host_port);
		assert_string_equal(u.target, good[i].target);
		assert_int_equal(u.at.tls, good[i].tls);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (fetch_url_parse(bad[i], &u, NULL) != PQC_EUSAGE)
			fail_msg("taken: %s", bad[i]);
	memset(text + 8, '/', FETCH_TARGET_MAX);
	assert_int_equal(fetch_url_parse(text, &u, NULL), 0);
	text[8 + FETCH_TARGET_MAX] = '/';
	assert_int_equal(fetch_url_parse(text, &u, NULL), PQC_EUSAGE);
}

/* ---- what is sent ---- */

static void requests_are_whole(void **state)
{
	struct peer p = {.serve = peer_answer, .reply = "HTTP/1.1 202 x\r\n\r\n"};
	struct fetch f = {.timeout_ms = PLENTY, .answer_max = 10};
	struct buf answer = BUF_INIT(100);
	char url[128], host[256];
	int status;

	(void)state;
	peer_start(&p);
	snprintf(url, sizeof(url), "%s/a?b", p.url);
	snprintf(host, sizeof(host), "\r\nHost: %s\r\n", p.url + strlen("http://"));
	f.url = url;
	assert_int_equal(fetch_run(&f, &status, &answer, NULL), 0);
	assert_int_equal(status, 202);
	assert_int_equal(strncmp(p.request, "GET /a?b HTTP/1.1\r\n", 19), 0);
	assert_non_null(strstr(p.request, host));
	assert_non_null(strstr(p.request, "\r\nConnection: close\r\n"));
	assert_null(strstr(p.request, "Content-"));

	f.content_type = "application/json";
	f.body = "{\0}";
	f.body_len = 3;
	f.headers = "webhook-id: 1\r\nx: y\r\n";
	assert_int_equal(fetch_run(&f, &status, &answer, NULL), 0);
	assert_int_equal(strncmp(p.request, "POST /a?b HTTP/1.1\r\n", 20), 0);
	assert_non_null(strstr(p.request, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(p.request, "\r\nContent-Length: 3\r\n"));
	assert_non_null(strstr(p.request, "\r\nwebhook-id: 1\r\nx: y\r\n\r\n"));
	assert_memory_equal(p.request + p.request_len - 4, "\n{\0}", 4);
	buf_free(&answer);
	peer_stop(&p);
}

/* ---- answers ---- */

static void answers_are_understood(void **state)
{
	static const struct {
		const char *reply;
		int status;
		const char *body;
	} good[] = {
		{OK "Content-Length: 5\r\n\r\nhello", 200, "hello"},
		{OK "Content-Length: 5\r\n\r\nhello and what nobody asked for", 200, "hello"},
		{OK
		 "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: 1\r\n\r\n",
		 200, "hello"},
		{OK "\r\nhello", 200, "hello"},
		{"HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello"},
		{OK "\r\n", 200, ""},
		{"HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
		{"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, ""},
		{"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, ""},
		{"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", 500, "no"},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK
		 "Content-Length: 2\r\n\r\nhi",
		 200, "hi"},
	};
	struct peer p = {.serve = peer_answer};
	struct buf answer = BUF_INIT(1000);
	struct err e;
	int status;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		p.serve = peer_answer;
		p.reply = good[i].reply;
		peer_start(&p);
		buf_reset(&answer);
		buf_put_str(&answer, "before ");
		if (get(p.url, &answer, &status, &e) != 0)
			fail_msg("%s: %s", good[i].reply, e.msg);
		assert_int_equal(status, good[i].status);
		assert_string_equal(buf_cstr(&answer) + 7, good[i].body);
		peer_stop(&p);
	}
	buf_free(&answer);
}

static void spell(struct peer *p, int fd)
{
	if (peer_listen(p, fd))
		for (const char *s = p->reply; *s && peer_rest(p, fd, 1); s++)
			if (!peer_say(fd, s, 1))
				break;
}

static void answers_come_byte_by_byte(void **state)
{
	struct peer p = {.serve = spell,
			 .reply = OK
			 "retry-after: 17\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\n"
			 "llo\r\n0\r\n\r\n"};
	unsigned retry = 1;
	struct fetch f = {.timeout_ms = PLENTY, .answer_max = 5, .retry_after = &retry};
	struct buf answer = BUF_INIT(100);
	int status;

	(void)state;
	peer_start(&p);
	f.url = p.url;
	assert_int_equal(fetch_run(&f, &status, &answer, NULL), 0);
	assert_string_equal(buf_cstr(&answer), "hello");
	assert_int_equal(retry, 17);
	buf_free(&answer);
	peer_stop(&p);
}

static void retry_after_is_seconds(void **state)
{
	static const struct {
		const char *line;
		unsigned want;
	} lines[] = {
		{"Retry-After: 0", 0},	     {"Retry-After:999999 ", 999999},
		{"Retry-After: 1000000", 0}, {"Retry-After: -1", 0},
		{"Retry-After: 1x", 0},	     {"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", 0},
		{"Retry-After-Not: 5", 0},   {"X-Retry-After: 5", 0},
		{"Retry-Afte: 5", 0},	     {"Retry-After:", 0},
	};
	struct peer p = {0};
	unsigned retry;
	struct fetch f = {.timeout_ms = PLENTY, .retry_after = &retry};
	char reply[128];
	int status;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		snprintf(reply, sizeof(reply), "HTTP/1.1 503 x\r\n%s\r\n\r\n", lines[i].line);
		p.serve = peer_answer;
		p.reply = reply;
		peer_start(&p);
		f.url = p.url;
		assert_int_equal(fetch_run(&f, &status, NULL, NULL), 0);
		assert_int_equal(retry, lines[i].want);
		peer_stop(&p);
	}
}

static void bad_answers_are_refused(void **state)
{
	static const struct {
		const char *reply;
		int code, status;
	} bads[] = {
		{"", PQC_ECLOSED, 0},
		{"HTTP/1.1 200 OK\r\nA: b", PQC_ECLOSED, 0},
		{OK "Content-Length: 5\r\n\r\nhell", PQC_ECLOSED, 200},
		{OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhell", PQC_ECLOSED, 200},
		{OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", PQC_ECLOSED, 200},
		{OK "Transfer-Encoding: chunked\r\n\r\nx\r\n", PQC_EPROTO, 200},
		{OK "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", PQC_EPROTO, 200},
		{OK "Content-Length: -1\r\n\r\n", PQC_EPROTO, 0},
		{OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", PQC_EPROTO, 0},
		{"SSH-2.0-OpenSSH_9.2\r\n", PQC_EPROTO, 0},
		{"\x15\x03\x01\x02", PQC_EPROTO, 0},
		{"GET / HTTP/1.1\r\n\r\n", PQC_EPROTO, 0},
		{"HTTP/2.0 200 OK\r\n\r\n", PQC_EPROTO, 0},
		{"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", PQC_EPROTO,
		 0},
		{"HTTP/1.1 099 x\r\n\r\n", PQC_EPROTO, 0},
		{"HTTP/1.1 100 Continue\r\n\r\n", PQC_ECLOSED, 0},
		{OK "Content-Length: 1001\r\n\r\n", PQC_ETOOBIG, 200},
		{OK "Content-Length: 18446744073709551615\r\n\r\n", PQC_ETOOBIG, 200},
	};
	struct peer p = {0};
	struct buf answer = BUF_INIT(4000);
	struct err e;
	int status;

	(void)state;
	buf_put_str(&answer, "before");
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		int r;

		p.serve = peer_answer;
		p.reply = bads[i].reply;
		peer_start(&p);
		r = get(p.url, &answer, &status, &e);
		if (r != bads[i].code || e.code != r || status != bads[i].status)
			fail_msg("%d, status %d, '%s' for '%s'", r, status, e.msg, bads[i].reply);
		assert_non_null(strstr(e.msg, p.url + strlen("http://")));
		assert_string_equal(buf_cstr(&answer), "before");
		peer_stop(&p);
	}
	buf_free(&answer);
}

/* ---- more than there should be ---- */

static void gush(struct peer *p, int fd)
{
	if (!peer_listen(p, fd) || !peer_say(fd, p->reply, strlen(p->reply)))
		return;
	while (peer_say(fd, "1\r\nx\r\n", 6))
		;
}

static void answers_without_end_are_cut(void **state)
{
	static const struct {
		const char *begin;
		int status;
	} endless[] = {
		{OK "Transfer-Encoding: chunked\r\n\r\n", 200},
		{OK "\r\n", 200},
		{OK "A: ", 0},
		{"HTTP/1.1 200 ", 0},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 ", 0},
	};
	struct peer p = {0};
	struct buf answer = BUF_INIT(1000000);
	struct err e;
	int status;

	(void)state;
	for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
		p.serve = gush;
		p.reply = endless[i].begin;
		peer_start(&p);
		int r = get(p.url, &answer, &status, &e);

		if (r != PQC_ETOOBIG && !(endless[i].status == 0 && r == PQC_EPROTO))
			fail_msg("%d, %s: %s", r, e.msg, endless[i].begin);
		assert_int_equal(status, endless[i].status);
		assert_int_equal(answer.len, 0);
		peer_stop(&p);
	}
	buf_free(&answer);
}

static void the_limit_is_exact(void **state)
{
	static const char *const forms[] = {
		OK "Content-Length: 1000\r\n\r\n%s",
		OK "Transfer-Encoding: chunked\r\n\r\n3e8\r\n%s\r\n0\r\n\r\n",
		OK "\r\n%s",
	};
	struct peer p = {0};
	struct buf answer = BUF_INIT(5000);
	char body[1002], reply[2000];
	struct err e;
	int status;

	(void)state;
	memset(body, 'b', sizeof(body));
	body[1000] = '\0';
	for (size_t i = 0; i < 3; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(reply, sizeof(reply), forms[i], body);
#pragma GCC diagnostic pop
		p.serve = peer_answer;
		p.reply = reply;
		peer_start(&p);
		buf_reset(&answer);
		assert_int_equal(get(p.url, &answer, &status, &e), 0);
		assert_int_equal(answer.len, 1000);
		peer_stop(&p);
	}
	strcat(reply, "b");
	p.serve = peer_answer;
	p.reply = reply;
	peer_start(&p);
	assert_int_equal(get(p.url, &answer, &status, &e), PQC_ETOOBIG);
	peer_stop(&p);
	buf_free(&answer);
}

static void say_and_hang(struct peer *p, int fd)
{
	if (peer_listen(p, fd) && peer_say(fd, p->reply, strlen(p->reply)))
		peer_hang(p, fd);
}

static void only_the_status_may_be_wanted(void **state)
{
	struct peer p = {.serve = say_and_hang, .reply = OK "Content-Length: 1073741824\r\n\r\n"};
	struct err e;
	int status;

	(void)state;
	peer_start(&p);
	assert_int_equal(get(p.url, NULL, &status, &e), 0);
	assert_int_equal(status, 200);
	peer_stop(&p);
}

/* Answers at once, and reads nothing. */
static void refuse_early(struct peer *p, int fd)
{
	peer_say(fd, p->reply, strlen(p->reply));
	peer_hang(p, fd);
}

static void an_answer_may_come_before_the_request_has_ended(void **state)
{
	static char body[16 << 20];
	struct peer p = {.serve = refuse_early,
			 .reply = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"};
	struct fetch f = {.content_type = "a/b",
			  .body = body,
			  .body_len = sizeof(body),
			  .timeout_ms = PLENTY,
			  .answer_max = 10};
	struct buf answer = BUF_INIT(10);
	int status;

	(void)state;
	peer_start(&p);
	f.url = p.url;
	assert_int_equal(fetch_run(&f, &status, &answer, NULL), 0);
	assert_int_equal(status, 413);
	buf_free(&answer);
	peer_stop(&p);
}

/* ---- time ---- */

static void trickle(struct peer *p, int fd)
{
	if (!peer_listen(p, fd) || !peer_say(fd, OK "A: ", strlen(OK "A: ")))
		return;
	while (peer_rest(p, fd, 5) && peer_say(fd, "x", 1))
		;
}

static void silent(struct peer *p, int fd)
{
	peer_hang(p, fd);
}

static void the_deadline_is_for_all_of_it(void **state)
{
	static void (*const slow[])(struct peer *, int) = {silent, trickle, say_and_hang};
	struct buf answer = BUF_INIT(100);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct peer p = {.serve = slow[i], .reply = OK "Content-Length: 2\r\n\r\nx"};
		struct fetch f = {.timeout_ms = 150, .answer_max = 10};
		uint64_t start = clock_ms();
		int status;

		peer_start(&p);
		f.url = p.url;
		assert_int_equal(fetch_run(&f, &status, &answer, NULL), PQC_ETIMEOUT);
		assert_in_range(clock_ms() - start, 140, 2000);
		assert_int_equal(answer.len, 0);
		peer_stop(&p);
	}
	buf_free(&answer);
}

static atomic_bool cancelled;
static _Atomic uint64_t cancelled_at;

static void cancel_then_hang(struct peer *p, int fd)
{
	atomic_store(&cancelled_at, clock_ms());
	atomic_store(&cancelled, true);
	peer_hang(p, fd);
}

static void a_request_can_be_cancelled(void **state)
{
	struct peer p = {.serve = cancel_then_hang};
	struct fetch f = {.timeout_ms = PLENTY, .cancel = &cancelled};
	int status;

	(void)state;
	peer_start(&p);
	f.url = p.url;
	assert_int_equal(fetch_run(&f, &status, NULL, NULL), PQC_EINTERRUPTED);
	assert_in_range(clock_ms() - atomic_load(&cancelled_at), 0, 1000);
	/* and before it has begun */
	assert_int_equal(fetch_run(&f, &status, NULL, NULL), PQC_EINTERRUPTED);
	atomic_store(&cancelled, false);
	peer_stop(&p);
}

/* ---- who is there ---- */

static void nobody_is_there(void **state)
{
	struct peer p = {.serve = peer_answer};
	char url[64], path[64];
	struct err e;
	struct fetch f = {.url = "http://h/", .unix_path = path, .timeout_ms = PLENTY};
	int status = 7;

	(void)state;
	peer_start(&p);
	strcpy(url, p.url);
	peer_stop(&p);
	assert_int_equal(get(url, NULL, &status, &e), PQC_ETEMP);
	assert_int_equal(status, 0);
	snprintf(path, sizeof(path), "%s/none", dir);
	assert_int_equal(fetch_run(&f, &status, NULL, &e), PQC_ENOTFOUND);
	assert_non_null(strstr(e.msg, path));
	assert_int_equal(get("nonsense", NULL, &status, &e), PQC_EUSAGE);
	assert_int_equal(get("https://127.0.0.1/", NULL, &status, &e), PQC_ECONFIG);
}

/* A socket at sub/s below dir, sub of n letters. */
static int listen_at(char *path, size_t n)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    old = open(".", O_PATH | O_CLOEXEC);

	sprintf(path, "%s/", dir);
	memset(path + strlen(dir) + 1, 'd', n);
	path[strlen(dir) + 1 + n] = '\0';
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chdir(path), 0);
	strcpy(a.sun_path, "s");
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(fchdir(old), 0);
	close(old);
	strcat(path, "/s");
	return fd;
}

static void unix_sockets_may_have_long_paths(void **state)
{
	static const size_t lengths[] = {10, 200};
	char path[512];
	int status;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct peer p = {.serve = peer_answer, .reply = OK "\r\n"};
		struct fetch f = {
			.url = "http://pqc/health", .unix_path = path, .timeout_ms = PLENTY};
		struct err e;

		p.listener = listen_at(path, lengths[i]);
		peer_start(&p);
		if (fetch_run(&f, &status, NULL, &e) != 0)
			fail_msg("%s", e.msg);
		assert_int_equal(status, 200);
		assert_non_null(strstr(p.request, "\r\nHost: pqc\r\n"));
		peer_stop(&p);
		assert_int_equal(fetch_run(&f, &status, NULL, &e), PQC_ETEMP);
		unlink(path);
		*strrchr(path, '/') = '\0';
		rmdir(path);
	}
}

/* ---- TLS ---- */

static void make_certificate(const char *name)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *x = X509_new();
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	char path[128];
	FILE *f;

	assert_true(key && x && ext);
	X509_set_version(x, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	X509_add_ext(x, ext, -1);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	snprintf(path, sizeof(path), "%s/%s.crt", dir, name);
	assert_non_null(f = fopen(path, "w"));
	PEM_write_X509(f, x);
	fclose(f);
	snprintf(path, sizeof(path), "%s/%s.key", dir, name);
	assert_non_null(f = fopen(path, "w"));
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_EXTENSION_free(ext);
	X509_free(x);
	EVP_PKEY_free(key);
}

static const char *in_dir(const char *name)
{
	static char path[2][128];
	static unsigned next;
	char *p = path[next++ % 2];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static bool tls_wait(struct peer *p, struct stream *s, unsigned want)
{
	struct pollfd w[2] = {{.fd = p->stop, .events = POLLIN},
			      {.fd = stream_fd(s), .events = want == LOOP_READ ? POLLIN : POLLOUT}};

	return poll(w, 2, -1) > 0 && !(w[0].revents & POLLIN);
}

static char group[64];

static void serve_tls(struct peer *p, int fd)
{
	struct tls_ctx *t = NULL;
	struct stream *s = NULL;
	unsigned want = 0;
	char text[4096];
	ssize_t r;

	if (tls_server_ctx(in_dir("a.crt"), in_dir("a.key"), &t, NULL) != 0 ||
	    stream_new(dup(fd), t, NULL, &s) != 0)
		abort();
	while ((r = stream_handshake(s, &want, NULL)) == PQC_EAGAIN && tls_wait(p, s, want))
		;
	if (r == 0) {
		snprintf(group, sizeof(group), "%s", stream_tls_group(s));
		while ((r = stream_read(s, text, sizeof(text), &want)) == PQC_EAGAIN &&
		       tls_wait(p, s, want))
			;
		if (r > 0 && stream_write(s, p->reply, strlen(p->reply), &want) < 0)
			abort();
	}
	stream_free(s);
	tls_ctx_unref(t);
}

static void tls_is_verified_and_post_quantum(void **state)
{
	struct peer p = {.serve = serve_tls, .reply = OK "Content-Length: 2\r\n\r\nhi"};
	struct fetch f = {.timeout_ms = PLENTY, .answer_max = 10};
	struct buf answer = BUF_INIT(10);
	struct err e = {0};
	char url[256];
	int status;

	(void)state;
	make_certificate("a");
	make_certificate("b");
	peer_start(&p);
	snprintf(url, sizeof(url), "https%s", p.url + 4);
	f.url = url;
	assert_int_equal(tls_client_ctx(in_dir("b.crt"), &f.tls, NULL), 0);
	assert_int_equal(fetch_run(&f, &status, &answer, &e), PQC_EREFUSED);
	assert_int_equal(status, 0);
	tls_ctx_unref(f.tls);
	assert_int_equal(tls_client_ctx(in_dir("a.crt"), &f.tls, NULL), 0);
	if (fetch_run(&f, &status, &answer, &e) != 0)
		fail_msg("%s", e.msg);
	assert_string_equal(buf_cstr(&answer), "hi");
	tls_ctx_unref(f.tls);
	peer_stop(&p);
	assert_string_equal(group, "X25519MLKEM768");

	/* a server without TLS, and one that says nothing */
	p = (struct peer){.serve = refuse_early, .reply = OK "\r\n"};
	peer_start(&p);
	snprintf(url, sizeof(url), "https%s", p.url + 4);
	assert_int_equal(tls_client_ctx(in_dir("a.crt"), &f.tls, NULL), 0);
	assert_int_equal(fetch_run(&f, &status, &answer, &e), PQC_EPROTO);
	p.serve = silent;
	f.timeout_ms = 100;
	assert_int_equal(fetch_run(&f, &status, &answer, &e), PQC_ETIMEOUT);
	tls_ctx_unref(f.tls);
	peer_stop(&p);
	buf_free(&answer);
}

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as stream.h asks of a program */
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = {"a.crt", "a.key", "b.crt", "b.key"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_dir(names[i]));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_parsed),
		cmocka_unit_test(requests_are_whole),
		cmocka_unit_test(answers_are_understood),
		cmocka_unit_test(answers_come_byte_by_byte),
		cmocka_unit_test(retry_after_is_seconds),
		cmocka_unit_test(bad_answers_are_refused),
		cmocka_unit_test(answers_without_end_are_cut),
		cmocka_unit_test(the_limit_is_exact),
		cmocka_unit_test(only_the_status_may_be_wanted),
		cmocka_unit_test(an_answer_may_come_before_the_request_has_ended),
		cmocka_unit_test(the_deadline_is_for_all_of_it),
		cmocka_unit_test(a_request_can_be_cancelled),
		cmocka_unit_test(nobody_is_there),
		cmocka_unit_test(unix_sockets_may_have_long_paths),
		cmocka_unit_test(tls_is_verified_and_post_quantum),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
