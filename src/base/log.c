#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log_sink.h"
#include "base/text.h"

#define LINE_MAX_BYTES 4096 /* PIPE_BUF too: one write is not mixed with another's */
#define ID_BYTES       32

struct logger {
	struct log_sink *sink; /* or: */
	log_fn *fn;
	void *arg;
	enum log_format format;
	atomic_int min;
	atomic_bool names;
	atomic_uint_least64_t dropped; /* ever */
	atomic_uint_least64_t untold;  /* of these, those that no line tells of yet */
};

static const struct {
	const char *name;
	const char *priority; /* sd-daemon(3) */
} levels[] = {{"debug", "<7>"}, {"info", "<6>"}, {"warn", "<4>"}, {"error", "<3>"}};
static const char *const formats[] = {"text", "json", "journal"};

#define LEVELS	(sizeof(levels) / sizeof(levels[0]))
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static struct logger *allocate(enum log_format format)
{
	struct logger *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->format = format;
	atomic_init(&l->min, LOG_INFO);
	atomic_init(&l->names, false);
	atomic_init(&l->dropped, 0);
	atomic_init(&l->untold, 0);
	return l;
}

int log_new(struct logger **out, int fd, enum log_format format)
{
	struct logger *l = allocate(format);

	if (!l || log_sink_new(&l->sink, fd) != 0) {
		free(l);
		return PQC_ENOMEM;
	}
	*out = l;
	return 0;
}

int log_new_to(struct logger **out, log_fn *fn, void *arg)
{
	struct logger *l = allocate(LOG_JSON);

	if (!l)
		return PQC_ENOMEM;
	l->fn = fn;
	l->arg = arg;
	*out = l;
	return 0;
}

void log_free(struct logger *l)
{
	if (!l)
		return;
	log_sink_free(l->sink);
	free(l);
}

void log_set_level(struct logger *l, enum log_level min)
{
	if (l)
		atomic_store(&l->min, (int)min);
}

bool log_names(const struct logger *l)
{
	return l != NULL && atomic_load(&l->names);
}

void log_set_names(struct logger *l, bool names)
{
	if (l)
		atomic_store(&l->names, names);
}

uint64_t log_dropped(const struct logger *l)
{
	return l ? atomic_load(&l->dropped) : 0;
}

