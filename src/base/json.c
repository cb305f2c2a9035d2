#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

#define TEXT_MAX ((size_t)1 << 20)

static void put_key(struct json *j, const char *key)
{
	if (j->comma)
		buf_put_u8(&j->b, ',');
	j->comma = true;
	if (key != NULL) {
		json_put_string(&j->b, key, strlen(key));
		buf_put_u8(&j->b, ':');
	}
}

void json_begin(struct json *j, const char *event)
{
	*j = (struct json){.b = BUF_INIT(TEXT_MAX)};
	buf_put_u8(&j->b, '{');
	json_str(j, "event", event);
}

void json_str(struct json *j, const char *key, const char *value)
{
	put_key(j, key);
	json_put_string(&j->b, value, strlen(value));
}

void json_u64(struct json *j, const char *key, uint64_t value)
{
	put_key(j, key);
	buf_printf(&j->b, "%llu", (unsigned long long)value);
}

void json_f64(struct json *j, const char *key, double value)
{
	put_key(j, key);
	if (isfinite(value))
		put_fixed(&j->b, value, 3);
	else
		buf_put_str(&j->b, "null");
}

void json_bool(struct json *j, const char *key, bool value)
{
	put_key(j, key);
	buf_put_str(&j->b, value ? "true" : "false");
}

void json_hex(struct json *j, const char *key, const uint8_t *p, size_t n)
{
	put_key(j, key);
	buf_put_u8(&j->b, '"');
	for (size_t i = 0; i < n; i++)
		buf_printf(&j->b, "%02x", p[i]);
	buf_put_u8(&j->b, '"');
}

void json_open(struct json *j, const char *key, char bracket)
{
	put_key(j, key);
	buf_put_u8(&j->b, (uint8_t)bracket);
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	buf_put_u8(&j->b, (uint8_t)bracket);
	j->comma = true;
}
