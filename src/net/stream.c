#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/tls_internal.h"

#define TLS_RECORD 16384 /* plaintext of one record (RFC 8446 section 5.1) */

struct stream {
	int fd;
	SSL *ssl;	 /* NULL: plain */
	bool broken;	 /* a TLS call failed for good: OpenSSL wants no more calls then */
	uint8_t *record; /* TLS: what stream_sendfile read last; allocated when first needed */
};

int stream_new(int fd, struct tls_ctx *tls, const char *host, struct stream **out)
{
	struct stream *s = calloc(1, sizeof(*s));
	int on = 1, flags, r = 0;

	if (!s)
		return PQC_ENOMEM;
	s->fd = fd;
	if ((flags = fcntl(fd, F_GETFL)) < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		r = err_sys(NULL, errno, "fcntl");
		goto out;
	}
	if (tls && (r = tls_endpoint(tls, fd, host, &s->ssl)) != 0)
		goto out;
	/* Fails on what is not TCP, which has no such delay. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*out = s;
	s = NULL; /* transferred */
out:
	free(s);
	return r;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	if (s->ssl) {
		ERR_clear_error();
		if (!s->broken && SSL_is_init_finished(s->ssl))
			SSL_shutdown(s->ssl); /* close_notify, if the socket takes it */
		SSL_free(s->ssl);
		ERR_clear_error();
	}
	close(s->fd);
	free(s->record);
	free(s);
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

bool stream_is_tls(const struct stream *s)
{
	return s->ssl;
}

const char *stream_tls_group(const struct stream *s)
{
	return s->ssl && SSL_is_init_finished(s->ssl) ? SSL_get0_group_name(s->ssl) : NULL;
}

/* After a failed TLS call. */
static int failed(struct stream *s, int returned, unsigned *want, struct err *e)
{
	int r = tls_failure(s->ssl, returned, want, e);

	if (r != PQC_EAGAIN)
		s->broken = true;
	return r;
}

/* After a failed system call. */
static int sys_failed(unsigned event, unsigned *want)
{
	if (errno != EAGAIN)
		return err_sys(NULL, errno, "socket");
	*want = event;
	return PQC_EAGAIN;
}

int stream_handshake(struct stream *s, unsigned *want, struct err *e)
{
	int r;

	if (!s->ssl)
		return 0;
	if (s->broken)
		return err_set(e, PQC_ECLOSED, "the TLS connection failed before");
	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(s->ssl);
	return r == 1 ? 0 : failed(s, r, want, e);
}

/* Record after record until p is full or no more is there. */
static ssize_t tls_read(struct stream *s, uint8_t *p, size_t n, unsigned *want)
{
	size_t done = 0, got;
	int r = 1;

	if (s->broken)
		return PQC_ECLOSED;
	while (done < n) {
		ERR_clear_error();
		errno = 0;
		if ((r = SSL_read_ex(s->ssl, p + done, n - done, &got)) != 1)
			break;
		done += got;
	}
	if (r == 1)
		return (ssize_t)done;
	r = failed(s, r, want, NULL);
	return done > 0 ? (ssize_t)done : r;
}

ssize_t stream_read(struct stream *s, void *p, size_t n, unsigned *want)
{
	ssize_t r;

	if (n == 0)
		return 0;
	if (s->ssl)
		return tls_read(s, p, n, want);
	do
		r = recv(s->fd, p, n, 0);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return PQC_ECLOSED;
	return r > 0 ? r : sys_failed(LOOP_READ, want);
}

bool stream_pending(const struct stream *s)
{
	return s->ssl && !s->broken && SSL_has_pending(s->ssl);
}

/* Record after record until all is written or the socket takes no more. */
static ssize_t tls_write(struct stream *s, const uint8_t *p, size_t n, unsigned *want)
{
	size_t done = 0, got;
	int r = 1;

	if (s->broken)
		return PQC_ECLOSED;
	while (done < n) {
		ERR_clear_error();
		errno = 0;
		if ((r = SSL_write_ex(s->ssl, p + done, n - done, &got)) != 1)
			break;
		done += got;
	}
	if (r == 1)
		return (ssize_t)done;
	r = failed(s, r, want, NULL);
	return done > 0 ? (ssize_t)done : r;
}

ssize_t stream_write(struct stream *s, const void *p, size_t n, unsigned *want)
{
	ssize_t r;

	if (n == 0)
		return 0;
	if (s->ssl)
		return tls_write(s, p, n, want);
	do
		r = send(s->fd, p, n, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r >= 0 ? r : sys_failed(LOOP_WRITE, want);
}

/* As sendfile(2), through a buffer of one record. */
static ssize_t tls_sendfile(struct stream *s, int fd, uint64_t off, size_t n, unsigned *want)
{
	size_t done = 0;

	if (!s->record && (s->record = malloc(TLS_RECORD)) == NULL)
		return PQC_ENOMEM;
	while (done < n) {
		size_t chunk = n - done < TLS_RECORD ? n - done : TLS_RECORD;
		ssize_t got, sent;

		do
			got = pread(fd, s->record, chunk, (off_t)(off + done));
		while (got < 0 && errno == EINTR);
		if (got < 0)
			return err_sys(NULL, errno, "pread");
		if (got == 0)
			return done > 0 ? (ssize_t)done : PQC_EINTEGRITY;
		sent = tls_write(s, s->record, (size_t)got, want);
		if (sent < 0)
			return done > 0 ? (ssize_t)done : sent;
		done += (size_t)sent;
		if (sent < got)
			break;
	}
	return (ssize_t)done;
}

ssize_t stream_sendfile(struct stream *s, int fd, uint64_t off, size_t n, unsigned *want)
{
	off_t at = (off_t)off;
	ssize_t r;

	if (n == 0)
		return 0;
	if (off > INT64_MAX - n)
		return PQC_ETOOBIG;
	if (s->ssl)
		return tls_sendfile(s, fd, off, n, want);
	do
		r = sendfile(s->fd, fd, &at, n);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return PQC_EINTEGRITY; /* the file is shorter than it should be */
	return r > 0 ? r : sys_failed(LOOP_WRITE, want);
}
