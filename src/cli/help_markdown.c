/* The reference in docs/cli.md. */
#include <string.h>

#include "cli/help.h"

#define WIDTH 100

/* Text in a table cell: '|' would end it, '<' begin HTML. */
static void cell(const char *s, size_t n)
{
	for (; n > 0; s++, n--) {
		if (*s == '|' || *s == '<' || *s == '*')
			putchar('\\');
		putchar(*s);
	}
}

static void option(const struct opt *o)
{
	struct buf b = BUF_INIT(4096);

	fputs("| `", stdout);
	if (o->letter != 0)
		printf("-%c`, `", o->letter);
	printf("--%s", o->name);
	if (o->arg != NULL)
		putchar(' ');
	/* A bar ends a cell unless it is escaped, in code too. */
	for (const char *p = o->arg != NULL ? o->arg : ""; *p != '\0'; p++)
		printf("%s%c", *p == '|' ? "\\" : "", *p);
	fputs("` | ", stdout);
	help_option_text(o, &b);
	cell((const char *)b.p, b.len);
	fputs(" |\n", stdout);
	buf_free(&b);
}

static void paragraphs(const char *text)
{
	const struct help_wrap w = {.f = stdout, .width = WIDTH};
	const char *p;
	size_t n;

	while ((p = help_paragraph(&text, &n)) != NULL) {
		putchar('\n');
		help_wrap(&w, p, n);
	}
}

static void verb_options(const struct verb *v)
{
	if (help_has_own(v)) {
		fputs("\n| option | |\n|---|---|\n", stdout);
		help_each_option(v, true, option);
	}
	for (const struct help_group *g = help_groups; g->table != NULL; g++)
		if (help_takes(v, g->table))
			printf("\nTakes the %s below.\n", g->title);
}

static void verb(const struct verb *v)
{
	const char *text = v->examples, *p;
	size_t n;

	printf("\n## pqc %s\n\n", v->name);
	printf("    pqc %s [OPTION...]%s%s\n", v->name, v->operands[0] != '\0' ? " " : "",
	       v->operands);
	paragraphs(v->text);
	verb_options(v);
	if (v->examples == NULL)
		return;
	fputs("\nExamples:\n\n", stdout);
	while ((p = help_line(&text, &n)) != NULL)
		printf("    %.*s\n", (int)n, p);
}

static void group(const struct help_group *g)
{
	printf("\n## The %s\n\n| option | |\n|---|---|\n", g->title);
	for (const struct opt *o = g->table; o->name != NULL; o++)
		option(o);
}

static void items(const char *title, const struct help_item *i)
{
	printf("\n## %s\n\n| | |\n|---|---|\n", title);
	for (; i->name != NULL; i++) {
		printf("| `%s` | ", i->name);
		cell(i->text, strlen(i->text));
		fputs(" |\n", stdout);
	}
}

void help_markdown(void)
{
	struct buf b = BUF_INIT(4096);
	int code;

	printf("# The command line\n\nThis page is what `pqc help --markdown` prints; `pqc help "
	       "--man` prints the same as a manual page.\n");
	paragraphs(HELP_DESCRIPTION);
	printf("\n| verb | |\n|---|---|\n");
	for (const struct verb *const *v = verbs; *v != NULL; v++)
		printf("| `%s` | %s |\n", (*v)->name, (*v)->summary);
	for (const struct verb *const *v = verbs; *v != NULL; v++)
		verb(*v);
	for (const struct help_group *g = help_groups; g->table != NULL; g++)
		group(g);
	items("Environment", help_environment);
	items("Files", help_files);
	fputs("\n## Exit codes\n\n| code | meaning |\n|---|---|\n", stdout);
	for (size_t i = 0; help_exit_code(i, &code, &b); i++) {
		printf("| %d | %.*s |\n", code, (int)b.len, (const char *)b.p);
		buf_reset(&b);
	}
	buf_free(&b);
}