int log_level_parse(const char *s, enum log_level *out)
{
	for (size_t i = 0; i < LEVELS; i++)
		if (strcmp(s, levels[i].name) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	return PQC_EUSAGE;
}

int log_format_parse(const char *s, enum log_format *out)
{
	for (size_t i = 0; i < FORMATS; i++)
		if (strcmp(s, formats[i]) == 0) {
			*out = (enum log_format)i;
			return 0;
		}
	return PQC_EUSAGE;
}

/* systemd.exec(5): $JOURNAL_STREAM is "device:inode", decimal, of the stream it set up. */
static bool is_stream(int fd, const char *journal_stream)
{
	char mine[48];
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	snprintf(mine, sizeof(mine), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return strcmp(mine, journal_stream) == 0;
}

enum log_format log_format_for(int fd, const char *journal_stream)
{
	if (isatty(fd) == 1)
		return LOG_TEXT;
	return journal_stream && is_stream(fd, journal_stream) ? LOG_JOURNAL : LOG_JSON;
}

static void put_string(struct buf *b, const char *s)
{
	json_put_string(b, s, strlen(s));
}

static void put_id(struct buf *b, const uint8_t *id)
{
	char hex[2 * ID_BYTES + 1];

	hex_encode(id, ID_BYTES, hex);
	buf_printf(b, "\"%s\"", hex);
}

/* The value of f; of a string no more than the first max bytes. */
static void put_value(struct buf *b, const struct log_field *f, size_t max)
{
	switch (f->type) {
	case LOG_F_STR:
	case LOG_F_NAME:
		if (f->v.s)
			json_put_string(b, f->v.s, strnlen(f->v.s, max));
		else
			buf_put_str(b, "null");
		break;
	case LOG_F_U64:
		buf_printf(b, "%llu", (unsigned long long)f->v.u);
		break;
	case LOG_F_F64:
		if (isfinite(f->v.f))
			put_real(b, f->v.f, 9);
		else
			buf_put_str(b, "null"); /* JSON has no word for it */
		break;
	case LOG_F_BOOL:
		buf_put_str(b, f->v.b ? "true" : "false");
		break;
	case LOG_F_ID:
		if (f->v.id)
			put_id(b, f->v.id);
		else
			buf_put_str(b, "null");
		break;
	}
}

static void put_key(struct buf *b, const char *key, enum log_format format)
{
	if (format == LOG_TEXT) {
		buf_printf(b, " %s=", key);
		return;
	}
	buf_put_u8(b, ',');
	put_string(b, key);
	buf_put_u8(b, ':');
}

/*
 * Append a field. Where the whole does not fit, a string is cut to half until
 * it does; what does not fit at all is left out. True when it went in whole.
 */
static bool put_field(struct buf *line, const struct log_field *f, enum log_format format)
{
	bool whole = true;
	size_t len = line->len;

	if (buf_error(line))
		return false;
	for (size_t max = LINE_MAX_BYTES;; max /= 2) {
		put_key(line, f->key, format);
		put_value(line, f, max);
		if (!buf_error(line))
			return whole;
		line->error = 0;
		buf_truncate(line, len);
		whole = false;
		if (max == 0 || (f->type != LOG_F_STR && f->type != LOG_F_NAME))
			return false;
	}
}

static bool put_fields(const struct logger *l, struct buf *line, const struct log_field *fields)
{
	const bool names = atomic_load(&l->names);
	bool whole = true;

	for (const struct log_field *f = fields; f && f->key; f++)
		if (f->type != LOG_F_NAME || names)
			whole &= put_field(line, f, l->format);
	return whole;
}

/* RFC 3339 with milliseconds */
static void put_time(struct buf *b)
{
	struct timespec t;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &t);
	fmt_time((uint64_t)t.tv_sec, text);
	buf_printf(b, "%.*s.%03dZ", (int)strlen(text) - 1, text, (int)(t.tv_nsec / 1000000));
}

static void put_head(struct buf *b, enum log_format format, enum log_level level, const char *event)
{
	if (format == LOG_JOURNAL)
		buf_put_str(b, levels[level].priority);
	if (format != LOG_TEXT)
		buf_put_str(b, "{\"time\":\"");
	put_time(b);
	if (format == LOG_TEXT) {
		buf_printf(b, " %-5s %s", levels[level].name, event);
		return;
	}
	buf_printf(b, "\",\"level\":\"%s\",\"event\":", levels[level].name);
	put_string(b, event);
}

/* The whole line of an event; a buffer that failed if even its head does not fit. */
static void put_line(const struct logger *l, struct buf *line, enum log_level level,
		     const char *event, const struct log_field *fields, uint64_t dropped)
{
	static const struct log_field cut = {"cut", LOG_F_BOOL, {.b = true}};
	const struct log_field lost = log_u64("dropped", dropped);
	const size_t tail = 16; /* room for the mark, the brace and the newline */
	bool whole = true;

	buf_init(line, LINE_MAX_BYTES - tail);
	put_head(line, l->format, level, event);
	if (dropped > 0)
		whole = put_field(line, &lost, l->format);
	whole &= put_fields(l, line, fields);
	line->max = LINE_MAX_BYTES;
	if (!whole)
		put_field(line, &cut, l->format);
	buf_put_str(line, l->format == LOG_TEXT ? "\n" : "}\n");
}

/* False when the line is lost. */
static bool hand_over(const struct logger *l, struct buf *line)
{
	if (buf_error(line))
		return false;
	if (!l->fn)
		return log_sink_write(l->sink, line->p, line->len);
	line->p[line->len - 1] = '\0'; /* the newline */
	l->fn(l->arg, (const char *)line->p, line->len - 1);
	return true;
}

void log_event(struct logger *l, enum log_level level, const char *event,
	       const struct log_field *fields)
{
	const int saved = errno;
	uint64_t lost;
	struct buf line;

	if (!l || (int)level < atomic_load(&l->min))
		return;
	/* Taken here and given back on failure, each lost line is told of once, whoever writes. */
	lost = atomic_exchange(&l->untold, 0);
	put_line(l, &line, level, event, fields, lost);
	if (!hand_over(l, &line)) {
		atomic_fetch_add(&l->dropped, 1);
		atomic_fetch_add(&l->untold, lost + 1);
	}
	buf_free(&line);
	errno = saved;
}
