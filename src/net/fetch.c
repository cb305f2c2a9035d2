#include "net/fetch.h"

#include <llhttp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "net/fetch_internal.h"
#include "net/http.h"
#include "net/loop.h"

#define RETRY_HEADER "retry-after"
#define RETRY_MAX    999999 /* seconds; more is no time to wait */

struct exchange {
	const struct fetch *f;
	struct patience p;
	struct stream *st;
	struct buf out; /* the request */
	size_t sent;
	int send_error; /* the peer takes no more; it may have answered all the same */
	llhttp_t parser;
	llhttp_settings_t settings;
	struct buf *answer;
	size_t answer_start;
	size_t head_bytes;  /* read before the head was whole */
	bool informational; /* the message is a 1xx: the answer follows it (RFC 9110 section 15.2) */
	bool head_done, done;
	int status;
	int fault;					/* what a callback refused */
	char name[sizeof(RETRY_HEADER) + 1], value[32]; /* of a header line, cut */
	size_t name_len, value_len;
};

/* ---- what llhttp calls ---- */

static struct exchange *exchange_of(llhttp_t *parser)
{
	return parser->data;
}

/* Collect a piece; what does not fit makes the text one byte too long for any we look for. */
static void collect(char *to, size_t size, size_t *len, const char *p, size_t n)
{
	size_t room = size - 1 - *len, take = n < room ? n : room;

	memcpy(to + *len, p, take);
	*len += take;
	to[*len] = '\0';
}

static int on_name(llhttp_t *parser, const char *p, size_t n)
{
	struct exchange *x = exchange_of(parser);

	collect(x->name, sizeof(x->name), &x->name_len, p, n);
	return 0;
}

static int on_value(llhttp_t *parser, const char *p, size_t n)
{
	struct exchange *x = exchange_of(parser);

	collect(x->value, sizeof(x->value), &x->value_len, p, n);
	return 0;
}

/* Retry-After may be a date, too (RFC 9110 section 10.2.3); then the caller has its own idea. */
static int on_line(llhttp_t *parser)
{
	struct exchange *x = exchange_of(parser);
	uint64_t seconds;

	while (x->value_len > 0 && strchr(" \t", x->value[x->value_len - 1]))
		x->value[--x->value_len] = '\0';
	if (!x->head_done && x->f->retry_after && strcasecmp(x->name, RETRY_HEADER) == 0 &&
	    parse_u64(x->value, 0, RETRY_MAX, &seconds) == 0)
		*x->f->retry_after = (unsigned)seconds;
	x->name_len = x->value_len = 0;
	x->name[0] = x->value[0] = '\0';
	return 0;
}

static int on_head(llhttp_t *parser)
{
	struct exchange *x = exchange_of(parser);
	unsigned version = llhttp_get_http_major(parser) * 10u + llhttp_get_http_minor(parser);
	int status = llhttp_get_status_code(parser);

	if ((version != 10 && version != 11) || status < 100 || status == 101) {
		x->fault = PQC_EPROTO;
		return -1;
	}
	x->informational = status < 200;
	if (x->informational)
		return 0;
	x->head_done = true;
	x->status = status;
	if (x->answer && parser->flags & F_CONTENT_LENGTH &&
	    parser->content_length > x->f->answer_max) {
		x->fault = PQC_ETOOBIG;
		return -1;
	}
	x->done = !x->answer;
	return x->done ? HPE_PAUSED : 0;
}

static int on_body(llhttp_t *parser, const char *p, size_t n)
{
	struct exchange *x = exchange_of(parser);

	if (x->informational)
		return 0;
	if (n > x->f->answer_max - (x->answer->len - x->answer_start))
		x->fault = PQC_ETOOBIG;
	else
		buf_put(x->answer, p, n);
	if (x->fault == 0)
		x->fault = buf_error(x->answer);
	return x->fault ? -1 : 0;
}

static int on_end(llhttp_t *parser)
{
	struct exchange *x = exchange_of(parser);

	if (x->informational)
		return 0;
	x->done = true;
	return HPE_PAUSED;
}

