/*
 * Log lines: one JSON object a line on a descriptor, or plain text when it is
 * a terminal; or to a function. {"time":"...","level":"info","event":"transfer.done", fields...}
 * Strings are escaped, in plain text too; a line is at most 4096 bytes and
 * written by one write(2). Strings that would not fit are cut and the line says
 * "cut":true. Thread-safe; keeps errno. Secrets are never passed here.
 *
 * A reader that is slow or dead does not stop the work: where the descriptor is a pipe or a socket
 * a line waits for at most 100 ms and is then dropped; after that none waits until one went
 * through, which says "dropped":N.
 */
#ifndef PQC_BASE_LOG_H
#define PQC_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_format {
	LOG_TEXT,
	LOG_JSON,
	LOG_JOURNAL /* JSON behind "<3>" (error) to "<7>" (debug), which journald takes off */
};

struct logger; /* opaque */

/*
 * Level info, without names. fd stays the caller's, who closes it after log_free. A thread that
 * writes to a pipe ignores SIGPIPE.
 */
int log_new(struct logger **out, int fd, enum log_format format) MUST_CHECK;
/*
 * The same with a function instead of a descriptor: it gets each line as JSON, without newline, a
 * NUL behind its size bytes. It is called by whoever logs, by several threads at a time too.
 */
typedef void log_fn(void *arg, const char *line, size_t size);
int log_new_to(struct logger **out, log_fn *fn, void *arg) MUST_CHECK;
void log_free(struct logger *l);
void log_set_level(struct logger *l, enum log_level min);
/* Whether fields made by log_name are written. */
void log_set_names(struct logger *l, bool names);
bool log_names(const struct logger *l); /* false for NULL */
/* How many lines could not be written so far. */
uint64_t log_dropped(const struct logger *l);

/* "debug", "info", "warn", "error"; PQC_EUSAGE otherwise. */
int log_level_parse(const char *s, enum log_level *out) MUST_CHECK;
/* "text", "json", "journal"; PQC_EUSAGE otherwise. */
int log_format_parse(const char *s, enum log_format *out) MUST_CHECK;
/*
 * What suits whoever reads fd: text for a terminal, journal where fd is the stream that
 * journal_stream, the value of $JOURNAL_STREAM or NULL, names; JSON otherwise.
 */
enum log_format log_format_for(int fd, const char *journal_stream);

/*
 * Fields: a list of {key, type, value} ended by a NULL key. l NULL logs nothing.
 *   log_event(l, LOG_INFO, "transfer.done", (struct log_field[]){
 *           log_str("name", name), log_u64("bytes", n), {0}});
 */
struct log_field {
	const char *key;
	enum { LOG_F_STR, LOG_F_NAME, LOG_F_U64, LOG_F_F64, LOG_F_BOOL, LOG_F_ID } type;
	union {
		const char *s;
		uint64_t u;
		double f;
		bool b;
		const uint8_t *id; /* 32 bytes, printed as hex */
	} v;
};
static inline struct log_field log_str(const char *k, const char *s)
{
	return (struct log_field){k, LOG_F_STR, {.s = s}};
}
/*
 * What people call things, the names of objects and of identities, is theirs: it is left out
 * unless the operator chose otherwise.
 */
static inline struct log_field log_name(const char *k, const char *s)
{
	return (struct log_field){k, LOG_F_NAME, {.s = s}};
}
static inline struct log_field log_u64(const char *k, uint64_t u)
{
	return (struct log_field){k, LOG_F_U64, {.u = u}};
}
static inline struct log_field log_f64(const char *k, double f)
{
	return (struct log_field){k, LOG_F_F64, {.f = f}};
}
static inline struct log_field log_bool(const char *k, bool b)
{
	return (struct log_field){k, LOG_F_BOOL, {.b = b}};
}
static inline struct log_field log_id(const char *k, const uint8_t *id)
{
	return (struct log_field){k, LOG_F_ID, {.id = id}};
}
void log_event(struct logger *l, enum log_level level, const char *event,
	       const struct log_field *fields);

#endif
