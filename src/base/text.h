/*
 * Text forms: hex, base64 (RFC 4648 section 4, padded, strict), JSON strings,
 * names, sizes, durations, times.
 */
#ifndef PQC_BASE_TEXT_H
#define PQC_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Lower-case hex of n bytes into out[2n+1]. */
void hex_encode(const void *p, size_t n, char *out);
/* Exactly 2n hex digits (either case) and a NUL. PQC_EFAIL otherwise; out is then untouched. */
int hex_decode(const char *s, void *out, size_t n) MUST_CHECK;

/* Append base64 of p[n] to b. */
void base64_encode(struct buf *b, const void *p, size_t n);
/*
 * Append the decoded bytes of s[n] to b. PQC_EFAIL for whitespace, wrong padding
 * or non-zero trailing bits; b's content is then as before.
 */
int base64_decode(struct buf *b, const char *s, size_t n) MUST_CHECK;

/*
 * Append s[n] as a JSON string with quotes. Control characters and those that
 * deceive the eye are escaped, so that the line is safe on a terminal; each
 * byte that is not UTF-8 becomes \ufffd.
 */
void json_put_string(struct buf *b, const char *s, size_t n);

/*
 * Append a finite number for programs to read: as printf has it with %.*f and %.*g, but with a
 * point whatever the locale of the process says.
 */
void put_fixed(struct buf *b, double v, int decimals);
void put_real(struct buf *b, double v, int digits);

/* Valid UTF-8 (no surrogates, no overlong forms, <= U+10FFFF)? */
bool utf8_valid(const char *s, size_t n);
/*
 * A transfer name: 1..4096 bytes of valid UTF-8, components split by '/',
 * each 1..255 bytes, none "." or "..", no leading or trailing '/', no NUL,
 * no control characters (C0, DEL, C1), no bidirectional or zero-width format
 * characters, no backslash, no drive letter ("C:" as first component's start).
 * PQC_ENAME with the reason in e.
 */
int name_check(const char *s, size_t n, struct err *e) MUST_CHECK;

/*
 * "1.00 GiB" style into out[16]; "123.4 MB/s" style into out[24]; "0.4s", "2m03s",
 * "1h02m03s", "3d04h05m" into out[16], "?" for a duration that is not known.
 */
const char *fmt_size(uint64_t bytes, char out[16]);
const char *fmt_rate(double bytes_per_second, char out[24]);
const char *fmt_duration(double seconds, char out[16]);
/* RFC 3339 UTC with seconds ("2026-11-23T14:48:54Z") into out[32]. */
const char *fmt_time(uint64_t unix_seconds, char out[32]);
/*
 * "64K", "1M", "2G", "1.5G", "1T", "1048576": binary units, either case; fractions
 * of a byte are dropped. PQC_EUSAGE when not understood or over max.
 */
int parse_size(const char *s, uint64_t max, uint64_t *out) MUST_CHECK;
/* Unsigned decimal within [min,max], whole string; PQC_EUSAGE otherwise. */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out) MUST_CHECK;
/* "30s", "5m", "2h", "7d", "250ms" or a number of seconds -> milliseconds; PQC_EUSAGE. */
int parse_duration(const char *s, uint64_t *ms) MUST_CHECK;

#endif
