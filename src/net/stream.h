/*
 * A non-blocking byte stream: TCP, or TLS 1.3 over TCP (OpenSSL). Calls give
 * a count, or PQC_EAGAIN with *want set to the LOOP_* event to wait for, or
 * PQC_ECLOSED at the peer's orderly end, or another error.
 */
#ifndef PQC_NET_STREAM_H
#define PQC_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

/*
 * SIGPIPE: a program that writes TLS or sends files ignores it, as the command
 * line does, or holds it off (base/sigpipe.h), as the library does; plain writes raise none.
 */
struct tls_ctx; /* server or client TLS settings; reference counted, so a reload leaves running streams alone */

/* TLS 1.3 only, groups X25519MLKEM768:SecP384r1MLKEM1024:X25519, ALPN http/1.1. PQC_ECONFIG with the file named. */
int tls_server_ctx(const char *cert_file, const char *key_file, struct tls_ctx **out,
		   struct err *e) MUST_CHECK;
/* ca_file NULL: the system's store. The host name is verified. */
int tls_client_ctx(const char *ca_file, struct tls_ctx **out, struct err *e) MUST_CHECK;
void tls_ctx_unref(struct tls_ctx *t);
/* When the server's certificate ends, unix seconds; 0: there is none. */
uint64_t tls_ctx_not_after(const struct tls_ctx *t);

struct stream;

/*
 * Takes fd (made non-blocking, TCP_NODELAY); on failure it stays the caller's. tls NULL: plain.
 * host: for a TLS client, SNI and verification; NULL on a server.
 */
int stream_new(int fd, struct tls_ctx *tls, const char *host, struct stream **out) MUST_CHECK;
/* Orderly shutdown as far as it goes without waiting, then close. NULL is fine. */
void stream_free(struct stream *s);
int stream_fd(const struct stream *s);
bool stream_is_tls(const struct stream *s);
/* Negotiated TLS group ("X25519MLKEM768"), or NULL. */
const char *stream_tls_group(const struct stream *s);
/* TLS handshake; plain: 0 at once. PQC_EREFUSED: the server's certificate. */
int stream_handshake(struct stream *s, unsigned *want, struct err *e) MUST_CHECK;
ssize_t stream_read(struct stream *s, void *p, size_t n, unsigned *want) MUST_CHECK;
/*
 * Bytes may be waiting inside TLS, which no LOOP_READ will announce: after a
 * stream_read that filled its buffer, read again before waiting.
 */
bool stream_pending(const struct stream *s);
/*
 * What follows a short count or PQC_EAGAIN is the same bytes that were left,
 * as many or more (they may have moved): TLS has a record of them under way.
 */
ssize_t stream_write(struct stream *s, const void *p, size_t n, unsigned *want) MUST_CHECK;
/* From file fd at off; sendfile(2) where the stream is plain, read and write where it is TLS. PQC_EINTEGRITY at the file's end. */
ssize_t stream_sendfile(struct stream *s, int fd, uint64_t off, size_t n,
			unsigned *want) MUST_CHECK;

#endif
