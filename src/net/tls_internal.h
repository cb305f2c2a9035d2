/* Between tls.c, which makes settings, and stream.c, which uses them. */
#ifndef PQC_NET_TLS_INTERNAL_H
#define PQC_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "net/stream.h"

struct tls_ctx {
	SSL_CTX *ctx; /* an SSL holds its own reference */
	bool server;
};

/* A TLS endpoint on fd, ready for its handshake; host: whom a client expects, NULL on a server. */
int tls_endpoint(struct tls_ctx *t, int fd, const char *host, SSL **out) MUST_CHECK;
/*
 * What a failed call on s means: PQC_EAGAIN with *want, PQC_ECLOSED, PQC_EREFUSED
 * for a certificate, PQC_EPROTO; in words in e. Empties OpenSSL's error queue,
 * which must have been empty before the call.
 */
int tls_failure(SSL *s, int returned, unsigned *want, struct err *e);

#endif
