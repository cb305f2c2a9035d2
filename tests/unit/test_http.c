/* HTTP heads: what a server takes and refuses, what a client takes for an upgrade. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/http.h"

#define KEY    "dGhlIHNhbXBsZSBub25jZQ==" /* of RFC 6455 section 1.3 */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define HOST   "Host: h\r\n"
#define WS     "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
#define WSKEY  "Sec-WebSocket-Key: " KEY "\r\n"

/* Parse a copy of exactly n bytes, so that a read past them is seen. */
static int parse(const char *s, size_t n, struct http_request *out, size_t *used, int *status)
{
	uint8_t *p = malloc(n ? n : 1);
	int r;

	assert_non_null(p);
	memcpy(p, s, n);
	r = http_parse_request(p, n, out, used, status);
	free(p);
	return r;
}

static void good(const char *s, struct http_request *out)
{
	size_t used = 0, n = strlen(s);
	int status = 0;

	/* every beginning wants more */
	for (size_t i = 0; i < n; i++)
		if (parse(s, i, out, &used, &status) != PQC_EAGAIN)
			fail_msg("%zu bytes of '%s'", i, s);
	if (parse(s, n, out, &used, &status) != 0)
		fail_msg("status %d for '%s'", status, s);
	assert_int_equal(used, n);
}

static void bad(const char *s, int want)
{
	struct http_request r;
	size_t used = 0;
	int status = 0, got = parse(s, strlen(s), &r, &used, &status);

	if (got != PQC_EPROTO || status != want)
		fail_msg("%d, status %d for '%s'", got, status, s);
}