static void parser_init(struct exchange *x)
{
	llhttp_settings_init(&x->settings);
	x->settings.on_header_field = on_name;
	x->settings.on_header_value = on_value;
	x->settings.on_header_value_complete = on_line;
	x->settings.on_headers_complete = on_head;
	x->settings.on_body = on_body;
	x->settings.on_message_complete = on_end;
	llhttp_init(&x->parser, HTTP_RESPONSE, &x->settings);
	x->parser.data = x;
}

/* ---- sending and receiving ---- */

static int say_fault(const struct exchange *x, int fault, struct err *e)
{
	if (fault == PQC_ETOOBIG)
		return err_set(e, fault, "the answer is larger than %zu bytes", x->f->answer_max);
	if (fault == PQC_ENOMEM)
		return err_set(e, fault, "no memory for the answer");
	return err_set(e, fault, "what answers there does not speak HTTP/1");
}

static int feed(struct exchange *x, const char *p, size_t n, struct err *e)
{
	llhttp_errno_t r;

	if (!x->head_done)
		x->head_bytes += n;
	r = llhttp_execute(&x->parser, p, n);
	if (x->fault)
		return say_fault(x, x->fault, e);
	if (x->done || (r == HPE_OK && (x->head_done || x->head_bytes < HTTP_HEAD_MAX)))
		return 0;
	if (r == HPE_OK)
		return err_set(e, PQC_ETOOBIG, "the head of the answer is larger than %d bytes",
			       HTTP_HEAD_MAX);
	return say_fault(x, PQC_EPROTO, e);
}

/* The connection has ended; that may be the end of the body. */
static int ended(struct exchange *x, int why, struct err *e)
{
	if (why == PQC_ECLOSED && x->head_done)
		llhttp_finish(&x->parser);
	if (x->done)
		return 0;
	if (x->head_bytes == 0)
		return err_set(e, why, "the connection ended without an answer");
	return err_set(e, why, "the connection ended within the answer");
}

/* A failure to send is no failure yet: a server may refuse what it has not read to the end. */
static void send_some(struct exchange *x, unsigned *want)
{
	while (x->sent < x->out.len && x->send_error == 0) {
		ssize_t n = stream_write(x->st, x->out.p + x->sent, x->out.len - x->sent, want);

		if (n == PQC_EAGAIN)
			return;
		if (n < 0)
			x->send_error = (int)n;
		else
			x->sent += (size_t)n;
	}
}

static int receive_some(struct exchange *x, unsigned *want, struct err *e)
{
	char chunk[HTTP_HEAD_MAX];
	int r = 0;

	while (r == 0 && !x->done && (r = patience_check(&x->p, e)) == 0) {
		size_t room = x->head_done ? sizeof(chunk) : HTTP_HEAD_MAX - x->head_bytes;
		ssize_t n = stream_read(x->st, chunk, room, want);

		if (n == PQC_EAGAIN)
			return 0;
		r = n < 0 ? ended(x, (int)n, e) : feed(x, chunk, (size_t)n, e);
	}
	return r;
}

/* Wait for the LOOP_* events. */
static int wait_for(struct exchange *x, unsigned want, struct err *e)
{
	struct pollfd p = {.fd = stream_fd(x->st)};

	p.events = (short)((want & LOOP_READ ? POLLIN : 0) | (want & LOOP_WRITE ? POLLOUT : 0));
	poll(&p, 1, patience_slice(&x->p));
	return patience_check(&x->p, e);
}

static int shake_hands(struct exchange *x, struct err *e)
{
	unsigned want = 0;
	int r;

	while ((r = stream_handshake(x->st, &want, e)) == PQC_EAGAIN)
		if ((r = wait_for(x, want, e)) != 0)
			break;
	return r;
}

static int converse(struct exchange *x, struct err *e)
{
	int r = 0;

	while (r == 0 && !x->done) {
		unsigned to_write = 0, to_read = 0;

		send_some(x, &to_write);
		if ((r = receive_some(x, &to_read, e)) == 0 && !x->done)
			r = wait_for(x, to_write | to_read, e);
	}
	return r;
}

/* ---- the whole ---- */

