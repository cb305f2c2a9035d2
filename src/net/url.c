#include "net/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

static const struct {
	const char *name;
	bool tls;
	uint16_t port;
} schemes[] = {
	{"pqc", false, PQC_PORT},
	{"pqcs", true, PQC_PORT},
	{"ws", false, 80},
	{"wss", true, 443},
};

/* scheme:// in any case (RFC 3986 section 3.1); *rest is what follows it. */
static int parse_scheme(const char *s, struct url *u, const char **rest, struct err *e)
{
	const char *colon = strstr(s, "://");

	for (size_t i = 0; colon && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t n = strlen(schemes[i].name);

		if ((size_t)(colon - s) != n || strncasecmp(s, schemes[i].name, n) != 0)
			continue;
		u->tls = schemes[i].tls;
		u->port = schemes[i].port;
		*rest = colon + 3;
		return 0;
	}
	return err_set(e, PQC_EUSAGE,
		       "address '%s' does not start with pqc://, pqcs://, ws:// or wss://", s);
}

/* Letters, digits, '-', '_' and dots between labels that are not empty; one dot may end it. */
static bool host_valid(const char *s)
{
	for (size_t i = 0; s[i]; i++) {
		char c = s[i];

		if (c == '.' && (i == 0 || s[i - 1] == '.'))
			return false;
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
		    c != '.')
			return false;
	}
	return s[0] != '\0' && s[0] != '-';
}

/* In lower case: host names have none, and the name is a key of known_servers. */
static int set_host(struct url *u, const char *s, size_t n, struct err *e)
{
	if (n > URL_HOST_MAX)
		return err_set(e, PQC_EUSAGE, "host name longer than %d bytes", URL_HOST_MAX);
	for (size_t i = 0; i < n; i++)
		u->host[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] | 0x20) : s[i];
	u->host[n] = '\0';
	if (!host_valid(u->host))
		return err_set(e, PQC_EUSAGE, "'%.*s' is not a host name", (int)n, s);
	return 0;
}

/* In the one form that inet_ntop gives, for the same reason. */
static int set_host6(struct url *u, const char *s, size_t n, struct err *e)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr a;

	if (n < sizeof(text)) {
		memcpy(text, s, n);
		text[n] = '\0';
		if (inet_pton(AF_INET6, text, &a) == 1 &&
		    inet_ntop(AF_INET6, &a, u->host, sizeof(u->host)))
			return 0;
	}
	return err_set(e, PQC_EUSAGE, "'[%.*s]' is not an IPv6 address", n < 64 ? (int)n : 64, s);
}

static int set_port(struct url *u, const char *s, size_t n, struct err *e)
{
	char text[8];
	uint64_t port = 0;

	if (n < sizeof(text)) {
		memcpy(text, s, n);
		text[n] = '\0';
		if (parse_u64(text, 1, UINT16_MAX, &port) == 0) {
			u->port = (uint16_t)port;
			return 0;
		}
	}
	return err_set(e, PQC_EUSAGE, "port '%.*s' is not a number from 1 to 65535",
		       n < 64 ? (int)n : 64, s);
}

/* host[:port] at s[n] */
static int parse_authority(struct url *u, const char *s, size_t n, struct err *e)
{
	const char *end = s + n, *port;
	int r;

	if (memchr(s, '@', n))
		return err_set(e, PQC_EUSAGE,
			       "an address takes no user name or password before '@'");
	if (n > 0 && s[0] == '[') {
		const char *bracket = memchr(s, ']', n);

		if (!bracket)
			return err_set(e, PQC_EUSAGE, "'[' without ']' in the address");
		if ((r = set_host6(u, s + 1, (size_t)(bracket - s - 1), e)) != 0)
			return r;
		port = bracket + 1;
		if (port < end && *port != ':')
			return err_set(e, PQC_EUSAGE, "only ':' and a port may follow ']'");
	} else {
		const char *colon = memchr(s, ':', n);

		port = colon ? colon : end;
		if ((r = set_host(u, s, (size_t)(port - s), e)) != 0)
			return r;
	}
	return port < end ? set_port(u, port + 1, (size_t)(end - port - 1), e) : 0;
}

static int hex_pair(const char *s, char *out)
{
	char pair[3] = {s[0], s[0] ? s[1] : '\0', '\0'};

	return hex_decode(pair, out, 1);
}

/* Percent-decode (RFC 3986 section 2.1). */
static int parse_name(struct url *u, const char *s, struct err *e)
{
	size_t n = 0;

	for (; *s; s++) {
		char c = *s;

		if (c == '?' || c == '#')
			return err_set(e, PQC_EUSAGE, "a '%c' in a name is written %s", c,
				       c == '?' ? "%3F" : "%23");
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return err_set(e, PQC_EUSAGE, "a control character in the address");
		if (c == '%') {
			if (hex_pair(s + 1, &c) != 0)
				return err_set(
					e, PQC_EUSAGE,
					"'%%' without two hex digits; a '%%' is written %%25");
			if (c == '\0')
				return err_set(e, PQC_EUSAGE, "%%00 in a name");
			s += 2;
		}
		if (n == URL_NAME_MAX)
			return err_set(e, PQC_EUSAGE, "a name longer than %d bytes", URL_NAME_MAX);
		u->name[n++] = c;
	}
	u->name[n] = '\0';
	return 0;
}

int url_parse(const char *s, struct url *out, struct err *e)
{
	struct url u = {0};
	const char *rest = s;
	size_t n;
	int r;

	if ((r = parse_scheme(s, &u, &rest, e)) != 0)
		return r;
	n = strcspn(rest, "/?#");
	if ((r = parse_authority(&u, rest, n, e)) != 0)
		return r;
	rest += n;
	if (*rest == '/')
		rest++;
	if ((r = parse_name(&u, rest, e)) != 0)
		return r;
	snprintf(u.host_port, sizeof(u.host_port), strchr(u.host, ':') ? "[%s]:%u" : "%s:%u",
		 u.host, (unsigned)u.port);
	*out = u;
	return 0;
}
