/* Streams over a socket pair: plain, and TLS 1.3 with a certificate made here. */
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/loop.h"
#include "net/stream.h"

#define HOST "files.example"
#define BIG  (3 * 1024 * 1024 + 17)

/* ---- certificates ---- */

static char dir[] = "/tmp/pqc-stream-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static FILE *create(const char *name)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	return f;
}

static void add_alt_names(X509 *x, const char *names)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, names);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(x, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

/* name.crt and name.key: self-signed, for HOST and 127.0.0.1; name.enc: the key with a passphrase */
static void make_certificate(const char *name)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *x = X509_new();
	char file[64];
	FILE *f;

	assert_true(key && x);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	add_alt_names(x, "DNS:" HOST ",DNS:*.wild.example,IP:127.0.0.1,IP:::1");
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);

	snprintf(file, sizeof(file), "%s.crt", name);
	f = create(file);
	assert_int_equal(PEM_write_X509(f, x), 1);
	fclose(f);
	snprintf(file, sizeof(file), "%s.key", name);
	f = create(file);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	snprintf(file, sizeof(file), "%s.enc", name);
	f = create(file);
	assert_int_equal(PEM_write_PrivateKey(f, key, EVP_aes_256_cbc(),
					      (const unsigned char *)"pass", 4, NULL, NULL),
			 1);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

static int setup(void **state)
{
	FILE *f;

	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as stream.h asks of a program */
	if (!mkdtemp(dir))
		return -1;
	make_certificate("a");
	make_certificate("b");
	f = create("junk");
	fputs("junk\n", f);
	fclose(f);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"a.crt", "a.key", "a.enc", "b.crt",
					    "b.key", "b.enc", "junk"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_dir(names[i]));
	return rmdir(dir);
}

/* ---- pairs of streams ---- */

struct pair {
	struct stream *server, *client;
};