static void requests_are_understood(void **state)
{
	struct http_request r;

	(void)state;
	good("GET /health?full=1 HTTP/1.1\r\nhOST:  h \r\nAccept: \t application/json \t\r\n\r\n",
	     &r);
	assert_true(r.get && !r.head && r.keep_alive && !r.upgrade && !r.upgrade_asked);
	assert_string_equal(r.path, "/health");
	assert_string_equal(r.accept, "application/json");
	assert_string_equal(r.origin, "");
	good("HEAD / HTTP/1.1\r\n" HOST "Connection: close\r\nOrigin: https://a.example\r\n\r\n",
	     &r);
	assert_true(r.head && !r.get && !r.keep_alive);
	assert_string_equal(r.origin, "https://a.example");
	good("POST /x HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", &r);
	assert_true(!r.get && !r.head);
	good("GET / HTTP/1.0\r\n\r\n", &r);
	assert_true(r.get && !r.keep_alive);
	good("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &r);
	assert_true(r.keep_alive);
}

static void what_follows_the_head_is_left(void **state)
{
	static const char head[] = "GET / HTTP/1.1\r\n" HOST WS WSKEY "\r\n";
	struct buf b = BUF_INIT(4096);
	struct http_request r;
	size_t used;
	int status;

	(void)state;
	buf_put_str(&b, head);
	buf_put(&b, "\x81\x80\r\n\r\nGET / HTTP/1.1\r\n\r\n", 24);
	assert_int_equal(http_parse_request(b.p, b.len, &r, &used, &status), 0);
	assert_true(r.upgrade);
	assert_int_equal(used, strlen(head));
	buf_reset(&b);
	buf_put_str(&b, "GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(http_parse_request(b.p, b.len, &r, &used, &status), 0);
	assert_string_equal(r.path, "/a");
	assert_int_equal(used, 28);
	buf_free(&b);
}

static void bad_requests_are_refused(void **state)
{
	(void)state;
	bad("\x16\x03\x01", 400); /* TLS on a plain port */
	bad("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400);
	bad("GET / HTTP/2.0\r\n" HOST "\r\n", 400);
	bad("GET / HTTP/0.9\r\n" HOST "\r\n", 400);
	bad("GET /\r\n\r\n", 400);
	bad("get / HTTP/1.1\r\n" HOST "\r\n", 400);
	bad("GET  HTTP/1.1\r\n" HOST "\r\n", 400);
	bad("GET x HTTP/1.1\r\n" HOST "\r\n", 400);
	bad("GET http://h/ HTTP/1.1\r\n" HOST "\r\n", 400);
	bad("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400);
	bad("CONNECT h:1 HTTP/1.1\r\n" HOST "\r\n", 400);
	bad("GET /#f HTTP/1.1\r\n" HOST "\r\n", 400);
	bad("GET /a b HTTP/1.1\r\n" HOST "\r\n", 400);
	bad("GET / HTTP/1.1\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400);
	bad("GET / HTTP/1.0\r\n" HOST "host: i\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\n" HOST "a b: c\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\n" HOST "a : c\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\n" HOST "a\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\n" HOST "a: b\r\n c\r\n\r\n", 400); /* a folded line */
	bad("GET / HTTP/1.1\r\n" HOST "a: b\x01\r\n\r\n", 400);
	bad("GET / HTTP/1.1\n" HOST "\n", 400); /* LF alone */
	bad("GET / HTTP/1.1\r\nHost: h\n\r\n", 400);
	bad("GET / HTTP/1.1\r\n" HOST "Origin:\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\n" HOST "Origin: a\r\nOrigin: b\r\n\r\n", 400);
}

static void bodies_are_refused(void **state)
{
	(void)state;
	bad("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", 413);
	bad("GET / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n", 413);
	bad("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 413);
	bad("GET / HTTP/1.1\r\n" HOST WS WSKEY "Content-Length: 5\r\n\r\n", 413);
	bad("GET / HTTP/1.1\r\n" HOST WS WSKEY "Transfer-Encoding: chunked\r\n\r\n", 413);
	bad("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: x\r\n\r\n", 413);
	bad("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	    400);
	bad("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400);
	bad("POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400);
	bad("POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n", 400);
}

static void filled(struct buf *b, const char *before, size_t n, const char *after)
{
	buf_reset(b);
	buf_put_str(b, before);
	memset(buf_extend(b, n), 'a', n);
	buf_put_str(b, after);
}

static void lengths_are_exact(void **state)
{
	struct buf b = BUF_INIT(1 << 16);
	struct http_request r;
	size_t used;
	int status, got;

	(void)state;
	filled(&b, "GET /", HTTP_PATH_MAX - 1, "?aaa HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(http_parse_request(b.p, b.len, &r, &used, &status), 0);
	assert_int_equal(strlen(r.path), HTTP_PATH_MAX);
	filled(&b, "GET /", HTTP_PATH_MAX, " HTTP/1.1\r\n" HOST "\r\n");
	bad(buf_cstr(&b), 414);
	filled(&b, "GET /", HTTP_PATH_MAX, ""); /* at once, not at its end */
	bad(buf_cstr(&b), 414);
	filled(&b, "GET / HTTP/1.1\r\n" HOST "x: ", HTTP_HEAD_MAX - 32, "\r\n\r\n");
	assert_int_equal(b.len, HTTP_HEAD_MAX);
	assert_int_equal(http_parse_request(b.p, b.len - 1, &r, &used, &status), PQC_EAGAIN);
	assert_int_equal(http_parse_request(b.p, b.len, &r, &used, &status), 0);
	filled(&b, "GET / HTTP/1.1\r\n" HOST "x: ", HTTP_HEAD_MAX - 31, "\r\n\r\n");
	got = http_parse_request(b.p, b.len, &r, &used, &status);
	assert_true(got == PQC_EPROTO && status == 431);
	got = http_parse_request(b.p, HTTP_HEAD_MAX, &r, &used, &status);
	assert_true(got == PQC_EPROTO && status == 431);
	filled(&b, "GET / HTTP/1.1\r\n" HOST "Origin: ", 255, "\r\n\r\n");
	assert_int_equal(http_parse_request(b.p, b.len, &r, &used, &status), 0);
	assert_int_equal(strlen(r.origin), 255);
	filled(&b, "GET / HTTP/1.1\r\n" HOST "Origin: ", 256, "\r\n\r\n");
	bad(buf_cstr(&b), 431);
	filled(&b, "GET / HTTP/1.1\r\n" HOST "Accept: ", 1200, "\r\n\r\n");
	assert_int_equal(http_parse_request(b.p, b.len, &r, &used, &status), 0);
	assert_int_equal(strlen(r.accept), 1023);
	buf_free(&b);
}

static void upgrades_are_judged(void **state)
{
	static const char *const yes[] = {
		WS WSKEY,
		"Upgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Version: "
		"13\r\n" WSKEY,
		"Upgrade: h2c,websocket\r\nConnection: a\r\nConnection:Upgrade\r\n"
		"Sec-WebSocket-Version: 13 \r\n" WSKEY
		"Sec-WebSocket-Extensions: permessage-deflate\r\n",
	};
	static const char *const no[] = {
		WS,
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" WSKEY,
		"Upgrade: websocket\r\nConnection: notupgrade, up, "
		"upgrade2\r\nSec-WebSocket-Version: 13\r\n" WSKEY,
		"Upgrade: websocket\r\nConnection: Upgrade\r\n" WSKEY,
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 12\r\n" WSKEY,
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 130\r\n" WSKEY,
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13, "
		"8\r\n" WSKEY,
		WS "Sec-WebSocket-Version: 13\r\n" WSKEY,
		WS WSKEY WSKEY,
		WS "Sec-WebSocket-Key:\r\n",
		WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n",     /* 15 bytes */
		WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=\r\n", /* 17 */
		WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", /* bits past the end */
		WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n",   /* no padding */
		WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n",
		WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ== dGhl\r\n",
	};
	struct http_request r;
	char s[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		snprintf(s, sizeof(s), "GET /ws HTTP/1.1\r\n" HOST "%s\r\n", yes[i]);
		good(s, &r);
		assert_true(r.upgrade && r.upgrade_asked);
		assert_string_equal(r.ws_key, KEY);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		snprintf(s, sizeof(s), "GET /ws HTTP/1.1\r\n" HOST "%s\r\n", no[i]);
		good(s, &r);
		if (r.upgrade || !r.upgrade_asked)
			fail_msg("upgrade with '%s'", no[i]);
	}
	good("POST /ws HTTP/1.1\r\n" HOST WS WSKEY "\r\n", &r);
	assert_true(!r.upgrade && r.upgrade_asked);
	good("GET /ws HTTP/1.0\r\n" HOST WS WSKEY "\r\n", &r);
	assert_true(!r.upgrade && r.upgrade_asked);
	good("GET /ws HTTP/1.1\r\n" HOST "Upgrade: websockets\r\nConnection: Upgrade\r\n\r\n", &r);
	assert_true(!r.upgrade && !r.upgrade_asked);
}

static void responses_are_written(void **state)
{
	struct buf b = BUF_INIT(4096);

	(void)state;
	http_response(&b, 200, "text/plain", "hello", 5, true, false, "A: b\r\n");
	assert_string_equal(buf_cstr(&b),
			    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
			    "Content-Length: 5\r\nConnection: keep-alive\r\nA: b\r\n\r\nhello");
	buf_reset(&b);
	http_response(&b, 404, NULL, "hello", 5, false, true, NULL);
	assert_string_equal(buf_cstr(&b), "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n"
					  "Connection: close\r\n\r\n");
	buf_reset(&b);
	assert_int_equal(http_upgrade_response(&b, KEY), 0);
	assert_string_equal(buf_cstr(&b),
			    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
			    "Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n");
	buf_free(&b);
	buf_init(&b, 20);
	assert_int_equal(http_upgrade_response(&b, KEY), PQC_ETOOBIG);
	buf_free(&b);
}

static int answer(const char *s, size_t n, size_t *used, struct err *e)
{
	uint8_t *p = malloc(n ? n : 1);
	int r;

	assert_non_null(p);
	memcpy(p, s, n);
	r = http_parse_upgrade(p, n, KEY, used, e);
	free(p);
	return r;
}

static void client_and_server_agree(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct http_request r;
	size_t used = 0, n;
	int status;

	(void)state;
	http_upgrade_request(&b, "[::1]:8765", "/ws", KEY);
	assert_int_equal(http_parse_request(b.p, b.len, &r, &used, &status), 0);
	assert_true(r.upgrade);
	assert_int_equal(used, b.len);
	buf_reset(&b);
	assert_int_equal(http_upgrade_response(&b, r.ws_key), 0);
	n = b.len;
	buf_put(&b, "\x81\x05Hello", 7);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(answer((char *)b.p, i, &used, NULL), PQC_EAGAIN);
	for (size_t i = n; i <= b.len; i++) {
		assert_int_equal(answer((char *)b.p, i, &used, NULL), 0);
		assert_int_equal(used, n);
	}
	buf_free(&b);
}

static void bad_answers_are_refused(void **state)
{
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\n"
#define UP     "Upgrade: websocket\r\n"
#define CONN   "Connection: Upgrade\r\n"
#define ACC    "Sec-WebSocket-Accept: " ACCEPT "\r\n"
	static const struct {
		const char *s;
		int code;
		const char *words;
	} bads[] = {
		{"SSH-2.0-OpenSSH_9.2\r\n", PQC_EPROTO, "does not speak HTTP"},
		{"\x15\x03\x01", PQC_EPROTO, "does not speak HTTP"},
		{SWITCH UP CONN "\r\n", PQC_EPROTO, "Accept"},
		{SWITCH UP CONN "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
		 PQC_EPROTO, "Accept"},
		{SWITCH UP CONN ACC ACC "\r\n", PQC_EPROTO, "Accept"},
		{SWITCH UP ACC "\r\n", PQC_EPROTO, "upgrade"},
		{SWITCH CONN ACC "\r\n", PQC_EPROTO, "upgrade"},
		{"HTTP/1.0 101 Switching\r\n" UP CONN ACC "\r\n", PQC_EPROTO, "upgrade"},
		{SWITCH UP CONN ACC "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		 PQC_EPROTO, "extension"},
		{SWITCH UP CONN ACC "Sec-WebSocket-Protocol: chat\r\n\r\n", PQC_EPROTO,
		 "subprotocol"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", PQC_EPROTO, "200 OK"},
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!\n", PQC_EREFUSED,
		 "403 Forbidden: no!"},
		{"HTTP/1.1 401 Unauthorized\r\n\r\n", PQC_EREFUSED, "401"},
		{"HTTP/1.1 404 Not Found\r\n\r\n", PQC_EPROTO, "404"},
		{"HTTP/1.1 429 Too Many Requests\r\n\r\n", PQC_ETEMP, "429"},
		{"HTTP/1.1 503 Service Unavailable\r\n\r\ndraining", PQC_ETEMP, "draining"},
		{"HTTP/1.1 502\r\n\r\n", PQC_ETEMP, "502"},
	};
	struct buf b = BUF_INIT(1 << 16);
	struct err e;
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		memset(&e, 0, sizeof(e));
		if (answer(bads[i].s, strlen(bads[i].s), &used, &e) != bads[i].code ||
		    e.code != bads[i].code || !strstr(e.msg, bads[i].words))
			fail_msg("%d, '%s' for '%s'", e.code, e.msg, bads[i].s);
	}
	filled(&b, "HTTP/1.1 101 x\r\na: ", HTTP_HEAD_MAX, "");
	assert_int_equal(http_parse_upgrade(b.p, b.len, KEY, &used, &e), PQC_EPROTO);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_understood),
		cmocka_unit_test(what_follows_the_head_is_left),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(bodies_are_refused),
		cmocka_unit_test(lengths_are_exact),
		cmocka_unit_test(upgrades_are_judged),
		cmocka_unit_test(responses_are_written),
		cmocka_unit_test(client_and_server_agree),
		cmocka_unit_test(bad_answers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
