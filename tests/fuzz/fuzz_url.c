/* Addresses: what is accepted names a host and a port, and reads the same when written out again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/url.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* The address of u with every byte of the name percent-encoded. */
static void write_out(const struct url *u, char *s)
{
	s += sprintf(s, "pqc%s://%s/", u->tls ? "s" : "", u->host_port);
	for (const char *c = u->name; *c; c++)
		s += sprintf(s, "%%%02x", (unsigned)(unsigned char)*c);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static char again[3 * URL_NAME_MAX + URL_HOST_MAX + 64];
	char *s = malloc(n + 1);
	struct err e = {0};
	struct url u, v;

	require(s);
	memcpy(s, p, n);
	s[n] = '\0';
	if (url_parse(s, &u, &e) == 0) {
		require(u.host[0] && u.port != 0);
		write_out(&u, again);
		require(url_parse(again, &v, &e) == 0);
		require(memcmp(&u, &v, sizeof(u)) == 0);
	} else {
		require(e.code == PQC_EUSAGE && e.msg[0]);
	}
	free(s);
	return 0;
}
