/* Addresses to connect to, addresses to listen on. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/url.h"

static void good_addresses(void **state)
{
	static const struct {
		const char *s;
		bool tls;
		const char *host;
		uint16_t port;
		const char *name, *host_port;
	} good[] = {
		{"pqc://h", false, "h", 8765, "", "h:8765"},
		{"pqc://h/", false, "h", 8765, "", "h:8765"},
		{"pqcs://h:1/a/b", true, "h", 1, "a/b", "h:1"},
		{"ws://h/ws", false, "h", 80, "ws", "h:80"},
		{"wss://h", true, "h", 443, "", "h:443"},
		{"PQC://EXAMPLE.Org:65535/A", false, "example.org", 65535, "A",
		 "example.org:65535"},
		{"pqc://a-b.c_d.e./x/", false, "a-b.c_d.e.", 8765, "x/", "a-b.c_d.e.:8765"},
		{"pqc://127.0.0.1/x", false, "127.0.0.1", 8765, "x", "127.0.0.1:8765"},
		{"pqc://[::1]:99/x", false, "::1", 99, "x", "[::1]:99"},
		{"pqc://[2001:DB8:0:0::1]", false, "2001:db8::1", 8765, "", "[2001:db8::1]:8765"},
		{"pqc://h/a%20b%2Fc%c3%A4 d%25", false, "h", 8765, "a b/c\xc3\xa4 d%", "h:8765"},
		{"pqc://h//x", false, "h", 8765, "/x", "h:8765"},
		{"pqc://h/a:b@c", false, "h", 8765, "a:b@c", "h:8765"},
	};
	struct err e;
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(url_parse(good[i].s, &u, &e), 0);
		assert_int_equal(u.tls, good[i].tls);
		assert_string_equal(u.host, good[i].host);
		assert_int_equal(u.port, good[i].port);
		assert_string_equal(u.name, good[i].name);
		assert_string_equal(u.host_port, good[i].host_port);
	}
}

static void bad_addresses(void **state)
{
	static const char *const bad[] = {
		"",
		"h",
		"/a/b",
		"pqc:",
		"pqc:/h",
		"pqc//h",
		"http://h",
		"pqcx://h",
		"pqc ://h",
		" pqc://h",
		"pqc://",
		"pqc:///x",
		"pqc://:80",
		"pqc://h:",
		"pqc://h:/x",
		"pqc://h:0",
		"pqc://h:65536",
		"pqc://h:99999999999999999999",
		"pqc://h:-1",
		"pqc://h:+1",
		"pqc://h: 1",
		"pqc://h:1x",
		"pqc://h:1:2",
		"pqc://u@h",
		"pqc://u:p@h/x",
		"pqc://h?q",
		"pqc://h#f",
		"pqc://h/x?q",
		"pqc://h/x#f",
		"pqc://h h/",
		"pqc://h%41/",
		"pqc://h\\x",
		"pqc://\xc3\xa4/",
		"pqc://.h",
		"pqc://a..b",
		"pqc://-h",
		"pqc://::1",
		"pqc://[::1",
		"pqc://[::1]x",
		"pqc://[::1]80",
		"pqc://[::1]x80",
		"pqc://[::1]:",
		"pqc://[]",
		"pqc://[h]",
		"pqc://[1.2.3.4]",
		"pqc://[fe80::1%25eth0]",
		"pqc://[fe80::1%eth0]",
		"pqc://[1:2:3:4:5:6:7:8:9]",
		"pqc://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]",
		"pqc://h/%",
		"pqc://h/%4",
		"pqc://h/%4g",
		"pqc://h/%g4",
		"pqc://h/% 1",
		"pqc://h/a%00b",
		"pqc://h/a\nb",
		"pqc://h/a\x7f",
	};
	struct url u, before;
	struct err e;

	(void)state;
	memset(&u, 0x5a, sizeof(u));
	before = u;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&e, 0, sizeof(e));
		if (url_parse(bad[i], &u, &e) != PQC_EUSAGE)
			fail_msg("accepted '%s'", bad[i]);
		assert_int_equal(e.code, PQC_EUSAGE);
		assert_true(e.msg[0]);
		assert_memory_equal(&u, &before, sizeof(u));
	}
}

static void lengths_are_exact(void **state)
{
	static char s[20000];
	struct err e;
	struct url u;

	(void)state;
	for (size_t n = 254; n < 258; n++) {
		memcpy(s, "pqc://", 6);
		memset(s + 6, 'h', n);
		strcpy(s + 6 + n, ":65535");
		assert_int_equal(url_parse(s, &u, &e), n <= URL_HOST_MAX ? 0 : PQC_EUSAGE);
	}
	assert_int_equal(strlen(u.host_port), URL_HOST_MAX + 6);
	for (size_t n = 4095; n < 4098; n++) {
		memcpy(s, "pqc://h/", 8);
		memset(s + 8, 'n', n);
		s[8 + n] = '\0';
		assert_int_equal(url_parse(s, &u, &e), n <= URL_NAME_MAX ? 0 : PQC_EUSAGE);
		for (size_t i = 0; i < n; i++)
			memcpy(s + 8 + 3 * i, "%41", 4);
		assert_int_equal(url_parse(s, &u, &e), n <= URL_NAME_MAX ? 0 : PQC_EUSAGE);
	}
}

static struct url at(const char *bound)
{
	struct url u;
	char s[80];

	snprintf(s, sizeof(s), "pqc://%s", bound);
	assert_int_equal(url_parse(s, &u, NULL), 0);
	return u;
}

static void listen_and_dial(void **state)
{
	static const char *const addresses[] = {"127.0.0.1:0", "localhost:0", ":0"};
	char bound[64], peer[64];
	struct err e;
	int l, c, s;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct url u;

		assert_int_equal(net_listen(addresses[i], false, &l, bound, &e), 0);
		u = at(bound);
		assert_int_not_equal(u.port, 0);
		/* ":0" takes IPv4, too, whatever the address shown */
		if (i == 2)
			strcpy(u.host, "127.0.0.1");
		assert_int_equal(net_dial(&u, 5000, NULL, &c, &e), 0);
		s = accept(l, NULL, NULL);
		assert_true(s >= 0);
		assert_int_equal(send(c, "x", 1, 0), 1);
		assert_int_equal(recv(s, peer, 1, 0), 1);
		close(s);
		close(c);
		close(l);
	}
}

