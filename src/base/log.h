/*
 * Log lines: one JSON object a line on a descriptor, or plain text when it is
 * a terminal. {"time":"...","level":"info","event":"transfer.done", fields...}
 * Strings are escaped, in plain text too; a line is at most 4096 bytes and
 * written by one write(2). Strings that would not fit are cut and the line says
 * "cut":true. Thread-safe; keeps errno. Secrets are never passed here.
 */
#ifndef PQC_BASE_LOG_H
#define PQC_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct logger; /* opaque */

/* Level info. fd stays the caller's, who closes it after log_free. */
int log_new(struct logger **out, int fd, bool json);
void log_free(struct logger *l);
void log_set_level(struct logger *l, enum log_level min);
/* "debug", "info", "warn", "error"; PQC_EUSAGE otherwise. */
int log_level_parse(const char *s, enum log_level *out);

/*
 * Fields: a list of {key, type, value} ended by a NULL key. l NULL logs nothing.
 *   log_event(l, LOG_INFO, "transfer.done", (struct log_field[]){
 *           log_str("name", name), log_u64("bytes", n), {0}});
 */
struct log_field {
	const char *key;
	enum { LOG_F_STR, LOG_F_U64, LOG_F_F64, LOG_F_BOOL, LOG_F_ID } type;
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
