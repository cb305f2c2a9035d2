#include "cli/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"

/* Line ends and tabs are the program's own; they do no harm in a name's place either. */
static void put_clean(FILE *f, const char *s, size_t n)
{
	uint32_t cp;

	while (n > 0) {
		size_t len = utf8_next(s, n, &cp);

		if (len > 0 && (!utf8_deceives(cp) || cp == '\n' || cp == '\t'))
			fwrite(s, 1, len, f);
		else
			putc('?', f);
		len = len > 0 ? len : 1;
		s += len;
		n -= len;
	}
}

static void print(FILE *f, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void print(FILE *f, const char *fmt, va_list ap)
{
	char *text;
	int n = vasprintf(&text, fmt, ap);

	if (n < 0)
		return;
	put_clean(f, text, (size_t)n);
	free(text);
}

void out(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(stdout, fmt, ap);
	va_end(ap);
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(stderr, fmt, ap);
	va_end(ap);
	putc('\n', stderr);
}

void note_part(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(stderr, fmt, ap);
	va_end(ap);
}

void out_text(const char *text)
{
	fputs(text, stdout);
}

int out_finish(struct err *e)
{
	bool failed = ferror(stdout) != 0;

	errno = 0;
	if (fflush(stdout) != 0 || failed)
		return err_sys(e, errno != 0 ? errno : EIO, "standard output");
	return 0;
}

/* ---- JSON ---- */

void json_end(struct json *j)
{
	json_close(j, '}');
	buf_put_u8(&j->b, '\n');
	if (buf_error(&j->b) == 0)
		fwrite(j->b.p, 1, j->b.len, stdout);
	fflush(stdout); /* a script waits for whole lines */
	buf_free(&j->b);
}

void out_error(const char *who, int rc, const struct err *e, bool json)
{
	const char *message = e->msg[0] != '\0' ? e->msg : err_meaning(rc);
	struct json j;

	fflush(stdout);
	note("%s: %s", who, message);
	if (!json)
		return;
	json_begin(&j, "error");
	json_str(&j, "code", err_name(rc));
	json_u64(&j, "exit", (uint64_t)err_exit_code(rc));
	json_str(&j, "message", message);
	json_end(&j);
}

int advise_force(int rc, struct err *e)
{
	if (rc == PQC_EEXIST)
		err_set(e, rc, "%s; --force replaces it", e->msg);
	return rc;
}
