/* What llhttp calls out, collected. The whole head is parsed at once, so spans are contiguous. */
#include <limits.h>
#include <llhttp.h>
#include <string.h>
#include <strings.h>

#include "net/http_internal.h"

static const char *const field_names[HTTP_FIELDS] = {
	[HTTP_HOST] = "Host",
	[HTTP_CONNECTION] = "Connection",
	[HTTP_UPGRADE] = "Upgrade",
	[HTTP_WS_KEY] = "Sec-WebSocket-Key",
	[HTTP_WS_VERSION] = "Sec-WebSocket-Version",
	[HTTP_WS_ACCEPT] = "Sec-WebSocket-Accept",
	[HTTP_WS_EXTENSIONS] = "Sec-WebSocket-Extensions",
	[HTTP_WS_PROTOCOL] = "Sec-WebSocket-Protocol",
	[HTTP_ORIGIN] = "Origin",
	[HTTP_ACCEPT] = "Accept",
	[HTTP_TRANSFER_ENCODING] = "Transfer-Encoding",
};

struct collector {
	struct http_head *h;
	struct http_text name, value; /* of the header line that is being read */
	bool complete;
};

static struct collector *collector_of(llhttp_t *parser)
{
	return parser->data;
}

/* llhttp may hand out a span in pieces that follow each other. */
static void extend(struct http_text *t, const char *p, size_t n)
{
	if (!t->p)
		t->p = p;
	t->n = (size_t)(p + n - t->p);
}

static int on_url(llhttp_t *parser, const char *p, size_t n)
{
	extend(&collector_of(parser)->h->url, p, n);
	return 0;
}

static int on_reason(llhttp_t *parser, const char *p, size_t n)
{
	extend(&collector_of(parser)->h->reason, p, n);
	return 0;
}

static int on_name(llhttp_t *parser, const char *p, size_t n)
{
	extend(&collector_of(parser)->name, p, n);
	return 0;
}

static int on_value(llhttp_t *parser, const char *p, size_t n)
{
	extend(&collector_of(parser)->value, p, n);
	return 0;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct http_text trim(struct http_text t)
{
	while (t.n > 0 && blank(t.p[0])) {
		t.p++;
		t.n--;
	}
	while (t.n > 0 && blank(t.p[t.n - 1]))
		t.n--;
	return t;
}

static bool same(struct http_text t, const char *s)
{
	return t.n == strlen(s) && strncasecmp(t.p, s, t.n) == 0;
}

/* Is token an element of this comma-separated list (RFC 9110 section 5.6.1)? */
static bool list_has(struct http_text list, const char *token)
{
	while (list.n > 0) {
		const char *comma = memchr(list.p, ',', list.n);
		size_t n = comma ? (size_t)(comma - list.p) : list.n;
		size_t skip = comma ? n + 1 : n;

		if (same(trim((struct http_text){list.p, n}), token))
			return true;
		list.p += skip;
		list.n -= skip;
	}
	return false;
}

/* A header line is complete. */
static int on_line(llhttp_t *parser)
{
	struct collector *c = collector_of(parser);
	struct http_head *h = c->h;
	struct http_text value = trim(c->value.p ? c->value : (struct http_text){"", 0});

	for (size_t i = 0; i < HTTP_FIELDS; i++) {
		if (!c->name.p || !same(c->name, field_names[i]))
			continue;
		if (h->field[i].count++ == 0)
			h->field[i].value = value;
		if (i == HTTP_CONNECTION && list_has(value, "upgrade"))
			h->connection_upgrade = true;
		if (i == HTTP_UPGRADE && list_has(value, "websocket"))
			h->upgrade_websocket = true;
	}
	c->name = c->value = (struct http_text){NULL, 0};
	return 0;
}

#define HEAD_ENDS_HERE 2 /* to llhttp: no body, stop behind the head */

static int on_head(llhttp_t *parser)
{
	struct collector *c = collector_of(parser);
	struct http_head *h = c->h;
	unsigned version = llhttp_get_http_major(parser) * 10u + llhttp_get_http_minor(parser);

	if (version != 10 && version != 11)
		return -1;
	h->http11 = version == 11;
	h->get = llhttp_get_method(parser) == HTTP_GET;
	h->head = llhttp_get_method(parser) == HTTP_HEAD;
	h->status = llhttp_get_status_code(parser);
	h->keep_alive = llhttp_should_keep_alive(parser);
	h->length = parser->content_length;
	c->complete = true;
	return HEAD_ENDS_HERE;
}

int http_head_parse(const uint8_t *p, size_t n, bool answer, struct http_head *h)
{
	struct collector c = {.h = h};
	llhttp_settings_t settings;
	llhttp_t parser;
	llhttp_errno_t r;

	memset(h, 0, sizeof(*h));
	llhttp_settings_init(&settings);
	settings.on_url = on_url;
	settings.on_status = on_reason;
	settings.on_header_field = on_name;
	settings.on_header_value = on_value;
	settings.on_header_value_complete = on_line;
	settings.on_headers_complete = on_head;
	llhttp_init(&parser, answer ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
	parser.data = &c;
	r = llhttp_execute(&parser, (const char *)p, n);
	if (r == HPE_OK && !c.complete)
		return PQC_EAGAIN;
	if (r != HPE_PAUSED_UPGRADE || !c.complete)
		return PQC_EPROTO;
	h->used = (size_t)(llhttp_get_error_pos(&parser) - (const char *)p);
	return 0;
}