static void sockets(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

static struct stream *tls_server(int fd)
{
	struct tls_ctx *t = NULL;
	struct stream *s = NULL;

	assert_int_equal(tls_server_ctx(in_dir("a.crt"), in_dir("a.key"), &t, NULL), 0);
	assert_int_equal(stream_new(fd, t, NULL, &s), 0);
	tls_ctx_unref(t); /* the stream goes on */
	return s;
}

static struct stream *tls_client(int fd, const char *ca, const char *host)
{
	struct tls_ctx *t = NULL;
	struct stream *s = NULL;

	assert_int_equal(tls_client_ctx(in_dir(ca), &t, NULL), 0);
	assert_int_equal(stream_new(fd, t, host, &s), 0);
	tls_ctx_unref(t);
	return s;
}

/* Both handshakes, turn by turn, until both ended in success or error. */
static void shake(struct pair *p, int *server, int *client, struct err *se, struct err *ce)
{
	unsigned want;

	*server = *client = PQC_EAGAIN;
	for (int i = 0; i < 20 && (*server == PQC_EAGAIN || *client == PQC_EAGAIN); i++) {
		if (*client == PQC_EAGAIN) {
			want = 0;
			*client = stream_handshake(p->client, &want, ce);
			assert_true(*client != PQC_EAGAIN || want != 0);
		}
		if (*server == PQC_EAGAIN) {
			want = 0;
			*server = stream_handshake(p->server, &want, se);
			assert_true(*server != PQC_EAGAIN || want != 0);
		}
	}
}

static struct pair connected(bool tls)
{
	struct pair p;
	int fd[2], s, c;

	sockets(fd);
	if (tls) {
		p.server = tls_server(fd[0]);
		p.client = tls_client(fd[1], "a.crt", HOST);
	} else {
		assert_int_equal(stream_new(fd[0], NULL, NULL, &p.server), 0);
		assert_int_equal(stream_new(fd[1], NULL, NULL, &p.client), 0);
	}
	shake(&p, &s, &c, NULL, NULL);
	assert_int_equal(s, 0);
	assert_int_equal(c, 0);
	assert_int_equal(stream_is_tls(p.server), tls);
	assert_int_equal(stream_fd(p.client), fd[1]);
	return p;
}

static void done(struct pair *p)
{
	stream_free(p->client);
	stream_free(p->server);
}

/* ---- tests ---- */

static void tls_is_hybrid(void **state)
{
	static const char *const hosts[] = {HOST, "x.wild.example", "127.0.0.1", "::1"};
	struct pair p = connected(true);

	(void)state;
	assert_string_equal(stream_tls_group(p.server), "X25519MLKEM768");
	assert_string_equal(stream_tls_group(p.client), "X25519MLKEM768");
	done(&p);
	for (size_t i = 0; i < 4; i++) {
		int fd[2], s, c;

		sockets(fd);
		p.server = tls_server(fd[0]);
		p.client = tls_client(fd[1], "a.crt", hosts[i]);
		assert_null(stream_tls_group(p.client));
		shake(&p, &s, &c, NULL, NULL);
		assert_true(s == 0 && c == 0);
		done(&p);
	}
	p = connected(false);
	assert_null(stream_tls_group(p.client));
	done(&p);
	stream_free(NULL);
}

static void wrong_certificates_are_refused(void **state)
{
	static const struct {
		const char *ca, *host, *words;
	} bad[] = {
		{"a.crt", "other.example", "another host than other.example"},
		{"a.crt", "wild.example", "another host"},
		{"a.crt", "a.b.wild.example", "another host"},
		{"a.crt", "127.0.0.2", "another host"},
		{"b.crt", HOST, "not trusted"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = {0};
		struct pair p;
		unsigned want;
		int fd[2], s, c;
		char x;

		sockets(fd);
		p.server = tls_server(fd[0]);
		p.client = tls_client(fd[1], bad[i].ca, bad[i].host);
		shake(&p, &s, &c, NULL, &e);
		assert_int_equal(c, PQC_EREFUSED);
		if (!strstr(e.msg, bad[i].words))
			fail_msg("'%s' for %s", e.msg, bad[i].host);
		assert_int_equal(stream_read(p.client, &x, 1, &want), PQC_ECLOSED);
		assert_int_equal(stream_write(p.client, &x, 1, &want), PQC_ECLOSED);
		done(&p);
	}
}

static void a_client_must_say_whom_it_expects(void **state)
{
	struct tls_ctx *t = NULL;
	struct stream *s = NULL;
	int fd[2];

	(void)state;
	sockets(fd);
	assert_int_equal(tls_client_ctx(NULL, &t, NULL), 0);
	assert_int_equal(stream_new(fd[0], t, NULL, &s), PQC_EFAIL);
	assert_null(s);
	tls_ctx_unref(t);
	tls_ctx_unref(NULL);
	assert_int_equal(close(fd[0]), 0); /* it stayed ours */
	close(fd[1]);
}

/* A client of OpenSSL's own against our server: group and error of the outcome. */
static int foreign_client(int max_version, const char *groups, const char *protocol, struct err *e,
			  char group[64])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct stream *server;
	char list[64];
	int fd[2], r = PQC_EAGAIN;
	unsigned want;
	SSL *c;

	sockets(fd);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	server = tls_server(fd[0]);
	snprintf(list, sizeof(list), "%s", groups);
	assert_int_equal(SSL_CTX_set1_groups_list(ctx, list), 1);
	SSL_CTX_set_max_proto_version(ctx, max_version);
	c = SSL_new(ctx);
	SSL_set_fd(c, fd[1]);
	if (protocol)
		SSL_set_alpn_protos(c, (const unsigned char *)protocol, (unsigned)strlen(protocol));
	for (int i = 0; i < 10 && r == PQC_EAGAIN; i++) {
		SSL_connect(c);
		r = stream_handshake(server, &want, e);
	}
	if (r == 0)
		snprintf(group, 64, "%s", stream_tls_group(server));
	SSL_free(c);
	SSL_CTX_free(ctx);
	stream_free(server);
	close(fd[1]);
	return r;
}

static void the_server_insists(void **state)
{
	struct err e = {0};
	char group[64];

	(void)state;
	assert_int_equal(foreign_client(TLS1_2_VERSION, "X25519:P-256", NULL, &e, group),
			 PQC_EPROTO);
	assert_string_equal(e.msg, "TLS: unsupported protocol");
	assert_int_equal(foreign_client(TLS1_3_VERSION, "P-256", NULL, &e, group), PQC_EPROTO);
	assert_int_equal(foreign_client(TLS1_3_VERSION, "X25519", "\x02h2", &e, group), PQC_EPROTO);
	assert_int_equal(foreign_client(TLS1_3_VERSION, "X25519", "\x02h2\x08http/1.1", &e, group),
			 0);
	assert_string_equal(group, "x25519");
	assert_int_equal(foreign_client(TLS1_3_VERSION, "SecP384r1MLKEM1024", NULL, &e, group), 0);
	assert_string_equal(group, "SecP384r1MLKEM1024");
	/* it guessed a share of X25519, but knows better */
	assert_int_equal(foreign_client(TLS1_3_VERSION, "X25519:X25519MLKEM768", NULL, &e, group),
			 0);
	assert_string_equal(group, "X25519MLKEM768");
}

static void bad_files_are_named(void **state)
{
	static const struct {
		const char *cert, *key, *named;
	} bad[] = {
		{"none", "a.key", "none"},   {"junk", "a.key", "junk"},
		{"a.crt", "none", "none"},   {"a.crt", "junk", "junk"},
		{"a.crt", "b.key", "b.key"}, {"a.crt", "a.enc", "a.enc"},
		{"a.key", "a.key", "a.key"},
	};
	struct tls_ctx *t = NULL;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&e, 0, sizeof(e));
		assert_int_equal(tls_server_ctx(in_dir(bad[i].cert), in_dir(bad[i].key), &t, &e),
				 PQC_ECONFIG);
		assert_non_null(strstr(e.msg, bad[i].named));
		assert_null(strstr(e.msg, "unknown error"));
	}
	assert_int_equal(tls_client_ctx(in_dir("none"), &t, &e), PQC_ECONFIG);
	assert_non_null(strstr(e.msg, "none"));
	assert_int_equal(tls_client_ctx(in_dir("junk"), &t, &e), PQC_ECONFIG);
	assert_null(t);
}

