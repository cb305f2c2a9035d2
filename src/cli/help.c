/* --help, for terminals of 80 columns. */
#include "cli/help.h"

#include <string.h>

#include "cli/out.h"

#define COLUMNS 80

static void option(const struct opt *o)
{
	const struct help_wrap w = {.f = stdout, .indent = 10, .width = COLUMNS};
	struct buf b = BUF_INIT(4096);

	if (o->letter != 0)
		printf("  -%c, --%s", o->letter, o->name);
	else
		printf("      --%s", o->name);
	printf("%s%s\n", o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
	help_option_text(o, &b);
	help_wrap(&w, (const char *)b.p, b.len);
	buf_free(&b);
}

void help_verb(const struct verb *v)
{
	const struct help_wrap w = {.f = stdout, .width = COLUMNS};
	const char *text = v->text, *p;
	size_t n;

	printf("Usage: pqc %s [OPTION...]%s%s\n\n", v->name, v->operands[0] != '\0' ? " " : "",
	       v->operands);
	while ((p = help_paragraph(&text, &n)) != NULL) {
		help_wrap(&w, p, n);
		putchar('\n');
	}
	printf("Options:\n");
	help_each_option(v, false, option);
	if (v->examples == NULL)
		return;
	printf("\nExamples:\n");
	text = v->examples;
	while ((p = help_line(&text, &n)) != NULL)
		printf("  %.*s\n", (int)n, p);
}

void help_summary(FILE *f)
{
	struct buf b = BUF_INIT(4096);
	int code;

	fprintf(f, "pqc: %s\n\nUsage: pqc VERB [OPTION...] [OPERAND...]\n\nVerbs:\n",
		PROGRAM_SUMMARY);
	for (const struct verb *const *v = verbs; *v != NULL; v++)
		fprintf(f, "  %-14s %s\n", (*v)->name, (*v)->summary);
	fprintf(f, "\n'pqc VERB --help' explains a verb; 'pqc help --man' is the manual page.\n"
		   "\nExit codes:\n");
	for (size_t i = 0; help_exit_code(i, &code, &b); i++) {
		struct help_wrap w = {.f = f, .indent = 7, .width = COLUMNS};

		w.first = fprintf(f, "  %d", code);
		help_wrap(&w, (const char *)b.p, b.len);
		buf_reset(&b);
	}
	buf_free(&b);
}

int help_unknown(int n, char *const *words, struct err *e)
{
	struct buf b = BUF_INIT(1024);

	/* "trust" alone, or with a word that does not belong to it. */
	for (const struct verb *const *v = verbs; n > 0 && *v != NULL; v++) {
		size_t len = strlen(words[0]);

		if (strncmp((*v)->name, words[0], len) == 0 && (*v)->name[len] == ' ')
			buf_printf(&b, "%s'%s'", b.len > 0 ? ", " : "", (*v)->name);
	}
	if (b.len > 0 && buf_cstr(&b) != NULL)
		err_set(e, PQC_EUSAGE, "expected one of %s", (const char *)b.p);
	else
		err_set(e, PQC_EUSAGE, "there is no verb '%.80s'", n > 0 ? words[0] : "");
	buf_free(&b);
	return PQC_EUSAGE;
}
