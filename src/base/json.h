/* A JSON object, written member by member on one line. */
#ifndef PQC_BASE_JSON_H
#define PQC_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct json {
	struct buf b; /* owned; buf_error says whether all went in */
	bool comma;
};
void json_begin(struct json *j, const char *event); /* {"event":"..." */
void json_str(struct json *j, const char *key, const char *value);
void json_u64(struct json *j, const char *key, uint64_t value);
void json_f64(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
void json_hex(struct json *j, const char *key, const uint8_t *p, size_t n);
void json_open(struct json *j, const char *key, char bracket); /* key NULL: in an array */
void json_close(struct json *j, char bracket);		       /* '}': that of json_begin too */

#endif
