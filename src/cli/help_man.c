/* The manual page, in mdoc(7). */
#include <string.h>

#include "cli/help.h"

/* Of the last release; to be changed with it, so that a page does not depend on when it is made. */
#define MAN_DATE "November 23, 2026"

/* Text, safe for roff: no line begins with a control character, backslashes are escaped. */
static void put(const char *s, size_t n)
{
	bool start = true;

	for (; n > 0; s++, n--) {
		if (start && (*s == '.' || *s == '\''))
			fputs("\\&", stdout);
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else
			putchar(*s);
		start = *s == '\n';
	}
}

static void put_str(const char *s)
{
	put(s, strlen(s));
}

/* Sentences begin new lines, as the form wants it. */
static void put_text(const char *s, size_t n)
{
	const char *end = s + n, *stop;

	while ((stop = memmem(s, (size_t)(end - s), ". ", 2)) != NULL) {
		put(s, (size_t)(stop + 1 - s));
		putchar('\n');
		s = stop + 2;
	}
	if (s < end) {
		put(s, (size_t)(end - s));
		putchar('\n');
	}
}

static void put_paragraphs(const char *text)
{
	const char *p, *between = "";
	size_t n;

	while ((p = help_paragraph(&text, &n)) != NULL) {
		fputs(between, stdout);
		put_text(p, n);
		between = ".Pp\n";
	}
}

/* An argument of a macro, in quotes. */
static void put_quoted(const char *s)
{
	putchar('"');
	put_str(s);
	putchar('"');
}

static void option(const struct opt *o)
{
	struct buf b = BUF_INIT(4096), notes = BUF_INIT(512);

	fputs(".It ", stdout);
	if (o->letter != 0)
		printf("Fl %c , ", o->letter);
	fputs("Fl \\-", stdout);
	put_str(o->name);
	if (o->arg != NULL) {
		fputs(" Ar ", stdout);
		put_quoted(o->arg);
	}
	putchar('\n');
	buf_printf(&b, "%s. ", o->help);
	help_option_notes(o, &notes);
	buf_put(&b, notes.p, notes.len);
	put_text((const char *)b.p, b.len);
	buf_free(&notes);
	buf_free(&b);
}

static void verb(const struct verb *v)
{
	const char *text = v->examples, *p;
	size_t n;

	fputs(".Ss ", stdout);
	put_quoted(v->name);
	fputs("\n.Nm ", stdout);
	put_str(v->name);
	fputs("\n.Op Ar OPTION ...\n", stdout);
	if (v->operands[0] != '\0') {
		fputs(".Ar ", stdout);
		put_quoted(v->operands);
		putchar('\n');
	}
	fputs(".Pp\n", stdout);
	put_paragraphs(v->text);
	fputs(".Bl -tag -width Ds\n", stdout);
	help_each_option(v, option);
	fputs(".El\n", stdout);
	if (v->examples == NULL)
		return;
	fputs(".Bd -literal -offset indent\n", stdout);
	while ((p = help_line(&text, &n)) != NULL) {
		put(p, n);
		putchar('\n');
	}
	fputs(".Ed\n", stdout);
}

static void items(const char *title, const struct help_item *i)
{
	printf(".Sh %s\n.Bl -tag -width Ds\n", title);
	for (; i->name != NULL; i++) {
		fputs(".It ", stdout);
		put_quoted(i->name);
		putchar('\n');
		put_text(i->text, strlen(i->text));
	}
	fputs(".El\n", stdout);
}

static void exit_codes(void)
{
	struct buf b = BUF_INIT(4096);
	int code;

	fputs(".Sh EXIT STATUS\n.Bl -tag -width 130n\n", stdout);
	for (size_t i = 0; help_exit_code(i, &code, &b); i++) {
		printf(".It %d\n", code);
		put_text((const char *)b.p, b.len);
		buf_reset(&b);
	}
	fputs(".El\n", stdout);
	buf_free(&b);
}

void help_man(void)
{
	printf(".Dd %s\n.Dt PQC 1\n.Os\n.Sh NAME\n.Nm pqc\n.Nd ", MAN_DATE);
	put_str(PROGRAM_SUMMARY);
	fputs("\n.Sh SYNOPSIS\n.Nm\n.Ar VERB\n.Op Ar OPTION ...\n.Op Ar OPERAND ...\n"
	      ".Sh DESCRIPTION\n",
	      stdout);
	put_paragraphs(HELP_DESCRIPTION);
	fputs(".Sh VERBS\n", stdout);
	for (const struct verb *const *v = verbs; *v != NULL; v++)
		verb(*v);
	items("ENVIRONMENT", help_environment);
	items("FILES", help_files);
	exit_codes();
}
