/* HTTP heads: a request as the server gets it, and the same bytes as answers to a client. */
#include <stdlib.h>
#include <string.h>

#include "net/http.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct http_request r;
	struct err e = {0};
	size_t used = 0, used_less;
	int status = 0, rc = http_parse_request(p, n, &r, &used, &status);

	if (rc == 0) {
		require(used > 0 && used <= n && used <= HTTP_HEAD_MAX && r.path[0] == '/');
		require(!r.upgrade || (r.upgrade_asked && r.get && strlen(r.ws_key) == 24));
		/* the head is what it is, whatever follows it; a byte less is no head */
		require(http_parse_request(p, used, &r, &used_less, &status) == 0 &&
			used_less == used);
		require(http_parse_request(p, used - 1, &r, &used_less, &status) == PQC_EAGAIN);
	} else if (rc == PQC_EAGAIN) {
		require(n < HTTP_HEAD_MAX);
	} else {
		require(rc == PQC_EPROTO);
		require(status == 400 || status == 413 || status == 414 || status == 431);
	}
	rc = http_parse_upgrade(p, n, "dGhlIHNhbXBsZSBub25jZQ==", &used, &e);
	require(rc == PQC_EAGAIN || (rc == 0 ? used <= n : e.code == rc && e.msg[0]));
	return 0;
}
