#include "crypto/pem.h"

#include <string.h>

#include "base/text.h"

#define LINE 64

void pem_write(struct buf *b, const char *label, const void *p, size_t n)
{
	struct buf text = BUF_INIT(b->max);

	base64_encode(&text, p, n);
	buf_printf(b, "-----BEGIN %s-----\n", label);
	for (size_t at = 0; at < text.len; at += LINE) {
		buf_put(b, text.p + at, text.len - at < LINE ? text.len - at : LINE);
		buf_put_u8(b, '\n');
	}
	buf_printf(b, "-----END %s-----\n", label);
	if (buf_error(&text) != 0 && buf_error(b) == 0)
		b->error = buf_error(&text);
	buf_free(&text);
}

bool pem_at_end(struct pem *in)
{
	while (in->p < in->end && strchr(" \t\r\n", *in->p) != NULL && *in->p != '\0')
		in->p++;
	return in->p == in->end;
}

/* Step over s when it is what follows. */
static bool skip(struct pem *in, const char *s)
{
	size_t n = strlen(s);

	if ((size_t)(in->end - in->p) < n || memcmp(in->p, s, n) != 0)
		return false;
	in->p += n;
	return true;
}

static bool skip_boundary(struct pem *in, const char *what, const char *label)
{
	if (!skip(in, "-----") || !skip(in, what) || !skip(in, label) || !skip(in, "-----"))
		return false;
	(void)skip(in, "\r");
	return skip(in, "\n") || in->p == in->end;
}

bool pem_peek(struct pem *in, const char *label)
{
	struct pem ahead;

	if (pem_at_end(in))
		return false;
	ahead = *in;
	return skip_boundary(&ahead, "BEGIN ", label);
}

int pem_read(struct pem *in, const char *label, struct buf *out)
{
	struct buf text = BUF_INIT(out->max * 2);
	int r = PQC_EINTEGRITY;

	if (pem_at_end(in) || !skip_boundary(in, "BEGIN ", label))
		return r;
	for (; in->p < in->end && *in->p != '-'; in->p++)
		if (*in->p != '\n' && *in->p != '\r')
			buf_put_u8(&text, (uint8_t)*in->p);
	if ((r = buf_error(&text)) != 0)
		goto out;
	r = PQC_EINTEGRITY;
	if (skip_boundary(in, "END ", label) &&
	    base64_decode(out, (const char *)text.p, text.len) == 0)
		r = buf_error(out);
out:
	buf_free(&text);
	return r == PQC_ENOMEM ? r : (r != 0 ? PQC_EINTEGRITY : 0);
}
