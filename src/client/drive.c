#include "client/drive.h"

#include <stddef.h>

#include "base/clock.h"

#define TICK_MS 250

int drive_init(struct drive *d, const struct drive_ops *ops, const struct client_opts *o,
	       const struct url *u, struct err *e)
{
	int r;

	d->ops = ops;
	d->e = e;
	if ((r = call_begin(&d->call, o, u, e)) != 0)
		return r;
	r = loop_new(&d->loop);
	return r != 0 ? err_set(e, r, "cannot set up the event loop") : 0;
}

void drive_free(struct drive *d)
{
	loop_free(d->loop);
}

void drive_notify(void *loop)
{
	loop_wake(loop);
}

void drive_finish(struct drive *d, int rc)
{
	if (d->finished)
		return;
	d->finished = true;
	d->rc = rc;
	if (rc != 0 && d->e->msg[0] == '\0')
		err_set(d->e, rc, "%s", err_meaning(rc));
	loop_stop(d->loop);
}

static int on_event(struct drive *d, struct ws_event *ev)
{
	switch (ev->type) {
	case WS_EV_PING:
		return link_pong(&d->link, ev);
	case WS_EV_CLOSE:
		return PQC_ECLOSED;
	case WS_EV_PONG:
		return 0;
	default:
		d->moved = clock_ms();
		return d->ops->event(d, ev);
	}
}

/* Until the connection has nothing more, or the owner no room: PQC_EAGAIN. */
static int read_events(struct drive *d, unsigned *want)
{
	struct ws_event ev;
	unsigned code;
	uint8_t *at;
	size_t n;
	ssize_t got;
	int r;

	for (;;) {
		if ((r = ws_next(d->link.ws, &ev, &code)) != 0)
			return r;
		if (ev.type != WS_EV_NONE) {
			if ((r = on_event(d, &ev)) != 0 || d->finished)
				return r;
			continue;
		}
		ws_want(d->link.ws, &at, &n);
		if (n == 0) {
			*want = 0; /* the owner has no room: its workers come first */
			return PQC_EAGAIN;
		}
		if ((got = stream_read(d->link.st, at, n, want)) < 0)
			return (int)got;
		if (ws_in_data(d->link.ws))
			d->moved = clock_ms();
		ws_got(d->link.ws, (size_t)got);
	}
}

static bool has_room(const struct drive *d)
{
	uint8_t *at;
	size_t n;

	ws_want(d->link.ws, &at, &n);
	return n > 0;
}

void drive_pump(struct drive *d)
{
	unsigned want_read, want_write = 0;
	int r, w = 0;

	if (d->finished)
		return;
	do {
		want_read = LOOP_READ;
		r = read_events(d, &want_read);
		if (r == PQC_EAGAIN && !d->finished)
			r = d->ops->step(d);
	} while (r == 0 && !d->finished && want_read == 0 && has_room(d));
	if (r == 0 && !d->finished) {
		w = d->ops->write(d, &want_write);
		r = w == PQC_EAGAIN ? 0 : w;
	}
	if (r == 0 && !d->finished)
		r = loop_watch_set(d->loop, &d->w, want_read | (w == PQC_EAGAIN ? want_write : 0));
	if (r != 0)
		drive_finish(d, r);
}

static void on_ready(struct watch *w, unsigned ready)
{
	struct drive *d = (struct drive *)((char *)w - offsetof(struct drive, w));

	if (ready != 0 && w->events == 0)
		drive_finish(d, PQC_ECLOSED); /* a hang-up while the workers are behind */
	else
		drive_pump(d);
}

static void on_tick(struct timer *t)
{
	struct drive *d = (struct drive *)((char *)t - offsetof(struct drive, tick));

	loop_timer_set(d->loop, t, TICK_MS);
	if (d->ops->report(d) != 0 || call_is_off(&d->call)) {
		err_set(d->e, PQC_EINTERRUPTED, "interrupted");
		drive_finish(d, PQC_EINTERRUPTED);
	} else if (d->ops->waiting(d)) {
		d->moved = clock_ms();
	} else if (clock_ms() - d->moved > d->call.o->idle_ms) {
		err_set(d->e, PQC_ETIMEOUT, "%s has brought nothing for %.1f s",
			d->call.u->host_port, d->call.o->idle_ms / 1000.0);
		drive_finish(d, PQC_ETIMEOUT);
	}
}

static void on_wake(void *arg)
{
	struct drive *d = arg;

	d->ops->reap(d);
}

int drive_run(struct drive *d)
{
	int r;

	d->finished = false;
	d->moved = clock_ms();
	d->e->msg[0] = '\0';
	d->w = (struct watch){.fd = stream_fd(d->link.st), .events = LOOP_READ, .cb = on_ready};
	d->tick.cb = on_tick;
	loop_on_wake(d->loop, on_wake, d);
	if ((r = loop_watch_add(d->loop, &d->w)) != 0)
		return r;
	loop_timer_set(d->loop, &d->tick, TICK_MS);
	drive_pump(d);
	if (!d->finished && (r = loop_run(d->loop)) != 0)
		drive_finish(d, r);
	loop_watch_del(d->loop, &d->w);
	loop_timer_del(d->loop, &d->tick);
	while (d->ops->busy(d) && loop_once(d->loop, -1) == 0)
		;
	return d->rc;
}