int fetch_url_parse(const char *s, struct fetch_url *out, struct err *e)
{
	bool tls = strncasecmp(s, "https://", 8) == 0;
	const char *rest = s + (tls ? 8 : 7);
	char same[URL_HOST_MAX + 32];
	size_t n;
	int r;

	if (!tls && strncasecmp(s, "http://", 7) != 0)
		return err_set(e, PQC_EUSAGE,
			       "address '%s' does not start with http:// or https://", s);
	n = strcspn(rest, "/?#");
	/* ws:// and wss:// have the same hosts and the same ports. */
	if (snprintf(same, sizeof(same), "%s%.*s", tls ? "wss://" : "ws://", (int)n, rest) >=
	    (int)sizeof(same))
		return err_set(e, PQC_EUSAGE, "host name longer than %d bytes", URL_HOST_MAX);
	if ((r = url_parse(same, &out->at, e)) != 0)
		return r;
	rest += n;
	for (const char *p = rest; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || *p == '#')
			return err_set(e, PQC_EUSAGE,
				       "address '%s': blanks, '#' and what is not ASCII are "
				       "written %%XX",
				       s);
	if (snprintf(out->target, sizeof(out->target), "%s%s", *rest == '/' ? "" : "/", rest) >=
	    (int)sizeof(out->target))
		return err_set(e, PQC_EUSAGE, "address longer than %d bytes", FETCH_TARGET_MAX);
	return 0;
}

/* RFC 9110 section 7.2: the usual port is left out. */
static void put_host(struct buf *b, const struct url *u)
{
	size_t n = strlen(u->host_port);

	if (u->port == (u->tls ? 443 : 80))
		n = (size_t)(strrchr(u->host_port, ':') - u->host_port);
	buf_printf(b, "Host: %.*s\r\n", (int)n, u->host_port);
}

static int put_request(struct buf *b, const struct fetch *f, const struct fetch_url *u)
{
	buf_printf(b, "%s %s HTTP/1.1\r\n", f->content_type ? "POST" : "GET", u->target);
	put_host(b, &u->at);
	buf_put_str(b, "User-Agent: pqc/" PQC_VERSION "\r\nConnection: close\r\n"
		       "Accept-Encoding: identity\r\n");
	if (f->content_type)
		buf_printf(b, "Content-Type: %s\r\nContent-Length: %zu\r\n", f->content_type,
			   f->body_len);
	buf_put_str(b, f->headers ? f->headers : "");
	buf_put_str(b, "\r\n");
	if (f->content_type)
		buf_put(b, f->body, f->body_len);
	return buf_error(b);
}

static int open_stream(struct exchange *x, const struct fetch_url *u, struct err *e)
{
	struct tls_ctx *tls = u->at.tls ? x->f->tls : NULL;
	int fd = -1, r;

	if (x->f->unix_path)
		r = fetch_dial_unix(x->f->unix_path, &x->p, &fd, e);
	else
		r = fetch_dial(&u->at, &x->p, &fd, e);
	if (r != 0)
		return r;
	if ((r = stream_new(fd, tls, tls ? u->at.host : NULL, &x->st)) != 0) {
		close(fd);
		return err_set(e, r, "no memory for a connection");
	}
	return shake_hands(x, e);
}

static int run(struct exchange *x, const struct fetch_url *u, struct err *e)
{
	int r;

	if (put_request(&x->out, x->f, u) != 0)
		return err_set(e, buf_error(&x->out), "the request does not fit into memory");
	parser_init(x);
	if ((r = open_stream(x, u, e)) != 0)
		return r;
	return converse(x, e);
}

int fetch_run(const struct fetch *f, int *status, struct buf *answer, struct err *e)
{
	struct exchange x = {.f = f, .answer = answer, .answer_start = answer ? answer->len : 0};
	struct fetch_url u;
	int r;

	*status = 0;
	if (f->retry_after)
		*f->retry_after = 0;
	if ((r = fetch_url_parse(f->url, &u, e)) != 0)
		return r;
	if (u.at.tls && !f->tls)
		return err_set(e, PQC_ECONFIG, "%s: no TLS settings", u.at.host_port);
	x.p = (struct patience){clock_ms() + f->timeout_ms, f->cancel};
	buf_init(&x.out, sizeof(u) + HTTP_HEAD_MAX + f->body_len);
	r = run(&x, &u, e);
	*status = x.status;
	stream_free(x.st);
	buf_free(&x.out);
	if (r == 0)
		return 0;
	if (answer && !buf_error(answer))
		buf_truncate(answer, x.answer_start);
	err_prefix(e, "%s", f->unix_path ? f->unix_path : u.at.host_port);
	return r;
}