static uint8_t *random_bytes(size_t n)
{
	uint8_t *p = malloc(n);

	assert_non_null(p);
	srand(7);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rand();
	return p;
}

/* Read what there is; the bytes so far are in got[*n]. */
static void read_some(struct stream *s, uint8_t *got, size_t *n)
{
	unsigned want = 0;
	ssize_t r;

	while (*n < BIG && (r = stream_read(s, got + *n, BIG - *n, &want)) > 0)
		*n += (size_t)r;
	if (*n < BIG) {
		assert_int_equal(r, PQC_EAGAIN);
		assert_int_equal(want, LOOP_READ);
	}
}

/* BIG bytes from one end to the other; fd: from this file, else from p. */
static void transfer(struct stream *from, struct stream *to, const uint8_t *p, int fd, uint64_t off)
{
	uint8_t *got = malloc(BIG);
	size_t sent = 0, n = 0;
	unsigned want, blocked = 0;

	assert_non_null(got);
	while (n < BIG) {
		ssize_t r = 1;

		while (sent < BIG && r > 0) {
			uint8_t *moved = fd < 0 ? malloc(BIG - sent) : NULL;

			want = 0;
			if (fd >= 0) {
				r = stream_sendfile(from, fd, off + sent, BIG - sent, &want);
			} else { /* from another address each time */
				assert_non_null(moved);
				memcpy(moved, p + sent, BIG - sent);
				r = stream_write(from, moved, BIG - sent, &want);
			}
			free(moved);
			if (r > 0)
				sent += (size_t)r;
		}
		if (r < 0) {
			assert_int_equal(r, PQC_EAGAIN);
			assert_int_equal(want, LOOP_WRITE);
			blocked++;
		}
		read_some(to, got, &n);
	}
	assert_true(blocked > 0);
	assert_memory_equal(got, p, BIG);
	free(got);
}

static void bytes_arrive(void **state)
{
	uint8_t *p = random_bytes(BIG);

	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct pair x = connected(tls);

		transfer(x.client, x.server, p, -1, 0);
		transfer(x.server, x.client, p, -1, 0);
		done(&x);
	}
	free(p);
}

static void files_arrive(void **state)
{
	uint8_t *p = random_bytes(BIG);
	char path[64];
	unsigned want;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(pwrite(fd, p, BIG, 4097), BIG);
	for (int tls = 0; tls < 2; tls++) {
		struct pair x = connected(tls);

		transfer(x.server, x.client, p, fd, 4097);
		assert_int_equal(stream_sendfile(x.server, fd, 4097 + BIG, 1, &want),
				 PQC_EINTEGRITY);
		assert_int_equal(stream_sendfile(x.server, fd, UINT64_MAX, 1, &want), PQC_ETOOBIG);
		assert_int_equal(stream_sendfile(x.server, fd, 0, 0, &want), 0);
		assert_true(stream_sendfile(x.server, -1, 0, 1, &want) < 0);
		done(&x);
	}
	close(fd);
	free(p);
}

