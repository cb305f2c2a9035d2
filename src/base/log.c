#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"

#define LINE_MAX_BYTES 4096 /* PIPE_BUF too: one write is not mixed with another's */
#define ID_BYTES       32

struct logger {
	int fd;
	bool json;
	atomic_int min;
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

#define LEVELS (sizeof(level_names) / sizeof(level_names[0]))

int log_new(struct logger **out, int fd, bool json)
{
	struct logger *l = calloc(1, sizeof(*l));

	if (!l)
		return PQC_ENOMEM;
	l->fd = fd;
	l->json = json;
	atomic_init(&l->min, LOG_INFO);
	*out = l;
	return 0;
}

void log_free(struct logger *l)
{
	free(l);
}

void log_set_level(struct logger *l, enum log_level min)
{
	if (l)
		atomic_store(&l->min, (int)min);
}

int log_level_parse(const char *s, enum log_level *out)
{
	for (size_t i = 0; i < LEVELS; i++)
		if (strcmp(s, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	return PQC_EUSAGE;
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
			buf_printf(b, "%.9g", f->v.f);
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

static void put_key(struct buf *b, const char *key, bool json)
{
	if (!json) {
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
static bool put_field(struct buf *line, const struct log_field *f, bool json)
{
	bool whole = true;
	size_t len = line->len;

	if (buf_error(line))
		return false;
	for (size_t max = LINE_MAX_BYTES;; max /= 2) {
		put_key(line, f->key, json);
		put_value(line, f, max);
		if (!buf_error(line))
			return whole;
		line->error = 0;
		buf_truncate(line, len);
		whole = false;
		if (max == 0 || f->type != LOG_F_STR)
			return false;
	}
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

static void put_head(struct buf *b, bool json, enum log_level level, const char *event)
{
	if (json)
		buf_put_str(b, "{\"time\":\"");
	put_time(b);
	if (!json) {
		buf_printf(b, " %-5s %s", level_names[level], event);
		return;
	}
	buf_printf(b, "\",\"level\":\"%s\",\"event\":", level_names[level]);
	put_string(b, event);
}

static void put_line(int fd, const struct buf *line)
{
	ssize_t n;

	do
		n = write(fd, line->p, line->len);
	while (n < 0 && errno == EINTR);
	/* A log that cannot be written must not stop the work, and there is no place to say so. */
}

void log_event(struct logger *l, enum log_level level, const char *event,
	       const struct log_field *fields)
{
	static const struct log_field cut = {"cut", LOG_F_BOOL, {.b = true}};
	const size_t tail = 16; /* room for the mark, the brace and the newline */
	struct buf line;
	bool whole = true;
	int saved = errno;

	if (!l || (int)level < atomic_load(&l->min))
		return;
	buf_init(&line, LINE_MAX_BYTES - tail);
	put_head(&line, l->json, level, event);
	for (const struct log_field *f = fields; f && f->key; f++)
		whole &= put_field(&line, f, l->json);
	line.max = LINE_MAX_BYTES;
	if (!whole)
		put_field(&line, &cut, l->json);
	buf_put_str(&line, l->json ? "}\n" : "\n");
	if (!buf_error(&line))
		put_line(l->fd, &line);
	buf_free(&line);
	errno = saved;
}
