#include "protocol/hs_json.h"

#include <jansson.h>
#include <string.h>

#include "base/text.h"
#include "crypto/secmem.h"
#include "protocol/handshake.h"

#define DEPTH_MAX 4

/*
 * Is nothing nested deeper than DEPTH_MAX? Looked at before the parser, which
 * would recurse. Text that is not JSON may get any answer: the parser refuses it.
 */
static bool shallow(const char *p, size_t n)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '"')
			in_string = !in_string;
		else if (in_string)
			i += p[i] == '\\'; /* what follows is no quote */
		else if (p[i] == '{' || p[i] == '[')
			depth++;
		else if (p[i] == '}' || p[i] == ']')
			depth--;
		if (depth > DEPTH_MAX)
			return false;
	}
	return true;
}

static int parse(const void *p, size_t n, json_t **out, struct err *e)
{
	json_error_t why;

	if (n > HS_JSON_MAX)
		return err_set(e, PQC_EPROTO, "a JSON message of %zu bytes, %d are allowed", n,
			       HS_JSON_MAX);
	if (!shallow(p, n))
		return err_set(e, PQC_EPROTO, "JSON nested deeper than %d", DEPTH_MAX);
	*out = json_loadb(p, n, JSON_REJECT_DUPLICATES, &why);
	if (*out)
		return 0;
	if (json_error_code(&why) == json_error_out_of_memory)
		return err_set(e, PQC_ENOMEM, "no memory for a JSON message");
	return err_set(e, PQC_EPROTO, "not valid JSON: %s", why.text);
}

struct member {
	const char *key;
	json_type type;
	bool required;
};
#define MEMBERS(table) (table), sizeof(table) / sizeof((table)[0])

/* Is o an object with no other members than these, each of its type? */
static int check_members(json_t *o, const struct member *m, size_t n, struct err *e)
{
	const char *key;
	json_t *value;

	if (!json_is_object(o))
		return err_set(e, PQC_EPROTO, "expected a JSON object");
	json_object_foreach(o, key, value)
	{
		size_t i = 0;

		while (i < n && strcmp(m[i].key, key) != 0)
			i++;
		if (i == n)
			return err_set(e, PQC_EPROTO, "unknown key \"%.40s\"", key);
		if (json_typeof(value) != m[i].type)
			return err_set(e, PQC_EPROTO, "\"%s\" is of the wrong type", key);
	}
	for (size_t i = 0; i < n; i++)
		if (m[i].required && !json_object_get(o, m[i].key))
			return err_set(e, PQC_EPROTO, "\"%s\" is missing", m[i].key);
	return 0;
}

static bool member_is(const json_t *o, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(o, key));

	return value && strcmp(value, text) == 0;
}

/* Member key of o, a string, from base64 to out. */
static int take_bytes(const json_t *o, const char *key, struct buf *out, struct err *e)
{
	const json_t *value = json_object_get(o, key);
	int r = base64_decode(out, json_string_value(value), json_string_length(value));

	if (r == 0 || r == PQC_ENOMEM)
		return r;
	return err_set(e, PQC_EPROTO, "\"%s\" is not base64 of what it should be", key);
}

static int check_nonce(const json_t *o, struct err *e)
{
	struct buf nonce = BUF_INIT(HS_NONCE_LEN);
	int r = take_bytes(o, "nonce", &nonce, e);

	if (r == 0 && nonce.len != HS_NONCE_LEN)
		r = err_set(e, PQC_EPROTO, "a nonce of %zu bytes, expected %d", nonce.len,
			    HS_NONCE_LEN);
	buf_free(&nonce);
	return r;
}

int hs_m1_encode(const struct suite *s, struct buf *out)
{
	uint8_t nonce[HS_NONCE_LEN];
	int r;

	if ((r = random_bytes(nonce, sizeof(nonce))) != 0)
		return r;
	buf_printf(out, "{\"action\":\"transfer_file\",\"v\":1,\"suites\":[%u],\"nonce\":\"",
		   s->id);
	base64_encode(out, nonce, sizeof(nonce));
	buf_put_str(out, "\"}");
	return buf_error(out);
}