static void an_address_in_use_is_said(void **state)
{
	char bound[64], other[64];
	struct err e = {0};
	int l, second = -2;

	(void)state;
	assert_int_equal(net_listen("127.0.0.1:0", false, &l, bound, &e), 0);
	assert_int_equal(net_listen(bound, false, &second, other, &e), PQC_ECONFIG);
	assert_int_equal(second, -2);
	assert_non_null(strstr(e.msg, bound));
	assert_non_null(strstr(e.msg, "in use by another program"));
	close(l);
	assert_int_equal(net_listen(bound, false, &l, other, &e), 0);
	assert_string_equal(bound, other);
	close(l);
}

static void bad_listening_addresses(void **state)
{
	static const char *const bad[] = {
		"",	     "8765", "h",     "h:",	 "h:x",	   "h:65536",	  "h:-1",
		"::1:80",    "[]:1", "[::1]", "[::1]80", "[::1:1", "a:b:1",	  ":",
		":99999999", "h:1 ", "[h:1",  "h]:1:2",	 "x]:1",   "1.2.3.4.5:1",
	};
	char bound[64];
	struct err e;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&e, 0, sizeof(e));
		if (net_listen(bad[i], false, &fd, bound, &e) != PQC_ECONFIG)
			fail_msg("accepted '%s'", bad[i]);
		assert_int_equal(e.code, PQC_ECONFIG);
	}
	/* an address of the documentation range is not this machine's */
	assert_int_equal(net_listen("192.0.2.1:0", false, &fd, bound, &e), PQC_ECONFIG);
	assert_non_null(strstr(e.msg, "192.0.2.1:0"));
}

static void nobody_listens(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	struct err e = {0};
	struct url u;
	char text[64];
	int fd = -2, held = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	/* bound, but not listening: no one else gets the port meanwhile */
	assert_int_equal(bind(held, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(held, (struct sockaddr *)&a, &n), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)ntohs(a.sin_port));
	u = at(text);
	assert_int_equal(net_dial(&u, 5000, NULL, &fd, &e), PQC_ETEMP);
	assert_int_equal(e.code, PQC_ETEMP);
	assert_non_null(strstr(e.msg, text));
	assert_int_equal(fd, -2);
	close(held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_addresses),
		cmocka_unit_test(bad_addresses),
		cmocka_unit_test(lengths_are_exact),
		cmocka_unit_test(listen_and_dial),
		cmocka_unit_test(an_address_in_use_is_said),
		cmocka_unit_test(bad_listening_addresses),
		cmocka_unit_test(nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
