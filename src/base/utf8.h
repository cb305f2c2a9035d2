/* UTF-8, one code point at a time (RFC 3629). */
#ifndef PQC_BASE_UTF8_H
#define PQC_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The code point at the start of s[n] into *cp; returns the bytes it takes, or
 * 0 when n is 0 or they are not valid UTF-8 (*cp is then untouched).
 */
size_t utf8_next(const char *s, size_t n, uint32_t *cp);

/*
 * Does this code point steer a terminal or deceive who reads it: control
 * characters (C0, DEL, C1), line separators, bidirectional controls, invisible
 * format characters? Refused in names, escaped in JSON, '?' in messages.
 */
bool utf8_deceives(uint32_t cp);

#endif
