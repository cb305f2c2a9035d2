/* The page: plain lines, cut to the screen where there is one. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"
#include "cli/top.h"

#define LINE	  1024
#define WAIT_ROWS 5 /* of the queue on a screen, heading included, when transfers want the rest */

#define WORTH_ADVICE 0.5 /* of the time */

#define PLAIN	""
#define HEADING "1"

/* SGR parameters. */
static const char *const status_styles[] = {"1;32", "1;33", "1;31", "1;31"};

struct page {
	struct buf *out;
	const struct top_layout *l;
	unsigned line; /* written so far */
};

/* ---- lines ---- */

/* Columns of a code point, never less than a terminal takes: nothing beyond ASCII is trusted to be narrow. */
static unsigned columns(uint32_t cp)
{
	return cp < 0x80 ? 1 : 2;
}

/* The only place where text goes out: whatever it holds, no control character passes. */
static void put_text(struct page *p, const char *s)
{
	unsigned room = p->l->cols > 0 ? p->l->cols : UINT32_MAX;
	size_t n = strlen(s);
	uint32_t cp;

	while (n > 0) {
		size_t len = utf8_next(s, n, &cp);
		bool good = len > 0 && !utf8_deceives(cp);
		unsigned width = good ? columns(cp) : 1;

		if (width > room)
			break;
		room -= width;
		buf_put(p->out, good ? s : "?", good ? len : 1);
		len = len > 0 ? len : 1;
		s += len;
		n -= len;
	}
}

static unsigned rows_left(const struct page *p)
{
	if (p->l->rows == 0)
		return UINT32_MAX;
	return p->line < p->l->rows ? p->l->rows - p->line : 0;
}

static void line(struct page *p, const char *style, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void line(struct page *p, const char *style, const char *fmt, ...)
{
	bool styled = p->l->color && style[0] != '\0';
	char text[LINE];
	va_list ap;

	if (rows_left(p) == 0)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (size_t n = strlen(text); n > 0 && text[n - 1] == ' '; n--)
		text[n - 1] = '\0';
	/* On a screen the line's end comes before the next line: one behind the last would scroll. */
	if (p->l->rows > 0 && p->line > 0)
		buf_put_str(p->out, "\r\n");
	if (styled)
		buf_printf(p->out, "\033[%sm", style);
	put_text(p, text);
	if (styled)
		buf_put_str(p->out, "\033[0m");
	buf_put_str(p->out, p->l->rows > 0 ? "\033[K" : "\n");
	p->line++;
}

/* A line made of pieces. */
struct text {
	char s[LINE];
	size_t n;
};

static void piece(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void piece(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->s + t->n, sizeof(t->s) - t->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->n = t->n + (size_t)n < sizeof(t->s) ? t->n + (size_t)n : sizeof(t->s) - 1;
}

/* ---- the head ---- */

static void show_problems(struct page *p, const struct top_snapshot *s)
{
	if (s->problems == 0)
		line(p, status_styles[s->status], "%s: nothing to do", top_status_name(s->status));
	for (size_t i = 0; i < s->problems; i++) {
		const struct top_problem *m = &s->problem[i];

		if (m->advice == NULL)
			line(p, status_styles[m->status], "%s: %s", top_status_name(m->status),
			     m->text);
		else
			line(p, status_styles[m->status], "%s: %s - %s; see docs/runbooks.md",
			     top_status_name(m->status), m->text, m->advice);
	}
}

/* Processes that are being replaced may differ: what the first that answers says. */
static void show_version(struct text *t, const struct top_snapshot *s)
{
	char up[16];

	for (size_t i = 0; i < s->processes; i++) {
		const struct top_process *p = &s->process[i];

		if (p->error[0] != '\0')
			continue;
		piece(t, "pqc %s, %s, up %s; ", p->version, p->suite, fmt_duration(s->uptime, up));
		return;
	}
}

static void show_who(struct page *p, const struct top_snapshot *s)
{
	char time[32], interval[16];
	struct text t = {.n = 0};

	show_version(&t, s);
	if (p->l->rows > 0)
		piece(&t, "%.8s UTC, every %s, q quits", fmt_time(s->time, time) + 11,
		      fmt_duration((double)p->l->interval_ms / 1000, interval));
	else
		piece(&t, "%s", fmt_time(s->time, time));
	if (s->processes > 1)
		piece(&t, "; %zu of %zu processes", s->answered, s->processes);
	else if (s->processes == 1)
		piece(&t, "; %s", s->process[0].from);
	line(p, PLAIN, "%s", t.s);
}

/* ---- numbers ---- */

static void show_slots(struct page *p, const struct top_snapshot *s)
{
	struct text t = {.n = 0};
	char a[16];

	if (s->busy == TOP_UNKNOWN)
		return;
	if (s->slots != TOP_UNKNOWN)
		piece(&t, "%llu of %llu slots busy", (unsigned long long)s->busy,
		      (unsigned long long)s->slots);
	else
		piece(&t, "%llu under way", (unsigned long long)s->busy);
	if (s->waiting != TOP_UNKNOWN)
		piece(&t, ", %llu waiting", (unsigned long long)s->waiting);
	if (!isnan(s->oldest_wait))
		piece(&t, ", the longest for %s", fmt_duration(s->oldest_wait, a));
	if (s->connections != TOP_UNKNOWN)
		piece(&t, "; %llu connections", (unsigned long long)s->connections);
	line(p, PLAIN, "transfers  %s", t.s);
}

static double known(double x)
{
	return isnan(x) ? 0 : x;
}

static void show_rates(struct page *p, const struct top_figures *f)
{
	char in[24], sent[24];

	line(p, PLAIN, "traffic    in %s, out %s in the last minute", fmt_rate(f->received, in),
	     fmt_rate(f->sent, sent));
	line(p, PLAIN,
	     "handshakes %.1f a second; transfers: %.0f done, %.0f failed, %.0f broken off a "
	     "minute",
	     known(f->handshakes), 60 * known(f->done), 60 * known(f->failed),
	     60 * known(f->interrupted));
}

/* "0.4 ms", "12 ms", "3.2 s" */
static const char *short_time(double seconds, char out[16])
{
	double ms = seconds * 1000;

	if (isnan(seconds))
		snprintf(out, 16, "-");
	else if (seconds < 0.9995)
		snprintf(out, 16, ms < 9.95 ? "%.1f ms" : "%.0f ms", ms > 0 ? ms : 0);
	else
		fmt_duration(seconds, out);
	return out;
}

static void show_times(struct page *p, const struct top_figures *f)
{
	const struct {
		const char *what;
		const double *seconds;
	} rows[] = {{"median", f->p50}, {"p95", f->p95}};
	char t[TOP_STEPS][16];

	line(p, PLAIN, "           %14s%16s%12s%12s", "key exchange", "transfer start", "fsync",
	     "commit");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < TOP_STEPS; k++)
			short_time(rows[i].seconds[k], t[k]);
		line(p, PLAIN, "%-11s%14s%16s%12s%12s", rows[i].what, t[TOP_KEY_EXCHANGE],
		     t[TOP_START], t[TOP_FSYNC], t[TOP_COMMIT]);
	}
}

