/* The reference in docs/cli.md. */
#include <string.h>

#include "cli/help.h"

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
	struct buf notes = BUF_INIT(512);

	fputs("| `", stdout);
	if (o->letter != 0)
		printf("-%c`, `", o->letter);
	printf("--%s", o->name);
	if (o->arg != NULL) {
		putchar(' ');
		/* A bar is no separator when it is escaped, in code too. */
		for (const char *p = o->arg; *p != '\0'; p++)
			printf("%s%c", *p == '|' ? "\\" : "", *p);
	}
	fputs("` | ", stdout);
	cell(o->help, strlen(o->help));
	fputs(". ", stdout);
	help_option_notes(o, &notes);
	cell((const char *)notes.p, notes.len);
	fputs(" |\n", stdout);
	buf_free(&notes);
}

static void verb(const struct verb *v)
{
	printf("\n## pqc %s\n\n", v->name);
	printf("    pqc %s [OPTION...]%s%s\n\n%s\n", v->name, v->operands[0] != '\0' ? " " : "",
	       v->operands, v->text);
	fputs("\n| option | |\n|---|---|\n", stdout);
	help_each_option(v, option);
	if (v->examples == NULL)
		return;
	fputs("\nExamples:\n\n", stdout);
	for (const char *text = v->examples, *p; *text != '\0';) {
		size_t n;

		p = help_line(&text, &n);
		printf("    %.*s\n", (int)n, p);
	}
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
	       "--man` is the same as a manual\npage.\n\n%s\n\n| verb | |\n|---|---|\n",
	       HELP_DESCRIPTION);
	for (const struct verb *const *v = verbs; *v != NULL; v++)
		printf("| `%s` | %s |\n", (*v)->name, (*v)->summary);
	for (const struct verb *const *v = verbs; *v != NULL; v++)
		verb(*v);
	items("Environment", help_environment);
	items("Files", help_files);
	fputs("\n## Exit codes\n\n| code | meaning |\n|---|---|\n", stdout);
	for (size_t i = 0; help_exit_code(i, &code, &b); i++) {
		printf("| %d | %.*s |\n", code, (int)b.len, (const char *)b.p);
		buf_reset(&b);
	}
	buf_free(&b);
}