static void nothing_there_is_again(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct pair x = connected(tls);
		unsigned want = 0;
		char p[16];

		assert_int_equal(stream_read(x.server, p, sizeof(p), &want), PQC_EAGAIN);
		assert_int_equal(want, LOOP_READ);
		assert_int_equal(stream_read(x.server, p, 0, &want), 0);
		assert_int_equal(stream_write(x.server, p, 0, &want), 0);
		assert_int_equal(stream_write(x.client, "0123456789", 10, &want), 10);
		assert_false(stream_pending(x.client));
		assert_int_equal(stream_read(x.server, p, 4, &want), 4);
		assert_int_equal(stream_pending(x.server), tls);
		assert_int_equal(stream_read(x.server, p, sizeof(p), &want), 6);
		assert_false(stream_pending(x.server));
		done(&x);
	}
}

static void an_end_is_closed(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++)
		for (int orderly = 0; orderly < 2; orderly++) {
			struct pair x = connected(tls);
			unsigned want = 0;
			char p[16];

			assert_int_equal(stream_write(x.client, "last", 4, &want), 4);
			if (!orderly)
				shutdown(stream_fd(x.client), SHUT_RDWR);
			stream_free(x.client);
			assert_int_equal(stream_read(x.server, p, sizeof(p), &want), 4);
			assert_int_equal(stream_read(x.server, p, sizeof(p), &want), PQC_ECLOSED);
			assert_int_equal(stream_read(x.server, p, sizeof(p), &want), PQC_ECLOSED);
			stream_free(x.server);
		}
}

static void writing_to_nobody_is_closed(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct pair x = connected(tls);
		unsigned want = 0;

		if (!tls)
			signal(SIGPIPE, SIG_DFL); /* plain writes raise none */
		stream_free(x.client);
		assert_int_equal(stream_write(x.server, "x", 1, &want), PQC_ECLOSED);
		signal(SIGPIPE, SIG_IGN);
		stream_free(x.server);
	}
}

static void noise_is_a_protocol_error(void **state)
{
	struct pair x = connected(true);
	struct err e = {0};
	unsigned want;
	char p[16];
	int fd[2];

	(void)state;
	assert_int_equal(send(stream_fd(x.client), "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	assert_int_equal(stream_read(x.server, p, sizeof(p), &want), PQC_EPROTO);
	assert_int_equal(stream_read(x.server, p, sizeof(p), &want), PQC_ECLOSED);
	assert_int_equal(stream_write(x.server, p, sizeof(p), &want), PQC_ECLOSED);
	done(&x);
	sockets(fd);
	x.server = tls_server(fd[0]);
	assert_int_equal(send(fd[1], "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	assert_int_equal(stream_handshake(x.server, &want, &e), PQC_EPROTO);
	assert_non_null(strstr(e.msg, "TLS"));
	assert_int_equal(stream_handshake(x.server, &want, &e), PQC_ECLOSED);
	stream_free(x.server);
	sockets(fd);
	x.server = tls_server(fd[0]);
	close(fd[1]);
	assert_int_equal(stream_handshake(x.server, &want, &e), PQC_ECLOSED);
	stream_free(x.server);
}

/* A bit flipped between the two ends. */
static void a_changed_record_is_refused(void **state)
{
	struct pair x = connected(true);
	unsigned want = 0;
	uint8_t p[256];
	ssize_t n;

	(void)state;
	assert_int_equal(stream_write(x.client, "secret", 6, &want), 6);
	n = recv(stream_fd(x.server), p, sizeof(p), 0);
	assert_true(n > 6);
	p[n - 1] ^= 1;
	assert_int_equal(send(stream_fd(x.client), p, (size_t)n, 0), n);
	assert_int_equal(stream_read(x.server, p, sizeof(p), &want), PQC_EPROTO);
	done(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls_is_hybrid),
		cmocka_unit_test(wrong_certificates_are_refused),
		cmocka_unit_test(a_client_must_say_whom_it_expects),
		cmocka_unit_test(the_server_insists),
		cmocka_unit_test(bad_files_are_named),
		cmocka_unit_test(bytes_arrive),
		cmocka_unit_test(files_arrive),
		cmocka_unit_test(nothing_there_is_again),
		cmocka_unit_test(an_end_is_closed),
		cmocka_unit_test(writing_to_nobody_is_closed),
		cmocka_unit_test(noise_is_a_protocol_error),
		cmocka_unit_test(a_changed_record_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
