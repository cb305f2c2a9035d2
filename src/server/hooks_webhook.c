/* Events as requests: the Standard Webhooks specification, version 1. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/hmac.h"
#include "crypto/secmem.h"
#include "net/fetch.h"
#include "server/hooks_impl.h"

#define SECRET_PREFIX	"whsec_"
#define SECRET_MIN	24
#define SECRET_MAX	64
#define SECRET_FILE_MAX 256
#define HEADERS_MAX	512

/* ---- the secret ---- */

/* Nothing of the text is repeated in a message: it is a key. */
static int decode(struct webhook *w, const char *path, const struct buf *text, struct err *e)
{
	const size_t prefix = strlen(SECRET_PREFIX);
	struct buf raw = BUF_INIT(SECRET_FILE_MAX);
	size_t n = text->len;
	int r = 0;

	if (n > 0 && text->p[n - 1] == '\n')
		n--;
	if (n < prefix || memcmp(text->p, SECRET_PREFIX, prefix) != 0 ||
	    base64_decode(&raw, (const char *)text->p + prefix, n - prefix) != 0 ||
	    raw.len < SECRET_MIN || raw.len > SECRET_MAX) {
		r = err_set(e, PQC_ECONFIG,
			    "%s: expected one line '" SECRET_PREFIX "' and base64 of %d to %d "
			    "random bytes; make one: echo " SECRET_PREFIX
			    "$(head -c 32 /dev/urandom | base64)",
			    path, SECRET_MIN, SECRET_MAX);
		goto out;
	}
	if ((w->key = secret_alloc(SECRET_MAX)) == NULL) {
		r = err_set(e, PQC_ENOMEM, "no memory for the webhook's secret");
		goto out;
	}
	memcpy(w->key, raw.p, raw.len);
	w->key_len = raw.len;
out:
	buf_free(&raw);
	return r;
}

static int load_secret(struct webhook *w, const char *path, struct err *e)
{
	struct buf text = BUF_INIT(SECRET_FILE_MAX);
	struct stat st;
	int r;

	if (stat(path, &st) != 0)
		return err_sys(e, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, PQC_EREFUSED, "%s: not a regular file", path);
	if ((st.st_mode & 077) != 0)
		return err_set(e, PQC_EREFUSED,
			       "%s: mode %04o lets others use this secret; run: chmod 600 %s", path,
			       (unsigned)st.st_mode & 07777, path);
	if ((r = file_slurp(AT_FDCWD, path, &text, e)) == 0)
		r = decode(w, path, &text, e);
	buf_free(&text);
	return r;
}

int webhook_init(struct webhook *w, const struct hooks_opts *o, const atomic_bool *cancel,
		 struct err *e)
{
	struct fetch_url u;
	int r;

	if (fetch_url_parse(o->url, &u, e) != 0) {
		err_prefix(e, "webhook");
		return err_set(e, PQC_ECONFIG, "%s", e ? e->msg : "");
	}
	if (!o->secret_file)
		return err_set(e, PQC_ECONFIG,
			       "webhook: requests are signed, and there is no file with a secret");
	if ((w->url = strdup(o->url)) == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the webhook");
	w->timeout_ms = o->timeout_ms;
	w->cancel = cancel;
	if ((r = load_secret(w, o->secret_file, e)) != 0)
		return r;
	return u.at.tls ? tls_client_ctx(o->ca_file, &w->tls, e) : 0;
}

void webhook_free(struct webhook *w)
{
	secret_free(w->key, SECRET_MAX);
	tls_ctx_unref(w->tls);
	free(w->url);
	memset(w, 0, sizeof(*w));
}

/* ---- a request ---- */

/* The signature is over "id.timestamp.body"; the time is that of the attempt. */
static int put_headers(struct buf *b, const struct webhook *w, const struct event *ev)
{
	char head[EVENT_ID_LEN + 32];
	uint64_t now = clock_unix();
	int n = snprintf(head, sizeof(head), "%s.%llu.", ev->id, (unsigned long long)now), r;
	uint8_t tag[HMAC_SHA256_LEN];

	r = hmac_sha256(w->key, w->key_len,
			(const struct span[]){{head, (size_t)n}, {ev->body.p, ev->body.len}}, 2,
			tag);
	if (r != 0)
		return r;
	buf_printf(b, "webhook-id: %s\r\nwebhook-timestamp: %llu\r\nwebhook-signature: v1,", ev->id,
		   (unsigned long long)now);
	base64_encode(b, tag, sizeof(tag));
	buf_put_str(b, "\r\n");
	return buf_cstr(b) ? 0 : buf_error(b);
}

/* The receiver is not well: 429, or a proxy that does not reach it. A plain 500 may be this event's fault. */
static bool says_down(int status)
{
	return status == 0 || status == 429 || (status >= 502 && status <= 504);
}

static void judge(int r, int status, const struct err *e, struct attempt *a)
{
	a->outcome = FAILED;
	if (status / 100 == 2)
		a->outcome = DELIVERED;
	else if (r == PQC_EINTERRUPTED)
		a->outcome = INTERRUPTED;
	else if (status == 410)
		a->outcome = REFUSED;
	a->down = says_down(status);
	if (status)
		snprintf(a->why, sizeof(a->why), "the receiver answered %d", status);
	else
		snprintf(a->why, sizeof(a->why), "%.*s", (int)sizeof(a->why) - 1, e->msg);
}

void webhook_deliver(const struct webhook *w, const struct event *ev, struct attempt *a)
{
	struct buf headers = BUF_INIT(HEADERS_MAX);
	struct err e = {0};
	int status = 0, r;

	if ((r = put_headers(&headers, w, ev)) != 0) {
		err_set(&e, r, "cannot sign the request");
	} else {
		struct fetch f = {.url = w->url,
				  .content_type = "application/json",
				  .body = ev->body.p,
				  .body_len = ev->body.len,
				  .headers = (const char *)headers.p,
				  .tls = w->tls,
				  .timeout_ms = w->timeout_ms,
				  .cancel = w->cancel,
				  .retry_after = &a->retry_after};

		r = fetch_run(&f, &status, NULL, &e);
	}
	judge(r, status, &e, a);
	buf_free(&headers);
}
