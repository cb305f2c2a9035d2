/* Completion of command lines by bash. */
#include <string.h>

#include "cli/help.h"

static void long_name(const struct opt *o)
{
	printf(" --%s", o->name);
}

/* What follows an option: a case that completes the value. */
static void value(const struct opt *o)
{
	if (o->kind == OPT_FLAG)
		return;
	printf("\t\t--%s", o->name);
	if (o->letter != 0)
		printf("|-%c", o->letter);
	fputs(") ", stdout);
	if (o->kind == OPT_CHOICE) {
		fputs("COMPREPLY=($(compgen -W '", stdout);
		for (const char *p = o->choices; *p != '\0'; p++)
			putchar(*p == '|' ? ' ' : *p);
		fputs("' -- \"$cur\"))", stdout);
	} else if (o->kind == OPT_DIR) {
		fputs("COMPREPLY=($(compgen -d -- \"$cur\"))", stdout);
	} else {
		fputs("COMPREPLY=($(compgen -f -- \"$cur\"))", stdout);
	}
	fputs("; return ;;\n", stdout);
}

static void verb(const struct verb *v)
{
	printf("\t'%s')\n\t\tcase $prev in\n", v->name);
	help_each_option(v, false, value);
	fputs("\t\tesac\n\t\twords='", stdout);
	help_each_option(v, false, long_name);
	fputs("' ;;\n", stdout);
}

/* The first words of the verbs, or the second ones of those that begin with `first`. */
static void names(const char *first)
{
	const char *last = "";

	for (const struct verb *const *v = verbs; *v != NULL; v++) {
		const char *name = (*v)->name, *blank = strchr(name, ' ');
		size_t n = blank != NULL ? (size_t)(blank - name) : strlen(name);

		if (first != NULL) {
			if (blank != NULL && strlen(first) == n && strncmp(name, first, n) == 0)
				printf(" %s", blank + 1);
		} else if (strncmp(last, name, n) != 0) {
			printf(" %.*s", (int)n, name);
			last = name;
		}
	}
}

void help_completion(void)
{
	fputs("# bash completion of pqc; made by 'pqc help --completion bash'\n"
	      "_pqc()\n"
	      "{\n"
	      "\tlocal cur=$2 prev=$3 verb=${COMP_WORDS[1]} words=\n"
	      "\tCOMPREPLY=()\n"
	      "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W '",
	      stdout);
	names(NULL);
	fputs("' -- \"$cur\"))\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tif [ \"$verb\" = trust ]; then\n"
	      "\t\tif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
	      "\t\t\tCOMPREPLY=($(compgen -W '",
	      stdout);
	names("trust");
	fputs("' -- \"$cur\"))\n"
	      "\t\t\treturn\n"
	      "\t\tfi\n"
	      "\t\tverb=\"trust ${COMP_WORDS[2]}\"\n"
	      "\tfi\n"
	      "\tcase $verb in\n",
	      stdout);
	for (const struct verb *const *v = verbs; *v != NULL; v++)
		verb(*v);
	fputs("\tesac\n"
	      "\tcase $cur in\n"
	      "\t-*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
	      "\t*) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
	      "\tesac\n"
	      "}\n"
	      "complete -o filenames -F _pqc pqc\n",
	      stdout);
}
