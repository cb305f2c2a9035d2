#include "net/http.h"

#include <openssl/ssl.h> /* declares SHA1, too */
#include <string.h>

#include "base/text.h"
#include "net/http_internal.h"

/* RFC 6455 section 1.3 */
#define WS_GUID	      "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define WS_KEY_LEN    16
#define WS_ACCEPT_MAX 32

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{400, "Bad Request"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{426, "Upgrade Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{503, "Service Unavailable"},
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

/* ---- a server's request ---- */

static bool key_valid(struct http_text key)
{
	struct buf raw = BUF_INIT(WS_ACCEPT_MAX);
	bool ok = base64_decode(&raw, key.p, key.n) == 0 && raw.len == WS_KEY_LEN;

	buf_free(&raw);
	return ok;
}

/* RFC 6455 section 4.2.1 */
static bool upgrade_valid(const struct http_head *h)
{
	struct http_text version = h->field[HTTP_WS_VERSION].value;

	return h->get && h->http11 && h->connection_upgrade && h->upgrade_websocket &&
	       h->field[HTTP_WS_VERSION].count == 1 && version.n == 2 &&
	       memcmp(version.p, "13", 2) == 0 && h->field[HTTP_WS_KEY].count == 1 &&
	       key_valid(h->field[HTTP_WS_KEY].value);
}

/* Copy t, cut to what fits. */
static void copy_text(char *out, size_t size, struct http_text t)
{
	size_t n = t.n < size ? t.n : size - 1;

	if (n > 0)
		memcpy(out, t.p, n);
	out[n] = '\0';
}

/* The status of a request that has not ended within the limit, or is refused as it is; 0: fine. */
static int judge_size(const struct http_head *h, size_t n)
{
	struct http_text url = h->url;
	const char *query = url.p ? memchr(url.p, '?', url.n) : NULL;

	if ((query ? (size_t)(query - url.p) : url.n) > HTTP_PATH_MAX)
		return 414;
	return n > HTTP_HEAD_MAX ? 431 : 0;
}

static int judge(const struct http_head *h)
{
	int status = judge_size(h, h->used);
	unsigned hosts = h->field[HTTP_HOST].count;
	unsigned origins = h->field[HTTP_ORIGIN].count;

	if (status)
		return status;
	/* Only origin-form (RFC 9112 section 3.2.1): we are no proxy. */
	if (h->url.n == 0 || h->url.p[0] != '/' || memchr(h->url.p, '#', h->url.n))
		return 400;
	/* RFC 9112 section 3.2: exactly one Host, which only HTTP/1.0 may leave out */
	if (hosts > 1 || (hosts == 0 && h->http11))
		return 400;
	if (h->field[HTTP_TRANSFER_ENCODING].count > 0 || h->length > 0)
		return 413;
	/* An origin we cannot compare must not pass for none. */
	if (origins > 1 || (origins == 1 && h->field[HTTP_ORIGIN].value.n == 0))
		return 400;
	if (h->field[HTTP_ORIGIN].value.n >= sizeof(((struct http_request *)0)->origin))
		return 431;
	return 0;
}

static void fill_request(const struct http_head *h, struct http_request *out)
{
	struct http_text path = h->url;
	const char *query = memchr(path.p, '?', path.n);

	memset(out, 0, sizeof(*out));
	if (query)
		path.n = (size_t)(query - path.p);
	out->get = h->get;
	out->head = h->head;
	out->upgrade = upgrade_valid(h);
	out->upgrade_asked = h->upgrade_websocket;
	out->keep_alive = h->keep_alive;
	copy_text(out->path, sizeof(out->path), path);
	copy_text(out->origin, sizeof(out->origin), h->field[HTTP_ORIGIN].value);
	copy_text(out->accept, sizeof(out->accept), h->field[HTTP_ACCEPT].value);
	if (out->upgrade)
		copy_text(out->ws_key, sizeof(out->ws_key), h->field[HTTP_WS_KEY].value);
}

int http_parse_request(const uint8_t *p, size_t n, struct http_request *out, size_t *used,
		       int *status)
{
	struct http_head h;
	int r = http_head_parse(p, n, false, &h);

	if (r == PQC_EAGAIN) {
		/* what is there counts, and at least one byte will follow */
		*status = judge_size(&h, n + 1);
		return *status ? PQC_EPROTO : PQC_EAGAIN;
	}
	*status = r == 0 ? judge(&h) : 400;
	if (*status)
		return PQC_EPROTO;
	fill_request(&h, out);
	*used = h.used;
	return 0;
}

/* ---- a server's answers ---- */

void http_response(struct buf *b, int status, const char *type, const void *body, size_t n,
		   bool keep_alive, bool head_only, const char *extra)
{
	buf_printf(b, "HTTP/1.1 %d %s\r\n", status, reason_of(status));
	if (type)
		buf_printf(b, "Content-Type: %s\r\n", type);
	buf_printf(b, "Content-Length: %zu\r\nConnection: %s\r\n%s\r\n", n,
		   keep_alive ? "keep-alive" : "close", extra ? extra : "");
	if (!head_only)
		buf_put(b, body, n);
}

/* Append base64(SHA-1(key | GUID)): RFC 6455 section 4.2.2. SHA-1 is no safeguard there, only an echo. */
static int put_accept(struct buf *b, const char *key)
{
	struct buf text = BUF_INIT(256);
	uint8_t hash[SHA_DIGEST_LENGTH];
	int r;

	buf_put_str(&text, key);
	buf_put_str(&text, WS_GUID);
	if ((r = buf_error(&text)) != 0)
		goto out;
	if (!EVP_Q_digest(NULL, "SHA1", NULL, text.p, text.len, hash, NULL)) {
		r = PQC_ECRYPTO;
		goto out;
	}
	base64_encode(b, hash, sizeof(hash));
	r = buf_error(b);
out:
	buf_free(&text);
	return r;
}

int http_upgrade_response(struct buf *b, const char *ws_key)
{
	int r;

	buf_put_str(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		       "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
	if ((r = put_accept(b, ws_key)) != 0)
		return r;
	buf_put_str(b, "\r\n\r\n");
	return buf_error(b);
}

/* ---- a client ---- */

void http_upgrade_request(struct buf *b, const char *host_port, const char *path, const char *key)
{
	buf_printf(b,
		   "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		   "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
		   path, host_port, key);
}

/* RFC 6455 section 4.1, last part: what an answer of 101 must say */
static int check_switched(const struct http_head *h, const char *key, struct err *e)
{
	struct buf want = BUF_INIT(WS_ACCEPT_MAX);
	struct http_text got = h->field[HTTP_WS_ACCEPT].value;
	int r = put_accept(&want, key);

	if (r != 0)
		err_set(e, r, "cannot compute Sec-WebSocket-Accept");
	else if (!h->http11 || !h->upgrade_websocket || !h->connection_upgrade)
		r = err_set(e, PQC_EPROTO, "the server's upgrade is not to WebSocket");
	else if (h->field[HTTP_WS_ACCEPT].count != 1 || got.n != want.len ||
		 memcmp(got.p, want.p, got.n) != 0)
		r = err_set(e, PQC_EPROTO, "the server's Sec-WebSocket-Accept is wrong");
	else if (h->field[HTTP_WS_EXTENSIONS].count || h->field[HTTP_WS_PROTOCOL].count)
		r = err_set(e, PQC_EPROTO, "the server chose an extension or subprotocol unasked");
	buf_free(&want);
	return r;
}

static int code_of_status(int status)
{
	if (status == 401 || status == 403 || status == 407)
		return PQC_EREFUSED;
	if (status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505))
		return PQC_ETEMP;
	return PQC_EPROTO;
}

/* Put into words an answer other than 101, with as much of its body as came with it. */
static int say_refusal(const struct http_head *h, const uint8_t *body, size_t n, struct err *e)
{
	int shown = n < 200 ? (int)n : 200;
	int reason = h->reason.n < 80 ? (int)h->reason.n : 80;

	while (shown > 0 && (body[shown - 1] == '\n' || body[shown - 1] == '\r'))
		shown--;
	return err_set(e, code_of_status(h->status), "the server answered %d %.*s%s%.*s", h->status,
		       reason, h->reason.n ? h->reason.p : "", shown ? ": " : "", shown,
		       shown ? (const char *)body : "");
}

int http_parse_upgrade(const uint8_t *p, size_t n, const char *key, size_t *used, struct err *e)
{
	struct http_head h;
	int r = http_head_parse(p, n, true, &h);

	if (r == PQC_EAGAIN && n < HTTP_HEAD_MAX)
		return PQC_EAGAIN;
	if (r == PQC_EAGAIN)
		return err_set(e, PQC_EPROTO, "the server's HTTP answer is too long");
	if (r != 0)
		return err_set(e, PQC_EPROTO, "what answers there does not speak HTTP");
	if (h.status != 101)
		return say_refusal(&h, p + h.used, n - h.used, e);
	if ((r = check_switched(&h, key, e)) != 0)
		return r;
	*used = h.used;
	return 0;
}
