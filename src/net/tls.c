#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/loop.h"
#include "net/tls_internal.h"
#include "net/url.h"

/*
 * Hybrid key exchange first. '/' ends what is preferred whatever the peer guessed:
 * a server asks a client that knows a hybrid group, but sent a share of X25519 only, again.
 */
#define TLS_GROUPS "X25519MLKEM768:SecP384r1MLKEM1024/X25519"

static const unsigned char alpn[] = "\x08http/1.1";
#define ALPN_LEN (sizeof(alpn) - 1)

/* The newest error in OpenSSL's queue in words, and the queue emptied. */
static const char *ssl_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason;

	if (code == 0)
		return "unknown error";
	reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
					: ERR_reason_error_string(code);
	ERR_clear_error();
	return reason ? reason : "unknown error";
}

/* RFC 7301 section 3.2: a client that asks for other protocols only is turned away. */
static int choose_alpn(SSL *s, const unsigned char **out, unsigned char *len,
		       const unsigned char *in, unsigned in_len, void *arg)
{
	(void)s;
	(void)arg;
	for (unsigned i = 0; i < in_len; i += in[i] + 1u) {
		if (in_len - i < ALPN_LEN || memcmp(in + i, alpn, ALPN_LEN) != 0)
			continue;
		*out = in + i + 1;
		*len = in[i];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A key file with a passphrase is an error, not a prompt. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int ctx_new(bool server, struct tls_ctx **out, struct err *e)
{
	struct tls_ctx *t = calloc(1, sizeof(*t));
	char groups[] = TLS_GROUPS;

	ERR_clear_error();
	if (!t)
		return err_set(e, PQC_ENOMEM, "no memory for TLS");
	t->server = server;
	t->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (!t->ctx || !SSL_CTX_set_min_proto_version(t->ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set1_groups_list(t->ctx, groups)) {
		err_set(e, PQC_ECRYPTO, "TLS is not available: %s", ssl_reason());
		tls_ctx_unref(t);
		return PQC_ECRYPTO;
	}
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(t->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* No resumption: a handshake is cheap beside a transfer, and this keeps no state. */
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(t->ctx, 0);
	SSL_CTX_set_default_passwd_cb(t->ctx, no_passphrase);
	*out = t;
	return 0;
}

int tls_server_ctx(const char *cert_file, const char *key_file, struct tls_ctx **out, struct err *e)
{
	struct tls_ctx *t = NULL;
	int r = ctx_new(true, &t, e);

	if (r != 0)
		return r;
	SSL_CTX_set_alpn_select_cb(t->ctx, choose_alpn, NULL);
	if (SSL_CTX_use_certificate_chain_file(t->ctx, cert_file) != 1) {
		r = err_set(e, PQC_ECONFIG, "no usable TLS certificate (PEM) in %s: %s", cert_file,
			    ssl_reason());
		goto out;
	}
	if (SSL_CTX_use_PrivateKey_file(t->ctx, key_file, SSL_FILETYPE_PEM) != 1) {
		r = err_set(e, PQC_ECONFIG,
			    "no usable TLS private key (PEM, without passphrase) in %s that fits "
			    "%s: %s",
			    key_file, cert_file, ssl_reason());
		goto out;
	}
	*out = t;
	t = NULL; /* transferred */
out:
	tls_ctx_unref(t);
	return r;
}

int tls_client_ctx(const char *ca_file, struct tls_ctx **out, struct err *e)
{
	struct tls_ctx *t = NULL;
	int r = ctx_new(false, &t, e);

	if (r != 0)
		return r;
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_set_alpn_protos(t->ctx, alpn, ALPN_LEN) != 0) { /* 0 is success here */
		r = err_set(e, PQC_ENOMEM, "no memory for TLS");
		goto out;
	}
	if (ca_file && SSL_CTX_load_verify_file(t->ctx, ca_file) != 1) {
		r = err_set(e, PQC_ECONFIG, "no usable CA certificates (PEM) in %s: %s", ca_file,
			    ssl_reason());
		goto out;
	}
	if (!ca_file && SSL_CTX_set_default_verify_paths(t->ctx) != 1) {
		r = err_set(e, PQC_ECONFIG, "cannot read the system's CA certificates: %s",
			    ssl_reason());
		goto out;
	}
	*out = t;
	t = NULL; /* transferred */
out:
	tls_ctx_unref(t);
	return r;
}

uint64_t tls_ctx_not_after(const struct tls_ctx *t)
{
	const X509 *cert = SSL_CTX_get0_certificate(t->ctx);
	struct tm tm;

	if (cert == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return 0;
	return (uint64_t)timegm(&tm);
}

void tls_ctx_unref(struct tls_ctx *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

static bool is_address(const char *host)
{
	uint8_t a[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, a) == 1 || inet_pton(AF_INET6, host, a) == 1;
}

/* Whom the server's certificate must name; SNI takes host names only (RFC 6066 section 3). */
static bool expect_host(SSL *s, const char *host)
{
	char name[URL_HOST_MAX + 1];

	if (snprintf(name, sizeof(name), "%s", host) >= (int)sizeof(name))
		return false;
	SSL_set_hostflags(s, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s), host) == 1;
	return SSL_set1_host(s, name) == 1 && SSL_set_tlsext_host_name(s, name) == 1;
}

int tls_endpoint(struct tls_ctx *t, int fd, const char *host, SSL **out)
{
	SSL *s;

	if (!t->server && !host)
		return PQC_EFAIL; /* never without knowing whom to expect */
	ERR_clear_error();
	s = SSL_new(t->ctx);
	if (!s || SSL_set_fd(s, fd) != 1 || (!t->server && !expect_host(s, host))) {
		SSL_free(s);
		ERR_clear_error();
		return PQC_ENOMEM;
	}
	if (t->server)
		SSL_set_accept_state(s);
	else
		SSL_set_connect_state(s);
	*out = s;
	return 0;
}

static int say_certificate(const SSL *s, long why, struct err *e)
{
	const char *host = SSL_get_servername(s, TLSEXT_NAMETYPE_host_name);

	ERR_clear_error();
	if (why == X509_V_ERR_HOSTNAME_MISMATCH || why == X509_V_ERR_IP_ADDRESS_MISMATCH)
		return err_set(e, PQC_EREFUSED,
			       "the server's TLS certificate is for another host%s%s",
			       host ? " than " : "", host ? host : "");
	return err_set(e, PQC_EREFUSED, "the server's TLS certificate is not trusted: %s",
		       X509_verify_cert_error_string(why));
}

int tls_failure(SSL *s, int returned, unsigned *want, struct err *e)
{
	int errnum = errno;
	int why = SSL_get_error(s, returned);
	unsigned long code = ERR_peek_last_error();

	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
		*want = why == SSL_ERROR_WANT_READ ? LOOP_READ : LOOP_WRITE;
		return PQC_EAGAIN;
	}
	if (why == SSL_ERROR_ZERO_RETURN)
		return err_set(e, PQC_ECLOSED, "the peer closed the TLS connection");
	if (why == SSL_ERROR_SYSCALL && errnum != 0) {
		ERR_clear_error();
		return err_sys(e, errnum, "TLS");
	}
	if (why == SSL_ERROR_SYSCALL ||
	    ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		ERR_clear_error();
		return err_set(e, PQC_ECLOSED, "the TLS connection broke off");
	}
	if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && !SSL_is_server(s))
		return say_certificate(s, SSL_get_verify_result(s), e);
	return err_set(e, PQC_EPROTO, "TLS: %s", ssl_reason());
}
