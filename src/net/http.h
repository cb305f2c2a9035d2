/*
 * HTTP/1.1 as far as we need it (llhttp): a server's request head, a client's upgrade. A whole
 * request of a client is in net/fetch.h.
 */
#ifndef PQC_NET_HTTP_H
#define PQC_NET_HTTP_H

#include <stdbool.h>

#include "base/buf.h"

#define HTTP_HEAD_MAX 16384
#define HTTP_PATH_MAX 2048

/* A parsed request head. Bodies are not accepted (413). */
struct http_request {
	bool get, head;		      /* methods we know; both false: 405 */
	char path[HTTP_PATH_MAX + 1]; /* as sent, without the query */
	bool upgrade;		      /* a well-formed RFC 6455 section 4.1 upgrade, version 13 */
	bool upgrade_asked;	      /* Upgrade: websocket, well-formed or not */
	char ws_key[32];
	char origin[256];  /* empty: none */
	char accept[1024]; /* longer ones are cut */
	bool keep_alive;
};
/*
 * Parse p[n]. *used: length of the head when whole. PQC_EAGAIN: more needed.
 * PQC_EPROTO: answer *status (400, 413, 414, 431) and close.
 */
int http_parse_request(const uint8_t *p, size_t n, struct http_request *out, size_t *used,
		       int *status) MUST_CHECK;
/* Append a whole response with Content-Length; extra: more header lines, each ended by CRLF, or NULL. */
void http_response(struct buf *b, int status, const char *type, const void *body, size_t n,
		   bool keep_alive, bool head_only, const char *extra);
/* Append the 101 answer (Sec-WebSocket-Accept). */
int http_upgrade_response(struct buf *b, const char *ws_key) MUST_CHECK;

/* Client: append the upgrade request; key is base64 of 16 random bytes, NUL-terminated, made by the caller. */
void http_upgrade_request(struct buf *b, const char *host_port, const char *path, const char *key);
/* Parse the answer; PQC_EAGAIN; PQC_EREFUSED/PQC_ETEMP/PQC_EPROTO with what the server said in e. *used bytes consumed. */
int http_parse_upgrade(const uint8_t *p, size_t n, const char *key, size_t *used,
		       struct err *e) MUST_CHECK;

#endif
