/* What fuzz_ws_server and fuzz_ws_client share: one parser, its input cut into pieces. */
#ifndef PQC_FUZZ_WS_H
#define PQC_FUZZ_WS_H

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/ws.h"

#define FUZZ_MESSAGE_MAX 300
#define FUZZ_DATA_MAX	 50000

static void fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

/* Take every event; false after an error. data: where a data message goes; freed at its end. */
static bool fuzz_drain(struct ws *w, uint8_t **data)
{
	struct ws_event ev;
	unsigned code = 0;
	int r;

	while ((r = ws_next(w, &ev, &code)) == 0 && ev.type != WS_EV_NONE) {
		if (ev.type == WS_EV_MESSAGE) {
			fuzz_require(ev.n <= FUZZ_MESSAGE_MAX);
			fuzz_require(ev.op == WS_BINARY || utf8_valid((char *)ev.p, ev.n));
			fuzz_require(ev.op == WS_TEXT || ev.n == 0 || ev.p[0] != 0x20);
		} else if (ev.type == WS_EV_DATA) {
			fuzz_require(!*data && ev.n > 0 && ev.n <= FUZZ_DATA_MAX &&
				     ev.head[0] == 0x20);
			*data = malloc(ev.n);
			fuzz_require(*data);
			ws_data_into(w, *data);
		} else if (ev.type == WS_EV_DATA_END) {
			free(*data);
			*data = NULL;
		} else if (ev.type == WS_EV_CLOSE) {
			fuzz_require(ev.n >= 1000 && ev.n < 5000);
		} else {
			fuzz_require(ev.n <= 125);
		}
	}
	fuzz_require(r == 0 || (r == PQC_EPROTO && code >= 1002 && code <= 1009));
	return r == 0;
}

/* The first byte says how large the pieces are; the rest is what the peer sends. */
static int fuzz_ws(bool server, const uint8_t *p, size_t n)
{
	struct ws_opts o = {server, 0x20, FUZZ_MESSAGE_MAX, FUZZ_DATA_MAX};
	uint8_t *data = NULL, *to;
	struct ws *w = NULL;
	size_t room, piece;

	if (n == 0 || ws_new(&w, &o) != 0)
		return 0;
	piece = p[0] ? p[0] : SIZE_MAX;
	for (p++, n--; n > 0; p += room, n -= room) {
		ws_want(w, &to, &room);
		fuzz_require(room > 0);
		room = room < n ? room : n;
		room = room < piece ? room : piece;
		memcpy(to, p, room);
		ws_got(w, room);
		if (!fuzz_drain(w, &data))
			break;
	}
	free(data);
	ws_free(w);
	return 0;
}

#endif
