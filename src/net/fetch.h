/*
 * One HTTP/1.1 request, from beginning to end: connect, ask, read the answer, close. For the small
 * requests of a program about itself: traces, webhooks, metrics. Blocks; any thread.
 */
#ifndef PQC_NET_FETCH_H
#define PQC_NET_FETCH_H

#include <stdatomic.h>

#include "base/buf.h"
#include "net/stream.h"
#include "net/url.h"

#define FETCH_TARGET_MAX 2048

/*
 * http://host[:port][/path][?query], port 80, or https://, port 443. The host as in net/url.h;
 * path and query are sent as they are and have printable ASCII only. User name and
 * fragment are refused. PQC_EUSAGE.
 */
struct fetch_url {
	struct url at;			   /* name is empty */
	char target[FETCH_TARGET_MAX + 1]; /* path and query; "/" when there is none */
};
int fetch_url_parse(const char *s, struct fetch_url *out, struct err *e) MUST_CHECK;

struct fetch {
	const char *url;
	const char *unix_path; /* connect to this socket; url's host is then a name only. Or NULL */
	const char *content_type; /* POST of body; NULL: GET */
	const void *body;
	size_t body_len;
	const char *headers;	   /* more lines, each ended by CRLF; or NULL */
	struct tls_ctx *tls;	   /* client settings; needed for https */
	unsigned timeout_ms;	   /* for all of it, the look-up of the host too */
	size_t answer_max;	   /* bytes of a body */
	const atomic_bool *cancel; /* noticed within 100 ms; or NULL */
	unsigned *retry_after;	   /* seconds the answer's Retry-After gives, else 0; or NULL */
};
/*
 * *status: of the answer; 0 when none came. 0 is returned for any status: what it means is the
 * caller's business, a redirection's too, which is not followed.
 * answer: the body is appended; NULL: it is not waited for. A body that ends with the connection
 * is taken for whole. On failure answer is as before.
 * PQC_ETEMP: nothing answers there; PQC_ENOTFOUND: no such host or socket; PQC_ETIMEOUT; PQC_ECLOSED: the
 * connection ended early; PQC_EPROTO: not HTTP/1; PQC_ETOOBIG: a head over HTTP_HEAD_MAX, or a
 * body over answer_max; PQC_EREFUSED: the server's certificate, or no right to the socket;
 * PQC_EINTERRUPTED: *cancel; PQC_EUSAGE: the address; PQC_ECONFIG: https without tls.
 */
int fetch_run(const struct fetch *f, int *status, struct buf *answer, struct err *e) MUST_CHECK;

#endif
