/* A message head as llhttp found it, between http_head.c and http.c. */
#ifndef PQC_NET_HTTP_INTERNAL_H
#define PQC_NET_HTTP_INTERNAL_H

#include "net/http.h"

struct http_text {
	const char *p; /* into the caller's bytes; NULL: not there */
	size_t n;
};

/* The header fields that mean something to us. */
enum http_field {
	HTTP_HOST,
	HTTP_CONNECTION,
	HTTP_UPGRADE,
	HTTP_WS_KEY,
	HTTP_WS_VERSION,
	HTTP_WS_ACCEPT,
	HTTP_WS_EXTENSIONS,
	HTTP_WS_PROTOCOL,
	HTTP_ORIGIN,
	HTTP_ACCEPT,
	HTTP_TRANSFER_ENCODING,
	HTTP_FIELDS
};

struct http_head {
	struct http_text url, reason;
	struct {
		struct http_text value; /* of the first one, without blanks around it */
		unsigned count;
	} field[HTTP_FIELDS];
	bool connection_upgrade, upgrade_websocket; /* these tokens, in any of the lines */
	bool get, head, http11, keep_alive;
	uint64_t length; /* Content-Length */
	int status;
	size_t used;
};

/* Parse the head of a request or an answer. PQC_EAGAIN, PQC_EPROTO; then h holds what was found so far. */
int http_head_parse(const uint8_t *p, size_t n, bool answer, struct http_head *h) MUST_CHECK;

#endif
