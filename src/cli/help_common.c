#include <string.h>

#include "cli/help.h"

const struct help_item help_environment[] = {
	{"PQC_HOME", "The directory of your identity, known servers, receipts and interrupted "
		     "transfers. Without it PQC_KEY_STORE_PATH, else $XDG_CONFIG_HOME/pqc, else "
		     "~/.config/pqc."},
	{"PQC_KEY_STORE_PATH", "An older name of PQC_HOME."},
	{"PQC_ALGORITHM", "An older name of PQC_SUITE."},
	{"STREAM_CHUNK_SIZE", "An older name of PQC_PART_SIZE, in bytes; rounded up to a power of "
			      "two."},
	{"PQC_<OPTION>", "Every option has its variable, named beside it: in capitals, '_' for "
			 "'-'; yes or no for those without a value, commas between several "
			 "values. The command line outweighs variables, variables outweigh the "
			 "configuration file. An empty variable counts as not set."},
	{NULL, NULL},
};

const struct help_item help_files[] = {
	{"$PQC_HOME/identity", "Your private key, mode 0600; identity.pub beside it is to give "
			       "away."},
	{"$PQC_HOME/known_servers", "Servers whose identity is known, 'HOST:PORT ID' a line."},
	{"$PQC_HOME/state/", "What interrupted transfers go on from."},
	{"$PQC_HOME/state/receipts/", "Receipts of what was sent, named by file id."},
	{"$PQC_HOME/server/", "What 'pqc serve' keeps, unless --data-dir says otherwise."},
	{NULL, NULL},
};

const struct help_group help_groups[] = {
	{client_options, "connection options"},
	{identity_options, "identity options"},
	{NULL, NULL},
};

static const struct {
	int exit_code;
	const char *help;
} meanings[] = {{0, "done"},
#define X(code, name, exit_code, help) {exit_code, help},
		PQC_ERROR_LIST(X)
#undef X
};

#define MEANINGS (sizeof(meanings) / sizeof(meanings[0]))

bool help_exit_code(size_t i, int *code, struct buf *b)
{
	const char *between = "";

	/* The i-th smallest: a step up from the last one found, i + 1 times. */
	*code = -1;
	for (size_t step = 0; step <= i; step++) {
		int next = INT_MAX;

		for (size_t k = 0; k < MEANINGS; k++)
			if (meanings[k].exit_code > *code && meanings[k].exit_code < next)
				next = meanings[k].exit_code;
		if (next == INT_MAX)
			return false;
		*code = next;
	}
	for (size_t k = 0; k < MEANINGS; k++)
		if (meanings[k].exit_code == *code) {
			buf_printf(b, "%s%s", between, meanings[k].help);
			between = "; ";
		}
	return true;
}

void help_option_text(const struct opt *o, struct buf *b)
{
	char env[64];

	buf_printf(b, "%s.", o->help);
	if (o->def != NULL)
		buf_printf(b, " Default %s.", o->def);
	if (*opt_env_name(o, env) != '\0')
		buf_printf(b, " Variable %s%s%s.", env, o->old_env != NULL ? " or " : "",
			   o->old_env != NULL ? o->old_env : "");
	if ((o->flags & OPT_RELOAD) != 0)
		buf_put_str(b, " Taken anew on SIGHUP.");
}

bool help_takes(const struct verb *v, const struct opt *table)
{
	for (opt_tables t = v->options; *t != NULL; t++)
		if (*t == table)
			return true;
	return false;
}

static bool is_shared(const struct opt *table)
{
	for (const struct help_group *g = help_groups; g->table != NULL; g++)
		if (g->table == table)
			return true;
	return table == common_options;
}

bool help_has_own(const struct verb *v)
{
	for (opt_tables t = v->options; *t != NULL; t++)
		if (!is_shared(*t))
			return true;
	return false;
}

void help_each_option(const struct verb *v, bool own, void (*fn)(const struct opt *o))
{
	for (opt_tables t = v->options; *t != NULL; t++)
		for (const struct opt *o = *t; o->name != NULL && !(own && is_shared(*t)); o++)
			fn(o);
}

static const char *cut(const char **text, const char *separator, size_t *n)
{
	const char *start = *text, *end;

	if (start == NULL || *start == '\0')
		return NULL;
	end = strstr(start, separator);
	*n = end != NULL ? (size_t)(end - start) : strlen(start);
	*text = end != NULL ? end + strlen(separator) : start + *n;
	return start;
}

const char *help_paragraph(const char **text, size_t *n)
{
	return cut(text, "\n\n", n);
}

const char *help_line(const char **text, size_t *n)
{
	return cut(text, "\n", n);
}

void help_wrap(const struct help_wrap *w, const char *s, size_t n)
{
	int at = w->first;
	bool begun = false; /* this line has a word */

	while (n > 0) {
		size_t word = 0;

		while (word < n && s[word] != ' ')
			word++;
		if (begun && at + 1 + (int)word > w->width) {
			fputc('\n', w->f);
			at = 0;
			begun = false;
		}
		at += fprintf(w->f, "%*s", begun ? 1 : w->indent - at, "") + (int)word;
		if (w->put != NULL)
			w->put(w->f, s, word);
		else
			fwrite(s, 1, word, w->f);
		begun = true;
		s += word;
		n -= word;
		while (n > 0 && *s == ' ') {
			s++;
			n--;
		}
	}
	fputc('\n', w->f);
}
