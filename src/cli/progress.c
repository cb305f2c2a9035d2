#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/out.h"

#define TTY_MS	  200
#define PLAIN_MS  5000
#define SAMPLE_MS 200
#define SMOOTHING 0.2 /* the part of a new sample in the rate */
#define LINE	  256

void meter_begin(struct meter *m, const char *label, bool quiet)
{
	uint64_t now = clock_ms();

	*m = (struct meter){.label = label, .quiet = quiet, .tty = isatty(STDERR_FILENO) == 1};
	m->sample_ms = now;
	m->next_ms = now + (m->tty ? TTY_MS : PLAIN_MS);
}

static int columns(void)
{
	struct winsize w;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

static void erase(struct meter *m)
{
	if (m->shown)
		fputs("\r\033[K", stderr);
	m->shown = false;
}

/* label: text */
static void show(struct meter *m, const char *label, const char *text)
{
	if (!m->tty) {
		note("%s: %s", label, text);
		return;
	}
	int room = columns() - (int)snprintf(NULL, 0, ": %s", text) - 1;

	erase(m);
	note_part("%.*s: %s", room < 8 ? 8 : room, label, text);
	fflush(stderr);
	m->shown = true;
}

static void sample(struct meter *m, uint64_t now, uint64_t done, uint64_t resumed)
{
	double seconds = (double)(now - m->sample_ms) / 1000, rate;

	/* What was there already, or a retry that starts lower, says nothing about speed. */
	if (m->sample_done < resumed || done < m->sample_done) {
		m->sample_done = done;
		m->sample_ms = now;
		return;
	}
	if (now - m->sample_ms < SAMPLE_MS)
		return;
	rate = (double)(done - m->sample_done) / seconds;
	m->rate = m->rate > 0 ? (1 - SMOOTHING) * m->rate + SMOOTHING * rate : rate;
	m->sample_ms = now;
	m->sample_done = done;
}

static void describe(const struct meter *m, uint64_t done, uint64_t total, uint64_t resumed,
		     char line[LINE])
{
	char a[16], b[16], rate[24], eta[16], r[16], of[40] = "", skipped[48] = "", left[32] = "";

	if (total != UINT64_MAX) {
		unsigned percent =
			total == 0 ? 100 : (unsigned)((double)done * 100 / (double)total);

		snprintf(of, sizeof(of), " of %s, %u%%", fmt_size(total, b), percent);
		if (m->rate > 0)
			snprintf(left, sizeof(left), ", %s left",
				 fmt_duration((double)(total - done) / m->rate, eta));
	}
	if (resumed > 0)
		snprintf(skipped, sizeof(skipped), " (%s were there already)",
			 fmt_size(resumed, r));
	snprintf(line, LINE, "%s%s, %s%s%s", fmt_size(done, a), of, fmt_rate(m->rate, rate), left,
		 skipped);
}

void meter_update(struct meter *m, uint64_t done, uint64_t total, uint64_t resumed)
{
	uint64_t now = clock_ms();
	char line[LINE];

	sample(m, now, done, resumed);
	if (m->quiet || now < m->next_ms)
		return;
	m->next_ms = now + (m->tty ? TTY_MS : PLAIN_MS);
	describe(m, done, total < done ? done : total, resumed, line);
	show(m, m->label, line);
}

void meter_phase(struct meter *m, const char *what)
{
	if (!m->quiet && m->tty)
		show(m, m->label, what);
}

bool meter_place_due(struct meter *m, uint32_t place, bool lines)
{
	uint64_t now = clock_ms();
	bool rest = lines && place == m->place;

	/* Also a server that moves us about all the time does not flood what we write to. */
	if (m->place_ms != 0 && now - m->place_ms < (rest ? PLAIN_MS : TTY_MS))
		return false;
	m->place = place;
	m->place_ms = now;
	/* The time in the queue says nothing about the speed of what follows. */
	m->sample_ms = now;
	return true;
}

void meter_place(struct meter *m, const char *host, uint32_t place, uint64_t left_ms)
{
	char label[LINE], line[LINE], at[32] = "", left[32] = "", time[16];

	if (m->quiet)
		return;
	if (place > 0)
		snprintf(at, sizeof(at), ", place %u", (unsigned)place);
	if (left_ms >= 60000 && left_ms != UINT64_MAX)
		snprintf(left, sizeof(left), ", about %s",
			 fmt_duration((double)left_ms / 1000, time));
	else if (left_ms >= 1000 && left_ms != UINT64_MAX)
		snprintf(left, sizeof(left), ", about %u s", (unsigned)(left_ms + 500) / 1000);
	snprintf(line, sizeof(line), "waiting%s%s", at, left);
	snprintf(label, sizeof(label), "%s: %s", host, m->label);
	show(m, strcmp(host, m->label) != 0 ? label : host, line);
}

void meter_note(struct meter *m, const char *fmt, ...)
{
	va_list ap;
	char *text;

	if (m->quiet)
		return;
	erase(m);
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) >= 0) {
		note("%s", text);
		free(text);
	}
	va_end(ap);
}

void meter_end(struct meter *m)
{
	erase(m);
	fflush(stderr);
}
