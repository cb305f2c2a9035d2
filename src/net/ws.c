#include "net/ws.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/ws_internal.h"

#define WS_BUFFER 16384

enum ws_state {
	WS_HEADER,    /* a frame header is next */
	WS_FIRST,     /* then the first byte of a binary frame, which tells whether it is data */
	WS_BODY,      /* then the payload of a message, collected in msg */
	WS_CONTROL,   /* then the payload of a control frame, used where it lies */
	WS_DATA,      /* then the head of a data message */
	WS_DATA_WAIT, /* the owner is to say where its rest goes */
	WS_DATA_BODY, /* it goes there */
	WS_CLOSED,    /* a close frame came: "MUST ignore" what follows (section 1.4) */
	WS_FAILED,
};

struct ws {
	struct ws_opts o;
	enum ws_state state;
	unsigned close_code; /* WS_FAILED: what to say */
	int error;	     /* WS_FAILED: what to return */
	struct ws_frame f;   /* the frame that is being received */
	uint64_t frame_got;  /* payload bytes of f taken so far */
	bool in_message;     /* between the first and the last frame of a message */
	enum ws_opcode op;   /* of that message */
	bool delivered;	     /* msg was handed out with the last event */
	struct buf msg;
	uint8_t *data; /* owner's */
	size_t data_len, data_got;
	size_t start, end; /* in[start..end) is not parsed yet */
	uint8_t in[WS_BUFFER];
};

/* Of a step, besides a negative error. */
enum ws_step {
	STEP_ON,    /* take the next step */
	STEP_EVENT, /* the event is filled */
	STEP_MORE,  /* more bytes are needed */
};

int ws_new(struct ws **out, const struct ws_opts *o)
{
	struct ws *w = calloc(1, sizeof(*w));

	if (!w)
		return PQC_ENOMEM;
	w->o = *o;
	buf_init(&w->msg, o->message_max);
	*out = w;
	return 0;
}

void ws_free(struct ws *w)
{
	if (!w)
		return;
	buf_free(&w->msg);
	free(w);
}

void ws_limits(struct ws *w, size_t message_max, size_t data_max)
{
	w->o.message_max = message_max;
	w->o.data_max = data_max;
	w->msg.max = message_max > w->msg.len ? message_max : w->msg.len;
}

/* ---- bytes in ---- */

static size_t held(const struct ws *w)
{
	return w->end - w->start;
}

/* Move what is not parsed to the front. */
static void compact(struct ws *w)
{
	memmove(w->in, w->in + w->start, held(w));
	w->end -= w->start;
	w->start = 0;
}

void ws_want(struct ws *w, uint8_t **p, size_t *n)
{
	if (w->state == WS_DATA_WAIT) {
		*p = NULL;
		*n = 0;
	} else if (w->state == WS_DATA_BODY) {
		*p = w->data + w->data_got;
		*n = w->data_len - w->data_got;
	} else {
		compact(w);
		*p = w->in + w->end;
		*n = sizeof(w->in) - w->end;
	}
}

bool ws_in_data(const struct ws *w)
{
	return w->state == WS_DATA_BODY;
}

void ws_got(struct ws *w, size_t n)
{
	if (w->state == WS_DATA_BODY) {
		assert(n <= w->data_len - w->data_got);
		w->data_got += n;
	} else {
		assert(n <= sizeof(w->in) - w->end);
		w->end += n;
	}
}

int ws_feed(struct ws *w, const uint8_t *p, size_t n)
{
	compact(w);
	if (n > sizeof(w->in) - w->end)
		return PQC_ETOOBIG;
	if (n > 0)
		memcpy(w->in + w->end, p, n);
	w->end += n;
	return 0;
}

void ws_data_into(struct ws *w, uint8_t *p)
{
	size_t n = held(w) < w->data_len ? held(w) : w->data_len;

	assert(w->state == WS_DATA_WAIT);
	memcpy(p, w->in + w->start, n);
	w->start += n;
	w->data = p;
	w->data_got = n;
	w->state = WS_DATA_BODY;
}

/* ---- events out ---- */

static int fail(struct ws *w, int error, unsigned close_code)
{
	w->state = WS_FAILED;
	w->error = error;
	w->close_code = close_code;
	buf_free(&w->msg);
	return error;
}

static int violation(struct ws *w, unsigned close_code)
{
	return fail(w, PQC_EPROTO, close_code);
}

static bool fits_message(const struct ws *w)
{
	return w->msg.len <= w->o.message_max && w->f.len <= w->o.message_max - w->msg.len;
}

static int step_header(struct ws *w)
{
	int n = ws_frame_decode(w->in + w->start, held(w), w->o.server, &w->f);

	if (n == PQC_EAGAIN)
		return STEP_MORE;
	if (n < 0)
		return violation(w, WS_CLOSE_PROTOCOL);
	w->start += (size_t)n;
	w->frame_got = 0;
	if (ws_is_control(w->f.op)) {
		w->state = WS_CONTROL;
		return STEP_ON;
	}
	if ((w->f.op == WS_CONT) != w->in_message)
		return violation(w, WS_CLOSE_PROTOCOL);
	if (w->f.op == WS_BINARY && w->f.fin && w->f.len > 0) {
		w->state = WS_FIRST;
		return STEP_ON;
	}
	if (!fits_message(w))
		return violation(w, WS_CLOSE_TOO_BIG);
	if (w->f.op != WS_CONT)
		w->op = w->f.op;
	w->in_message = true;
	w->state = WS_BODY;
	return STEP_ON;
}

