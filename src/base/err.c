#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

struct meaning {
	int code, exit_code;
	const char *name, *help;
};

static const struct meaning meanings[] = {
#define X(code, name, exit_code, help) {code, exit_code, name, help},
	PQC_ERROR_LIST(X)
#undef X
};

/* What a failed system call means to a caller; all others are PQC_EIO. */
static const struct {
	int errnum, code;
} sys_codes[] = {
	{ENOSPC, PQC_EQUOTA},	   {EDQUOT, PQC_EQUOTA},      {EFBIG, PQC_EQUOTA},
	{ENOENT, PQC_ENOTFOUND},   {EEXIST, PQC_EEXIST},      {ENOMEM, PQC_ENOMEM},
	{EACCES, PQC_EREFUSED},	   {EPERM, PQC_EREFUSED},     {EROFS, PQC_EREFUSED},
	{ELOOP, PQC_EREFUSED},	   {EAGAIN, PQC_EAGAIN},      {EMFILE, PQC_ETEMP},
	{ENFILE, PQC_ETEMP},	   {ECONNREFUSED, PQC_ETEMP}, {ENETUNREACH, PQC_ETEMP},
	{EHOSTUNREACH, PQC_ETEMP}, {ECONNRESET, PQC_ECLOSED}, {EPIPE, PQC_ECLOSED},
	{ETIMEDOUT, PQC_ETIMEOUT},
};

/* What vsnprintf returned, as the length of the text that is in a message buffer. */
static size_t msg_len(int printed)
{
	if (printed < 0)
		return 0;
	return printed < ERR_MSG_MAX ? (size_t)printed : ERR_MSG_MAX - 1;
}

/* Append s[n] at e->msg[at], cut to what fits, all that is not printable UTF-8 replaced. */
static size_t put_clean(struct err *e, size_t at, const char *s, size_t n)
{
	uint32_t cp;
	size_t len;

	while (n > 0) {
		len = utf8_next(s, n, &cp);
		bool clean = len > 0 && !utf8_deceives(cp);
		size_t out = clean ? len : 1;

		if (at + out >= ERR_MSG_MAX)
			break;
		memcpy(e->msg + at, clean ? s : "?", out);
		at += out;
		len = len > 0 ? len : 1;
		s += len;
		n -= len;
	}
	e->msg[at] = '\0';
	return at;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	char text[ERR_MSG_MAX]; /* not e->msg itself: the arguments may point there */
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->code = code;
	put_clean(e, 0, text, msg_len(n));
	return code;
}

static int code_of_errno(int errnum)
{
	for (size_t i = 0; i < sizeof(sys_codes) / sizeof(sys_codes[0]); i++)
		if (sys_codes[i].errnum == errnum)
			return sys_codes[i].code;
	return PQC_EIO;
}

int err_sys(struct err *e, int errnum, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;
	size_t at;

	if (!e)
		return code_of_errno(errnum);
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->code = code_of_errno(errnum);
	at = put_clean(e, 0, text, msg_len(n));
	at = put_clean(e, at, ": ", 2);
	const char *why = strerror(errnum);
	put_clean(e, at, why, strlen(why));
	return e->code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	char old[ERR_MSG_MAX];
	va_list ap;
	size_t at;

	if (!e)
		return PQC_EFAIL;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(old, e->msg, sizeof(old));
	at = put_clean(e, 0, text, msg_len(n));
	at = put_clean(e, at, ": ", 2);
	put_clean(e, at, old, strnlen(old, sizeof(old)));
	return e->code;
}

static const struct meaning *meaning_of(int code)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].code == code)
			return &meanings[i];
	return &meanings[0];
}

const char *err_name(int code)
{
	return code == PQC_OK ? "ok" : meaning_of(code)->name;
}

int err_exit_code(int code)
{
	return code == PQC_OK ? 0 : meaning_of(code)->exit_code;
}

const char *err_meaning(int code)
{
	return code == PQC_OK ? "done" : meaning_of(code)->help;
}