static void show_bottleneck(struct page *p, const struct top_snapshot *s)
{
	static const struct {
		const char *what, *advice;
	} words[TOP_RESOURCES] = {
		[TOP_NETWORK] = {"the network to the clients",
				 "more bandwidth, or fewer transfers at a time"},
		[TOP_CRYPTO] = {"the processor, which checks parts",
				"more processors; see --threads of pqc serve"},
		[TOP_DISK] = {"the disk, in writes and fsync",
			      "a faster disk, or fewer transfers at a time"},
		[TOP_CLIENT] = {"the clients: the server waits for them",
				"nothing to do here: it could take more"},
	};
	double busy = s->figures.busy[s->bottleneck];

	if (s->bottleneck == TOP_NOTHING) {
		line(p, PLAIN, "slowed by  nothing");
		return;
	}
	if (isnan(busy))
		line(p, PLAIN, "slowed by  %s", words[s->bottleneck].what);
	else
		line(p, PLAIN, "slowed by  %s (%.0f %% of the time)", words[s->bottleneck].what,
		     top_min(top_max(busy, 0), 1) * 100);
	/* What takes a small part of the time is the slowest all the same, but not worth money. */
	if (isnan(busy) || busy >= WORTH_ADVICE)
		line(p, PLAIN, "           %s", words[s->bottleneck].advice);
}

static void show_storage(struct page *p, const struct top_snapshot *s)
{
	char used[16], left[16], until[16];
	struct text t = {.n = 0};
	uint64_t gone;

	if (s->free_bytes == TOP_UNKNOWN || s->total_bytes == TOP_UNKNOWN)
		return;
	gone = s->free_bytes < s->total_bytes ? s->total_bytes - s->free_bytes : 0;
	piece(&t, "%s used, %s free", fmt_size(gone, used), fmt_size(s->free_bytes, left));
	if (!isnan(s->seconds_left))
		piece(&t, "; full in %s at this rate", fmt_duration(s->seconds_left, until));
	line(p, PLAIN, "storage    %s", t.s);
}