/* A whole binary frame: data, or a message? */
static int step_first(struct ws *w)
{
	if (held(w) == 0)
		return STEP_MORE;
	if ((w->in[w->start] ^ w->f.mask[0]) == w->o.data_kind) {
		if (w->f.len <= WS_DATA_HEAD)
			return violation(w, WS_CLOSE_PROTOCOL);
		if (w->f.len - WS_DATA_HEAD > w->o.data_max)
			return violation(w, WS_CLOSE_TOO_BIG);
		w->state = WS_DATA;
		return STEP_ON;
	}
	if (!fits_message(w))
		return violation(w, WS_CLOSE_TOO_BIG);
	w->op = WS_BINARY;
	w->in_message = true;
	w->state = WS_BODY;
	return STEP_ON;
}

static int deliver(struct ws *w, struct ws_event *ev)
{
	if (!buf_cstr(&w->msg)) /* an empty message has a pointer, too */
		return fail(w, buf_error(&w->msg), WS_CLOSE_INTERNAL);
	if (w->op == WS_TEXT && !utf8_valid((const char *)w->msg.p, w->msg.len))
		return violation(w, WS_CLOSE_NOT_UTF8);
	ev->type = WS_EV_MESSAGE;
	ev->op = w->op;
	ev->p = w->msg.p;
	ev->n = w->msg.len;
	w->delivered = true;
	w->in_message = false;
	w->state = WS_HEADER;
	return STEP_EVENT;
}

static int step_body(struct ws *w, struct ws_event *ev)
{
	uint64_t left = w->f.len - w->frame_got;
	size_t n = left < held(w) ? (size_t)left : held(w);
	size_t at = w->msg.len;

	buf_put(&w->msg, w->in + w->start, n);
	if (buf_error(&w->msg))
		return fail(w, buf_error(&w->msg), WS_CLOSE_INTERNAL);
	if (n > 0)
		ws_mask(w->msg.p + at, n, w->f.mask, (size_t)w->frame_got);
	w->start += n;
	w->frame_got += n;
	/* Data in one frame never comes here: this is fragmented. */
	if (at == 0 && n > 0 && w->op == WS_BINARY && w->msg.p[0] == w->o.data_kind)
		return violation(w, WS_CLOSE_PROTOCOL);
	if (w->frame_got < w->f.len)
		return STEP_MORE;
	if (w->f.fin)
		return deliver(w, ev);
	w->state = WS_HEADER;
	return STEP_ON;
}

/* RFC 6455 section 7.4 and the registry it founded: may a peer send this code? */
static bool close_code_allowed(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

/* RFC 6455 section 5.5.1 */
static int closed(struct ws *w, struct ws_event *ev, const uint8_t *p, size_t n)
{
	ev->type = WS_EV_CLOSE;
	ev->p = NULL;
	ev->n = WS_CLOSE_NONE;
	if (n > 0) {
		if (n < 2 || !close_code_allowed(be16_get(p)))
			return violation(w, WS_CLOSE_PROTOCOL);
		if (!utf8_valid((const char *)p + 2, n - 2))
			return violation(w, WS_CLOSE_NOT_UTF8);
		ev->n = be16_get(p);
	}
	w->state = WS_CLOSED;
	return STEP_EVENT;
}

static int step_control(struct ws *w, struct ws_event *ev)
{
	uint8_t *p = w->in + w->start;
	size_t n = (size_t)w->f.len;

	if (held(w) < n)
		return STEP_MORE;
	ws_mask(p, n, w->f.mask, 0);
	w->start += n;
	w->state = WS_HEADER;
	ev->op = w->f.op;
	if (w->f.op == WS_CLOSE)
		return closed(w, ev, p, n);
	ev->type = w->f.op == WS_PING ? WS_EV_PING : WS_EV_PONG;
	ev->p = p;
	ev->n = n;
	return STEP_EVENT;
}

static int step_data(struct ws *w, struct ws_event *ev)
{
	if (held(w) < WS_DATA_HEAD)
		return STEP_MORE;
	ev->type = WS_EV_DATA;
	ev->op = WS_BINARY;
	memcpy(ev->head, w->in + w->start, WS_DATA_HEAD);
	ws_mask(ev->head, WS_DATA_HEAD, w->f.mask, 0);
	memcpy(ev->mask, w->f.mask, sizeof(ev->mask));
	w->start += WS_DATA_HEAD;
	w->data_len = ev->n = (size_t)w->f.len - WS_DATA_HEAD;
	w->state = WS_DATA_WAIT;
	return STEP_EVENT;
}

static int step_data_body(struct ws *w, struct ws_event *ev)
{
	if (w->data_got < w->data_len)
		return STEP_MORE;
	ev->type = WS_EV_DATA_END;
	ev->op = WS_BINARY;
	w->data = NULL;
	w->state = WS_HEADER;
	return STEP_EVENT;
}

static int step(struct ws *w, struct ws_event *ev)
{
	switch (w->state) {
	case WS_HEADER:
		return step_header(w);
	case WS_FIRST:
		return step_first(w);
	case WS_BODY:
		return step_body(w, ev);
	case WS_CONTROL:
		return step_control(w, ev);
	case WS_DATA:
		return step_data(w, ev);
	case WS_DATA_WAIT:
		return STEP_MORE;
	case WS_DATA_BODY:
		return step_data_body(w, ev);
	case WS_CLOSED:
		w->start = w->end = 0;
		return STEP_MORE;
	case WS_FAILED:
		break;
	}
	return w->error;
}

int ws_next(struct ws *w, struct ws_event *ev, unsigned *close_code)
{
	int r;

	if (w->delivered)
		buf_free(&w->msg);
	w->delivered = false;
	memset(ev, 0, sizeof(*ev));
	do
		r = step(w, ev);
	while (r == STEP_ON);
	if (r >= 0)
		return 0;
	memset(ev, 0, sizeof(*ev));
	*close_code = w->close_code;
	return r;
}