static int check_suites(const json_t *suites, const struct suite *s, struct err *e)
{
	bool offered = false;
	const json_t *value;
	size_t i;

	if (!suites)
		return 0;
	json_array_foreach(suites, i, value)
	{
		if (!json_is_integer(value))
			return err_set(e, PQC_EPROTO, "\"suites\" has an entry that is no integer");
		offered |= json_integer_value(value) == s->id;
	}
	if (offered)
		return 0;
	return err_set(e, PQC_EREFUSED, "this server uses %s (suite %u), which is not offered",
		       s->name, s->id);
}

static int check_m1(json_t *o, const struct suite *s, struct err *e)
{
	static const struct member members[] = {
		{"action", JSON_STRING, true},	     {"v", JSON_INTEGER, false},
		{"suites", JSON_ARRAY, false},	     {"nonce", JSON_STRING, false},
		{"filename", JSON_STRING, false},    {"size", JSON_INTEGER, false},
		{"traceparent", JSON_STRING, false},
	};
	const json_t *v = json_object_get(o, "v");
	int r;

	if ((r = check_members(o, MEMBERS(members), e)) != 0)
		return r;
	if (!member_is(o, "action", "transfer_file"))
		return err_set(e, PQC_EPROTO, "expected action \"transfer_file\"");
	if (v && json_integer_value(v) != 1)
		return err_set(e, PQC_EPROTO, "this server speaks version 1 of the protocol");
	if (json_object_get(o, "nonce") && (r = check_nonce(o, e)) != 0)
		return r;
	return check_suites(json_object_get(o, "suites"), s, e);
}

int hs_m1_decode(const void *p, size_t n, const struct suite *s, struct err *e)
{
	json_t *o;
	int r;

	if ((r = parse(p, n, &o, e)) != 0)
		return r;
	r = check_m1(o, s, e);
	json_decref(o);
	return r;
}

void hs_m2_free(struct hs_m2 *m)
{
	buf_free(&m->bundle);
	buf_free(&m->sig);
	buf_free(&m->server_pk);
}

void hs_m2_head(const struct hs_m2 *m, struct buf *out)
{
	buf_put_str(out, "{\"status\":\"ready\",\"session_key\":{\"bundle\":\"");
	base64_encode(out, m->bundle.p, m->bundle.len);
	buf_put_str(out, "\",\"sig\":\"");
	base64_encode(out, m->sig.p, m->sig.len);
	buf_put_str(out, "\",\"server_pk\":\"");
	base64_encode(out, m->server_pk.p, m->server_pk.len);
	buf_put_str(out, "\"},\"nonce\":\"");
}

/* {"status":"error",...}: what the server has to say. */
static int server_error(json_t *o, struct err *e)
{
	static const struct member members[] = {
		{"status", JSON_STRING, true},
		{"code", JSON_STRING, true},
		{"error", JSON_STRING, true},
	};
	unsigned code;
	int r;

	if ((r = check_members(o, MEMBERS(members), e)) != 0)
		return r;
	code = msg_code_by_name(json_string_value(json_object_get(o, "code")));
	return err_set(e, msg_code_to_err(code), "the server answered: %s",
		       json_string_value(json_object_get(o, "error")));
}

static int check_m2(json_t *o, struct hs_m2 *m, struct err *e)
{
	static const struct member members[] = {
		{"status", JSON_STRING, true},
		{"session_key", JSON_OBJECT, true},
		{"nonce", JSON_STRING, true},
	};
	static const struct member key_members[] = {
		{"bundle", JSON_STRING, true},
		{"sig", JSON_STRING, true},
		{"server_pk", JSON_STRING, true},
	};
	json_t *key = json_object_get(o, "session_key");
	int r;

	if (member_is(o, "status", "error"))
		return server_error(o, e);
	if ((r = check_members(o, MEMBERS(members), e)) != 0 ||
	    (r = check_members(key, MEMBERS(key_members), e)) != 0)
		return r;
	if (!member_is(o, "status", "ready"))
		return err_set(e, PQC_EPROTO, "expected status \"ready\" or \"error\"");
	if ((r = check_nonce(o, e)) != 0 || (r = take_bytes(key, "bundle", &m->bundle, e)) != 0 ||
	    (r = take_bytes(key, "sig", &m->sig, e)) != 0)
		return r;
	return take_bytes(key, "server_pk", &m->server_pk, e);
}

int hs_m2_decode(const void *p, size_t n, struct hs_m2 *m, struct err *e)
{
	json_t *o;
	int r;

	if ((r = parse(p, n, &o, e)) != 0)
		return r;
	r = check_m2(o, m, e);
	json_decref(o);
	return r;
}
