/* Pinned server identities, one "host:port id [comment]" a line: known_hosts manner. */
#ifndef PQC_CLIENT_KNOWN_H
#define PQC_CLIENT_KNOWN_H

#include "base/buf.h"
#include "crypto/suite.h"
#include "net/url.h"

#define KNOWN_HOST_MAX (URL_HOST_MAX + 10)
/* What people write, HOST[:PORT] or the URL of a server, as the host_port of the functions below. */
int known_host(const char *text, char host_port[KNOWN_HOST_MAX], struct err *e) MUST_CHECK;
/*
 * 0: pinned and equal. PQC_EUNKNOWN_SERVER: no line for host_port (a missing file is an
 * empty one). PQC_EIDENTITY_CHANGED: another id is pinned, written to pinned.
 * PQC_ECONFIG: a malformed line, named.
 */
int known_check(const char *path, const char *host_port, const uint8_t id[ID_LEN],
		uint8_t pinned[ID_LEN], struct err *e) MUST_CHECK;
/* Pin; PQC_EEXIST when the host has another id. Pinning the same again is fine. */
int known_add(const char *path, const char *host_port, const uint8_t id[ID_LEN],
	      struct err *e) MUST_CHECK;
int known_remove(const char *path, const char *host_port, struct err *e) MUST_CHECK;
int known_list(const char *path, int (*each)(void *arg, const char *host_port, const uint8_t *id),
	       void *arg, struct err *e) MUST_CHECK;

#endif
