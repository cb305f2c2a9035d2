#include "base/text.h"

#include "base/utf8.h"

static const char hex_digits[] = "0123456789abcdef";

void hex_encode(const void *p, size_t n, char *out)
{
	const uint8_t *in = p;

	for (size_t i = 0; i < n; i++) {
		*out++ = hex_digits[in[i] >> 4];
		*out++ = hex_digits[in[i] & 15];
	}
	*out = '\0';
}

/* The value of a hex digit, or -1. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *s, void *out, size_t n)
{
	uint8_t *o = out;

	/* Look first, write later: a NUL ends the loop as it is no digit. */
	for (size_t i = 0; i < 2 * n; i++)
		if (hex_value(s[i]) < 0)
			return PQC_EFAIL;
	if (s[2 * n] != '\0')
		return PQC_EFAIL;
	for (size_t i = 0; i < n; i++)
		o[i] = (uint8_t)(hex_value(s[2 * i]) << 4 | hex_value(s[2 * i + 1]));
	return 0;
}

void base64_encode(struct buf *b, const void *p, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *in = p;
	uint8_t *out;

	/* A size that 4/3 of would not fit is past any maximum: let buf_extend say so. */
	if ((out = buf_extend(b, n <= SIZE_MAX / 2 ? (n + 2) / 3 * 4 : SIZE_MAX)) == NULL)
		return;
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)in[i] << 16;

		if (left > 1)
			v |= (uint32_t)in[i + 1] << 8;
		if (left > 2)
			v |= in[i + 2];
		*out++ = (uint8_t)digits[v >> 18];
		*out++ = (uint8_t)digits[v >> 12 & 63];
		*out++ = left > 1 ? (uint8_t)digits[v >> 6 & 63] : '=';
		*out++ = left > 2 ? (uint8_t)digits[v & 63] : '=';
	}
}

/* The value of a base64 digit, or -1. */
static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decode the digits of one group, 2 to 4 of them, to out; returns the bytes, or -1. */
static int base64_group(const char *s, int digits, uint8_t *out)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		int d = i < digits ? base64_value(s[i]) : 0;

		if (d < 0)
			return -1;
		v = v << 6 | (uint32_t)d;
	}
	/* RFC 4648 section 3.5: bits that belong to no byte must be zero, or two texts mean the same. */
	if ((digits == 2 && (v & 0xFFFF) != 0) || (digits == 3 && (v & 0xFF) != 0))
		return -1;
	for (int i = 0; i < digits - 1; i++)
		out[i] = (uint8_t)(v >> (16 - 8 * i));
	return digits - 1;
}

int base64_decode(struct buf *b, const char *s, size_t n)
{
	size_t start = b->len, pad = 0, len;
	uint8_t *out;

	if (n % 4 != 0)
		return PQC_EFAIL;
	if (n > 0 && s[n - 1] == '=')
		pad = s[n - 2] == '=' ? 2 : 1;
	len = n / 4 * 3 - pad;
	if ((out = buf_extend(b, len)) == NULL)
		return buf_error(b);
	for (size_t i = 0; i < n; i += 4) {
		int got = base64_group(s + i, i + 4 < n ? 4 : 4 - (int)pad, out);

		if (got < 0) {
			buf_truncate(b, start);
			return PQC_EFAIL;
		}
		out += got;
	}
	return 0;
}

static void json_u16(struct buf *b, uint32_t unit)
{
	char esc[6] = {'\\', 'u'};

	for (int i = 0; i < 4; i++)
		esc[2 + i] = hex_digits[unit >> (12 - 4 * i) & 15];
	buf_put(b, esc, sizeof(esc));
}

static void json_escape(struct buf *b, uint32_t cp)
{
	switch (cp) {
	case '"':
		buf_put_str(b, "\\\"");
		break;
	case '\\':
		buf_put_str(b, "\\\\");
		break;
	case '\n':
		buf_put_str(b, "\\n");
		break;
	case '\r':
		buf_put_str(b, "\\r");
		break;
	case '\t':
		buf_put_str(b, "\\t");
		break;
	default:
		if (cp <= 0xFFFF) {
			json_u16(b, cp);
			break;
		}
		/* RFC 8259 section 7: a surrogate pair */
		json_u16(b, 0xD800 + ((cp - 0x10000) >> 10));
		json_u16(b, 0xDC00 + ((cp - 0x10000) & 0x3FF));
	}
}

void json_put_string(struct buf *b, const char *s, size_t n)
{
	size_t len;

	buf_put_u8(b, '"');
	for (size_t i = 0; i < n && !buf_error(b); i += len) {
		uint32_t cp;

		if ((len = utf8_next(s + i, n - i, &cp)) == 0) {
			json_u16(b, 0xFFFD); /* the replacement character, one for each bad byte */
			len = 1;
		} else if (cp == '"' || cp == '\\' || utf8_deceives(cp)) {
			json_escape(b, cp);
		} else {
			buf_put(b, s + i, len);
		}
	}
	buf_put_u8(b, '"');
}
