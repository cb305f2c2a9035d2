/* The manual page, in mdoc(7). */
#include <string.h>

#include "cli/help.h"

/* Of the last release; to be changed with it, so that a page does not depend on when it is made. */
#define MAN_DATE "November 23, 2026"

#define WIDTH 72

/* Text, safe for roff: nothing at its beginning is taken for a command, backslashes are escaped. */
static void put_escaped(FILE *f, const char *s, size_t n)
{
	if (n > 0 && (*s == '.' || *s == '\''))
		fputs("\\&", f);
	for (; n > 0; s++, n--) {
		if (*s == '\\')
			fputs("\\e", f);
		else if (*s == '-')
			fputs("\\-", f);
		else
			putc(*s, f);
	}
}

static void put_str(const char *s)
{
	put_escaped(stdout, s, strlen(s));
}

/* Sentences begin new lines, as the form wants it. */
static void put_text(const char *s, size_t n)
{
	const struct help_wrap w = {.f = stdout, .width = WIDTH, .put = put_escaped};
	const char *end = s + n, *stop;

	while ((stop = memmem(s, (size_t)(end - s), ". ", 2)) != NULL) {
		help_wrap(&w, s, (size_t)(stop + 1 - s));
		s = stop + 2;
	}
	if (s < end)
		help_wrap(&w, s, (size_t)(end - s));
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
	struct buf b = BUF_INIT(4096);

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
	help_option_text(o, &b);
	put_text((const char *)b.p, b.len);
	buf_free(&b);
}

static void verb_options(const struct verb *v)
{
	if (help_has_own(v)) {
		fputs(".Bl -tag -width Ds\n", stdout);
		help_each_option(v, true, option);
		fputs(".El\n", stdout);
	}
	for (const struct help_group *g = help_groups; g->table != NULL; g++)
		if (help_takes(v, g->table))
			printf(".Pp\nTakes the %s below.\n", g->title);
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
	verb_options(v);
	if (v->examples == NULL)
		return;
	fputs(".Bd -literal -offset indent\n", stdout);
	while ((p = help_line(&text, &n)) != NULL) {
		put_escaped(stdout, p, n);
		putchar('\n');
	}
	fputs(".Ed\n", stdout);
}

static void group(const struct help_group *g)
{
	printf(".Ss The %s\n.Bl -tag -width Ds\n", g->title);
	for (const struct opt *o = g->table; o->name != NULL; o++)
		option(o);
	fputs(".El\n", stdout);
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
	for (const struct help_group *g = help_groups; g->table != NULL; g++)
		group(g);
	items("ENVIRONMENT", help_environment);
	items("FILES", help_files);
	exit_codes();
}
