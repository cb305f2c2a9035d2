#include <string.h>

#include "base/text.h"
#include "base/utf8.h"

#define NAME_MAX_BYTES	    4096
#define COMPONENT_MAX_BYTES 255
#define SHOWN_BYTES	    200 /* of the name, in the message */

/* Why a component is not allowed; NULL when it is. */
static const char *component_fault(const char *s, size_t n)
{
	if (n == 0)
		return "there is an empty component ('/' at the start, at the end, or twice)";
	if (n > COMPONENT_MAX_BYTES)
		return "a component is longer than 255 bytes";
	if (n == 1 && s[0] == '.')
		return "a component is '.'";
	if (n == 2 && s[0] == '.' && s[1] == '.')
		return "a component is '..'";
	return NULL;
}

static const char *character_fault(const char *s, size_t n)
{
	uint32_t cp;
	size_t len;

	for (; n > 0; s += len, n -= len) {
		if ((len = utf8_next(s, n, &cp)) == 0)
			return "it is not valid UTF-8";
		if (cp == '\\')
			return "it has a backslash";
		if (utf8_deceives(cp))
			return "it has a control or invisible character";
	}
	return NULL;
}

static const char *name_fault(const char *s, size_t n)
{
	const char *end, *slash, *fault;

	if (n == 0)
		return "it is empty";
	if (n > NAME_MAX_BYTES)
		return "it is longer than 4096 bytes";
	if ((fault = character_fault(s, n)) != NULL)
		return fault;
	if (n >= 2 && s[1] == ':' && (s[0] | 0x20) >= 'a' && (s[0] | 0x20) <= 'z')
		return "it starts with a drive letter";
	end = s + n;
	for (;; s = slash + 1) {
		slash = memchr(s, '/', (size_t)(end - s));
		fault = component_fault(s, (size_t)((slash ? slash : end) - s));
		if (fault || !slash)
			return fault;
	}
}

int name_check(const char *s, size_t n, struct err *e)
{
	const char *fault = name_fault(s, n);

	if (!fault)
		return 0;
	return err_set(e, PQC_ENAME, "the name '%.*s'%s is not allowed: %s",
		       n < SHOWN_BYTES ? (int)n : SHOWN_BYTES, n > 0 ? s : "",
		       n > SHOWN_BYTES ? "..." : "", fault);
}