/* ---- tables ---- */

/* Percent, or "-" when the size is not known. Parts that came twice may make it more than all. */
static const char *percent(const struct top_transfer *t, char out[8])
{
	double done = (double)t->done + (double)t->resumed;

	if (t->size == TOP_UNKNOWN)
		snprintf(out, 8, "-");
	else
		snprintf(out, 8, "%u %%",
			 t->size == 0 ? 100 : (unsigned)(top_min(done / (double)t->size, 1) * 100));
	return out;
}

static void show_transfer(struct page *p, const struct top_transfer *t)
{
	char size[16], done[8], rate[24], seconds[16];

	line(p, PLAIN, "%-16.16s  %-3.3s  %-8.8s %11s %6s %10s %10s  %s", t->client, t->direction,
	     t->state, t->size == TOP_UNKNOWN ? "-" : fmt_size(t->size, size), percent(t, done),
	     fmt_rate(t->rate, rate), fmt_duration(t->seconds, seconds), t->name);
}

static void show_waiting(struct page *p, const struct top_waiting *w)
{
	char waited[16], estimate[16];

	line(p, PLAIN, "%-16.16s  %-3.3s  %8llu %11s %11s", w->client, w->direction,
	     (unsigned long long)w->place, fmt_duration(w->waited, waited),
	     fmt_duration(w->estimate, estimate));
}

/* How many of n rows to show in `room` lines; when not all, one of the lines says so. */
static size_t rows_shown(size_t n, unsigned room)
{
	if (n <= room)
		return n;
	return room > 0 ? room - 1 : 0;
}

static void show_more(struct page *p, size_t n)
{
	if (n > 0)
		line(p, PLAIN, "and %zu more", n);
}

static bool has_names(const struct top_snapshot *s)
{
	for (size_t i = 0; i < s->actives; i++)
		if (s->active[i]->name[0] != '\0')
			return true;
	return false;
}

static void show_active(struct page *p, const struct top_snapshot *s, unsigned keep)
{
	unsigned left;
	size_t n;

	line(p, PLAIN, "%s", "");
	if (s->actives == 0) {
		line(p, PLAIN, "no transfer is under way");
		return;
	}
	line(p, HEADING, "%-16s  %-3s  %-8s %11s %6s %10s %10s  %s", "client", "dir", "state",
	     "size", "done", "rate", "for", has_names(s) ? "name" : "");
	left = rows_left(p);
	n = rows_shown(s->actives, left > keep ? left - keep : 0);
	for (size_t i = 0; i < n; i++)
		show_transfer(p, s->active[i]);
	show_more(p, s->actives - n);
}

static void show_queue(struct page *p, const struct top_snapshot *s)
{
	size_t n;

	if (s->queued == 0)
		return;
	line(p, PLAIN, "%s", "");
	line(p, HEADING, "%-16s  %-3s  %8s %11s %11s", "waiting", "dir", "place", "for",
	     "expected");
	n = rows_shown(s->queued, rows_left(p));
	for (size_t i = 0; i < n; i++)
		show_waiting(p, s->queue[i]);
	show_more(p, s->queued - n);
}

static void show_tables(struct page *p, const struct top_snapshot *s)
{
	unsigned keep = s->queued == 0		    ? 0
			: s->queued + 2 < WAIT_ROWS ? (unsigned)s->queued + 2
						    : WAIT_ROWS;

	if (s->tell_transfers == 0) {
		line(p, PLAIN, "%s", "");
		line(p, PLAIN,
		     "who is sending is told at --metrics-listen, and without a URL on "
		     "the server's machine");
		return;
	}
	show_active(p, s, keep);
	show_queue(p, s);
}

int top_page(const struct top_snapshot *s, const struct top_layout *l, struct buf *out,
	     struct err *e)
{
	struct page p = {.out = out, .l = l};

	if (l->rows > 0)
		buf_put_str(out, "\033[H");
	show_problems(&p, s);
	show_who(&p, s);
	if (s->answered > 0) {
		line(&p, PLAIN, "%s", "");
		show_slots(&p, s);
		if (s->tell_figures > 0) {
			show_rates(&p, &s->figures);
			show_bottleneck(&p, s);
		}
		show_storage(&p, s);
		if (s->tell_figures > 0)
			show_times(&p, &s->figures);
		show_tables(&p, s);
	}
	if (l->rows > 0)
		buf_put_str(out, "\033[J");
	return buf_error(out) != 0 ? err_set(e, buf_error(out), "out of memory") : 0;
}
