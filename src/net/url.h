/* pqc://, ws:// and wss:// addresses; listening addresses. */
#ifndef PQC_NET_URL_H
#define PQC_NET_URL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define PQC_PORT     8765
#define URL_HOST_MAX 255
#define URL_NAME_MAX 4096

/*
 * pqc://host[:port]/name (port 8765), pqcs:// the same over TLS, ws:// (port 80)
 * and wss:// (443). The name is percent-decoded and checked by the caller;
 * IPv6 in brackets. Userinfo, query and fragment are refused.
 */
struct url {
	bool tls;
	char host[URL_HOST_MAX + 1];
	uint16_t port;
	char name[URL_NAME_MAX +
		  1]; /* without the leading '/'; may be empty; a trailing '/' is kept */
	char host_port[URL_HOST_MAX + 10]; /* "host:port", "[v6]:port": the key of known_servers */
};
int url_parse(const char *s, struct url *out, struct err *e) MUST_CHECK;

/*
 * "ADDR:PORT", "[v6]:PORT", ":PORT" (all addresses), port 0: the kernel chooses. Non-blocking,
 * close-on-exec, SO_REUSEADDR. shared: SO_REUSEPORT too, so that other processes of the same user which
 * ask for it take their share of the connections. PQC_ECONFIG in words when in use or not permitted.
 */
int net_listen(const char *addr_port, bool shared, int *fd, char bound[64],
	       struct err *e) MUST_CHECK;
/* A listening Unix socket dir/name, mode 0600, in place of one that is there. Non-blocking, close-on-exec. */
int net_listen_unix(int dir, const char *name, int *fd, struct err *e) MUST_CHECK;
/* Does anybody listen at dir/name? */
bool net_unix_alive(int dir, const char *name);
/*
 * Connect within timeout_ms, trying every address of the host. PQC_ETEMP when refused or unreachable, PQC_ENOTFOUND
 * for an unknown host, PQC_EINTERRUPTED when *cancel, which may be NULL, is set; the look-up of a name is not ended by it.
 */
int net_dial(const struct url *u, unsigned timeout_ms, const atomic_bool *cancel, int *fd,
	     struct err *e) MUST_CHECK;

#endif
